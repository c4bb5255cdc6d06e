#include "daemon/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/thread.h"

#define WRITE_MAX 256 /* bytes of what is written first; a trigger has 30 */

/* --- steps ------------------------------------------------------------------------------------ */

double pressure_share(const struct pressure *p)
{
    double share = 1;

    for (uint32_t i = 0; i < p->steps; i++)
        share *= 1 - p->step_percent / 100.0;
    return share;
}

static void *run_relief(void *argument)
{
    struct pressure *p = argument;

    p->relieve(p->context);
    atomic_store(&p->relieved, true);
    return NULL;
}

static void end_relief(struct pressure *p)
{
    if (p->started)
        pthread_join(p->thread, NULL);
    p->started = false;
}

/* Unless the last one is still on. */
static void begin_relief(struct pressure *p)
{
    if (p->started && !atomic_load(&p->relieved))
        return;
    end_relief(p);
    atomic_store(&p->relieved, false);
    p->started = !thread_start(&p->thread, run_relief, p);
}

static void on_hold_over(uv_timer_t *timer);

static void step(struct pressure *p, bool down)
{
    if (down && p->steps < PRESSURE_STEPS)
        p->steps++;
    if (!down)
        p->steps--;
    p->again = false;
    if (p->steps)
        uv_timer_start(&p->hold, on_hold_over, p->hold_ms, 0);
    if (down)
        vn_log_warning("memory pressure: default budgets are down to %.0f %%, for at least %llu ms",
                       100 * pressure_share(p), (unsigned long long)p->hold_ms);
    else
        vn_log_notice("no memory pressure for %llu ms: default budgets are up to %.0f %%",
                      (unsigned long long)p->hold_ms, 100 * pressure_share(p));
    if (down)
        begin_relief(p);
}

static void on_hold_over(uv_timer_t *timer)
{
    struct pressure *p = timer->data;

    step(p, p->again);
}

static void on_event(struct pressure *p)
{
    p->events++;
    if (uv_is_active((uv_handle_t *)&p->hold))
        p->again = true;
    else
        step(p, true);
}

/* --- watching --------------------------------------------------------------------------------- */

/* False: whoever wrote has gone, and nothing will come any more. */
static bool drain(const struct pressure *p)
{
    char bytes[256];
    ssize_t n;

    do
        n = read(p->fd, bytes, sizeof bytes);
    while (n == sizeof bytes || (n < 0 && errno == EINTR));
    return n > 0 || (n < 0 && errno == EAGAIN);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct pressure *p = poll->data;

    if (status < 0 || (!p->kernel && !drain(p))) {
        vn_log_warning("memory pressure is no longer watched: %s",
                       status < 0 ? uv_strerror(status) : "the other end is closed");
        uv_poll_stop(poll);
        return;
    }
    if (events)
        on_event(p);
}

int pressure_decode(const char *base64, uint8_t *bytes, uint32_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t length = strlen(base64), used = 0;
    uint32_t bits = 0, n = 0;

    if (length % 4)
        return -EINVAL;
    for (; *base64 && *base64 != '='; base64++) {
        const char *digit = strchr(digits, *base64);

        if (!digit)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)(digit - digits);
        if (used++ % 4 == 0)
            continue;
        if (n == size)
            return -EINVAL;
        bytes[n++] = (uint8_t)(bits >> (6 - 2 * ((used - 1) % 4)));
    }
    if (used % 4 == 1 || strspn(base64, "=") != length - used || length - used > 2)
        return -EINVAL;
    return (int)n;
}

/* A descriptor of what `path` names; a FIFO is also opened for writing, so that it does not end
 * with its first writer. */
static int open_watched(struct pressure *p, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    int fd;

    if (stat(path, &st) < 0)
        return -errno;
    p->kernel = S_ISREG(st.st_mode);
    p->fifo = S_ISFIFO(st.st_mode);
    if (!S_ISSOCK(st.st_mode)) {
        fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        return fd < 0 ? -errno : fd;
    }
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;

        close(fd);
        return -error;
    }
    return fd < 0 ? -errno : fd;
}

/* A FIFO would hand it back to us. */
static int write_first(const struct pressure *p, const char *base64)
{
    uint8_t bytes[WRITE_MAX];
    int n = base64 && !p->fifo ? pressure_decode(base64, bytes, sizeof bytes) : 0;

    if (n < 0)
        return n;
    if (n && write(p->fd, bytes, (size_t)n) != n)
        return errno ? -errno : -EIO;
    return 0;
}

static int watch(struct pressure *p, const char *path)
{
    int r;

    p->fd = open_watched(p, path);
    if (p->fd < 0)
        return p->fd;
    r = write_first(p, getenv("MEMORY_PRESSURE_WRITE"));
    if (!r)
        r = uv_poll_init(p->loop, &p->poll, p->fd);
    if (r)
        return r;
    p->poll.data = p;
    uv_timer_init(p->loop, &p->hold);
    p->hold.data = p;
    p->open = true;
    return uv_poll_start(&p->poll, p->kernel ? UV_PRIORITIZED : UV_READABLE, on_poll);
}

void pressure_open(struct pressure *p, uv_loop_t *loop, uint32_t step_percent, uint64_t hold_ms,
                   void (*relieve)(void *context), void *context)
{
    const char *path = getenv("MEMORY_PRESSURE_WATCH");
    int r;

    *p = (struct pressure){
        .loop = loop,
        .step_percent = step_percent,
        .hold_ms = hold_ms,
        .fd = -1,
        .relieve = relieve,
        .context = context,
    };
    if (!path || !path[0] || !strcmp(path, "/dev/null"))
        return;
    r = watch(p, path);
    if (!r) {
        vn_log_info("watching %s for memory pressure", path);
        return;
    }
    vn_log_warning("memory pressure is not watched: MEMORY_PRESSURE_WATCH is %s: %s", path,
                   strerror(-r));
    pressure_close(p);
}

void pressure_close(struct pressure *p)
{
    end_relief(p);
    if (p->open) {
        uv_close((uv_handle_t *)&p->poll, NULL);
        uv_close((uv_handle_t *)&p->hold, NULL);
    }
    if (p->open || p->fd > 0)
        close(p->fd);
    p->open = false;
    p->fd = -1;
}
