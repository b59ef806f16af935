/* hook_syscall: the calls that come in by number.
 *
 * A hello-size Java run makes thousands of these calls, nearly all futexes: one look into a table of bytes, then a jump
 * into libc's own function, on the host's own stack frame. What stands in the table is treated as the libc function of
 * that name is, by the same fc_ function, around exactly the call that the host made.
 *
 * Not treated as what they end or start: exit (ends a thread; should it be the last one, the process is as one that was
 * killed; only the thread that sweeps must not become the last one); vfork and clone3 (a child that shares our memory
 * may go on in our frame, so the call has to be the host's own; a clone3 that is a fork is told as one inside libc is,
 * see member.h).
 */
#include <limits.h>
#include <sched.h>
#include <string.h>

#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "filtered.h"
#include "hook.h"
#include "sweeping.h"

enum verb {
  PASS = 0,
  CLONE = 1, /* the entry below knows these two */
  OPEN,
  CREAT,
  OPENAT,
  OPENAT2,
  OPEN_BY_HANDLE_AT,
  MKDIR,
  MKDIRAT,
  MKNOD,
  MKNODAT,
  BIND,
  SOCKETCALL,
  SYMLINK,
  SYMLINKAT,
  LINK,
  LINKAT,
  RENAME,
  RENAMEAT,
  RENAMEAT2,
  REMOVE,
  UNLINKAT,
  TRUNCATE,
  FTRUNCATE,
  TRUNCATE64,
  FTRUNCATE64,
  CHANGE_CWD,
  CHANGE_ROOT,
  UNSHARE,
  FORK,
  EXEC,
  EXECAT,
  PRCTL,
  SECCOMP,
  END_THREAD,
  END
};

/* By number: what is not named passes. */
#define NUMBERS 512
extern const unsigned char fc_syscall_verbs[NUMBERS]; /* the entry below looks it up */
const unsigned char fc_syscall_verbs[NUMBERS] = {
    [SYS_openat] = OPENAT,
    [SYS_openat2] = OPENAT2,
    [SYS_open_by_handle_at] = OPEN_BY_HANDLE_AT,
    [SYS_mkdirat] = MKDIRAT,
    [SYS_mknodat] = MKNODAT,
    [SYS_bind] = BIND,
    [SYS_symlinkat] = SYMLINKAT,
    [SYS_linkat] = LINKAT,
    [SYS_renameat] = RENAMEAT,
    [SYS_renameat2] = RENAMEAT2,
    [SYS_unlinkat] = UNLINKAT,
    [SYS_truncate] = TRUNCATE,
    [SYS_ftruncate] = FTRUNCATE,
    [SYS_chdir] = CHANGE_CWD,
    [SYS_fchdir] = CHANGE_CWD,
    [SYS_chroot] = CHANGE_ROOT,
    [SYS_setns] = CHANGE_ROOT,
    [SYS_pivot_root] = CHANGE_ROOT,
    [SYS_unshare] = UNSHARE,
    [SYS_clone] = CLONE,
    [SYS_execve] = EXEC,
    [SYS_execveat] = EXECAT,
    [SYS_prctl] = PRCTL,
    [SYS_seccomp] = SECCOMP,
    [SYS_exit] = END_THREAD,
    [SYS_exit_group] = END,
#ifdef SYS_open /* the machines that came before the at-functions */
    [SYS_open] = OPEN,
    [SYS_creat] = CREAT,
    [SYS_mkdir] = MKDIR,
    [SYS_mknod] = MKNOD,
    [SYS_symlink] = SYMLINK,
    [SYS_link] = LINK,
    [SYS_rename] = RENAME,
    [SYS_unlink] = REMOVE,
    [SYS_rmdir] = REMOVE,
    [SYS_fork] = FORK,
#endif
#ifdef SYS_truncate64
    [SYS_truncate64] = TRUNCATE64,
    [SYS_ftruncate64] = FTRUNCATE64,
#endif
#ifdef SYS_socketcall
    [SYS_socketcall] = SOCKETCALL,
#endif
};

/* An argument as what it is. The kernel looks at no more than the lower half of an int either. */
static int int_of(long argument) { return (int)argument; }
static const char *path_of(long argument) { return (const char *)argument; }
static const void *memory_of(long argument) { return (const void *)argument; }

/* NULL and small numbers are the kernel's to refuse, as in target.c. */
static bool is_memory(long argument) { return (unsigned long)argument >= 4096; }

static int call(const struct fc_raw *raw) { return (int)fc_raw_call(raw); }

/* ---- opening ---- */

/* What needs room stands apart from treat(): the stack may be small. */
#define APART __attribute__((noinline))

static APART int raw_open(const struct fc_raw *raw, int dirfd, unsigned path_at) {
  const long flags = raw->argument[path_at + 1];
  struct fc_raw both[2] = {*raw, *raw};
  both[1].argument[path_at + 1] = flags | O_EXCL;
  return fc_open(FC_OPEN_RAW, both, dirfd, path_of(raw->argument[path_at]), int_of(flags),
                 (mode_t)raw->argument[path_at + 2]);
}

#ifdef SYS_creat
static APART int raw_creat(const struct fc_raw *raw) {
  const int flags = O_CREAT | O_WRONLY | O_TRUNC;
  const struct fc_raw both[2] = {
      *raw, {SYS_open, {raw->argument[0], flags | O_EXCL, raw->argument[1], 0, 0, 0}}}; /* creat has no flags */
  return fc_open(FC_OPEN_RAW, both, AT_FDCWD, path_of(raw->argument[0]), flags, (mode_t)raw->argument[1]);
}
#endif

/* Records what stands at fd, which was opened for this, or has just been created, by the kernel's own name for it. */
static void record_fd(int fd, bool created, bool truncates) {
  int slot;
  const char *name = fc_target_name_of(fd, &slot);
  if (name && created)
    fc_record_created(AT_FDCWD, name, fd, false);
  else if (name)
    fc_record_used(AT_FDCWD, name, fd, truncates);
  else if (truncates)
    fc_record_lost();
  fc_target_give_name(slot);
}

/* Looks at what how means, without an effect, and records it. False: there is nothing. */
static bool record_there(int dirfd, const char *path, const struct open_how *look, bool exclusive, bool truncates) {
  FC_ASKING;
  const int there = fc_is_filtered() ? -EPERM : fc_sys_openat2(dirfd, path, look);
  if (there < 0) return false;
  if (!exclusive) record_fd(there, false, truncates);
  (void)fc_sys_close(there);
  return true;
}

/* With RESOLVE_ flags a path means what only openat2 can say (with IN_ROOT, "/f" is beneath dirfd). So what stands
 * there is opened in the same way, without an effect, and named by the kernel. */
static APART int raw_openat2_resolving(const struct fc_raw both[2], const struct open_how *how, bool provable) {
  const bool truncates = (how->flags & O_TRUNC) && !(how->flags & (O_PATH | O_EXCL));
  const bool creates = (how->flags & O_CREAT) != 0;
  if (fc_is_filtered()) {
    if (truncates || creates) fc_record_lost();
    return call(both);
  }
  const bool overwrites = creates && (how->flags & O_ACCMODE) == O_WRONLY && !(how->flags & O_APPEND);
  const struct open_how look = {
      .flags = O_PATH | O_CLOEXEC | (how->flags & O_NOFOLLOW), .mode = 0, .resolve = how->resolve};
  if (!record_there(int_of(both->argument[0]), path_of(both->argument[1]), &look, (how->flags & O_EXCL) != 0,
                    truncates || overwrites) &&
      creates && provable) {
    const int saved = errno;
    const int fd = call(&both[1]);
    if (fd >= 0) {
      record_fd(fd, true, false);
      return fd;
    }
    errno = saved;
  }
  return call(both);
}

static APART int raw_openat2(const struct fc_raw *raw) {
  const size_t size = (size_t)raw->argument[3];
  struct open_how how;
  if (!is_memory(raw->argument[2]) || size < sizeof how) return call(raw); /* EFAULT, EINVAL */
  memcpy(&how, memory_of(raw->argument[2]), sizeof how);
  if (how.flags > INT_MAX) return call(raw); /* EINVAL so far; a flag that we know nothing of */
  struct open_how exclusive = how;
  exclusive.flags |= O_EXCL;
  struct fc_raw both[2] = {*raw, *raw};
  if (!(how.flags & O_EXCL)) both[1].argument[2] = (long)&exclusive;
  /* With fields that are newer than this, the question would not be the host's call: a creation leaks. */
  const bool provable = size == sizeof how || (how.flags & O_EXCL);
  const int flags = (int)how.flags;
  if (!(flags & (O_CREAT | O_TRUNC)) || (how.resolve == 0 && provable))
    return fc_open(FC_OPEN_RAW, both, int_of(raw->argument[0]), path_of(raw->argument[1]), flags, (mode_t)how.mode);
  return raw_openat2_resolving(both, &how, provable);
}

/* ---- naming, and the rest that changes names ---- */

static APART int raw_remove(const struct fc_raw *raw, int dirfd, const char *path) {
  struct fc_pending pending;
  fc_record_removing(&pending, dirfd, path);
  const int result = call(raw);
  fc_record_removed(&pending, result == 0);
  return result;
}

static int raw_bind(const struct fc_raw *raw, long address, long length) {
  return fc_bound(memory_of(address), (socklen_t)length, call(raw));
}

#ifdef SYS_socketcall
static int raw_socketcall(const struct fc_raw *raw) {
  const int bind_number = 2; /* SYS_BIND of linux/net.h */
  const long *const a = memory_of(raw->argument[1]);
  if (int_of(raw->argument[0]) != bind_number || !is_memory(raw->argument[1])) return call(raw);
  return raw_bind(raw, a[1], a[2]);
}
#endif

#ifdef SYS_truncate64
/* 64 bits in two registers. */
static int64_t wide(long low, long high) {
  return (int64_t)((uint64_t)(unsigned long)low | (uint64_t)(unsigned long)high << 32);
}
#endif

/* ---- processes ---- */

static int call_raw_exec(const struct fc_exec *exec, char *const *envp) {
  struct fc_raw raw = *exec->raw;
  raw.argument[exec->flags] = (long)envp;
  return call(&raw);
}

static APART int raw_exec(const struct fc_raw *raw, int envp_at) {
  if (fc_is_filtered()) {
    char *const *const envp = is_memory(raw->argument[envp_at]) ? memory_of(raw->argument[envp_at]) : NULL;
    return envp ? fc_exec_filtered(&(struct fc_exec){.call = call_raw_exec, .envp = envp, .flags = envp_at, .raw = raw})
                : call(raw);
  }
  struct fc_handed handed;
  fc_hand_over(&handed);
  return fc_take_back(&handed, call(raw));
}

/* flags: SECCOMP_FILTER_FLAG_*. Only a listener is a number above 0: another is the thread that was in the way of a
 * filter for all. */
static APART int raw_filter(const struct fc_raw *raw, unsigned long mode, long program, unsigned flags) {
  const bool begun = fc_filtered_begin(mode, memory_of(program), (flags & SECCOMP_FILTER_FLAG_TSYNC) != 0);
  const int result = call(raw);
  fc_filtered_end(begun, result == 0 || (result > 0 && (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)));
  return result;
}

static int raw_seccomp(const struct fc_raw *raw) {
  switch ((unsigned)raw->argument[0]) {
  case SECCOMP_SET_MODE_STRICT:
    return raw_filter(raw, SECCOMP_MODE_STRICT, 0, 0);
  case SECCOMP_SET_MODE_FILTER:
    return raw_filter(raw, SECCOMP_MODE_FILTER, raw->argument[2], (unsigned)raw->argument[1]);
  default:
    return call(raw);
  }
}

/* ---- the way in ---- */

__attribute__((noinline)) static int treat(unsigned verb, const struct fc_raw *raw) {
  const long *const a = raw->argument;
  switch ((enum verb)verb) {
  case OPEN:
    return raw_open(raw, AT_FDCWD, 0);
  case OPENAT:
    return raw_open(raw, int_of(a[0]), 1);
  case OPENAT2:
    return raw_openat2(raw);
  case CREAT:
#ifdef SYS_creat
    return raw_creat(raw);
#else
    break;
#endif
  case OPEN_BY_HANDLE_AT:
    fc_truncating_handle(int_of(a[0]), memory_of(a[1]), int_of(a[2]));
    break;
  case MKDIR:
    return fc_made(AT_FDCWD, path_of(a[0]), call(raw), true);
  case MKDIRAT:
    return fc_made(int_of(a[0]), path_of(a[1]), call(raw), true);
  case MKNOD:
    return fc_made(AT_FDCWD, path_of(a[0]), call(raw), false);
  case MKNODAT:
    return fc_made(int_of(a[0]), path_of(a[1]), call(raw), false);
  case BIND:
    return raw_bind(raw, a[1], a[2]);
  case SOCKETCALL:
#ifdef SYS_socketcall
    return raw_socketcall(raw);
#else
    break;
#endif
  case SYMLINK:
    return fc_made(AT_FDCWD, path_of(a[1]), call(raw), false);
  case SYMLINKAT:
    return fc_made(int_of(a[1]), path_of(a[2]), call(raw), false);
  case LINK:
    return fc_linked(AT_FDCWD, path_of(a[0]), AT_FDCWD, path_of(a[1]), call(raw));
  case LINKAT:
    return fc_linked(int_of(a[0]), path_of(a[1]), int_of(a[2]), path_of(a[3]), call(raw));
  case RENAME:
    return fc_rename(FC_RENAME_RAW, raw, AT_FDCWD, path_of(a[0]), AT_FDCWD, path_of(a[1]), 0);
  case RENAMEAT:
    return fc_rename(FC_RENAME_RAW, raw, int_of(a[0]), path_of(a[1]), int_of(a[2]), path_of(a[3]), 0);
  case RENAMEAT2:
    return fc_rename(FC_RENAME_RAW, raw, int_of(a[0]), path_of(a[1]), int_of(a[2]), path_of(a[3]), (unsigned)a[4]);
  case REMOVE:
    return raw_remove(raw, AT_FDCWD, path_of(a[0]));
  case UNLINKAT:
    return raw_remove(raw, int_of(a[0]), path_of(a[1]));
  case TRUNCATE:
    fc_truncating(path_of(a[0]), a[1]);
    break;
  case FTRUNCATE:
    fc_truncating_fd(int_of(a[0]), a[1]);
    break;
  case TRUNCATE64:
#ifdef SYS_truncate64
    fc_truncating(path_of(a[0]), wide(a[1], a[2]));
#endif
    break;
  case FTRUNCATE64:
#ifdef SYS_ftruncate64
    fc_truncating_fd(int_of(a[0]), wide(a[1], a[2]));
#endif
    break;
  case CHANGE_CWD:
    return fc_cwd_changed(call(raw));
  case CHANGE_ROOT:
    return fc_root_changed(call(raw));
  case UNSHARE:
    fc_target_cwd_unknown();
    break;
  case FORK:
  case CLONE:
    return fc_forked(call(raw));
  case EXEC:
    return raw_exec(raw, 2);
  case EXECAT:
    return raw_exec(raw, 3);
  case PRCTL:
    if (int_of(a[0]) == PR_SET_SECCOMP) return raw_filter(raw, (unsigned long)a[1], a[2], 0);
    break;
  case SECCOMP:
    return raw_seccomp(raw);
  case END_THREAD:
    fc_sweeping_thread_ends();
    break;
  case END:
    fc_ending(int_of(a[0]));
    break;
  case PASS:
    break;
  }
  return call(raw);
}

/* What the entry does not pass on. It takes as many arguments as libc's own function passes to the kernel. */
long fc_syscall(long number, long a, long b, long c, long d, long e, long f);
__attribute__((used)) long fc_syscall(long number, long a, long b, long c, long d, long e, long f) {
  const struct fc_raw raw = {number, {a, b, c, d, e, f}};
  const bool known = fc_member.count && (unsigned long)number < NUMBERS;
  return treat(known ? fc_syscall_verbs[number] : PASS, &raw);
}

/* The entry's first call finds nothing bound. */
void fc_syscall_bind(void);
__attribute__((used)) void fc_syscall_bind(void) { (void)FC_REAL(syscall); }

/* The exported syscall(). Not in C: its arguments are passed on where they stand, without being written. The host need
 * not have passed all of them, so what stands there may be a variable of its own, which a handler or another thread is
 * changing; a compiler writes the last one back. A raw clone with CLONE_VM goes on in the host's frame too. */
#define CLONE_VM_BIT 8 /* of CLONE_VM */
_Static_assert(CLONE == 1 && PASS == 0 && NUMBERS == 512, "the entry has these as numbers");
_Static_assert(CLONE_VM == 1 << CLONE_VM_BIT, "the entry tests this bit");
#define ENTRY_BEGIN                                                                                                    \
  ".text\n\t.p2align 4\n\t.globl syscall\n\t.type syscall, %function\n"                                                \
  "syscall:\n\t.cfi_startproc\n\t"
#define ENTRY_END "\n\t.cfi_endproc\n\t.size syscall, .-syscall\n"
#if defined(__x86_64__)
__asm__(ENTRY_BEGIN "endbr64\n\t"
                    "cmpq $511, %rdi\n\t"
                    "ja 1f\n\t"
                    "leaq fc_syscall_verbs(%rip), %rax\n\t"
                    "movzbl (%rax,%rdi), %eax\n\t"
                    "testl %eax, %eax\n\t"
                    "jne 2f\n"
                    "1:\tmovq real_syscall(%rip), %r11\n\t"
                    "testq %r11, %r11\n\t"
                    "je 5f\n"
                    "6:\txorl %eax, %eax\n\t" /* no vector registers: it is variadic */
                    "jmp *%r11\n"
                    "2:\tcmpl $1, %eax\n\t"
                    "jne 3f\n\t"
                    "testl $0x100, %esi\n\t"
                    "jne 1b\n"
                    "3:\tjmp fc_syscall\n"
                    "5:\tpushq %rdi\n\tpushq %rsi\n\tpushq %rdx\n\tpushq %rcx\n\tpushq %r8\n\tpushq %r9\n\t"
                    "subq $8, %rsp\n\t.cfi_adjust_cfa_offset 56\n\t"
                    "call fc_syscall_bind\n\t"
                    "addq $8, %rsp\n\t"
                    "popq %r9\n\tpopq %r8\n\tpopq %rcx\n\tpopq %rdx\n\tpopq %rsi\n\tpopq %rdi\n\t"
                    ".cfi_adjust_cfa_offset -56\n\t"
                    "movq real_syscall(%rip), %r11\n\t"
                    "testq %r11, %r11\n\t"
                    "jne 6b\n\t"
                    "jmp 3b" ENTRY_END);
#elif defined(__i386__)
__asm__(ENTRY_BEGIN "endbr32\n\t"
                    "movl 4(%esp), %eax\n\t"
                    "call 4f\n"
                    "4:\tpopl %ecx\n\t"
                    "cmpl $511, %eax\n\t"
                    "ja 1f\n\t"
                    "movzbl fc_syscall_verbs-4b(%ecx,%eax), %edx\n\t"
                    "testl %edx, %edx\n\t"
                    "jne 2f\n"
                    "1:\tmovl real_syscall-4b(%ecx), %edx\n\t"
                    "testl %edx, %edx\n\t"
                    "je 5f\n"
                    "6:\tjmp *%edx\n"
                    "2:\tcmpl $1, %edx\n\t"
                    "jne 3f\n\t"
                    "testl $0x100, 8(%esp)\n\t"
                    "jne 1b\n"
                    "3:\tjmp fc_syscall\n"
                    "5:\tpushl %ecx\n\tsubl $8, %esp\n\t.cfi_adjust_cfa_offset 12\n\t"
                    "call fc_syscall_bind\n\t"
                    "addl $8, %esp\n\tpopl %ecx\n\t.cfi_adjust_cfa_offset -12\n\t"
                    "movl real_syscall-4b(%ecx), %edx\n\t"
                    "testl %edx, %edx\n\t"
                    "jne 6b\n\t"
                    "jmp 3b" ENTRY_END);
#elif defined(__aarch64__)
__asm__(ENTRY_BEGIN "hint #34\n\t" /* bti c */
                    "cmp x0, #511\n\t"
                    "b.hi 1f\n\t"
                    "adrp x9, fc_syscall_verbs\n\t"
                    "add x9, x9, :lo12:fc_syscall_verbs\n\t"
                    "ldrb w9, [x9, x0]\n\t"
                    "cbnz w9, 2f\n"
                    "1:\tadrp x16, real_syscall\n\t"
                    "ldr x16, [x16, :lo12:real_syscall]\n\t"
                    "cbz x16, 5f\n\t"
                    "br x16\n"
                    "2:\tcmp w9, #1\n\t"
                    "b.ne 3f\n\t"
                    "tbnz w1, #8, 1b\n"
                    "3:\tb fc_syscall\n"
                    "5:\tstp x29, x30, [sp, #-80]!\n\t.cfi_adjust_cfa_offset 80\n\t"
                    ".cfi_rel_offset x29, 0\n\t.cfi_rel_offset x30, 8\n\t"
                    "stp x0, x1, [sp, #16]\n\tstp x2, x3, [sp, #32]\n\t"
                    "stp x4, x5, [sp, #48]\n\tstp x6, x7, [sp, #64]\n\t"
                    "bl fc_syscall_bind\n\t"
                    "ldp x0, x1, [sp, #16]\n\tldp x2, x3, [sp, #32]\n\t"
                    "ldp x4, x5, [sp, #48]\n\tldp x6, x7, [sp, #64]\n\t"
                    "ldp x29, x30, [sp], #80\n\t.cfi_adjust_cfa_offset -80\n\t.cfi_restore x29\n\t.cfi_restore x30\n\t"
                    "adrp x16, real_syscall\n\t"
                    "ldr x16, [x16, :lo12:real_syscall]\n\t"
                    "cbz x16, 3b\n\t"
                    "br x16" ENTRY_END);
#endif
