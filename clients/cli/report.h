/* What the parts of `virtualnet report` share: everything that is known about the store, gathered
 * by report.c, and one function per section of the page. */
#pragma once

#include <stdio.h>

#include "clients/cli/html.h"
#include "clients/cli/report_gallery.h"
#include "clients/cli/report_log.h"
#include "engine/plan.h"
#include "engine/store.h"
#include "train/evaluate.h"

struct report {
    const char *store_file;
    struct vn_store *store;           /* owned */
    const struct vn_network *network; /* the store's */
    struct vn_planner *planner;       /* owned */
    struct vn_evaluation *evaluation; /* owned; NULL: there is none, and the store has no table */
    char evaluated[VN_WHY_MAX];       /* what the evaluation is of, for people */
    bool counted;                     /* it counted images; else it is the store's table */
    bool has_levels;                  /* it knows the levels of the agent's paths */
    struct report_gallery gallery;    /* owned; without shots where there is no data */
    struct vn_why no_gallery;         /* why not */
    struct report_log log;            /* owned; empty without a log */
    char log_file[4096];
};

/* The settings that tables of tasks show beside the uniform levels: the agent's cheapest, dearest
 * and one in the middle, by mean parameters. Returns how many, at most REPORT_PICKS. */
#define REPORT_PICKS 3
uint32_t report_picks(const struct report *r, uint32_t ret[REPORT_PICKS]);

/* "agent ≤ 40 %": the setting as the page says it. */
void report_setting(FILE *to, const struct vn_setting *s);

/* --- the page: report_page.c ------------------------------------------------------------------ */

void report_head(FILE *to, const struct report *r);
void report_foot(FILE *to, const struct report *r);

/* <section>, heading and (when not NULL) a sentence; ended with report_section_end. */
void report_section(FILE *to, const char *id, const char *title, const char *sentence);
void report_section_end(FILE *to);

/* --- its style: report_style.c ---------------------------------------------------------------- */

void report_style(FILE *to);

/* The classes of a cell: q0 .. q10 for 0 .. 1, d0 .. d10 for -1 .. 1. */
unsigned report_shade(double share);
unsigned report_shade_signed(double value);

/* --- sections, each in the file of its name --------------------------------------------------- */

int report_curves(FILE *to, const struct report *r); /* 0 or -ENOMEM, as all that return int */
void report_budgets(FILE *to, const struct report *r);
void report_tasks(FILE *to, const struct report *r);
void report_levels(FILE *to, const struct report *r);
void report_images(FILE *to, const struct report *r);
void report_agreement(FILE *to, const struct report *r);
int report_training(FILE *to, const struct report *r);
