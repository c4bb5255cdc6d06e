#include "clients/cli/report_log.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES (8u << 20) /* a number for each pair of 256 tasks, and room */
#define EPOCHS_MAX 100000         /* as many as a configuration can ask for */

const char *const report_phase_names[] = {"backbone", "agent", "tune", NULL};

/* As the log names them; the others follow from its agreement. */
static const char *const column_names[LOG_COLUMNS] = {
    [LOG_LOSS_FULL] = "loss_full",
    [LOG_LOSS_MIXED] = "loss_mixed",
    [LOG_LOSS_AUXILIARY] = "loss_auxiliary",
    [LOG_ACCURACY_FULL] = "accuracy_full",
    [LOG_VALIDATION_FULL] = "validation_full",
    [LOG_VALIDATION_HALF] = "validation_half",
    [LOG_REWARD] = "reward",
    [LOG_DENSITY] = "density",
    [LOG_IMAGES_PER_S] = "images_per_s",
    [LOG_GFLOP_PER_S] = "gflop_per_s",
};

static int read_agreement(const struct vn_json_at *at, const struct vn_network *n,
                          struct report_log *l, struct report_epoch *ret)
{
    struct vn_json_at child;
    int r;

    if (!vn_json_has(at, "agreement"))
        return 0;
    r = vn_json_object(at, "agreement", &child);
    return r ? r
             : report_agreement_add(&l->agreement, n, &child, &ret->value[LOG_UCR],
                                    &ret->value[LOG_COSINE]);
}

static int read_epoch(const struct vn_json_at *at, const struct vn_network *n, struct report_log *l,
                      struct report_epoch *ret)
{
    unsigned phase;
    int r = vn_json_choice(at, "phase", VN_JSON_REQUIRED, report_phase_names, &phase);

    if (r || (r = vn_json_u32(at, "epoch", VN_JSON_REQUIRED, 1, UINT32_MAX, &ret->number)))
        return r;
    ret->phase = (enum report_phase)phase;
    for (int i = 0; i < LOG_COLUMNS && !r; i++) {
        ret->value[i] = NAN;
        if (column_names[i])
            r = vn_json_number(at, column_names[i], VN_JSON_OPTIONAL, -1e30, 1e30, &ret->value[i]);
    }
    return r ? r : read_agreement(at, n, l, ret);
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

static int read_line(const char *line, size_t length, const struct vn_network *n,
                     struct report_log *l, struct vn_why *why)
{
    _cleanup_(json_decrefp) json_t *root = NULL;
    struct report_epoch epoch;
    struct vn_json_at at;
    int r = vn_json_parse(line, length, why, &root);

    if (r)
        return r;
    at = vn_json_root(root, NULL, why);
    r = read_epoch(&at, n, l, &epoch);
    return r ? r : add(l, &epoch, why);
}

static int read_lines(FILE *f, const char *file, const struct vn_network *n, struct report_log *l,
                      struct vn_why *why)
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
        r = read_line(line, (size_t)length, n, l, why);
        if (r)
            r = vn_because_in(why, r < 0 ? r : REPORT_LOG_E_INVALID, where);
    }
    return r ? r : ferror(f) ? vn_because(why, -EIO, "%s: cannot be read", file) : 0;
}

int report_log_read(const char *file, const struct vn_network *n, struct vn_why *why,
                    struct report_log *ret)
{
    struct report_log l = {0};
    FILE *f = fopen(file, "re");
    int r;

    if (!f)
        return vn_because(why, -errno, "%s: %s", file, strerror(errno));
    r = read_lines(f, file, n, &l, why);
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
    report_agreement_deinit(&l->agreement);
    *l = (struct report_log){0};
}
