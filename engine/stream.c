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

/* Where a run is: the groups [first, first + n) of the order, in one convolution of one block. */
struct place {
    uint32_t block, first, n;
    bool second; /* conv2 */
};

struct piece {
    const struct vn_store *store;
    uint32_t n;
    struct {
        uint64_t offset, bytes;
    } ranges[2 * VN_GROUPS_MAX];
};

struct vn_stream {
    struct vn_stream_path path;   /* without a store: no run is on */
    uint64_t cap;                 /* of its network */
    struct place place;           /* of `next` */
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

uint32_t vn_stream_chunk(const struct vn_stream *s, uint32_t b)
{
    const struct vn_network *n = s->path.store->network;
    uint64_t groups = s->path.piece_windows / block_windows(n, s->path.store->layout, b);

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

static void add(struct piece *piece, const struct vn_tensor *t)
{
    piece->ranges[piece->n].offset = t->offset;
    piece->ranges[piece->n++].bytes = t->bytes;
}

static struct piece piece_at(const struct vn_stream_path *path, const struct place *p)
{
    const struct vn_layout *l = path->store->layout;
    struct piece piece = {.store = path->store};

    for (uint32_t k = p->first; k < p->first + p->n; k++) {
        const struct vn_slice *slice = &l->trunk.slice[path->order[k]][p->block];

        add(&piece, &l->tensors[p->second ? slice->conv2 : slice->conv1]);
        add(&piece, &l->tensors[p->second ? slice->bn2 : slice->bn1]);
    }
    return piece;
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
    for (uint32_t i = 0; i < p->n; i++)
        vn_residency_let_go(p->store, p->ranges[i].offset, p->ranges[i].bytes, false);
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
    s->gone.n = s->now.n = s->next.n = 0;
    if (begin_chunk(s, &s->place))
        s->next = piece_at(&s->path, &s->place);
    begin_exchange(s);
}

void vn_stream_step(struct vn_stream *s)
{
    end_exchange(s);
    assert(s->next.n);
    s->gone = s->now;
    s->now = s->next;
    s->next.n = 0;
    if (advance(s, &s->place))
        s->next = piece_at(&s->path, &s->place);
    begin_exchange(s);
}

uint64_t vn_stream_end(struct vn_stream *s)
{
    end_exchange(s);
    let_go(&s->now);
    let_go(&s->next);
    s->path.store = NULL;
    return s->waited_ns;
}
