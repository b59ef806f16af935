#include "leaving.h"

#include "departure.h"
#include "member.h"
#include "sweeping.h"

#define STACK_BYTES (64u * 1024u)
#define ALL_SIGNALS UINT64_MAX

static void finish_all(void *argument) {
  const int *fds = argument;
  for (unsigned i = 0; i < fc_member.count; i++)
    if (fds[i] >= 0) fc_departure_finish(&fc_member.sessions[i], fds[i]);
}

static bool has_scope(unsigned i) { return fc_departure_has_scope(&fc_member.sessions[i], fc_member_wiped()->pid); }

static void leave_scopes(void *argument) {
  (void)argument;
  for (unsigned i = 0; i < fc_member.count; i++)
    if (has_scope(i)) fc_departure_scope(&fc_member.sessions[i], fc_member_wiped()->pid);
}

/* Calls function(argument) with the stack pointer at top. _exit may be called in a handler on an 8 KiB alternate stack,
 * where a reaper does not fit. */
#if defined(__x86_64__)
static void call_on(void *top, void (*function)(void *), void *argument) {
  __asm__ volatile("movq %%rsp, %%rbx\n\t"
                   "movq %0, %%rsp\n\t"
                   "call *%1\n\t"
                   "movq %%rbx, %%rsp"
                   : "+r"(top), "+r"(function), "+D"(argument)
                   :
                   : "rbx", "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1",
                     "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
                     "xmm14", "xmm15");
}
#elif defined(__i386__)
static void call_on(void *top, void (*function)(void *), void *argument) {
  __asm__ volatile("movl %%esp, %%edi\n\t"
                   "movl %0, %%esp\n\t"
                   "subl $12, %%esp\n\t"
                   "pushl %2\n\t"
                   "call *%1\n\t"
                   "movl %%edi, %%esp"
                   : "+a"(top), "+d"(function), "+c"(argument)
                   :
                   : "edi", "memory", "cc");
}
#elif defined(__aarch64__)
static void call_on(void *top, void (*function)(void *), void *argument) {
  register void *x0 __asm__("x0") = argument;
  register void *x9 __asm__("x9") = top;
  register void (*x10)(void *) __asm__("x10") = function;
  __asm__ volatile("mov x19, sp\n\t"
                   "mov sp, %1\n\t"
                   "blr %2\n\t"
                   "mov sp, x19"
                   : "+r"(x0), "+r"(x9), "+r"(x10)
                   :
                   : "x19", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x11", "x12", "x13", "x14", "x15", "x16",
                     "x17", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12",
                     "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26",
                     "v27", "v28", "v29", "v30", "v31", "memory", "cc");
}
#endif

/* On a stack of our own. Without memory for one nothing is done: the end of the session, or the next start, does it. */
static bool call_on_own_stack(void (*function)(void *), void *argument) {
  char *stack = fc_sys_mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (fc_sys_is_error(stack)) return false;
  call_on(stack + STACK_BYTES, function, argument);
  (void)fc_sys_munmap(stack, STACK_BYTES);
  return true;
}

void fc_leaving(bool ends_now) {
  FC_ASKING;
  if (fc_member.count == 0 || !fc_member_owns_memory()) return;
  if (__atomic_exchange_n(&fc_member_wiped()->left, 1, __ATOMIC_ACQ_REL) != 0) return;
  uint64_t before;
  const uint64_t all = ALL_SIGNALS;
  const bool masked = fc_sys_sigmask(SIG_SETMASK, &all, &before) == 0;
  fc_sweeping_stop();
  int fds[FC_NEST_MAX];
  bool scoped = false;
  bool last = false;
  for (unsigned i = 0; i < fc_member.count; i++) scoped |= has_scope(i);
  if (scoped) (void)call_on_own_stack(leave_scopes, NULL);
  for (unsigned i = 0; i < fc_member.count; i++) {
    fds[i] = fc_departure_begin(&fc_member.sessions[i]);
    last |= fds[i] >= 0;
  }
  if (last && !call_on_own_stack(finish_all, fds)) {
    for (unsigned i = 0; i < fc_member.count; i++)
      if (fds[i] >= 0) (void)fc_sys_close(fds[i]);
  }
  /* What took long may have let a timer expire: the process is ending, and must end with its own status. */
  if (masked && !last && !scoped && !ends_now) (void)fc_sys_sigmask(SIG_SETMASK, &before, NULL);
}
