/* The configuration: strictness, limits, and that documentation, example and code agree. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"

static struct vn_why why;

/* Reads `text` as a configuration file. */
static int load(const char *text, struct config *ret)
{
    char file[] = "/tmp/test_config.XXXXXX";
    int fd = mkstemp(file), r;

    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    why.text[0] = 0;
    r = config_load(file, &why, ret);
    unlink(file);
    return r;
}

static void expect_refusal(const char *text, const char *part1, const char *part2)
{
    static struct config c;

    cr_assert_eq(load(text, &c), CONFIG_E_INVALID, "%s", text);
    cr_assert(strstr(why.text, part1), "\"%s\" lacks \"%s\"", why.text, part1);
    cr_assert(strstr(why.text, part2), "\"%s\" lacks \"%s\"", why.text, part2);
}

Test(config, empty_object_is_the_defaults)
{
    static struct config c, defaults;

    config_defaults(&defaults);
    cr_assert_eq(load("{}", &c), 0, "%s", why.text);
    cr_assert_arr_eq(&c, &defaults, sizeof c);
    cr_assert_eq(c.workers, 1);
    cr_assert_eq(config_socket_mode(&c), 0660);
}

Test(config, values_arrive)
{
    static struct config c;

    cr_assert_eq(load("{\"workers\": 3, \"socket_mode\": \"600\", \"verify_store\": false,\n"
                      " \"default_budget_bytes\": 1000000, \"socket_group\": \"\",\n"
                      " \"task_budgets\": {\"digit\": 5000, \"f\xc3\xbcnf\": 7}}",
                      &c),
                 0, "%s", why.text);
    cr_assert_eq(c.workers, 3);
    cr_assert_eq(config_socket_mode(&c), 0600);
    cr_assert_str_eq(c.stores[0].verify, "never");
    cr_assert_eq(config_budget(&c, &c.stores[0], "digit"), 5000);
    cr_assert_eq(config_budget(&c, &c.stores[0], "f\xc3\xbcnf"), 7);
    cr_assert_eq(config_budget(&c, &c.stores[0], "other"), 1000000);
}

/* Files from before there were three ways. */
Test(config, verify_store_was_a_boolean)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"{\"verify_store\": true}", "load"},
        {"{\"verify_store\": false}", "never"},
        {"{\"verify_store\": \"load\"}", "load"},
        {"{\"verify_store\": \"first_use\"}", "first_use"},
        {"{}", "first_use"},
    };
    static struct config c;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(load(cases[i].text, &c), 0, "%s: %s", cases[i].text, why.text);
        cr_assert_str_eq(c.stores[0].verify, cases[i].word, "%s", cases[i].text);
    }
    expect_refusal("{\"log_level\": true}", "log_level", "\"warning\"");
}

Test(config, refusals_say_where)
{
    expect_refusal("{\n  \"workers\": 1,\n  \"wokers\": 2\n}", "line 3, column 3", "wokers");
    expect_refusal("{\n  \"workers\": 1,\n  \"workers\": 2\n}", "line 3", "duplicate");
    expect_refusal("{\"task_budgets\": {\"a\": 1, \"a\": 2}}", "line 1", "duplicate");
    expect_refusal("{\"workers\": 0}", "workers", "1 to 64");
    expect_refusal("{\"workers\": 65}", "workers", "1 to 64, found 65");
    expect_refusal("{\"workers\": -1}", "workers", "1 to 64");
    expect_refusal("{\"workers\": 1.5}", "workers", "whole number");
    expect_refusal("{\"workers\": \"1\"}", "workers", "whole number");
    expect_refusal("{\"workers\": 1e400}", "line 1", "");
    expect_refusal("{\"verify_store\": 1}", "verify_store", "\"first_use\"");
    expect_refusal("{\"verify_store\": \"true\"}", "verify_store", "\"never\"");
    expect_refusal("{\"kernels\": \"cuda\"}", "kernels", "\"auto\"");
    expect_refusal("{\"log_level\": \"loud\"}", "log_level", "\"warning\"");
    expect_refusal("{\"store_path\": \"\"}", "store_path", "1 to 1023");
    expect_refusal("{\"task_budgets\": {\"digit\": 0}}", "task_budgets.digit", "found 0");
    expect_refusal("{\"task_budgets\": []}", "task_budgets", "object");
    expect_refusal("{\"memory_limit_bytes\": 10, \"default_budget_bytes\": 11}", "(11)", "(10)");
    expect_refusal("{\"frame_limit_bytes\": 8192, \"input_limit_bytes\": 8191}", "(8191)",
                   "(8192)");
    expect_refusal("{\"access_infer\": \"*\"}", "access_infer", "array");
    expect_refusal("{\"access_infer\": [\"root\"]}", "access_infer[0]", "\"user:NAME\"");
    expect_refusal("{\"access_status\": [\"*\", 7]}", "access_status[1]", "text");
    expect_refusal("{\"access_admin\": [\"uid:x\"]}", "access_admin[0]", "\"uid:x\"");
    expect_refusal("{\"access_admin\": [\"uid:-1\"]}", "access_admin[0]", "\"uid:-1\"");
    expect_refusal("{\"access_admin\": [\"gid:4294967295\"]}", "access_admin[0]", "4294967295");
    expect_refusal("{\"access_admin\": [\"user:no such\"]}", "access_admin[0]", "there is no");
    expect_refusal("{\"uid_connections_per_s\": 0}", "uid_connections_per_s", "1 to 1000000");
    expect_refusal("{\"uid_limits\": {\"robot\": {}}}", "uid_limits", "\"1000\"");
    expect_refusal("{\"uid_limits\": {\"4294967295\": {}}}", "uid_limits", "number");
    expect_refusal("{\"uid_limits\": {\"7\": 5}}", "uid_limits.7", "object");
    expect_refusal("{\"uid_limits\": {\"7\": {\"workers\": 5}}}", "uid_limits.7", "workers");
    expect_refusal("{\"uid_limits\": {\"7\": {\"uid_connections_per_s\": 0}}}",
                   "uid_limits.7.uid_connections_per_s", "1 to 1000000");
    expect_refusal("[]", "object", "");
    expect_refusal("", "line 1", "");
    expect_refusal("{} {}", "line 1", "");
    expect_refusal("{\"workers\": 1,}", "line 1", "");
}

Test(config, socket_path_fits_the_kernel)
{
    static struct config c;
    char text[256];

    /* sockaddr_un holds 107 bytes and a NUL. */
    snprintf(text, sizeof text, "{\"socket_path\": \"/%0106d\"}", 0);
    cr_assert_eq(load(text, &c), 0, "%s", why.text);
    cr_assert_eq(strlen(c.socket_path), 107);
    snprintf(text, sizeof text, "{\"socket_path\": \"/%0107d\"}", 0);
    expect_refusal(text, "socket_path", "107");
}

Test(config, socket_mode_is_octal)
{
    expect_refusal("{\"socket_mode\": \"0668\"}", "socket_mode", "octal");
    expect_refusal("{\"socket_mode\": \"1777\"}", "socket_mode", "0777");
    expect_refusal("{\"socket_mode\": \"66\"}", "socket_mode", "octal");
    expect_refusal("{\"socket_mode\": 432}", "socket_mode", "text");
}

Test(config, missing_file_is_named)
{
    static struct config c;

    cr_assert(config_load("/nonexistent/x.json", &why, &c) < 0);
    cr_assert(strstr(why.text, "/nonexistent/x.json"));
}

Test(config, flags_obey_the_same_rules)
{
    static struct config c;

    config_defaults(&c);
    cr_assert_eq(config_set(&c, "socket_path", "/run/x.sock", &why), 0);
    cr_assert_str_eq(c.socket_path, "/run/x.sock");
    cr_assert_eq(config_set(&c, "log_level", "loud", &why), CONFIG_E_INVALID);
    cr_assert_eq(config_set(&c, "store_path", "", &why), CONFIG_E_INVALID);
    cr_assert_eq(config_set(&c, "store_path", "\xff", &why), CONFIG_E_INVALID);
}

Test(config, what_is_printed_reads_back)
{
    static struct config c, again;
    json_t *json;
    char *text;

    cr_assert_eq(
        load("{\"workers\": 9, \"task_budgets\": {\"a\": 5}, \"kernels\": \"ref\",\n"
             " \"access_infer\": [\"uid:5\"], \"uid_inflight_limit\": 4,\n"
             " \"uid_limits\": {\"7\": {\"uid_connections_limit\": 9}},\n"
             " \"stores\": {\"x\": {\"store_path\": \"/x\", \"task_budgets\": {\"b\": 2}}}}",
             &c),
        0);
    json = config_to_json(&c);
    text = json_dumps(json, 0);
    cr_assert_eq(load(text, &again), 0, "%s", why.text);
    cr_assert_arr_eq(&c, &again, sizeof c);
    free(text);
    json_decref(json);
}

/* What a store does not state is as for the default one, but for the budgets of tasks. */
Test(config, stores_beside_the_default_one)
{
    static struct config c;

    cr_assert_eq(
        load("{\"stores\": {\"b\": {\"store_path\": \"/b\", \"task_budgets\": {\"t\": 7}},\n"
             "  \"a-1._\": {\"store_path\": \"/a\", \"verify_store\": \"never\",\n"
             "             \"default_budget_bytes\": 0}},\n"
             " \"store_name\": \"main\", \"verify_store\": \"load\",\n"
             " \"default_budget_bytes\": 5, \"task_budgets\": {\"t\": 6, \"u\": 8}}",
             &c),
        0, "%s", why.text);
    cr_assert_eq(c.n_stores, 3);
    cr_assert_str_eq(c.stores[0].name, "main");
    cr_assert_str_eq(c.stores[1].name, "b");
    cr_assert_str_eq(c.stores[1].path, "/b");
    cr_assert_str_eq(c.stores[1].verify, "load");
    cr_assert_str_eq(c.stores[2].name, "a-1._");
    cr_assert_str_eq(c.stores[2].verify, "never");
    cr_assert_eq(config_budget(&c, &c.stores[0], "t"), 6);
    cr_assert_eq(config_budget(&c, &c.stores[0], "u"), 8);
    cr_assert_eq(config_budget(&c, &c.stores[1], "t"), 7);
    cr_assert_eq(config_budget(&c, &c.stores[1], "u"), 5);
    cr_assert_eq(config_budget(&c, &c.stores[2], "t"), 0);
}

Test(config, wrong_stores)
{
    static struct config c;
    char text[4096], *at = text;

    expect_refusal("{\"stores\": []}", "stores", "object");
    expect_refusal("{\"stores\": {\"a\": \"/a\"}}", "stores.a", "object");
    expect_refusal("{\"stores\": {\"a\": {}}}", "stores.a", "store_path");
    expect_refusal("{\"stores\": {\"a\": {\"store_path\": \"\"}}}", "stores.a.store_path", "1023");
    expect_refusal("{\"stores\": {\"a\": {\"path\": \"/a\"}}}", "stores.a.path", "unknown key");
    expect_refusal("{\"stores\": {\"a/b\": {\"store_path\": \"/a\"}}}", "stores", "letters");
    expect_refusal("{\"stores\": {\"\": {\"store_path\": \"/a\"}}}", "stores", "letters");
    expect_refusal("{\"stores\": {\"a\": {\"store_path\": \"/a\", \"verify_store\": \"x\"}}}",
                   "stores.a.verify_store", "\"load\"");
    expect_refusal("{\"stores\": {\"a\": {\"store_path\": \"/a\", \"task_budgets\": {\"t\": 0}}}}",
                   "stores.a.task_budgets.t", "found 0");
    expect_refusal("{\"stores\": {\"default\": {\"store_path\": \"/a\"}}}", "\"default\"",
                   "store_name");
    expect_refusal("{\"store_name\": \"a b\"}", "store_name", "letters");
    expect_refusal("{\"store_name\": \"\"}", "store_name", "1 to 64");
    expect_refusal("{\"memory_limit_bytes\": 10, \"stores\": {\"a\": {\"store_path\": \"/a\",\n"
                   " \"default_budget_bytes\": 11}}}",
                   "\"a\" (11)", "(10)");
    at += sprintf(at, "{\"stores\": {");
    for (int i = 0; i < CONFIG_STORES_MAX; i++) /* one more than there is room for */
        at += sprintf(at, "%s\"s%d\": {\"store_path\": \"/s\"}", i ? "," : "", i);
    sprintf(at, "}}");
    expect_refusal(text, "stores", "at most 15");
    *strstr(text, ",\"s15\"") = 0;
    strcat(text, "}}");
    cr_assert_eq(load(text, &c), 0, "%s", why.text);
    cr_assert_eq(c.n_stores, CONFIG_STORES_MAX);
}

/* The limit is for all stores together. */
Test(config, budgets_have_a_limit)
{
    static struct config c;
    static char text[VN_TASKS_MAX * 16 + 256];
    char *at =
        text + sprintf(text, "{\"stores\": {\"a\": {\"store_path\": \"/a\", \"task_budgets\": "
                             "{\"x\": 1}}}, \"task_budgets\": {");

    for (int i = 0; i < VN_TASKS_MAX - 1; i++)
        at += sprintf(at, "%s\"t%d\": 9", i ? "," : "", i);
    strcpy(at, "}}");
    cr_assert_eq(load(text, &c), 0, "%s", why.text);
    strcpy(at, ", \"one more\": 9}}");
    expect_refusal(text, "stores.a.task_budgets", "at most 256");
}

Test(config, access_lists)
{
    const struct access_peer root = {.uid = 0, .gid = 7},
                             other = {.uid = 1000, .gid = 100, (gid_t[]){4, 44}, 2};
    static const struct {
        const char *list;
        bool root, other;
    } cases[] = {
        {"[]", false, false},
        {"[\"*\"]", true, true},
        {"[\"uid:0\"]", true, false},
        {"[\"user:root\"]", true, false},
        {"[\"uid:1000\"]", false, true},
        {"[\"gid:100\"]", false, true},
        {"[\"gid:44\"]", false, true},
        {"[\"gid:1000\"]", false, false},
        {"[\"gid:7\", \"uid:1\", \"gid:4\"]", true, true},
    };
    static struct config c;
    char text[128];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(text, sizeof text, "{\"access_status\": %s}", cases[i].list);
        cr_assert_eq(load(text, &c), 0, "%s", why.text);
        cr_expect_eq(access_allows(&c.access_status, &root), cases[i].root, "%s", text);
        cr_expect_eq(access_allows(&c.access_status, &other), cases[i].other, "%s", text);
    }
}

Test(config, limits_of_users)
{
    static struct config c;

    cr_assert_eq(load("{\"uid_limits\": {\"1000\": {\"uid_inflight_limit\": 3}, \"0\": {}},\n"
                      " \"uid_connections_limit\": 8}",
                      &c),
                 0, "%s", why.text);
    cr_expect_eq(config_limits(&c, 1000)->of[CONFIG_LIMIT_INFLIGHT], 3);
    cr_expect_eq(config_limits(&c, 1000)->of[CONFIG_LIMIT_CONNECTIONS], 8);
    cr_expect_eq(config_limits(&c, 0)->of[CONFIG_LIMIT_INFLIGHT], 0);
    cr_expect_eq(config_limits(&c, 77)->of[CONFIG_LIMIT_CONNECTIONS], 8);
    cr_expect_eq(config_limits(&c, 77)->of[CONFIG_LIMIT_RATE], 1000);
}

/* --- documentation and example ---------------------------------------------------------------- */

static char *read_text(const char *file)
{
    char *text = calloc(1, 65536);
    FILE *f = fopen(file, "r");

    cr_assert_not_null(f, "%s", file);
    cr_assert(fread(text, 1, 65535, f) > 0);
    fclose(f);
    return text;
}

/* The example states every key, at its default. */
Test(config, example_file_is_the_defaults)
{
    static struct config c, defaults;
    char *text = read_text(EXAMPLE_FILE), name[80];

    config_defaults(&defaults);
    cr_assert_eq(config_load(EXAMPLE_FILE, &why, &c), 0, "%s", why.text);
    cr_assert_arr_eq(&c, &defaults, sizeof c);
    for (const struct config_key *k = config_keys; k->name; k++) {
        snprintf(name, sizeof name, "\"%s\":", k->name);
        cr_assert(strstr(text, name), "the example lacks %s", k->name);
    }
    free(text);
}

static void describe_limits(const struct config_key *k, char *text, size_t size)
{
    size_t used = 0;

    text[0] = 0;
    switch (k->kind) {
    case CONFIG_TEXT:
        snprintf(text, size, "%llu to %llu bytes", (unsigned long long)k->min,
                 (unsigned long long)k->max);
        return;
    case CONFIG_NAME:
        snprintf(text, size, "1 to %llu letters, digits, '.', '_' and '-'",
                 (unsigned long long)k->max);
        return;
    case CONFIG_STORES:
        snprintf(text, size, "0 to %llu stores", (unsigned long long)k->max);
        return;
    case CONFIG_NUMBER:
    case CONFIG_BUDGETS:
        snprintf(text, size, "%llu to %llu", (unsigned long long)k->min,
                 (unsigned long long)k->max);
        return;
    case CONFIG_ACCESS:
        snprintf(text, size, "0 to %d words", ACCESS_LIST_MAX);
        return;
    case CONFIG_UIDS:
        snprintf(text, size, "0 to %d users", CONFIG_UIDS_MAX);
        return;
    case CONFIG_MODE:
        snprintf(text, size, "`\"000\"` to `\"0777\"`");
        return;
    case CONFIG_CHOICE:
        for (size_t i = 0; k->words[i]; i++)
            used += (size_t)snprintf(text + used, size - used, "%s`\"%s\"`", i ? ", " : "",
                                     k->words[i]);
    }
}

static void describe_default(const struct config_key *k, char *text, size_t size)
{
    static struct config c;
    json_t *json;
    char *value;

    config_defaults(&c);
    json = config_to_json(&c);
    value = json_dumps(json_object_get(json, k->name), JSON_ENCODE_ANY);
    snprintf(text, size, "`%s`", value);
    free(value);
    json_decref(json);
}

/* Each key has a section "### `name`" with lines "Default: ..." and "Limits: ...", in the order of
 * the code. store_path's default depends on the prefix and is only named. */
Test(config, documentation_agrees)
{
    char *text = read_text(DOCUMENTATION), *at = text, *end;
    char heading[96], limits[256], value[512], line[640];

    for (const struct config_key *k = config_keys; k->name; k++) {
        snprintf(heading, sizeof heading, "### `%s`\n", k->name);
        at = strstr(at, heading);
        cr_assert_not_null(at, "no section, or not in the code's order: %s", k->name);
        end = strstr(at + 1, "\n### ");
        if (end)
            *end = 0;
        describe_limits(k, limits, sizeof limits);
        snprintf(line, sizeof line, "\nLimits: %s", limits);
        cr_assert(strstr(at, line), "%s lacks \"%s\"", k->name, line + 1);
        describe_default(k, value, sizeof value);
        snprintf(line, sizeof line, "\nDefault: %s", value);
        cr_assert(!strcmp(k->name, "store_path") || strstr(at, line), "%s lacks \"%s\"", k->name,
                  line + 1);
        if (end)
            *end = '\n';
    }
    cr_assert_null(strstr(at + 1, "\n### `"), "a section for a key that is not there");
    free(text);
}
