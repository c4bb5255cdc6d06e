/* What is in this picture? The client library in one page: reads a binary PGM or PPM file (P5, P6)
 * and prints the best labels.
 *
 *     cc example.c $(pkg-config --cflags --libs libvirtualnet-client) -o example
 *     ./example picture.pgm garment 1048576
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <virtualnet-client.h>

#define SIDE_MAX 4096

/* Fills the image with pixels that the caller frees; 0 on success. */
static int read_pnm(const char *file, struct vn_client_image *image)
{
    FILE *f = fopen(file, "rb");
    unsigned width, height, maxval;
    char kind;
    size_t bytes;
    void *pixels = NULL;
    int ok;

    if (!f)
        return -1;
    ok = fscanf(f, "P%c %u %u %u", &kind, &width, &height, &maxval) == 4 && fgetc(f) != EOF &&
         (kind == '5' || kind == '6') && maxval == 255 && width > 0 && width <= SIDE_MAX &&
         height > 0 && height <= SIDE_MAX;
    if (ok) {
        bytes = (size_t)width * height * (kind == '6' ? 3 : 1);
        pixels = malloc(bytes);
        ok = pixels && fread(pixels, 1, bytes, f) == bytes;
    }
    fclose(f);
    if (!ok) {
        free(pixels);
        return -1;
    }
    *image = (struct vn_client_image){.pixels = pixels,
                                      .width = width,
                                      .height = height,
                                      .format = kind == '6' ? VN_CLIENT_RGB8 : VN_CLIENT_GRAY8};
    return 0;
}

static void print_answer(const struct vn_client_answer *answer)
{
    for (size_t i = 0; i < answer->n_labels; i++)
        printf("%-16s %.3f\n", answer->labels[i].name, answer->labels[i].probability);
    printf("path");
    for (size_t i = 0; i < answer->n_levels; i++)
        printf(" %u", answer->levels[i]);
    printf(", promised %llu bytes, computed in %.2f ms\n", (unsigned long long)answer->bytes.total,
           (double)answer->compute_ns / 1e6);
}

static int classify(struct vn_client *client, const struct vn_client_request *request)
{
    struct vn_client_reply *reply;
    int r = vn_client_infer(client, request, 5000 /* ms */, &reply);

    if (r == VN_CLIENT_E_BUDGET_TOO_SMALL)
        fprintf(stderr, "The smallest path needs %llu bytes.\n",
                (unsigned long long)vn_client_last_error(client)->needed_bytes);
    else if (r)
        fprintf(stderr, "%s\n", vn_client_last_error(client)->message);
    if (r)
        return 1;
    print_answer(reply->answer);
    vn_client_reply_free(reply);
    return 0;
}

int main(int argc, char **argv)
{
    struct vn_client_request request = {.top_k = 3};
    struct vn_client *client;
    int r;

    if (argc < 2 || read_pnm(argv[1], &request.image)) {
        fprintf(stderr, "usage: %s IMAGE.pgm|IMAGE.ppm [TASK [BUDGET_BYTES]]\n", argv[0]);
        return 2;
    }
    request.task = argc > 2 ? argv[2] : NULL;
    request.budget_bytes = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;

    r = vn_client_open(NULL, 1000 /* ms */, &client);
    if (r) {
        fprintf(stderr, "%s: %s\n", vn_client_default_path(), strerror(-r));
        free((void *)request.image.pixels);
        return 3;
    }
    r = classify(client, &request);
    vn_client_free(client);
    free((void *)request.image.pixels);
    return r;
}
