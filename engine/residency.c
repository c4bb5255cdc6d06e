#include "engine/residency.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine/store_parts.h"

#define NONE UINT32_MAX

#ifndef PIDFD_SELF
#define PIDFD_SELF (-10000) /* Linux 6.14: who calls */
#endif

struct window {
    uint32_t newer, older; /* in the list of those that nobody uses; NONE at its ends */
    uint32_t used;         /* tick of the last use */
    uint16_t users;
    bool resident;
    bool fleeting; /* nobody wants it kept */
    bool awaited;  /* nobody has fetched it yet */
};

/* The windows of one store, under the lock but for `bytes`. */
struct vn_resident {
    struct vn_residency *owner;
    const struct vn_store *store;
    struct vn_resident *next;
    _Atomic uint64_t bytes;
    uint32_t leaving; /* windows that are about to be unmapped */
    uint32_t pending; /* windows that are held and not counted yet, until there is room for them */
    uint32_t newest, oldest;
    struct window windows[]; /* those of the fixed part are not used */
};

struct vn_residency {
    pthread_mutex_t lock;
    struct vn_resident *first; /* under lock */
    uint32_t tick;             /* under lock */
    uint64_t pending;          /* under lock: bytes, of all stores */
    _Atomic uint64_t bytes, room;
};

/* Windows that the first `bytes` of a store's data lie in. */
static uint64_t windows(uint64_t bytes)
{
    return (bytes + VN_WINDOW_BYTES - 1) / VN_WINDOW_BYTES;
}

static uint32_t fixed_windows(const struct vn_store *s)
{
    return (uint32_t)windows(s->layout->fixed_bytes);
}

/* --- life ------------------------------------------------------------------------------------- */

int vn_residency_new(struct vn_residency **ret_residency)
{
    struct vn_residency *r = calloc(1, sizeof *r);

    if (!r)
        return -ENOMEM;
    pthread_mutex_init(&r->lock, NULL);
    atomic_store(&r->room, VN_ROOM_UNLIMITED);
    *ret_residency = r;
    return 0;
}

struct vn_residency *vn_residency_free(struct vn_residency *r)
{
    if (!r)
        return NULL;
    assert(!r->first);
    pthread_mutex_destroy(&r->lock);
    free(r);
    return NULL;
}

int vn_residency_join(struct vn_residency *r, struct vn_store *s)
{
    const uint64_t n = windows(s->layout->data_bytes);
    struct vn_resident *t = calloc(1, sizeof *t + n * sizeof t->windows[0]);

    if (!t)
        return -ENOMEM;
    t->owner = r;
    t->store = s;
    t->newest = t->oldest = NONE;
    pthread_mutex_lock(&r->lock);
    t->next = r->first;
    r->first = t;
    pthread_mutex_unlock(&r->lock);
    s->resident = t;
    return 0;
}

void vn_residency_leave(struct vn_store *s)
{
    struct vn_resident *t = s->resident, **at;

    if (!t)
        return;
    s->resident = NULL;
    pthread_mutex_lock(&t->owner->lock);
    for (at = &t->owner->first; *at != t;)
        at = &(*at)->next;
    *at = t->next;
    atomic_fetch_sub(&t->owner->bytes, atomic_load(&t->bytes));
    pthread_mutex_unlock(&t->owner->lock);
    free(t);
}

/* --- books ------------------------------------------------------------------------------------ */

static uint64_t clip(const struct vn_store *s, uint64_t window)
{
    uint64_t end = window * VN_WINDOW_BYTES;

    return end < s->layout->data_bytes ? end : s->layout->data_bytes;
}

static void link_newest(struct vn_resident *t, uint32_t i)
{
    struct window *w = &t->windows[i];

    w->newer = NONE;
    w->older = t->newest;
    if (t->newest != NONE)
        t->windows[t->newest].newer = i;
    else
        t->oldest = i;
    t->newest = i;
}

static void unlink_window(struct vn_resident *t, uint32_t i)
{
    struct window *w = &t->windows[i];

    *(w->newer != NONE ? &t->windows[w->newer].older : &t->newest) = w->older;
    *(w->older != NONE ? &t->windows[w->older].newer : &t->oldest) = w->newer;
}

static void count(struct vn_resident *t, uint32_t windows)
{
    atomic_fetch_add(&t->bytes, windows * VN_WINDOW_BYTES);
    atomic_fetch_add(&t->owner->bytes, windows * VN_WINDOW_BYTES);
}

static void discount(struct vn_resident *t, uint32_t windows)
{
    atomic_fetch_sub(&t->bytes, windows * VN_WINDOW_BYTES);
    atomic_fetch_sub(&t->owner->bytes, windows * VN_WINDOW_BYTES);
}

/* Windows that go out of the process, many with one call: each call interrupts the processors that
 * the process runs on, which then look everything up again. */
#define LEAVING_MAX 64
struct leaving {
    uint32_t n;
    struct iovec maps[LEAVING_MAX];
};

/* Linux 6.16 takes them all; before, and where the call is not allowed, it is one by one. */
static void unmap(struct leaving *l)
{
    if (l->n > 1 &&
        syscall(SYS_process_madvise, PIDFD_SELF, l->maps, (size_t)l->n, MADV_DONTNEED, 0) > 0)
        l->n = 0;
    for (uint32_t i = 0; i < l->n; i++)
        (void)madvise(l->maps[i].iov_base, l->maps[i].iov_len, MADV_DONTNEED);
    l->n = 0;
}

/* Windows [first, end) of the store, which nobody uses. */
static void add_leaving(struct leaving *l, const struct vn_store *s, uint32_t first, uint32_t end)
{
    uint64_t from = (uint64_t)first * VN_WINDOW_BYTES;

    if (first >= end)
        return;
    if (l->n == LEAVING_MAX)
        unmap(l);
    l->maps[l->n++] = (struct iovec){(void *)(s->data + from), clip(s, end) - from};
}

/* And out of the page cache. */
static void drop(struct vn_resident *t, uint32_t first, uint32_t end)
{
    struct leaving l = {0};
    const struct vn_store *s = t->store;
    uint64_t start = s->file_bytes - s->layout->data_bytes;
    uint64_t from = (uint64_t)first * VN_WINDOW_BYTES;

    add_leaving(&l, s, first, end);
    unmap(&l);
    (void)posix_fadvise(s->fd, (off_t)(start + from), (off_t)(clip(s, end) - from),
                        POSIX_FADV_DONTNEED);
    discount(t, end - first);
}

/* --- giving back ------------------------------------------------------------------------------ */

/* The store whose oldest unused window is the oldest of all; NULL: everything is in use. Ticks are
 * compared as a circle. */
static struct vn_resident *with_oldest(struct vn_residency *r)
{
    struct vn_resident *best = NULL;

    for (struct vn_resident *t = r->first; t; t = t->next) {
        if (t->oldest == NONE)
            continue;
        if (!best ||
            r->tick - t->windows[t->oldest].used > r->tick - best->windows[best->oldest].used)
            best = t;
    }
    return best;
}

/* Gives back the oldest windows, neighbours with one call: at most so many. */
static void give_back_oldest(struct vn_resident *t, uint64_t windows)
{
    uint32_t first = t->oldest, end = first;

    while (windows-- && t->oldest != NONE && (t->oldest == end || t->oldest + 1 == first)) {
        uint32_t i = t->oldest;

        unlink_window(t, i);
        t->windows[i].resident = t->windows[i].awaited = false;
        first = i < first ? i : first;
        end = i >= end ? i + 1 : end;
    }
    drop(t, first, end);
}

static void shrink_to(struct vn_residency *r, uint64_t bytes)
{
    struct vn_resident *t;
    uint64_t have;

    while ((have = atomic_load(&r->bytes)) > bytes && (t = with_oldest(r)))
        give_back_oldest(t, (have - bytes + VN_WINDOW_BYTES - 1) / VN_WINDOW_BYTES);
}

static void forget(struct vn_resident *t)
{
    pthread_mutex_lock(&t->owner->lock);
    while (t->oldest != NONE) {
        uint32_t i = t->oldest;

        unlink_window(t, i);
        t->windows[i].resident = t->windows[i].awaited = false;
        discount(t, 1);
    }
    pthread_mutex_unlock(&t->owner->lock);
}

void vn_residency_clear(const struct vn_store *s)
{
    struct leaving l = {0};

    add_leaving(&l, s, fixed_windows(s), (uint32_t)windows(s->layout->data_bytes));
    unmap(&l);
    if (s->resident)
        forget(s->resident);
}

/* So that what is pending fits, too. */
static void shrink_to_room(struct vn_residency *r)
{
    uint64_t room = atomic_load(&r->room);

    shrink_to(r, room > r->pending ? room - r->pending : 0);
}

/* Without waiting: whoever has the lock looks again after it. */
static void shrink_if_free(struct vn_residency *r)
{
    while (atomic_load(&r->bytes) > atomic_load(&r->room) && !pthread_mutex_trylock(&r->lock)) {
        bool in_use;

        shrink_to_room(r);
        in_use = !with_oldest(r);
        pthread_mutex_unlock(&r->lock);
        if (in_use)
            return;
    }
}

void vn_residency_set_room(struct vn_residency *r, uint64_t bytes)
{
    atomic_store(&r->room, bytes);
    shrink_if_free(r);
}

void vn_residency_trim(struct vn_residency *r, uint64_t bytes)
{
    pthread_mutex_lock(&r->lock);
    shrink_to(r, bytes);
    pthread_mutex_unlock(&r->lock);
}

uint64_t vn_residency_bytes(const struct vn_residency *r)
{
    return atomic_load(&r->bytes);
}

uint64_t vn_store_resident_bytes(const struct vn_store *s)
{
    return s->resident ? atomic_load(&s->resident->bytes) : 0;
}

/* --- runs ------------------------------------------------------------------------------------- */

/* The accounted windows that these bytes lie in: [*ret_first, *ret_end). */
static void windows_of(const struct vn_store *s, uint64_t offset, uint64_t bytes,
                       uint32_t *ret_first, uint32_t *ret_end)
{
    const uint32_t fixed = fixed_windows(s), first = (uint32_t)(offset / VN_WINDOW_BYTES);

    *ret_end = (uint32_t)windows(offset + bytes);
    *ret_first = first > fixed ? first : fixed;
}

void vn_residency_hold(const struct vn_store *s, uint64_t offset, uint64_t bytes, bool keep)
{
    struct vn_resident *t = s->resident;
    uint32_t i, end, added = 0;

    if (!t)
        return;
    pthread_mutex_lock(&t->owner->lock);
    for (windows_of(s, offset, bytes, &i, &end); i < end; i++) {
        struct window *w = &t->windows[i];

        if (w->resident && !w->users)
            unlink_window(t, i);
        if (!w->resident)
            added++;
        w->fleeting = (!w->resident || w->fleeting) && !keep;
        w->awaited |= !w->resident;
        w->resident = true;
        w->users++;
    }
    t->pending += added;
    t->owner->pending += added * VN_WINDOW_BYTES;
    pthread_mutex_unlock(&t->owner->lock);
}

void vn_residency_make_room(const struct vn_store *s)
{
    struct vn_residency *r = s->resident ? s->resident->owner : NULL;

    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    shrink_to_room(r);
    for (struct vn_resident *t = r->first; t; t = t->next) {
        count(t, t->pending);
        t->pending = 0;
    }
    r->pending = 0;
    pthread_mutex_unlock(&r->lock);
    shrink_if_free(r);
}

/* From *first on: the next windows before `end` that are awaited, and now by nobody else:
 * [*first, return value). */
static uint32_t take_awaited(struct vn_resident *t, uint32_t *first, uint32_t end)
{
    uint32_t last;

    pthread_mutex_lock(&t->owner->lock);
    while (*first < end && !t->windows[*first].awaited)
        ++*first;
    for (last = *first; last < end && t->windows[last].awaited; last++)
        t->windows[last].awaited = false;
    pthread_mutex_unlock(&t->owner->lock);
    return last;
}

void vn_residency_fetch(const struct vn_store *s, uint64_t offset, uint64_t bytes)
{
    uint32_t first, end, last;

    if (!s->resident)
        return;
    windows_of(s, offset, bytes, &first, &end);
    for (; (last = take_awaited(s->resident, &first, end)) > first; first = last)
        (void)vn_store_populate(s, (uint64_t)first * VN_WINDOW_BYTES,
                                (uint64_t)(last - first) * VN_WINDOW_BYTES);
}

/* The last user of a window has left. True: it is to go out of the process. */
static bool leave_window(struct vn_resident *t, uint32_t i)
{
    struct window *w = &t->windows[i];

    w->used = t->owner->tick;
    if (!w->fleeting)
        link_newest(t, i);
    else
        w->resident = w->awaited = false;
    return w->fleeting;
}

/* Under the lock. */
static void leave_range(struct vn_resident *t, struct vn_range range, struct leaving *l)
{
    uint32_t i, end, gone = 0;

    for (windows_of(t->store, range.offset, range.bytes, &i, &end); i < end; i++) {
        assert(t->windows[i].users);
        if (!--t->windows[i].users && leave_window(t, i)) {
            gone++;
            continue;
        }
        add_leaving(l, t->store, i - gone, i);
        t->leaving += gone;
        gone = 0;
    }
    add_leaving(l, t->store, end - gone, end);
    t->leaving += gone;
}

static void let_go_accounted(struct vn_resident *t, const struct vn_range *ranges, uint32_t n)
{
    struct leaving l = {0};

    pthread_mutex_lock(&t->owner->lock);
    t->owner->tick++;
    for (uint32_t i = 0; i < n; i++)
        leave_range(t, ranges[i], &l);
    unmap(&l);
    discount(t, t->leaving);
    t->leaving = 0;
    pthread_mutex_unlock(&t->owner->lock);
    shrink_if_free(t->owner);
}

/* What is let go of goes, whoever else may use it. */
static void let_go_unaccounted(const struct vn_store *s, const struct vn_range *ranges, uint32_t n)
{
    struct leaving l = {0};
    uint32_t first, end;

    for (uint32_t i = 0; i < n; i++) {
        windows_of(s, ranges[i].offset, ranges[i].bytes, &first, &end);
        add_leaving(&l, s, first, end);
    }
    unmap(&l);
}

void vn_residency_let_go(const struct vn_store *s, const struct vn_range *ranges, uint32_t n,
                         bool keep)
{
    if (s->resident)
        let_go_accounted(s->resident, ranges, n);
    else if (!keep)
        let_go_unaccounted(s, ranges, n);
}
