/* What runs of any number of stores keep in memory between them: which windows (64 KiB of a store's
 * data) are resident, which of them a run uses right now, and which was used longest ago.
 *
 * A run holds the windows of its plan before it touches them and lets go of them after. Those that
 * nobody uses stay resident while there is room, and are given back in the order in which they were
 * last used. What a run holds is never taken from it: who gives out promises sees to it that what
 * all runs hold at the same moment fits into the room.
 *
 * To give back means MADV_DONTNEED on the map, which takes the pages out of the process, and then
 * POSIX_FADV_DONTNEED on the file, which takes them out of the page cache, as far as no other
 * process maps them. Always-needed parts are not accounted here, and stay.
 *
 * Books are kept before the kernel maps anything and until it has given it back, so that what is
 * resident is never more than what they say. Any number of threads; one lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "engine/layout.h"

#define VN_ROOM_UNLIMITED UINT64_MAX

struct vn_residency;
struct vn_store;

/* 0 or -ENOMEM. Free it after the last of its stores. */
int vn_residency_new(struct vn_residency **ret_residency);
struct vn_residency *vn_residency_free(struct vn_residency *r);
VN_DEFINE_CLEANUP(struct vn_residency *, vn_residency_free);

/* Runs of this store are accounted from now on, until its last reference is gone. Call it before
 * there is a session. 0 or -ENOMEM. */
int vn_residency_join(struct vn_residency *r, struct vn_store *s);
void vn_residency_leave(struct vn_store *s);

/* Bytes that may be resident. What is too much is given back at once, as far as nobody uses it and
 * nobody else is about to: then it is by them. Never waits. At first there is no limit. */
void vn_residency_set_room(struct vn_residency *r, uint64_t bytes);

/* Gives back what nobody uses until at most so many bytes are left. Takes the time of the system
 * calls, about a millisecond for 10 MB. */
void vn_residency_trim(struct vn_residency *r, uint64_t bytes);

/* Takes all but the always-needed part of a store out of the process; the page cache keeps it. No
 * run of the store may be under way. */
void vn_residency_clear(const struct vn_store *s);

/* Resident bytes, of all stores and of one; 0 for a store that is not accounted. No lock. */
uint64_t vn_residency_bytes(const struct vn_residency *r);
uint64_t vn_store_resident_bytes(const struct vn_store *s);

/* --- for sessions ------------------------------------------------------------------------------
 * Bytes are rounded outwards to windows. A store that is not accounted: `hold` does nothing, and
 * `let_go` only what `keep` false asks for. */

/* A run is about to use these bytes of the data. `keep` false: it will not want them kept. */
void vn_residency_hold(const struct vn_store *s, uint64_t offset, uint64_t bytes, bool keep);

/* After all that a run holds at first: gives back what there is no room for. */
void vn_residency_make_room(const struct vn_store *s);

/* Brings in those of them that were not resident before somebody held them, with few faults. What
 * cannot be read is found out by the run. */
void vn_residency_fetch(const struct vn_store *s, uint64_t offset, uint64_t bytes);

/* The run is done with these ranges. `keep` false: what was not resident before goes out of the
 * process at once, but stays in the page cache, where the next run finds it. */
void vn_residency_let_go(const struct vn_store *s, const struct vn_range *ranges, uint32_t n,
                         bool keep);
