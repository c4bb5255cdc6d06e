#include "clients/cli/infer_print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* ---- one answer ------------------------------------------------------------------------------ */

void infer_widen(int *width, const char *text)
{
    int n = vn_cli_width(text);

    if (n > *width)
        *width = n;
}

/* Keeps of the reply what the line needs. False: out of memory. */
static bool keep_lines(struct infer_job *job, const struct vn_client_answer *a)
{
    job->lines = calloc(a->n_labels ? a->n_labels : 1, sizeof *job->lines);
    if (!job->lines)
        return false;
    for (size_t i = 0; i < a->n_labels; i++) {
        job->lines[i] = (struct line){strdup(a->labels[i].name), a->labels[i].probability};
        if (!job->lines[i].label)
            return false;
        job->n_lines++;
        infer_widen(&job->run->answer_width, a->labels[i].name);
    }
    return true;
}

void infer_keep(struct infer_job *job, const struct vn_client_answer *a)
{
    bool kept;

    if (job->run->request.common.json) {
        job->json = vn_cli_json_answer(a);
        kept = job->json && !json_object_set_new(job->json, "image", vn_cli_json_text(job->file));
    } else {
        kept = keep_lines(job, a);
        vn_cli_path(a->levels, a->n_levels, job->path);
        infer_widen(&job->run->path_width, job->path);
        job->density = a->density;
        job->bytes = a->bytes.total;
        job->streamed = a->streamed;
        job->replanned = a->replanned;
        job->ms = (double)(a->agent_ns + a->page_in_ns + a->compute_ns) / 1e6;
    }
    job->exit_code = kept ? VN_EXIT_OK : VN_EXIT_SYSTEM;
    if (!kept)
        job->error = (struct vn_client_error){.result = -ENOMEM, .message = "no memory"};
}

/* ---- text ------------------------------------------------------------------------------------ */

static void print_heading(const struct infer_run *run)
{
    printf("%-*s  %-*s   PROB  %-*s  DENSITY    PROMISED       TIME\n", run->image_width, "IMAGE",
           run->answer_width, "ANSWER", run->path_width, "PATH");
}

static void print_lines(struct infer_run *run, const struct infer_job *job)
{
    char bytes[VN_BYTES_TEXT];

    if (!run->has_heading)
        print_heading(run);
    run->has_heading = true;
    vn_cli_text(job->file, run->image_width);
    printf("  ");
    vn_cli_text(job->n_lines ? job->lines[0].label : "-", run->answer_width);
    printf("  %.3f  ", job->n_lines ? job->lines[0].probability : 0.0);
    printf("%-*s  %7.2f  %10s  %6.2f ms%s%s\n", run->path_width, job->path, job->density,
           vn_bytes_format(job->bytes, bytes), job->ms, job->streamed ? "  streamed" : "",
           job->replanned ? "  planned again" : "");
    for (size_t i = 1; i < job->n_lines; i++) {
        printf("%*s  ", run->image_width, "");
        vn_cli_text(job->lines[i].label, run->answer_width);
        printf("  %.3f\n", job->lines[i].probability);
    }
}

void infer_release(struct infer_job *job)
{
    for (size_t i = 0; i < job->n_lines; i++)
        free(job->lines[i].label);
    free(job->lines);
    json_decref(job->json);
    *job = (struct infer_job){.state = DONE};
}

static int print_job(struct infer_run *run, struct infer_job *job)
{
    json_t *json = job->json;

    if (job->exit_code == VN_EXIT_INPUT) /* the sentence names the file */
        return vn_cli_sorry(run->request.common.json, VN_EXIT_INPUT,
                            run->request.common.json ? job->file : NULL, job->why.text);
    if (job->exit_code) {
        int code = vn_cli_failed(&run->request.common, job->file, &job->error);

        /* what a stream is for */
        return job->error.result == VN_CLIENT_E_SUPERSEDED ? VN_EXIT_OK : code;
    }
    if (run->request.common.json) {
        job->json = NULL;
        return vn_cli_print_json(json);
    }
    print_lines(run, job);
    return VN_EXIT_OK;
}

void infer_print(struct infer_run *run, struct infer_job *job)
{
    int code = print_job(run, job);

    if (!run->exit_code)
        run->exit_code = code;
    infer_release(job);
}

void infer_print_done(struct infer_run *run)
{
    while (run->n_printed < run->n_jobs && run->jobs[run->n_printed].state == DONE)
        infer_print(run, &run->jobs[run->n_printed++]);
    fflush(stdout); /* whoever reads along sees each line when it is known */
}
