#include "daemon/job.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

struct job *job_new(Virtualnet__Request *message, uint64_t bytes, struct model *model)
{
    struct job *j = calloc(1, sizeof *j);

    if (!j) {
        virtualnet__request__free_unpacked(message, NULL);
        return NULL;
    }
    j->id = message->id;
    j->message = message;
    j->message_bytes = bytes;
    j->model = model_ref(model);
    j->memfd = -1;
    atomic_init(&j->cancel, false);
    atomic_init(&j->begun, false);
    return j;
}

struct job *job_free(struct job *j)
{
    if (!j)
        return NULL;
    virtualnet__request__free_unpacked(j->message, NULL);
    model_unref(j->model);
    memfd_unmap(&j->map);
    if (j->memfd >= 0)
        close(j->memfd);
    free(j);
    return NULL;
}

enum queue_class job_class(const struct job *j)
{
    return job_call(j)->request_class == VIRTUALNET__REQUEST_CLASS__CONTROL ? QUEUE_CONTROL
                                                                            : QUEUE_BULK;
}

uint64_t job_bytes(const struct job *j)
{
    return sizeof *j + j->message_bytes + j->map.bytes;
}

/* Where the request was when its time was over, which may be before anybody looked. */
static const char *phase_of_deadline(const struct job *j, uint64_t begun_ns)
{
    if (j->deadline_ns <= begun_ns)
        return "queue";
    begun_ns += j->result.agent_ns + j->result.page_in_ns;
    return j->deadline_ns <= begun_ns ? "agent" : "compute";
}

static void finish(struct job *j, int r, uint64_t begun_ns)
{
    switch (r) {
    case 0:
        j->outcome = JOB_DONE;
        if (!j->request.plan_only)
            vn_top_k(j->result.probabilities, j->result.n_labels, j->top_k, j->top);
        break;
    case VN_SESSION_E_CANCELLED:
        j->outcome = JOB_CANCELLED;
        break;
    case VN_SESSION_E_DEADLINE:
        j->outcome = JOB_DEADLINE;
        j->phase = phase_of_deadline(j, begun_ns);
        break;
    case VN_SESSION_E_TOO_SMALL:
        j->outcome = JOB_TOO_SMALL;
        break;
    case VN_SESSION_E_DAMAGED:
        j->outcome = JOB_DAMAGED;
        break;
    default:
        j->outcome = JOB_FAILED;
        j->error = r;
    }
}

void job_run(struct job *j, uint32_t worker, atomic_ulong *progress)
{
    struct vn_control control = {
        .cancel = &j->cancel,
        .deadline_ns = j->deadline_ns,
        .progress = progress,
    };
    uint64_t begun_ns = vn_now_ns();

    j->started_ns = begun_ns;
    finish(j, vn_infer(j->model->sessions[worker], &j->request, &control, &j->result), begun_ns);
    if (j->outcome == JOB_DONE && model_was_overwritten(j->model)) /* before or meanwhile */
        j->outcome = JOB_OVERWRITTEN;
    j->ended_ns = vn_now_ns();
}
