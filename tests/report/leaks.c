/* leaks: LeakSanitizer looks at the processes of the tests, not at Criterion's runner.
 *
 * The runner makes no test itself. At its end it sometimes has not freed a block of 48 bytes of its own, which made a
 * run in which all tests had passed fail. A test runs in a worker, which the sandbox tells by BXFI_MAP.
 */
#include <stdlib.h>

__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return getenv("BXFI_MAP") == NULL; }
