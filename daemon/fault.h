/* A store that is cut short while it is mapped: the kernel sends SIGBUS to whoever reads it. */
#pragma once

/* From now on SIGBUS writes one line and ends the process with FAULT_EXIT, at once: a run that lost
 * its numbers must not answer. */
void fault_catch(void);

#define FAULT_EXIT 74 /* EX_IOERR of sysexits.h */
