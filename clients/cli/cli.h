/* What the subcommands of `virtualnet` share. A subcommand is one file that defines
 *
 *     const struct vn_command vn_command_NAME = {...};
 *
 * and the word NAME in the list of meson.build; main.c finds it there. --help is answered by
 * main.c for all of them. */
#pragma once

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "clients/c/virtualnet-client.h"

/* Exit codes; `virtualnet --help` lists them. */
enum {
    VN_EXIT_OK = 0,
    VN_EXIT_REFUSED = 1, /* the daemon or the engine said no, or verify found damage */
    VN_EXIT_USAGE = 2,   /* the command line makes no sense */
    VN_EXIT_CONNECTION =
        3,              /* no daemon there, the connection broke, or it did not answer in time */
    VN_EXIT_INPUT = 4,  /* a file cannot be read, or is not what it should be */
    VN_EXIT_SYSTEM = 5, /* this side ran out of something, or the output cannot be written */
    VN_EXIT_INTERRUPTED = 6, /* stopped by a signal; training goes on with --resume */
};

struct vn_command {
    const char *name;
    const char *summary;               /* one line for the list of commands */
    const char *help;                  /* usage, options, examples */
    bool computes;                     /* runs the engine: BLAS must be single-threaded */
    int (*run)(int argc, char **argv); /* argv[0]: "virtualnet NAME"; returns an exit code */
};

VN_DEFINE_CLEANUP(struct vn_client *, vn_client_free);
VN_DEFINE_CLEANUP(struct vn_client_reply *, vn_client_reply_free);

/* ---- command line: cli.c --------------------------------------------------------------------- */

/* Options of every command that talks to the daemon. */
struct vn_cli_common {
    const char *socket; /* NULL: the default */
    uint32_t timeout_ms;
    bool json;
};

#define VN_CLI_TIMEOUT_MS 10000 /* default: a cold page cache on a slow card, and room */
#define VN_CLI_COMMON                                                                              \
    {                                                                                              \
        .timeout_ms = VN_CLI_TIMEOUT_MS                                                            \
    }

/* For the option list of getopt_long, and the text about them for the help. */
#define VN_CLI_COMMON_OPTIONS                                                                      \
    {"socket", required_argument, NULL, 'S'}, {"timeout", required_argument, NULL, 'T'},           \
    {                                                                                              \
        "json", no_argument, NULL, 'J'                                                             \
    }
#define VN_CLI_COMMON_HELP                                                                         \
    "  --socket PATH    the daemon's socket ($VIRTUALNET_SOCKET, else\n"                           \
    "                   " VN_CLIENT_SOCKET_DEFAULT ")\n"                                           \
    "  --timeout MS     give up after so many milliseconds (10000; 0: never)\n"                    \
    "  --json           print JSON, also for errors\n"

/* Handles one of the common options. False: it is another, or its value is wrong (and said so);
 * both are a usage error. */
bool vn_cli_common_option(const char *name, int option, const char *value,
                          struct vn_cli_common *common);

/* "virtualnet NAME: sentence", and where to read on. Returns VN_EXIT_USAGE. */
int vn_cli_usage(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Numbers of the command line; the whole text must be one, in the range. */
bool vn_cli_u32(const char *text, uint32_t min, uint32_t max, uint32_t *ret);
bool vn_cli_number(const char *text, double min, double max, double *ret);

/* An option that takes 1 .. max: 0, or VN_EXIT_USAGE after saying so. */
int vn_cli_take_count(const char *command, const char *option, const char *text, uint32_t max,
                      uint32_t *ret);

/* Processors that this process may use. */
uint32_t vn_cli_processors(void);

/* 0, or an exit code after saying what to do about it. */
int vn_cli_connect(const struct vn_cli_common *common, struct vn_client **ret_client);

/* Says an error of the client library on stderr, with the next step; with --json as an object on
 * stdout. `about` (a file, or NULL) comes first. Returns the exit code. */
int vn_cli_failed(const struct vn_cli_common *common, const char *about,
                  const struct vn_client_error *error);

/* The same for a failure with a sentence of our own. */
int vn_cli_sorry(bool json, int exit_code, const char *about, const char *sentence);

/* ---- text ------------------------------------------------------------------------------------ */

/* Prints text that came from elsewhere, control characters replaced, padded with blanks to `width`
 * code points. */
void vn_cli_text(const char *text, int width);

/* Code points of an UTF-8 text. */
int vn_cli_width(const char *text);

/* "1,2,0,4": what --path takes; truncated with "..." when longer than the buffer. */
#define VN_CLI_PATH_TEXT 256
const char *vn_cli_path(const uint32_t *levels, size_t n, char text[static VN_CLI_PATH_TEXT]);

/* ---- JSON: json.c ---------------------------------------------------------------------------- */

/* New references; NULL only when memory is out, which vn_cli_print_json reports. */
json_t *vn_cli_json_text(const char *text); /* bytes that are not UTF-8 become '?' */
json_t *vn_cli_json_number(double value);   /* null when it is not finite */
json_t *vn_cli_json_bytes(const struct vn_client_bytes *bytes);
json_t *vn_cli_json_levels(const uint32_t *levels, size_t n);
json_t *vn_cli_json_answer(const struct vn_client_answer *answer);
json_t *vn_cli_json_error(const struct vn_client_error *error);

/* One line on stdout; takes the reference. VN_EXIT_OK or VN_EXIT_SYSTEM. */
int vn_cli_print_json(json_t *value);
