#include "clients/cli/request.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/network.h"

_Static_assert(VN_CLI_LEVELS_MAX == VN_BLOCKS_MAX, "a path has one level per block");

/* "1,2,0,4". */
static bool parse_path(const char *text, struct vn_cli_request *r)
{
    char *end;
    unsigned long level;
    size_t n = 0;

    do {
        if (*text < '0' || *text > '9' || n == VN_CLI_LEVELS_MAX)
            return false;
        level = strtoul(text, &end, 10);
        if (level > VN_GROUPS_MAX)
            return false;
        r->levels[n++] = (uint32_t)level;
        text = end + 1;
    } while (*end == ',');
    if (*end)
        return false;
    r->request.levels = r->levels;
    r->request.n_levels = n;
    return true;
}

/* "0.9" or "90%". */
static bool parse_accuracy(const char *text, double *ret)
{
    size_t n = strlen(text);
    char number[32];

    if (!n || n >= sizeof number)
        return false;
    strcpy(number, text);
    if (number[n - 1] != '%')
        return vn_cli_number(number, 1e-6, 1, ret);
    number[n - 1] = 0;
    if (!vn_cli_number(number, 1e-4, 100, ret))
        return false;
    *ret /= 100;
    return true;
}

static bool parse_when_full(const char *text, enum vn_client_when_full *ret)
{
    static const char *const words[] = {
        [VN_CLIENT_WAIT] = "wait",
        [VN_CLIENT_REPLAN] = "replan",
        [VN_CLIENT_REFUSE] = "refuse",
    };

    for (int i = VN_CLIENT_WAIT; i <= VN_CLIENT_REFUSE; i++) {
        if (strcmp(text, words[i]))
            continue;
        *ret = (enum vn_client_when_full)i;
        return true;
    }
    return false;
}

bool vn_cli_request_option(const char *name, int option, const char *value,
                           struct vn_cli_request *r)
{
    const char *wanted;

    switch (option) {
    case 't':
        r->request.task = value;
        return true;
    case 'o':
        r->request.store = value;
        return true;
    case 'u':
        r->request.uniform = 1;
        return true;
    case 'b':
        if (!vn_bytes_parse(value, &r->request.budget_bytes) && r->request.budget_bytes)
            return true;
        wanted = "--budget takes a size above 0, as 65536, 64KiB or 1.5MiB";
        break;
    case 'x':
        if (vn_cli_number(value, 0, 1, &r->request.thrift))
            return true;
        wanted = "--thrift takes a number in 0 .. 1";
        break;
    case 'l':
        r->has_level = true;
        if (vn_cli_u32(value, 0, VN_GROUPS_MAX, &r->level))
            return true;
        wanted = "--level takes a number of groups, 0 .. 16";
        break;
    case 'p':
        if (parse_path(value, r))
            return true;
        wanted = "--path takes one level per block, as 1,2,0,4";
        break;
    case 's':
        r->request.streaming = 1;
        return true;
    case 'w':
        if (parse_when_full(value, &r->request.when_full))
            return true;
        wanted = "--when-full takes wait, replan or refuse";
        break;
    case 'a':
        if (parse_accuracy(value, &r->accuracy))
            return true;
        wanted = "--accuracy takes a share above 0, as 0.9 or 90%";
        break;
    default:
        return vn_cli_common_option(name, option, value, &r->common);
    }
    vn_cli_usage(name, "%s, not '%s'", wanted, value);
    return false;
}

int vn_cli_request_describe(const char *name, struct vn_client *client, struct vn_cli_request *r)
{
    const struct vn_client_description *d;

    if (r->description)
        return 0;
    if (vn_client_describe_store(client, r->request.store, r->request.task, r->common.timeout_ms,
                                 &r->description))
        return vn_cli_failed(&r->common, NULL, vn_client_last_error(client));
    d = r->description->description;
    if (d->n_tasks > 1)
        return vn_cli_usage(name, "the store has %zu tasks: --task chooses one", d->n_tasks);
    r->task = d->n_tasks ? &d->tasks[0] : NULL;
    return 0;
}

static int expand_level(const char *name, struct vn_client *client, struct vn_cli_request *r)
{
    uint32_t blocks;
    int code = vn_cli_request_describe(name, client, r);

    if (code)
        return code;
    blocks = r->description->description->blocks;
    if (blocks > VN_CLI_LEVELS_MAX)
        return vn_cli_sorry(r->common.json, VN_EXIT_CONNECTION, NULL,
                            "the daemon's network has more blocks than there can be");
    for (uint32_t b = 0; b < blocks; b++)
        r->levels[b] = r->level;
    r->request.levels = r->levels;
    r->request.n_levels = blocks;
    return 0;
}

/* No budget reaches it: says what the best is. */
static int too_accurate(const struct vn_cli_request *r)
{
    double best = -1;
    char sentence[256];

    for (size_t i = 0; r->task && i < r->task->n_measured; i++)
        if (r->task->measured[i].accuracy > best)
            best = r->task->measured[i].accuracy;
    if (best < 0)
        return vn_cli_sorry(r->common.json, VN_EXIT_REFUSED, NULL,
                            "the store carries no accuracy table: --budget must say how much");
    snprintf(sentence, sizeof sentence,
             "no budget reached an accuracy of %.4g %% on the validation split; the best is %.4g "
             "%% ('virtualnet describe' shows all)",
             100 * r->accuracy, 100 * best);
    return vn_cli_sorry(r->common.json, VN_EXIT_REFUSED, NULL, sentence);
}

static int expand_accuracy(const char *name, struct vn_client *client, struct vn_cli_request *r)
{
    const struct vn_client_measured *m;
    int code = vn_cli_request_describe(name, client, r);

    if (code)
        return code;
    m = r->task ? vn_client_cheapest(r->task, r->accuracy) : NULL;
    if (!m)
        return too_accurate(r);
    r->request.budget_bytes = m->budget_bytes;
    r->request.uniform = !strcmp(m->by, "uniform");
    return 0;
}

int vn_cli_request_finish(const char *name, struct vn_client *client, struct vn_cli_request *r)
{
    if (r->has_level + (r->request.levels != NULL) + r->request.uniform > 1)
        return vn_cli_usage(name, "--level, --path and --uniform exclude each other");
    if (!r->accuracy)
        return r->has_level ? expand_level(name, client, r) : 0;
    if (r->has_level || r->request.levels || r->request.uniform || r->request.budget_bytes ||
        r->request.thrift > 0)
        return vn_cli_usage(name, "--accuracy chooses budget and rule: it stands alone beside "
                                  "--task");
    return expand_accuracy(name, client, r);
}

static struct vn_client_image view(const struct vn_image_buffer *b)
{
    return (struct vn_client_image){
        .pixels = b->pixels,
        .width = b->width,
        .height = b->height,
        .format = b->format == VN_PIXELS_RGB8 ? VN_CLIENT_RGB8 : VN_CLIENT_GRAY8,
    };
}

uint64_t vn_cli_image_extra(const struct vn_cli_request *r, const struct vn_image_buffer *image)
{
    uint64_t own;

    if (!r->task)
        return 0;
    own = (uint64_t)r->task->width * r->task->height * (strcmp(r->task->color, "gray") ? 3 : 1);
    return image->length > own ? image->length - own : 0;
}

struct vn_client_request vn_cli_request_of(const struct vn_cli_request *r,
                                           const struct vn_image_buffer *image)
{
    struct vn_client_request request = r->request;

    request.image = view(image);
    if (r->accuracy)
        request.budget_bytes += vn_cli_image_extra(r, image);
    return request;
}

void vn_cli_request_deinit(struct vn_cli_request *r)
{
    vn_client_reply_free(r->description);
    r->description = NULL;
}
