#include "daemon/room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
}

/* Watching a descriptor once is enough: the table never shrinks. */
static int watch_once(uv_loop_t *loop, int fd)
{
    uv_poll_t *poll = malloc(sizeof *poll);
    int r;

    if (!poll)
        return -ENOMEM;
    r = uv_poll_init(loop, poll, fd);
    if (r) {
        free(poll);
        return r;
    }
    r = uv_poll_start(poll, UV_READABLE, on_event);
    uv_close((uv_handle_t *)poll, on_closed);
    return r;
}

int room_make(uv_loop_t *loop, uint64_t n)
{
    _cleanup_(vn_closep) int any = eventfd(0, EFD_CLOEXEC);
    _cleanup_(vn_closep) int last = -1;
    struct rlimit limit;

    if (any < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    if (n > limit.rlim_cur)
        n = limit.rlim_cur;
    if (n <= (uint64_t)any)
        return 0;
    last = fcntl(any, F_DUPFD_CLOEXEC, (int)n - 1);
    return last < 0 ? -errno : watch_once(loop, last);
}
