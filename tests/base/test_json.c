#include "base/json.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static json_t *parse(const char *text)
{
    struct vn_why why = {""};
    json_t *root = NULL;

    cr_assert_eq(vn_json_parse(text, strlen(text), &why, &root), 0, "%s", why.text);
    return root;
}

/* --- parsing ---------------------------------------------------------------------------------- */

Test(json, parse_errors_have_line_and_column)
{
    static const struct {
        const char *text, *says[2];
    } cases[] = {
        {"{\"a\": 1,\n \"b\": }", {"line 2", "column 7"}},
        {"{\"a\": 1,\n \"a\": 2}", {"line 2", "duplicate"}},
        {"{} x", {"line 1", "end of file"}},
        {"", {"line 1"}},
        {"{\"a\": \"\xff\"}", {"line 1"}},
        {"{\"a\": \"b\\u0000c\"}", {"line 1"}},
        {"{\"a\": 01}", {"line 1"}},
        {"{\"a\": 99999999999999999999}", {"too big"}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vn_why why = {""};
        json_t *root = NULL;

        cr_assert_eq(vn_json_parse(cases[i].text, strlen(cases[i].text), &why, &root),
                     VN_JSON_E_INVALID, "%s", cases[i].text);
        for (int k = 0; k < 2 && cases[i].says[k]; k++)
            cr_assert(strstr(why.text, cases[i].says[k]), "%s: %s", cases[i].text, why.text);
    }
}

Test(json, depth)
{
    char text[3 * VN_JSON_DEPTH_MAX];
    struct vn_why why;

    for (int depth = VN_JSON_DEPTH_MAX; depth <= VN_JSON_DEPTH_MAX + 1; depth++) {
        json_t *root = NULL;

        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        cr_assert_eq(vn_json_parse(text, (size_t)depth * 2, &why, &root),
                     depth > VN_JSON_DEPTH_MAX ? VN_JSON_E_INVALID : 0);
        json_decref(root);
    }
    cr_assert(strstr(why.text, "32"), "%s", why.text);
    /* brackets in texts do not nest */
    json_decref(parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[\"]"));
}

Test(json, load)
{
    char file[] = "/tmp/vn-test-json-XXXXXX";
    int fd = mkstemp(file);
    struct vn_why why;
    char *text = NULL;
    json_t *root = NULL;

    cr_assert_eq(write(fd, "{\"a\":1}", 7), 7);
    close(fd);
    cr_assert_eq(vn_json_load(file, 7, &why, &text, &root), 0, "%s", why.text);
    cr_assert_str_eq(text, "{\"a\":1}");
    free(text);
    json_decref(root);
    cr_assert_eq(vn_json_load(file, 6, &why, &text, &root), -EINVAL);
    cr_assert(strstr(why.text, "6 bytes") && strstr(why.text, file), "%s", why.text);
    unlink(file);
    cr_assert_eq(vn_json_load(file, 7, &why, &text, &root), -ENOENT);
    cr_assert(strstr(why.text, file), "%s", why.text);
    cr_assert_eq(vn_json_load("/tmp", 7, &why, &text, &root), -EINVAL);
}

/* --- fields ----------------------------------------------------------------------------------- */

static const char document[] =
    "{\n"
    "  \"count\": 3,\n"
    "  \"share\": 0.25,\n"
    "  \"on\": true,\n"
    "  \"word\": \"two\",\n"
    "  \"list\": [1, [2, 3], {\"inner\": -4}],\n"
    "  \"object\": {\"text\": \"a, \\\"b\\\": c\", \"deep\": {\"x\": 300}}\n"
    "}";

static const char *const words[] = {"one", "two", NULL};

Test(json, good_values)
{
    _cleanup_(json_decrefp) json_t *root = parse(document);
    struct vn_why why = {""};
    struct vn_json_at at = vn_json_root(root, document, &why), object, list, item;
    uint64_t count = 0, missing = 77;
    uint32_t small = 0;
    double share = 0;
    bool on = false;
    unsigned word = 9;
    size_t items = 0;
    const char *text;

    cr_assert_eq(vn_json_u64(&at, "count", VN_JSON_REQUIRED, 0, 3, &count), 0);
    cr_assert_eq(count, 3);
    cr_assert_eq(vn_json_u32(&at, "count", VN_JSON_REQUIRED, 3, 9, &small), 0);
    cr_assert_eq(small, 3);
    cr_assert_eq(vn_json_u64(&at, "none", VN_JSON_OPTIONAL, 0, 3, &missing), 0);
    cr_assert_eq(missing, 77); /* the caller's default stands */
    cr_assert_eq(vn_json_number(&at, "share", VN_JSON_REQUIRED, 0, 1, &share), 0);
    cr_assert_eq(share, 0.25);
    cr_assert_eq(vn_json_number(&at, "count", VN_JSON_REQUIRED, 0, 5, &share), 0);
    cr_assert_eq(share, 3); /* a whole number is a number */
    cr_assert_eq(vn_json_bool(&at, "on", VN_JSON_REQUIRED, &on), 0);
    cr_assert(on);
    cr_assert_eq(vn_json_choice(&at, "word", VN_JSON_REQUIRED, words, &word), 0);
    cr_assert_eq(word, 1);
    cr_assert_eq(vn_json_array(&at, "list", 3, 3, &list, &items), 0);
    item = vn_json_item(&list, 0);
    cr_assert_eq(vn_json_item_u64(&item, 1, 1, &count), 0);
    cr_assert_eq(vn_json_object(&at, "object", &object), 0);
    cr_assert_eq(vn_json_string(&object, "text", VN_JSON_REQUIRED, 9, &text), 0);
    cr_assert_str_eq(text, "a, \"b\": c");
    cr_assert(vn_json_has(&at, "on") && !vn_json_has(&at, "off"));
}

/* Every complaint: place by line and column, path, range, what was found. */
Test(json, complaints)
{
    _cleanup_(json_decrefp) json_t *root = parse(document);
    struct vn_why why = {""};
    struct vn_json_at at = vn_json_root(root, document, &why), object, deep, list, item;
    const char *const known[] = {"count", "share", "on", "word", "list", NULL};
    uint64_t value;
    size_t items;
    double number;
    unsigned word;
    const char *text;
    bool on;

#define SAYS(call, sentence)                                                                       \
    cr_assert_eq((call), VN_JSON_E_INVALID);                                                       \
    cr_assert_str_eq(why.text, sentence)

    SAYS(vn_json_u64(&at, "count", VN_JSON_REQUIRED, 4, 9, &value),
         "line 2, column 3: count: must be a whole number from 4 to 9, found 3");
    SAYS(vn_json_u64(&at, "share", VN_JSON_REQUIRED, 0, 9, &value),
         "line 3, column 3: share: must be a whole number from 0 to 9");
    SAYS(vn_json_number(&at, "share", VN_JSON_REQUIRED, 0.5, 1, &number),
         "line 3, column 3: share: must be a number from 0.5 to 1, found 0.25");
    SAYS(vn_json_bool(&at, "count", VN_JSON_REQUIRED, &on),
         "line 2, column 3: count: must be true or false");
    SAYS(vn_json_string(&at, "word", VN_JSON_REQUIRED, 2, &text),
         "line 5, column 3: word: must be text of 1 to 2 bytes");
    SAYS(vn_json_choice(&at, "on", VN_JSON_REQUIRED, words, &word),
         "line 4, column 3: on: must be one of \"one\", \"two\"");
    SAYS(vn_json_u64(&at, "none", VN_JSON_REQUIRED, 0, 3, &value),
         "line 1, column 1: the key \"none\" is missing");
    SAYS(vn_json_array(&at, "list", 4, 5, &list, &items),
         "line 6, column 3: list: must be an array of 4 to 5 items");
    SAYS(vn_json_object(&at, "count", &object), "line 2, column 3: count: must be an object");
    SAYS(vn_json_only(&at, known),
         "line 7, column 3: object: unknown key; known here: count, share, on, word, list");

    cr_assert_eq(vn_json_array(&at, "list", 0, 9, &list, &items), 0);
    item = vn_json_item(&list, 2);
    SAYS(vn_json_u64(&item, "inner", VN_JSON_REQUIRED, 0, 9, &value),
         "line 6, column 24: list[2].inner: must be a whole number from 0 to 9, found -4");
    item = vn_json_item(&list, 1);
    SAYS(vn_json_item_string(&item, 5, &text),
         "line 6, column 15: list[1]: must be text of 1 to 5 bytes");
    cr_assert_eq(vn_json_object(&at, "object", &object), 0);
    cr_assert_eq(vn_json_object(&object, "deep", &deep), 0);
    SAYS(vn_json_u64(&deep, "x", VN_JSON_REQUIRED, 0, 255, &value),
         "line 7, column 46: object.deep.x: must be a whole number from 0 to 255, found 300");
    at.text = NULL; /* the text is not at hand */
    SAYS(vn_json_u64(&at, "count", VN_JSON_REQUIRED, 4, 9, &value),
         "count: must be a whole number from 4 to 9, found 3");
#undef SAYS
}

/* A refused value leaves the caller's alone. */
Test(json, results_only_on_success)
{
    _cleanup_(json_decrefp) json_t *root = parse("{\"a\": 70000, \"b\": \"\\u0007\"}");
    struct vn_json_at at = vn_json_root(root, NULL, NULL);
    const char *text = "kept";
    uint32_t value = 5;

    cr_assert_eq(vn_json_u32(&at, "a", VN_JSON_REQUIRED, 0, 65535, &value), VN_JSON_E_INVALID);
    cr_assert_eq(value, 5);
    cr_assert_eq(vn_json_string(&at, "b", VN_JSON_REQUIRED, 9, &text), VN_JSON_E_INVALID);
    cr_assert_str_eq(text, "kept");
}
