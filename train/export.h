/* From trained numbers to a store: batch-norm folded to (scale, bias), measured on the validation
 * split through the engine, written with its table and the record of how it was trained. */
#pragma once

#include "train/evaluate.h"
#include "train/trainer.h"

/* The store's numbers: param with every batch-norm row (gamma, beta) replaced by
 *     scale = gamma / sqrt(var + eps), bias = beta - mean scale
 * model->n floats, the caller frees; NULL: out of memory. */
float *vn_export_fold(const struct vn_model *m);

/* Writes `file`. validation may be NULL (no table then). 0 or as the parts; why is set. */
int vn_export(struct vn_trainer *t, const struct vn_corpus *validation, const char *file,
              struct vn_meter *progress, struct vn_why *why);
