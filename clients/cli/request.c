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

bool vn_cli_request_option(const char *name, int option, const char *value,
                           struct vn_cli_request *r)
{
    const char *wanted;

    switch (option) {
    case 't':
        r->request.task = value;
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
    default:
        return vn_cli_common_option(name, option, value, &r->common);
    }
    vn_cli_usage(name, "%s, not '%s'", wanted, value);
    return false;
}

static int expand_level(struct vn_client *client, struct vn_cli_request *r)
{
    _cleanup_(vn_client_reply_freep) struct vn_client_reply *reply = NULL;
    uint32_t blocks;

    if (vn_client_describe(client, r->request.task, r->common.timeout_ms, &reply))
        return vn_cli_failed(&r->common, NULL, vn_client_last_error(client));
    blocks = reply->description->blocks;
    if (blocks > VN_CLI_LEVELS_MAX)
        return vn_cli_sorry(r->common.json, VN_EXIT_CONNECTION, NULL,
                            "the daemon's network has more blocks than there can be");
    for (uint32_t b = 0; b < blocks; b++)
        r->levels[b] = r->level;
    r->request.levels = r->levels;
    r->request.n_levels = blocks;
    return 0;
}

int vn_cli_request_finish(const char *name, struct vn_client *client, struct vn_cli_request *r)
{
    if (r->has_level + (r->request.levels != NULL) + r->request.uniform > 1)
        return vn_cli_usage(name, "--level, --path and --uniform exclude each other");
    return r->has_level ? expand_level(client, r) : 0;
}

struct vn_client_image vn_cli_image(const struct vn_image_buffer *b)
{
    return (struct vn_client_image){
        .pixels = b->pixels,
        .width = b->width,
        .height = b->height,
        .format = b->format == VN_PIXELS_RGB8 ? VN_CLIENT_RGB8 : VN_CLIENT_GRAY8,
    };
}
