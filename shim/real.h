/* real: libc's own functions behind our hooks, or those of the next preload, each bound once as RTLD_NEXT would.
 *
 * Responsible for: one pointer real_NAME for each FC_HOOK of lib/hooks.def. Must never: be called by anything but
 * hooks. Every intercepted function has three names: the exported NAME (no policy), fc_NAME or the shared fc_ function
 * that says what we do about it, and real_NAME.
 */
#ifndef FC_REAL_H
#define FC_REAL_H

#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <pty.h>
#include <semaphore.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#include <wordexp.h>

#define FC_HOOKS_BOUND_ONLY 1
#ifndef __GLIBC__
/* musl exports these names, but its headers of before 1.2.4 make macros of them, and those of later nothing at all. */
#undef open64
#undef openat64
#undef creat64
#undef fopen64
#undef freopen64
#undef mkstemp64
#undef mkostemp64
#undef mkstemps64
#undef mkostemps64
#undef truncate64
#undef ftruncate64
#undef nftw64
#define FC_HOOK(name, returns, arguments, what) returns name arguments;
#include "hooks.def"
#undef FC_HOOK
#endif
#define FC_HOOK(name, returns, arguments, what) extern returns(*real_##name) arguments;
#include "hooks.def"
#undef FC_HOOK

/* Called by the constructor, and by a hook that runs before it (another library's constructor). Afterwards a function
 * is bound when it is first called, without entering the dynamic linker (symbol.h), so a hook in a signal handler takes
 * no loader lock; where that cannot be done, all are bound here. */
void fc_real_prepare(void);

/* Binds one: pointer is &real_NAME. */
void fc_real_bind(void *pointer, const char *name);

/* The parent of a fork binds what nearly every child calls first, or each child would do it again. */
void fc_real_bind_for_child(void);

/* The pointer, bound by now. */
#define FC_REAL(name)                                                                                                  \
  (__builtin_expect(real_##name == NULL, 0) ? fc_real_bind(&real_##name, #name) : (void)0, real_##name)

/* An exported hook. The shim is compiled with hidden visibility; only these are seen by the host. */
#define FC_EXPORT __attribute__((visibility("default")))

#endif
