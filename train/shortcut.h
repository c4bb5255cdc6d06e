/* Gradient of vn_shortcut (engine/kernels.h). */
#pragma once

#include <stdint.h>

/* dx (H, W, Ci) = the gradient of y (Ho, Wo, Co) = shortcut(x), given dy. */
void vn_shortcut_backward(uint32_t h, uint32_t w, uint32_t ci, uint32_t co, uint32_t stride,
                          const float *dy, float *dx);
