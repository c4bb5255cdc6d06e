#include "bench/talk.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/rng.h"
#include "proto/frame.h"

#define PART 65536 /* bytes asked for at a time */

void talk_pixels(uint8_t ret_pixels[TALK_PIXELS])
{
    struct vn_rng r = vn_rng_stream(1, 0, 0);

    for (int i = 0; i < TALK_PIXELS; i++)
        ret_pixels[i] = (uint8_t)vn_rng_below(&r, 256);
}

uint32_t talk_levels(const char *text, uint32_t ret_levels[TALK_LEVELS_MAX])
{
    uint32_t n = 0;

    while (n < TALK_LEVELS_MAX && *text) {
        char *end;

        ret_levels[n++] = (uint32_t)strtoul(text, &end, 10);
        text = *end == ',' ? end + 1 : "";
    }
    return n;
}

int talk_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd, r;

    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

int talk_request(struct vn_buffer *b, const uint32_t *levels, uint32_t n_levels)
{
    uint8_t pixels[TALK_PIXELS];
    uint32_t level[TALK_LEVELS_MAX];
    Virtualnet__Image image = VIRTUALNET__IMAGE__INIT;
    Virtualnet__InferRequest infer = VIRTUALNET__INFER_REQUEST__INIT;
    Virtualnet__Request request = VIRTUALNET__REQUEST__INIT;

    talk_pixels(pixels);
    memcpy(level, levels, n_levels * sizeof *level);
    image.format = VIRTUALNET__PIXEL_FORMAT__RGB8;
    image.width = image.height = TALK_SIDE;
    image.pixels = (ProtobufCBinaryData){sizeof pixels, pixels};
    infer.image = &image;
    infer.n_level = n_levels;
    infer.level = level;
    request.id = 1;
    request.call_case = VIRTUALNET__REQUEST__CALL_INFER;
    request.infer = &infer;
    return vn_frame_append(b, &request.base, VN_FRAME_MAX);
}

int talk_send(int fd, const uint8_t *data, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return -errno;
        data += sent;
        n -= (size_t)sent;
    }
    return 0;
}

/* Reads what is there to the end of the buffer. */
static int receive_some(int fd, struct vn_buffer *answer)
{
    int r = vn_buffer_reserve(answer, PART);
    ssize_t n;

    if (r)
        return r < 0 ? r : -ENOBUFS;
    do
        n = recv(fd, answer->data + answer->end, PART, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n < 0 ? -errno : -ECONNRESET;
    answer->end += (size_t)n;
    return 0;
}

static bool whole(const struct vn_buffer *answer)
{
    uint32_t length;

    return vn_frame_look(vn_buffer_head(answer), vn_buffer_used(answer), VN_FRAME_MAX, &length) !=
           VN_FRAME_E_INCOMPLETE;
}

int talk_receive(int fd, struct vn_buffer *answer)
{
    vn_buffer_consume(answer, vn_buffer_used(answer));
    do {
        int r = receive_some(fd, answer);

        if (r)
            return r;
    } while (!whole(answer));
    return 0;
}

Virtualnet__Response *talk_result(const struct vn_buffer *answer)
{
    uint32_t length;
    Virtualnet__Response *response;

    if (vn_frame_look(vn_buffer_head(answer), vn_buffer_used(answer), VN_FRAME_MAX, &length))
        return NULL;
    response = virtualnet__response__unpack(NULL, length, vn_buffer_head(answer) + VN_FRAME_HEADER);
    if (response && response->result_case == VIRTUALNET__RESPONSE__RESULT_INFER)
        return response;
    if (response && response->result_case == VIRTUALNET__RESPONSE__RESULT_ERROR)
        fprintf(stderr, "the daemon says: %s\n", response->error->message);
    if (response)
        virtualnet__response__free_unpacked(response, NULL);
    return NULL;
}
