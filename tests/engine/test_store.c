#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/store.h"
#include "support.h"

/* A whole file in memory, to be changed and written back. */
struct bytes {
    uint8_t *data; /* owned */
    size_t n;
};

static void bytes_deinit(struct bytes *b)
{
    free(b->data);
}

static struct bytes read_file(const char *file)
{
    _cleanup_(vn_fclosep) FILE *f = fopen(file, "r");
    struct bytes b;
    struct stat st;

    cr_assert_not_null(f, "%s", file);
    cr_assert_eq(fstat(fileno(f), &st), 0);
    b = (struct bytes){malloc((size_t)st.st_size + 1), (size_t)st.st_size};
    cr_assert_eq(fread(b.data, 1, b.n, f), b.n);
    return b;
}

static void write_file(const char *file, const void *data, size_t n)
{
    _cleanup_(vn_fclosep) FILE *f = fopen(file, "w");

    cr_assert_not_null(f, "%s", file);
    cr_assert_eq(fwrite(data, 1, n, f), n);
}

static uint64_t header_length(const struct bytes *b)
{
    uint64_t n;

    memcpy(&n, b->data, sizeof n);
    return n;
}

/* Removes what a test wrote, also when it fails. */
struct file {
    char path[4096];
};

static struct file named(const char *name)
{
    struct file f;

    snprintf(f.path, sizeof f.path, "%s", scratch_file(name));
    return f;
}

static void file_deinit(struct file *f)
{
    unlink(f->path);
}

static const struct net_spec small = {
    .agent = "{\"kind\":\"conv\",\"width\":3}", .inputs = 2, .stem_kernel = 5};

static struct file written(const char *name, const struct net_spec *spec, uint64_t seed)
{
    _cleanup_(vn_network_freep) struct vn_network *n = spec_network(spec);
    struct file f = named(name);

    write_numbers(f.path, n, seed);
    return f;
}

/* The result of opening; `why` says why. */
static int try_open(const char *file, struct vn_why *why)
{
    struct vn_store *s = NULL;
    int r = vn_store_open(file, why, &s);

    vn_store_unref(s);
    return r;
}

/* --- the good case ---------------------------------------------------------------------------- */

Test(store, numbers_come_back)
{
    _cleanup_(file_deinit) struct file f = written("good", &small, 5);
    _cleanup_(vn_store_unrefp) struct vn_store *s = open_store(f.path);
    _cleanup_(bytes_deinit) struct bytes b = read_file(f.path);

    cr_assert_eq(s->file_bytes, b.n);
    cr_assert_eq(b.n - s->layout->data_bytes, 8 + header_length(&b));
    for (uint32_t i = 0; i < s->layout->n_tensors; i++) {
        const struct vn_tensor *t = &s->layout->tensors[i];
        _cleanup_(vn_freep) float *expected = calloc(1, t->bytes);

        if (!t->padding)
            numbers_fill(5, s->layout, i, expected);
        cr_assert_eq(memcmp(s->data + t->offset, expected, t->bytes), 0, "%s", t->name);
    }
}

Test(store, place_of_the_map)
{
    _cleanup_(file_deinit) struct file f = written("place", &small, 5);

    for (int i = 0; i < 20; i++) {
        struct vn_store *s = open_store(f.path);
        uint64_t offset = s->file_bytes - s->layout->data_bytes, address = (uintptr_t)s->data;

        cr_assert_eq(address % 65536, offset % 65536);
        cr_assert_neq(address % (2 << 20), offset % (2 << 20));
        vn_store_unref(s);
    }
}

Test(store, bytes_depend_on_contents_alone)
{
    _cleanup_(file_deinit) struct file f = written("first", &small, 5);
    _cleanup_(file_deinit) struct file g = written("second", &small, 5);
    _cleanup_(file_deinit) struct file h = written("third", &small, 6);
    _cleanup_(bytes_deinit) struct bytes a = read_file(f.path);
    _cleanup_(bytes_deinit) struct bytes b = read_file(g.path);
    _cleanup_(bytes_deinit) struct bytes c = read_file(h.path);

    cr_assert_eq(a.n, b.n);
    cr_assert_eq(memcmp(a.data, b.data, a.n), 0);
    cr_assert_neq(memcmp(a.data, c.data, a.n), 0);
}

struct told {
    uint64_t done, all, calls;
};

static void tell(void *context, uint64_t done, uint64_t all)
{
    struct told *t = context;

    cr_assert_gt(done, t->done);
    *t = (struct told){done, all, t->calls + 1};
}

Test(store, verify)
{
    _cleanup_(file_deinit) struct file f = written("verify", &small, 5);
    _cleanup_(vn_store_unrefp) struct vn_store *s = open_store(f.path);
    struct vn_why why = {""};
    struct told told = {0};

    cr_assert_eq(vn_store_verify(s, &why, tell, &told), 0, "%s", why.text);
    cr_assert_eq(told.done, s->layout->data_bytes);
    cr_assert_eq(told.all, s->layout->data_bytes);
}

Test(store, references)
{
    _cleanup_(file_deinit) struct file f = written("references", &small, 5);
    struct vn_store *s = open_store(f.path), *other = vn_store_ref(s);

    cr_assert_eq(other, s);
    cr_assert_null(vn_store_unref(s));
    cr_assert_neq(other->data[0] + other->data[1] + other->data[2], 0); /* still mapped */
    cr_assert_null(vn_store_unref(other));
    cr_assert_null(vn_store_unref(NULL));
}

/* --- writing ---------------------------------------------------------------------------------- */

/* The old file is replaced, never changed: who has it open keeps it. */
Test(store, writing_replaces)
{
    _cleanup_(file_deinit) struct file f = written("replaced", &small, 5);
    _cleanup_(vn_store_unrefp) struct vn_store *old = open_store(f.path), *new = NULL;
    _cleanup_(vn_freep) uint8_t *before = malloc(old->layout->data_bytes);

    memcpy(before, old->data, old->layout->data_bytes);
    written("replaced", &small, 6);
    new = open_store(f.path);
    cr_assert_eq(memcmp(before, old->data, old->layout->data_bytes), 0);
    cr_assert_neq(memcmp(before, new->data, new->layout->data_bytes), 0);
    cr_assert_eq(vn_store_verify(old, NULL, NULL, NULL), 0);
}

static unsigned count_files(const char *prefix)
{
    char command[4200];
    unsigned n = 0;
    FILE *p;

    snprintf(command, sizeof command, "ls -d %s* 2>/dev/null | wc -l", prefix);
    p = popen(command, "r");
    cr_assert_eq(fscanf(p, "%u", &n), 1);
    pclose(p);
    return n;
}

/* The disk is full (here: the file may not grow past 100 kB): the old file stays, nothing is left
 * behind. */
Test(store, failed_writing_leaves_the_old_file)
{
    _cleanup_(file_deinit) struct file f = written("full", &small, 5);
    _cleanup_(vn_network_freep) struct vn_network *n = spec_network(&small);
    _cleanup_(numbers_deinit) struct numbers numbers = {.seed = 6};
    _cleanup_(bytes_deinit) struct bytes before = read_file(f.path), after = {0};
    struct vn_why why = {""};

    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){100000, RLIM_INFINITY});
    cr_assert_eq(vn_store_write(f.path, n, numbers_source, &numbers, &why), -EFBIG, "%s", why.text);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
    cr_assert(strstr(why.text, "File too large"), "%s", why.text);
    after = read_file(f.path);
    cr_assert(before.n == after.n && !memcmp(before.data, after.data, before.n));
    cr_assert_eq(count_files(f.path), 1);
}

static const float *no_source(void *context, const struct vn_layout *l, uint32_t tensor)
{
    return NULL;
}

Test(store, writing_errors)
{
    _cleanup_(vn_network_freep) struct vn_network *n = spec_network(&small);
    _cleanup_(file_deinit) struct file f = named("nothing");
    struct vn_why why = {""};

    cr_assert_eq(vn_store_write("/nonexistent/x.safetensors", n, no_source, NULL, &why), -ENOENT);
    cr_assert_eq(vn_store_write("", n, no_source, NULL, &why), -EINVAL);
    cr_assert_eq(vn_store_write(f.path, n, no_source, NULL, &why), -EINVAL);
    cr_assert(strstr(why.text, "input.0.stem.conv"), "%s", why.text);
    cr_assert_eq(count_files(f.path), 0);
}

/* A name without a folder goes into the current one. */
Test(store, writing_here)
{
    _cleanup_(vn_network_freep) struct vn_network *n = spec_network(&small);
    char folder[4096];

    snprintf(folder, sizeof folder, "%s", scratch_file("folder"));
    cr_assert_eq(mkdir(folder, 0700), 0);
    cr_assert_eq(chdir(folder), 0);
    write_numbers("here", n, 1);
    cr_assert_eq(try_open("here", NULL), 0);
    unlink("here");
    cr_assert_eq(rmdir(folder), 0, "something was left behind");
}

/* --- broken files ----------------------------------------------------------------------------- */

Test(store, not_a_store)
{
    static const struct {
        const char *file;
        int result;
        const char *says;
    } cases[] = {
        {"/nonexistent/file", -ENOENT, "No such file"},
        {"/dev/null", VN_STORE_E_INVALID, "regular file"},
        {"/tmp", VN_STORE_E_INVALID, "regular file"},
        {"/proc/self/status", VN_STORE_E_INVALID, "too few"}, /* says that it has 0 bytes */
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vn_why why = {""};

        cr_assert_eq(try_open(cases[i].file, &why), cases[i].result, "%s", why.text);
        cr_assert(strstr(why.text, cases[i].says), "%s", why.text);
        cr_assert(strstr(why.text, cases[i].file), "%s", why.text);
    }
}

/* A pipe without a writer must not hang the open. */
Test(store, pipe, .timeout = 5)
{
    _cleanup_(file_deinit) struct file f = named("pipe");
    struct vn_why why;

    cr_assert_eq(mkfifo(f.path, 0600), 0);
    cr_assert_eq(try_open(f.path, &why), VN_STORE_E_INVALID);
}

Test(store, header_length_is_checked)
{
    static const uint64_t lengths[] = {0,
                                       1,
                                       2,
                                       100,
                                       (UINT64_C(16) << 20) + 1,
                                       UINT64_C(1) << 32,
                                       UINT64_C(1) << 63,
                                       UINT64_MAX,
                                       UINT64_MAX - 7,
                                       UINT64_MAX - 8};
    _cleanup_(file_deinit) struct file f = written("length", &small, 5);
    _cleanup_(bytes_deinit) struct bytes b = read_file(f.path);

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct vn_why why = {""};

        memcpy(b.data, &lengths[i], 8);
        write_file(f.path, b.data, b.n);
        cr_assert_eq(try_open(f.path, &why), VN_STORE_E_INVALID, "%llu",
                     (unsigned long long)lengths[i]);
        cr_assert(strstr(why.text, "header"), "%s", why.text);
    }
}

/* Any other size than the right one: shorter by every step, longer by a byte or a window. */
Test(store, truncated_or_longer, .timeout = 60)
{
    _cleanup_(file_deinit) struct file f = written("truncated", &small, 5);
    _cleanup_(bytes_deinit) struct bytes b = read_file(f.path);
    struct vn_why why = {""};

    for (size_t n = 0; n < b.n; n += n < 64 ? 1 : 1021) {
        cr_assert_eq(truncate(f.path, (off_t)n), 0);
        cr_assert_eq(try_open(f.path, &why), VN_STORE_E_INVALID, "%zu bytes: %s", n, why.text);
        write_file(f.path, b.data, b.n);
    }
    for (int64_t by = -65536; by <= 65536; by += by == -1 || by == 0 ? 1 : 65535) {
        cr_assert_eq(truncate(f.path, (off_t)((int64_t)b.n + by)), 0);
        cr_assert_eq(try_open(f.path, &why), by ? VN_STORE_E_INVALID : 0, "%+d: %s", (int)by,
                     why.text);
        write_file(f.path, b.data, b.n);
    }
}

/* No bit of the header can change unseen: the store does not open, or (a checksum that is another
 * legal checksum) does not verify. */
Test(store, flipped_header_bits, .timeout = 100)
{
    _cleanup_(file_deinit) struct file f = written("flipped", &(struct net_spec){.groups = 1}, 5);
    _cleanup_(bytes_deinit) struct bytes b = read_file(f.path);
    _cleanup_(vn_closep) int fd = open(f.path, O_WRONLY | O_CLOEXEC);
    size_t end = 8 + header_length(&b);

    while (b.data[end - 1] == ' ')
        end--;
    for (size_t i = 0; i < end + 64; i += i < 300 ? 1 : 3)
        for (unsigned bit = i % 8; bit < 8; bit += i < 300 ? 1 : 8) {
            uint8_t flipped = (uint8_t)(b.data[i] ^ 1 << bit);
            struct vn_store *s = NULL;

            cr_assert_eq(pwrite(fd, &flipped, 1, (off_t)i), 1);
            cr_assert(vn_store_open(f.path, NULL, &s) > 0 ||
                          vn_store_verify(s, NULL, NULL, NULL) == VN_STORE_E_CHECKSUM,
                      "byte %zu bit %u", i, bit);
            vn_store_unref(s);
            cr_assert_eq(pwrite(fd, &b.data[i], 1, (off_t)i), 1);
        }
    cr_assert_eq(try_open(f.path, NULL), 0);
}

/* Every flip in the data is found by verify, which names the part. */
Test(store, flipped_data_bits, .timeout = 100)
{
    _cleanup_(file_deinit) struct file f = written("data", &small, 5);
    _cleanup_(vn_store_unrefp) struct vn_store *s = open_store(f.path);
    _cleanup_(bytes_deinit) struct bytes b = read_file(f.path);
    _cleanup_(vn_closep) int fd = open(f.path, O_WRONLY | O_CLOEXEC);
    uint64_t start = b.n - s->layout->data_bytes;
    const struct vn_slice *slice = &s->layout->trunk.slice[3][2];
    struct vn_rng r = {1};

    for (int i = 0; i < 300; i++) {
        uint64_t at = i == 0   ? 0
                      : i == 1 ? s->layout->data_bytes - 1
                      : i == 2 ? slice->offset
                      : i == 3 ? s->layout->fixed_bytes /* padding, or the first slice */
                               : vn_rng_below(&r, (uint32_t)s->layout->data_bytes);
        uint8_t flipped = (uint8_t)(b.data[start + at] ^ 1 << vn_rng_below(&r, 8));
        struct vn_why why = {""};

        cr_assert_eq(pwrite(fd, &flipped, 1, (off_t)(start + at)), 1);
        cr_assert_eq(vn_store_verify(s, &why, NULL, NULL), VN_STORE_E_CHECKSUM, "byte %llu",
                     (unsigned long long)at);
        cr_assert(i != 0 || strstr(why.text, "fixed"), "%s", why.text);
        cr_assert(i != 2 || strstr(why.text, "block.2.group.3"), "%s", why.text);
        cr_assert_eq(pwrite(fd, &b.data[start + at], 1, (off_t)(start + at)), 1);
    }
    cr_assert_eq(vn_store_verify(s, NULL, NULL, NULL), 0);
}

/* --- wrong headers ---------------------------------------------------------------------------- */

static const struct patch {
    const char *from, *to;
    int result;
    const char *says;
} patches[] = {
    {"{", "[", VN_STORE_E_INVALID, "header: line 1"},
    {"{\"__metadata__\"", "{\"metadata\"", VN_STORE_E_INVALID, "no __metadata__"},
    {"virtualnet/1", "pt", VN_STORE_E_INVALID, "not a virtualnet store"},
    {"virtualnet/1", "virtualnet/2", VN_STORE_E_NEWER, "\"virtualnet/2\""},
    {"\"format\"", "\"format\":\"virtualnet/1\",\"format\"", VN_STORE_E_INVALID, "duplicate"},
    {"\"format\"", "\"future\":1,\"format\"", VN_STORE_E_INVALID, "future: unknown key"},
    {"\"network\":\"{", "\"network\":\"", VN_STORE_E_INVALID, "network: line 1"},
    {"\\\"groups\\\":4", "\\\"groups\\\":40", VN_STORE_E_INVALID, "groups: must be"},
    {"\\\"groups\\\":4", "\\\"groups\\\":3", VN_STORE_E_INVALID, "order"},
    {"label 0", "label X", VN_STORE_E_INVALID, "description was changed"},
    {"\\\"fixed\\\":\\\"", "\\\"fixed\\\":\\\"0", VN_STORE_E_INVALID, "checksums: fixed"},
    {"\\\"fixed\\\"", "\\\"fixes\\\"", VN_STORE_E_INVALID, "\"fixed\" is missing"},
    {"\\\"fixed\\\"", "\\\"extra\\\":\\\"\\\",\\\"fixed\\\"", VN_STORE_E_INVALID, "entries"},
    {"\"F32\"", "\"F64\"", VN_STORE_E_INVALID, "input.0.stem.conv.dtype: must be one of \"F32\""},
    {"\"shape\":[5,5,3,8]", "\"shape\":[5,5,8,3]", VN_STORE_E_INVALID,
     "input.0.stem.conv.shape[2]: must be a whole number from 3 to 3, found 8"},
    {"\"shape\":[5,5,3,8]", "\"shape\":[5,5,24]", VN_STORE_E_INVALID, "4 to 4 items"},
    {"\"shape\":[5,5,3,8]", "\"shape\":[5,5,3,-8]", VN_STORE_E_INVALID, "8 to 8"},
    {"\"data_offsets\":[0,2400]", "\"data_offsets\":[0,2404]", VN_STORE_E_INVALID,
     "data_offsets[1]"},
    {"\"data_offsets\":[0,2400]", "\"data_offsets\":[64,2464]", VN_STORE_E_INVALID,
     "data_offsets[0]"},
    {"\"data_offsets\":[0,2400]", "\"data_offsets\":[0,9223372036854775807]", VN_STORE_E_INVALID,
     "data_offsets[1]"},
    {"\"data_offsets\":[0,2400]", "\"data_offsets\":[0,18446744073709551616]", VN_STORE_E_INVALID,
     "header"},
    {"\"input.0.stem.conv\"", "\"input.9.stem.conv\"", VN_STORE_E_INVALID,
     "\"input.0.stem.conv\" is missing"},
    {"\"input.0.stem.conv\"", "\"x\":{},\"input.0.stem.conv\"", VN_STORE_E_INVALID,
     "tensor x does not belong"},
    {"\"input.0.stem.bn\":{", "\"input.0.stem.bn\":{\"extra\":0,", VN_STORE_E_INVALID,
     "input.0.stem.bn.extra: unknown key"},
    {"{\"dtype\"", "[{\"dtype\"", VN_STORE_E_INVALID, "header"},
    {"\"U8\"", "\"I8\"", VN_STORE_E_INVALID, "must be one of \"U8\""},
};

/* The store with `from` replaced in its header, padded and followed by the data as before. */
static void write_patched(const char *file, const struct bytes *b, const struct patch *p)
{
    size_t length = header_length(b), rest = b->n - 8 - length, n = 0;
    _cleanup_(vn_freep) char *text = strndup((char *)b->data + 8, length);
    _cleanup_(vn_freep) uint8_t *out = malloc(b->n + 65536 + strlen(p->to));
    char *at = strstr(text, p->from);
    uint64_t header;

    cr_assert_not_null(at, "%s", p->from);
    while (length && text[length - 1] == ' ')
        length--;
    n = 8 + (size_t)sprintf((char *)out + 8, "%.*s%s%.*s", (int)(at - text), text, p->to,
                            (int)(length - (size_t)(at - text) - strlen(p->from)),
                            at + strlen(p->from));
    while (n % 65536)
        out[n++] = ' ';
    header = n - 8;
    memcpy(out, &header, 8);
    memcpy(out + n, b->data + b->n - rest, rest);
    write_file(file, out, n + rest);
}

Test(store, wrong_headers)
{
    _cleanup_(file_deinit) struct file f = written("patched", &small, 5);
    _cleanup_(bytes_deinit) struct bytes b = read_file(f.path);
    const struct patch none = {"virtualnet/1", "virtualnet/1", 0, ""};

    for (size_t i = 0; i < sizeof patches / sizeof patches[0]; i++) {
        struct vn_why why = {""};
        int r;

        write_patched(f.path, &b, &patches[i]);
        r = try_open(f.path, &why);
        cr_assert_eq(r, patches[i].result, "%s -> %s: %d %s", patches[i].from, patches[i].to, r,
                     why.text);
        cr_assert(strstr(why.text, patches[i].says), "%s -> %s: \"%s\" does not say \"%s\"",
                  patches[i].from, patches[i].to, why.text, patches[i].says);
    }
    write_patched(f.path, &b, &none);
    cr_assert_eq(try_open(f.path, NULL), 0);
}

/* Deep nesting must neither crash nor take long. */
Test(store, deep_header, .timeout = 10)
{
    _cleanup_(file_deinit) struct file f = named("deep");
    const size_t n = 1 << 20;
    _cleanup_(vn_freep) uint8_t *out = malloc(8 + n);
    uint64_t length = n;
    struct vn_why why = {""};

    memcpy(out, &length, 8);
    memset(out + 8, '[', n);
    write_file(f.path, out, 8 + n);
    cr_assert_eq(try_open(f.path, &why), VN_STORE_E_INVALID);
    cr_assert(strstr(why.text, "nested"), "%s", why.text);
}

/* Without checksums a store opens, but cannot be verified. */
Test(store, no_checksums)
{
    _cleanup_(file_deinit) struct file f = written("unsummed", &small, 5);
    _cleanup_(bytes_deinit) struct bytes b = read_file(f.path);
    _cleanup_(vn_store_unrefp) struct vn_store *s = NULL;
    char *at = strstr((char *)b.data + 8, ",\"checksums\":\"");
    char *end = strstr(at, "}\"}") + 2;
    struct vn_why why = {""};

    memset(at, ' ', (size_t)(end - at));
    write_file(f.path, b.data, b.n);
    s = open_store(f.path);
    cr_assert_eq(vn_store_verify(s, &why, NULL, NULL), VN_STORE_E_CHECKSUM);
    cr_assert(strstr(why.text, "no checksums"), "%s", why.text);
}
