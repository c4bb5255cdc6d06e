#include "clients/cli/images.h"

#include <string.h>
#include <sys/stat.h>

#include "clients/cli/cli.h"

const char *const vn_split_names[] = {
    [VN_SPLIT_TRAIN] = "train",
    [VN_SPLIT_VALIDATION] = "validation",
    [VN_SPLIT_TEST] = "test",
};

void vn_cli_take_data(const char *value, struct vn_cli_images *images)
{
    struct stat st;

    if (!stat(value, &st) && S_ISDIR(st.st_mode))
        images->folder = value;
    else
        images->config = value;
}

int vn_cli_take_split(const char *command, const char *value, struct vn_cli_images *images)
{
    for (size_t i = 0; i < sizeof vn_split_names / sizeof vn_split_names[0]; i++)
        if (!strcmp(value, vn_split_names[i])) {
            images->split = (enum vn_split)i;
            return 0;
        }
    return vn_cli_usage(command, "--split is validation, test or train, not '%s'", value);
}
