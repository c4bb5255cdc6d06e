#include <criterion/criterion.h>
#include <string.h>

#include "engine/work.h"
#include "support.h"

/* Every field, each with a value that is not the default. */
static const char whole[] =
    "{\"name\":\"caf\xc3\xa9\",\"stem_width\":8,\"groups\":4,"
    "\"inputs\":[{\"name\":\"big\",\"width\":33,\"height\":17,\"color\":\"bgr\",\"crop\":"
    "\"center\","
    "\"resize\":\"bilinear\",\"mean\":[0.1,0.2,0.3],\"std\":[0.4,0.5,0.6],\"stem_kernel\":7,"
    "\"stem_stride\":2},"
    "{\"name\":\"small\",\"width\":8,\"height\":8,\"color\":\"gray\",\"crop\":\"none\","
    "\"resize\":\"bilinear\",\"mean\":[0],\"std\":[1],\"stem_kernel\":1,\"stem_stride\":1}],"
    "\"stages\":[{\"blocks\":2,\"width\":8,\"stride\":1,\"group_width\":3},"
    "{\"blocks\":1,\"width\":16,\"stride\":4,\"group_width\":5}],"
    "\"tasks\":[{\"name\":\"a\",\"input\":\"small\",\"labels\":[\"x\",\"y\"],\"order\":[3,1,0,2],"
    "\"measured\":[{\"by\":\"uniform\",\"setting\":3,\"accuracy\":0.75,\"params\":1234.5,"
    "\"bytes\":65536}]},"
    "{\"name\":\"b\",\"input\":\"big\",\"labels\":[\"x\"]}],"
    "\"agent\":{\"kind\":\"conv\",\"embedding\":3,\"hidden\":9,\"stem_kernel\":3,\"stem_stride\":2,"
    "\"width\":6},"
    "\"training\":{\"seed\":7,\"nested\":{\"list\":[1,2]}}}";

static struct vn_network *parse(const char *text)
{
    struct vn_network *n = NULL;
    struct vn_why why = {""};

    cr_assert_eq(vn_network_parse(text, strlen(text), &why, &n), 0, "%s", why.text);
    return n;
}

Test(network, fields)
{
    _cleanup_(vn_network_freep) struct vn_network *n = parse(whole);

    cr_assert_str_eq(n->name, "caf\xc3\xa9");
    cr_assert_eq(n->n_inputs, 2);
    cr_assert_eq(n->inputs[0].width, 33);
    cr_assert_eq(n->inputs[0].height, 17);
    cr_assert_eq(n->inputs[0].color, VN_COLOR_BGR);
    cr_assert_eq(n->inputs[0].crop, VN_CROP_CENTER);
    cr_assert_eq(n->inputs[0].std[2], 0.6f);
    cr_assert_eq(n->tasks[0].input, 1);
    cr_assert_arr_eq(n->tasks[0].order, ((uint8_t[]){3, 1, 0, 2}), 4);
    /* the default: task 1 of 2 starts at floor(1 * 4 / 2) = 2 */
    cr_assert_arr_eq(n->tasks[1].order, ((uint8_t[]){2, 3, 0, 1}), 4);
    cr_assert_eq(n->tasks[0].measured[0].params, 1234.5);
    cr_assert_eq(n->agent.kind, VN_AGENT_CONV);
    cr_assert_eq(vn_network_find_task(n, "b"), 1);
    cr_assert_eq(vn_network_find_task(n, "c"), -1);
    cr_assert_eq(vn_network_find_input(n, "small"), 1);
}

Test(network, blocks)
{
    _cleanup_(vn_network_freep) struct vn_network *n = parse(whole);
    static const struct vn_block expected[] = {{8, 8, 3, 1}, {8, 8, 3, 1}, {8, 16, 5, 4}};

    cr_assert_eq(vn_network_blocks(n), 3);
    cr_assert_eq(vn_network_width(n), 16);
    for (uint32_t b = 0; b < 3; b++) {
        struct vn_block found = vn_network_block(n, b);

        cr_assert_eq(memcmp(&found, &expected[b], sizeof found), 0, "block %u", b);
    }
    /* conv agent: features are its trunk's 6 channels, then 3 of embedding, budget and thrift */
    cr_assert_eq(vn_agent_inputs(n), 11);
    cr_assert_eq(vn_agent_outputs(n), 3 * 5);
}

Test(network, agent_trunk)
{
    _cleanup_(vn_network_freep) struct vn_network *n = parse(whole);
    struct vn_network t;

    vn_network_of_agent(n, &t);
    cr_assert_eq(vn_network_blocks(&t), 3);
    cr_assert_eq(t.groups, 1);
    cr_assert_eq(t.inputs[1].stem_kernel, 3);
    for (uint32_t b = 0; b < 3; b++) {
        struct vn_block found = vn_network_block(&t, b);

        cr_assert_eq(found.stride, b == 1 ? 2 : 1); /* strides 1, 2, 1 */
        cr_assert(found.ci == 6 && found.co == 6 && found.h == 6);
    }
}

/* Text to network to text to network to text: the two texts are equal, and so is every float. */
Test(network, round_trip)
{
    _cleanup_(vn_network_freep) struct vn_network *first = parse(whole), *second = NULL;
    struct vn_rng r = {3};

    for (int i = 0; i < 200; i++) {
        _cleanup_(json_decrefp) json_t *json = NULL, *again = NULL;
        _cleanup_(vn_freep) char *text = NULL;

        for (int c = 0; c < 3; c++) {
            first->inputs[0].mean[c] = (float)vn_rng_normal(&r);
            first->inputs[0].std[c] = (float)(VN_STD_MIN + vn_rng_unit(&r) * 3);
        }
        first->tasks[0].measured[0].accuracy = vn_rng_unit(&r);
        json = vn_network_to_json(first);
        text = json_dumps(json, JSON_COMPACT);
        second = vn_network_free(second);
        second = parse(text);
        cr_assert_eq(memcmp(first->inputs, second->inputs, sizeof first->inputs), 0, "%s", text);
        cr_assert_eq(first->tasks[0].measured[0].accuracy, second->tasks[0].measured[0].accuracy);
        again = vn_network_to_json(second);
        cr_assert(json_equal(json, again));
    }
    cr_assert(json_equal(first->training, second->training));
    cr_assert_eq(memcmp(&first->agent, &second->agent, sizeof first->agent), 0);
}

Test(network, agent_defaults)
{
    static const struct {
        const char *text;
        struct vn_agent agent;
    } cases[] = {
        {"{\"kind\":\"uniform\"}", {VN_AGENT_UNIFORM, 0, 0, 0, 0, 0, 0, false}},
        {"{\"kind\":\"task\"}", {VN_AGENT_TASK, 8, 32, 0, 0, 0, 0, false}},
        {"{\"kind\":\"conv\"}", {VN_AGENT_CONV, 8, 32, 0, 5, 4, 8, false}},
        {"{\"kind\":\"shared\"}", {VN_AGENT_SHARED, 8, 32, 1, 0, 0, 0, true}},
        {"{\"kind\":\"shared\",\"probe_level\":0,\"pooled\":false}",
         {VN_AGENT_SHARED, 8, 32, 0, 0, 0, 0, false}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct net_spec spec = {.agent = cases[i].text};
        _cleanup_(vn_network_freep) struct vn_network *n = spec_network(&spec);

        cr_assert_eq(memcmp(&n->agent, &cases[i].agent, offsetof(struct vn_agent, pooled)), 0, "%s",
                     cases[i].text);
        cr_assert_eq(n->agent.pooled, cases[i].agent.pooled, "%s", cases[i].text);
    }
}

/* One place of `whole` is replaced; the complaint must name the field and what is allowed. */
static const struct violation {
    const char *from, *to;
    const char *says[3];
} violations[] = {
    {"\"name\":\"caf\xc3\xa9\"", "\"name\":\"\"", {"name", "1 to 64 bytes"}},
    {"\"name\":\"caf\xc3\xa9\",", "", {"\"name\" is missing"}},
    {"caf\xc3\xa9", "a\\u0007b", {"name", "control characters"}},
    {"caf\xc3\xa9", "a\xff", {"unable to decode byte"}},
    {"\"stem_width\":8", "\"stem_width\":0", {"stem_width", "1 to 2048", "found 0"}},
    {"\"stem_width\":8", "\"stem_width\":2049", {"stem_width", "1 to 2048", "found 2049"}},
    {"\"stem_width\":8", "\"stem_width\":8.5", {"stem_width", "whole number"}},
    {"\"stem_width\":8", "\"stem_width\":-1", {"stem_width", "1 to 2048"}},
    {"\"stem_width\":8", "\"stem_width\":8,\"stem\":1", {"stem", "unknown key"}},
    {"\"stem_width\":8", "\"stem_width\":8,\"stem_width\":8", {"duplicate"}},
    {"\"groups\":4", "\"groups\":17", {"groups", "1 to 16", "found 17"}},
    {"\"width\":33", "\"width\":513", {"inputs[0].width", "1 to 512", "found 513"}},
    {"\"height\":17", "\"height\":0", {"inputs[0].height", "1 to 512"}},
    {"\"name\":\"small\"", "\"name\":\"big\"", {"inputs[1]", "taken"}},
    {"\"bgr\"", "\"cmyk\"", {"inputs[0].color", "\"gray\", \"rgb\", \"bgr\""}},
    {"\"center\"", "\"random\"", {"inputs[0].crop", "\"none\", \"center\""}},
    {"\"bilinear\",\"mean\":[0]", "\"nearest\",\"mean\":[0]", {"inputs[1].resize", "bilinear"}},
    {"\"mean\":[0]", "\"mean\":[0,0]", {"inputs[1].mean", "1 to 1 items"}},
    {"\"mean\":[0]", "\"mean\":[1e9]", {"inputs[1].mean[0]", "-1000 to 1000"}},
    {"\"std\":[1]", "\"std\":[0]", {"inputs[1].std[0]", "0.001 to 1000", "found 0"}},
    {"\"std\":[1]", "\"std\":[-1]", {"inputs[1].std[0]", "0.001 to 1000"}},
    {"\"std\":[1]", "\"std\":[1e999]", {"number"}},
    {"\"stem_kernel\":7",
     "\"stem_kernel\":8",
     {"inputs[0].stem_kernel", "odd, 1 to 11", "found 8"}},
    {"\"stem_kernel\":7", "\"stem_kernel\":13", {"inputs[0].stem_kernel", "1 to 11"}},
    {"\"stem_stride\":2}", "\"stem_stride\":33}", {"inputs[0].stem_stride", "1 to 32"}},
    {"\"blocks\":2", "\"blocks\":0", {"stages[0].blocks", "1 to 64"}},
    {"\"blocks\":2", "\"blocks\":64", {"stages[1]", "at most 64 blocks"}},
    {"\"blocks\":1", "\"blocks\":63", {"stages[1].blocks", "1 to 62", "found 63"}},
    {"\"width\":8,\"stride\":1", "\"width\":7,\"stride\":1", {"stages[0].width", "8 to 2048"}},
    {"\"width\":16", "\"width\":7", {"stages[1].width", "8 to 2048", "found 7"}},
    {"\"stride\":4", "\"stride\":3", {"stages[1].stride", "1, 2 or 4", "found 3"}},
    {"\"stride\":4", "\"stride\":5", {"stages[1].stride", "1 to 4"}},
    {"\"group_width\":5", "\"group_width\":0", {"stages[1].group_width", "1 to 2048"}},
    {"\"input\":\"small\"", "\"input\":\"none\"", {"tasks[0].input", "found \"none\""}},
    {"[\"x\",\"y\"]", "[]", {"tasks[0].labels", "1 to 1000 items"}},
    {"[\"x\",\"y\"]", "[\"x\",\"x\"]", {"tasks[0].labels[1]", "twice"}},
    {"[\"x\",\"y\"]", "[\"x\",2]", {"tasks[0].labels[1]", "1 to 64 bytes"}},
    {"[3,1,0,2]", "[3,1,0]", {"tasks[0].order", "4 to 4 items"}},
    {"[3,1,0,2]", "[3,1,0,4]", {"tasks[0].order[3]", "0 to 3", "found 4"}},
    {"[3,1,0,2]", "[3,1,0,1]", {"tasks[0].order[3]", "twice", "0 to 3"}},
    {"\"accuracy\":0.75", "\"accuracy\":1.5", {"tasks[0].measured[0].accuracy", "0 to 1"}},
    {"\"by\":\"uniform\"", "\"by\":\"me\"", {"tasks[0].measured[0].by", "\"uniform\""}},
    {"\"name\":\"b\"", "\"name\":\"a\"", {"tasks[1]", "taken"}},
    {"\"kind\":\"conv\"", "\"kind\":\"magic\"", {"agent.kind", "\"shared\""}},
    {"\"kind\":\"conv\"",
     "\"kind\":\"task\"",
     {"agent.", "unknown key", "kind, embedding, hidden"}},
    {"\"kind\":\"conv\"", "\"kind\":\"conv\",\"probe_level\":1", {"agent.probe_level", "unknown"}},
    {"\"kind\":\"conv\"", "\"kind\":\"conv\",\"pooled\":true", {"agent.pooled", "unknown"}},
    {"\"kind\":\"conv\",", "", {"agent", "\"kind\" is missing"}},
    {"\"embedding\":3", "\"embedding\":65", {"agent.embedding", "1 to 64"}},
    {"\"hidden\":9", "\"hidden\":1025", {"agent.hidden", "1 to 1024"}},
    {"\"stem_kernel\":3", "\"stem_kernel\":4", {"agent.stem_kernel", "odd"}},
    {"\"width\":6", "\"width\":257", {"agent.width", "1 to 256"}},
    {"\"training\":{", "\"training\":[{", {"line"}},
    {"\"seed\":7,\"nested\":{\"list\":[1,2]}", "", {NULL}}, /* an empty object is fine */
};

static char *replaced(const struct violation *v)
{
    const char *at = strstr(whole, v->from);
    char *text = NULL;

    cr_assert_not_null(at, "%s", v->from);
    cr_assert_gt(asprintf(&text, "%.*s%s%s", (int)(at - whole), whole, v->to, at + strlen(v->from)),
                 0);
    return text;
}

Test(network, every_violation_names_field_and_range)
{
    for (size_t i = 0; i < sizeof violations / sizeof violations[0]; i++) {
        const struct violation *v = &violations[i];
        _cleanup_(vn_freep) char *text = replaced(v);
        _cleanup_(vn_network_freep) struct vn_network *n = NULL;
        struct vn_why why = {""};
        int r = vn_network_parse(text, strlen(text), &why, &n);

        if (!v->says[0]) {
            cr_assert_eq(r, 0, "%s", why.text);
            continue;
        }
        cr_assert_eq(r, VN_NETWORK_E_INVALID, "%s -> %s: %d", v->from, v->to, r);
        for (int k = 0; k < 3 && v->says[k]; k++)
            cr_assert(strstr(why.text, v->says[k]), "%s -> %s: \"%s\" does not say \"%s\"", v->from,
                      v->to, why.text, v->says[k]);
    }
}

/* Each key of each object is required, but for the four that the document calls optional. */
Test(network, missing_keys)
{
    static const char *const optional[] = {"order", "measured", "training", NULL};
    static const char *const needed[] = {"name",        "stem_width", "groups", "inputs", "stages",
                                         "tasks",       "agent",      "width",  "height", "color",
                                         "crop",        "resize",     "mean",   "std",    "blocks",
                                         "stem_kernel", "labels",     "input",  "stride", NULL};

    for (int list = 0; list < 2; list++)
        for (const char *const *key = list ? optional : needed; *key; key++) {
            _cleanup_(vn_network_freep) struct vn_network *n = NULL;
            _cleanup_(json_decrefp) json_t *root = json_loads(whole, 0, NULL);
            _cleanup_(vn_freep) char *text = NULL;
            json_t *places[] = {root, json_array_get(json_object_get(root, "inputs"), 1),
                                json_array_get(json_object_get(root, "stages"), 0),
                                json_array_get(json_object_get(root, "tasks"), 0)};
            int r;

            for (int i = 3; i >= 0; i--)
                if (!json_object_del(places[i], *key))
                    break;
            text = json_dumps(root, 0);
            r = vn_network_parse(text, strlen(text), NULL, &n);
            cr_assert_eq(r, list ? 0 : VN_NETWORK_E_INVALID, "%s", *key);
        }
}

Test(network, work)
{
    _cleanup_(vn_network_freep) struct vn_network *n = parse(whole);
    const uint64_t stem = 17 * 9 * 49 * 3 * 8; /* 33 x 17 at stride 2 */
    const uint64_t block = 17 * 9 * 9 * 3 * (8 + 8), last = 5 * 3 * 9 * 5 * (8 + 16);
    const uint64_t agent_stem = 17 * 9 * 9 * 3 * 6;
    const uint64_t agent_blocks = (17 * 9 + 2 * 9 * 5) * 9 * 6 * (6 + 6); /* strides 1, 2, 1 */

    cr_assert_eq(vn_work_path(n, 1, (const uint8_t[]){2, 0, 3}), stem + 2 * block + 3 * last + 16);
    cr_assert_eq(vn_work_uniform(n, 1, 0), stem + 16);
    cr_assert_eq(vn_work_uniform(n, 1, 4), stem + 4 * (2 * block + last) + 16);
    /* features 6, embedding 3 and two wishes in; 3 blocks of 5 levels out */
    cr_assert_eq(vn_work_agent(n, 1), agent_stem + agent_blocks + 9 * (11 + 15));
    n->agent.kind = VN_AGENT_UNIFORM;
    cr_assert_eq(vn_work_agent(n, 1), 0);
    n->agent.kind = VN_AGENT_SHARED;
    n->agent.probe_level = 2;
    n->agent.pooled = true;
    cr_assert_eq(vn_work_agent(n, 1), vn_work_uniform(n, 1, 2) + 9 * (16 + 3 + 3 + 2 + 15));
    n->agent.pooled = false;
    cr_assert_eq(vn_work_agent(n, 1), vn_work_uniform(n, 1, 2) + 9 * (3 + 3 + 2 + 15));
}

Test(network, cyclic_order)
{
    uint8_t order[VN_GROUPS_MAX];

    vn_order_cyclic(10, 7, 20, order); /* start floor(7 * 10 / 20) = 3 */
    cr_assert_arr_eq(order, ((uint8_t[]){3, 4, 5, 6, 7, 8, 9, 0, 1, 2}), 10);
    vn_order_cyclic(4, 255, 256, order); /* floor(255 * 4 / 256) = 3 */
    cr_assert_arr_eq(order, ((uint8_t[]){3, 0, 1, 2}), 4);
}
