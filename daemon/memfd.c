#include "daemon/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/checked.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

bool memfd_may_be(int fd)
{
    return fcntl(fd, F_GET_SEALS) >= 0;
}

/* Huge pages may be missing when they are first touched, which is a fault; ordinary ones are
 * not. */
static int check_seals(int fd, struct vn_why *why)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct statfs fs;

    if (seals < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
        return vn_because(why, MEMFD_E_INVALID,
                          "the descriptor that came with the image is no memfd of ordinary pages");
    if ((seals & SEALS) != SEALS)
        return vn_because(why, MEMFD_E_INVALID,
                          "the memfd that came with the image must be sealed with F_SEAL_SHRINK "
                          "and F_SEAL_GROW; its seals are %#x",
                          (unsigned)seals);
    return 0;
}

/* After the seals: only then does the size stay what it is. */
static int check_range(int fd, uint64_t offset, uint64_t bytes, uint64_t limit, struct vn_why *why)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return vn_because(why, MEMFD_E_INVALID, "the memfd that came with the image: %s",
                          strerror(errno));
    if (!bytes || bytes > limit)
        return vn_because(why, MEMFD_E_INVALID,
                          "memfd_bytes is %llu; it must be 1 to %llu (frame_limit_bytes)",
                          (unsigned long long)bytes, (unsigned long long)limit);
    if (!vn_range_fits(offset, bytes, (uint64_t)st.st_size))
        return vn_because(why, MEMFD_E_INVALID,
                          "%llu bytes from memfd_offset %llu on are not within the memfd, which "
                          "has %lld",
                          (unsigned long long)bytes, (unsigned long long)offset,
                          (long long)st.st_size);
    return 0;
}

int memfd_map(int fd, uint64_t offset, uint64_t bytes, uint64_t limit_bytes, struct vn_why *why,
              struct memfd_map *ret_map, const uint8_t **ret_bytes)
{
    size_t before = offset % (uint64_t)sysconf(_SC_PAGESIZE);
    void *address;
    int r = check_seals(fd, why);

    if (!r)
        r = check_range(fd, offset, bytes, limit_bytes, why);
    if (r)
        return r;
    /* private: a shared mapping of a file that is sealed against writing is refused by kernels
     * before 6.7, and one that is only read needs no memory of its own */
    address = mmap(NULL, before + bytes, PROT_READ, MAP_PRIVATE | MAP_NORESERVE, fd,
                   (off_t)(offset - before));
    if (address == MAP_FAILED)
        return errno == ENOMEM ? -ENOMEM
                               : vn_because(why, MEMFD_E_INVALID,
                                            "the memfd that came with the image cannot be mapped: "
                                            "%s",
                                            strerror(errno));
    *ret_map = (struct memfd_map){address, before + bytes};
    *ret_bytes = (const uint8_t *)address + before;
    return 0;
}

void memfd_unmap(struct memfd_map *m)
{
    if (m->address)
        munmap(m->address, m->bytes);
    *m = (struct memfd_map){0};
}
