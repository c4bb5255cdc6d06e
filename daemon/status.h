/* What the kernel says about this process's memory, and the Status call. */
#pragma once

#include <stdint.h>

#include "proto/virtualnet.pb-c.h"

struct daemon;

/* Bytes; 0 where the kernel does not say. PSS counts a page shared with n processes as 1/n. */
struct status_memory {
    uint64_t pss, pss_anon, pss_file, rss;
};

struct status_memory status_memory(void);

/* memory.current of the control group (v2), or memory.usage_in_bytes (v1). */
uint64_t status_cgroup_bytes(void);

/* The largest number of counters that status_fill sets. */
#define STATUS_COUNTERS_MAX 32

struct status_counters {
    Virtualnet__Counter counter[STATUS_COUNTERS_MAX];
    Virtualnet__Counter *list[STATUS_COUNTERS_MAX];
};

/* Fills the reply; its strings and counters borrow d and c. */
void status_fill(const struct daemon *d, struct status_counters *c,
                 Virtualnet__StatusResponse *ret_status);
