/* Linked into every unit test of a cross build. criterion starts the program anew for each test,
 * which the kernel cannot do with a program of another processor: the emulator does. */
#include <errno.h>
#include <unistd.h>

#define ARGUMENTS_MAX 16

int execve(const char *path, char *const argv[], char *const envp[])
{
    static const char *const emulator[] = {VN_EMULATOR};
    const char *all[ARGUMENTS_MAX + 1] = {0};
    size_t n = 0;

    for (; n < sizeof emulator / sizeof emulator[0]; n++)
        all[n] = emulator[n];
    all[n++] = path;
    for (size_t i = 1; argv[0] && argv[i]; i++, n++) {
        if (n == ARGUMENTS_MAX) {
            errno = E2BIG;
            return -1;
        }
        all[n] = argv[i];
    }
    return execvpe(all[0], (char *const *)all, envp);
}
