/* The accuracy table that a store carries, in the hands of people who choose a budget. */
#pragma once

#include "clients/cli/cli.h"

/* "930KiB": as --budget takes it, rounded up so that it is enough. */
#define VN_CLI_BUDGET_TEXT 32
const char *vn_cli_budget(uint64_t bytes, char text[static VN_CLI_BUDGET_TEXT]);

/* How the paths of a row were chosen: "level 2" or "shared agent". */
#define VN_CLI_HOW_TEXT 40
const char *vn_cli_how(const struct vn_client_measured *m, char text[static VN_CLI_HOW_TEXT]);

/* The row that was measured under the answer's conditions: its level where all blocks have one, or
 * what the agent gave within the largest budget that is not above the answer's. NULL: none was.
 * image_extra: bytes by which the image is larger than the input's own size. */
const struct vn_client_measured *vn_cli_measured_of(const struct vn_client_task *task,
                                                    const struct vn_client_answer *answer,
                                                    uint64_t image_extra);

/* A new reference; null for NULL. */
json_t *vn_cli_json_measured(const struct vn_client_measured *m);

/* The task's table, cheapest budget first, as lines of text. Nothing for a store without one. */
void vn_cli_print_measured(const struct vn_client_task *task);
