#include "train/grid.h"

#define OUT VN_WINOGRAD_OUT
#define IN VN_WINOGRAD_IN
#define POSITIONS VN_WINOGRAD_POSITIONS
#define LANES_MAX VN_WINOGRAD_LANES_MAX
#define APART 16 /* floats between positions, so that they do not share cache sets */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t round_up(uint32_t n, uint32_t to)
{
    return (n + to - 1) / to * to;
}

static uint32_t tiles_across(uint32_t side)
{
    return (side + OUT - 1) / OUT;
}

struct vn_grid vn_grid_of(uint32_t h, uint32_t w, uint32_t channels)
{
    const uint32_t fits = least(VN_STRIP_TILES, channels < 64 ? 32 : channels / 2);
    struct vn_grid g = {.h = h, .w = w, .across = tiles_across(w)};

    g.tiles = g.across * tiles_across(h);
    g.part = least(g.tiles, fits);
    g.images = least(g.tiles < fits ? fits / g.tiles : 1, VN_STRIP_IMAGES);
    return g;
}

/* Transforms cost about a third of the products; weights are transformed once for a batch. */
bool vn_grid_pays(const struct vn_conv *c)
{
    const uint64_t tiles = (uint64_t)tiles_across(c->h) * tiles_across(c->w);

    return c->k == 3 && c->stride == 1 && POSITIONS * 4 * tiles < (uint64_t)9 * 3 * c->h * c->w;
}

/* --- operands --------------------------------------------------------------------------------- */

/* A vector more than the channels, for those of groups that begin within one; many channels lie an
 * odd number of cache lines apart, so that a column of tiles does not share cache sets. */
static uint32_t row_floats(uint32_t channels)
{
    const uint32_t row = round_up(channels, LANES_MAX) + LANES_MAX;

    return row >= 8 * LANES_MAX ? row | LANES_MAX : row;
}

size_t vn_positions_floats(uint32_t tiles, uint32_t channels)
{
    return POSITIONS * vn_positions_of(tiles, channels, NULL).pitch;
}

struct vn_positions vn_positions_of(uint32_t tiles, uint32_t channels, float *at)
{
    const uint32_t row = row_floats(channels);

    return (struct vn_positions){at, row, (size_t)tiles * row + APART};
}

static struct vn_positions at_tile(struct vn_positions p, uint32_t tile)
{
    p.at += (size_t)tile * p.row;
    return p;
}

/* --- steps over the tiles of an image --------------------------------------------------------- */

struct corner {
    uint32_t y, x; /* of the tile's first output pixel */
};

static struct corner corner(const struct vn_grid *g, uint32_t tile)
{
    return (struct corner){tile / g->across * OUT, tile % g->across * OUT};
}

/* Where the 6 x 6 pixels under a tile are; those outside the image are zeros. */
static void find_pixels(const struct vn_grid *g, struct corner c, const float *x, size_t pixel,
                        const float *zeros, const float **ret)
{
    for (uint32_t i = 0; i < IN; i++)
        for (uint32_t j = 0; j < IN; j++) {
            /* one pixel before the corner: wraps to a large number outside the image */
            const uint32_t py = c.y + i - 1, px = c.x + j - 1;

            *ret++ = py < g->h && px < g->w ? x + ((size_t)py * g->w + px) * pixel : zeros;
        }
}

void vn_grid_input(const struct vn_grid_part *p, const float *x, size_t pixel, uint32_t channels,
                   const float *zeros, struct vn_positions v)
{
    const float *pixels[POSITIONS];

    for (uint32_t tile = p->first; tile < p->end; tile++) {
        find_pixels(p->grid, corner(p->grid, tile), x, pixel, zeros, pixels);
        p->steps->tiles->input(pixels, channels, at_tile(v, p->place + tile - p->first).at,
                               v.pitch);
    }
}

void vn_grid_output(const struct vn_grid_part *p, struct vn_positions m, uint32_t channels,
                    const float *zeros, float *y, size_t pixel)
{
    const struct vn_grid *g = p->grid;

    for (uint32_t tile = p->first; tile < p->end; tile++) {
        const struct corner c = corner(g, tile);

        p->steps->tiles->output(&(struct vn_winograd_output){
            .m = at_tile(m, p->place + tile - p->first).at,
            .m_pitch = m.pitch,
            .bias = zeros,
            .y = y + ((size_t)c.y * g->w + c.x) * pixel,
            .y_row = g->w * pixel,
            .y_pixel = pixel,
            .rows = least(OUT, g->h - c.y),
            .columns = least(OUT, g->w - c.x),
            .channels = channels,
        });
    }
}

static struct vn_pixels pixels_from(const struct vn_grid *g, struct vn_pixels p, struct corner c)
{
    p.row = g->w * p.pixel;
    if (p.at)
        p.at += c.y * p.row + c.x * p.pixel;
    return p;
}

void vn_grid_gradient(const struct vn_grid_part *p, const struct vn_gradient *g)
{
    struct vn_gradient tile = *g;

    for (uint32_t i = p->first; i < p->end; i++) {
        const struct corner c = corner(p->grid, i);

        tile.dy = pixels_from(p->grid, g->dy, c);
        tile.x = pixels_from(p->grid, g->x, c);
        tile.rows = least(OUT, p->grid->h - c.y);
        tile.columns = least(OUT, p->grid->w - c.x);
        tile.d = at_tile(g->d, p->place + i - p->first);
        p->steps->gradient(&tile);
    }
}

void vn_grid_spread(const struct vn_grid_part *p, struct vn_positions m, uint32_t channels,
                    float *dx, size_t pixel)
{
    const struct vn_grid *g = p->grid;

    for (uint32_t i = p->first; i < p->end; i++) {
        const struct corner c = corner(g, i);
        const uint32_t up = c.y > 0, left = c.x > 0; /* is there a pixel before the corner? */

        p->steps->spread(&(struct vn_spread){
            .m = at_tile(m, p->place + i - p->first),
            .dx = {dx + ((size_t)(c.y - up) * g->w + c.x - left) * pixel, g->w * pixel, pixel},
            .first_row = 1 - up,
            .end_row = least(IN, g->h + 1 - c.y),
            .first_column = 1 - left,
            .end_column = least(IN, g->w + 1 - c.x),
            .channels = channels,
        });
    }
}

/* --- weights ---------------------------------------------------------------------------------- */

#define ROWS 64 /* of one call */

size_t vn_grid_weights_pitch(uint32_t rows, uint32_t columns)
{
    return (size_t)rows * round_up(columns, LANES_MAX) + APART;
}

size_t vn_grid_weights_floats(uint32_t rows, uint32_t columns)
{
    return POSITIONS * vn_grid_weights_pitch(rows, columns);
}

/* One vector of columns of some rows. */
static void weights_item(const struct vn_steps *s, const float *w, uint32_t rows, uint32_t columns,
                         uint32_t row, uint32_t column, float *u)
{
    static const float one[LANES_MAX] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const uint32_t panel = VN_WINOGRAD_VECTORS * s->lanes, first = column / panel * panel;
    const uint32_t width = least(panel, round_up(columns - first, s->lanes));
    const float *from[ROWS], *scale[ROWS];
    const uint32_t n = least(ROWS, rows - row);

    for (uint32_t i = 0; i < n; i++) {
        from[i] = w + (size_t)(row + i) * columns + column;
        scale[i] = one;
    }
    s->tiles->weights(&(struct vn_winograd_weights){
        .w = from,
        .scale = scale,
        .tap = (size_t)rows * columns,
        .rows = n,
        .columns = least(s->lanes, columns - column),
        .u = u + (size_t)first * rows + (size_t)row * width + column - first,
        .u_row = width,
        .pitch = vn_grid_weights_pitch(rows, columns),
    });
}

void vn_grid_weights(const struct vn_steps *steps, const float *w, uint32_t rows, uint32_t columns,
                     uint32_t threads, float *u)
{
    const uint32_t across = (columns + steps->lanes - 1) / steps->lanes;
    const uint32_t items = (rows + ROWS - 1) / ROWS * across;

#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (uint32_t i = 0; i < items; i++)
        weights_item(steps, w, rows, columns, i / across * ROWS, i % across * steps->lanes, u);
}
