/* When the queue is full: who has the most waiting there makes room for who has less. So nobody can
 * fill it against the others, and who is alone may have all of it. What it loses is its newest
 * request, which is answered with BUSY. */
#pragma once

#include <stdbool.h>

struct daemon;
struct job;

/* Takes a request out of the queue in favour of this one, which is not in it and could not enter
 * because of `why` (QUEUE_E_FULL, QUEUE_E_BYTES). False: nobody has more than its user would have
 * then. */
bool displace_for(struct daemon *d, const struct job *j, int why);
