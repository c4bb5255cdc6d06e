/* Programs of the soak are started by root and go on as somebody else, so that the daemon sees
 * several users; after their start, because not everybody may read the folder that they are in. */
#pragma once

#include <grp.h>
#include <stdlib.h>
#include <unistd.h>

static inline int become_user(const char *uid)
{
    uid_t id = (uid_t)atoi(uid);

    return setgroups(0, NULL) || setgid(id) || setuid(id);
}
