/* Closes descriptors that strangers passed and nobody asked for. Closing one can wait for the file
 * system behind it, for ever if that is a program of the stranger's own (FUSE): so it is done by a
 * thread for each. They are few, for each user and in all; while they are as many as may be, no
 * descriptor is taken from that user, and the kernel drops what it passes, asking nobody. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define STRANGERS_MAX 16
#define STRANGERS_OF_USER_MAX 2

/* Whether one more may be taken from the user. Loop thread only, as the next. */
bool stranger_room(uid_t uid);

/* Takes the descriptor; there must be room for it. */
void stranger_close(int fd, uid_t uid);
