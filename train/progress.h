/* What a person sees of long work: one line that moves on a terminal, a plain line now and then
 * elsewhere. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vn_progress {
    const char *unit; /* "images/s" */
    bool terminal, quiet;
    uint64_t start_ns, last_ns, first;
};

/* quiet: nothing is ever printed. first: work that was done before. */
void vn_progress_start(struct vn_progress *p, const char *unit, uint64_t first, bool quiet);

/* label: what is being done; done of all; note: numbers, for example the loss. */
void vn_progress_show(struct vn_progress *p, const char *label, uint64_t done, uint64_t all,
                      const char *note);

/* Ends the moving line, so that others can print. */
void vn_progress_end(struct vn_progress *p);
