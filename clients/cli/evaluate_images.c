/* Every answer of an evaluation in a file: a line of JSON that says what follows, then the records
 * of struct vn_evaluation, one for each image and task. */
#include <errno.h>
#include <string.h>

#include "clients/cli/evaluate_print.h"

static json_t *head(const struct vn_network *n, const struct vn_evaluation *e, const char *split)
{
    json_t *tasks = json_array(), *settings = json_array();

    for (uint32_t t = 0; t < n->n_tasks; t++)
        json_array_append_new(tasks, json_string(n->tasks[t].name));
    for (uint32_t i = 0; i < e->n_settings; i++)
        json_array_append_new(settings, vn_setting_json(n, &e->settings[i]));
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:o}", "format", "virtualnet-images/1",
                     "network", n->name, "split", split, "blocks", (json_int_t)vn_network_blocks(n),
                     "records", (json_int_t)e->n_samples, "record_bytes",
                     (json_int_t)e->image_bytes, "tasks", tasks, "settings", settings);
}

int vn_evaluation_write_images(const char *file, const struct vn_network *n,
                               const struct vn_evaluation *e, const char *split, struct vn_why *why)
{
    _cleanup_(vn_fclosep) FILE *f = fopen(file, "wbe");
    json_t *json = f ? head(n, e, split) : NULL;
    int r = f ? 0 : -errno;

    if (f && (!json || json_dumpf(json, f, JSON_COMPACT) || fputc('\n', f) == EOF ||
              fwrite(e->images, e->image_bytes, e->n_samples, f) != e->n_samples || fflush(f)))
        r = errno ? -errno : -ENOMEM;
    json_decref(json);
    return r ? vn_because(why, r, "%s: %s", file, strerror(-r)) : 0;
}
