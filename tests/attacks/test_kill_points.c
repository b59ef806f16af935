/* SIGKILL between every two system calls of the reaper: of capture, verification, deletion and putting back. Afterwards
 * the next start must find the way back to what should be: the user's things at their names with their contents, ours
 * gone, no quarantine left, nothing lost in one.
 *
 * The test is a small tracer. The probe kill_host creates files under filecleanup and stops at a marker (SIGURG). From
 * there the tracer counts the system calls of the process that reaps: the probe itself at its exit under LD_PRELOAD, or
 * the guardian. At the entry of the k-th it kills; the call is not executed any more.
 *
 * The tracer also plays an outsider. At the marker he replaces some names, which the first look at them must notice.
 * When the reaper enters the rename that captures "late" or "contested" he replaces these, after the first look, so
 * that the verification fails and they are put back; he takes the name "contested" again as soon as it is free; and he
 * puts a file into "guested-late" when that is about to be captured whole.
 *
 * FC_KILL_POINTS says how many points each test tries at most; without it each is tried. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../harness/harness_attack.h"

#define SHIM FC_BUILD_DIR "/libfilecleanup_preload.so"
#define COMMAND FC_BUILD_DIR "/filecleanup"
#define HOST FC_BUILD_DIR "/probes/kill_host"
#define FAILURES_SHOWN 5
#define RUN_LIMIT_S 30
#define TRACEES_MAX 64
#define NEVER INT_MAX
#define PAIRS 120
#define LOADER_CALLS 40

TestSuite(kill_points, .fini = fct_teardown, .timeout = 280);

enum victim { THE_HOST, THE_GUARDIAN, GUARDIAN_AND_HOST };

/* ---- the scene ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st;
  (void)type;
  if (ftw->level > 0) cr_assert(remove(path) == 0, "%s: %s", path, strerror(errno));
  return 0;
}

static void empty_directory(const char *directory, bool itself) {
  cr_assert(nftw(directory, remove_entry, 16, FTW_PHYS | FTW_DEPTH) == 0, "%s: %s", directory, strerror(errno));
  if (itself) cr_assert(rmdir(directory) == 0, "%s: %s", directory, strerror(errno));
}

/* "directory/name", good until the sixteenth call after this one. */
static const char *in_directory(const char *directory, const char *name) {
  static char names[16][PATH_MAX];
  static int next;
  char *const out = names[next++ % 16];
  snprintf(out, PATH_MAX, "%s/%s", directory, name);
  return out;
}

static void make_directory(const struct fct_world *world, const char *relative) {
  cr_assert(mkdir(fct_path(world, relative), 0755) == 0, "%s: %s", relative, strerror(errno));
}

struct outsider {
  bool late;         /* he has replaced "late" at its capture */
  bool contested;    /* the same with "contested" */
  bool newcomer;     /* and somebody has taken its name */
  bool guested_late; /* he has put a file into "guested-late" at its capture */
};

/* What the user has in the base before. */
static void lay_out(const struct fct_world *world, const char *top) {
  make_directory(world, top);
  fct_write(world, in_directory(top, "user-file"), "the user's file\n");
  make_directory(world, in_directory(top, "user-directory"));
  fct_write(world, in_directory(top, "user-directory/notes"), "the user's notes\n");
}

/* What must be there in the end, but for "contested", which is judged apart. */
static const struct fct_tree *expected_tree(const struct fct_world *world, const struct outsider *outsider) {
  if (fct_exists(world, "expected")) empty_directory(fct_path(world, "expected"), true);
  lay_out(world, "expected");
  fct_write(world, "expected/replaced", "an outsider's file\n");
  fct_write(world, "expected/recreated", "an outsider's new file\n");
  make_directory(world, "expected/guested");
  fct_write(world, "expected/guested/guest", "a guest\n");
  if (outsider->late) fct_write(world, "expected/late", "an outsider's late file\n");
  if (outsider->guested_late) {
    make_directory(world, "expected/guested-late");
    fct_write(world, "expected/guested-late/guest", "a late guest\n");
  }
  return fct_tree_of(fct_path(world, "expected"));
}

static void move_in(const struct fct_world *world, const char *relative, const char *text) {
  fct_write(world, "outside", text);
  cr_assert(rename(fct_path(world, "outside"), fct_path(world, relative)) == 0, "rename: %s", strerror(errno));
}

static void outsider_at_the_marker(const struct fct_world *world) {
  move_in(world, "base/replaced", "an outsider's file\n");
  cr_assert(unlink(fct_path(world, "base/recreated")) == 0, "unlink");
  fct_write(world, "base/recreated", "an outsider's new file\n");
  fct_write(world, "base/guested/guest", "a guest\n");
}

/* The reaper is about to rename leaf. */
static void outsider_at_a_rename(const struct fct_world *world, const char *leaf, struct outsider *outsider) {
  if (strcmp(leaf, "late") == 0 && !outsider->late) {
    move_in(world, "base/late", "an outsider's late file\n");
    outsider->late = true;
  } else if (strcmp(leaf, "contested") == 0 && !outsider->contested) {
    move_in(world, "base/contested", "an outsider's claim\n");
    outsider->contested = true;
  } else if (strcmp(leaf, "guested-late") == 0 && !outsider->guested_late) {
    fct_write(world, "base/guested-late/guest", "a late guest\n");
    outsider->guested_late = true;
  }
}

/* As soon as the outsider's file has been taken from the name "contested", somebody takes that name. */
static void newcomer_takes_the_name(const struct fct_world *world, struct outsider *outsider) {
  if (!outsider->contested || outsider->newcomer) return;
  const int fd = open(fct_path(world, "base/contested"), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  if (fd < 0) return;
  cr_assert(write(fd, "newcomer\n", 9) == 9, "write");
  close(fd);
  outsider->newcomer = true;
}

/* Judges "contested" and removes what belongs to it, so that the rest can be compared as a whole. NULL when all is
 * well. */
static const char *judge_contested(const struct fct_world *world, const struct outsider *outsider) {
  if (!outsider->contested) return NULL; /* it is ours then, and the comparison sees it when it stays */
  const char *text = fct_read(world, "base/contested");
  if (!text) return "nobody stands at the contested name";
  bool claim = strcmp(text, "an outsider's claim\n") == 0;
  if (!claim && strcmp(text, "newcomer\n") != 0) return "the contested name holds something else";
  if (claim && outsider->newcomer) return "the newcomer was overwritten";
  if (unlink(fct_path(world, "base/contested")) != 0) return "unlink";
  DIR *const stream = opendir(world->base);
  if (!stream) return "opendir";
  for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
    if (strncmp(entry->d_name, "contested.filecleanup-restored.", 31) != 0) continue;
    const char *relative = in_directory("base", entry->d_name);
    text = fct_read(world, relative);
    if (!text || strcmp(text, "an outsider's claim\n") != 0) continue; /* then it shows as a difference */
    claim = true;
    (void)unlink(fct_path(world, relative)); /* when it stays it shows as a difference */
  }
  closedir(stream);
  return claim ? NULL : "the outsider's file is lost, a newcomer has its name";
}

/* ---- the tracer ---- */

struct trace {
  const struct fct_world *world;
  enum victim victim;
  int kill_at;   /* the k-th system call after the marker, from 1 */
  bool recovery; /* the program is the next start, and counts from its first system call */

  pid_t known[TRACEES_MAX]; /* those that had their first stop */
  int known_count;
  pid_t host;
  pid_t target;
  int calls; /* system calls that the target began after the marker */
  bool killed;
  struct outsider outsider;
  int host_status;
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
  if (!file) return 0;
  char line[256];
  int process = 0;
  while (fgets(line, sizeof line, file) && sscanf(line, "Tgid: %d", &process) != 1) {
  }
  fclose(file);
  return process;
}

/* True at the first stop of a new tracee, which is no signal for it. */
static bool is_new(struct trace *t, pid_t pid) {
  for (int i = 0; i < t->known_count; i++)
    if (t->known[i] == pid) return false;
  cr_assert(t->known_count < TRACEES_MAX, "too many processes");
  t->known[t->known_count++] = pid;
  return true;
}

static void at_the_marker(struct trace *t, pid_t pid) {
  t->host = process_of(pid);
  if (t->victim == THE_HOST) {
    t->target = t->host;
  } else {
    for (int i = 0; i < t->known_count; i++) {
      const pid_t process = process_of(t->known[i]);
      if (process != 0 && process != t->host && kill(process, 0) == 0) t->target = process;
    }
    cr_assert_neq(t->target, 0, "there is no guardian");
  }
  outsider_at_the_marker(t->world);
}

/* A string in the tracee's memory, as much of it as can be read. */
static void read_text(pid_t pid, uint64_t address, char *text, size_t size) {
  struct iovec here = {text, size - 1};
  struct iovec there = {(void *)(uintptr_t)address, size - 1};
  if (process_vm_readv(pid, &here, 1, &there, 1, 0) > 0) return;
  for (size_t i = 0; i + 1 < size; i++) { /* near the end of a mapping */
    here = (struct iovec){text + i, 1};
    there = (struct iovec){(void *)(uintptr_t)(address + i), 1};
    if (process_vm_readv(pid, &here, 1, &there, 1, 0) != 1 || text[i] == '\0') break;
  }
}

static void at_a_system_call(struct trace *t, pid_t pid) {
  if (t->target == 0 || t->killed || process_of(pid) != t->target) return;
  struct __ptrace_syscall_info info;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0) return;
  if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return;
  t->calls++;
  newcomer_takes_the_name(t->world, &t->outsider);
  if (info.entry.nr == SYS_renameat2) {
    char leaf[NAME_MAX + 1] = "";
    read_text(pid, info.entry.args[1], leaf, sizeof leaf);
    outsider_at_a_rename(t->world, leaf, &t->outsider);
  }
  if (t->calls != t->kill_at) return;
  if (t->victim == GUARDIAN_AND_HOST) kill(t->host, SIGKILL);
  kill(t->target, SIGKILL);
  t->killed = true;
}

/* In the child. */
static _Noreturn void become_the_host(const struct fct_world *world, bool bare, bool recovery) {
  setsid();
  const int null = open("/dev/null", O_RDWR);
  const int err = open(fct_path(world, "trace-err"), O_CREAT | O_TRUNC | O_WRONLY, 0644);
  dup2(null, 0);
  dup2(null, 1);
  dup2(err, 2);
  syscall(SYS_close_range, 3U, ~0U, 0U);
  if (chdir(world->dir) != 0) _exit(125);
  setenv("HOME", world->home, 1);
  setenv("FILECLEANUP_STATE_DIR", world->state, 1);
  signal(SIGALRM, SIG_DFL);
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(124);
  raise(SIGSTOP);
  if (bare) {
    setenv("LD_PRELOAD", SHIM, 1);
    setenv("FILECLEANUP_BASE_DIR", world->base, 1);
    if (recovery)
      execlp("true", "true", (char *)NULL);
    else
      execl(HOST, HOST, world->base, (char *)NULL);
  } else {
    execl(COMMAND, COMMAND, "run", "--base", world->base, "--", HOST, world->base, (char *)NULL);
  }
  _exit(126);
}

/* One run of the host with its reaper killed at t->kill_at. Returns when all its processes are gone. */
static void trace_one_run(struct trace *t) {
  const pid_t first = fork();
  cr_assert(first >= 0, "fork: %s", strerror(errno));
  if (first == 0) become_the_host(t->world, t->victim == THE_HOST, t->recovery);
  int status;
  cr_assert(waitpid(first, &status, 0) == first, "waitpid: %s", strerror(errno));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 124) cr_skip("ptrace is not allowed here");
  cr_assert(WIFSTOPPED(status), "the tracee did not stop: %#x", status);
  is_new(t, first);
  if (t->recovery) t->target = t->host = first;
  const long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                       PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
  cr_assert(ptrace(PTRACE_SETOPTIONS, first, NULL, options) == 0, "PTRACE_SETOPTIONS: %s", strerror(errno));
  cr_assert(ptrace(PTRACE_SYSCALL, first, NULL, NULL) == 0, "PTRACE_SYSCALL: %s", strerror(errno));

  timed_out = 0;
  alarm(RUN_LIMIT_S);
  for (;;) {
    const pid_t pid = waitpid(-1, &status, __WALL);
    if (pid < 0 && errno == EINTR && !timed_out) continue;
    if (pid < 0 && errno == ECHILD) break;
    cr_assert(pid >= 0, "%s after %d system calls", timed_out ? "a process hangs" : strerror(errno), t->calls);
    if (!WIFSTOPPED(status)) {
      if (pid == first) t->host_status = status;
      continue;
    }
    long signal_number = 0;
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      at_a_system_call(t, pid);
    } else if (status >> 16 == 0) {
      signal_number = WSTOPSIG(status);
      if (signal_number == SIGSTOP && is_new(t, pid)) signal_number = 0;
      if (signal_number == SIGURG && t->target == 0) {
        at_the_marker(t, pid);
        signal_number = 0;
      }
    }
    (void)ptrace(PTRACE_SYSCALL, pid, NULL, signal_number); /* ESRCH: it has been killed meanwhile */
  }
  alarm(0);
}

/* ---- the judgement ---- */

/* NULL when all is as it should be after the recovery. */
static const char *judge(const struct trace *t) {
  const struct fct_world *world = t->world;
  static char text[4096];
  if (t->target == 0) {
    snprintf(text, sizeof text, "the host never came to its marker, status %#x: %s", t->host_status,
             fct_read(world, "trace-err"));
    return text;
  }
  if (t->victim != GUARDIAN_AND_HOST && !t->killed && t->host_status != 0) return "the host does not end well";
  if (t->victim == THE_GUARDIAN && t->host_status != 0) return "the host suffers from the death of its guardian";
  /* Both kinds of next start recover; they take turns. */
  const enum fct_mode mode = t->kill_at % 2 ? FCT_RUN : FCT_BARE;
  const struct fct_result next = FCT_EXECUTE(world, .mode = mode, .argv = FCT_LIST("true"));
  if (next.status != 0) {
    snprintf(text, sizeof text, "the next start (%s) failed with %d: %s", fct_mode_name(mode), next.status, next.err);
    return text;
  }
  if (!fct_wait_no_guardian(world)) return "the guardian of the next start does not end"; /* it reaps the orphans */
  const char *wrong = judge_contested(world, &t->outsider);
  const char *difference = fct_tree_diff(expected_tree(world, &t->outsider), fct_tree_of(world->base), NULL);
  if (!wrong && !difference) return NULL;
  snprintf(text, sizeof text, "%s%s%s", wrong ? wrong : "", wrong && difference ? "; " : "",
           difference ? difference : "");
  return text;
}

static const char *run_and_judge(struct trace *t) {
  empty_directory(t->world->base, true);
  lay_out(t->world, "base");
  trace_one_run(t);
  return judge(t);
}

static int points_to_try(int calls) {
  const char *asked = getenv("FC_KILL_POINTS");
  const int points = asked ? atoi(asked) : calls;
  return points > 0 && points < calls ? points : calls;
}

static void kill_everywhere(enum victim victim, const char *name) {
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  umask(022);
  struct fct_world *world = fct_world_new();

  /* Unharmed first: it says how many points there are, and that the scene itself is right. */
  struct trace whole = {.world = world, .victim = victim, .kill_at = NEVER};
  const char *wrong = run_and_judge(&whole);
  cr_assert_null(wrong, "%s: wrong without any kill: %s", name, wrong);
  cr_assert(whole.outsider.late && whole.outsider.contested && whole.outsider.guested_late,
            "%s: the outsider was never in time: nothing was put back", name);
  cr_assert_gt(whole.calls, 10, "%s: only %d system calls: it did not reap", name, whole.calls);

  const int points = points_to_try(whole.calls);
  int tried = 0;
  int failures = 0;
  int newcomers = 0;
  int put_back = 0;
  for (int i = 0; i < points; i++) {
    const int k = 1 + (int)((long)i * whole.calls / points);
    struct trace t = {.world = world, .victim = victim, .kill_at = k};
    wrong = run_and_judge(&t);
    tried += t.killed;
    newcomers += t.outsider.newcomer;
    put_back += t.outsider.late;
    if (!wrong) continue;
    fprintf(stderr, "%s: killed at system call %d of %d%s: %s\n", name, k, whole.calls,
            t.outsider.newcomer ? ", a newcomer at the contested name" : "", wrong);
    empty_directory(world->state, false); /* the next point starts afresh */
    if (++failures == FAILURES_SHOWN) break;
  }
  fprintf(stderr, "%s: %d system calls; the outsider was in time in %d, a newcomer in %d\n", name, whole.calls,
          put_back, newcomers);
  fct_kill_points_row(name, (uint64_t)tried, (unsigned long long)failures, 0);
  cr_assert_gt(tried, 0, "%s: nobody was killed", name);
}

/* The next start is killed as well, while it recovers: the one after that must find the way back just so. */
static void kill_twice(void) {
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  umask(022);
  struct fct_world *world = fct_world_new();
  struct trace whole = {.world = world, .victim = THE_HOST, .kill_at = NEVER};
  const char *wrong = run_and_judge(&whole);
  cr_assert_null(wrong, "wrong without any kill: %s", wrong);

  const int pairs = points_to_try(PAIRS);
  int tried = 0;
  for (int i = 0; i < pairs; i++) {
    struct trace first = {.world = world, .victim = THE_HOST, .kill_at = 1 + i * 7919 % whole.calls};
    empty_directory(world->base, true);
    lay_out(world, "base");
    trace_one_run(&first);
    /* The first of its system calls are the loader's. */
    struct trace second = {.world = world, .victim = THE_HOST, .recovery = true, .outsider = first.outsider};
    second.kill_at = LOADER_CALLS + i * 104729 % whole.calls;
    trace_one_run(&second);
    tried += first.killed && second.killed;
    wrong = judge(&second);
    cr_assert_null(wrong, "killed at system call %d, and the next start at %d of its own: %s", first.kill_at,
                   second.kill_at, wrong);
  }
  fct_kill_points_row("recovery of a next start, in pairs", (uint64_t)tried, 0, 0);
  cr_assert_gt(tried, pairs / 4, "nearly all recoveries had ended before they were to be killed");
}

Test(kill_points, the_recovery_after_a_kill) { kill_twice(); }

Test(kill_points, the_exit_of_an_ld_preload_host) { kill_everywhere(THE_HOST, "host at its exit"); }

Test(kill_points, the_guardian_alone) { kill_everywhere(THE_GUARDIAN, "guardian"); }

Test(kill_points, the_guardian_and_the_host) { kill_everywhere(GUARDIAN_AND_HOST, "guardian and host"); }
