/* virtualnetd: flags, configuration, and then daemon_run. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/fault.h"

#define EXIT_USAGE 2 /* flags or configuration: starting it again will not help */

static const char usage[] =
    "virtualnetd - answers what is in an image, within a memory budget, over a Unix socket\n"
    "\n"
    "  --config FILE      read FILE instead of " VIRTUALNETD_CONFIG "\n"
    "                     (which may be missing: every key has a default)\n"
    "  --socket PATH      overrides socket_path\n"
    "  --store FILE       overrides store_path\n"
    "  --log-level LEVEL  overrides log_level: error, warning, notice, info, debug\n"
    "  --check-config     print the configuration that would be used, or what is wrong, and exit\n"
    "  --version, --help\n"
    "\n"
    "Signals: HUP loads the store again, TERM and INT finish what runs and stop.\n"
    "Exit status: 0 stopped as asked, 1 could not start or broke, 2 flags or configuration,\n"
    "74 the store file was cut short while in use.\n";

struct flags {
    const char *config, *socket, *store, *log_level;
    bool check;
};

/* Returns -1 to go on, else the exit status. */
static int read_flags(int argc, char **argv, struct flags *ret_flags)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"socket", required_argument, NULL, 's'},
        {"store", required_argument, NULL, 'f'},  {"log-level", required_argument, NULL, 'l'},
        {"check-config", no_argument, NULL, 'k'}, {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    struct flags f = {0};

    for (;;) {
        switch (getopt_long(argc, argv, "", options, NULL)) {
        case 'c':
            f.config = optarg;
            break;
        case 's':
            f.socket = optarg;
            break;
        case 'f':
            f.store = optarg;
            break;
        case 'l':
            f.log_level = optarg;
            break;
        case 'k':
            f.check = true;
            break;
        case 'v':
            puts("virtualnetd " VN_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        case -1:
            if (optind < argc) {
                fprintf(stderr, "virtualnetd: \"%s\" belongs to no flag; --help lists them\n",
                        argv[optind]);
                return EXIT_USAGE;
            }
            *ret_flags = f;
            return -1;
        default: /* getopt_long has said what */
            fputs("virtualnetd --help lists the flags\n", stderr);
            return EXIT_USAGE;
        }
    }
}

/* A file that was named must be there; the default one need not be. */
static int load_file(const struct flags *f, struct vn_why *why, struct config *ret_config)
{
    if (f->config)
        return config_load(f->config, why, ret_config);
    if (!access(VIRTUALNETD_CONFIG, F_OK))
        return config_load(VIRTUALNETD_CONFIG, why, ret_config);
    config_defaults(ret_config);
    return 0;
}

static int load_config(const struct flags *f, struct vn_why *why, struct config *ret_config)
{
    int r = load_file(f, why, ret_config);

    if (!r && f->socket)
        r = config_set(ret_config, "socket_path", f->socket, why);
    if (!r && f->store)
        r = config_set(ret_config, "store_path", f->store, why);
    if (!r && f->log_level)
        r = config_set(ret_config, "log_level", f->log_level, why);
    return r;
}

static int print_config(const struct config *c)
{
    json_t *json = config_to_json(c);
    int r = !json || json_dumpf(json, stdout, JSON_INDENT(2)) < 0 || puts("") < 0;

    json_decref(json);
    return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void set_log_level(const struct config *c)
{
    static const char *const words[] = {"error", "warning", "notice", "info", "debug"};

    for (int i = 0; i < 5; i++)
        if (!strcmp(words[i], c->log_level))
            vn_log_set_level(VN_LOG_ERROR + i);
}

int main(int argc, char **argv)
{
    static struct config config; /* 50 KiB, for the life of the process */
    struct vn_why why = {""};
    struct flags flags;
    int r = read_flags(argc, argv, &flags);

    if (r >= 0)
        return r;
    if (load_config(&flags, &why, &config)) {
        vn_log_error("%s", why.text);
        return EXIT_USAGE;
    }
    if (flags.check)
        return print_config(&config);
    set_log_level(&config);
    signal(SIGPIPE, SIG_IGN);
    fault_catch();
    return daemon_run(&config);
}
