/* One who asks for the metrics: a connection to the exporter's socket that carries one HTTP request
 * and one answer, which is all that a scraper, or curl --unix-socket, needs. Loop thread only. What
 * it may take is bounded: so many connections, so many bytes of request, so much time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

#define SCRAPE_REQUEST_MAX 8192 /* bytes, head and all */
#define SCRAPE_TIME_MS 10000    /* from connecting to the answer's last byte */

struct exporter;

/* Takes the descriptor in any case. */
void scrape_new(struct exporter *e, int fd);

/* Whether somebody waits for a text. */
bool scrape_waits(const struct exporter *e);

/* Those who wait for this writer, or for one before it, get its text; NULL: there is none. */
void scrape_answer(struct exporter *e, uint64_t number, const struct vn_buffer *text);

void scrape_drop_all(struct exporter *e);
