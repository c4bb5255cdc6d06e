#include "train/trunk_parts.h"

struct part vn_part_of(const struct vn_trunk *t, const struct block *b, struct lane *l,
                       struct strip s)
{
    return (struct part){.t = t, .b = b, .l = l, .strip = s};
}

static void find_rows(struct part *p)
{
    const uint32_t tiles = p->end - p->first;

    for (uint32_t g = 0; g < p->t->g; g++) {
        uint16_t *to = p->l->list[g];

        p->rows_of[g] = 0;
        FOR_STRIP_ROWS(p->strip, r)
        {
            const uint32_t place = r - p->strip.first;

            if (!(p->b->active[r] >> g & 1))
                continue;
            p->rows_of[g] |= (uint64_t)1 << place;
            for (uint32_t i = 0; i < tiles; i++)
                *to++ = (uint16_t)(place * tiles + i);
        }
    }
}

bool vn_part_next(struct part *p)
{
    const struct vn_grid *g = &p->b->grid;

    p->first = p->end;
    if (p->first == g->tiles)
        return false;
    p->end = p->first + g->part < g->tiles ? p->first + g->part : g->tiles;
    find_rows(p);
    return true;
}

struct vn_grid_part vn_part_row(const struct part *p, uint32_t r)
{
    return (struct vn_grid_part){&p->b->grid, p->t->steps, p->first, p->end,
                                 (r - p->strip.first) * (p->end - p->first)};
}

bool vn_part_run_next(const struct part *p, struct run *r)
{
    r->first = r->end;
    while (r->first < p->t->g && !p->rows_of[r->first])
        r->first++;
    if (r->first == p->t->g)
        return false;
    for (r->end = r->first + 1; r->end < p->t->g; r->end++)
        if (p->rows_of[r->end] != p->rows_of[r->first])
            break;
    return true;
}

void vn_part_product(const struct part *p, uint32_t g, const struct weights *w,
                     struct vn_positions v, uint32_t first_row, uint32_t rows,
                     struct vn_positions m, uint32_t column, uint32_t end, bool add)
{
    p->t->steps->product(&(struct vn_product){
        .v = v,
        .m = m,
        .u = w->u,
        .u_pitch = w->u_pitch,
        .u_rows = w->rows,
        .columns = w->columns,
        .first_row = first_row,
        .rows = rows,
        .column = column,
        .end = end,
        .tiles = part_tiles(p, g),
        .add = add,
    });
}
