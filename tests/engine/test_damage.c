/* Parts of a store that are compared with their checksums when they are used first. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/session.h"
#include "support.h"

static const struct net_spec spec = {.agent = "{\"kind\":\"conv\",\"width\":3}", .inputs = 2};

/* An open store and its file, so that the file can be changed under it. */
struct subject {
    struct vn_store *store;
    struct vn_session *session;
    int fd;
};

static void subject_deinit(struct subject *s)
{
    vn_session_free(s->session);
    vn_store_unref(s->store);
    close(s->fd);
}

static struct subject subject(const char *name)
{
    _cleanup_(vn_network_freep) struct vn_network *n = spec_network(&spec);
    const char *file = scratch_file(name);
    struct subject s;

    write_numbers(file, n, 3);
    s.store = open_store(file);
    s.fd = open(file, O_RDWR | O_CLOEXEC);
    unlink(file);
    cr_assert(s.fd >= 0);
    cr_assert_eq(vn_session_new(s.store, NULL, &s.session), 0);
    return s;
}

/* Flips one bit of the data; a second call flips it back. */
static void flip(const struct subject *s, uint64_t offset)
{
    off_t at = (off_t)(s->store->file_bytes - s->store->layout->data_bytes + offset);
    uint8_t byte;

    cr_assert_eq(pread(s->fd, &byte, 1, at), 1);
    byte ^= 16;
    cr_assert_eq(pwrite(s->fd, &byte, 1, at), 1);
}

static const struct vn_slice *slice(const struct subject *s, uint32_t group, uint32_t block)
{
    return &s->store->layout->trunk.slice[group][block];
}

/* --- the store -------------------------------------------------------------------------------- */

Test(damage, parts_have_numbers_and_names)
{
    _cleanup_(subject_deinit) struct subject s = subject("damage-names");
    char name[VN_PART_NAME];

    vn_store_part_name(s.store, 0, name);
    cr_assert_str_eq(name, "fixed");
    vn_store_part_name(s.store, vn_store_slice_part(s.store, 3, 2), name);
    cr_assert_str_eq(name, "block.2.group.3");
    cr_assert_eq(vn_store_checks(s.store).parts, 1 + 4 * 4); /* 4 blocks of 4 groups */
}

Test(damage, nothing_is_compared_unasked)
{
    _cleanup_(subject_deinit) struct subject s = subject("damage-unasked");

    for (uint32_t part = 0; part < vn_store_checks(s.store).parts; part++) {
        cr_assert(!vn_store_is_unchecked(s.store, part));
        cr_assert_eq(vn_store_warm(s.store, part), 0);
    }
    cr_assert_eq(vn_store_checks(s.store).good, 0);
}

Test(damage, every_part_is_compared_on_its_own)
{
    _cleanup_(subject_deinit) struct subject s = subject("damage-parts");
    uint32_t bad = vn_store_slice_part(s.store, 2, 1);
    struct vn_why why = {""};

    flip(&s, slice(&s, 2, 1)->offset + slice(&s, 2, 1)->bytes - 1);
    cr_assert_eq(vn_store_check_at_use(s.store, &why), 0, "%s", why.text);
    cr_assert_eq(vn_store_checks(s.store).good, 1); /* the fixed part */
    for (uint32_t part = 1; part < vn_store_checks(s.store).parts; part++) {
        cr_assert(vn_store_is_unchecked(s.store, part));
        cr_assert_eq(vn_store_check(s.store, part), part == bad ? VN_STORE_E_CHECKSUM : 0);
        cr_assert_eq(vn_store_is_unchecked(s.store, part), part == bad);
    }
    cr_assert_eq(vn_store_checks(s.store).damaged, 1);
    cr_assert_eq(vn_store_checks(s.store).good, vn_store_checks(s.store).parts - 1);
    flip(&s, slice(&s, 2, 1)->offset + slice(&s, 2, 1)->bytes - 1);
    cr_assert_eq(vn_store_check(s.store, bad), VN_STORE_E_CHECKSUM, "damage does not heal");
    cr_assert_eq(vn_store_warm(s.store, bad), VN_STORE_E_CHECKSUM);
}

Test(damage, fixed_part_is_compared_at_once)
{
    _cleanup_(subject_deinit) struct subject s = subject("damage-fixed");
    struct vn_why why = {""};

    flip(&s, s.store->layout->fixed_bytes - 1);
    cr_assert_eq(vn_store_check_at_use(s.store, &why), VN_STORE_E_CHECKSUM);
    cr_assert(strstr(why.text, "fixed was changed"), "%s", why.text);
}

static void *check_all(void *argument)
{
    const struct vn_store *store = argument;
    uintptr_t damaged = 0;

    for (uint32_t part = 0; part < vn_store_checks(store).parts; part++)
        damaged += vn_store_check(store, part) != 0;
    return (void *)damaged;
}

Test(damage, threads_agree)
{
    _cleanup_(subject_deinit) struct subject s = subject("damage-threads");
    pthread_t threads[8];
    void *damaged;

    flip(&s, slice(&s, 0, 0)->offset);
    flip(&s, slice(&s, 3, 3)->offset);
    cr_assert_eq(vn_store_check_at_use(s.store, NULL), 0);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, check_all, s.store), 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], &damaged);
        cr_assert_eq((uintptr_t)damaged, 2);
    }
    cr_assert_eq(vn_store_checks(s.store).damaged, 2);
}

/* --- runs ------------------------------------------------------------------------------------- */

static int infer(struct subject *s, uint32_t level, const struct vn_control *control,
                 struct vn_infer_result *ret)
{
    static const uint8_t pixels[12 * 11 * 3];
    const struct vn_image image = {pixels, sizeof pixels, 12, 11, 0, VN_PIXELS_RGB8};
    const uint8_t levels[4] = {(uint8_t)level, (uint8_t)level, (uint8_t)level, (uint8_t)level};
    const struct vn_infer_request q = {.image = &image, .levels = levels, .n_levels = 4};

    return vn_infer(s->session, &q, control, ret);
}

/* Task 0 takes groups 0, 1, 2, 3 in this order. */
Test(damage, runs_stop_before_a_damaged_slice)
{
    _cleanup_(subject_deinit) struct subject s = subject("damage-runs");
    const struct vn_control control = {0};
    struct vn_infer_result before, after;

    cr_assert_eq(infer(&s, 2, &control, &before), 0);
    flip(&s, slice(&s, 2, 1)->offset + 5);
    cr_assert_eq(vn_store_check_at_use(s.store, NULL), 0);
    cr_assert_eq(infer(&s, 3, &control, &after), VN_SESSION_E_DAMAGED);
    cr_assert_eq(after.damaged_part, vn_store_slice_part(s.store, 2, 1));
    cr_assert_eq(vn_session_damaged_part(s.session), after.damaged_part);
    cr_assert_eq(infer(&s, 2, &control, &after), 0);
    cr_assert_arr_eq(after.probabilities, before.probabilities,
                     before.n_labels * sizeof before.probabilities[0]);
    cr_assert_eq(infer(&s, 4, &control, &after), VN_SESSION_E_DAMAGED);
}

/* One step of `progress` for each slice that is compared, none when nothing is left to compare. */
Test(damage, comparing_obeys_the_control)
{
    _cleanup_(subject_deinit) struct subject s = subject("damage-control");
    atomic_bool cancel = true;
    atomic_ulong progress = 0, first;
    const struct vn_control late = {.deadline_ns = 1}, cancelled = {.cancel = &cancel};
    const struct vn_control watched = {.progress = &progress};
    struct vn_infer_result found;

    cr_assert_eq(vn_store_check_at_use(s.store, NULL), 0);
    cr_assert_eq(infer(&s, 4, &late, &found), VN_SESSION_E_DEADLINE);
    cr_assert_eq(infer(&s, 4, &cancelled, &found), VN_SESSION_E_CANCELLED);
    cr_assert_eq(vn_store_checks(s.store).good, 1, "it went on after the end");
    cr_assert_eq(infer(&s, 4, &watched, &found), 0);
    first = atomic_exchange(&progress, 0);
    cr_assert_eq(infer(&s, 4, &watched, &found), 0);
    cr_assert_eq(first, progress + 16); /* 4 blocks of 4 groups */
}
