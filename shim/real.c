#include "real.h"

#include <dlfcn.h>
#include <stddef.h>

#include "placement.h"
#include "symbol.h"

#define FC_HOOK(name, returns, arguments, what) FC_START returns(*real_##name) arguments;
#include "hooks.def"
#undef FC_HOOK

typedef void *__attribute__((may_alias)) any_pointer;

FC_START static enum { UNPREPARED, BY_SYMBOL, BY_LOADER } how;

/* Here the loader is asked for everything at once, since a hook must not enter it. */
static void bind_all(void) {
#define FC_HOOK(name, returns, arguments, what)                                                                        \
  if (!real_##name) {                                                                                                  \
    void *symbol = fc_symbol_ask(RTLD_NEXT, #name);                                                                    \
    __builtin_memcpy(&real_##name, &symbol, sizeof symbol);                                                            \
  }
#include "hooks.def"
#undef FC_HOOK
}

void fc_real_prepare(void) {
  if (how != UNPREPARED) return;
  how = fc_symbol_prepare() ? BY_SYMBOL : BY_LOADER;
  if (how == BY_LOADER) bind_all();
}

void fc_real_bind(void *pointer, const char *name) {
  fc_real_prepare();
  if (*(any_pointer *)pointer) return;
  void *symbol = how == BY_SYMBOL ? fc_symbol_find(name) : NULL;
  if (!symbol) symbol = fc_symbol_ask(RTLD_NEXT, name);
  __atomic_store_n((any_pointer *)pointer, symbol, __ATOMIC_RELAXED);
}

void fc_real_bind_for_child(void) {
  (void)FC_REAL(execve);
  (void)FC_REAL(execv);
  (void)FC_REAL(execvp);
  (void)FC_REAL(execvpe);
  (void)FC_REAL(_exit);
}
