/* What a person sees of long work: one line that moves on a terminal, a plain line now and then
 * elsewhere (none for work of under two seconds). Everything goes to stderr. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vn_meter {
    const char *unit; /* "images/s"; NULL: no rate */
    bool terminal, quiet;
    bool line_open; /* the moving line is on the screen */
    uint64_t start_ns, last_ns;
    uint64_t first; /* work that was done before the start */
};

/* quiet: nothing is ever printed. */
void vn_meter_start(struct vn_meter *p, const char *unit, uint64_t first, bool quiet);

/* label: what is being done; done of all; note: numbers, for example the loss. */
void vn_meter_show(struct vn_meter *p, const char *label, uint64_t done, uint64_t all,
                   const char *note);

/* Ends the moving line, so that others can print. */
void vn_meter_end(struct vn_meter *p);
