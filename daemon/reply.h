/* Replies: from what happened to a frame on its way to the client. Each function counts its
 * outcome, and may end the connection (client_send). */
#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "base/why.h"
#include "daemon/daemon.h"
#include "engine/plan.h"
#include "proto/virtualnet.pb-c.h"

struct client;
struct job;
struct model;
struct status_report;

/* Why a request was not served: a code, a sentence, and the numbers that matter. */
struct refusal {
    Virtualnet__Code code;
    struct vn_why why;
    uint64_t needed_bytes;
    const char *limit_name; /* NULL: none */
    uint64_t limit, current;
    uint32_t retry_after_ms; /* 0: waiting alone will not help */
    const char *phase;       /* NULL: none */
};

/* Fills code and sentence; returns 1, so that a check reads `return refuse(...)`. */
int refuse(struct refusal *r, Virtualnet__Code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends the error as a frame. 0, or as vn_frame_append. */
int reply_encode_refusal(struct vn_buffer *b, uint64_t id, const struct refusal *refusal);

void reply_refusal(struct client *c, uint64_t id, const struct refusal *refusal);

/* Answers a job that came back from a worker, whatever became of it. */
void reply_job(struct client *c, const struct job *j);

/* Describes one task of the model, or all when task < 0, and says which stores there are
 * (describe.c). */
void reply_describe(struct client *c, uint64_t id, const struct model *m, int task);

void reply_status(struct client *c, uint64_t id, const struct status_report *r);
void reply_cancelled(struct client *c, uint64_t id, uint32_t requests);
void reply_reloaded(struct client *c, uint64_t id, const struct model *m);

/* For the functions above: sends what fits into a frame and counts it, else says so. job: behind
 * it, or NULL. */
void reply_send(struct client *c, Virtualnet__Response *response, enum daemon_counter counter,
                const struct job *job);
void reply_fill_bytes(const struct vn_bytes *from, Virtualnet__Bytes *ret_bytes);
