/* The client library against a daemon that the test plays itself, byte by byte, over a socket pair:
 * every started call must end in exactly one callback, whatever the daemon does. */
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/rng.h"
#include "clients/c/virtualnet-client.h"
#include "proto/frame.h"
#include "proto/virtualnet.pb-c.h"
#include "tests/clients/pair.h"

/* Starts n status calls with ids 1 .. n. */
static void start_status(struct pair *p, struct seen *seen, int n, uint32_t timeout_ms)
{
    uint64_t id;

    for (int i = 0; i < n; i++) {
        cr_assert_eq(vn_client_status_start(p->client, timeout_ms, on_reply, &seen[i], &id), 0);
        cr_assert_eq(id, (uint64_t)i + 1);
    }
}

static void expect_all(const struct seen *seen, int n, int result)
{
    for (int i = 0; i < n; i++) {
        cr_expect_eq(seen[i].times, 1, "call %d ended %d times", i + 1, seen[i].times);
        cr_expect_eq(seen[i].result, result, "call %d: %d", i + 1, seen[i].result);
    }
}

static void expect_closed(const struct pair *p)
{
    uint64_t id;

    cr_expect_eq(vn_client_fd(p->client), -1);
    cr_expect_eq(vn_client_events(p->client), 0);
    cr_expect_eq(vn_client_open_calls(p->client), 0);
    cr_expect_eq(vn_client_dispatch(p->client), -ENOTCONN);
    cr_expect_eq(vn_client_status_start(p->client, 0, on_reply, NULL, &id), -ENOTCONN);
}

/* ---- replies --------------------------------------------------------------------------------- */

Test(client, replies_in_any_order_reach_their_calls)
{
    _cleanup_(end) struct pair p = connected();
    struct seen seen[3] = {0};

    start_status(&p, seen, 3, 0);
    cr_expect_eq(vn_client_events(p.client), POLLIN | POLLOUT);
    cr_expect_eq(vn_client_dispatch(p.client), 0); /* sends; nothing to read */
    cr_expect_eq(vn_client_events(p.client), POLLIN);
    reply_status(&p, 3, "third");
    reply_status(&p, 1, "first");
    cr_expect_eq(vn_client_dispatch(p.client), 0);
    cr_expect_eq(seen[1].times, 0);
    cr_expect_eq(vn_client_open_calls(p.client), 1);
    reply_status(&p, 2, "second");
    cr_expect_eq(vn_client_dispatch(p.client), 0);
    expect_all(seen, 3, 0);
    cr_expect_str_eq(seen[0].text, "first");
    cr_expect_str_eq(seen[1].text, "second");
    cr_expect_str_eq(seen[2].text, "third");
    cr_expect_eq(seen[2].id, 3);
}

Test(client, a_reply_may_come_one_byte_at_a_time)
{
    _cleanup_(end) struct pair p = connected();
    struct seen seen = {0};
    Virtualnet__StatusResponse status = VIRTUALNET__STATUS_RESPONSE__INIT;
    Virtualnet__Response response = VIRTUALNET__RESPONSE__INIT;

    start_status(&p, &seen, 1, 0);
    status.store = text("slow");
    response.id = 1;
    response.result_case = VIRTUALNET__RESPONSE__RESULT_STATUS;
    response.status = &status;
    _cleanup_(vn_buffer_deinit) struct vn_buffer b = framed(&response);

    for (size_t i = 0; i < vn_buffer_used(&b); i++) {
        cr_assert_eq(seen.times, 0);
        send_bytes(&p, vn_buffer_head(&b) + i, 1);
        cr_assert_eq(vn_client_dispatch(p.client), 0);
    }
    expect_all(&seen, 1, 0);
}

Test(client, errors_carry_code_sentence_and_numbers)
{
    _cleanup_(end) struct pair p = connected();
    const struct vn_client_error *e;
    struct vn_client_reply *r = NULL;

    reply_error(&p, 1, VIRTUALNET__CODE__BUDGET_TOO_SMALL, "too\033[2Jsmall");
    cr_assert_eq(vn_client_status(p.client, 1000, &r), VN_CLIENT_E_BUDGET_TOO_SMALL);
    e = vn_client_last_error(p.client);
    cr_expect_eq(e->result, VN_CLIENT_E_BUDGET_TOO_SMALL);
    cr_expect_str_eq(e->message, "too?[2Jsmall"); /* no escape sequence reaches a terminal */
    cr_expect_eq(e->needed_bytes, 4711);
    cr_expect_str_eq(e->limit_name, "queue_limit");
    cr_expect_eq(e->limit, 64);
    cr_expect_eq(e->current, 63);
    cr_expect_eq(e->retry_after_ms, 17);
    cr_expect_str_eq(e->phase, "compute?");

    reply_error(&p, 2, (Virtualnet__Code)77, ""); /* a code of a later version */
    cr_expect_eq(vn_client_status(p.client, 1000, &r), VN_CLIENT_E_UNSPECIFIED);
    reply_error(&p, 3, VIRTUALNET__CODE__CODE_UNSPECIFIED, "");
    cr_expect_eq(vn_client_status(p.client, 1000, &r), VN_CLIENT_E_UNSPECIFIED);
    cr_expect_null(r); /* written on success only */
}

/* The library's codes are the wire's. */
Test(client, codes_have_the_numbers_and_names_of_the_wire)
{
    const ProtobufCEnumDescriptor *d = &virtualnet__code__descriptor;

    cr_assert_eq(d->n_values, VN_CLIENT_E_UNKNOWN_STORE + 1); /* and UNSPECIFIED, 0 */
    for (unsigned i = 1; i < d->n_values; i++)
        cr_expect_str_eq(vn_client_result_name(d->values[i].value), d->values[i].name);
    cr_expect_str_eq(vn_client_result_name(VN_CLIENT_E_BUSY), "BUSY");
    cr_expect_str_eq(vn_client_result_name(VN_CLIENT_E_SHUTTING_DOWN), "SHUTTING_DOWN");
    cr_expect_str_eq(vn_client_result_name(VN_CLIENT_E_UNSPECIFIED), "UNSPECIFIED");
    cr_expect_str_eq(vn_client_result_name(-ETIMEDOUT), "ETIMEDOUT");
    cr_expect_str_eq(vn_client_result_name(0), "OK");
}

Test(client, a_description_is_complete)
{
    _cleanup_(end) struct pair p = connected();
    Virtualnet__Measured measured = VIRTUALNET__MEASURED__INIT, *rows[] = {&measured, &measured};
    Virtualnet__Bytes bytes = VIRTUALNET__BYTES__INIT;
    Virtualnet__Task a = VIRTUALNET__TASK__INIT, b = VIRTUALNET__TASK__INIT, *tasks[] = {&a, &b};
    Virtualnet__Store gone = VIRTUALNET__STORE__INIT, here = gone, *stores[] = {&gone, &here};
    Virtualnet__DescribeResponse d = VIRTUALNET__DESCRIBE_RESPONSE__INIT;
    Virtualnet__Response response = VIRTUALNET__RESPONSE__INIT;
    char *labels[] = {text("no"), text("yes")};
    struct vn_client_reply *r;

    measured.by = text("uniform");
    measured.accuracy = 0.5;
    measured.budget_bytes = 12345;
    bytes.total = 7;
    a.name = text("a");
    a.n_measured = b.n_measured = 2;
    a.measured = b.measured = rows;
    b.label = labels;
    b.n_label = 2;
    b.largest = &bytes; /* smallest is left out: zeros */
    d.task = tasks;
    d.n_task = 2;
    here.name = text("here");
    here.loaded = true;
    here.task = labels;
    here.n_task = 2;
    d.known = stores;
    d.n_known = 2;
    response.id = 1;
    response.result_case = VIRTUALNET__RESPONSE__RESULT_DESCRIBE;
    response.describe = &d;
    reply(&p, &response);
    cr_assert_eq(vn_client_describe(p.client, NULL, 1000, &r), 0);
    cr_assert_eq(r->description->n_tasks, 2);
    cr_expect_str_eq(r->description->tasks[0].name, "a");
    cr_expect_str_eq(r->description->tasks[1].labels[1], "yes");
    cr_expect_str_eq(r->description->tasks[1].measured[1].by, "uniform");
    cr_expect_eq(r->description->tasks[0].measured[0].accuracy, 0.5);
    cr_expect_eq(r->description->tasks[0].measured[0].budget_bytes, 12345);
    cr_expect_eq(r->description->tasks[1].largest.total, 7);
    cr_expect_eq(r->description->tasks[1].smallest.total, 0);
    cr_assert_eq(r->description->n_stores, 2);
    cr_expect(!r->description->stores[0].loaded && r->description->stores[1].loaded);
    cr_expect_str_eq(r->description->stores[1].name, "here");
    cr_expect_str_eq(r->description->stores[1].tasks[1], "yes");
    vn_client_reply_free(r);
}

static double cheapest(const struct vn_client_task *task, double accuracy)
{
    const struct vn_client_measured *m = vn_client_cheapest(task, accuracy);

    return m ? m->setting : -1;
}

Test(client, the_cheapest_row_that_is_good_enough)
{
    const struct vn_client_measured rows[] = {
        {.by = "uniform", .setting = 1, .accuracy = 0.5, .budget_bytes = 100},
        {.by = "shared", .setting = 2, .accuracy = 0.7, .budget_bytes = 200},
        {.by = "uniform", .setting = 3, .accuracy = 0.6, .budget_bytes = 200},
        {.by = "shared", .setting = 4, .accuracy = NAN, .budget_bytes = 10},
        {.by = "odd", .setting = 5, .accuracy = 0.9, .budget_bytes = 0}, /* says no budget */
        {.by = "shared", .setting = 6, .accuracy = 0.8, .budget_bytes = 300},
    };
    const struct vn_client_task task = {.n_measured = 6, .measured = rows}, empty = {0};

    cr_expect_eq(cheapest(&task, 0.5), 1);
    cr_expect_eq(cheapest(&task, 0.55), 2, "of equal budgets the more accurate");
    cr_expect_eq(cheapest(&task, 0.7), 2);
    cr_expect_eq(cheapest(&task, 0.75), 6);
    cr_expect_eq(cheapest(&task, 0.81), -1, "a row without a budget is no answer");
    cr_expect_eq(cheapest(&empty, 0), -1);
}

/* ---- requests -------------------------------------------------------------------------------- */

Test(client, a_request_says_what_was_wished)
{
    _cleanup_(end) struct pair p = connected();
    /* a 2 x 2 cut-out of a gray frame with rows of 5 bytes: only its own 4 pixels travel */
    const uint8_t frame[] = {1, 2, 0, 0, 0, 3, 4};
    const uint32_t levels[] = {1, 0, 3};
    struct vn_client_request request = {
        .task = "kind",
        .image = {frame, 2, 2, 5, VN_CLIENT_GRAY8},
        .budget_bytes = 1 << 20,
        .thrift = 0.25,
        .levels = levels,
        .n_levels = 3,
        .top_k = 2,
        .uniform = 1,
    };
    Virtualnet__Request *r;
    uint64_t id;

    cr_assert_eq(vn_client_infer_start(p.client, &request, 500, NULL, NULL, &id), 0);
    cr_assert_eq(vn_client_dispatch(p.client), 0);
    r = receive(&p);
    cr_expect_eq(r->id, id);
    cr_assert_eq(r->call_case, VIRTUALNET__REQUEST__CALL_INFER);
    cr_expect_str_eq(r->infer->task, "kind");
    cr_expect_eq(r->infer->budget_bytes, 1 << 20);
    cr_expect_eq(r->infer->thrift, 0.25);
    cr_assert_eq(r->infer->n_level, 3);
    cr_expect_arr_eq(r->infer->level, levels, sizeof levels);
    cr_expect_eq(r->infer->top_k, 2);
    cr_expect_eq(r->infer->uniform, 1);
    cr_expect_eq(r->infer->deadline_ms, 500); /* the timeout, as no deadline was given */
    cr_expect_eq(r->infer->request_class, VIRTUALNET__REQUEST_CLASS__CLASS_UNSPECIFIED);
    cr_expect_str_eq(r->infer->stream, "");
    cr_expect_eq(r->infer->image->stride, 0);
    cr_assert_eq(r->infer->image->pixels.len, 4);
    cr_expect_arr_eq(r->infer->image->pixels.data, ((uint8_t[]){1, 2, 3, 4}), 4);
    virtualnet__request__free_unpacked(r, NULL);

    request.deadline_ms = 20;
    request.request_class = VN_CLIENT_CONTROL;
    request.stream = "front";
    request.replace = 1;
    request.deadline_at_ns = 12345;
    request.store = "signs";
    cr_assert_eq(vn_client_plan_start(p.client, &request, 500, NULL, NULL, &id), 0);
    cr_assert_eq(vn_client_dispatch(p.client), 0);
    r = receive(&p);
    cr_assert_eq(r->call_case, VIRTUALNET__REQUEST__CALL_PLAN);
    cr_expect_eq(r->plan->deadline_ms, 20);
    cr_expect_eq(r->plan->request_class, VIRTUALNET__REQUEST_CLASS__CONTROL);
    cr_expect_str_eq(r->plan->stream, "front");
    cr_expect(r->plan->replace);
    cr_expect_eq(r->plan->deadline_at_ns, 12345);
    cr_expect_str_eq(r->plan->store, "signs");
    virtualnet__request__free_unpacked(r, NULL);

    cr_assert_eq(vn_client_reload_store_start(p.client, "signs", 0, NULL, NULL, &id), 0);
    cr_assert_eq(vn_client_reload_all_start(p.client, 0, NULL, NULL, &id), 0);
    cr_assert_eq(vn_client_describe_store_start(p.client, "signs", "t", 0, NULL, NULL, &id), 0);
    cr_assert_eq(vn_client_dispatch(p.client), 0);
    r = receive(&p);
    cr_expect(!strcmp(r->reload->store, "signs") && !r->reload->all);
    virtualnet__request__free_unpacked(r, NULL);
    r = receive(&p);
    cr_expect(!strcmp(r->reload->store, "") && r->reload->all);
    virtualnet__request__free_unpacked(r, NULL);
    r = receive(&p);
    cr_expect(!strcmp(r->describe->store, "signs") && !strcmp(r->describe->task, "t"));
    virtualnet__request__free_unpacked(r, NULL);
}

Test(client, requests_that_make_no_sense_are_not_sent)
{
    _cleanup_(end) struct pair p = connected();
    struct vn_client_request good = {.image = {"abcd", 2, 2, 0, VN_CLIENT_GRAY8}}, r = good;
    uint64_t id;

    r.image.pixels = NULL;
    cr_expect_eq(vn_client_infer_start(p.client, &r, 0, on_reply, NULL, &id), -EINVAL);
    cr_expect_eq(vn_client_plan_start(p.client, &r, 0, NULL, NULL, &id), 0);
    r = good, r.image.format = 3;
    cr_expect_eq(vn_client_infer_start(p.client, &r, 0, on_reply, NULL, &id), -EINVAL);
    r = good, r.image.stride = 1;
    cr_expect_eq(vn_client_infer_start(p.client, &r, 0, on_reply, NULL, &id), -EINVAL);
    r = good, r.image.height = 0;
    cr_expect_eq(vn_client_infer_start(p.client, &r, 0, on_reply, NULL, &id), -EINVAL);
    r = good, r.thrift = 1.5;
    cr_expect_eq(vn_client_infer_start(p.client, &r, 0, on_reply, NULL, &id), -EINVAL);
    r = good, r.image.width = r.image.height = UINT32_MAX; /* 2^64 bytes: never read */
    cr_expect_eq(vn_client_infer_start(p.client, &r, 0, on_reply, NULL, &id), -EMSGSIZE);
    cr_expect(strstr(vn_client_last_error(p.client)->message, "larger"));
    cr_expect_eq(vn_client_open_calls(p.client), 1); /* the plan */
}

Test(client, nothing_grows_without_a_limit)
{
    _cleanup_(end) struct pair p = connected();
    _cleanup_(vn_freep) uint8_t *pixels = calloc(1, 8 << 20);
    struct vn_client_request big = {.image = {pixels, 4096, 2048, 0, VN_CLIENT_GRAY8}};
    uint64_t id;
    int n = 0, r = 0;

    /* 16 are in memfds, and 64 MiB of output hold 7 more of a little more than 8 MiB */
    while (!(r = vn_client_infer_start(p.client, &big, 0, NULL, NULL, &id)) && n < 100)
        n++;
    cr_expect_eq(n, 16 + 7);
    cr_expect_eq(r, -EAGAIN);
    while (!(r = vn_client_status_start(p.client, 0, NULL, NULL, &id)) && n < 10000)
        n++;
    cr_expect_eq(n, VN_CLIENT_CALLS_MAX);
    cr_expect_eq(r, -EAGAIN);
}

/* ---- ends ------------------------------------------------------------------------------------ */

Test(client, a_disconnect_ends_every_call_once)
{
    _cleanup_(end) struct pair p = connected();
    struct seen seen[3] = {0};

    start_status(&p, seen, 3, 0);
    vn_client_dispatch(p.client);
    reply_status(&p, 2, "in time");
    hang_up(&p);
    cr_expect_eq(vn_client_dispatch(p.client), -ECONNRESET);
    cr_expect_eq(seen[1].result, 0);
    expect_all(seen, 1, -ECONNRESET);
    expect_all(seen + 2, 1, -ECONNRESET);
    expect_closed(&p);
    vn_client_close(p.client); /* again: nothing happens */
    cr_expect_eq(seen[0].times, 1);
}

Test(client, a_timeout_ends_the_call_and_a_late_reply_is_dropped)
{
    _cleanup_(end) struct pair p = connected();
    struct seen seen[2] = {0};
    uint64_t id;
    int ms;

    cr_assert_eq(vn_client_status_start(p.client, 30, on_reply, &seen[0], &id), 0);
    cr_assert_eq(vn_client_status_start(p.client, 0, on_reply, &seen[1], &id), 0);
    ms = vn_client_next_timeout(p.client);
    cr_expect(ms >= 0 && ms <= 30, "%d", ms);
    while (!seen[0].times) {
        poll(NULL, 0, vn_client_next_timeout(p.client));
        cr_assert_eq(vn_client_dispatch(p.client), 0);
    }
    cr_expect_eq(seen[0].result, -ETIMEDOUT);
    cr_expect_eq(vn_client_next_timeout(p.client), -1);
    reply_status(&p, 1, "late");
    reply_status(&p, 2, "in time");
    cr_expect_eq(vn_client_dispatch(p.client), 0);
    cr_expect_eq(seen[0].times, 1);
    expect_all(seen + 1, 1, 0);
}

Test(client, close_and_free_end_calls_with_ECANCELED)
{
    struct pair p = connected();
    struct seen seen[2] = {0};

    start_status(&p, seen, 2, 1000);
    vn_client_close(p.client);
    expect_all(seen, 2, -ECANCELED);
    expect_closed(&p);
    end(&p);

    memset(seen, 0, sizeof seen);
    p = connected();
    start_status(&p, seen, 2, 1000);
    end(&p);
    expect_all(seen, 2, -ECANCELED);
}

Test(client, cancel_ends_one_call)
{
    _cleanup_(end) struct pair p = connected();
    struct seen seen[2] = {0};

    start_status(&p, seen, 2, 0);
    cr_expect_eq(vn_client_cancel(p.client, 1), 0);
    expect_all(seen, 1, -ECANCELED);
    cr_expect_eq(vn_client_cancel(p.client, 1), -ENOENT);
    reply_status(&p, 1, "dropped");
    reply_status(&p, 2, "kept");
    cr_expect_eq(vn_client_dispatch(p.client), 0);
    expect_all(seen, 2 - 1, -ECANCELED);
    expect_all(seen + 1, 1, 0);
}

Test(client, the_daemon_is_told_what_was_cancelled)
{
    _cleanup_(end) struct pair p = connected();
    struct vn_client_request request = {.task = "kind"};
    struct seen seen[2] = {0};
    Virtualnet__Request *r;
    uint64_t id;

    cr_assert_eq(vn_client_plan_start(p.client, &request, 0, on_reply, &seen[0], &id), 0);
    cr_expect_eq(vn_client_cancel(p.client, 1), 0);
    expect_all(seen, 1, -ECANCELED);
    cr_expect_eq(vn_client_open_calls(p.client), 0);
    cr_assert_eq(vn_client_dispatch(p.client), 0);
    virtualnet__request__free_unpacked(receive(&p), NULL);
    r = receive(&p);
    cr_assert_eq(r->call_case, VIRTUALNET__REQUEST__CALL_CANCEL);
    cr_expect_eq(r->cancel->id, 1);
    cr_expect_eq(r->id, 2);
    virtualnet__request__free_unpacked(r, NULL);

    /* the answers to both belong to nobody, also an older daemon's to the second */
    reply_error(&p, 1, VIRTUALNET__CODE__CANCELLED, "it was");
    reply_error(&p, 2, VIRTUALNET__CODE__BAD_REQUEST, "no such call");
    cr_assert_eq(vn_client_status_start(p.client, 0, on_reply, &seen[1], &id), 0);
    cr_expect_eq(id, 3);
    reply_status(&p, 3, "mine");
    cr_expect_eq(vn_client_dispatch(p.client), 0);
    expect_all(seen + 1, 1, 0);
}

/* ---- callbacks that act ---------------------------------------------------------------------- */

struct actor {
    struct pair *p;
    int times, synchronous, dispatch;
};

static void close_in_callback(void *userdata, uint64_t id, const struct vn_client_reply *r)
{
    struct actor *a = userdata;

    a->times++;
    vn_client_close(a->p->client);
}

Test(client, a_callback_may_close)
{
    _cleanup_(end) struct pair p = connected();
    struct actor a = {.p = &p};
    struct seen seen = {0};
    uint64_t id;

    vn_client_status_start(p.client, 0, close_in_callback, &a, &id);
    vn_client_status_start(p.client, 0, on_reply, &seen, &id);
    reply_status(&p, 1, "x");
    reply_status(&p, 2, "never read");
    cr_expect_eq(vn_client_dispatch(p.client), 0);
    cr_expect_eq(a.times, 1);
    expect_all(&seen, 1, -ECANCELED);
    expect_closed(&p);
}

static void restart_in_callback(void *userdata, uint64_t id, const struct vn_client_reply *r)
{
    struct actor *a = userdata;
    struct vn_client_reply *unused;
    uint64_t next;

    a->times++;
    a->synchronous = vn_client_status(a->p->client, 10, &unused);
    a->dispatch = vn_client_dispatch(a->p->client);
    if (!r->result)
        cr_expect_eq(vn_client_status_start(a->p->client, 0, restart_in_callback, a, &next), 0);
}

Test(client, a_callback_may_start_but_not_wait)
{
    _cleanup_(end) struct pair p = connected();
    struct actor a = {.p = &p};
    uint64_t id;

    cr_assert_eq(vn_client_status_start(p.client, 0, restart_in_callback, &a, &id), 0);
    for (uint64_t i = 1; i <= 3; i++) {
        reply_status(&p, i, "again");
        cr_expect_eq(vn_client_dispatch(p.client), 0);
        cr_expect_eq(a.times, (int)i);
    }
    cr_expect_eq(a.synchronous, -EBUSY);
    cr_expect_eq(a.dispatch, -EBUSY);
    cr_expect_eq(vn_client_open_calls(p.client), 1); /* freed with the client: once more */
}

/* ---- a hostile daemon ------------------------------------------------------------------------ */

/* Sends these bytes to a client with two open calls; both must end with this result, once. */
static void breaks(const void *bytes, size_t n, int result)
{
    _cleanup_(end) struct pair p = connected();
    struct seen seen[2] = {0};

    start_status(&p, seen, 2, 0);
    send_bytes(&p, bytes, n);
    cr_expect_eq(vn_client_dispatch(p.client), result < 0 ? result : -ECONNRESET);
    expect_all(seen, 2, result);
    expect_closed(&p);
}

Test(client, bytes_that_are_no_reply_end_the_connection)
{
    breaks("\xff\xff\xff\xff", 4, -EPROTO);         /* a frame of 4 GiB */
    breaks("\x01\x00\x00\x01", 4, -EPROTO);         /* 16 MiB and a byte: above any reply */
    breaks("\0\0\0\3\xff\xff\xff", 7, -EPROTO);     /* not protobuf */
    breaks("\0\0\0\0", 4, -EPROTO);                 /* an empty reply: id 0, no error */
    breaks("\0\0\0\2\x08\x07", 6, -EPROTO);         /* id 7 was never given out */
    breaks("\0\0\0\2\x08\x01", 6, -EPROTO);         /* id 1, but no result in it */
    breaks("\0\0\0\4\x08\x01\x32\x00", 8, -EPROTO); /* id 1 is answered, but as a reload */
}

Test(client, a_farewell_is_passed_on_as_the_reason)
{
    _cleanup_(end) struct pair p = connected();
    struct seen seen[2] = {0};

    start_status(&p, seen, 2, 0);
    reply_error(&p, 0, VIRTUALNET__CODE__BAD_FRAME, "that was no request");
    hang_up(&p); /* sending fails from here on; the sentence must come through */
    cr_expect_eq(vn_client_dispatch(p.client), -ECONNRESET);
    expect_all(seen, 2, VN_CLIENT_E_BAD_FRAME);
    cr_expect_str_eq(seen[0].text, "that was no request");
    expect_closed(&p);
}

Test(client, one_call_answered_twice_is_answered_once)
{
    _cleanup_(end) struct pair p = connected();
    struct seen seen = {0};

    start_status(&p, &seen, 1, 0);
    reply_status(&p, 1, "first");
    reply_status(&p, 1, "second");
    cr_expect_eq(vn_client_dispatch(p.client), 0);
    expect_all(&seen, 1, 0);
    cr_expect_str_eq(seen.text, "first");
}

/* Two million empty labels are 4 MB on the wire and 0.2 GB unpacked: refused at 128 MiB. */
Test(client, a_reply_that_swells_is_refused)
{
    enum { N = 2000000, LENGTH = 2 + 1 + 4 + 2 * N };
    _cleanup_(end) struct pair p = connected();
    _cleanup_(vn_freep) uint8_t *frame = malloc(4 + LENGTH);
    uint8_t *at = frame;
    struct vn_client_request request = {0};
    struct seen seen = {0};
    size_t sent = 0;
    uint64_t id;
    int r = 0;

    vn_frame_header(LENGTH, at), at += 4;
    *at++ = 0x08, *at++ = 1; /* id 1 */
    *at++ = 0x1a;            /* infer, 2 N bytes as a varint of four */
    for (uint32_t i = 0, v = 2 * N; i < 4; i++, v >>= 7)
        *at++ = (uint8_t)((v & 0x7f) | (i < 3 ? 0x80 : 0));
    for (int i = 0; i < N; i++)
        *at++ = 0x12, *at++ = 0; /* label {} */
    cr_assert_eq(vn_client_plan_start(p.client, &request, 0, on_reply, &seen, &id), 0);
    while (!r && sent < 4 + LENGTH) {
        ssize_t n = send(p.daemon, frame + sent, 4 + LENGTH - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        r = vn_client_dispatch(p.client);
    }
    while (!r)
        r = vn_client_dispatch(p.client);
    cr_expect_eq(r, -EPROTO);
    expect_all(&seen, 1, -EPROTO);
}

/* Valid replies with random damage: nothing crashes, no call ends twice, freeing ends the rest. */
Test(client, damaged_replies_end_calls_once)
{
    struct vn_rng rng = vn_rng_stream(1, 0, 0);

    for (int round = 0; round < 3000; round++) {
        struct pair p = connected();
        struct seen seen[3] = {0};
        Virtualnet__Label label = VIRTUALNET__LABEL__INIT, *labels[] = {&label, &label};
        Virtualnet__InferResponse infer = VIRTUALNET__INFER_RESPONSE__INIT;
        Virtualnet__Response response = VIRTUALNET__RESPONSE__INIT;
        struct vn_client_request request = {0};
        uint64_t id;

        label.name = text("label");
        infer.n_label = 2;
        infer.label = labels;
        response.id = 2;
        response.result_case = VIRTUALNET__RESPONSE__RESULT_INFER;
        response.infer = &infer;
        for (int i = 0; i < 3; i++)
            vn_client_plan_start(p.client, &request, 0, on_reply, &seen[i], &id);
        {
            _cleanup_(vn_buffer_deinit) struct vn_buffer b = framed(&response);

            for (int i = 0; i < 1 + round % 3; i++)
                b.data[vn_rng_below(&rng, (uint32_t)vn_buffer_used(&b))] ^=
                    (uint8_t)(1 + vn_rng_below(&rng, 255));
            send_bytes(&p, vn_buffer_head(&b), vn_buffer_used(&b));
        }
        if (round % 2)
            hang_up(&p);
        vn_client_dispatch(p.client);
        end(&p);
        for (int i = 0; i < 3; i++)
            cr_assert_eq(seen[i].times, 1, "round %d, call %d: %d", round, i + 1, seen[i].times);
    }
}

/* ---- synchronous calls ----------------------------------------------------------------------- */

static void *answer_two(void *argument)
{
    struct pair *p = argument;

    virtualnet__request__free_unpacked(receive(p), NULL);
    virtualnet__request__free_unpacked(receive(p), NULL);
    reply_status(p, 1, "first");
    reply_status(p, 2, "second");
    return NULL;
}

Test(client, a_synchronous_call_serves_the_others)
{
    _cleanup_(end) struct pair p = connected();
    struct vn_client_reply *r = NULL;
    struct seen seen = {0};
    pthread_t daemon;

    start_status(&p, &seen, 1, 0);
    pthread_create(&daemon, NULL, answer_two, &p);
    cr_assert_eq(vn_client_status(p.client, 10000, &r), 0);
    pthread_join(daemon, NULL);
    cr_expect_str_eq(r->status->store, "second");
    vn_client_reply_free(r);
    expect_all(&seen, 1, 0);
    cr_expect_str_eq(seen.text, "first");
}

Test(client, a_synchronous_call_times_out_and_the_next_works)
{
    _cleanup_(end) struct pair p = connected();
    struct vn_client_reply *r = NULL;

    cr_expect_eq(vn_client_status(p.client, 20, &r), -ETIMEDOUT);
    cr_expect_null(r);
    cr_expect_eq(vn_client_last_error(p.client)->result, -ETIMEDOUT);
    reply_status(&p, 1, "late");
    reply_status(&p, 2, "in time");
    cr_assert_eq(vn_client_status(p.client, 10000, &r), 0);
    cr_expect_str_eq(r->status->store, "in time");
    vn_client_reply_free(r);
    hang_up(&p);
    cr_expect_eq(vn_client_status(p.client, 10000, &r), -ECONNRESET);
    cr_expect_eq(vn_client_status(p.client, 10000, &r), -ENOTCONN);
}

Test(client, open_says_why_it_cannot)
{
    struct vn_client *c = NULL;
    char path[200];

    cr_expect_eq(vn_client_open("/nonexistent/socket", 100, &c), -ENOENT);
    cr_expect_eq(vn_client_open("", 100, &c), -ENOENT);
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = 0;
    cr_expect_eq(vn_client_open(path, 100, &c), -ENAMETOOLONG);
    cr_expect_eq(vn_client_open_fd(-1, &c), -EBADF);
    cr_expect_null(c);
    vn_client_free(NULL);
    vn_client_reply_free(NULL);
    setenv("VIRTUALNET_SOCKET", "/here", 1);
    cr_expect_str_eq(vn_client_default_path(), "/here");
    setenv("VIRTUALNET_SOCKET", "", 1);
    cr_expect_str_eq(vn_client_default_path(), VN_CLIENT_SOCKET_DEFAULT);
}
