#include "daemon/service.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static uint64_t watchdog_interval(void)
{
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

    if (!us || (pid && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    return strtoull(us, NULL, 10);
}

void service_open(struct service *s)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;

    *s = (struct service){.fd = -1, .address.sun_family = AF_UNIX};
    if (!n || n >= sizeof s->address.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(s->address.sun_path, path, n);
    if (path[0] == '@') /* the abstract name space */
        s->address.sun_path[0] = 0;
    s->address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    s->watchdog_us = s->fd < 0 ? 0 : watchdog_interval();
}

void service_notify(struct service *s, const char *format, ...)
{
    char text[512];
    va_list ap;
    int n;

    if (s->fd < 0)
        return;
    va_start(ap, format);
    n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (n < 0)
        return;
    if ((size_t)n >= sizeof text)
        n = sizeof text - 1;
    if (sendto(s->fd, text, (size_t)n, MSG_NOSIGNAL, (struct sockaddr *)&s->address,
               s->address_bytes) < 0)
        vn_log_debug("telling the service manager: %s", strerror(errno));
}

void service_notify_reloading(struct service *s)
{
    service_notify(s, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=loading the store again",
                   (unsigned long long)(vn_now_ns() / 1000));
}

static void on_watchdog(uv_timer_t *timer)
{
    struct service *s = timer->data;

    if (s->moved(s->context))
        service_notify(s, "WATCHDOG=1");
    else
        vn_log_warning("a worker makes no progress; the watchdog is not told that all is well");
}

void service_watch(struct service *s, uv_loop_t *loop, bool (*moved)(void *context), void *context)
{
    uint64_t half_ms = s->watchdog_us / 2000;

    if (!s->watchdog_us)
        return;
    s->moved = moved;
    s->context = context;
    uv_timer_init(loop, &s->watchdog);
    s->watchdog.data = s;
    s->watching = true;
    uv_timer_start(&s->watchdog, on_watchdog, half_ms ? half_ms : 1, half_ms ? half_ms : 1);
}

void service_unwatch(struct service *s)
{
    if (s->watching)
        uv_close((uv_handle_t *)&s->watchdog, NULL);
    s->watching = false;
}

void service_close(struct service *s)
{
    service_unwatch(s);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}
