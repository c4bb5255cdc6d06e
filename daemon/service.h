/* What the service manager is told: the sd_notify protocol, spoken directly. Loop thread only. All
 * of it does nothing when there is no manager ($NOTIFY_SOCKET, $WATCHDOG_USEC). */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>
#include <uv.h>

struct service {
    int fd; /* -1: nobody to tell */
    struct sockaddr_un address;
    socklen_t address_bytes;
    uint64_t watchdog_us; /* 0: no watchdog */
    uv_timer_t watchdog;
    bool watching; /* the handle is open */
    bool (*moved)(void *context);
    void *context;
};

void service_open(struct service *s);

/* Sends lines of VARIABLE=value. */
void service_notify(struct service *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* RELOADING=1 with the time stamp that Type=notify-reload wants. */
void service_notify_reloading(struct service *s);

/* From now on pings at half the watchdog's interval, as long as moved() says that every busy
 * worker got on since the last time. */
void service_watch(struct service *s, uv_loop_t *loop, bool (*moved)(void *context), void *context);

/* No more pings: a daemon that stops is watched by the stop timeout. */
void service_unwatch(struct service *s);

void service_close(struct service *s);
