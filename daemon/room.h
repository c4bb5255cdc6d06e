/* Room in the event loop for everybody who may connect. libuv ends the process when it has no
 * memory for its table of descriptors, which grows with them: so it is made to grow before there is
 * anybody whose connection could be the one too many. */
#pragma once

#include <stdint.h>
#include <uv.h>

/* For descriptors below n, or below the process's limit for them. 0 or a negative errno. */
int room_make(uv_loop_t *loop, uint64_t n);
