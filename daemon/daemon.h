/* The daemon: everything that the loop thread owns, and its life from start to stop.
 *
 * thread    owns
 * loop      all of struct daemon: listener, clients, queue, ledger, counters, stores
 * worker n  one job and one session (worker.h)
 * loader    while a reload is on: the model it is making (reload.h)
 * reader    while a Status waits: the numbers it reads (gauge.h)
 * writer    while metrics are written out: a copy of the numbers, and the text (exporter.h)
 * The loop never computes and never waits for a worker. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/config.h"
#include "daemon/exporter.h"
#include "daemon/gauge.h"
#include "daemon/listener.h"
#include "daemon/memory.h"
#include "daemon/queue.h"
#include "daemon/reload.h"
#include "daemon/schedule.h"
#include "daemon/service.h"
#include "daemon/stores.h"
#include "daemon/user.h"
#include "daemon/worker.h"

/* Every request that was received ends in exactly one of those before REQUESTS_RECEIVED, or is
 * still in flight. */
enum daemon_counter {
    INFER_OK,
    PLAN_OK,
    DESCRIBE_OK,
    STATUS_OK,
    RELOAD_OK,
    CANCEL_OK,
    BAD_FRAME,
    BAD_REQUEST,
    UNKNOWN_TASK,
    BAD_IMAGE,
    BUDGET_TOO_SMALL,
    BUSY,
    DEADLINE,
    CANCELLED,
    NOT_ALLOWED,
    RELOAD_FAILED,
    INTERNAL,
    SHUTTING_DOWN,
    STORE_DAMAGED,
    SUPERSEDED,
    UNKNOWN_STORE,
    ABANDONED, /* the client went before its answer */
    REQUESTS_RECEIVED,
    CONNECTIONS_ACCEPTED,
    CONNECTIONS_REFUSED,
    SLOW_READERS_CUT,
    SLOW_WRITERS_CUT,
    N_COUNTERS,
};

extern const char *const counter_names[N_COUNTERS];

struct client;

struct daemon {
    const struct config *config;
    uv_loop_t loop;
    struct listener listener;
    struct service service;
    struct client *clients; /* list */
    uint32_t n_clients;
    struct users users;
    uint64_t input_bytes; /* frames that have not arrived whole, over all clients */
    struct queue queue;
    struct schedule schedule;
    struct memory memory;
    struct pool pool;
    struct stores stores;
    struct reload reload;
    struct gauge gauge;
    struct exporter exporter;
    uint64_t counters[N_COUNTERS];
    uint64_t started_ns;
    uint64_t complained_memory_ns; /* the last log line about memory for connections */
    uint64_t complained_slow_ns;   /* and about slow readers */
    uint64_t complained_late_ns;   /* and about slow writers */
    uv_signal_t signals[3];
    uv_timer_t grace;
    bool watching; /* the handles of signals and grace are open */
    bool stopping;
    bool grace_over;
    bool finished; /* the handles are closed */
};

/* Serves until SIGTERM or SIGINT. Returns the exit status of the process. */
int daemon_run(const struct config *c);

/* While stopping: ends the loop when the last client and the last run are gone. */
void daemon_maybe_finish(struct daemon *d);

/* True when a complaint of this kind is worth a log line: not within 10 s of the last. */
bool daemon_may_complain(uint64_t *last_ns);
