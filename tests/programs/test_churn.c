/* Programs that make and remove names without end: the journal stays short, and nothing is forgotten over it.
 *
 * FC_CHURN_CYCLES=10000000 is the long form. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../harness/harness.h"

#define CYCLES_DEFAULT "200000" /* 50 MB of records */
#define JOURNAL_MAX_KB 32000L
#define RSS_MAX_KB 60000L
#define LIMIT_S 1200
#define ROUNDS 6 /* two of each kind of kill */

TestSuite(churn, .fini = fct_teardown, .timeout = 3000);

static const char *cycles(void) {
  const char *asked = getenv("FC_CHURN_CYCLES");
  return asked && *asked ? asked : CYCLES_DEFAULT;
}

static void pause_ms(long ms) {
  const struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
  nanosleep(&span, NULL);
}

/* KiB on the disk of the largest file below dir. */
static long largest_below(const char *dir) {
  DIR *const list = opendir(dir);
  long largest = 0;
  if (!list) return 0;
  for (const struct dirent *e; (e = readdir(list));) {
    if (e->d_name[0] == '.') continue;
    struct stat st;
    const char *path = fct_format("%s/%s", dir, e->d_name);
    if (lstat(path, &st) != 0) continue;
    const long size = S_ISDIR(st.st_mode) ? largest_below(path) : (long)(st.st_blocks / 2);
    if (size > largest) largest = size;
  }
  closedir(list);
  return largest;
}

static long rss_of(pid_t pid) {
  char line[256];
  long kb = 0;
  FILE *const status = pid > 0 ? fopen(fct_format("/proc/%d/status", (int)pid), "re") : NULL;
  if (!status) return 0;
  while (fgets(line, sizeof line, status))
    if (sscanf(line, "VmRSS: %ld", &kb) == 1) break;
  fclose(status);
  return kb;
}

static void larger(long *max, long now) {
  if (now > *max) *max = now;
}

struct peak {
  long journal, host, guardian;
};

static struct peak watch(const struct fct_world *world, const struct fct_job *job) {
  struct peak peak = {0, 0, 0};
  while (kill(fct_job_pid(job), 0) == 0) {
    larger(&peak.journal, largest_below(world->state));
    larger(&peak.host, rss_of(fct_job_pid(job)));
    larger(&peak.guardian, rss_of(fct_guardian(world)));
    if (fct_exists(world, "finished")) break;
    pause_ms(10);
  }
  return peak;
}

/* A user's file that the session removes and makes anew (N1), one whose data moved into a copy (N2), and one that was
 * renamed, all long forgotten by the journal's first cells when the session ends. */
static void with_users_data(const char *processes) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    fct_write(world, "base/users", "mine\n");
    fct_write(world, "base/data", "precious\n");
    fct_write(world, "base/renamed", "also mine\n");
    const char *script = fct_format("rm base/users; echo again > base/users; cat base/data > base/copy; rm base/data\n"
                                    "mv base/renamed base/other; echo new > base/renamed; mkdir base/own\n"
                                    "$PROBES/churn keep base/own 10000 && $PROBES/churn run base/own %s %s; rc=$?\n"
                                    "echo late > base/late; : > finished; exit $rc",
                                    cycles(), processes);
    struct fct_job *job = FCT_START(world, .mode = *mode, .script = script, .limit_s = LIMIT_S);
    const struct peak peak = watch(world, job);
    const struct fct_result result = fct_finish(job);
    fprintf(stderr, "%s, %s times %s: journal at most %ld KiB on disk, the shell %ld KiB, the guardian %ld KiB\n",
            fct_mode_name(*mode), processes, cycles(), peak.journal, peak.host, peak.guardian);
    cr_expect_eq(result.status, 0, "%s", result.err);
    cr_expect_str_eq(result.err, "");
    cr_assert(fct_wait_gone(world, "base/own"), "%s: what was kept tracked all the while is not gone",
              fct_mode_name(*mode));
    cr_expect(fct_wait_gone(world, "base/late"), "%s", fct_mode_name(*mode));
    cr_expect_str_eq(fct_read(world, "base/users"), "again\n");
    cr_expect_str_eq(fct_read(world, "base/copy"), "precious\n");
    cr_expect_str_eq(fct_read(world, "base/other"), "also mine\n");
    cr_expect_str_eq(fct_read(world, "base/renamed"), "new\n");
    cr_expect_gt(peak.journal, 0);
    cr_expect_lt(peak.journal, JOURNAL_MAX_KB, "%s: the journal grows", fct_mode_name(*mode));
    cr_expect_lt(peak.guardian, RSS_MAX_KB, "%s", fct_mode_name(*mode));
  }
}

Test(churn, the_journal_of_one_process_stays_short_and_forgets_nothing) { with_users_data("1"); }
Test(churn, the_journal_of_four_processes_stays_short_and_forgets_nothing) { with_users_data("4"); }

/* The process that churns is the session's only one: its own memory is the host's. */
Test(churn, a_host_alone_stays_small) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    const char *probe = FC_BUILD_DIR "/probes/churn";
    struct fct_job *job =
        FCT_START(world, .mode = *mode, .argv = FCT_LIST(probe, "run", world->base, cycles(), "1"), .limit_s = LIMIT_S);
    struct peak peak = {0, 0, 0};
    for (unsigned i = 0; i < 200; i++) {
      larger(&peak.journal, largest_below(world->state));
      larger(&peak.host, rss_of(fct_job_pid(job)));
      larger(&peak.guardian, rss_of(fct_guardian(world)));
      pause_ms(10);
    }
    const struct fct_result result = fct_finish(job);
    fprintf(stderr, "%s: journal at most %ld KiB on disk, host %ld KiB, guardian %ld KiB\n", fct_mode_name(*mode),
            peak.journal, peak.host, peak.guardian);
    cr_expect_eq(result.status, 0, "%s", result.err);
    cr_expect_lt(peak.host, RSS_MAX_KB, "%s", fct_mode_name(*mode));
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

/* ---- killed, stopped ---- */

/* Slow disks are no failure. */
static bool wait_going(const struct fct_world *world) {
  for (unsigned i = 0; i < 12; i++)
    if (fct_wait_exists(world, "end.going")) return true;
  return false;
}

static struct fct_job *start_churn(const struct fct_world *world, enum fct_mode mode, const char *processes) {
  fct_write(world, "base/users", "mine\n");
  const char *script = fct_format("rm base/users; echo again > base/users; echo x > base/ours; mkdir base/own\n"
                                  "$PROBES/churn until end base/own %s; rc=$?; : > finished; exit $rc",
                                  processes);
  struct fct_job *job = FCT_START(world, .mode = mode, .script = script, .limit_s = LIMIT_S);
  cr_assert(wait_going(world), "%s: no churn", fct_mode_name(mode));
  return job;
}

static unsigned entries_of(const char *dir) {
  unsigned count = 0;
  DIR *const list = opendir(dir);
  if (!list) return 0;
  for (const struct dirent *e; (e = readdir(list));) count += e->d_name[0] != '.';
  closedir(list);
  return count;
}

static void expect_only_the_users(const struct fct_world *world, const char *when) {
  cr_expect(fct_wait_gone(world, "base/ours"), "%s: not cleaned up", when);
  /* Killed between the kernel's create and our record, a process leaves that one name (README). */
  cr_expect_leq(entries_of(fct_path(world, "base/own")), 2, "%s: more is left than two kills explain", when);
  const char *users = fct_read(world, "base/users");
  cr_expect(users && strcmp(users, "again\n") == 0, "%s: the user's name is gone", when);
}

Test(churn, what_is_killed_while_it_churns_leaves_nothing_and_takes_nothing) {
  for (unsigned round = 0; round < ROUNDS; round++) {
    for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
      struct fct_world *world = fct_world_new();
      struct fct_job *job = start_churn(world, *mode, "2");
      const char *when = fct_format("%s, round %u", fct_mode_name(*mode), round);
      pause_ms((long)round * 7);
      if (round % 3 != 0) fct_kill_guardian(world);
      if (round % 3 == 1) { /* the guardian alone: the host goes on, and ends well */
        pause_ms(200);
        fct_write(world, "end", "");
        cr_expect_eq(fct_finish(job).status, 0, "%s", when);
      } else {
        (void)fct_kill_job(job);
        fct_kill_members(world);
      }
      (void)fct_next_start(world, *mode);
      (void)fct_wait_no_guardian(world);
      expect_only_the_users(world, when);
    }
  }
}

Test(churn, a_process_that_is_stopped_for_long_changes_nothing) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job = start_churn(world, *mode, "4");
    pid_t pids[16];
    size_t count = fct_members(world, pids, 16);
    cr_assert_gt(count, 2);
    for (unsigned round = 0; round < 8; round++) {
      const pid_t one = pids[1 + round % (count - 1)];
      (void)kill(one, SIGSTOP);
      pause_ms(round == 0 ? 6000 : 50); /* longer than a checkpoint waits for cells */
      (void)kill(one, SIGCONT);
    }
    fct_write(world, "end", "");
    const struct fct_result result = fct_finish(job);
    cr_expect_eq(result.status, 0, "%s: %s", fct_mode_name(*mode), result.err);
    expect_only_the_users(world, fct_mode_name(*mode));
    cr_expect_not(fct_exists(world, "base/own"), "%s", fct_mode_name(*mode));
  }
}

/* ---- a neighbour ---- */

Test(churn, what_a_churning_neighbour_has_used_is_handed_to_it) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *other = FCT_START(world, .mode = *mode,
                                      .script = "echo a > base/shared; mkdir base/theirs; : > base/theirs/f\n"
                                                ": > ready; $PROBES/await end-other");
    cr_assert(fct_wait_exists(world, "ready"));
    struct fct_job *job = FCT_START(world, .mode = *mode, .limit_s = LIMIT_S,
                                    .script = "echo b >> base/shared; mkdir base/own\n"
                                              "$PROBES/churn until end base/own 2");
    cr_assert(wait_going(world));
    /* Many neighbours begin and end while checkpoints are made. */
    for (unsigned i = 0; i < 30; i++) {
      const struct fct_result result =
          FCT_EXECUTE(world, .mode = *mode, .script = "echo x > base/passing; mkdir base/p; : > base/p/q");
      cr_expect_eq(result.status, 0, "%s", result.err);
    }
    fct_write(world, "end-other", "");
    cr_expect_eq(fct_finish(other).status, 0);
    pause_ms(300);
    const char *shared = fct_read(world, "base/shared");
    cr_expect(shared && strcmp(shared, "a\nb\n") == 0, "%s: deleted under its neighbour", fct_mode_name(*mode));
    pause_ms(1000);
    fct_write(world, "end", "");
    cr_expect_eq(fct_finish(job).status, 0);
    (void)fct_wait_no_guardian(world);
    (void)fct_next_start(world, *mode); /* what could not be asked at the time */
    (void)fct_wait_no_guardian(world);
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

/* ---- a full disk ---- */

Test(churn, a_full_disk_below_the_journal_harms_no_host) {
  fct_need_root();
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    if (mount("tmpfs", world->state, "tmpfs", 0, "size=2m,mode=0700") != 0) cr_skip("nothing may be mounted here");
    fct_write(world, "base/users", "mine\n");
    const char *script = "rm base/users; echo again > base/users; $PROBES/churn run base 60000 2";
    const struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .script = script, .limit_s = LIMIT_S);
    cr_expect_eq(result.status, 0, "%s: %d %s", fct_mode_name(*mode), result.status, result.err);
    cr_expect_str_eq(result.err, "");
    (void)fct_wait_no_guardian(world);
    cr_expect_str_eq(fct_read(world, "base/users"), "again\n");
    cr_expect_eq(umount2(world->state, MNT_DETACH), 0);
  }
}
