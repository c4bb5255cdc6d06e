#include "engine/blas.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

#define LIBRARY "libopenblas.so.0"

static vn_blas_sgemm_call *sgemm;

static void load(void)
{
    void *library;

    if (setenv("OPENBLAS_NUM_THREADS", "1", 0) < 0)
        return;
#ifdef __aarch64__
    /* The kernels for certain processors read 4 bytes beyond an operand (0.3.21, odd widths). */
    if (setenv("OPENBLAS_CORETYPE", "ARMV8", 0) < 0)
        return;
#endif
    library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL); /* for the life of the process */
    if (library)
        sgemm = (vn_blas_sgemm_call *)dlsym(library, "cblas_sgemm");
}

vn_blas_sgemm_call *vn_blas_sgemm(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, load);
    return sgemm;
}
