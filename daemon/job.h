/* A job: one validated Infer or Plan request on its way from the client through the queue and a
 * worker back to the loop. The loop owns it, except between handing it to the pool and getting it
 * back: then `result`, `outcome` and what belongs to them are the worker's, and the rest is const
 * but for `cancel` and `begun`, and for what links and counts it in the loop. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>

#include "daemon/memfd.h"
#include "daemon/model.h"
#include "daemon/promise.h"
#include "daemon/queue.h"
#include "proto/virtualnet.pb-c.h"

struct client;
struct user;

enum job_outcome {
    JOB_DONE,
    JOB_TOO_SMALL, /* result.needed_bytes */
    JOB_CANCELLED,
    JOB_DEADLINE, /* phase */
    JOB_DAMAGED,  /* result.damaged_part */
    JOB_OVERWRITTEN,
    JOB_NO_ROOM, /* not within what is left of the memory limit; promise */
    JOB_FAILED,  /* error */
};

struct job {
    struct queue_item item;
    struct client *client;        /* NULL: it is gone, nobody wants the answer */
    struct user *user;            /* of the client, while it waits */
    struct job *previous, *next;  /* in the client's list */
    struct job *next_in_pool;     /* the pool's */
    bool handed;                  /* the pool has it, also while it waits */
    atomic_bool begun;            /* a worker has it; set by the worker */
    uint64_t id;                  /* the client's */
    Virtualnet__Request *message; /* owned */
    uint64_t message_bytes;       /* heap behind it */
    struct model *model;          /* counted */

    int memfd;            /* owned: what came with the request, until it is mapped; -1: nothing */
    struct memfd_map map; /* owned: image.pixels point into it, if not into the message */
    struct vn_image image;
    uint8_t levels[VN_BLOCKS_MAX];
    struct vn_infer_request request;
    uint32_t top_k;
    struct ledger_promise promise;
    enum memory_full when_full;
    bool replanned; /* request.budget_bytes is what was left */
    uint64_t arrived_ns, started_ns, ended_ns;
    uint64_t deadline_ns; /* on the clock of vn_now_ns; 0: none */
    atomic_bool cancel;

    enum job_outcome outcome;
    const char *phase;
    int error; /* negative errno */
    struct vn_infer_result result;
    uint32_t top[VN_LABELS_MAX]; /* indices of the top_k labels, best first */
};

/* Takes the message (of so many bytes of heap) in any case, and a reference to the model. NULL: out
 * of memory. */
struct job *job_new(Virtualnet__Request *message, uint64_t bytes, struct model *model);
struct job *job_free(struct job *j); /* takes NULL, returns NULL */

static inline struct job *job_of_item(struct queue_item *item)
{
    return (struct job *)((char *)item - offsetof(struct job, item));
}

static inline const Virtualnet__InferRequest *job_call(const struct job *j)
{
    return j->message->call_case == VIRTUALNET__REQUEST__CALL_PLAN ? j->message->plan
                                                                   : j->message->infer;
}

/* The request's, bulk unless it says otherwise. */
enum queue_class job_class(const struct job *j);

/* Memory that the job holds: heap, and pages of the client's that it keeps. */
uint64_t job_bytes(const struct job *j);

/* Decides, plans and runs it on the model's session for this worker; fills outcome and result.
 * progress is counted up as the run goes on. Called by the worker. */
void job_run(struct job *j, uint32_t worker, atomic_ulong *progress);
