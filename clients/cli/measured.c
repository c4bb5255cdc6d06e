#include "clients/cli/measured.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/bytes.h"

const char *vn_cli_budget(uint64_t bytes, char text[static VN_CLI_BUDGET_TEXT])
{
    snprintf(text, VN_CLI_BUDGET_TEXT, "%" PRIu64 "KiB", bytes / 1024 + (bytes % 1024 != 0));
    return text;
}

static bool is_uniform(const struct vn_client_measured *m)
{
    return !strcmp(m->by, "uniform");
}

const char *vn_cli_how(const struct vn_client_measured *m, char text[static VN_CLI_HOW_TEXT])
{
    if (is_uniform(m))
        snprintf(text, VN_CLI_HOW_TEXT, "level %.4g", m->setting);
    else
        snprintf(text, VN_CLI_HOW_TEXT, "%.16s agent", m->by);
    return text;
}

/* ---- which row is about an answer ------------------------------------------------------------ */

/* The level that all blocks have, or -1. */
static int level_of(const struct vn_client_answer *a)
{
    for (size_t i = 1; i < a->n_levels; i++)
        if (a->levels[i] != a->levels[0])
            return -1;
    return a->n_levels && a->levels[0] < INT_MAX ? (int)a->levels[0] : -1;
}

static bool by_agent(const struct vn_client_answer *a)
{
    return strcmp(a->decided_by, "uniform") && strcmp(a->decided_by, "request");
}

const struct vn_client_measured *vn_cli_measured_of(const struct vn_client_task *task,
                                                    const struct vn_client_answer *a,
                                                    uint64_t image_extra)
{
    uint64_t budget = a->budget_bytes ? a->budget_bytes : UINT64_MAX;
    const struct vn_client_measured *best = NULL;

    budget = budget > image_extra ? budget - image_extra : 0;
    for (size_t i = 0; i < task->n_measured; i++) {
        const struct vn_client_measured *m = &task->measured[i];

        if (!by_agent(a)) {
            if (is_uniform(m) && m->setting == level_of(a))
                return m;
        } else if (!strcmp(m->by, a->decided_by) && m->budget_bytes <= budget &&
                   (!best || m->budget_bytes > best->budget_bytes)) {
            best = m;
        }
    }
    return best;
}

json_t *vn_cli_json_measured(const struct vn_client_measured *m)
{
    if (!m)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I}", "by", vn_cli_json_text(m->by), "setting",
                     vn_cli_json_number(m->setting), "accuracy", vn_cli_json_number(m->accuracy),
                     "params", vn_cli_json_number(m->params), "bytes", vn_cli_json_number(m->bytes),
                     "budget_bytes", (json_int_t)m->budget_bytes);
}

/* ---- the table ------------------------------------------------------------------------------- */

#define ROWS_MAX 64 /* the engine's limit; of a stranger's longer table the rest is left out */

static bool comes_before(const struct vn_client_measured *a, const struct vn_client_measured *b)
{
    return a->budget_bytes < b->budget_bytes ||
           (a->budget_bytes == b->budget_bytes && a->accuracy < b->accuracy);
}

static size_t sorted(const struct vn_client_task *t, const struct vn_client_measured **rows)
{
    size_t n = t->n_measured < ROWS_MAX ? t->n_measured : ROWS_MAX;

    for (size_t i = 0; i < n; i++) {
        size_t k = i;

        for (; k && comes_before(&t->measured[i], rows[k - 1]); k--)
            rows[k] = rows[k - 1];
        rows[k] = &t->measured[i];
    }
    return n;
}

static void print_row(const struct vn_client_task *t, const struct vn_client_measured *m)
{
    char budget[VN_CLI_BUDGET_TEXT], bytes[VN_BYTES_TEXT], how[VN_CLI_HOW_TEXT];
    bool sane = m->bytes >= 0 && m->bytes < 0x1p63;

    printf("    %10s %8.2f %% %c  ", m->budget_bytes ? vn_cli_budget(m->budget_bytes, budget) : "-",
           m->accuracy * 100, m == vn_client_cheapest(t, m->accuracy) ? '*' : ' ');
    vn_cli_text(vn_cli_how(m, how), 14);
    printf(" %10.0f %12s\n", m->params, sane ? vn_bytes_format((uint64_t)m->bytes, bytes) : "-");
}

void vn_cli_print_measured(const struct vn_client_task *t)
{
    const struct vn_client_measured *rows[ROWS_MAX];
    size_t n = sorted(t, rows);

    if (!n)
        return;
    printf("  accuracy on the validation split, by budget (*: nothing cheaper is as good)\n");
    printf("    %10s %10s    %-14s %10s %12s\n", "BUDGET", "ACCURACY", "PATHS BY", "PARAMETERS",
           "RESIDENT");
    for (size_t i = 0; i < n; i++)
        print_row(t, rows[i]);
}
