#include "clients/cli/report_log.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES (8u << 20) /* a number for each pair of 256 tasks, and room */
#define EPOCHS_MAX 100000         /* as many as a configuration can ask for */

const char *const report_phase_names[] = {"backbone", "agent", "tune", NULL};

static const char *const column_names[LOG_COLUMNS] = {
    "loss_full",       "loss_mixed", "loss_auxiliary", "accuracy_full", "validation_full",
    "validation_half", "reward",     "density",        "images_per_s",  "gflop_per_s",
};

static int read_epoch(const struct vn_json_at *at, struct report_epoch *ret)
{
    unsigned phase;
    int r = vn_json_choice(at, "phase", VN_JSON_REQUIRED, report_phase_names, &phase);

    if (r || (r = vn_json_u32(at, "epoch", VN_JSON_REQUIRED, 1, UINT32_MAX, &ret->number)))
        return r;
    ret->phase = (enum report_phase)phase;
    for (int i = 0; i < LOG_COLUMNS && !r; i++) {
        ret->value[i] = NAN;
        r = vn_json_number(at, column_names[i], VN_JSON_OPTIONAL, -1e30, 1e30, &ret->value[i]);
    }
    return r;
}

static int add(struct report_log *l, const struct report_epoch *epoch, struct vn_why *why)
{
    if (!(l->n & (l->n - 1))) { /* room for a power of two */
        void *grown = reallocarray(l->epochs, l->n ? 2 * l->n : 1, sizeof *l->epochs);

        if (!grown)
            return vn_because(why, -ENOMEM, "out of memory");
        l->epochs = grown;
    }
    l->epochs[l->n++] = *epoch;
    return 0;
}

static int read_line(const char *line, size_t length, struct report_log *l, struct vn_why *why)
{
    _cleanup_(json_decrefp) json_t *root = NULL;
    struct report_epoch epoch;
    struct vn_json_at at;
    int r = vn_json_parse(line, length, why, &root);

    if (r)
        return r;
    at = vn_json_root(root, NULL, why);
    r = read_epoch(&at, &epoch);
    return r ? r : add(l, &epoch, why);
}

static int read_lines(FILE *f, const char *file, struct report_log *l, struct vn_why *why)
{
    _cleanup_(vn_freep) char *line = NULL;
    size_t room = 0, number = 0;
    ssize_t length;
    int r = 0;

    while (!r && (length = getline(&line, &room, f)) > 0) {
        char where[300];

        snprintf(where, sizeof where, "%.200s: line %zu", file, ++number);
        if (length > LINE_MAX_BYTES || number > EPOCHS_MAX)
            return vn_because(why, REPORT_LOG_E_INVALID, "%s: too long for a training log", where);
        r = read_line(line, (size_t)length, l, why);
        if (r)
            r = vn_because_in(why, r < 0 ? r : REPORT_LOG_E_INVALID, where);
    }
    return r ? r : ferror(f) ? vn_because(why, -EIO, "%s: cannot be read", file) : 0;
}

int report_log_read(const char *file, struct vn_why *why, struct report_log *ret)
{
    struct report_log l = {0};
    FILE *f = fopen(file, "re");
    int r;

    if (!f)
        return vn_because(why, -errno, "%s: %s", file, strerror(errno));
    r = read_lines(f, file, &l, why);
    fclose(f);
    if (r) {
        report_log_deinit(&l);
        return r;
    }
    *ret = l;
    return 0;
}

void report_log_deinit(struct report_log *l)
{
    free(l->epochs);
    *l = (struct report_log){0};
}
