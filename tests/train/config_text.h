/* A small, complete configuration as text, with one apostrophe for every quotation mark, and the
 * files to go with it. */
#pragma once

#include "tests/train/files.h"
#include "train/config.h"

#define CONFIG_BASE                                                                                \
    "{\n"                                                                                          \
    "'name': 'small', 'seed': 7, 'validation_share': 0.25,\n"                                      \
    "'network': {'stem_width': 8, 'groups': 4,\n"                                                  \
    " 'inputs': [{'name': 'in', 'width': 28, 'height': 28, 'color': 'gray', 'mean': [0.3],\n"      \
    "  'std': [0.3], 'stem_kernel': 3, 'stem_stride': 2}],\n"                                      \
    " 'stages': [{'blocks': 2, 'width': 8, 'stride': 1, 'group_width': 4}],\n"                     \
    " 'agent': {'kind': 'task'}},\n"                                                               \
    "'data': [{'name': 'set', 'format': 'idx',\n"                                                  \
    " 'train': {'images': 'images', 'labels': 'labels'}}],\n"                                      \
    "'tasks': [\n"                                                                                 \
    " {'name': 'which', 'input': 'in', 'data': 'set', 'labels': ['zero', 'one', 'two']},\n"        \
    " {'name': 'odd', 'input': 'in', 'data': 'set', 'labels': ['even', 'odd'],\n"                  \
    "  'map': ['even', 1, null]}],\n"                                                              \
    "'training': {'epochs': 3, 'flip': false},\n"                                                  \
    "'agent_training': {'rate': 0.02}\n"                                                           \
    "}\n"

/* Writes the text as "config.json", with `find` (its first place) replaced when not NULL. */
static inline void write_config(const struct folder *f, const char *text, const char *find,
                                const char *replacement)
{
    char whole[8192];
    const char *place = find ? strstr(text, find) : text;

    cr_assert(place != NULL, "the text lacks what is to be replaced");
    snprintf(whole, sizeof whole, "%.*s%s%s", (int)(place - text), text,
             replacement ? replacement : "", place + (find ? strlen(find) : 0));
    for (char *c = whole; *c; c++)
        if (*c == '\'')
            *c = '"';
    write_text(f, "config.json", whole);
}

static inline int try_config(const struct folder *f, const char *data, struct vn_why *why,
                             struct vn_train_config **ret_config)
{
    char path[256];

    return vn_train_config_load(path_in(f, "config.json", path), data, why, ret_config);
}

static inline struct vn_train_config *load_config(const struct folder *f, const char *data)
{
    struct vn_train_config *c = NULL;
    struct vn_why why = {""};

    cr_assert_eq(try_config(f, data, &why, &c), 0, "%s", why.text);
    return c;
}

/* A CIFAR-100 training file with `n` records a class: class c belongs to coarse class c mod 20. */
static inline void write_cifar100(const struct folder *f, const char *name, uint32_t n)
{
    size_t record = 2 + 3072;
    _cleanup_(vn_freep) uint8_t *bytes = calloc(100 * n, record);

    cr_assert_not_null(bytes);
    for (uint32_t i = 0; i < 100 * n; i++) {
        bytes[i * record] = (uint8_t)(i % 100 % 20);
        bytes[i * record + 1] = (uint8_t)(i % 100);
    }
    write_file(f, name, bytes, 100 * n * record);
}
