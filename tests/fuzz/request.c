/* Bytes as a client sends them: frames, messages, and the judging of what they ask for. */
#include <string.h>

#include "daemon/infer.h"
#include "proto/frame.h"
#include "tests/fuzz/fuzz.h"

#define FRAME_LIMIT (1u << 20)

static struct config config;
static struct model *model;

/* FUZZ_STORE is made by the build. */
static void load(void)
{
    struct vn_why why = {""};

    if (model)
        return;
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    config_defaults(&config);
    must(!config_set(&config, "store_path", FUZZ_STORE, &why));
    must(!config_set(&config, "kernels", "ref", &why));
    must(!model_load(&config, &config.stores[0], 0, &why, &model));
}

static void check_prepared(const struct job *j)
{
    const struct vn_infer_request *q = &j->request;

    must(q->task < model->network->n_tasks);
    must(q->image || q->plan_only);
    must(!q->image || !vn_image_check(q->image, NULL));
    must(j->promise_bytes > 0);
    must(j->top_k >= 1 && j->top_k <= model->network->tasks[q->task].n_labels);
    must(q->thrift >= 0 && q->thrift <= 1);
}

/* Takes the message. */
static void judge(Virtualnet__Request *message, uint64_t bytes)
{
    struct ledger ledger;
    struct refusal refusal = {0};
    struct vn_buffer reply;
    struct job *j = job_new(message, bytes, model);

    must(j);
    ledger_init(&ledger, 1 << 20);
    if (!infer_prepare(j, &config, &ledger, &refusal)) {
        check_prepared(j);
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
