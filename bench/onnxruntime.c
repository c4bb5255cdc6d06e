/* ONNX Runtime without Python around it, as a worker of bench/run (bench/worker.h): what the
 * library needs for itself. Its package brings the library and no header; the C interface is a
 * table of functions whose order never changes, of which this names the few that it calls.
 *
 *     onnxruntime LIBRARY THREADS
 *
 *     load FILE IMAGE */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/worker.h"

enum { API_VERSION = 17 }; /* any that the library still knows */

/* Places in the table. */
enum {
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION = 7,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    DISABLE_MEM_PATTERN = 17,
    DISABLE_CPU_MEM_ARENA = 19,
    SET_INTRA_OP_NUM_THREADS = 24,
    CREATE_TENSOR_WITH_DATA = 49,
    GET_TENSOR_MUTABLE_DATA = 51,
    CREATE_CPU_MEMORY_INFO = 69,
};
enum { LOG_ERRORS = 3, DEVICE_ALLOCATOR = 0, MEMORY_DEFAULT = 0, TYPE_FLOAT = 1 };

struct api_base {
    void *const *(*get)(uint32_t version);
};

struct ort {
    void *const *api;
    void *env, *options, *session, *memory, *input, *output;
    float *image; /* (c, h, w) */
};

/* Every function returns a status, NULL when all is well. Statuses are few, and are not freed. */
#define CALL(o, place, types, ...)                                                                 \
    message_of((o), ((void *(*)types)(uintptr_t)(o)->api[place])(__VA_ARGS__))

static const char *message_of(const struct ort *o, void *status)
{
    if (!status)
        return NULL;
    return ((const char *(*)(const void *))(uintptr_t)o->api[GET_ERROR_MESSAGE])(status);
}

/* --- making ----------------------------------------------------------------------------------- */

static const char *set_up(struct ort *o, const char *library, int threads)
{
    void *handle = dlopen(library, RTLD_NOW);
    const struct api_base *(*get_base)(void) = NULL;
    const char *wrong;

    if (!handle)
        return dlerror();
    *(void **)&get_base = dlsym(handle, "OrtGetApiBase");
    if (!get_base || !(o->api = get_base()->get(API_VERSION)))
        return "not a library of ONNX Runtime";
    wrong = CALL(o, CREATE_ENV, (int, const char *, void **), LOG_ERRORS, "bench", &o->env);
    if (!wrong)
        wrong = CALL(o, CREATE_SESSION_OPTIONS, (void **), &o->options);
    if (!wrong)
        wrong = CALL(o, SET_INTRA_OP_NUM_THREADS, (void *, int), o->options, threads);
    /* what it offers to those who are short of memory */
    if (!wrong)
        wrong = CALL(o, DISABLE_CPU_MEM_ARENA, (void *), o->options);
    if (!wrong)
        wrong = CALL(o, DISABLE_MEM_PATTERN, (void *), o->options);
    if (!wrong)
        wrong = CALL(o, CREATE_CPU_MEMORY_INFO, (int, int, void **), DEVICE_ALLOCATOR,
                     MEMORY_DEFAULT, &o->memory);
    return wrong;
}

/* (h, w, c) to (c, h, w) */
static float *planes(const struct worker_image *image)
{
    const size_t pixels = (size_t)image->h * image->w;
    float *out = malloc(pixels * image->c * sizeof *out);

    for (uint32_t c = 0; out && c < image->c; c++)
        for (size_t p = 0; p < pixels; p++)
            out[c * pixels + p] = image->pixels[p * image->c + c];
    return out;
}

static const char *load(void *runtime, char *const *words, unsigned n,
                        const struct worker_image *image)
{
    struct ort *o = runtime;
    const int64_t shape[4] = {1, image->c, image->h, image->w};
    const size_t bytes = sizeof(float) * image->c * image->h * image->w;
    const char *wrong;

    if (n != 1 || o->session)
        return "one FILE, once";
    wrong = CALL(o, CREATE_SESSION, (void *, const char *, void *, void **), o->env, words[0],
                 o->options, &o->session);
    if (wrong)
        return wrong;
    o->image = planes(image);
    if (!o->image)
        return "out of memory";
    return CALL(o, CREATE_TENSOR_WITH_DATA,
                (void *, void *, size_t, const int64_t *, size_t, int, void **), o->memory,
                o->image, bytes, shape, 4, TYPE_FLOAT, &o->input);
}

/* --- running ---------------------------------------------------------------------------------- */

static const char *run(void *runtime)
{
    struct ort *o = runtime;
    const char *const input = "image", *const output = "logits";

    if (!o->input)
        return "nothing is loaded";
    return CALL(o, RUN,
                (void *, const void *, const char *const *, void *const *, size_t,
                 const char *const *, size_t, void **),
                o->session, NULL, &input, &o->input, 1, &output, 1, &o->output);
}

/* The networks of the bench have 10 labels. */
static const float *logits(void *runtime, uint32_t *ret_n)
{
    struct ort *o = runtime;
    void *data = NULL;

    if (o->output)
        CALL(o, GET_TENSOR_MUTABLE_DATA, (void *, void **), o->output, &data);
    *ret_n = data ? 10 : 0;
    return data;
}

int main(int argc, char **argv)
{
    static struct ort o;
    const struct worker w = {&o, load, run, logits, NULL};
    const char *wrong;

    if (argc != 3) {
        fputs("usage: onnxruntime LIBRARY THREADS\n", stderr);
        return 2;
    }
    wrong = set_up(&o, argv[1], atoi(argv[2]));
    if (wrong) {
        fprintf(stderr, "onnxruntime: %s\n", wrong);
        return 1;
    }
    worker_serve(&w);
    return 0;
}
