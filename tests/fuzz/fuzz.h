/* What the fuzz targets share. A target is one file, NAME.c, that takes any bytes: compiled with
 * clang's libFuzzer (`./check --full`) it looks for bytes that break something, linked with main.c
 * it replays files, and ./check replays corpus/NAME. Memory errors are the sanitizers' to find;
 * what else must hold is said by `must`. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* 0; the bytes are borrowed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, #condition);             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define FUZZ_FOLDER "/proc/self/fd" /* where files from fuzz_file lie, under their number */
#define FUZZ_PATH 32

/* A file in memory with these bytes, for readers that take a path. Returns its descriptor. */
static inline int fuzz_file(const uint8_t *data, size_t size, char ret_path[static FUZZ_PATH])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(ret_path, FUZZ_PATH, FUZZ_FOLDER "/%d", fd);
    return fd;
}
