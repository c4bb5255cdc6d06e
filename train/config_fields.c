/* Every setting of "training" and "agent_training": default, limits, and why the default. */
#include <stddef.h>

#include "train/config_parts.h"

#define COUNT(s, key, value, min, max)                                                             \
    {                                                                                              \
#key, VN_FIELD_COUNT, offsetof(struct s, key), value, min, max                             \
    }
#define REAL(s, key, value, min, max)                                                              \
    {                                                                                              \
#key, VN_FIELD_REAL, offsetof(struct s, key), value, min, max                              \
    }
#define FLAG(s, key, value)                                                                        \
    {                                                                                              \
#key, VN_FIELD_FLAG, offsetof(struct s, key), value, 0, 1                                  \
    }

const struct vn_config_field vn_schedule_fields[] = {
    /* small networks on sets of about 50,000 images are near their plateau */
    COUNT(vn_schedule, epochs, 30, 1, 10000),
    /* with rate 0.1: the pair that residual networks of this size are usually trained with */
    COUNT(vn_schedule, batch, 128, 2, 4096),
    REAL(vn_schedule, rate, 0.1, 1e-6, 10),
    /* the first steps of a fresh batch-norm network diverge at the full rate */
    REAL(vn_schedule, warmup_epochs, 1, 0, 1000),
    COUNT(vn_schedule, cycles, 1, 1, 100),
    REAL(vn_schedule, momentum, 0.9, 0, 0.999),
    REAL(vn_schedule, weight_decay, 5e-4, 0, 1),
    /* softened labels and distillation do the same work; the latter is on */
    REAL(vn_schedule, label_smoothing, 0, 0, 0.5),
    /* half label, half teacher: the middle, for want of a measurement */
    REAL(vn_schedule, distill, 0.5, 0, 1),
    REAL(vn_schedule, auxiliary, 0, 0, 10),
    /* one random path per sample already visits every level of every block often */
    COUNT(vn_schedule, mixed_paths, 1, 0, 4),
    FLAG(vn_schedule, packnet, 0),
    /* the lowest path bounds what every budget can reach, and is drawn almost never by chance */
    REAL(vn_schedule, lowest_share, 0.25, 0, 1),
    /* level 0 everywhere is stem and head alone: too low a floor drags every level down */
    COUNT(vn_schedule, lowest_level, 1, 0, VN_GROUPS_MAX),
    REAL(vn_schedule, bn_momentum, 0.1, 0.001, 1),
    /* above 0, so that gradients reach the branch at once; small: each level near the identity */
    REAL(vn_schedule, bn2_scale, 0.25, 0, 1),
    /* the usual shift for images of about 32 pixels */
    COUNT(vn_schedule, pad, 4, 0, 64),
    FLAG(vn_schedule, flip, 1),
    REAL(vn_schedule, average, 0, 0, 0.999999),
    /* statistics settle within about this many images */
    COUNT(vn_schedule, reestimate_images, 2000, 1, 1000000),
    /* what a power cut may cost */
    COUNT(vn_schedule, checkpoint_minutes, 10, 1, 1440),
    /* a look costs a backward pass for each task */
    COUNT(vn_schedule, agreement_every, 0, 0, 1000000),
    {0},
};

const struct vn_config_field vn_agent_schedule_fields[] = {
    COUNT(vn_agent_schedule, rounds, 1, 1, 100),
    /* the policy is a few hundred weights; what is remembered makes later epochs cheap */
    COUNT(vn_agent_schedule, epochs, 6, 1, 1000),
    /* the backbone is trained on all paths first; tuning it to the agent's is an option */
    COUNT(vn_agent_schedule, backbone_epochs, 0, 0, 1000),
    /* the two wishes take many small steps to be heard: with 256 the policy had hardly moved after
     * as many images */
    COUNT(vn_agent_schedule, batch, 64, 1, 4096),
    REAL(vn_agent_schedule, rate, 0.01, 1e-6, 10),
    /* what one path adds to another's answer is seen best side by side, on the same image */
    COUNT(vn_agent_schedule, paths, 4, 1, 16),
    REAL(vn_agent_schedule, entropy, 0.03, 0, 10),
    /* right answers are what is counted in the end; see train/search.c */
    REAL(vn_agent_schedule, loss_reward, 0, 0, 1),
    REAL(vn_agent_schedule, density, 0.4, 0, 100),
    /* the paper squares it; a mean of parameters over images asks for 1, and so does measurement:
     * docs/results.md */
    REAL(vn_agent_schedule, density_power, 1, 1, 4),
    FLAG(vn_agent_schedule, wishes, 1),
    /* below this even the fixed part of a small store does not fit */
    REAL(vn_agent_schedule, min_budget, 0.1, 0.001, 1),
    {0},
};

static void set_default(const struct vn_config_field *f, void *place)
{
    switch (f->kind) {
    case VN_FIELD_COUNT:
        *(uint32_t *)place = (uint32_t)f->value;
        break;
    case VN_FIELD_REAL:
        *(double *)place = f->value;
        break;
    case VN_FIELD_FLAG:
        *(bool *)place = f->value > 0;
        break;
    }
}

static int read_field(const struct vn_json_at *at, const struct vn_config_field *f, void *place)
{
    switch (f->kind) {
    case VN_FIELD_COUNT:
        return vn_json_u32(at, f->key, VN_JSON_OPTIONAL, (uint32_t)f->min, (uint32_t)f->max, place);
    case VN_FIELD_REAL:
        return vn_json_number(at, f->key, VN_JSON_OPTIONAL, f->min, f->max, place);
    default:
        return vn_json_bool(at, f->key, VN_JSON_OPTIONAL, place);
    }
}

int vn_config_read_fields(const struct vn_json_at *at, const char *key,
                          const struct vn_config_field *fields, void *record)
{
    const char *known[32] = {0}; /* more than the longer table has */
    struct vn_json_at object;
    int r;

    for (size_t i = 0; fields[i].key; i++) {
        set_default(&fields[i], (char *)record + fields[i].offset);
        known[i] = fields[i].key;
    }
    if (!vn_json_has(at, key))
        return 0;
    r = vn_json_object(at, key, &object);
    if (!r)
        r = vn_json_only(&object, known);
    for (size_t i = 0; fields[i].key && !r; i++)
        r = read_field(&object, &fields[i], (char *)record + fields[i].offset);
    return r;
}
