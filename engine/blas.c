#include "engine/blas.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int vn_blas_single_thread(char **argv)
{
    if (getenv("OPENBLAS_NUM_THREADS"))
        return 0;
    if (setenv("OPENBLAS_NUM_THREADS", "1", 1))
        return -errno;
    execv("/proc/self/exe", argv);
    return -errno;
}
