/* The two kinds of failure, and the sentence that goes with them.
 *
 * Every function that can fail returns an int:
 *     0    success; out-parameters (ret_x) are written only now
 *   < 0    a negative errno: fatal for the caller too, passed up untouched
 *   > 0    an outcome that the function documents (its module's enum), handled by the direct
 *          caller and never passed on as it is
 *
 * Functions that judge input from outside (a store, a configuration, a data set) also take a
 * `struct vn_why *` and leave a sentence in it: what was wrong, what would be right. NULL is
 * allowed and means that nobody wants to know. */
#pragma once

#include <stddef.h>

#define VN_WHY_MAX 640 /* a list of known keys, or a long path, a field, a range and a value */

struct vn_why {
    char text[VN_WHY_MAX];
};

/* Writes the sentence and returns `result`, so that it reads `return vn_because(why, E_X, ...)`.
 * Control characters that came with hostile names are replaced by '?'. */
int vn_because(struct vn_why *why, int result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the sentence that is already there; returns `result`. */
int vn_because_in(struct vn_why *why, int result, const char *context);
