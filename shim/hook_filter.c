/* hook_filter: the entry point that may install a seccomp filter (the other one is a number, hook_syscall.c). */
#include <stdarg.h>
#include <sys/prctl.h>

#include "filtered.h"
#include "hook.h"

#define ARGUMENTS 4

/* As libc does, all that may have been passed are taken. */
FC_EXPORT int prctl(int option, ...) {
  unsigned long a[ARGUMENTS];
  va_list arguments;
  va_start(arguments, option);
  for (int i = 0; i < ARGUMENTS; i++) a[i] = va_arg(arguments, unsigned long);
  va_end(arguments);
  const bool begun = option == PR_SET_SECCOMP && fc_filtered_begin(a[0], (const void *)a[1], false);
  const int result = FC_REAL(prctl)(option, a[0], a[1], a[2], a[3]);
  fc_filtered_end(begun, result == 0);
  return result;
}
