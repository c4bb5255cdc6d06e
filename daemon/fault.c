#include "daemon/fault.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Only what is allowed in a signal handler: write and _exit. */
static void on_bus_error(int number)
{
    static const char line[] =
        "<3>the store file was cut short, or its disk failed, while it was in use; ending. "
        "Replace a store by rename, never in place\n";

    if (write(STDERR_FILENO, line, sizeof line - 1) < 0)
        _exit(FAULT_EXIT);
    _exit(FAULT_EXIT);
}

void fault_catch(void)
{
    struct sigaction action = {.sa_handler = on_bus_error};

    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}
