/* Starting a thread that leaves signals to the loop. */
#pragma once

#include <pthread.h>
#include <signal.h>

/* 0 or a negative errno. Faults of the thread itself (SIGBUS, ...) are still delivered to it. */
static inline int thread_start(pthread_t *ret_thread, void *(*run)(void *), void *argument)
{
    sigset_t all, before;
    int r;

    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(ret_thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}
