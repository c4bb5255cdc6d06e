/* The run announces, at each step, what may go and what comes next; the helper does both, in this
 * order, before the run may take its next step.
 *
 * thread  owns
 * run     struct vn_stream but for what follows
 * helper  `gone` and `next` while `busy`
 * shared  busy, stop (under the lock) */
#include "engine/stream.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "engine/residency.h"
#include "engine/store_parts.h"

#define RANGES_MAX 128 /* of a piece: no fewer than one convolution of all groups has */

/* A convolution as it is run: the groups [first, first + n) of the order, in one of the two of one
 * block. */
struct place {
    uint32_t block, first, n;
    bool second; /* conv2 */
};

_Static_assert(RANGES_MAX >= 2 * VN_GROUPS_MAX, "a piece holds one convolution at least");

/* What several convolutions that follow each other read. */
struct piece {
    const struct vn_store *store;
    uint32_t places; /* of them, those that the run has not come to */
    uint32_t n;
    struct vn_range ranges[RANGES_MAX]; /* (n) ascending, apart from each other */
};

struct vn_stream {
    struct vn_stream_path path;   /* without a store: no run is on */
    uint64_t cap;                 /* of its network */
    struct place place;           /* the first that is in no piece yet */
    bool more;                    /* there is one */
    struct piece gone, now, next; /* empty: there is none */
    pthread_t thread;
    bool started; /* the thread */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool busy; /* the helper has something to do */
    uint64_t waited_ns;
    bool stop;
};

/* --- pieces ----------------------------------------------------------------------------------- */

static uint64_t windows_of(const struct vn_tensor *t)
{
    return (t->offset + t->bytes - 1) / VN_WINDOW_BYTES - t->offset / VN_WINDOW_BYTES + 1;
}

/* Windows of the larger piece that one slice makes. */
static uint64_t slice_windows(const struct vn_layout *l, const struct vn_slice *s)
{
    uint64_t first = windows_of(&l->tensors[s->conv1]) + windows_of(&l->tensors[s->bn1]);
    uint64_t second = windows_of(&l->tensors[s->conv2]) + windows_of(&l->tensors[s->bn2]);

    return first > second ? first : second;
}

static uint64_t block_windows(const struct vn_network *n, const struct vn_layout *l, uint32_t b)
{
    uint64_t most = 0;

    for (uint32_t g = 0; g < n->groups; g++) {
        uint64_t windows = slice_windows(l, &l->trunk.slice[g][b]);

        most = windows > most ? windows : most;
    }
    return most;
}

uint64_t vn_stream_least_piece(const struct vn_network *n, const struct vn_layout *l)
{
    uint64_t most = 0;

    for (uint32_t b = 0; b < vn_network_blocks(n); b++) {
        uint64_t windows = block_windows(n, l, b);

        most = windows > most ? windows : most;
    }
    return most;
}

/* Windows of the largest slice. */
static uint64_t whole_windows(const struct vn_network *n, const struct vn_layout *l, uint32_t b)
{
    uint64_t most = 0;

    for (uint32_t g = 0; g < n->groups; g++) {
        const struct vn_slice *s = &l->trunk.slice[g][b];
        uint64_t windows =
            (s->offset + s->bytes - 1) / VN_WINDOW_BYTES - s->offset / VN_WINDOW_BYTES + 1;

        most = windows > most ? windows : most;
    }
    return most;
}

/* Whole slices where they fit: they lie together, so that few system calls bring them in and give
 * them back. Each that gives back interrupts the processors that the process runs on. */
uint32_t vn_stream_chunk(const struct vn_stream *s, uint32_t b)
{
    const struct vn_network *n = s->path.store->network;
    const struct vn_layout *l = s->path.store->layout;
    uint64_t groups = s->path.piece_windows / whole_windows(n, l, b);

    if (!groups)
        groups = s->path.piece_windows / block_windows(n, l, b);
    return groups < n->groups ? (uint32_t)groups : n->groups;
}

/* Begins with the chunk at p->first of p->block, or of a later block. False: the path has ended. */
static bool begin_chunk(const struct vn_stream *s, struct place *p)
{
    uint32_t most;

    while (p->block < s->path.blocks && p->first >= s->path.levels[p->block]) {
        p->block++;
        p->first = 0;
    }
    if (p->block == s->path.blocks)
        return false;
    most = vn_stream_chunk(s, p->block);
    p->n = s->path.levels[p->block] - p->first;
    p->n = p->n < most ? p->n : most;
    p->second = false;
    return true;
}

static bool advance(const struct vn_stream *s, struct place *p)
{
    if (!p->second) {
        p->second = true;
        return true;
    }
    p->first += p->n;
    return begin_chunk(s, p);
}

static const struct vn_slice *slice_at(const struct vn_stream *s, const struct place *p, uint32_t k)
{
    return &s->path.store->layout->trunk.slice[s->path.order[p->first + k]][p->block];
}

static uint64_t place_windows(const struct vn_stream *s, const struct place *p)
{
    const struct vn_tensor *t = s->path.store->layout->tensors;
    uint64_t windows = 0;

    for (uint32_t k = 0; k < p->n; k++) {
        const struct vn_slice *slice = slice_at(s, p, k);

        windows += windows_of(&t[p->second ? slice->conv2 : slice->conv1]) +
                   windows_of(&t[p->second ? slice->bn2 : slice->bn1]);
    }
    return windows;
}

static void add(struct piece *piece, const struct vn_tensor *t)
{
    piece->ranges[piece->n].offset = t->offset;
    piece->ranges[piece->n++].bytes = t->bytes;
}

static void add_place(struct piece *piece, const struct vn_stream *s, const struct place *p)
{
    const struct vn_tensor *t = s->path.store->layout->tensors;

    for (uint32_t k = 0; k < p->n; k++) {
        const struct vn_slice *slice = slice_at(s, p, k);

        add(piece, &t[p->second ? slice->conv2 : slice->conv1]);
        add(piece, &t[p->second ? slice->bn2 : slice->bn1]);
    }
    piece->places++;
}

static int by_offset(const void *a, const void *b)
{
    const struct vn_range *x = a, *y = b;

    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Ranges that lie side by side become one. */
static void join(struct piece *p)
{
    uint32_t n = 0;

    qsort(p->ranges, p->n, sizeof p->ranges[0], by_offset);
    for (uint32_t i = 1; i < p->n; i++) {
        struct vn_range *last = &p->ranges[n];

        if (p->ranges[i].offset <= last->offset + last->bytes + VN_TENSOR_ALIGN)
            last->bytes = p->ranges[i].offset + p->ranges[i].bytes - last->offset;
        else
            p->ranges[++n] = p->ranges[i];
    }
    p->n = p->n ? n + 1 : 0;
}

/* Whether the place can be added; a chunk's convolutions go together where they fit together. */
static bool fits(const struct vn_stream *s, uint64_t used)
{
    const uint64_t most = s->path.piece_windows, windows = place_windows(s, &s->place);
    struct place second = s->place;
    uint64_t both;

    second.second = true;
    both = s->place.second ? windows : windows + place_windows(s, &second);
    return used + (both <= most ? both : windows) <= most &&
           s->next.n + 4 * s->place.n <= RANGES_MAX;
}

/* As many places as fit, and one at least; none after the last. */
static void take_next(struct vn_stream *s)
{
    uint64_t used = 0;

    s->next = (struct piece){.store = s->path.store};
    for (; s->more && (!s->next.n || fits(s, used)); s->more = advance(s, &s->place)) {
        used += place_windows(s, &s->place);
        add_place(&s->next, s, &s->place);
    }
    join(&s->next);
}

/* --- in and out ------------------------------------------------------------------------------- */

static void hold(const struct piece *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        vn_residency_hold(p->store, p->ranges[i].offset, p->ranges[i].bytes, false);
    if (p->n)
        vn_residency_make_room(p->store);
}

static void let_go(const struct piece *p)
{
    if (p->n)
        vn_residency_let_go(p->store, p->ranges, p->n, false);
}

/* What cannot be read is found out by the run, as without streaming. */
static void fetch(const struct piece *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        (void)vn_store_populate(p->store, p->ranges[i].offset, p->ranges[i].bytes);
}

static void exchange(struct vn_stream *s)
{
    let_go(&s->gone);
    hold(&s->next);
    fetch(&s->next);
}

static void *help(void *argument)
{
    struct vn_stream *s = argument;

    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        if (!s->busy) {
            pthread_cond_wait(&s->changed, &s->lock);
            continue;
        }
        pthread_mutex_unlock(&s->lock);
        exchange(s);
        pthread_mutex_lock(&s->lock);
        s->busy = false;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* The helper exchanges; without one, the run does. */
static void begin_exchange(struct vn_stream *s)
{
    if (!s->started) {
        const uint64_t begun = vn_now_ns();

        exchange(s);
        s->waited_ns += vn_now_ns() - begun;
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->busy = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void end_exchange(struct vn_stream *s)
{
    const uint64_t begun = vn_now_ns();

    pthread_mutex_lock(&s->lock);
    while (s->busy)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
    s->waited_ns += vn_now_ns() - begun;
}

/* --- life ------------------------------------------------------------------------------------- */

int vn_stream_new(struct vn_stream **ret_stream)
{
    struct vn_stream *s = calloc(1, sizeof *s);
    sigset_t all, before;

    if (!s)
        return -ENOMEM;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    sigfillset(&all); /* signals are not for the helper */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->started = !pthread_create(&s->thread, NULL, help, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    *ret_stream = s;
    return 0;
}

struct vn_stream *vn_stream_free(struct vn_stream *s)
{
    if (!s)
        return NULL;
    assert(!s->path.store);
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (s->started)
        pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
    return NULL;
}

void vn_stream_begin(struct vn_stream *s, const struct vn_stream_path *path)
{
    assert(!s->path.store);
    s->path = *path;
    s->place = (struct place){0};
    s->waited_ns = 0;
    s->gone.n = s->now.n = s->now.places = 0;
    s->more = begin_chunk(s, &s->place);
    take_next(s);
    begin_exchange(s);
}

void vn_stream_step(struct vn_stream *s)
{
    if (!s->now.places) {
        end_exchange(s);
        s->gone = s->now;
        s->now = s->next;
        take_next(s);
        begin_exchange(s);
    }
    assert(s->now.places);
    s->now.places--;
}

uint64_t vn_stream_end(struct vn_stream *s)
{
    end_exchange(s);
    let_go(&s->now);
    let_go(&s->next);
    s->path.store = NULL;
    return s->waited_ns;
}
