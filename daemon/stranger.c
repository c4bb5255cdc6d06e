#include "daemon/stranger.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include "daemon/thread.h"

/* Static, because a thread that never comes back outlives everything else.
 *
 * loop      uid and fd of the places that are not `used`
 * thread n  place n, until it says that it is not used any more */
static struct place {
    atomic_bool used;
    uid_t uid;
    int fd;
} places[STRANGERS_MAX];

bool stranger_room(uid_t uid)
{
    uint32_t free = 0, own = 0;

    for (uint32_t i = 0; i < STRANGERS_MAX; i++) {
        bool used = atomic_load(&places[i].used);

        free += !used;
        own += used && places[i].uid == uid;
    }
    return free && own < STRANGERS_OF_USER_MAX;
}

static void *close_it(void *argument)
{
    struct place *p = argument;

    close(p->fd);
    atomic_store(&p->used, false);
    return NULL;
}

void stranger_close(int fd, uid_t uid)
{
    struct place *p = places;
    pthread_t thread;

    while (atomic_load(&p->used))
        p++;
    p->uid = uid;
    p->fd = fd;
    atomic_store(&p->used, true);
    if (thread_start(&thread, close_it, p))
        close_it(p); /* without threads, waiting is the lesser evil */
    else
        pthread_detach(thread);
}
