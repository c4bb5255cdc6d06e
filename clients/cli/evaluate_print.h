/* Evaluations as a table, as JSON and as a picture. */
#pragma once

#include <jansson.h>

#include "train/evaluate.h"

/* "level 2", "agent <= 40 %", "agent <= 25K params, thrift 0.5". */
#define VN_SETTING_TEXT 64
const char *vn_setting_text(const struct vn_setting *s, char text[static VN_SETTING_TEXT]);

/* To stdout: the mean over tasks for every setting, then accuracy per task. */
void vn_evaluation_print(const struct vn_network *n, const struct vn_evaluation *e);

/* A new reference; NULL: out of memory. */
json_t *vn_evaluation_json(const struct vn_network *n, const struct vn_evaluation *e);

/* Accuracy against mean resident bytes, one line for each way of choosing paths, as an
 * SVG file. 0 or a negative errno; why is set. */
int vn_evaluation_plot(const char *file, const struct vn_network *n, const struct vn_evaluation *e,
                       struct vn_why *why);
