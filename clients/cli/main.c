/* The `virtualnet` command: finds the subcommand and answers --help. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/cli/cli.h"

/* VN_COMMANDS is X(infer) X(plan) ..., from the list in meson.build. */
#define X(name) extern const struct vn_command vn_command_##name;
VN_COMMANDS
#undef X

static const struct vn_command *const commands[] = {
#define X(name) &vn_command_##name,
    VN_COMMANDS
#undef X
};

static const char general[] =
    "virtualnet: one network, several tasks, any memory budget.\n"
    "\n"
    "usage: virtualnet COMMAND [OPTION ...] [ARGUMENT ...]\n"
    "\n"
    "commands (virtualnet COMMAND --help explains each, with examples):\n";

static const char epilogue[] = "\n"
                               "Sizes are bytes, or have a unit: 65536, 64KiB, 2MiB, 1.5MiB.\n"
                               "\n"
                               "exit codes:\n"
                               "  0  done\n"
                               "  1  the daemon or the engine refused, or verify found damage\n"
                               "  2  the command line makes no sense\n"
                               "  3  no daemon there, the connection broke, or no answer in time\n"
                               "  4  a file cannot be read, or is not what it should be\n"
                               "  5  out of memory, or the output cannot be written\n"
                               "  6  interrupted by Ctrl-C; training can be resumed\n";

static void print_general_help(FILE *to)
{
    fputs(general, to);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(to, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    fputs(epilogue, to);
}

static const struct vn_command *find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (!strcmp(name, commands[i]->name))
            return commands[i];
    return NULL;
}

static int print_help(const struct vn_command *command)
{
    if (command)
        printf("virtualnet %s: %s\n\n%s", command->name, command->summary, command->help);
    else
        print_general_help(stdout);
    return VN_EXIT_OK;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    return false;
}

static int run(const struct vn_command *command, int argc, char **argv)
{
    char name[64]; /* argv[0] is how getopt begins its complaints */

    if (asks_for_help(argc, argv))
        return print_help(command);
    snprintf(name, sizeof name, "virtualnet %s", command->name);
    argv[0] = name;
    return command->run(argc, argv);
}

/* The trainer's threads that wait do not spin: the machine is shared. The OpenMP library looks at
 * the environment when it is loaded, so the program is executed once more; where that fails, it
 * goes on as it is. */
static void be_passive(char **argv)
{
    if (!getenv("OMP_WAIT_POLICY") && !setenv("OMP_WAIT_POLICY", "passive", 0))
        execv("/proc/self/exe", argv);
}

static int dispatch(int argc, char **argv)
{
    const struct vn_command *command;

    if (argc < 2) {
        print_general_help(stderr);
        return VN_EXIT_USAGE;
    }
    if (!strcmp(argv[1], "--version")) {
        puts("virtualnet " VN_VERSION);
        return VN_EXIT_OK;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
        (!strcmp(argv[1], "help") && argc == 2))
        return print_help(NULL);
    command = find(!strcmp(argv[1], "help") ? argv[2] : argv[1]);
    if (!command) {
        fprintf(stderr, "virtualnet: no command '%s'; 'virtualnet --help' lists them\n",
                !strcmp(argv[1], "help") ? argv[2] : argv[1]);
        return VN_EXIT_USAGE;
    }
    if (!strcmp(argv[1], "help"))
        return print_help(command);
    if (command->computes)
        be_passive(argv);
    return run(command, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    int code = dispatch(argc, argv);

    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "virtualnet: the output cannot be written: %s\n", strerror(errno));
        return VN_EXIT_SYSTEM;
    }
    return code;
}
