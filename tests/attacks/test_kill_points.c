/* SIGKILL between every two system calls of the reaper: of capture, verification, deletion and putting back. Afterwards
 * the next start must find the way back to what should be: the user's things at their names with their contents, ours
 * gone, no quarantine left, nothing lost in one.
 *
 * The test is a small tracer. The probe kill_host creates files under filecleanup and stops at a marker (SIGURG). There
 * the tracer plays an outsider who replaces some of them, so that their verification fails and they are put back, and
 * from there it counts the system calls of the process that reaps: the probe itself at its exit under LD_PRELOAD, or
 * the guardian. At the entry of the k-th it kills; the call is not executed any more.
 *
 * FC_KILL_POINTS says how many points each test tries at most, "all" tries each. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../harness/harness.h"

#define SHIM FC_BUILD_DIR "/libfilecleanup_preload.so"
#define COMMAND FC_BUILD_DIR "/filecleanup"
#define HOST FC_BUILD_DIR "/probes/kill_host"
#define POINTS_DEFAULT 100
#define FAILURES_SHOWN 5
#define RUN_LIMIT_S 30
#define TRACEES_MAX 64
#define NEVER INT_MAX

TestSuite(kill_points, .fini = fct_teardown, .timeout = 280);

enum victim { THE_HOST, THE_GUARDIAN, GUARDIAN_AND_HOST };

/* ---- the scene ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st;
  (void)type;
  if (ftw->level > 0) cr_assert(remove(path) == 0, "%s: %s", path, strerror(errno));
  return 0;
}

static void empty_directory(const char *directory) {
  cr_assert(nftw(directory, remove_entry, 16, FTW_PHYS | FTW_DEPTH) == 0, "%s: %s", directory, strerror(errno));
}

static void make_directory(const struct fct_world *world, const char *relative) {
  cr_assert(mkdir(fct_path(world, relative), 0755) == 0, "%s: %s", relative, strerror(errno));
}

/* What the user has in the base before, and in "expected" what must be there in the end. "contested" is judged apart.
 */
static void lay_out(const struct fct_world *world, const char *top, bool in_the_end) {
  char name[PATH_MAX];
#define IN_TOP(what) (snprintf(name, sizeof name, "%s/%s", top, what), name)
  fct_write(world, IN_TOP("user-file"), "the user's file\n");
  make_directory(world, IN_TOP("user-directory"));
  fct_write(world, IN_TOP("user-directory/notes"), "the user's notes\n");
  if (!in_the_end) return;
  fct_write(world, IN_TOP("replaced"), "an outsider's file\n");
  fct_write(world, IN_TOP("recreated"), "an outsider's new file\n");
  make_directory(world, IN_TOP("guested"));
  fct_write(world, IN_TOP("guested/guest"), "a guest\n");
#undef IN_TOP
}

static void outsider_replaces_some(const struct fct_world *world) {
  fct_write(world, "outside", "an outsider's file\n");
  cr_assert(rename(fct_path(world, "outside"), fct_path(world, "base/replaced")) == 0, "rename");
  fct_write(world, "outside", "an outsider's claim\n");
  cr_assert(rename(fct_path(world, "outside"), fct_path(world, "base/contested")) == 0, "rename");
  cr_assert(unlink(fct_path(world, "base/recreated")) == 0, "unlink");
  fct_write(world, "base/recreated", "an outsider's new file\n");
  fct_write(world, "base/guested/guest", "a guest\n");
}

/* As soon as the outsider's file has been taken from the name "contested", somebody takes that name. */
static bool newcomer_takes_the_name(const struct fct_world *world) {
  const int fd = open(fct_path(world, "base/contested"), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  if (fd < 0) return false;
  cr_assert(write(fd, "newcomer\n", 9) == 9, "write");
  close(fd);
  return true;
}

/* Judges "contested" and removes what belongs to it, so that the rest can be compared as a whole. NULL when all is
 * well. */
static const char *judge_contested(const struct fct_world *world, bool newcomer) {
  const char *text = fct_read(world, "base/contested");
  if (!text) return "nobody stands at the contested name";
  bool claim = strcmp(text, "an outsider's claim\n") == 0;
  if (!claim && strcmp(text, "newcomer\n") != 0) return "the contested name holds something else";
  if (claim && newcomer) return "the newcomer was overwritten";
  if (unlink(fct_path(world, "base/contested")) != 0) return "unlink";
  DIR *const stream = opendir(world->base);
  if (!stream) return "opendir";
  for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
    if (strncmp(entry->d_name, "contested.filecleanup-restored.", 31) != 0) continue;
    char relative[PATH_MAX];
    snprintf(relative, sizeof relative, "base/%s", entry->d_name);
    text = fct_read(world, relative);
    claim = claim || (text && strcmp(text, "an outsider's claim\n") == 0);
    (void)unlink(fct_path(world, relative)); /* seen next time otherwise, as a difference */
  }
  closedir(stream);
  return claim ? NULL : "the outsider's file is lost, a newcomer has its name";
}

/* ---- the tracer ---- */

struct trace {
  const struct fct_world *world;
  enum victim victim;
  int kill_at; /* the k-th system call after the marker, from 1 */

  pid_t known[TRACEES_MAX]; /* those that had their first stop */
  int known_count;
  pid_t host;
  pid_t target;
  int calls; /* system calls that the target began after the marker */
  bool killed;
  bool newcomer;
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
  outsider_replaces_some(t->world);
}

static void at_a_system_call(struct trace *t, pid_t pid) {
  if (t->target == 0 || t->killed || process_of(pid) != t->target) return;
  struct __ptrace_syscall_info info;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0) return;
  if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return;
  t->calls++;
  t->newcomer = t->newcomer || newcomer_takes_the_name(t->world);
  if (t->calls != t->kill_at) return;
  if (getenv("FC_KILL_POINTS_SHOW"))
    fprintf(stderr, "  %d: system call %llu\n", t->calls, (unsigned long long)info.entry.nr);
  if (t->victim == GUARDIAN_AND_HOST) kill(t->host, SIGKILL);
  kill(t->target, SIGKILL);
  t->killed = true;
}

/* In the child. */
static _Noreturn void become_the_host(const struct fct_world *world, bool bare) {
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
  if (first == 0) become_the_host(t->world, t->victim == THE_HOST);
  int status;
  cr_assert(waitpid(first, &status, 0) == first, "waitpid: %s", strerror(errno));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 124) cr_skip("ptrace is not allowed here");
  cr_assert(WIFSTOPPED(status), "the tracee did not stop: %#x", status);
  is_new(t, first);
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
static const char *judge(const struct trace *t, const struct fct_tree *expected) {
  const struct fct_world *world = t->world;
  static char text[4096];
  if (t->target == 0) {
    snprintf(text, sizeof text, "the host never came to its marker, status %#x: %s", t->host_status,
             fct_read(world, "trace-err"));
    return text;
  }
  const struct fct_result next = FCT_EXECUTE(world, .mode = FCT_RUN, .argv = FCT_LIST("true"));
  if (next.status != 0) {
    snprintf(text, sizeof text, "the next start failed with %d: %s", next.status, next.err);
    return text;
  }
  const char *wrong = judge_contested(world, t->newcomer);
  const char *difference = fct_tree_diff(expected, fct_tree_of(world->base), NULL);
  if (!wrong && !difference) return NULL;
  snprintf(text, sizeof text, "%s%s%s", wrong ? wrong : "", wrong && difference ? "; " : "",
           difference ? difference : "");
  return text;
}

static const char *run_and_judge(struct trace *t, const struct fct_tree *expected) {
  empty_directory(t->world->base);
  lay_out(t->world, "base", false);
  trace_one_run(t);
  return judge(t, expected);
}

static int points_to_try(int calls) {
  const char *asked = getenv("FC_KILL_POINTS");
  if (asked && strcmp(asked, "all") == 0) return calls;
  const int points = asked && *asked ? atoi(asked) : POINTS_DEFAULT;
  return points > 0 && points < calls ? points : calls;
}

static void kill_everywhere(enum victim victim, const char *name) {
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  umask(022);
  struct fct_world *world = fct_world_new();
  make_directory(world, "expected");
  lay_out(world, "expected", true);
  const struct fct_tree *expected = fct_tree_of(fct_path(world, "expected"));

  /* Unharmed first: it says how many points there are, and that the scene itself is right. */
  struct trace whole = {.world = world, .victim = victim, .kill_at = NEVER};
  const char *wrong = run_and_judge(&whole, expected);
  cr_assert_null(wrong, "%s: wrong without any kill: %s", name, wrong);
  cr_assert_gt(whole.calls, 10, "%s: only %d system calls: it did not reap", name, whole.calls);

  const int points = points_to_try(whole.calls);
  int tried = 0;
  int failures = 0;
  int newcomers = 0;
  for (int i = 0; i < points; i++) {
    const int k = 1 + (int)((long)i * whole.calls / points);
    struct trace t = {.world = world, .victim = victim, .kill_at = k};
    wrong = run_and_judge(&t, expected);
    tried += t.killed;
    newcomers += t.newcomer;
    if (!wrong) continue;
    fprintf(stderr, "%s: killed at system call %d of %d%s: %s\n", name, k, whole.calls,
            t.newcomer ? ", a newcomer at the contested name" : "", wrong);
    empty_directory(world->state); /* the next point starts afresh */
    if (++failures == FAILURES_SHOWN) break;
  }
  fprintf(stderr, "%s: %d kill points tried of %d system calls, a newcomer in %d\n", name, tried, whole.calls,
          newcomers);
  cr_assert_eq(failures, 0, "%s: %d points failed, see above", name, failures);
  cr_assert_gt(tried, 0, "%s: nobody was killed", name);
}

Test(kill_points, the_exit_of_an_ld_preload_host) { kill_everywhere(THE_HOST, "host at its exit"); }

Test(kill_points, the_guardian_alone) { kill_everywhere(THE_GUARDIAN, "guardian"); }

Test(kill_points, the_guardian_and_the_host) { kill_everywhere(GUARDIAN_AND_HOST, "guardian and host"); }
