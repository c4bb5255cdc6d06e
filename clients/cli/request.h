/* The wishes that infer and plan have in common: task, budget, thrift, path. */
#pragma once

#include "clients/cli/cli.h"
#include "train/image_file.h"

#define VN_CLI_LEVELS_MAX 64 /* the engine's limit of blocks */

struct vn_cli_request {
    struct vn_cli_common common;
    struct vn_client_request request; /* levels points into this struct */
    uint32_t levels[VN_CLI_LEVELS_MAX];
    uint32_t level; /* of every block; used when has_level */
    bool has_level;
    double accuracy; /* that a budget must reach; 0: none was asked for */
    /* The task as the daemon describes it, in `description`; NULL until it was asked for. */
    struct vn_client_reply *description; /* owned */
    const struct vn_client_task *task;
};

#define VN_CLI_REQUEST_OPTIONS                                                                     \
    {"task", required_argument, NULL, 't'}, {"store", required_argument, NULL, 'o'},               \
        {"budget", required_argument, NULL, 'b'}, {"thrift", required_argument, NULL, 'x'},        \
        {"level", required_argument, NULL, 'l'}, {"path", required_argument, NULL, 'p'},           \
        {"uniform", no_argument, NULL, 'u'}, {"accuracy", required_argument, NULL, 'a'},           \
        {"streaming", no_argument, NULL, 's'}, {"when-full", required_argument, NULL, 'w'},        \
        VN_CLI_COMMON_OPTIONS
#define VN_CLI_REQUEST_HELP                                                                        \
    "  --task NAME      which question is asked; may be left out when there is one\n"              \
    "  --store NAME     which store is asked, where several are served\n"                          \
    "  --budget SIZE    most memory the run may need (65536, 64KiB, 1.5MiB);\n"                    \
    "                   default: the daemon's for the task\n"                                      \
    "  --thrift X       0 .. 1: how much to save below the budget on easy images\n"                \
    "  --level L        the same level in every block, instead of the agent's choice\n"            \
    "  --path L,L,...   one level per block, instead of the agent's choice\n"                      \
    "  --accuracy X     instead of a budget: the smallest whose accuracy on the validation\n"      \
    "                   split was X or more, as 0.9 or 90% ('virtualnet describe')\n"              \
    "  --uniform        the plain rule: the largest level that fits in every "                     \
    "block\n"                                                                                      \
    "  --streaming      the path may be larger than the budget: each piece is given back right\n"  \
    "                   after its use; done where the budget would cost accuracy\n"                \
    "  --when-full WHAT where the daemon's memory limit leaves no room beside other runs: wait,\n" \
    "                   replan (with what is left) or refuse; default: the "                       \
    "daemon's\n" VN_CLI_COMMON_HELP

/* Handles one option of the lists above. False: a usage error, which has been said. */
bool vn_cli_request_option(const char *name, int option, const char *value,
                           struct vn_cli_request *r);

/* Checks the options against each other; expands --level and --accuracy, for which it asks the
 * daemon about the task. 0, or an exit code after saying why. */
int vn_cli_request_finish(const char *name, struct vn_client *client, struct vn_cli_request *r);

/* Asks the daemon about the request's task, unless that is known. 0, or an exit code. */
int vn_cli_request_describe(const char *name, struct vn_client *client, struct vn_cli_request *r);

/* The request for one image, whose pixels it borrows. A budget that follows from --accuracy grows
 * by what the image needs beyond the input's own size. */
struct vn_client_request vn_cli_request_of(const struct vn_cli_request *r,
                                           const struct vn_image_buffer *image);

/* Bytes by which an image is larger than the task's input; 0 while the task is not known. */
uint64_t vn_cli_image_extra(const struct vn_cli_request *r, const struct vn_image_buffer *image);

void vn_cli_request_deinit(struct vn_cli_request *r);
