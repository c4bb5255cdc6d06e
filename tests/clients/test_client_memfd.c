/* Large images of the client library: in memfds with the seals that the daemon wants, one for each
 * frame, and in the request after all where that does not work. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/clients/pair.h"

#define WIDTH 1024u
#define HEIGHT 200u /* above what is sent in a request */
#define BYTES (WIDTH * HEIGHT)

static uint8_t pixels[BYTES + WIDTH];

static struct vn_client_request large(uint8_t first)
{
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(first + i % 251);
    return (struct vn_client_request){
        .task = "kind",
        .budget_bytes = 12345,
        .image = {pixels, WIDTH, HEIGHT, 0, VN_CLIENT_GRAY8},
    };
}

static int open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static uint64_t start(struct pair *p, const struct vn_client_request *request, struct seen *seen)
{
    uint64_t id;

    cr_assert_eq(vn_client_infer_start(p->client, request, 0, on_reply, seen, &id), 0);
    return id;
}

static void answer(struct pair *p, uint64_t id)
{
    Virtualnet__InferResponse infer = VIRTUALNET__INFER_RESPONSE__INIT;
    Virtualnet__Response response = VIRTUALNET__RESPONSE__INIT;

    infer.task = text("kind");
    response.id = id;
    response.result_case = VIRTUALNET__RESPONSE__RESULT_INFER;
    response.infer = &infer;
    reply(p, &response);
    cr_assert_eq(vn_client_dispatch(p->client), 0);
}

static void expect_pixels(int fd, const uint8_t *expected, size_t n)
{
    _cleanup_(vn_freep) uint8_t *there = malloc(n);

    cr_assert_eq(pread(fd, there, n, 0), (ssize_t)n);
    cr_expect_arr_eq(there, expected, n);
}

/* Takes one request that must have come with a memfd; returns its inode. */
static ino_t take_one(struct pair *p, const uint8_t *expected)
{
    struct stat st;
    Virtualnet__Request *r;
    int fd;

    cr_assert_eq(vn_client_dispatch(p->client), 0);
    r = receive_with(p, &fd);
    cr_assert_geq(fd, 0, "no descriptor");
    cr_expect_eq(fcntl(fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW),
                 F_SEAL_SHRINK | F_SEAL_GROW);
    cr_expect_eq(r->infer->image->pixels.len, 0);
    cr_expect_eq(r->infer->image->memfd_offset, 0);
    cr_expect_eq(r->infer->image->memfd_bytes, BYTES);
    cr_expect_eq(r->infer->image->stride, 0);
    expect_pixels(fd, expected, BYTES);
    cr_assert_eq(fstat(fd, &st), 0);
    close(fd);
    virtualnet__request__free_unpacked(r, NULL);
    return st.st_ino;
}

Test(memfd, a_large_image_is_in_one_and_the_next_uses_it_again)
{
    int before = open_descriptors();
    struct pair p = connected();
    struct seen seen = {0};
    ino_t first = 0, inode;

    for (int i = 0; i < 5; i++) {
        struct vn_client_request request = large((uint8_t)i);
        uint64_t id = start(&p, &request, &seen);

        inode = take_one(&p, pixels);
        cr_expect(!first || inode == first);
        first = inode;
        answer(&p, id);
        cr_expect_eq(seen.times, i + 1);
        cr_expect_eq(seen.result, 0);
    }
    cr_expect_eq(open_descriptors(), before + 3); /* the pair and the idle one */
    end(&p);
    cr_expect_eq(open_descriptors(), before);
}

/* The daemon may still read what it has not answered. */
Test(memfd, one_whose_call_was_cancelled_is_not_used_again)
{
    _cleanup_(end) struct pair p = connected();
    struct vn_client_request request = large(1);
    struct seen seen = {0};
    uint64_t id = start(&p, &request, &seen);
    int kept;

    cr_assert_eq(vn_client_dispatch(p.client), 0);
    virtualnet__request__free_unpacked(receive_with(&p, &kept), NULL);
    cr_assert_eq(vn_client_cancel(p.client, id), 0);
    request = large(2);
    start(&p, &request, &seen);
    cr_assert_eq(vn_client_dispatch(p.client), 0);
    virtualnet__request__free_unpacked(receive(&p), NULL); /* the news of the cancel */
    take_one(&p, pixels);
    request = large(1);
    expect_pixels(kept, pixels, BYTES);
    close(kept);
}

Test(memfd, each_frame_brings_its_own)
{
    _cleanup_(end) struct pair p = connected();
    struct seen seen = {0}, none = {0};
    ino_t inodes[8];

    for (int i = 0; i < 8; i++) {
        struct vn_client_request request = large((uint8_t)(10 * i));
        uint64_t id;

        start(&p, &request, &seen);
        cr_assert_eq(vn_client_status_start(p.client, 0, on_reply, &none, &id), 0);
    }
    for (int i = 0; i < 8; i++) {
        large((uint8_t)(10 * i));
        inodes[i] = take_one(&p, pixels);
        for (int j = 0; j < i; j++)
            cr_expect_neq(inodes[i], inodes[j]);
        virtualnet__request__free_unpacked(receive(&p), NULL);
    }
}

Test(memfd, rows_are_packed)
{
    _cleanup_(end) struct pair p = connected();
    struct vn_client_request request = large(3);
    struct seen seen = {0};
    Virtualnet__Request *r;
    uint8_t row[2];
    int fd;

    request.image.width = WIDTH - 1;
    request.image.stride = WIDTH;
    start(&p, &request, &seen);
    cr_assert_eq(vn_client_dispatch(p.client), 0);
    r = receive_with(&p, &fd);
    cr_assert_geq(fd, 0);
    cr_expect_eq(r->infer->image->memfd_bytes, (WIDTH - 1) * HEIGHT);
    cr_assert_eq(pread(fd, row, 2, (WIDTH - 1) * (HEIGHT - 1)), 2);
    cr_expect_arr_eq(row, pixels + WIDTH * (HEIGHT - 1), 2);
    close(fd);
    virtualnet__request__free_unpacked(r, NULL);
}

/* A daemon that knows no memfds, or a proxy that loses descriptors: BAD_IMAGE. */
Test(memfd, refused_means_sent_again_with_pixels)
{
    int before = open_descriptors();
    struct pair p = connected();
    struct vn_client_request request = large(5);
    struct seen seen = {0};
    uint64_t id = start(&p, &request, &seen), second = start(&p, &request, &seen);
    const int room = BYTES; /* the kernel doubles it: one request goes out at once */

    setsockopt(vn_client_fd(p.client), SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    take_one(&p, pixels);
    take_one(&p, pixels);
    reply_error(&p, id, VIRTUALNET__CODE__BAD_IMAGE, "what pixels?");
    reply_error(&p, second, VIRTUALNET__CODE__BAD_IMAGE, "what pixels?");
    cr_assert_eq(vn_client_dispatch(p.client), 0);
    cr_expect_eq(seen.times, 0, "it is not over yet");
    start(&p, &request, &seen);
    for (int i = 0; i < 3; i++) {
        Virtualnet__Request *r;

        cr_assert_eq(vn_client_dispatch(p.client), 0);
        r = receive(&p);
        cr_expect_eq(r->id, id + (uint64_t)i);
        cr_expect_str_eq(r->infer->task, "kind");
        cr_expect_eq(r->infer->budget_bytes, 12345);
        cr_expect_eq(r->infer->image->width, WIDTH);
        cr_expect_eq(r->infer->image->memfd_bytes, 0);
        cr_assert_eq(r->infer->image->pixels.len, BYTES);
        cr_expect_arr_eq(r->infer->image->pixels.data, pixels, BYTES);
        virtualnet__request__free_unpacked(r, NULL);
    }
    answer(&p, id);
    reply_error(&p, second, VIRTUALNET__CODE__BAD_IMAGE, "no");
    cr_assert_eq(vn_client_dispatch(p.client), 0);
    cr_expect_eq(seen.times, 2);
    cr_expect_eq(seen.result, VN_CLIENT_E_BAD_IMAGE, "the second time it is what it says");
    cr_expect_eq(open_descriptors(), before + 2);
    end(&p);
    cr_expect_eq(open_descriptors(), before);
}

Test(memfd, without_descriptors_pixels_go_into_the_request)
{
    _cleanup_(end) struct pair p = connected();
    struct vn_client_request request = large(7);
    struct seen seen = {0};
    struct rlimit before, none;
    const int room = BYTES;
    Virtualnet__Request *r;

    setsockopt(vn_client_fd(p.client), SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){0, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    start(&p, &request, &seen);
    setrlimit(RLIMIT_NOFILE, &before); /* the test's own reports need some */
    cr_assert_eq(vn_client_dispatch(p.client), 0);
    r = receive(&p);
    cr_expect_eq(r->infer->image->pixels.len, BYTES);
    virtualnet__request__free_unpacked(r, NULL);
}

Test(memfd, closing_at_any_time_leaves_nothing)
{
    int before = open_descriptors();

    for (int step = 0; step < 4; step++) {
        struct pair p = connected();
        struct vn_client_request request = large(9);
        struct seen seen = {0};
        uint64_t id = 0;

        for (int i = 0; i < 20; i++)
            id = start(&p, &request, &seen);
        if (step == 1)
            hang_up(&p);
        if (step > 1)
            take_one(&p, pixels);
        if (step == 3)
            cr_assert_eq(vn_client_cancel(p.client, id), 0);
        if (step == 1)
            cr_assert_lt(vn_client_dispatch(p.client), 0);
        end(&p);
        cr_expect_eq(seen.times, 20);
        cr_expect_eq(open_descriptors(), before, "step %d", step);
    }
}
