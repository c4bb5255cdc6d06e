/* One hostile user for the soak: connects and does what nobody should, until it is killed.
 *
 *     hostile UID SOCKET KIND SEED */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/rng.h"
#include "proto/frame.h"
#include "proto/virtualnet.pb-c.h"
#include "tests/soak/user.h"

#define CONNECTIONS 6
#define FRAMES 8
#define SIDE 28
#define GARBAGE 65536
#define HALF 400000 /* bytes that are sent of a frame which is never whole */

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static struct vn_rng rng;
static struct vn_buffer all; /* FRAMES valid requests, one behind the other */
static uint8_t garbage[GARBAGE];

/* --- what it needs ---------------------------------------------------------------------------- */

static void add_frame(uint32_t number)
{
    static uint8_t pixels[SIDE * SIDE];
    static uint32_t levels[] = {0, 0, 1, 1};
    Virtualnet__Request message = VIRTUALNET__REQUEST__INIT;
    Virtualnet__InferRequest infer = VIRTUALNET__INFER_REQUEST__INIT;
    Virtualnet__StatusRequest status = VIRTUALNET__STATUS_REQUEST__INIT;
    Virtualnet__DescribeRequest describe = VIRTUALNET__DESCRIBE_REQUEST__INIT;
    Virtualnet__CancelRequest cancel = VIRTUALNET__CANCEL_REQUEST__INIT;
    Virtualnet__Image image = VIRTUALNET__IMAGE__INIT;

    image.format = VIRTUALNET__PIXEL_FORMAT__GRAY8;
    image.width = image.height = SIDE;
    image.pixels = (ProtobufCBinaryData){sizeof pixels, pixels};
    infer.image = &image;
    infer.task = (char *)(number == 3 ? "nothing" : "garment");
    infer.n_level = sizeof levels / sizeof levels[0];
    infer.level = levels; /* costs about as much as what good clients ask */
    infer.deadline_ms = number == 4;
    message.id = number;
    message.call_case = VIRTUALNET__REQUEST__CALL_INFER;
    message.infer = &infer;
    if (number == 5) {
        message.call_case = VIRTUALNET__REQUEST__CALL_CANCEL;
        message.cancel = &cancel;
        cancel.id = 4;
    } else if (number == 6) {
        message.call_case = VIRTUALNET__REQUEST__CALL_DESCRIBE;
        message.describe = &describe;
    } else if (number == 7) {
        message.call_case = VIRTUALNET__REQUEST__CALL_STATUS;
        message.status = &status;
    }
    if (vn_frame_append(&all, &message.base, 1 << 20))
        abort();
}

/* A connection, or -1 after a moment. */
static int open_one(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof address) &&
        !fcntl(fd, F_SETFL, O_NONBLOCK))
        return fd;
    if (fd >= 0)
        close(fd);
    usleep(1000);
    return -1;
}

static ssize_t put(int fd, const void *bytes, size_t n)
{
    return send(fd, bytes, n, MSG_NOSIGNAL);
}

static void put_valid(int fd, size_t most)
{
    size_t n = vn_buffer_used(&all);

    put(fd, vn_buffer_head(&all), most < n ? most : n);
}

static void put_length(int fd, uint32_t length)
{
    uint8_t header[VN_FRAME_HEADER];

    vn_frame_header(length, header);
    put(fd, header, sizeof header);
}

/* Takes what has come. False: the daemon has hung up. */
static bool drain(int fd)
{
    static char bytes[GARBAGE];
    ssize_t n;

    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
        ;
    return n < 0 && errno == EAGAIN;
}

/* Keeps CONNECTIONS open: `use` is called for each, and says whether it is of use still. */
static void with_many(bool (*begin)(int fd), bool (*use)(int fd, short events), short events,
                      int wait_ms)
{
    struct pollfd p[CONNECTIONS];

    for (int i = 0; i < CONNECTIONS; i++)
        p[i] = (struct pollfd){.fd = -1, .events = events};
    for (;;) {
        for (int i = 0; i < CONNECTIONS; i++) {
            if (p[i].fd < 0 && (p[i].fd = open_one()) >= 0 && begin && !begin(p[i].fd))
                p[i].revents = POLLHUP;
            if (p[i].fd >= 0 &&
                (p[i].revents & (POLLHUP | POLLERR) || !use(p[i].fd, p[i].revents))) {
                close(p[i].fd);
                p[i] = (struct pollfd){.fd = -1, .events = events};
            }
        }
        poll(p, CONNECTIONS, wait_ms);
    }
}

/* --- kinds ------------------------------------------------------------------------------------ */

static void put_spoiled(int fd)
{
    uint8_t bytes[8192];
    size_t n = vn_buffer_used(&all) < sizeof bytes ? vn_buffer_used(&all) : sizeof bytes;

    memcpy(bytes, vn_buffer_head(&all), n);
    for (int i = 0; i < 4; i++)
        bytes[vn_rng_below(&rng, (uint32_t)n)] = (uint8_t)vn_rng_u64(&rng);
    put(fd, bytes, n);
}

/* Bytes that are no requests, or nearly some. */
static void send_garbage(void)
{
    uint32_t length = vn_rng_below(&rng, GARBAGE);
    int fd = open_one();

    if (fd < 0)
        return;
    switch (vn_rng_below(&rng, 4)) {
    case 0:
        put(fd, garbage, length);
        break;
    case 1:
        put_length(fd, UINT32_MAX - length);
        break;
    case 2: /* the length is true */
        put_length(fd, length);
        put(fd, garbage, length);
        break;
    default:
        put_spoiled(fd);
    }
    if (vn_rng_below(&rng, 2))
        usleep(1000); /* so that it may be read before the end */
    drain(fd);
    close(fd);
}

static bool begin_half(int fd)
{
    put_length(fd, 2 * HALF);
    for (size_t sent = 0; sent < HALF; sent += GARBAGE)
        put(fd, garbage, GARBAGE);
    return true;
}

/* The rest comes byte by byte, which never ends. */
static bool dribble(int fd, short events)
{
    return put(fd, garbage, 1) > 0 || errno == EAGAIN;
}

/* Frames that never become whole. */
static void send_halves(void)
{
    with_many(begin_half, dribble, 0, 10);
}

static bool ask_more(int fd, short events)
{
    if (events & POLLOUT)
        put_valid(fd, SIZE_MAX); /* what does not fit spoils the next frame: also of use */
    return drain(fd);
}

/* More requests than can be answered. */
static void flood(void)
{
    with_many(NULL, ask_more, POLLIN | POLLOUT, -1);
}

static bool ask_and_sleep(int fd, short events)
{
    if (!(events & POLLOUT))
        return true;
    /* whole frames only: they are to be answered */
    return put(fd, vn_buffer_head(&all), vn_buffer_used(&all)) == (ssize_t)vn_buffer_used(&all) ||
           errno == EAGAIN;
}

/* Asks and never reads. */
static void sleep_on(void)
{
    with_many(NULL, ask_and_sleep, POLLOUT, 10);
}

/* Connects and goes. */
static void churn(void)
{
    int fd = open_one();

    if (fd < 0)
        return;
    if (vn_rng_below(&rng, 4) == 0)
        put_valid(fd, vn_rng_below(&rng, (uint32_t)vn_buffer_used(&all)));
    close(fd);
}

static void be_killed(void)
{
    int fd = open_one();

    for (int i = 0; fd >= 0 && i < 4; i++)
        put_valid(fd, SIZE_MAX);
    put_valid(fd, vn_rng_below(&rng, (uint32_t)vn_buffer_used(&all)));
    pause();
}

/* Dies in the middle of what it asks. */
static void die(void)
{
    pid_t parent = getpid(), child = fork();

    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            be_killed();
        _exit(1);
    }
    usleep(vn_rng_below(&rng, 20000));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static const struct {
    const char *name;
    void (*once)(void);
} kinds[] = {
    {"garbage", send_garbage}, {"halves", send_halves}, {"flood", flood},
    {"sleeper", sleep_on},     {"churn", churn},        {"dying", die},
};

int main(int argc, char **argv)
{
    size_t k = 0;

    while (argc == 5 && k < sizeof kinds / sizeof kinds[0] && strcmp(argv[3], kinds[k].name))
        k++;
    if (argc != 5 || k == sizeof kinds / sizeof kinds[0] || become_user(argv[1])) {
        fprintf(stderr, "usage: %s UID SOCKET KIND SEED\n", argv[0]);
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* whatever becomes of the test */
    rng.state = strtoull(argv[4], NULL, 10);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[2]);
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = (uint8_t)vn_rng_u64(&rng);
    vn_buffer_init(&all, 1 << 20);
    for (uint32_t i = 0; i < FRAMES; i++)
        add_frame(i);
    for (;;)
        kinds[k].once();
}
