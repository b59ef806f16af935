/* criterion_arena: lets Criterion's tests run under ThreadSanitizer on x86-64.
 *
 * Criterion maps its arena at a random address that the sanitizer has taken for its shadow, and gives up with "Could
 * not initialize inheritable arena: Resource temporarily unavailable" (Criterion issue 274). The address is
 * 0x200000000000 + (rand_r() << 24); this rand_r() keeps it where the sanitizer expects a program's own memory, above
 * the program itself. Linked into the tests of that build type only.
 */
#include <stdlib.h>

#if defined(__x86_64__)
#define ARENA_FIRST 0x360000 /* 0x560000000000 */
#define ARENA_COUNT 0x008000 /* up to 0x568000000000, the end of the sanitizer's "middle" program memory */

/* Default visibility: it must take the place of libc's for libcriterion.so. */
__attribute__((visibility("default"))) int rand_r(unsigned *seed) {
  *seed = *seed * 1103515245u + 12345u;
  return ARENA_FIRST + (int)((*seed >> 8) % ARENA_COUNT);
}
#endif
