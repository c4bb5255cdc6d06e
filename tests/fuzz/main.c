/* Replays files, and every file of folders, for builds without libFuzzer. */
#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define BYTES_MAX (4 << 20)

static unsigned replayed;

static int replay_file(const char *path)
{
    uint8_t *bytes = malloc(BYTES_MAX), *exact;
    FILE *f = fopen(path, "rb");
    size_t n = f && bytes ? fread(bytes, 1, BYTES_MAX, f) : 0;

    if (!f || !bytes || ferror(f)) {
        perror(path);
        return 1;
    }
    fclose(f);
    exact = malloc(n ? n : 1); /* so that one byte too many is seen */
    must(exact);
    memcpy(exact, bytes, n);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    free(bytes);
    replayed++;
    return 0;
}

static int replay(const char *path)
{
    struct dirent *entry;
    char file[PATH_MAX];
    int failed = 0;
    DIR *folder = opendir(path);

    if (!folder)
        return replay_file(path);
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        failed |= replay_file(file);
    }
    closedir(folder);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;

    for (int i = 1; i < argc; i++)
        failed |= replay(argv[i]);
    printf("%u files\n", replayed);
    return failed || !replayed;
}
