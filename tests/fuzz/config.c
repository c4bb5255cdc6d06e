/* Text as the daemon's configuration: what is read can be written and read again. */
#include <string.h>

#include "daemon/config.h"
#include "tests/fuzz/fuzz.h"

static void read_back(const struct config *c)
{
    static struct config again;
    struct vn_why why = {""};
    json_t *json = config_to_json(c);
    char *text = json_dumps(json, 0), path[FUZZ_PATH];
    int fd;

    must(text);
    fd = fuzz_file((const uint8_t *)text, strlen(text), path);
    must(!config_load(path, &why, &again));
    must(!memcmp(c->task_budgets, again.task_budgets,
                 c->n_task_budgets * sizeof c->task_budgets[0]));
    must(again.workers == c->workers && !strcmp(again.stores[0].path, c->stores[0].path));
    close(fd);
    free(text);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config;
    struct vn_why why = {""};
    char path[FUZZ_PATH];
    int fd = fuzz_file(data, size, path);

    if (config_load(path, &why, &config))
        must(why.text[0]);
    else
        read_back(&config);
    close(fd);
    return 0;
}
