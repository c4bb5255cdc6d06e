/* Parsing with jansson, also when there is no memory. jansson (2.14) overlooks that a character
 * could not be kept: the text comes out without it, or an assertion ends the process. So it is
 * never told. An allocation that fails is served from a reserve, the text ends there, and what was
 * made of it is thrown away. The text is handed over byte by byte: the end comes at once. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/json.h"

#define RESERVE_BYTES (256 << 10) /* for what one more byte takes; untouched, it costs nothing */

/* The reserve belongs to whoever has the lock. */
static pthread_mutex_t reserve_lock = PTHREAD_MUTEX_INITIALIZER;
static _Alignas(max_align_t) unsigned char reserve[RESERVE_BYTES];
static size_t reserve_used;

struct text {
    const char *bytes;
    size_t length, done;
    bool starved; /* this thread has the lock */
};

/* What this thread parses now, or NULL. */
static _Thread_local struct text *parsed;

/* --- memory ----------------------------------------------------------------------------------- */

static void *take_reserve(size_t bytes)
{
    const size_t unit = _Alignof(max_align_t);
    void *p;

    if (!parsed->starved)
        pthread_mutex_lock(&reserve_lock);
    parsed->starved = true;
    p = reserve + reserve_used;
    if (bytes > RESERVE_BYTES || (bytes + unit - 1) / unit * unit > RESERVE_BYTES - reserve_used)
        return NULL;
    reserve_used += (bytes + unit - 1) / unit * unit;
    return p;
}

static void *take(size_t bytes)
{
    void *p = malloc(bytes);

    return p || !parsed ? p : take_reserve(bytes);
}

static void give(void *p)
{
    uintptr_t at = (uintptr_t)p, start = (uintptr_t)reserve;

    if (at < start || at >= start + RESERVE_BYTES)
        free(p);
}

static void give_back_reserve(struct text *t)
{
    if (!t->starved)
        return;
    reserve_used = 0;
    pthread_mutex_unlock(&reserve_lock);
}

static void use_our_memory(void)
{
    json_set_alloc_funcs(take, give);
}

/* --- parsing ---------------------------------------------------------------------------------- */

/* jansson recurses up to 2048 levels; documents here never need more than a few. */
static bool too_deep(const char *text, size_t length)
{
    unsigned depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < length; i++) {
        char c = text[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > VN_JSON_DEPTH_MAX)
                return true;
        } else if ((c == ']' || c == '}') && depth) {
            depth--;
        }
    }
    return false;
}

/* None once memory has run out. */
static size_t next_byte(void *buffer, size_t size, void *context)
{
    struct text *t = context;

    if (t->starved || t->done == t->length)
        return 0;
    *(char *)buffer = t->bytes[t->done++];
    return 1;
}

static json_t *parse(struct text *t, json_error_t *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    json_t *root;

    pthread_once(&once, use_our_memory);
    parsed = t;
    root = json_load_callback(next_byte, t, JSON_REJECT_DUPLICATES, error);
    if (t->starved) {
        json_decref(root);
        root = NULL;
    }
    parsed = NULL;
    return root;
}

int vn_json_parse(const char *text, size_t length, struct vn_why *why, json_t **ret_root)
{
    struct text t = {.bytes = text, .length = length};
    json_error_t error;
    json_t *root;

    if (too_deep(text, length))
        return vn_because(why, VN_JSON_E_INVALID, "nested more than %d levels deep",
                          VN_JSON_DEPTH_MAX);
    root = parse(&t, &error);
    give_back_reserve(&t);
    if (t.starved)
        return vn_because(why, -ENOMEM, "out of memory");
    if (!root)
        return vn_because(why, VN_JSON_E_INVALID, "line %d, column %d: %s", error.line,
                          error.column, error.text);
    *ret_root = root;
    return 0;
}
