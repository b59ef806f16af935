#include "real.h"

#include <dlfcn.h>
#include <stddef.h>

#define FC_HOOK(name, returns, arguments, what) returns(*real_##name) arguments;
#include "hooks.def"
#undef FC_HOOK

void fc_real_bind(void) {
#define FC_HOOK(name, returns, arguments, what)                                                                        \
  if (!real_##name) {                                                                                                  \
    void *symbol = dlsym(RTLD_NEXT, #name);                                                                            \
    __builtin_memcpy(&real_##name, &symbol, sizeof symbol);                                                            \
  }
#include "hooks.def"
#undef FC_HOOK
}
