#include "daemon/descriptors.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/memfd.h"
#include "daemon/stranger.h"

/* Not CMSG_SPACE: its padding would be room for a second one. */
#define CONTROL_BYTES CMSG_LEN(sizeof(int))

union control {
    struct cmsghdr header;
    unsigned char bytes[CMSG_SPACE(sizeof(int))];
};

/* -1: none came. */
static int passed(struct msghdr *m)
{
    const struct cmsghdr *header = CMSG_FIRSTHDR(m);
    int fd = -1;

    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CONTROL_BYTES)
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

static void put_away(int fd, uid_t uid)
{
    if (memfd_may_be(fd))
        close(fd);
    else
        stranger_close(fd, uid);
}

/* What came, and whether more came than there was room for. */
static int keep(struct descriptors *d, int fd, bool cut, uid_t uid)
{
    if (fd < 0)
        return cut ? DESCRIPTORS_E_FULL : 0;
    if (cut || !memfd_may_be(fd)) {
        put_away(fd, uid);
        return cut ? DESCRIPTORS_E_MANY : DESCRIPTORS_E_KIND;
    }
    assert(d->n < DESCRIPTORS_MAX);
    d->fds[d->n++] = fd;
    return 0;
}

int descriptors_read(struct descriptors *d, int socket, uid_t uid, void *bytes, size_t n,
                     size_t *ret_n)
{
    union control control;
    struct iovec part = {bytes, n};
    struct msghdr m = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = stranger_room(uid) ? CONTROL_BYTES : 0,
    };
    ssize_t got = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);

    if (got < 0)
        return -errno;
    *ret_n = (size_t)got;
    return keep(d, passed(&m), m.msg_flags & MSG_CTRUNC, uid);
}

int descriptors_take(struct descriptors *d)
{
    int fd = d->fds[0];

    if (!d->n)
        return -1;
    d->n--;
    memmove(d->fds, d->fds + 1, d->n * sizeof d->fds[0]);
    return fd;
}

void descriptors_close(struct descriptors *d)
{
    while (d->n)
        close(d->fds[--d->n]);
}
