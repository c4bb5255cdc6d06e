/* Text as a training configuration. */
#include "tests/fuzz/fuzz.h"
#include "train/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vn_train_config *config = NULL;
    struct vn_why why = {""};
    char path[FUZZ_PATH];
    int fd = fuzz_file(data, size, path);

    if (vn_train_config_load(path, "/nonexistent", &why, &config))
        must(why.text[0]);
    else
        must(config->network && config->network->n_tasks && config->n_data);
    vn_train_config_free(config);
    close(fd);
    return 0;
}
