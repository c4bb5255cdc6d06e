#include "train/checkpoint.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#define MAGIC "VNCKPT2"

struct header {
    char magic[8];
    uint64_t config; /* xxh3 of the configuration's canonical text */
    uint64_t origin; /* of struct vn_origin */
    uint64_t floats; /* of each array */
    uint64_t epoch, step, agent_steps, backbone_steps, threads;
};

#define ARRAYS 5

static void arrays(const struct vn_model *m, float *array[ARRAYS])
{
    array[0] = m->param;
    array[1] = m->velocity;
    array[2] = m->running;
    array[3] = m->average;
    array[4] = m->square;
}

static int describe(const struct vn_trainer *t, struct header *h)
{
    char *text = json_dumps(t->config->source, JSON_COMPACT | JSON_SORT_KEYS);

    if (!text)
        return -ENOMEM;
    *h = (struct header){.magic = MAGIC,
                         .config = XXH3_64bits(text, strlen(text)),
                         .origin = t->origin.sum,
                         .floats = t->model->n,
                         .agent_steps = t->agent_steps,
                         .backbone_steps = t->backbone_steps,
                         .threads = t->threads};
    free(text);
    return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int write_all(FILE *f, const struct vn_trainer *t, const struct header *h)
{
    XXH3_state_t *state = XXH3_createState();
    float *array[ARRAYS];
    uint64_t sum;

    if (!state)
        return -ENOMEM;
    XXH3_64bits_reset(state);
    arrays(t->model, array);
    XXH3_64bits_update(state, h, sizeof *h);
    fwrite(h, sizeof *h, 1, f);
    for (int i = 0; i < ARRAYS; i++) {
        XXH3_64bits_update(state, array[i], t->model->n * sizeof(float));
        fwrite(array[i], sizeof(float), t->model->n, f);
    }
    sum = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    fwrite(&sum, sizeof sum, 1, f);
    if (fflush(f) || ferror(f) || fsync(fileno(f)))
        return errno ? -errno : -EIO;
    return 0;
}

int vn_checkpoint_write(const char *file, const struct vn_trainer *t, uint64_t epoch, uint64_t step,
                        struct vn_why *why)
{
    _cleanup_(vn_fclosep) FILE *f = NULL;
    char beside[4096];
    struct header h;
    int r = describe(t, &h);

    if (r)
        return vn_because(why, r, "out of memory");
    h.epoch = epoch;
    h.step = step;
    snprintf(beside, sizeof beside, "%s.new", file);
    errno = 0;
    f = fopen(beside, "wbe");
    r = f ? write_all(f, t, &h) : -errno;
    if (!r && rename(beside, file))
        r = -errno;
    if (r) {
        unlink(beside);
        return vn_because(why, r, "%s: cannot write the checkpoint: %s; the one before it is kept",
                          file, strerror(-r));
    }
    return 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

static int check(const struct header *found, const struct header *ours, const char *file,
                 struct vn_why *why)
{
    if (memcmp(found->magic, ours->magic, sizeof found->magic))
        return vn_because(why, VN_CHECKPOINT_E_INVALID, "%s: not a checkpoint of this version",
                          file);
    if (found->config != ours->config || found->floats != ours->floats)
        return vn_because(why, VN_CHECKPOINT_E_INVALID,
                          "%s: made with another configuration; train into another folder, or "
                          "remove it to start anew",
                          file);
    if (found->origin != ours->origin)
        return vn_because(why, VN_CHECKPOINT_E_INVALID,
                          "%s: made with another --backbone, or without one", file);
    if (found->threads != ours->threads)
        return vn_because(why, VN_CHECKPOINT_E_INVALID,
                          "%s: made with %llu threads; resume with --threads %llu so that the run "
                          "ends in the same store",
                          file, (unsigned long long)found->threads,
                          (unsigned long long)found->threads);
    return 0;
}

static int read_arrays(FILE *f, const struct header *h, float *array[ARRAYS])
{
    XXH3_state_t *state = XXH3_createState();
    uint64_t sum = 0;
    int r = 0;

    if (!state)
        return -ENOMEM;
    XXH3_64bits_reset(state);
    XXH3_64bits_update(state, h, sizeof *h);
    for (int i = 0; i < ARRAYS && !r; i++) {
        if (fread(array[i], sizeof(float), h->floats, f) != h->floats)
            r = VN_CHECKPOINT_E_INVALID;
        else
            XXH3_64bits_update(state, array[i], h->floats * sizeof(float));
    }
    if (!r && (fread(&sum, sizeof sum, 1, f) != 1 || sum != XXH3_64bits_digest(state)))
        r = VN_CHECKPOINT_E_INVALID;
    XXH3_freeState(state);
    return r;
}

int vn_checkpoint_read(const char *file, struct vn_trainer *t, struct vn_why *why,
                       uint64_t *ret_epoch, uint64_t *ret_step)
{
    _cleanup_(vn_fclosep) FILE *f = fopen(file, "rbe");
    struct header h, ours;
    float *array[ARRAYS];
    int r;

    if (!f)
        return vn_because(why, -errno, "%s: %s", file, strerror(errno));
    r = describe(t, &ours);
    if (r)
        return vn_because(why, r, "out of memory");
    if (fread(&h, sizeof h, 1, f) != 1)
        return vn_because(why, VN_CHECKPOINT_E_INVALID, "%s: too short", file);
    r = check(&h, &ours, file, why);
    if (r)
        return r;
    arrays(t->model, array);
    r = read_arrays(f, &h, array);
    if (r)
        return vn_because(why, r, "%s: damaged (length or checksum); remove it to start anew",
                          file);
    t->agent_steps = h.agent_steps;
    t->backbone_steps = h.backbone_steps;
    *ret_epoch = h.epoch;
    *ret_step = h.step;
    return 0;
}
