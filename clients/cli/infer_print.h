/* What virtualnet infer knows of its images, and how that is printed. */
#pragma once

#include <signal.h>

#include "clients/cli/request.h"

struct infer_job {
    struct infer_run *run;
    const char *file;
    enum { WAITING, OPEN, DONE } state;
    uint64_t id;       /* of the call, while open */
    bool alone;        /* no other call was open when it was sent */
    uint64_t first_ns; /* when it was sent first; 0: it was not yet */
    int exit_code;
    struct vn_client_error error; /* done with another exit_code than 0 and VN_EXIT_INPUT */
    struct vn_why why;            /* done with VN_EXIT_INPUT */
    /* done with exit_code 0, as printed: */
    json_t *json; /* with --json */
    struct line {
        char *label; /* NULL: none */
        double probability;
    } * lines; /* (n_lines) best first */
    size_t n_lines;
    char path[VN_CLI_PATH_TEXT];
    double density, ms;
    uint64_t bytes;
    bool streamed, replanned;
};

struct infer_run {
    struct vn_cli_request request;
    struct vn_client *client;
    struct infer_job *jobs; /* (n_jobs) owned, with what they hold */
    size_t n_jobs, n_printed;
    size_t ahead;      /* calls that may be open */
    uint64_t pause_ns; /* nothing is sent before */
    bool has_heading;
    int image_width, answer_width, path_width;
    int exit_code;
    sigset_t waiting; /* the signal mask while it waits: only then may SIGINT come */
};

/* Makes the column as wide as the text. */
void infer_widen(int *width, const char *text);

/* Keeps of the answer what will be printed; the job is done. */
void infer_keep(struct infer_job *job, const struct vn_client_answer *a);

/* Prints one that is done, notes its exit code, and releases it. */
void infer_print(struct infer_run *run, struct infer_job *job);

/* Prints those that are done, as far as all before them are. */
void infer_print_done(struct infer_run *run);

void infer_release(struct infer_job *job);
