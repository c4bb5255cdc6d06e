/* OpenBLAS, which only the gemm kernels need, loaded when they are first used: with what it brings
 * along it would cost every start some milliseconds and every process 3 MB. */
#pragma once

#include <cblas.h>

typedef __typeof__(cblas_sgemm) vn_blas_sgemm_call;

/* cblas_sgemm, single-threaded (parallelism is ours), or NULL: there is no such library here. The
 * first call loads it and sets OPENBLAS_NUM_THREADS=1 in the environment unless it is set, because
 * the library starts its threads when it is loaded; no other thread may look at the environment
 * then. vn_session_new makes that call for sessions that need it. */
vn_blas_sgemm_call *vn_blas_sgemm(void);
