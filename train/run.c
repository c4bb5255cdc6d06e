#include "train/run.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/meter.h"
#include "train/checkpoint.h"
#include "train/epoch.h"
#include "train/export.h"
#include "train/packnet.h"

#define PATH_BYTES 4096
#define QUICK_VALIDATION 2000 /* samples of an input that are looked at after every epoch */

struct run {
    const struct vn_train_config *config;
    const struct vn_run_options *options;
    struct vn_trainer *trainer;
    struct vn_corpus *validation;
    FILE *log;
    char checkpoint[PATH_BYTES];
    uint64_t saved_ns, started_ns;
    struct vn_why *why;
};

/* --- legs ------------------------------------------------------------------------------------- */

struct leg {
    enum vn_phase phase;
    uint64_t first, epochs; /* of the run */
    int task;               /* -1: all */
};

#define LEGS_MAX VN_TASKS_MAX

/* A leg of the same length for each task. */
static uint32_t plan_packnet(const struct vn_train_config *c, struct leg legs[LEGS_MAX])
{
    const uint32_t epochs = c->schedule.epochs;

    for (uint32_t t = 0; t < c->network->n_tasks; t++)
        legs[t] = (struct leg){VN_PHASE_BACKBONE, (uint64_t)t * epochs, epochs, (int)t};
    return c->network->n_tasks;
}

static uint32_t plan_legs(const struct vn_train_config *c, struct leg legs[LEGS_MAX])
{
    const struct vn_agent_schedule *a = &c->agent_schedule;
    uint32_t n = 0;
    uint64_t at = c->schedule.epochs;

    if (c->schedule.packnet)
        return plan_packnet(c, legs);
    legs[n++] = (struct leg){VN_PHASE_BACKBONE, 0, c->schedule.epochs, -1};
    if (c->network->agent.kind == VN_AGENT_UNIFORM)
        return n;
    for (uint32_t i = 0; i < a->rounds && n + 2 <= LEGS_MAX; i++) {
        legs[n++] = (struct leg){VN_PHASE_AGENT, at, a->epochs, -1};
        at += a->epochs;
        if (i + 1 == a->rounds || !a->backbone_epochs)
            continue;
        legs[n++] = (struct leg){VN_PHASE_TUNE, at, a->backbone_epochs, -1};
        at += a->backbone_epochs;
    }
    return n;
}

/* --- checkpoints and log ---------------------------------------------------------------------- */

static int save(struct run *run, uint64_t epoch, uint64_t step)
{
    run->saved_ns = vn_now_ns();
    return vn_checkpoint_write(run->checkpoint, run->trainer, epoch, step, run->why);
}

static bool is_due(const struct run *run)
{
    uint64_t minutes = run->config->schedule.checkpoint_minutes;

    return vn_now_ns() - run->saved_ns > minutes * 60 * VN_NS_PER_S;
}

/* Accuracy of the trainer's own forward pass on the first validation samples of every input. */
static double quick_validation(struct run *run, uint32_t level)
{
    struct vn_epoch all;
    uint64_t n = 0, correct = 0;

    for (uint32_t i = 0; i < run->config->network->n_inputs; i++) {
        uint32_t count = vn_samples_of(&run->validation->samples[i], run->trainer->only_task).n;

        /* in a fixed shuffled order, so that every task has its part */
        if (vn_epoch_init(&all, run->validation, run->config->seed, 0, 1, run->trainer->only_task))
            return NAN;
        count = count < QUICK_VALIDATION ? count : QUICK_VALIDATION;
        correct +=
            vn_trainer_evaluate(run->trainer, run->validation, i, all.order[i], count, level);
        n += count;
        vn_epoch_deinit(&all);
    }
    return n ? (double)correct / (double)n : NAN;
}

static void log_epoch(struct run *run, const struct leg *leg, uint64_t epoch,
                      const struct vn_step_result *r, double seconds, double flops)
{
    uint32_t groups = run->config->network->groups;
    double n = (double)(r->n ? r->n : 1);

    fprintf(run->log, "{\"phase\": \"%s\", \"epoch\": %llu, \"of\": %llu, \"samples\": %llu",
            vn_phase_names[leg->phase], (unsigned long long)(epoch - leg->first + 1),
            (unsigned long long)leg->epochs, (unsigned long long)r->n);
    if (leg->task >= 0)
        fprintf(run->log, ", \"task\": %d", leg->task);
    if (leg->phase == VN_PHASE_AGENT)
        fprintf(run->log, ", \"reward\": %.5f, \"density\": %.4f", r->reward / n, r->density / n);
    else
        fprintf(run->log, ", \"loss_full\": %.5f, \"loss_mixed\": %.5f, \"accuracy_full\": %.4f",
                r->loss / n, r->mixed_loss / n, r->correct / n);
    if (leg->phase != VN_PHASE_AGENT && run->trainer->auxiliary)
        fprintf(run->log, ", \"loss_auxiliary\": %.5f", r->auxiliary / n);
    if (leg->phase != VN_PHASE_AGENT && run->validation)
        fprintf(run->log, ", \"validation_full\": %.4f", quick_validation(run, groups));
    if (leg->phase != VN_PHASE_AGENT && run->validation && run->config->schedule.mixed_paths)
        fprintf(run->log, ", \"validation_half\": %.4f", quick_validation(run, (groups + 1) / 2));
    if (run->trainer->agreement)
        vn_agreement_log(run->trainer->agreement, run->log);
    fprintf(run->log, ", \"images_per_s\": %.1f, \"gflop_per_s\": %.1f, \"seconds\": %.1f}\n",
            n / seconds, flops / seconds / 1e9,
            (double)(vn_now_ns() - run->started_ns) / VN_NS_PER_S);
    fflush(run->log);
}

/* --- one epoch -------------------------------------------------------------------------------- */

/* gflops: a second. */
static void show(struct vn_meter *meter, const struct leg *leg, uint64_t epoch, uint64_t done,
                 uint64_t all, const struct vn_step_result *r, double gflops)
{
    char label[64], note[96];
    double n = (double)(r->n ? r->n : 1);

    snprintf(label, sizeof label, "%s %llu/%llu", vn_phase_names[leg->phase],
             (unsigned long long)(epoch - leg->first + 1), (unsigned long long)leg->epochs);
    if (leg->phase == VN_PHASE_AGENT)
        snprintf(note, sizeof note, " reward %.3f, density %.2f, %.0f GFLOP/s,", r->reward / n,
                 r->density / n, gflops);
    else
        snprintf(note, sizeof note, " loss %.3f/%.3f, accuracy %.1f %%, %.0f GFLOP/s,", r->loss / n,
                 r->mixed_loss / n, 100 * r->correct / n, gflops);
    vn_meter_show(meter, label, done, all, note);
}

static void take_step(struct run *run, const struct leg *leg, uint64_t epoch,
                      const struct vn_epoch *e, uint32_t step, struct vn_step_result *result)
{
    uint32_t input = e->input[step];
    const struct vn_sample *const *samples = e->order[input] + e->first[step];
    struct vn_place at = {
        .epoch = epoch,
        .step = step,
        .progress = (double)(epoch - leg->first) + (double)step / e->n_steps,
        .epochs = (double)leg->epochs,
    };

    if (leg->phase == VN_PHASE_AGENT)
        vn_search_step(run->trainer, input, samples, e->batch, &at, result);
    else
        vn_backbone_step(run->trainer, input, samples, e->batch, &at, leg->phase == VN_PHASE_TUNE,
                         result);
}

static int run_epoch(struct run *run, const struct leg *leg, uint64_t epoch, uint64_t first_step)
{
    const struct vn_train_config *c = run->config;
    bool agent = leg->phase == VN_PHASE_AGENT;
    uint32_t batch = agent ? c->agent_schedule.batch : c->schedule.batch;
    struct vn_step_result result = {0};
    struct vn_meter meter;
    struct vn_epoch e;
    uint64_t start = vn_now_ns();
    double before = vn_trainer_flops(run->trainer), flops;
    int r = vn_epoch_init(&e, run->trainer->corpus, c->seed, epoch, batch, leg->task);

    if (r)
        return vn_because(run->why, r, "out of memory");
    run->trainer->only_task = leg->task;
    if (leg->task >= 0)
        vn_packnet_freeze(run->trainer->model, (uint32_t)leg->task);
    if (!e.n_steps)
        r = vn_because(run->why, -EINVAL,
                       "fewer training samples than one batch of %u: make "
                       "\"batch\" smaller",
                       batch);
    vn_meter_start(&meter, "images/s", first_step * batch, run->options->quiet);
    for (uint64_t step = first_step; step < e.n_steps && !r; step++) {
        take_step(run, leg, epoch, &e, (uint32_t)step, &result);
        flops = vn_trainer_flops(run->trainer) - before;
        show(&meter, leg, epoch, (step + 1) * batch, (uint64_t)e.n_steps * batch, &result,
             flops / (double)(vn_now_ns() - start + 1));
        if (!isfinite(result.loss + result.mixed_loss + result.auxiliary + result.reward))
            r = vn_because(run->why, VN_RUN_E_DIVERGED,
                           "the loss is no number any more in %s epoch %llu: lower \"rate\"; the "
                           "checkpoint is from before",
                           vn_phase_names[leg->phase], (unsigned long long)(epoch + 1));
        else if (run->options->stop && *run->options->stop)
            r = save(run, epoch, step + 1) < 0
                    ? -EIO
                    : vn_because(run->why, VN_RUN_E_INTERRUPTED,
                                 "stopped; run the same command with --resume to go on");
        else if (is_due(run))
            r = save(run, epoch, step + 1);
    }
    vn_meter_end(&meter);
    vn_epoch_deinit(&e);
    if (r)
        return r;
    if (!agent && epoch + 1 == leg->first + leg->epochs)
        vn_backbone_finish(run->trainer);
    log_epoch(run, leg, epoch, &result, (double)(vn_now_ns() - start) / VN_NS_PER_S,
              vn_trainer_flops(run->trainer) - before);
    return save(run, epoch + 1, 0);
}

static int run_legs(struct run *run, uint64_t epoch, uint64_t step)
{
    struct leg legs[LEGS_MAX];
    uint32_t n = plan_legs(run->config, legs);

    for (uint32_t i = 0; i < n; i++)
        for (; epoch < legs[i].first + legs[i].epochs; epoch++, step = 0) {
            int r = run_epoch(run, &legs[i], epoch, step);

            if (r)
                return r;
        }
    return 0;
}

/* --- the run ---------------------------------------------------------------------------------- */

static int keep_config(const struct run *run)
{
    char file[PATH_BYTES];

    snprintf(file, sizeof file, "%s/config.json", run->options->out);
    if (json_dump_file(run->config->source, file, JSON_INDENT(2)))
        return vn_because(run->why, -EIO, "%s: cannot be written", file);
    return 0;
}

static int open_folder(struct run *run)
{
    const char *out = run->options->out;
    char file[PATH_BYTES];

    if (mkdir(out, 0777) && errno != EEXIST)
        return vn_because(run->why, -errno, "%s: %s", out, strerror(errno));
    snprintf(run->checkpoint, sizeof run->checkpoint, "%s/checkpoint", out);
    if (!run->options->resume && !access(run->checkpoint, F_OK))
        return vn_because(run->why, -EEXIST,
                          "%s holds the checkpoint of another run: give --resume to go on, or "
                          "another folder",
                          out);
    snprintf(file, sizeof file, "%s/log.jsonl", out);
    run->log = fopen(file, run->options->resume ? "ae" : "we");
    if (!run->log)
        return vn_because(run->why, -errno, "%s: %s", file, strerror(errno));
    return keep_config(run);
}

/* A store, or the folder of the run that made it. */
static int take_backbone(struct run *run)
{
    const char *name = run->options->backbone;
    char file[PATH_BYTES];
    struct stat st;

    if (!name)
        return 0;
    if (run->config->network->agent.kind == VN_AGENT_UNIFORM)
        return vn_because(run->why, -EINVAL,
                          "nothing would be trained: the configuration has no agent, and the "
                          "backbone is there");
    snprintf(file, sizeof file, "%s", name);
    if (!stat(name, &st) && S_ISDIR(st.st_mode))
        snprintf(file, sizeof file, "%s/store.safetensors", name);
    return vn_origin_take(run->trainer, file, run->why);
}

static int resume(struct run *run, uint64_t *ret_epoch, uint64_t *ret_step)
{
    int r;

    /* with a backbone from elsewhere, the first leg counts as done */
    *ret_epoch = run->options->backbone ? run->config->schedule.epochs : 0;
    *ret_step = 0;
    if (!run->options->resume)
        return 0;
    r = vn_checkpoint_read(run->checkpoint, run->trainer, run->why, ret_epoch, ret_step);
    return r == -ENOENT ? 0 : r > 0 ? -EINVAL : r;
}

static int finish(struct run *run)
{
    char file[PATH_BYTES];
    struct vn_meter meter;
    int r;

    snprintf(file, sizeof file, "%s/store.safetensors", run->options->out);
    vn_meter_start(&meter, "images/s", 0, run->options->quiet);
    r = vn_export(run->trainer, run->validation, file, &meter, run->why);
    vn_meter_end(&meter);
    return r;
}

/* The parts' own outcomes are no outcomes of a run: something that was given is wrong. */
static int given(int r)
{
    return r > 0 ? -EINVAL : r;
}

int vn_run(const struct vn_train_config *c, const struct vn_run_options *o, struct vn_why *why)
{
    struct run run = {.config = c, .options = o, .why = why};
    uint64_t epoch, step;
    int r;

    run.started_ns = run.saved_ns = vn_now_ns();
    r = open_folder(&run);
    if (!r)
        r = given(
            vn_trainer_new(c, o->data_folder, o->threads, o->limit_images, why, &run.trainer));
    if (!r && c->validation_share > 0)
        r = given(vn_corpus_load(c, o->data_folder, VN_SPLIT_VALIDATION, o->limit_images, why,
                                 &run.validation));
    if (!r)
        r = given(take_backbone(&run));
    if (!r)
        r = resume(&run, &epoch, &step);
    if (!r)
        r = run_legs(&run, epoch, step);
    if (!r)
        r = given(finish(&run));
    if (run.log)
        fclose(run.log);
    vn_corpus_free(run.validation);
    vn_trainer_free(run.trainer);
    return r;
}
