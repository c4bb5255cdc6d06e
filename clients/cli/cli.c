/* Options, connection and complaints: what every subcommand needs. */
#include "clients/cli/cli.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

bool vn_cli_u32(const char *text, uint32_t min, uint32_t max, uint32_t *ret)
{
    unsigned long long value;
    char *end;

    if (*text < '0' || *text > '9') /* strtoull would take a sign and blanks */
        return false;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno || *end || value < min || value > max)
        return false;
    *ret = (uint32_t)value;
    return true;
}

bool vn_cli_number(const char *text, double min, double max, double *ret)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end || !(value >= min && value <= max))
        return false;
    *ret = value;
    return true;
}

int vn_cli_usage(const char *name, const char *format, ...)
{
    va_list ap;

    fprintf(stderr, "virtualnet %s: ", name);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fprintf(stderr, "\n'virtualnet %s --help' explains the options, with examples.\n", name);
    return VN_EXIT_USAGE;
}

bool vn_cli_common_option(const char *name, int option, const char *value,
                          struct vn_cli_common *common)
{
    switch (option) {
    case 'S':
        common->socket = value;
        return true;
    case 'J':
        common->json = true;
        return true;
    case 'T':
        if (vn_cli_u32(value, 0, UINT32_MAX, &common->timeout_ms))
            return true;
        vn_cli_usage(name, "--timeout takes milliseconds, not '%s'", value);
        return false;
    default: /* getopt has said what is wrong with it */
        fprintf(stderr, "'virtualnet %s --help' explains the options, with examples.\n", name);
        return false;
    }
}

/* ---- complaints ------------------------------------------------------------------------------ */

static int exit_code_of(int result)
{
    switch (result) {
    case -ETIMEDOUT:
    case -ECONNRESET:
    case -EPIPE:
    case -EPROTO:
    case -ENOTCONN:
        return VN_EXIT_CONNECTION;
    case -EMSGSIZE:
    case -EINVAL:
        return VN_EXIT_REFUSED;
    default:
        return result > 0 ? VN_EXIT_REFUSED : VN_EXIT_SYSTEM;
    }
}

/* What to do next. Empty when the daemon's sentence already says it. */
#define IN_TEXT 32

/* " in 20 ms", nothing when it is not known. */
static const char *in(uint32_t ms, char text[static IN_TEXT])
{
    snprintf(text, IN_TEXT, ms ? " in %u ms" : "", ms);
    return text;
}

static void print_advice(const struct vn_client_error *e)
{
    char text[IN_TEXT];

    switch (e->result) {
    case VN_CLIENT_E_UNKNOWN_TASK:
        fprintf(stderr, "  'virtualnet describe' lists the tasks; --task chooses one.\n");
        break;
    case VN_CLIENT_E_UNKNOWN_STORE:
        fprintf(stderr, "  'virtualnet status' lists the stores; --store chooses one.\n");
        break;
    case VN_CLIENT_E_BUDGET_TOO_SMALL: /* rounded up: the advice must be enough */
        fprintf(stderr, "  Give --budget %juKiB or more.\n",
                (uintmax_t)(e->needed_bytes / 1024 + (e->needed_bytes % 1024 != 0)));
        break;
    case VN_CLIENT_E_BUSY:
        fprintf(stderr,
                "  Limit %s: %ju of %ju in use. Try again%s, or raise it in the daemon's "
                "configuration.\n",
                e->limit_name, (uintmax_t)e->current, (uintmax_t)e->limit,
                in(e->retry_after_ms, text));
        break;
    case VN_CLIENT_E_DEADLINE:
        fprintf(stderr, "  It ended in phase '%s'. Raise --timeout, or lower --budget.\n",
                e->phase);
        break;
    case VN_CLIENT_E_NOT_ALLOWED:
        fprintf(stderr, "  Run it as the daemon's user or as root.\n");
        break;
    case -ETIMEDOUT:
        fprintf(stderr, "  Raise --timeout, or look at 'virtualnet status'.\n");
        break;
    default:
        break;
    }
}

int vn_cli_sorry(bool json, int exit_code, const char *about, const char *sentence)
{
    json_t *object;

    if (!json) {
        fprintf(stderr, "virtualnet: %s%s%s\n", about ? about : "", about ? ": " : "", sentence);
        return exit_code;
    }
    object = json_pack("{s:{s:o}}", "error", "message", vn_cli_json_text(sentence));
    if (about && object)
        json_object_set_new(object, "image", vn_cli_json_text(about));
    vn_cli_print_json(object);
    return exit_code;
}

int vn_cli_failed(const struct vn_cli_common *common, const char *about,
                  const struct vn_client_error *error)
{
    json_t *object;

    if (!common->json) {
        vn_cli_sorry(false, 0, about, error->message);
        print_advice(error);
        return exit_code_of(error->result);
    }
    object = json_pack("{s:o}", "error", vn_cli_json_error(error));
    if (about && object)
        json_object_set_new(object, "image", vn_cli_json_text(about));
    vn_cli_print_json(object);
    return exit_code_of(error->result);
}

static const char *connect_advice(int r)
{
    switch (r) {
    case -ENOENT:
        return "no socket is there. Is the daemon installed and started "
               "(systemctl start virtualnetd.socket)? --socket names another place";
    case -ECONNREFUSED:
        return "a socket is there, but nobody listens. Start the daemon "
               "(systemctl start virtualnetd.socket)";
    case -EACCES:
        return "you may not use the daemon. Its socket belongs to a group: ask to be made a member";
    case -ENAMETOOLONG:
        return "a socket's path may have at most 107 bytes";
    case -EAGAIN:
        return "the daemon does not accept connections; it may be overloaded or hung";
    default:
        return strerror(-r);
    }
}

int vn_cli_connect(const struct vn_cli_common *common, struct vn_client **ret_client)
{
    const char *path = common->socket ? common->socket : vn_client_default_path();
    char sentence[512];
    int r = vn_client_open(path, common->timeout_ms, ret_client);

    if (!r)
        return 0;
    snprintf(sentence, sizeof sentence, "cannot connect to %.200s: %s.", path, connect_advice(r));
    return vn_cli_sorry(common->json, VN_EXIT_CONNECTION, NULL, sentence);
}

/* ---- text ------------------------------------------------------------------------------------ */

int vn_cli_width(const char *text)
{
    int n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80; /* not a continuation byte */
    return n;
}

void vn_cli_text(const char *text, int width)
{
    int n = vn_cli_width(text);

    for (; *text; text++)
        putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
    printf("%*s", n < width ? width - n : 0, "");
}

const char *vn_cli_path(const uint32_t *levels, size_t n, char text[static VN_CLI_PATH_TEXT])
{
    size_t used = 0;

    text[0] = 0;
    for (size_t i = 0; i < n; i++) {
        if (used > VN_CLI_PATH_TEXT - 16) {
            strcpy(text + used, "...");
            break;
        }
        used += (size_t)sprintf(text + used, i ? ",%u" : "%u", levels[i]);
    }
    return text;
}

int vn_cli_take_count(const char *command, const char *option, const char *text, uint32_t max,
                      uint32_t *ret)
{
    return vn_cli_u32(text, 1, max, ret)
               ? 0
               : vn_cli_usage(command, "--%s takes 1 to %u, not '%s'", option, max, text);
}

uint32_t vn_cli_processors(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) ? 1 : (uint32_t)CPU_COUNT(&set);
}
