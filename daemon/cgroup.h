/* What the control groups that this process is in say about its memory, of version 2 (one tree) or
 * 1 (a tree for memory). Nothing is kept open, and no heap is made. */
#pragma once

#include <stdint.h>

/* Bytes; 0 where there is no such group or number. */
struct cgroup_memory {
    uint64_t charged;     /* all of the group, with the page cache that it caused */
    uint64_t reclaimable; /* of it, clean and dirty pages of files */
};

struct cgroup_memory cgroup_memory(void);

/* The smallest limit of the group and those above it; 0: none. */
uint64_t cgroup_limit(void);

/* The text of a small file of the kernel's, "" when it cannot be read. No stdio: it would make heap
 * for the thread that calls this. */
void cgroup_read_file(const char *file, char *text, uint64_t size);
