#include "daemon/infer.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/promise.h"
#include "daemon/text.h"

#define BAD_REQUEST_CODE VIRTUALNET__CODE__BAD_REQUEST
#define BAD_IMAGE_CODE VIRTUALNET__CODE__BAD_IMAGE

int refuse_task(struct refusal *r, const struct vn_network *n, const char *name)
{
    char tasks[256], text[TEXT_NAME];

    text_tasks(n, tasks, sizeof tasks);
    if (!name[0])
        return refuse(r, VIRTUALNET__CODE__UNKNOWN_TASK,
                      "name a task: the store has %u, so that none can be left out: %s", n->n_tasks,
                      tasks);
    return refuse(r, VIRTUALNET__CODE__UNKNOWN_TASK, "there is no task \"%s\"; the store has %s",
                  text_name(name, text), tasks);
}

static int prepare_task(struct job *j, struct refusal *r)
{
    const struct vn_network *n = j->model->network;
    const char *name = job_call(j)->task;
    int task = !name[0] && n->n_tasks == 1 ? 0 : vn_network_find_task(n, name);

    if (task < 0)
        return refuse_task(r, n, name);
    j->request.task = (uint32_t)task;
    return 0;
}

/* Pixels in the request, or in the memfd that came with it, which need not stay open. */
static int find_pixels(struct job *j, const struct config *c, struct refusal *r)
{
    const Virtualnet__Image *image = job_call(j)->image;
    struct vn_why why;
    int error;

    j->image.pixels = image->pixels.data;
    j->image.length = image->pixels.len;
    if (!image->memfd_bytes)
        return 0;
    if (image->pixels.len)
        return refuse(r, BAD_IMAGE_CODE,
                      "image.pixels and image.memfd_bytes exclude each other; use one");
    if (j->memfd < 0)
        return refuse(r, BAD_IMAGE_CODE,
                      "image.memfd_bytes is %llu and no descriptor came with the frame; pass it "
                      "with the frame's first byte (SCM_RIGHTS)",
                      (unsigned long long)image->memfd_bytes);
    error = memfd_map(j->memfd, image->memfd_offset, image->memfd_bytes, c->frame_limit_bytes, &why,
                      &j->map, &j->image.pixels);
    if (error < 0)
        return refuse(r, VIRTUALNET__CODE__INTERNAL,
                      "mapping the memfd that came with the image: "
                      "%s",
                      strerror(-error));
    if (error)
        return refuse(r, BAD_IMAGE_CODE, "%s", why.text);
    j->image.length = image->memfd_bytes;
    close(j->memfd);
    j->memfd = -1;
    return 0;
}

/* Plan may come without an image: the agent then decides without having seen one. */
static int prepare_image(struct job *j, const struct config *c, struct refusal *r)
{
    const Virtualnet__Image *image = job_call(j)->image;
    struct vn_why why;

    if (!image && j->request.plan_only)
        return 0;
    if (!image)
        return refuse(r, BAD_IMAGE_CODE, "infer needs an image");
    if (image->format != VIRTUALNET__PIXEL_FORMAT__GRAY8 &&
        image->format != VIRTUALNET__PIXEL_FORMAT__RGB8)
        return refuse(r, BAD_IMAGE_CODE,
                      "image.format is %d; it must be 1 (GRAY8, a byte a pixel) or 2 (RGB8, three "
                      "bytes a pixel, red first)",
                      (int)image->format);
    if (find_pixels(j, c, r))
        return 1;
    j->image.width = image->width;
    j->image.height = image->height;
    j->image.stride = image->stride;
    j->image.format =
        image->format == VIRTUALNET__PIXEL_FORMAT__GRAY8 ? VN_PIXELS_GRAY8 : VN_PIXELS_RGB8;
    if (vn_image_check(&j->image, &why))
        return refuse(r, BAD_IMAGE_CODE, "%s", why.text);
    j->request.image = &j->image;
    return 0;
}

static int prepare_levels(struct job *j, struct refusal *r)
{
    const Virtualnet__InferRequest *call = job_call(j);
    const struct vn_network *n = j->model->network;
    uint32_t blocks = vn_network_blocks(n);

    if (!call->n_level)
        return 0;
    if (call->uniform)
        return refuse(r, BAD_REQUEST_CODE, "level and uniform exclude each other; state one");
    if (call->n_level != blocks)
        return refuse(r, BAD_REQUEST_CODE, "level has %zu items; it must have %u, one per block",
                      call->n_level, blocks);
    for (uint32_t b = 0; b < blocks; b++) {
        if (call->level[b] > n->groups)
            return refuse(r, BAD_REQUEST_CODE, "level[%u] is %u; it must be 0 to %u", b,
                          call->level[b], n->groups);
        j->levels[b] = (uint8_t)call->level[b];
    }
    j->request.levels = j->levels;
    j->request.n_levels = blocks;
    return 0;
}

static int prepare_wishes(struct job *j, const struct config *c, struct refusal *r)
{
    const Virtualnet__InferRequest *call = job_call(j);
    const struct vn_task *task = &j->model->network->tasks[j->request.task];

    if (!(call->thrift >= 0 && call->thrift <= 1)) /* NaN fails both */
        return refuse(r, BAD_REQUEST_CODE, "thrift is %g; it must be a number from 0 to 1",
                      call->thrift);
    j->request.thrift = call->thrift;
    j->request.agent = call->uniform ? VN_AGENT_UNIFORM : j->model->network->agent.kind;
    j->request.budget_bytes = call->budget_bytes;
    if (!call->budget_bytes && !j->request.levels)
        j->request.budget_bytes = config_budget(c, j->model->settings, task->name);
    j->top_k = call->top_k ? call->top_k : 1;
    if (j->top_k > task->n_labels)
        j->top_k = task->n_labels;
    return 0;
}

static void prepare_deadline(struct job *j)
{
    const Virtualnet__InferRequest *call = job_call(j);

    j->arrived_ns = vn_now_ns();
    if (call->deadline_ms)
        j->deadline_ns = j->arrived_ns + call->deadline_ms * VN_NS_PER_MS;
    if (call->deadline_at_ns && (!j->deadline_ns || call->deadline_at_ns < j->deadline_ns))
        j->deadline_ns = call->deadline_at_ns;
}

/* Class and stream: who comes first, and instead of whom. */
static int prepare_place(const struct job *j, struct refusal *r)
{
    const Virtualnet__InferRequest *call = job_call(j);

    if (!protobuf_c_enum_descriptor_get_value(&virtualnet__request_class__descriptor,
                                              (int)call->request_class))
        return refuse(r, BAD_REQUEST_CODE,
                      "request_class is %d; it must be 1 (CONTROL) or 2 (BULK)",
                      (int)call->request_class);
    if (strlen(call->stream) > VN_NAME_MAX)
        return refuse(r, BAD_REQUEST_CODE, "stream has %zu bytes; it may have %d",
                      strlen(call->stream), VN_NAME_MAX);
    if (call->replace && !call->stream[0])
        return refuse(r, BAD_REQUEST_CODE, "replace wants a stream, whose waiting request it ends");
    return 0;
}

int infer_prepare(struct job *j, const struct config *c, const struct promise_terms *terms,
                  struct refusal *refusal)
{
    prepare_deadline(j);
    j->request.plan_only = j->message->call_case == VIRTUALNET__REQUEST__CALL_PLAN;
    return prepare_task(j, refusal) || prepare_image(j, c, refusal) || prepare_levels(j, refusal) ||
           prepare_wishes(j, c, refusal) || prepare_place(j, refusal) ||
           promise_make(j, terms, refusal);
}
