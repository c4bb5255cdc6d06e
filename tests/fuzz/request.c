/* Bytes as a client sends them: frames, messages, and the judging of what they ask for. */
#include <fcntl.h>
#include <string.h>

#include "daemon/infer.h"
#include "daemon/stores.h"
#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"

#define FRAME_LIMIT (1u << 20)
#define MEMFD_BYTES 12288

static struct config config;
static struct stores stores;
static struct memory memory;

/* FUZZ_STORE is made by the build; it is served by two names, and something else is not. */
static void load(void)
{
    static const char *const names[] = {"b", "gone"};
    struct vn_why why = {""};

    if (stores.n)
        return;
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    config_defaults(&config);
    must(!config_set(&config, "store_path", FUZZ_STORE, &why));
    must(!config_set(&config, "kernels", "ref", &why));
    for (int i = 0; i < 2; i++) {
        config.stores[++config.n_stores - 1] = config.stores[0];
        strcpy(config.stores[config.n_stores - 1].name, names[i]);
    }
    strcpy(config.stores[2].path, "/nonexistent/store");
    must(!memory_init(&memory, &config));
    must(!stores_load(&stores, &config, &memory, &why));
}

/* What may come with a request: three pages, as the clients send them. */
static int memfd(void)
{
    static int fd = -1;

    if (fd < 0) {
        fd = memfd_create("pixels", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        must(fd >= 0 && !ftruncate(fd, MEMFD_BYTES));
        must(!fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
    }
    return dup(fd);
}

/* Every byte that the request's image has can be read. */
static void check_image(const struct vn_image *image)
{
    volatile uint8_t sum = 0;

    must(!vn_image_check(image, NULL));
    for (uint64_t i = 0; i < image->length; i += 512)
        sum = (uint8_t)(sum + image->pixels[i]);
    sum = (uint8_t)(sum + image->pixels[image->length - 1]);
}

static void check_prepared(const struct job *j, const struct ledger *ledger)
{
    const struct vn_infer_request *q = &j->request;
    const struct model *model = j->model;

    must(stores_serve(&stores, model));
    must(q->task < model->network->n_tasks);
    must(q->image || q->plan_only);
    if (q->image)
        check_image(q->image);
    must(ledger_bytes(&j->promise) > 0);
    must(ledger_bytes(&j->promise) <= ledger_possible(ledger));
    must(j->top_k >= 1 && j->top_k <= model->network->tasks[q->task].n_labels);
    must(q->thrift >= 0 && q->thrift <= 1);
}

/* Takes the message. */
static void judge(Virtualnet__Request *message, uint64_t bytes)
{
    struct ledger ledger;
    const struct promise_terms terms = {&ledger, MEMORY_FULL_REPLAN, 0.5, 1};
    struct refusal refusal = {0};
    struct vn_buffer reply;
    struct model *model = stores_model(&stores, message->infer->store, message->infer->task,
                                       &refusal); /* plan: the same member of the union */
    struct job *j;

    if (!model) {
        must(refusal.code && refusal.why.text[0]);
        virtualnet__request__free_unpacked(message, NULL);
        return;
    }
    j = job_new(message, bytes, model);
    must(j);
    if (message->infer->image && message->infer->image->memfd_bytes)
        j->memfd = memfd();
    ledger_init(&ledger, 1 << 20);
    if (!infer_prepare(j, &config, &terms, &refusal)) {
        check_prepared(j, &ledger);
    } else {
        must(refusal.code && refusal.why.text[0]);
        vn_buffer_init(&reply, 65536);
        must(!reply_encode_refusal(&reply, j->id, &refusal));
        vn_buffer_deinit(&reply);
    }
    job_free(j);
}

static void take(const uint8_t *bytes, uint32_t length)
{
    struct vn_frame_allocator allocator;
    Virtualnet__Request *message;
    uint64_t used;

    vn_frame_allocator_init(&allocator, vn_frame_unpack_limit(length));
    message = virtualnet__request__unpack(&allocator.allocator, length, bytes);
    used = vn_frame_unpack_limit(length) - allocator.left;
    must(used <= vn_frame_unpack_limit(length));
    if (message && (message->call_case == VIRTUALNET__REQUEST__CALL_INFER ||
                    message->call_case == VIRTUALNET__REQUEST__CALL_PLAN))
        judge(message, used);
    else if (message)
        virtualnet__request__free_unpacked(message, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t length;

    load();
    while (!vn_frame_look(data, size, FRAME_LIMIT, &length)) {
        must(length <= size - VN_FRAME_HEADER);
        take(data + VN_FRAME_HEADER, length);
        data += VN_FRAME_HEADER + length;
        size -= VN_FRAME_HEADER + length;
    }
    return 0;
}
