#include "daemon/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/daemon.h"

#define ACTIVATION_FD 3 /* the first and only one that is taken */

/* --- from the service manager ----------------------------------------------------------------- */

static int option(int fd, int name)
{
    int value = -1;
    socklen_t n = sizeof value;

    return getsockopt(fd, SOL_SOCKET, name, &value, &n) < 0 ? -1 : value;
}

/* Sets *ret_fd to the passed socket, or -1 when none was passed to this process. */
static int take_passed(struct vn_why *why, int *ret_fd)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");

    *ret_fd = -1;
    if (!pid || !fds || strtol(pid, NULL, 10) != (long)getpid())
        return 0;
    if (strcmp(fds, "1"))
        return vn_because(why, LISTENER_E_FAILED,
                          "socket activation passed %s sockets; exactly one is served", fds);
    if (option(ACTIVATION_FD, SO_DOMAIN) != AF_UNIX ||
        option(ACTIVATION_FD, SO_TYPE) != SOCK_STREAM || option(ACTIVATION_FD, SO_ACCEPTCONN) != 1)
        return vn_because(why, LISTENER_E_FAILED,
                          "socket activation must pass a listening Unix stream socket "
                          "(ListenStream=/path, Accept=no)");
    if (fcntl(ACTIVATION_FD, F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl(ACTIVATION_FD, F_SETFL, fcntl(ACTIVATION_FD, F_GETFL) | O_NONBLOCK) < 0)
        return vn_because(why, LISTENER_E_FAILED, "socket activation: %s", strerror(errno));
    *ret_fd = ACTIVATION_FD;
    return 0;
}

/* --- our own ---------------------------------------------------------------------------------- */

static void lock_path(const struct listener_place *p, char path[static CONFIG_SOCKET_MAX + 8])
{
    snprintf(path, CONFIG_SOCKET_MAX + 8, "%s.lock", p->path);
}

/* A lock file is removed by its holder, so the one that was locked may no longer be the one at the
 * path: then try again. */
static int take_lock(const struct listener_place *p, struct vn_why *why, int *ret_fd)
{
    char path[CONFIG_SOCKET_MAX + 8];

    lock_path(p, path);
    for (;;) {
        _cleanup_(vn_closep) int fd =
            open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        struct stat locked, there;

        if (fd < 0)
            return vn_because(why, LISTENER_E_FAILED,
                              "%s: %s; the socket's directory must exist and be writable", path,
                              strerror(errno));
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
            return vn_because(why, LISTENER_E_FAILED,
                              "%s: %s; another virtualnetd serves %s, stop it or choose another "
                              "%s",
                              path, strerror(errno), p->path, p->key);
        if (fstat(fd, &locked) < 0)
            return vn_because(why, LISTENER_E_FAILED, "%s: %s", path, strerror(errno));
        if (stat(path, &there) < 0 || there.st_ino != locked.st_ino ||
            there.st_dev != locked.st_dev)
            continue;
        *ret_fd = fd;
        fd = -1;
        return 0;
    }
}

static struct sockaddr_un address(const struct listener_place *p)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    memcpy(a.sun_path, p->path, strlen(p->path) + 1); /* checked: 107 at most */
    return a;
}

/* Removes a dead instance's socket. What answers, or is no socket, is somebody's and stays. */
static int clear_path(const struct listener_place *p, struct vn_why *why)
{
    _cleanup_(vn_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un a = address(p);
    struct stat st;

    if (lstat(p->path, &st) < 0) {
        if (errno == ENOENT)
            return 0;
        return vn_because(why, LISTENER_E_FAILED, "%s: %s", p->path, strerror(errno));
    }
    if (!S_ISSOCK(st.st_mode))
        return vn_because(why, LISTENER_E_FAILED, "%s exists and is not a socket; it is left alone",
                          p->path);
    if (fd < 0 || !connect(fd, (struct sockaddr *)&a, sizeof a) || errno != ECONNREFUSED)
        return vn_because(why, LISTENER_E_FAILED,
                          "%s belongs to a program that still listens; it is left alone", p->path);
    if (unlink(p->path) < 0)
        return vn_because(why, LISTENER_E_FAILED, "%s: %s", p->path, strerror(errno));
    return 0;
}

static int set_access(const struct listener_place *p, struct vn_why *why)
{
    if (p->group[0]) {
        const struct group *g = getgrnam(p->group);

        if (!g)
            return vn_because(why, LISTENER_E_FAILED, "socket_group: there is no group \"%s\"",
                              p->group);
        if (chown(p->path, (uid_t)-1, g->gr_gid) < 0)
            return vn_because(why, LISTENER_E_FAILED, "%s: group \"%s\": %s", p->path, p->group,
                              strerror(errno));
    }
    if (chmod(p->path, p->mode) < 0)
        return vn_because(why, LISTENER_E_FAILED, "%s: %s", p->path, strerror(errno));
    return 0;
}

/* Nobody can connect before listen(), by which time owner and mode are right. */
static int bind_own(struct listener *l, struct vn_why *why)
{
    struct sockaddr_un a = address(&l->place);
    struct stat st;
    int r = clear_path(&l->place, why);

    if (r)
        return r;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        lstat(l->place.path, &st) < 0)
        return vn_because(why, LISTENER_E_FAILED, "%s: %s", l->place.path, strerror(errno));
    l->bound = true;
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    r = set_access(&l->place, why);
    if (r)
        return r;
    if (listen(l->fd, LISTENER_BACKLOG) < 0)
        return vn_because(why, LISTENER_E_FAILED, "%s: %s", l->place.path, strerror(errno));
    return 0;
}

int listener_claim(struct listener *l, const struct listener_place *place, struct vn_why *why)
{
    int r;

    *l = (struct listener){.place = *place, .fd = -1, .lock_fd = -1};
    r = place->may_be_passed ? take_passed(why, &l->fd) : 0;
    if (r || l->fd >= 0)
        return r;
    return take_lock(&l->place, why, &l->lock_fd);
}

/* --- accepting -------------------------------------------------------------------------------- */

static void on_connect(uv_poll_t *poll, int status, int events);

static void on_rested(uv_timer_t *timer)
{
    struct listener *l = timer->data;

    uv_poll_start(&l->poll, UV_READABLE, on_connect);
}

/* Out of descriptors or memory: those who connect wait in the backlog for a moment. */
static void rest(struct listener *l, int error)
{
    if (daemon_may_complain(&l->complained_ns))
        vn_log_warning("accepting connections: %s; resting %d ms at a time", strerror(error),
                       LISTENER_REST_MS);
    uv_poll_stop(&l->poll);
    uv_timer_start(&l->rest, on_rested, LISTENER_REST_MS, 0);
}

static void on_connect(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;

    for (int i = 0; i < 16 && l->fd >= 0; i++) { /* then others have their turn */
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            l->accepted(l->context, fd);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno != EAGAIN)
            rest(l, errno);
        return;
    }
}

int listener_open(struct listener *l, uv_loop_t *loop, void (*accepted)(void *context, int fd),
                  void *context, struct vn_why *why)
{
    int r = l->fd < 0 ? bind_own(l, why) : 0;

    if (r)
        return r;
    l->accepted = accepted;
    l->context = context;
    r = uv_poll_init(loop, &l->poll, l->fd);
    if (r)
        return vn_because(why, LISTENER_E_FAILED, "listening: %s", uv_strerror(r));
    uv_timer_init(loop, &l->rest);
    l->poll.data = l->rest.data = l;
    l->polling = true;
    r = uv_poll_start(&l->poll, UV_READABLE, on_connect);
    return r ? vn_because(why, LISTENER_E_FAILED, "listening: %s", uv_strerror(r)) : 0;
}

static void remove_own(struct listener *l)
{
    char lock[CONFIG_SOCKET_MAX + 8];
    struct stat st;

    if (l->bound && !lstat(l->place.path, &st) && st.st_dev == l->dev && st.st_ino == l->ino)
        unlink(l->place.path);
    l->bound = false;
    if (l->lock_fd < 0)
        return;
    lock_path(&l->place, lock);
    unlink(lock);
    close(l->lock_fd);
    l->lock_fd = -1;
}

void listener_close(struct listener *l)
{
    if (l->polling) {
        uv_close((uv_handle_t *)&l->poll, NULL);
        uv_close((uv_handle_t *)&l->rest, NULL);
        l->polling = false;
    }
    remove_own(l);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}
