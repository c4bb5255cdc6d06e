/* What the kernel says about this process's memory, and the Status call. */
#pragma once

#include <stdint.h>

#include "daemon/cgroup.h"
#include "daemon/config.h"
#include "daemon/memory.h"
#include "proto/virtualnet.pb-c.h"

struct daemon;
struct store;

/* Bytes; 0 where the kernel does not say. PSS counts a page shared with n processes as 1/n. */
struct status_memory {
    uint64_t pss, pss_anon, pss_file, rss;
    struct cgroup_memory cgroup;
};

/* Takes milliseconds in a large process; the Status call leaves it to a thread (gauge.h). */
struct status_memory status_memory(void);

/* The largest number of counters that status_fill sets. */
#define STATUS_COUNTERS_MAX 32

/* What a reply's lists point to. */
struct status_lists {
    Virtualnet__Counter counter[STATUS_COUNTERS_MAX];
    Virtualnet__Counter *counters[STATUS_COUNTERS_MAX];
    struct status_task *task;       /* owned */
    Virtualnet__TaskStatus **tasks; /* owned */
    Virtualnet__StoreStatus store[CONFIG_STORES_MAX];
    Virtualnet__StoreStatus *stores[CONFIG_STORES_MAX];
};

/* What changes from moment to moment, as it was when the request came; the memory's numbers are
 * read after that. */
struct status_report {
    struct status_memory memory;
    const struct store *store; /* whose tasks are wanted; NULL: of all */
    struct memory_report books;
    uint32_t queue_length, running, connections;
    uint64_t counters[STATUS_COUNTERS_MAX];
};

/* All but the memory's numbers. */
void status_report(const struct daemon *d, struct status_report *ret_report);

/* Fills the reply, which borrows d and the lists. 0 or -ENOMEM. */
int status_fill(const struct daemon *d, const struct status_report *r,
                struct status_lists *ret_lists, Virtualnet__StatusResponse *ret_status);

void status_lists_deinit(struct status_lists *l);
