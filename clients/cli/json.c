/* The library's structs as JSON, with the field names of the wire protocol. */
#include <math.h>
#include <string.h>

#include "clients/cli/cli.h"

json_t *vn_cli_json_text(const char *text)
{
    json_t *value = json_string(text);
    char *copy;

    if (value)
        return value;
    copy = strdup(text); /* not UTF-8: a file name, or a daemon that is none */
    if (!copy)
        return NULL;
    for (char *p = copy; *p; p++)
        if (*p & 0x80)
            *p = '?';
    value = json_string(copy);
    free(copy);
    return value;
}

json_t *vn_cli_json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null(); /* JSON has no NaN */
}

json_t *vn_cli_json_bytes(const struct vn_client_bytes *b)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "total", (json_int_t)b->total, "params",
                     (json_int_t)b->params, "params_resident", (json_int_t)b->params_resident,
                     "scratch", (json_int_t)b->scratch, "io", (json_int_t)b->io);
}

json_t *vn_cli_json_levels(const uint32_t *levels, size_t n)
{
    json_t *array = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, json_integer(levels[i]));
    return array;
}

static json_t *labels_of(const struct vn_client_answer *a)
{
    json_t *array = json_array();

    for (size_t i = 0; i < a->n_labels; i++)
        json_array_append_new(array,
                              json_pack("{s:I, s:o, s:o}", "index", (json_int_t)a->labels[i].index,
                                        "name", vn_cli_json_text(a->labels[i].name), "probability",
                                        vn_cli_json_number(a->labels[i].probability)));
    return array;
}

json_t *vn_cli_json_answer(const struct vn_client_answer *a)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:I, s:I, s:I, s:b, s:b, s:I}",
                     "store", vn_cli_json_text(a->store), "task", vn_cli_json_text(a->task),
                     "label", labels_of(a), "level", vn_cli_json_levels(a->levels, a->n_levels),
                     "density", vn_cli_json_number(a->density), "bytes",
                     vn_cli_json_bytes(&a->bytes), "budget_bytes", (json_int_t)a->budget_bytes,
                     "decided_by", vn_cli_json_text(a->decided_by), "queue_ns",
                     (json_int_t)a->queue_ns, "agent_ns", (json_int_t)a->agent_ns, "compute_ns",
                     (json_int_t)a->compute_ns, "streamed", a->streamed, "replanned", a->replanned,
                     "page_in_ns", (json_int_t)a->page_in_ns);
}

json_t *vn_cli_json_error(const struct vn_client_error *e)
{
    json_t *object = json_pack("{s:s, s:o}", "code", vn_client_result_name(e->result), "message",
                               vn_cli_json_text(e->message));

    if (e->needed_bytes)
        json_object_set_new(object, "needed_bytes", json_integer((json_int_t)e->needed_bytes));
    if (*e->limit_name) {
        json_object_set_new(object, "limit_name", vn_cli_json_text(e->limit_name));
        json_object_set_new(object, "limit", json_integer((json_int_t)e->limit));
        json_object_set_new(object, "current", json_integer((json_int_t)e->current));
    }
    if (e->retry_after_ms)
        json_object_set_new(object, "retry_after_ms", json_integer(e->retry_after_ms));
    if (*e->phase)
        json_object_set_new(object, "phase", vn_cli_json_text(e->phase));
    return object;
}

int vn_cli_print_json(json_t *value)
{
    int r = value ? json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(7)) : -1;

    json_decref(value);
    if (r) {
        fprintf(stderr, "virtualnet: no memory for the output\n");
        return VN_EXIT_SYSTEM;
    }
    putchar('\n');
    return VN_EXIT_OK;
}
