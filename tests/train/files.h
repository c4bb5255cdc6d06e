/* A folder of generated files for a test: every test makes its own and removes it. */
#pragma once

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/cleanup.h"

struct folder {
    char path[64];
};

static inline struct folder folder_make(void)
{
    struct folder f = {"/tmp/virtualnet-test-XXXXXX"};

    cr_assert_not_null(mkdtemp(f.path));
    return f;
}

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void folder_remove(struct folder *f)
{
    nftw(f->path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static inline const char *path_in(const struct folder *f, const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", f->path, name);
    return path;
}

static inline void write_file(const struct folder *f, const char *name, const void *bytes, size_t n)
{
    char path[256];
    _cleanup_(vn_fclosep) FILE *file = fopen(path_in(f, name, path), "wb");

    cr_assert_not_null(file, "%s", path);
    cr_assert_eq(fwrite(bytes, 1, n, file), n);
}

static inline void write_text(const struct folder *f, const char *name, const char *text)
{
    write_file(f, name, text, strlen(text));
}

static inline void make_folder(const struct folder *f, const char *name)
{
    char path[256];

    cr_assert_eq(mkdir(path_in(f, name, path), 0700), 0);
}

/* The bytes as a gzip file would hold them; returns the length, at most `room`. */
static inline size_t gzip_bytes(const void *bytes, size_t n, uint8_t *ret, size_t room)
{
    z_stream z = {.next_in = (void *)bytes,
                  .avail_in = (unsigned)n,
                  .next_out = ret,
                  .avail_out = (unsigned)room};

    cr_assert_eq(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    cr_assert_eq(deflateEnd(&z), Z_OK);
    return z.total_out;
}

static inline void put_big_endian(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (24 - 8 * i));
}
