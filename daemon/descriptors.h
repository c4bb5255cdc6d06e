/* Descriptors on the way from a socket to the frames that they were passed with. The kernel gives
 * one out with the first byte that it was sent with, and ends the read behind the bytes of the same
 * sendmsg: so a read ends with at most one descriptor more, and of those that came before, at most
 * one waits for the rest of its frame. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#define DESCRIPTORS_MAX 2

enum {
    DESCRIPTORS_E_MANY = 1, /* more than one at once */
    DESCRIPTORS_E_KIND,     /* one that is no memfd */
    DESCRIPTORS_E_FULL,     /* no descriptor is free for it, here or for this user */
};

struct descriptors {
    int fds[DESCRIPTORS_MAX]; /* owned; in the order of their frames */
    uint32_t n;
};

/* As recv(2), from a peer with this user id; keeps the memfd that came with the bytes. There must
 * be room for one. 0, an outcome from above, which makes the bytes worthless, or a negative errno.
 * *ret_n is 0 at the end of the stream. */
int descriptors_read(struct descriptors *d, int socket, uid_t uid, void *bytes, size_t n,
                     size_t *ret_n);

/* The next one is the caller's; -1: there is none. */
int descriptors_take(struct descriptors *d);

void descriptors_close(struct descriptors *d);
