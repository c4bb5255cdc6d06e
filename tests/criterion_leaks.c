/* Linked into every unit test, for the sanitizer build. criterion runs each test in a process of
 * its own; the process that starts them loses a few bytes of the library's. That is forgiven there,
 * and nothing is where the tests themselves run. */
#include <stdlib.h>

const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return getenv("BXFI_MAP") ? "" : "leak:libcriterion.so\n";
}
