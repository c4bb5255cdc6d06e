/* Time. Everything that waits or measures uses the monotonic clock, in nanoseconds. */
#pragma once

#include <stdint.h>
#include <time.h>

#define VN_NS_PER_MS UINT64_C(1000000)
#define VN_NS_PER_S UINT64_C(1000000000)

static inline uint64_t vn_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * VN_NS_PER_S + (uint64_t)t.tv_nsec;
}
