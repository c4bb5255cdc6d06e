/* Evaluations as a table, as JSON and as a picture. */
#pragma once

#include <jansson.h>

#include "train/evaluate.h"

/* "level 2", "agent <= 40 %", "agent <= 25K params, thrift 0.5", "cascade 1:4 at 0.9". */
#define VN_SETTING_TEXT 64
const char *vn_setting_text(const struct vn_setting *s, char text[static VN_SETTING_TEXT]);

/* To stdout: the mean over tasks for every setting, then accuracy per task. */
void vn_evaluation_print(const struct vn_network *n, const struct vn_evaluation *e);

/* A new reference; NULL: out of memory. */
json_t *vn_evaluation_json(const struct vn_network *n, const struct vn_evaluation *e);

json_t *vn_setting_json(const struct vn_network *n, const struct vn_setting *s);

/* Every answer (e->images) in a file of its own. 0 or a negative errno; why is set. */
int vn_evaluation_write_images(const char *file, const struct vn_network *n,
                               const struct vn_evaluation *e, const char *split,
                               struct vn_why *why);

/* Accuracy against mean resident bytes, one line for each way of choosing paths, as an
 * SVG file. 0 or a negative errno; why is set. */
int vn_evaluation_plot(const char *file, const struct vn_network *n, const struct vn_evaluation *e,
                       struct vn_why *why);
