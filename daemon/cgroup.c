#include "daemon/cgroup.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Version 1 says so when there is no limit: about 2^63 in whole pages. */
#define NO_LIMIT (UINT64_C(1) << 62)

void cgroup_read_file(const char *file, char *text, uint64_t size)
{
    _cleanup_(vn_closep) int fd = open(file, O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    ssize_t n = 0;

    while (fd >= 0 && (n = read(fd, text + used, size - 1 - used)) > 0)
        used += (size_t)n;
    text[used] = 0;
}

/* Where the group's files are, without the last "/": lines are "0::/path" for the one tree,
 * "7:memory:/path" for the older ones. False: there is no such group. */
static bool find_group(char folder[640], bool *ret_v2)
{
    char text[4096], *next = NULL;

    cgroup_read_file("/proc/self/cgroup", text, sizeof text);
    for (char *line = strtok_r(text, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
        const char *path = strrchr(line, ':');

        *ret_v2 = !strncmp(line, "0::/", 4);
        if (!*ret_v2 && !strstr(line, ":memory:"))
            continue;
        snprintf(folder, 640, "/sys/fs/cgroup%s%s", *ret_v2 ? "" : "/memory", path + 1);
        if (!*ret_v2 || access(folder, R_OK) == 0) {
            while (folder[strlen(folder) - 1] == '/')
                folder[strlen(folder) - 1] = 0;
            return true;
        }
    }
    return false;
}

/* 0 for what is no number, for example "max". */
static uint64_t read_number(const char *folder, const char *name)
{
    char file[704], text[64];

    snprintf(file, sizeof file, "%s/%s", folder, name);
    cgroup_read_file(file, text, sizeof text);
    return strtoull(text, NULL, 10);
}

/* The number behind "name " at the beginning of a line. */
static uint64_t find(const char *text, const char *name)
{
    size_t n = strlen(name);

    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, name, n) && line[n] == ' ')
            return strtoull(line + n, NULL, 10);
    }
    return 0;
}

struct cgroup_memory cgroup_memory(void)
{
    char folder[640], file[704], text[8192];
    struct cgroup_memory m = {0};
    bool v2;

    if (!find_group(folder, &v2))
        return m;
    m.charged = read_number(folder, v2 ? "memory.current" : "memory.usage_in_bytes");
    if (!m.charged) /* the root of the tree has no such number */
        return m;
    snprintf(file, sizeof file, "%s/memory.stat", folder);
    cgroup_read_file(file, text, sizeof text);
    m.reclaimable = find(text, v2 ? "inactive_file" : "total_inactive_file") +
                    find(text, v2 ? "active_file" : "total_active_file");
    return m;
}

uint64_t cgroup_limit(void)
{
    char folder[640], *end;
    uint64_t limit = 0;
    bool v2;

    if (!find_group(folder, &v2))
        return 0;
    while (strlen(folder) >= strlen("/sys/fs/cgroup") && (end = strrchr(folder, '/'))) {
        uint64_t here = read_number(folder, v2 ? "memory.max" : "memory.limit_in_bytes");

        if (here && here < NO_LIMIT && (!limit || here < limit))
            limit = here;
        *end = 0;
    }
    return limit;
}
