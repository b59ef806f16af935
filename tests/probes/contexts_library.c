/* Another library's constructor and destructor: they call the program, which runs its rows there (contexts.c). Loaded
 * behind the shim in LD_PRELOAD its constructor runs before ours, in front of it after ours; destructors the other way
 * round. */
#include <stddef.h>

void contexts_call(const char *when) __attribute__((weak));

__attribute__((constructor)) static void at_start(void) {
  if (contexts_call == NULL) return;
  contexts_call("constructor-before");
  contexts_call("constructor-after");
}

__attribute__((destructor)) static void at_end(void) {
  if (contexts_call != NULL) contexts_call("destructor-after");
}
