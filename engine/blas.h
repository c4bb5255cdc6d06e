/* OpenBLAS starts its threads when it is loaded, one per processor, unless the environment says
 * otherwise at that moment. Parallelism is ours, so every program that links the engine calls this
 * first in main. */
#pragma once

/* When OPENBLAS_NUM_THREADS is not set: sets it to 1 and executes the program again with the same
 * arguments (/proc/self/exe), which does not return. 0 when it was set already; a negative errno
 * when the program could not be executed again (it may go on, only slower). */
int vn_blas_single_thread(char **argv);
