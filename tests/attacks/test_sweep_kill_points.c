/* SIGKILL at every system call of a pass over a living session: the next pass finds the way back. What was spared is at
 * its name with its contents, an outsider's file that was met at a capture too, and no quarantine is left.
 *
 * A child makes the pass as a stranger would; it is traced, and killed at the entry of its k-th system call. When it
 * is about to capture "late" the tracer, as an outsider, puts a file of his there, which the second look must notice;
 * when "opened" is about to be captured he opens it, which breaks the lease.
 *
 * FC_KILL_POINTS says how many points are tried at most; without it each is. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
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

TestSuite(sweep_kill_points, .fini = fct_teardown, .timeout = 290);

#define FAILURES_SHOWN 5
#define NEVER INT_MAX

struct point {
  const struct fct_world *world;
  const struct fct_live *live;
  int kill_at; /* from 1 */
  int calls;
  bool killed;
  bool late;  /* the outsider was in time */
  int opener; /* his process that opens, 0 = none yet */
};

/* In the child, with an open file of its own: the locks of the parent's would be its own. */
static _Noreturn void pass_traced(const struct fct_live *live) {
  struct fct_live own = *live;
  if (fc_session_open_file(live->dirfd, live->name, &own.fd, &own.header) != FC_VERDICT_VALID) _exit(9);
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(124);
  raise(SIGSTOP);
  struct fc_sweep_result result = {0};
  _exit(fct_pass_as(&own, (struct fc_sweep){.what = FC_SWEEP_EXPIRED}, &result) == 0 ? 0 : 1);
}

static void read_text(pid_t pid, uint64_t address, char *text, size_t size) {
  for (size_t i = 0; i + 1 < size; i++) {
    struct iovec here = {text + i, 1};
    struct iovec there = {(void *)(uintptr_t)(address + i), 1};
    if (process_vm_readv(pid, &here, 1, &there, 1, 0) != 1 || text[i] == '\0') break;
  }
}

/* As a process of the session that removes a file of the user's with something in it (N2). */
static void move_data(const struct fct_live *live) {
  struct fc_journal journal = {0};
  cr_assert_eq(fc_session_map(live->fd, &live->header, &journal), 0);
  const struct fc_object object = {.mode = S_IFREG, .has_data = 1};
  const struct fc_record record = {.type = FC_REC_UNLINK,
                                   .flags = FC_REC_INFO,
                                   .pid = 1,
                                   .time_ns = fc_journal_now(),
                                   .info = &object,
                                   .path = {NULL, 0, "v/data", 6}};
  fc_journal_complete(&journal, fc_journal_append(&journal, &record), FC_RESULT_DONE, NULL);
}

static void be_an_outsider(struct point *p, const char *leaf) {
  if (strcmp(leaf, "shared") == 0) move_data(p->live);
  if (strcmp(leaf, "late") == 0 && !p->late) {
    fct_write(p->world, "outside", "an outsider's\n");
    cr_assert(rename(fct_path(p->world, "outside"), fct_path(p->world, "base/late")) == 0);
    p->late = true;
  }
  if (strcmp(leaf, "opened") == 0 && !p->opener) {
    p->opener = fork();
    if (p->opener == 0) { /* waits for the lease */
      const int fd = open(fct_path(p->world, "base/opened"), O_RDONLY | O_CLOEXEC);
      char text[8] = "";
      _exit(fd >= 0 && read(fd, text, sizeof text) == 2 && memcmp(text, "o\n", 2) == 0 ? 0 : 1);
    }
    usleep(20000); /* until it waits; when it comes late it simply finds the name, or not */
  }
}

static int trace_one_pass(struct point *p, const struct fct_live *live) {
  p->live = live;
  const pid_t child = fork();
  cr_assert(child >= 0);
  if (child == 0) pass_traced(live);
  int status;
  cr_assert(waitpid(child, &status, 0) == child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 124) cr_skip("ptrace is not allowed here");
  cr_assert(WIFSTOPPED(status), "the child did not stop: %#x", status);
  cr_assert(ptrace(PTRACE_SETOPTIONS, child, NULL, (long)(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)) == 0);
  for (;;) {
    cr_assert(ptrace(PTRACE_SYSCALL, child, NULL, 0L) == 0);
    cr_assert(waitpid(child, &status, 0) == child);
    if (!WIFSTOPPED(status)) return status;
    struct __ptrace_syscall_info info;
    if (WSTOPSIG(status) != (SIGTRAP | 0x80) || ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY)
      continue;
    p->calls++;
    if (info.entry.nr == SYS_renameat2) {
      char leaf[64] = "";
      read_text(child, info.entry.args[1], leaf, sizeof leaf);
      be_an_outsider(p, leaf);
    }
    if (p->calls != p->kill_at) continue;
    p->killed = true;
    kill(child, SIGKILL);
    cr_assert(waitpid(child, &status, 0) == child);
    return status;
  }
}

static bool holds(const struct fct_world *world, const char *name, const char *text) {
  const char *found = fct_read(world, name);
  return found && strcmp(found, text) == 0;
}

/* NULL when all is well after the passes that follow. */
static const char *judge(struct point *p, struct fct_live *live) {
  const struct fct_world *world = p->world;
  if (p->opener) {
    int status;
    cr_assert(waitpid(p->opener, &status, 0) == p->opener);
    if (status != 0 && fct_exists(world, "base/opened")) return "the opener got nothing, and the file is there";
  }
  if (!holds(world, "base/mine", "mine\n") || !holds(world, "base/in-use", "u\n") ||
      !holds(world, "base/young", "y\n") || !holds(world, "base/d/a.keep", "k\n"))
    return "right after the kill something that is to be spared is not at its name";
  fct_pass(live);
  if (fct_exists(world, fct_format("base/" FC_QUARANTINE_PREFIX "%s", live->header.id)))
    return "the next pass leaves a quarantine";
  if (p->late && !holds(world, "base/late", "an outsider's\n")) return "the outsider's file is lost";
  fct_pass(live);
  if (fct_exists(world, "base/old") || fct_exists(world, "base/d/old") || fct_exists(world, "base/e"))
    return "what is old stays";
  if (!holds(world, "base/mine", "mine\n") || !holds(world, "base/in-use", "u\n") ||
      !holds(world, "base/young", "y\n") || !holds(world, "base/d/a.keep", "k\n"))
    return "something that is to be spared is lost";
  return NULL;
}

static const char *run_and_judge(struct point *p) {
  struct fct_job *job = fct_hold(
      p->world, FCT_BARE, FCT_LIST("PERIODIC=0", "TTL=1us", "KEEP=d/*.keep"),
      "mkdir base/d base/e; echo o > base/old; echo o > base/d/old; echo k > base/d/a.keep; echo u > base/in-use; "
      "echo y > base/young; touch -d '2 days' base/young; echo l > base/late; echo o > base/opened; exec 5< "
      "base/in-use");
  struct fct_live *live = fct_live_open(p->world);
  (void)trace_one_pass(p, live);
  const char *wrong = judge(p, live);
  close(live->fd);
  close(live->dirfd);
  fct_release(p->world, job);
  if (!wrong && (fct_exists(p->world, "base/in-use") || fct_exists(p->world, "base/young"))) wrong = "left at the end";
  if (!wrong && fct_count(p->world, "base") != 2u + p->late) wrong = "the end leaves something, or takes too much";
  unlink(fct_path(p->world, "base/late"));
  unlink(fct_path(p->world, "base/d/a.keep"));
  rmdir(fct_path(p->world, "base/d"));
  return wrong;
}

Test(sweep_kill_points, a_pass_that_is_killed_anywhere_loses_nothing) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "base/mine", "mine\n");
  struct point whole = {.world = world, .kill_at = NEVER};
  const char *wrong = run_and_judge(&whole);
  cr_assert_null(wrong, "wrong without any kill: %s", wrong);
  cr_assert(whole.late && whole.opener, "the outsider was never in time");
  const char *asked = getenv("FC_KILL_POINTS");
  const int points = asked && atoi(asked) > 0 && atoi(asked) < whole.calls ? atoi(asked) : whole.calls;
  int failures = 0, tried = 0, put_back = 0;
  for (int i = 0; i < points && failures < FAILURES_SHOWN; i++) {
    struct point p = {.world = world, .kill_at = 1 + (int)((long)i * whole.calls / points)};
    wrong = run_and_judge(&p);
    tried += p.killed;
    put_back += p.late;
    if (!wrong) continue;
    failures++;
    fprintf(stderr, "killed at system call %d of %d: %s\n", p.kill_at, whole.calls, wrong);
  }
  fprintf(stderr, "pass: %d system calls; the outsider was in time in %d\n", whole.calls, put_back);
  fct_kill_points_row("pass of the sweeper", (uint64_t)tried, (unsigned long long)failures, 0);
  cr_expect_gt(tried, points / 2, "nearly all passes had ended before they were to be killed");
}

/* The rule of the end (N3: on the user's ground only what came after the last move of data) holds when the data moves
 * right before a capture. */
Test(sweep_kill_points, data_that_moves_in_the_middle_of_a_pass_spares_what_may_hold_it) {
  struct fct_world *world = fct_world_new();
  cr_assert(mkdir(fct_path(world, "base/u"), 0755) == 0 && mkdir(fct_path(world, "base/v"), 0755) == 0);
  fct_write(world, "base/v/data", "data\n");
  struct fct_job *job = fct_hold(world, FCT_BARE, FCT_LIST("PERIODIC=0", "TTL=1us"),
                                 "cat base/v/data > base/u/shared; echo o > base/old");
  struct fct_live *live = fct_live_open(world);
  struct point p = {.world = world, .kill_at = NEVER};
  cr_expect_eq(trace_one_pass(&p, live), 0);
  cr_expect(!fct_exists(world, "base/old"));
  cr_expect_str_eq(fct_read(world, "base/u/shared"), "data\n", "the copy is gone, and so is what it was made of");
  fct_release(world, job);
  cr_expect(fct_exists(world, "base/u/shared"));
}
