/* Large images: their pixels are put into a memfd that the daemon maps, which saves them the way
 * through the socket and two copies. A memfd is used again once its call is answered, so that a
 * camera costs no new memory for each picture.
 *
 * All of this is only a faster way: whatever fails here, the pixels go into the request. That goes
 * for the daemon, too: when it says BAD_IMAGE, as one that knows nothing of this does, or when a
 * proxy has lost the descriptor, the call is sent again with its pixels, and the next ones are sent
 * that way from the start. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "clients/c/internal.h"
#include "proto/frame.h"

#define IN_FLIGHT_MAX 16 /* descriptors are scarce, and the daemon takes no more at once */

void vn_memfd_close(struct vn_memfd *m)
{
    vn_closep(&m->fd);
    vn_closep(&m->passed);
    *m = VN_MEMFD_NONE;
}

/* ---- making ---------------------------------------------------------------------------------- */

static int make(uint64_t bytes)
{
    _cleanup_(vn_closep) int fd = memfd_create("virtualnet", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int made = fd;

    if (fd < 0 || ftruncate(fd, (off_t)bytes) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
        return -1;
    fd = -1;
    return made;
}

/* The idle one if it is of about the right size, else a new one. */
static struct vn_memfd take(struct vn_client *c, uint64_t bytes)
{
    struct vn_memfd m = c->idle;

    c->idle = VN_MEMFD_NONE;
    if (m.fd >= 0 && m.bytes >= bytes && m.bytes / 2 <= bytes)
        return m;
    vn_memfd_close(&m);
    return (struct vn_memfd){.fd = make(bytes), .passed = -1, .bytes = bytes};
}

static int write_all(int fd, const uint8_t *data, uint64_t bytes, uint64_t offset)
{
    while (bytes) {
        ssize_t n = pwrite(fd, data, bytes, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        data += n;
        offset += (uint64_t)n;
        bytes -= (uint64_t)n;
    }
    return 0;
}

/* Packed, as it would go into a request. */
static int fill(int fd, const struct vn_client_image *image, uint64_t row, uint64_t stride)
{
    const uint8_t *pixels = image->pixels;

    if (stride == row)
        return write_all(fd, pixels, row * image->height, 0);
    for (uint32_t y = 0; y < image->height; y++)
        if (write_all(fd, pixels + y * stride, row, y * row))
            return -1;
    return 0;
}

bool vn_memfd_hold(struct vn_client *c, const struct vn_client_image *image, uint64_t row,
                   uint64_t stride, struct vn_memfd *ret_memfd)
{
    struct vn_memfd m;

    if (c->no_memfd || row * image->height < VN_MEMFD_BYTES_MIN || c->n_memfds >= IN_FLIGHT_MAX)
        return false;
    m = take(c, row * image->height);
    if (m.fd >= 0)
        m.passed = fcntl(m.fd, F_DUPFD_CLOEXEC, 0);
    if (m.passed < 0 || fill(m.fd, image, row, stride) ||
        vn_buffer_reserve(&c->passing, sizeof(struct vn_passing))) {
        vn_memfd_close(&m);
        return false;
    }
    *ret_memfd = m;
    return true;
}

/* ---- sending --------------------------------------------------------------------------------- */

void vn_memfd_pass(struct vn_client *c, struct vn_memfd *m, uint64_t at)
{
    const struct vn_passing p = {at, m->passed};

    if (!vn_buffer_append(&c->passing, &p, sizeof p)) /* reserved: it cannot fail */
        m->passed = -1;
    c->n_memfds++;
}

static bool first_passing(const struct vn_client *c, struct vn_passing *ret_first)
{
    if (!vn_buffer_used(&c->passing))
        return false;
    memcpy(ret_first, vn_buffer_head(&c->passing), sizeof *ret_first);
    return true;
}

void vn_memfd_drop_passing(struct vn_client *c)
{
    for (struct vn_passing p; first_passing(c, &p); vn_buffer_consume(&c->passing, sizeof p))
        close(p.fd);
}

static ssize_t send_with(int socket, const void *bytes, size_t n, int fd)
{
    union {
        struct cmsghdr header;
        unsigned char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec part = {(void *)bytes, n};
    const struct msghdr m = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };

    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    return sendmsg(socket, &m, MSG_NOSIGNAL);
}

static size_t whole_frame(const uint8_t *bytes, size_t n)
{
    uint32_t length = 0;

    vn_frame_look(bytes, n, UINT32_MAX, &length); /* it is all there */
    return VN_FRAME_HEADER + (size_t)length;
}

/* A frame that brings a descriptor begins a write of its own, or it would be given out with the
 * bytes before it. */
ssize_t vn_memfd_send(struct vn_client *c)
{
    const uint8_t *bytes = vn_buffer_head(&c->out);
    size_t n = vn_buffer_used(&c->out);
    struct vn_passing p;
    ssize_t sent;

    if (!first_passing(c, &p))
        return send(c->fd, bytes, n, MSG_NOSIGNAL);
    if (p.at > c->sent_bytes)
        return send(c->fd, bytes, p.at - c->sent_bytes, MSG_NOSIGNAL);
    sent = send_with(c->fd, bytes, whole_frame(bytes, n), p.fd);
    if (sent > 0) {
        close(p.fd);
        vn_buffer_consume(&c->passing, sizeof p);
    }
    return sent;
}

/* ---- afterwards ------------------------------------------------------------------------------ */

void vn_memfd_let_go(struct vn_client *c, struct vn_call *call, bool answered)
{
    free(call->question);
    call->question = NULL;
    if (call->memfd.fd < 0)
        return;
    c->n_memfds--;
    if (answered && c->fd >= 0 && c->idle.fd < 0)
        c->idle = call->memfd;
    else
        vn_memfd_close(&call->memfd);
    call->memfd = VN_MEMFD_NONE;
}

/* The pixels, for free() to take. NULL: no memory, or no pixels. */
static uint8_t *read_all(int fd, uint64_t bytes)
{
    _cleanup_(vn_freep) uint8_t *data = malloc(bytes);
    uint8_t *all = data;

    for (uint64_t n = 0; data && n < bytes;) {
        ssize_t more = pread(fd, data + n, bytes - n, (off_t)n);

        if (more <= 0 && errno != EINTR)
            return NULL;
        n += more > 0 ? (uint64_t)more : 0;
    }
    data = NULL;
    return all;
}

static int send_inline(struct vn_client *c, struct vn_call *call, Virtualnet__Request *message)
{
    Virtualnet__Image *image = message->infer->image; /* the same member of the union as plan */

    image->pixels.data = read_all(call->memfd.fd, image->memfd_bytes);
    if (!image->pixels.data)
        return -ENOMEM;
    image->pixels.len = image->memfd_bytes;
    image->memfd_bytes = 0;
    return vn_frame_append(&c->out, &message->base, c->frame_limit);
}

bool vn_memfd_send_again(struct vn_client *c, struct vn_call *call)
{
    Virtualnet__Request *message;
    int r;

    if (call->memfd.fd < 0)
        return false;
    c->no_memfd = true;
    message = virtualnet__request__unpack(NULL, call->question_bytes, call->question);
    r = message ? send_inline(c, call, message) : -ENOMEM;
    if (message)
        virtualnet__request__free_unpacked(message, NULL);
    vn_memfd_let_go(c, call, false);
    return !r;
}
