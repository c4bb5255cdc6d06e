/* A daemon to which things happen: linked instead of the calls that it makes of the C library
 * (--wrap), and told from outside, through a file that both map, which call is to fail. Never
 * installed. libuv is given the same allocator, jansson and protobuf-c have the daemon's anyway;
 * what the C library takes for itself is not counted. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

/* All zero: nothing happens. Written by the test but for the counts; test_faults.py has the same
 * order. */
struct faults {
    atomic_uint allocation;  /* number of the allocation that fails, counted from 1; 0: none */
    atomic_uint in_a_row;    /* and so many after it */
    atomic_uint allocations; /* count */
    atomic_uint failed;      /* count */
    atomic_uint bytes_once; /* most bytes of a read or write on a socket; 0: as many as there are */
    atomic_uint interrupted; /* each n-th of those, and of accept, returns EINTR */
    atomic_uint calls;       /* count */
    atomic_uint accept_errno;
    atomic_uint thread_errno;
    atomic_uint map_errno; /* of mmap for files */
};

static struct faults idle;
static struct faults *faults = &idle;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *p, size_t bytes);
void *__real_mmap64(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
ssize_t __real_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t __real_send(int fd, const void *bytes, size_t n, int flags);
int __real_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*run)(void *), void *x);

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *p, size_t bytes);
void *__wrap_mmap64(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t n, int flags);
int __wrap_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*run)(void *), void *x);

/* --- memory ----------------------------------------------------------------------------------- */

static bool no_memory(void)
{
    unsigned n = atomic_fetch_add(&faults->allocations, 1) + 1;
    unsigned first = atomic_load(&faults->allocation);

    if (!first || n < first || n - first > atomic_load(&faults->in_a_row))
        return false;
    atomic_fetch_add(&faults->failed, 1);
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t bytes)
{
    return no_memory() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
    return no_memory() ? NULL : __real_calloc(n, bytes);
}

void *__wrap_realloc(void *p, size_t bytes)
{
    return no_memory() ? NULL : __real_realloc(p, bytes);
}

void *__wrap_mmap64(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    int error = fd >= 0 ? (int)atomic_load(&faults->map_errno) : 0;

    if (!error && !no_memory())
        return __real_mmap64(address, bytes, protection, flags, fd, offset);
    errno = error ? error : ENOMEM;
    return MAP_FAILED;
}

/* --- sockets ---------------------------------------------------------------------------------- */

static bool interrupted(void)
{
    unsigned n = atomic_fetch_add(&faults->calls, 1) + 1, every = atomic_load(&faults->interrupted);

    if (!every || n % every)
        return false;
    errno = EINTR;
    return true;
}

static size_t at_most(size_t n)
{
    unsigned most = atomic_load(&faults->bytes_once);

    return most && most < n ? most : n;
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags)
{
    size_t whole = m->msg_iov->iov_len;
    ssize_t n = -1;

    if (!interrupted()) {
        m->msg_iov->iov_len = at_most(whole);
        n = __real_recvmsg(fd, m, flags);
        m->msg_iov->iov_len = whole;
    }
    return n;
}

ssize_t __wrap_send(int fd, const void *bytes, size_t n, int flags)
{
    return interrupted() ? -1 : __real_send(fd, bytes, at_most(n), flags);
}

int __wrap_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
    int error = (int)atomic_load(&faults->accept_errno);

    if (interrupted())
        return -1;
    if (!error)
        return __real_accept4(fd, a, n, flags);
    errno = error;
    return -1;
}

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*run)(void *), void *x)
{
    int error = (int)atomic_load(&faults->thread_errno);

    return error ? error : __real_pthread_create(t, a, run, x);
}

/* --- the start -------------------------------------------------------------------------------- */

__attribute__((constructor)) static void listen_to_the_test(void)
{
    const char *file = getenv("VIRTUALNETD_FAULTS_FILE");
    int fd = file ? open(file, O_RDWR | O_CLOEXEC) : -1;
    void *p = MAP_FAILED;

    if (fd >= 0) {
        p = __real_mmap64(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
    }
    if (p != MAP_FAILED)
        faults = p;
    uv_replace_allocator(__wrap_malloc, __wrap_realloc, __wrap_calloc, free);
}
