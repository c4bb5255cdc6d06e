/* A convolution (3 x 3, stride 1) of a batch by Winograd's algorithm: how images are cut into tiles
 * and strips, and each step over the tiles of one image. Train/steps.h has the method.
 *
 * A strip is what one thread works on at a time: some whole images where they are small, so that
 * products have many tiles, or a part of one. */
#pragma once

#include "engine/kernels.h"
#include "train/steps.h"

#define VN_STRIP_TILES 128 /* at most */

#define VN_STRIP_IMAGES 64

struct vn_grid {
    uint32_t h, w;          /* of the image and of the result */
    uint32_t across, tiles; /* of an image */
    uint32_t images;        /* of a strip, at most VN_STRIP_IMAGES */
    uint32_t part;          /* tiles of an image in a strip */
};

/* channels: of the widest operand. Many take longer strips, as the gradients of the weights that
 * each strip adds to are large; few take shorter ones, whose operands stay in cache. */
struct vn_grid vn_grid_of(uint32_t h, uint32_t w, uint32_t channels);

/* Whether it takes fewer multiplications, transforms included, than the direct way. */
bool vn_grid_pays(const struct vn_conv *c);

/* Floats of `channels` numbers of all tiles of a strip; and where they are. at: the memory. */
size_t vn_positions_floats(uint32_t tiles, uint32_t channels);
struct vn_positions vn_positions_of(uint32_t tiles, uint32_t channels, float *at);

/* Tiles [first, end) of one image, which are number `place` and on in the strip. */
struct vn_grid_part {
    const struct vn_grid *grid;
    const struct vn_steps *steps;
    uint32_t first, end, place;
};

/* v = transformed x; zeros: as many zeros as channels. */
void vn_grid_input(const struct vn_grid_part *p, const float *x, size_t pixel, uint32_t channels,
                   const float *zeros, struct vn_positions v);

/* y = the results of m; zeros likewise. */
void vn_grid_output(const struct vn_grid_part *p, struct vn_positions m, uint32_t channels,
                    const float *zeros, float *y, size_t pixel);

/* d = transformed gradients; g names images, channels, and what is done with them: the rest is
 * filled in here. Pixels of dy and x are so many floats apart; rows likewise follow from that. */
void vn_grid_gradient(const struct vn_grid_part *p, const struct vn_gradient *g);

/* dx += the results of m. */
void vn_grid_spread(const struct vn_grid_part *p, struct vn_positions m, uint32_t channels,
                    float *dx, size_t pixel);

/* --- weights ---------------------------------------------------------------------------------- */

/* Floats of transformed weights (rows, columns), and from one position to the next. */
size_t vn_grid_weights_floats(uint32_t rows, uint32_t columns);
size_t vn_grid_weights_pitch(uint32_t rows, uint32_t columns);

/* u = transformed w (9, rows, columns), as vn_product wants it; threads share the work. */
void vn_grid_weights(const struct vn_steps *steps, const float *w, uint32_t rows, uint32_t columns,
                     uint32_t threads, float *u);
