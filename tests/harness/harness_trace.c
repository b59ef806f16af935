/* harness: runs under ptrace. See harness_trace.h. */
#include "harness_trace.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness_internal.h"

#define TRACEES_MAX 128
#define RANGES_MAX 64
#define CALLS_MAX 512 /* numbers of system calls */
#define LIMIT_S 60
#define HOSTS_OWN_MODE                                                                                                 \
  0600 /* what a host must give with an O_EXCL of its own (mkstemp does) to be told from a probe                       \
        */

#define CALL(name)                                                                                                     \
  { SYS_##name, #name }
static const struct {
  uint64_t nr;
  const char *name;
} names[] = {CALL(read),
             CALL(write),
             CALL(close),
             CALL(mmap),
             CALL(mprotect),
             CALL(munmap),
             CALL(mremap),
             CALL(madvise),
             CALL(brk),
             CALL(ioctl),
             CALL(pread64),
             CALL(pwrite64),
             CALL(access),
             CALL(pipe2),
             CALL(dup3),
             CALL(dup2),
             CALL(fcntl),
             CALL(flock),
             CALL(fsync),
             CALL(ftruncate),
             CALL(fallocate),
             CALL(getdents64),
             CALL(getcwd),
             CALL(chdir),
             CALL(fchdir),
             CALL(rename),
             CALL(renameat2),
             CALL(mkdir),
             CALL(mkdirat),
             CALL(rmdir),
             CALL(unlink),
             CALL(unlinkat),
             CALL(linkat),
             CALL(symlinkat),
             CALL(readlinkat),
             CALL(readlink),
             CALL(fchmod),
             CALL(fchmodat),
             CALL(fchownat),
             CALL(utimensat),
             CALL(open),
             CALL(openat),
             CALL(openat2),
             CALL(statx),
             CALL(newfstatat),
             CALL(fstatfs),
             CALL(statfs),
             CALL(fstat),
             CALL(lstat),
             CALL(stat),
             CALL(lseek),
             CALL(clone),
             CALL(clone3),
             CALL(execve),
             CALL(wait4),
             CALL(prctl),
             CALL(kill),
             CALL(tgkill),
             CALL(futex),
             CALL(getrandom),
             CALL(prlimit64),
             CALL(setsid),
             CALL(close_range),
             CALL(poll),
             CALL(ppoll),
             CALL(clock_gettime),
             CALL(clock_nanosleep),
             CALL(name_to_handle_at),
             CALL(open_by_handle_at),
             CALL(rt_sigprocmask),
             CALL(rt_sigaction),
             CALL(getpid),
             CALL(getppid),
             CALL(geteuid),
             CALL(gettid),
             CALL(uname),
             CALL(umask),
             CALL(membarrier),
             CALL(exit_group),
             CALL(exit),
             CALL(socket),
             CALL(connect),
             CALL(sysinfo),
             CALL(memfd_create),
             CALL(pidfd_open),
             CALL(rt_sigtimedwait),
             CALL(sched_getaffinity),
             CALL(set_robust_list),
             CALL(rseq),
             CALL(getuid)};

const char *fct_call_name(uint64_t nr) {
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i].nr == nr) return names[i].name;
  return fct_format("call %d", (int)nr);
}

#if defined(__x86_64__)

enum place { ELSEWHERE, SHIM, LOADER, PROGRAM };

struct range {
  uint64_t low, high;
  enum place place;
};

struct tracee {
  pid_t pid;
  pid_t process;
  unsigned ordinal;
  bool begun; /* had its first stop, which is no signal for it */
  bool gone;
  bool in_call;
  bool is_command; /* what its process runs */
  bool is_library;
  bool has_shim;
  struct range ranges[RANGES_MAX];
  unsigned range_count;
  unsigned number;
  uint16_t kinds[CALLS_MAX][FCT_WHOSE_COUNT];
  struct fct_deal deal;
  unsigned steps_left;
};

struct tracer {
  struct fct_trace *trace;
  struct tracee *tracees[TRACEES_MAX];
  unsigned count;
  unsigned live;
  bool unobserved; /* the last call that mattered is over */
};

static volatile sig_atomic_t timed_out;

static void on_alarm(int number) {
  (void)number;
  timed_out = 1;
}

static pid_t process_of(pid_t thread) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/status", (int)thread);
  FILE *const file = fopen(path, "re");
  if (!file) return thread;
  char line[256];
  int process = thread;
  while (fgets(line, sizeof line, file) && sscanf(line, "Tgid: %d", &process) != 1) {
  }
  fclose(file);
  return process;
}

static struct tracee *tracee_of(struct tracer *t, pid_t pid) {
  for (unsigned i = t->count; i-- > 0;)
    if (t->tracees[i]->pid == pid && !t->tracees[i]->gone) return t->tracees[i];
  cr_assert(t->count < TRACEES_MAX, "too many processes");
  struct tracee *const new = calloc(1, sizeof *new);
  cr_assert(new, "out of memory");
  new->pid = pid;
  new->process = process_of(pid);
  new->ordinal = t->count;
  t->tracees[t->count++] = new;
  t->live++;
  return new;
}

static bool was_there(const struct tracer *t, pid_t pid) {
  for (unsigned i = 0; i < t->count; i++)
    if (t->tracees[i]->pid == pid) return true;
  return false;
}

/* ---- whose call it is ---- */

static bool ends_with(const char *text, const char *end) {
  const size_t a = strlen(text), b = strlen(end);
  return a >= b && strcmp(text + a - b, end) == 0;
}

static void look_at_mappings(struct tracee *tracee) {
  char path[64], exe[PATH_MAX] = "", line[PATH_MAX + 128];
  snprintf(path, sizeof path, "/proc/%d/exe", (int)tracee->pid);
  const ssize_t length = readlink(path, exe, sizeof exe - 1);
  exe[length > 0 ? length : 0] = '\0';
  const char *const slash = strrchr(exe, '/');
  tracee->is_command = slash && strcmp(slash, "/filecleanup") == 0;
  tracee->is_library = slash && strncmp(slash, "/manager_", 9) == 0;
  tracee->has_shim = false;
  tracee->range_count = 0;
  snprintf(path, sizeof path, "/proc/%d/maps", (int)tracee->pid);
  FILE *const file = fopen(path, "re");
  if (!file) return;
  while (fgets(line, sizeof line, file) && tracee->range_count < RANGES_MAX) {
    unsigned long low, high;
    char rights[8], name[PATH_MAX] = "";
    if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %4095s", &low, &high, rights, name) < 3 || rights[2] != 'x') continue;
    struct range *const range = &tracee->ranges[tracee->range_count++];
    *range = (struct range){low, high, ELSEWHERE};
    if (ends_with(name, "/libfilecleanup_preload.so")) range->place = SHIM;
    if (strstr(name, "/ld-linux")) range->place = LOADER;
    if (strcmp(name, exe) == 0) range->place = PROGRAM;
    tracee->has_shim |= range->place == SHIM;
  }
  fclose(file);
}

static bool find_place(const struct tracee *tracee, uint64_t ip, enum place *place) {
  for (unsigned i = 0; i < tracee->range_count; i++) {
    if (ip < tracee->ranges[i].low || ip >= tracee->ranges[i].high) continue;
    *place = tracee->ranges[i].place;
    return true;
  }
  return false;
}

static bool makes_thread(const struct tracee *tracee, const uint64_t *args) {
  uint64_t flags = 0;
  struct iovec here = {&flags, sizeof flags}, there = {(void *)(uintptr_t)args[0], sizeof flags};
  return process_vm_readv(tracee->pid, &here, 1, &there, 1, 0) == sizeof flags && (flags & CLONE_THREAD);
}

static bool is_probe(const struct tracee *tracee, uint64_t nr, const uint64_t *args) {
  const uint64_t exclusive = O_CREAT | O_EXCL;
  if (nr == SYS_clone3) return makes_thread(tracee, args);
  if (!tracee->has_shim) return false;
  if (nr == SYS_openat) return (args[2] & exclusive) == exclusive && args[3] != HOSTS_OWN_MODE;
  return nr == SYS_renameat2 && (args[4] & 1 /* RENAME_NOREPLACE */);
}

static enum fct_whose whose_call(struct tracee *tracee, uint64_t ip, uint64_t nr, const uint64_t *args) {
  enum place place = ELSEWHERE;
  if (!find_place(tracee, ip, &place)) {
    look_at_mappings(tracee);
    (void)find_place(tracee, ip, &place);
  }
  if (place == SHIM) return FCT_SHIMS;
  if (place == LOADER) return FCT_OTHERS;
  if (tracee->is_command) return FCT_COMMANDS;
  if (tracee->is_library && place == PROGRAM) return FCT_PROGRAMS;
  return is_probe(tracee, nr, args) ? FCT_PROBES : FCT_OTHERS;
}

/* ---- stops ---- */

static void set_register(pid_t pid, size_t offset, long value) {
  (void)ptrace(PTRACE_POKEUSER, pid, offset, value); /* ESRCH: it has been killed meanwhile */
}

static void at_entry(struct tracer *t, struct tracee *tracee, const struct __ptrace_syscall_info *info) {
  struct fct_call call = {.pid = tracee->pid, .process = tracee->process, .ordinal = tracee->ordinal};
  call.nr = info->entry.nr;
  for (int i = 0; i < 6; i++) call.args[i] = info->entry.args[i];
  call.whose = whose_call(tracee, info->instruction_pointer, call.nr, call.args);
  call.number = ++tracee->number;
  if (call.nr < CALLS_MAX) call.kind = ++tracee->kinds[call.nr][call.whose];
  tracee->deal = t->trace->at_entry(t->trace->context, &call);
  if (tracee->deal.last) t->unobserved = true;
  if (tracee->deal.deed == FCT_FAIL) set_register(tracee->pid, offsetof(struct user_regs_struct, orig_rax), -1);
  if (tracee->deal.deed == FCT_KILL) (void)kill(tracee->process, SIGKILL);
}

static void at_exit_of_call(struct tracee *tracee, const struct __ptrace_syscall_info *info) {
  const enum fct_deed deed = tracee->deal.deed;
  if (deed == FCT_FAIL || (deed == FCT_DO_AND_FAIL && !info->exit.is_error))
    set_register(tracee->pid, offsetof(struct user_regs_struct, rax), -(long)tracee->deal.error);
  if (deed == FCT_STEP_AND_KILL) tracee->steps_left = tracee->deal.steps + 1;
  tracee->deal = (struct fct_deal){FCT_LET, 0, 0, false};
}

/* Returns the signal that the tracee is to get. */
static int at_stop(struct tracer *t, struct tracee *tracee, int status) {
  const int event = status >> 16;
  if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->pid, sizeof info, &info) <= 0) return 0;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY && !t->unobserved) at_entry(t, tracee, &info);
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) at_exit_of_call(tracee, &info);
    return 0;
  }
  if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
    unsigned long child = 0;
    /* It may have come and gone before its parent's word of it. */
    if (ptrace(PTRACE_GETEVENTMSG, tracee->pid, NULL, &child) == 0 && !was_there(t, (pid_t)child))
      (void)tracee_of(t, (pid_t)child);
  }
  if (event == PTRACE_EVENT_EXEC) tracee->range_count = 0;
  if (event != 0) return 0;
  if (!tracee->begun && WSTOPSIG(status) == SIGSTOP) {
    tracee->begun = true;
    return 0;
  }
  if (tracee->steps_left > 0 && WSTOPSIG(status) == SIGTRAP) {
    t->trace->steps++;
    if (--tracee->steps_left == 0) (void)kill(tracee->process, SIGKILL);
    return 0;
  }
  return WSTOPSIG(status);
}

static void resume(const struct tracer *t, const struct tracee *tracee, int signal_number) {
  const bool pending = tracee->deal.deed != FCT_LET;
  if (tracee->steps_left > 0)
    (void)ptrace(PTRACE_SINGLESTEP, tracee->pid, NULL, (long)signal_number);
  else if (t->unobserved && !pending)
    (void)ptrace(PTRACE_CONT, tracee->pid, NULL, (long)signal_number);
  else
    (void)ptrace(PTRACE_SYSCALL, tracee->pid, NULL, (long)signal_number);
}

static void kill_all(const struct tracer *t) {
  for (unsigned i = 0; i < t->count; i++)
    if (!t->tracees[i]->gone) (void)kill(t->tracees[i]->pid, SIGKILL);
}

/* In the child. */
static _Noreturn void become(const struct fct_trace *trace, const char **argv, char **env) {
  const struct fct_world *world = trace->world;
  setsid();
  const int null = open("/dev/null", O_RDONLY);
  const int out = open(fct_format("%s/trace-out", world->root), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0666);
  const int err = open(fct_format("%s/trace-err", world->root), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0666);
  dup2(fcntl(null, F_DUPFD, 10), 0);
  dup2(fcntl(out, F_DUPFD, 10), 1);
  dup2(fcntl(err, F_DUPFD, 10), 2);
  syscall(SYS_close_range, 3U, ~0U, 0U);
  for (int signo = 1; signo < NSIG; signo++) signal(signo, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  umask(022);
  if (chdir(world->dir) != 0) _exit(125);
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(124);
  raise(SIGSTOP);
  execve(argv[0], (char *const *)argv, env);
  _exit(126);
}

void fct_trace_run(struct fct_trace *trace) {
  struct tracer t = {.trace = trace};
  const char *const base = trace->run.base ? trace->run.base : trace->world->base;
  const char **const argv = fct_arguments_of(&trace->run, base);
  char **const env = fct_environment_of(trace->world, &trace->run, base);
  trace->hung = false;
  trace->status = -1;
  trace->steps = 0;
  const pid_t first = fork();
  cr_assert(first >= 0, "fork: %s", strerror(errno));
  if (first == 0) become(trace, argv, env);
  int status;
  cr_assert(waitpid(first, &status, 0) == first, "waitpid: %s", strerror(errno));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 124) cr_skip("ptrace is not allowed here");
  cr_assert(WIFSTOPPED(status), "the tracee did not stop: %#x", status);
  tracee_of(&t, first)->begun = true;
  const long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                       PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
  cr_assert(ptrace(PTRACE_SETOPTIONS, first, NULL, options) == 0, "PTRACE_SETOPTIONS: %s", strerror(errno));
  cr_assert(ptrace(PTRACE_SYSCALL, first, NULL, NULL) == 0, "PTRACE_SYSCALL: %s", strerror(errno));

  struct sigaction action = {.sa_handler = on_alarm}, before;
  sigaction(SIGALRM, &action, &before);
  timed_out = 0;
  alarm(trace->run.limit_s ? (unsigned)trace->run.limit_s : LIMIT_S);
  while (t.live > 0) {
    const pid_t pid = waitpid(-1, &status, __WALL);
    if (pid < 0 && errno == EINTR) {
      if (timed_out && trace->hung) cr_assert_fail("a process cannot be killed");
      if (timed_out) {
        trace->hung = true;
        timed_out = 0;
        kill_all(&t);
        alarm(LIMIT_S);
      }
      continue;
    }
    cr_assert(pid >= 0, "waitpid: %s", strerror(errno));
    struct tracee *const tracee = tracee_of(&t, pid);
    if (WIFSTOPPED(status)) {
      resume(&t, tracee, at_stop(&t, tracee, status));
      continue;
    }
    tracee->gone = true;
    t.live--;
    if (pid == first) trace->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  alarm(0);
  sigaction(SIGALRM, &before, NULL);
  for (unsigned i = 0; i < t.count; i++) free(t.tracees[i]);
  trace->out = fct_slurp(fct_format("%s/trace-out", trace->world->root), NULL);
  trace->err = fct_slurp(fct_format("%s/trace-err", trace->world->root), NULL);
}

#else

void fct_trace_run(struct fct_trace *trace) {
  (void)trace;
  cr_skip("the tracer knows the registers of x86-64 only");
}

#endif
