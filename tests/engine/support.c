#include "support.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void give_up(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}

static void put_inputs(FILE *f, const struct net_spec *s)
{
    static const char *const colors[] = {"rgb", "gray", "bgr"};
    uint32_t side = s->side ? s->side : 12;

    for (uint32_t i = 0; i < (s->inputs ? s->inputs : 1); i++) {
        bool gray = i % 3 == 1;

        fprintf(f,
                "%s{\"name\":\"in%u\",\"width\":%u,\"height\":%u,\"color\":\"%s\",\"crop\":\"%s\","
                "\"resize\":\"bilinear\",\"mean\":%s,\"std\":%s,\"stem_kernel\":%u,"
                "\"stem_stride\":%u}",
                i ? "," : "", i, side, side > 1 ? side - 1 : 1, colors[i % 3],
                i % 2 ? "none" : "center", gray ? "[0.3]" : "[0.5,0.4,0.3]",
                gray ? "[0.2]" : "[0.25,0.2,0.3]", s->stem_kernel ? s->stem_kernel : 3,
                s->stem_stride ? s->stem_stride : 1);
    }
}

static void put_order(FILE *f, uint32_t groups, struct vn_rng *r)
{
    uint32_t order[VN_GROUPS_MAX];

    for (uint32_t k = 0; k < groups; k++) {
        uint32_t at = vn_rng_below(r, k + 1);

        order[k] = order[at];
        order[at] = k;
    }
    fputs(",\"order\":[", f);
    for (uint32_t k = 0; k < groups; k++)
        fprintf(f, "%s%u", k ? "," : "", order[k]);
    fputc(']', f);
}

static void put_tasks(FILE *f, const struct net_spec *s, uint32_t groups)
{
    uint32_t inputs = s->inputs ? s->inputs : 1;
    struct vn_rng r = vn_rng_stream(s->seed, 1, 0);

    for (uint32_t t = 0; t < (s->tasks ? s->tasks : 2); t++) {
        fprintf(f, "%s{\"name\":\"task %u\",\"input\":\"in%u\",\"labels\":[", t ? "," : "", t,
                t % inputs);
        for (uint32_t i = 0; i < 3 + t; i++)
            fprintf(f, "%s\"label %u\"", i ? "," : "", i);
        fputc(']', f);
        if (s->random_orders)
            put_order(f, groups, &r);
        fputc('}', f);
    }
}

char *spec_text(const struct net_spec *s)
{
    uint32_t groups = s->groups ? s->groups : 4;
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    fprintf(f, "{\"name\":\"test\",\"stem_width\":%u,\"groups\":%u,\"inputs\":[",
            s->stem_width ? s->stem_width : 8, groups);
    put_inputs(f, s);
    fprintf(f, "],\"stages\":%s,\"tasks\":[",
            s->stages ? s->stages
                      : "[{\"blocks\":2,\"width\":8,\"stride\":1,\"group_width\":3},"
                        "{\"blocks\":2,\"width\":16,\"stride\":2,\"group_width\":5}]");
    put_tasks(f, s, groups);
    fprintf(f, "],\"agent\":%s}", s->agent ? s->agent : "{\"kind\":\"uniform\"}");
    fclose(f);
    return text;
}

struct vn_network *spec_network(const struct net_spec *spec)
{
    _cleanup_(vn_freep) char *text = spec_text(spec);
    struct vn_network *n;
    struct vn_why why;

    if (vn_network_parse(text, strlen(text), &why, &n))
        give_up("%s\n%s", why.text, text);
    return n;
}

void fill_normal(struct vn_rng *r, float *x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)vn_rng_normal(r) * scale;
}

void numbers_fill(uint64_t seed, const struct vn_layout *l, uint32_t tensor, float *ret)
{
    const struct vn_tensor *t = &l->tensors[tensor];
    struct vn_rng r = vn_rng_stream(seed, tensor, 0);
    uint64_t n = t->bytes / sizeof(float), channels = t->shape[t->n_dims - 1];

    if (!strstr(t->name, ".bn")) {
        /* half of a layer's inputs are zero after ReLU: variance 2 / fan-in keeps the size */
        fill_normal(&r, ret, n, sqrtf(2.0f * (float)channels / (float)n));
        return;
    }
    for (uint64_t i = 0; i < n; i++) /* (..., 2, C): scale, then bias */
        ret[i] = i / channels % 2 ? 0.1f * (float)vn_rng_normal(&r)
                                  : 0.5f + (float)vn_rng_unit(&r) * 0.5f;
}

const float *numbers_source(void *context, const struct vn_layout *l, uint32_t tensor)
{
    struct numbers *n = context;

    if (n->allocated < l->tensors[tensor].bytes) {
        n->allocated = l->tensors[tensor].bytes;
        n->buffer = realloc(n->buffer, n->allocated);
        if (!n->buffer)
            give_up("out of memory");
    }
    numbers_fill(n->seed, l, tensor, n->buffer);
    return n->buffer;
}

void numbers_deinit(struct numbers *n)
{
    free(n->buffer);
}

void write_numbers(const char *file, const struct vn_network *n, uint64_t seed)
{
    _cleanup_(numbers_deinit) struct numbers numbers = {.seed = seed};
    struct vn_why why;

    if (vn_store_write(file, n, numbers_source, &numbers, &why))
        give_up("%s", why.text);
}

struct vn_store *open_store(const char *file)
{
    struct vn_store *s;
    struct vn_why why;

    if (vn_store_open(file, &why, &s))
        give_up("%s", why.text);
    return s;
}

const char *scratch_file(const char *name)
{
    static char path[4096];
    const char *folder = getenv("VN_TEST_FOLDER");

    snprintf(path, sizeof path, "%s/%d-%s", folder ? folder : ".", (int)getpid(), name);
    return path;
}

/* --- the kernel's books ----------------------------------------------------------------------- */

static char books[1 << 20];

void books_init(void)
{
    memset(books, 1, sizeof books);
}

static void read_books(const char *name)
{
    char file[64];
    ssize_t got;
    size_t n = 0;
    int fd;

    snprintf(file, sizeof file, "/proc/self/%s", name);
    fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        give_up("%s", file);
    while ((got = read(fd, books + n, sizeof books - 1 - n)) > 0)
        n += (size_t)got;
    close(fd);
    books[n] = 0;
}

static uint64_t field(const char *from, const char *name)
{
    const char *at = strstr(from, name);

    if (!at)
        give_up("no %s in the books", name);
    return strtoull(at + strlen(name), NULL, 10) * 1024;
}

uint64_t books_field(const char *file, const char *name)
{
    read_books(file);
    return field(books, name);
}

uint64_t books_rss(const void *start, uint64_t bytes)
{
    uint64_t low = (uintptr_t)start, high = low + bytes, sum = 0;

    read_books("smaps");
    for (char *line = books; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        uint64_t from, to;

        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &from, &to) == 2 && from >= low && from < high)
            sum += field(line, "\nRss:");
    }
    return sum;
}
