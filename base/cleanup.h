/* Scope-bound clean-up. A local that owns something carries _cleanup_(...); a function hands the
 * thing over in its last two lines (`*ret_x = x; x = NULL;`). No other form of clean-up is used. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* Defines name##p, the form the cleanup attribute calls, from a free function that takes NULL. */
#define VN_DEFINE_CLEANUP(type, name)                                                              \
    static inline void name##p(type *p)                                                            \
    {                                                                                              \
        if (*p)                                                                                    \
            name(*p);                                                                              \
    }                                                                                              \
    struct vn_semicolon_please

static inline void vn_freep(void *p)
{
    free(*(void **)p);
}

static inline void vn_closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void vn_fclosep(FILE **f)
{
    if (*f)
        fclose(*f);
}
