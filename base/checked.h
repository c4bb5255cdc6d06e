/* Arithmetic that says when it would wrap. Every size, offset and count that comes from outside
 * goes through these before it is used; they return false and leave *ret alone on overflow. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool vn_add_u64(uint64_t a, uint64_t b, uint64_t *ret)
{
    uint64_t r;

    if (__builtin_add_overflow(a, b, &r))
        return false;
    *ret = r;
    return true;
}

static inline bool vn_mul_u64(uint64_t a, uint64_t b, uint64_t *ret)
{
    uint64_t r;

    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *ret = r;
    return true;
}

/* Smallest multiple of `unit` (not zero) that is not below a. */
static inline bool vn_round_up_u64(uint64_t a, uint64_t unit, uint64_t *ret)
{
    uint64_t r;

    if (!vn_add_u64(a, unit - 1, &r))
        return false;
    *ret = r / unit * unit;
    return true;
}

/* True when [offset, offset + bytes) lies inside [0, limit). */
static inline bool vn_range_fits(uint64_t offset, uint64_t bytes, uint64_t limit)
{
    return offset <= limit && bytes <= limit - offset;
}
