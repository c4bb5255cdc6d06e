/* libvirtualnet-client: ask virtualnetd what is in an image, for a task, within a memory budget.
 *
 *     struct vn_client *c;
 *     struct vn_client_reply *reply;
 *     struct vn_client_request request = {
 *         .task = "garment", .budget_bytes = 1 << 20,
 *         .image = {.pixels = p, .width = 28, .height = 28, .format = VN_CLIENT_GRAY8}};
 *
 *     if (vn_client_open(NULL, 1000, &c) < 0) ...
 *     r = vn_client_infer(c, &request, 1000, &reply);
 *     if (r)
 *         fprintf(stderr, "%s\n", vn_client_last_error(c)->message);
 *     else
 *         puts(reply->answer->labels[0].name);
 *     vn_client_reply_free(reply);
 *     vn_client_free(c);
 *
 * Two forms over one connection, free to mix:
 *   - synchronous: vn_client_infer and its kin send, wait and return the reply;
 *   - for event loops: vn_client_infer_start and its kin only queue the call. Watch vn_client_fd
 *     for vn_client_events, wake up after vn_client_next_timeout at the latest, and then call
 *     vn_client_dispatch, which never blocks and runs the callbacks. Every call that was started
 *     ends in exactly one callback: with its reply, an error of the daemon, a timeout, a broken
 *     connection, or the closing of the client.
 * Any number of calls up to VN_CLIENT_CALLS_MAX may be open; replies may come in any order.
 *
 * Results, everywhere: 0 is success; > 0 is an enum vn_client_code, the daemon's refusal; < 0 is a
 * negative errno of this side:
 *   -ETIMEDOUT   the call's timeout passed; the connection stays usable
 *   -ECONNRESET  the daemon closed the connection, or it broke (other errnos of the socket too)
 *   -EPROTO      the daemon sent something that is no reply; the connection was closed
 *   -ENOTCONN    the connection is closed: free the client and open another
 *   -ECANCELED   vn_client_cancel, vn_client_close or vn_client_free ended the call
 *   -EMSGSIZE    the image is larger than a frame may be
 *   -EAGAIN      too many calls, or bytes of calls, are waiting to be sent: dispatch first
 *   -EINVAL      a field of the request makes no sense
 *   -EBUSY       a synchronous call from inside a callback
 *   -ENOMEM
 *
 * Threads: a client belongs to one thread at a time (hand it over with your own lock); different
 * clients are independent. Signals: SIGPIPE is never raised. Nothing is logged or printed, the
 * process is never ended, and what the daemon sends is taken as hostile: its size is bounded.
 *
 * Structs of requests may grow at their end in later versions: start them with `= {0}` or
 * designated initialisers, zero means the default. Memory is counted in bytes, time in the unit of
 * the field's name. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VN_CLIENT_SOCKET_DEFAULT "/run/virtualnet/virtualnet.sock"
#define VN_CLIENT_CALLS_MAX 1024 /* open calls of one client */

/* What the daemon may refuse with; the numbers are those of the wire. */
enum vn_client_code {
    VN_CLIENT_E_UNSPECIFIED = 100, /* a code that this library does not know, or none */
    VN_CLIENT_E_BAD_FRAME = 1,     /* the daemon could not read what was sent, and hangs up */
    VN_CLIENT_E_BAD_REQUEST = 2,
    VN_CLIENT_E_UNKNOWN_TASK = 3,
    VN_CLIENT_E_BAD_IMAGE = 4,
    VN_CLIENT_E_BUDGET_TOO_SMALL = 5, /* needed_bytes: what the smallest path needs */
    VN_CLIENT_E_BUSY = 6,             /* limit_name, limit, current, retry_after_ms */
    VN_CLIENT_E_DEADLINE = 7,         /* phase: where it ended */
    VN_CLIENT_E_CANCELLED = 8,
    VN_CLIENT_E_NOT_ALLOWED = 9,
    VN_CLIENT_E_RELOAD_FAILED = 10, /* the running store stays */
    VN_CLIENT_E_INTERNAL = 11,
    VN_CLIENT_E_SHUTTING_DOWN = 12,
    VN_CLIENT_E_STORE_DAMAGED = 13, /* a smaller budget may do without the damaged part */
    VN_CLIENT_E_SUPERSEDED = 14,    /* a newer request of its stream took its place */
    VN_CLIENT_E_UNKNOWN_STORE = 15, /* there is none of this name, or it could not be loaded */
};

/* What went wrong, for people (message) and programs (the rest). Texts are cut to their arrays,
 * control characters in them are replaced by '?'. */
struct vn_client_error {
    int result;            /* what the call returned: a negative errno or an enum vn_client_code */
    char message[512];     /* one sentence */
    uint64_t needed_bytes; /* BUDGET_TOO_SMALL, else 0 */
    char limit_name[64];   /* BUSY, else "" */
    uint64_t limit;        /* BUSY */
    uint64_t current;      /* BUSY */
    char phase[32];        /* DEADLINE: "queue", "agent", "compute"; else "" */
    uint32_t retry_after_ms; /* BUSY: when there may be room; 0: waiting alone will not help */
};

/* "BUDGET_TOO_SMALL" for a code, "ETIMEDOUT" or the like for a negative errno. Static text. */
const char *vn_client_result_name(int result);

/* ---- requests -------------------------------------------------------------------------------- */

enum vn_client_format {
    VN_CLIENT_GRAY8 = 1, /* 1 byte a pixel */
    VN_CLIENT_RGB8 = 2,  /* 3 bytes a pixel, red first */
};

/* Raw pixels of any size: the daemon crops and resizes as the store says. Borrowed during the call
 * that takes them, copied there; rows are packed on the way, so a part of a larger frame costs
 * only its own pixels. Large ones (192 KiB and more) are put into shared memory for the daemon
 * where that works; a client keeps that of one image for the next. */
struct vn_client_image {
    const void *pixels; /* (height, stride) bytes; the last row may be short. NULL: no image */
    uint32_t width;     /* pixels */
    uint32_t height;    /* pixels */
    uint32_t stride;    /* bytes from row to row; 0: packed */
    enum vn_client_format format;
};

/* Who is served first; of one class, who came first. */
enum vn_client_class {
    VN_CLIENT_BULK = 0,    /* the default */
    VN_CLIENT_CONTROL = 1, /* before all bulk requests that wait; for what a robot acts upon */
};

/* What becomes of a run that does not fit beside those that are on. */
enum vn_client_when_full {
    VN_CLIENT_WHEN_FULL_DEFAULT = 0, /* as the daemon's configuration says */
    VN_CLIENT_WAIT = 1,
    VN_CLIENT_REPLAN = 2, /* with what is left, if that is enough for the smallest path */
    VN_CLIENT_REFUSE = 3, /* VN_CLIENT_E_BUSY */
};

struct vn_client_request {
    const char *task; /* NULL: the only task of the store */
    struct vn_client_image image;
    uint64_t budget_bytes;  /* most bytes the run may need; 0: the daemon's default for the task */
    double thrift;          /* 0 .. 1: how much to save below the budget on easy images */
    const uint32_t *levels; /* (n_levels) a fixed path, one level per block; NULL: the agent's */
    size_t n_levels;
    int uniform;          /* not 0: the plain rule, the largest uniform level that fits */
    uint32_t top_k;       /* labels in the answer; 0: 1 */
    uint32_t deadline_ms; /* after which the daemon gives up; 0: the timeout of the call */
    enum vn_client_class request_class;
    /* What the image belongs to, a camera for example; at most 64 bytes, NULL: nothing. At most one
     * request of a stream waits in the daemon: another one ends it with VN_CLIENT_E_SUPERSEDED when
     * `replace` is not 0 (the latest wins), else it is refused with VN_CLIENT_E_BUSY. */
    const char *stream;
    int replace;
    /* A moment of CLOCK_MONOTONIC after which the daemon gives up, for example when the picture was
     * taken and some time; 0: none. With another deadline, the earlier one holds. */
    uint64_t deadline_at_ns;
    /* As the daemon's configuration names it. NULL: the default store when it has the task, else
     * the only other one that does. */
    const char *store;
    enum vn_client_when_full when_full;
    /* Not 0: the path may be streamed, so that it can be larger than the budget; the daemon does so
     * where the budget would cost accuracy. An answer takes longer. */
    int streaming;
};

/* ---- replies --------------------------------------------------------------------------------- */

struct vn_client_bytes {
    uint64_t total;           /* params_resident + scratch + io: what a budget is held against */
    uint64_t params;          /* parameters of the path, exact */
    uint64_t params_resident; /* the 64 KiB windows that they touch */
    uint64_t scratch;         /* activations */
    uint64_t io;              /* image and result */
};

struct vn_client_label {
    const char *name;
    uint32_t index; /* in the task's list */
    float probability;
};

struct vn_client_answer { /* of infer and plan */
    const char *task;
    size_t n_labels;                      /* 0 for a plan */
    const struct vn_client_label *labels; /* (n_labels) best first */
    size_t n_levels;
    const uint32_t *levels;       /* (n_levels) the path, one level per block */
    double density;               /* parameters of the path / of the full path */
    struct vn_client_bytes bytes; /* promised before the run */
    uint64_t budget_bytes;        /* the limit that was applied; 0: none */
    const char *decided_by;       /* "uniform", "task", "conv", "shared", "request" */
    uint64_t queue_ns;            /* waiting for a worker */
    uint64_t agent_ns;            /* choosing the path */
    uint64_t compute_ns;          /* running it */
    const char *store;            /* that answered; "" from a daemon that knows one only */
    uint64_t page_in_ns; /* waiting for slices that were not in memory; not in the times above */
    int streamed;        /* not 0: bytes counts what was resident at the same moment, at most */
    int replanned;       /* not 0: budget_bytes is what was left, not what was asked for */
};

struct vn_client_measured { /* a row of a task's accuracy table, on the validation split */
    const char *by;         /* "uniform" or the agent's kind */
    double setting;         /* the level, or the budget as a share of the full path */
    double accuracy;        /* 0 .. 1 */
    double params;          /* mean parameters of the path */
    double bytes;           /* mean resident parameter bytes */
    uint64_t budget_bytes;  /* the budget that makes it so, for an image of the input's own size;
                               rows by "uniform" also want `uniform` in the request */
};

struct vn_client_task {
    const char *name;
    const char *input;
    const char *color; /* "gray", "rgb", "bgr": what the network sees */
    uint32_t width;    /* pixels the network sees; any size may be sent */
    uint32_t height;
    size_t n_labels;
    const char *const *labels; /* (n_labels) */
    size_t n_order;
    const uint32_t *order;           /* (n_order) the task's order of groups */
    struct vn_client_bytes smallest; /* of its smallest and largest path */
    struct vn_client_bytes largest;
    uint64_t default_budget_bytes; /* 0: none */
    size_t n_measured;
    const struct vn_client_measured *measured; /* (n_measured) */
};

/* The row of the task's accuracy table with the smallest budget that reaches `accuracy`; of equal
 * budgets the most accurate. NULL: none does, or the store carries no table. */
const struct vn_client_measured *vn_client_cheapest(const struct vn_client_task *task,
                                                    double accuracy);

struct vn_client_store { /* one of those that the daemon serves */
    const char *name;    /* what requests state */
    const char *network; /* the network's name; "" when it is not loaded */
    int loaded;          /* 0: its file could not be used so far */
    size_t n_tasks;
    const char *const *tasks; /* (n_tasks) names */
};

struct vn_client_description { /* of one store */
    const char *store;         /* the network's name */
    const char *version;       /* of the daemon */
    const char *agent;         /* its kind */
    uint32_t blocks;
    uint32_t groups;
    uint64_t frame_limit_bytes; /* the largest request the daemon reads */
    size_t n_tasks;
    const struct vn_client_task *tasks; /* (n_tasks) */
    const char *name;                   /* of the store, what requests state */
    size_t n_stores;
    const struct vn_client_store *stores; /* (n_stores) all that there are, the default first */
};

struct vn_client_counter {
    const char *name;
    uint64_t value;
};

/* How long a phase of runs took: so many runs for each bucket, whose upper bound is in bucket_ns of
 * the status; the last bucket has none. */
struct vn_client_times {
    const char *phase; /* "queue", "agent", "compute", "send", or "total" */
    uint64_t sum_ns;
    size_t n_counts;
    const uint64_t *counts; /* (n_counts) */
};

/* Of answered Infer requests, since the start or since the store has the task. */
struct vn_client_task_status {
    const char *name;
    uint64_t default_budget_bytes; /* 0: no limit */
    uint64_t runs;
    size_t n_blocks;
    const uint64_t *level_sums; /* (n_blocks) over runs */
    size_t n_times;
    const struct vn_client_times *times; /* (n_times) */
    const char *store;                   /* that it belongs to */
    uint32_t groups;                     /* the highest level */
};

struct vn_client_store_status {
    const char *name;    /* what requests state */
    const char *network; /* the network's name; "" when it is not loaded */
    int loaded;          /* 0: its file could not be used so far; the numbers below are 0 */
    uint64_t file_bytes;
    uint32_t parts; /* as in the status, of this store alone */
    uint32_t parts_verified;
    uint32_t parts_damaged;
    uint32_t n_tasks;
    uint32_t n_blocks;
    uint32_t groups;
    uint64_t loads;           /* times its file was loaded */
    uint64_t failed_loads;    /* and could not be */
    uint64_t loaded_since_ns; /* how long ago the last was that could */
    uint64_t resident_bytes;  /* of its slices: those that run, and kept */
};

struct vn_client_status {
    const char *version;
    const char *store; /* the default one's network */
    uint64_t uptime_ns;
    uint64_t promised_bytes; /* to the running requests: parameters, pixels, results */
    uint64_t fixed_bytes;    /* PSS before the first run */
    uint64_t pss_bytes;      /* what the kernel says now */
    uint64_t pss_anon_bytes;
    uint64_t pss_file_bytes;
    uint64_t rss_bytes;
    uint64_t cgroup_bytes; /* memory.current; 0: no cgroup */
    uint32_t queue_length;
    uint32_t queue_limit;
    uint32_t running;
    uint32_t workers;
    uint32_t connections;
    size_t n_counters;
    const struct vn_client_counter *counters; /* (n_counters) requests by outcome */
    uint32_t parts;              /* of all stores: the always-needed parts and the slices */
    uint32_t parts_verified;     /* of them, compared with their checksums and good */
    uint32_t parts_damaged;      /* and not good */
    uint32_t groups;             /* the highest level of the default store */
    uint64_t memory_limit_bytes; /* of accounted_bytes; 0: none */
    size_t n_buckets;
    const uint64_t *bucket_ns; /* (n_buckets) upper bounds, inclusive */
    size_t n_tasks;
    const struct vn_client_task_status *tasks; /* (n_tasks) the default store's first */
    size_t n_stores;
    const struct vn_client_store_status *stores; /* (n_stores) the default one first */
    uint64_t scratch_bytes;                      /* of all workers, as large as it can become */
    uint64_t buffer_bytes;                       /* requests that arrive or wait */
    uint64_t resident_bytes; /* of all stores' slices: those that run, and kept */
    uint64_t
        accounted_bytes; /* all of that, fixed_bytes, pixels of runs and 1 MiB: what the process
                                 holds at most */
    uint64_t cgroup_reclaimable_bytes; /* of cgroup_bytes, pages of files */
    double pressure_share;             /* part of the default budgets that is in force */
    uint64_t pressure_events;
};

struct vn_client_reloaded {
    const char *store; /* the network's name */
    uint64_t file_bytes;
    const char *name; /* of the store */
};

/* The outcome of one call: result is 0 and exactly one of the five is set, or error is set.
 * Everything it points to belongs to it, and lives as long. */
struct vn_client_reply {
    int result;
    const struct vn_client_error *error;
    const struct vn_client_answer *answer; /* infer, plan */
    const struct vn_client_description *description;
    const struct vn_client_status *status;
    const struct vn_client_reloaded *reloaded;
};

/* Takes NULL. Only for replies that a synchronous call returned. */
void vn_client_reply_free(struct vn_client_reply *reply);

/* ---- connection ------------------------------------------------------------------------------ */

struct vn_client;

/* Connects. path NULL: $VIRTUALNET_SOCKET, else VN_CLIENT_SOCKET_DEFAULT. timeout_ms: how long a
 * daemon with a full backlog is waited for; 0: for ever. 0 or a negative errno: -ENOENT (no socket
 * there), -ECONNREFUSED (nobody listens), -EACCES, -ENAMETOOLONG (more than 107 bytes), -EAGAIN
 * (the timeout passed). *ret_client is ended with vn_client_free. */
int vn_client_open(const char *path, uint32_t timeout_ms, struct vn_client **ret_client);

/* Takes over a connected SOCK_STREAM socket (of socketpair, or passed by a supervisor). */
int vn_client_open_fd(int fd, struct vn_client **ret_client);

/* Hangs up: open calls end with -ECANCELED, in the order in which they were started, before it
 * returns. May be called from a callback. */
void vn_client_close(struct vn_client *client);

/* Closes, then frees. Takes NULL. Not from inside a callback. */
void vn_client_free(struct vn_client *client);

/* Why the last function on this client failed; valid until the next one fails. Never NULL. */
const struct vn_client_error *vn_client_last_error(const struct vn_client *client);

/* The path that vn_client_open(NULL, ...) would use. */
const char *vn_client_default_path(void);

/* ---- synchronous ----------------------------------------------------------------------------- */

/* Each sends one call and waits for its reply, at most timeout_ms (0: for ever). Callbacks of
 * calls that were started before may run meanwhile. *ret_reply is written on success only and
 * ended with vn_client_reply_free; on failure vn_client_last_error has the details. */

int vn_client_infer(struct vn_client *client, const struct vn_client_request *request,
                    uint32_t timeout_ms, struct vn_client_reply **ret_reply);

/* What would be picked and what it would cost, without running. Without an image the agent sees
 * none, and a store whose agent looks at images answers with its path for a plain one. */
int vn_client_plan(struct vn_client *client, const struct vn_client_request *request,
                   uint32_t timeout_ms, struct vn_client_reply **ret_reply);

/* task NULL: all tasks of the default store. */
int vn_client_describe(struct vn_client *client, const char *task, uint32_t timeout_ms,
                       struct vn_client_reply **ret_reply);

int vn_client_status(struct vn_client *client, uint32_t timeout_ms,
                     struct vn_client_reply **ret_reply);

/* Loads the default store's file again; on failure the daemon keeps the running one. */
int vn_client_reload(struct vn_client *client, uint32_t timeout_ms,
                     struct vn_client_reply **ret_reply);

/* The same for a store by its name; NULL: the default one. */
int vn_client_describe_store(struct vn_client *client, const char *store, const char *task,
                             uint32_t timeout_ms, struct vn_client_reply **ret_reply);
int vn_client_reload_store(struct vn_client *client, const char *store, uint32_t timeout_ms,
                           struct vn_client_reply **ret_reply);

/* Loads the files of all stores again, one after the other; refused when one of them fails, with
 * the others switched. */
int vn_client_reload_all(struct vn_client *client, uint32_t timeout_ms,
                         struct vn_client_reply **ret_reply);

/* ---- event loops ----------------------------------------------------------------------------- */

/* Called once per started call, from vn_client_dispatch, a synchronous call, vn_client_cancel,
 * vn_client_close or vn_client_free. The reply is borrowed: it lives until the callback returns.
 * A callback may start, cancel and close, but not free the client or make a synchronous call. */
typedef void vn_client_callback(void *userdata, uint64_t id, const struct vn_client_reply *reply);

/* Each queues one call and returns 0 with its id, never 0 itself; or it returns a negative errno
 * and the callback will not be called. The request is copied. timeout_ms counts from now and ends
 * the call with -ETIMEDOUT; 0: none. callback may be NULL: nobody wants to know. */

int vn_client_infer_start(struct vn_client *client, const struct vn_client_request *request,
                          uint32_t timeout_ms, vn_client_callback *callback, void *userdata,
                          uint64_t *ret_id);
int vn_client_plan_start(struct vn_client *client, const struct vn_client_request *request,
                         uint32_t timeout_ms, vn_client_callback *callback, void *userdata,
                         uint64_t *ret_id);
int vn_client_describe_start(struct vn_client *client, const char *task, uint32_t timeout_ms,
                             vn_client_callback *callback, void *userdata, uint64_t *ret_id);
int vn_client_status_start(struct vn_client *client, uint32_t timeout_ms,
                           vn_client_callback *callback, void *userdata, uint64_t *ret_id);
int vn_client_reload_start(struct vn_client *client, uint32_t timeout_ms,
                           vn_client_callback *callback, void *userdata, uint64_t *ret_id);
int vn_client_describe_store_start(struct vn_client *client, const char *store, const char *task,
                                   uint32_t timeout_ms, vn_client_callback *callback,
                                   void *userdata, uint64_t *ret_id);
int vn_client_reload_store_start(struct vn_client *client, const char *store, uint32_t timeout_ms,
                                 vn_client_callback *callback, void *userdata, uint64_t *ret_id);
int vn_client_reload_all_start(struct vn_client *client, uint32_t timeout_ms,
                               vn_client_callback *callback, void *userdata, uint64_t *ret_id);

/* Ends an open call now, with -ECANCELED. The daemon is told with the next dispatch, so that it
 * does not work for nobody; what it still answers is dropped. -ENOENT: no such call is open. */
int vn_client_cancel(struct vn_client *client, uint64_t id);

/* The socket to watch, or -1 once the connection is closed. It changes only to -1. */
int vn_client_fd(const struct vn_client *client);

/* What to watch it for: POLLIN, or POLLIN | POLLOUT while bytes wait to be sent; 0 when closed. */
short vn_client_events(const struct vn_client *client);

/* Milliseconds until the first open call times out, rounded up; 0: now; -1: never. The form that
 * poll() takes. */
int vn_client_next_timeout(const struct vn_client *client);

/* Sends, receives and times out what is due, without blocking. 0, or the negative errno that ended
 * the connection: all callbacks have run then, and the client can only be freed. */
int vn_client_dispatch(struct vn_client *client);

/* Calls that were started and have not ended. */
size_t vn_client_open_calls(const struct vn_client *client);

#ifdef __cplusplus
}
#endif
