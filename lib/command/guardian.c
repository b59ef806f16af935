#include "guardian.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "orphan.h"
#include "schedule.h"
#include "ending.h"
#include "footprint.h"

#define UNSEEN_POLL_MS 50 /* while a process lives that cannot hold the lock (exec without any fd to spare) */
#define UNSEEN_POLL_MAX_MS 800

#define FOOTPRINT_LEAST_NS INT64_C(1000000000) /* between two measurements, ... */
#define FOOTPRINT_PART 200                     /* ... or this part of the time that it has run, ... */
#define FOOTPRINT_COST 20                      /* ... or so many times what one takes */

struct place {
  char dir[PATH_MAX];
  const char *name;
  int dirfd;
  int fd;
  struct fc_session_header header;
};

/* Lets go of every lock that this process inherited by a mapping: ours, and under an outer session the shim's. */
static void drop_lock_mappings(void) {
  FILE *maps = fopen("/proc/self/maps", "re");
  if (!maps) return;
  char line[PATH_MAX + 128];
  while (fgets(line, sizeof line, maps)) {
    unsigned long from;
    unsigned long to;
    char mode[8];
    if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3) continue;
    if (strcmp(mode, "---s") == 0 && strstr(line, "/" FC_SESSION_PREFIX))
      (void)fc_sys_munmap((void *)from, (size_t)(to - from));
  }
  (void)fclose(maps);
}

/* Where an exec would make it an ordinary child of the host again (it resets the exit signal). */
static void guard_without_exec(char **argv) {
  drop_lock_mappings();
  (void)FC_SYS1(SYS_exit_group, fc_guardian_main(3, argv));
}

int fc_guardian_start(const struct fc_session *session) {
  char self[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) return n < 0 ? -errno : -ENOENT;
  self[n] = '\0';
  return fc_guard_start(session, self, guard_without_exec);
}

/* Opens the session file as any stranger would, and takes the guardian's byte. */
static int open_place(struct place *at, const char *path) {
  at->name = fc_session_split(path, at->dir, sizeof at->dir);
  if (!at->name) return -EINVAL;
  at->dirfd = open(at->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (at->dirfd < 0) return -errno;
  if (fc_session_open_file(at->dirfd, at->name, &at->fd, &at->header) != FC_VERDICT_VALID) return -ESTALE;
  return fc_sys_lock(at->fd, FC_F_OFD_SETLK, F_WRLCK, FC_BYTE_GUARDIAN, NULL);
}

/* ---- while the session lives ---- */

struct sweeping {
  struct fc_schedule schedule;
  struct fc_journal journal;
  pthread_t thread;
  pthread_t leader_thread;
  pthread_t footprint_thread;
  struct fc_footprint footprint;
  bool measures;
  int leader; /* a pidfd, -1 = not asked for */
  bool runs;
};

static void *sweep(void *argument) {
  fc_schedule_run(argument);
  return NULL;
}

/* SCOPE=leader: a leader that was killed has not removed anything itself. One that has is not to be repeated: what its
 * survivors have made since would go too. */
static void *wait_for_leader(void *argument) {
  struct sweeping *s = argument;
  struct pollfd leader = {.fd = s->leader, .events = POLLIN};
  while (poll(&leader, 1, -1) < 0 && errno == EINTR) continue;
  if (__atomic_load_n(&s->schedule.words->leader_swept, __ATOMIC_ACQUIRE)) return NULL;
  __atomic_store_n(&s->schedule.leader_ended, 1, __ATOMIC_RELEASE);
  fc_journal_wake(s->schedule.words);
  return NULL;
}

/* For the report. The longer it runs, the less often. */
static void *measure(void *argument) {
  struct sweeping *s = argument;
  const struct fc_schedule *schedule = &s->schedule;
  while (!__atomic_load_n(&schedule->stop, __ATOMIC_ACQUIRE)) {
    const int64_t before = fc_sys_boottime();
    (void)fc_footprint_take(&s->footprint, schedule->fd, schedule->header); /* not now: then next time */
    const int64_t now = fc_sys_boottime();
    int64_t pause_ns = (now - s->footprint.start_ns) / FOOTPRINT_PART;
    if (pause_ns < FOOTPRINT_LEAST_NS) pause_ns = FOOTPRINT_LEAST_NS;
    if (pause_ns < (now - before) * FOOTPRINT_COST) pause_ns = (now - before) * FOOTPRINT_COST;
    const int64_t then = now + pause_ns;
    for (int64_t left = pause_ns; left > 0 && !__atomic_load_n(&schedule->stop, __ATOMIC_ACQUIRE);
         left = then - fc_sys_boottime()) {
      const uint32_t seen = __atomic_load_n(&schedule->words->wake, __ATOMIC_ACQUIRE);
      if (__atomic_load_n(&schedule->stop, __ATOMIC_ACQUIRE)) break;
      (void)fc_sys_futex(&schedule->words->wake, FC_FUTEX_WAIT, seen, (int)(left / 1000000) + 1);
    }
  }
  return NULL;
}

/* Without it nothing is swept, which the end makes good. */
static void start_sweeping(struct sweeping *s, struct place *at) {
  const struct fc_policy *policy = &at->header.policy;
  const bool by_leader = policy->scope == FC_SCOPE_LEADER;
  s->leader = -1;
  /* Also without anything to sweep: the journal is kept short. */
  if ((!policy->periodic && !by_leader) || !fc_schedule_claim(at->fd)) return;
  if (fc_session_map(at->fd, &at->header, &s->journal) < 0) return;
  s->schedule = (struct fc_schedule){at->dirfd, at->fd, &at->header, s->journal.words, 0, 0};
  sigset_t all;
  sigset_t before;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  s->runs = pthread_create(&s->thread, NULL, sweep, &s->schedule) == 0;
  if (s->runs && by_leader) {
    s->leader = (int)syscall(SYS_pidfd_open, at->header.leader_pid, 0);
    if (s->leader >= 0 && pthread_create(&s->leader_thread, NULL, wait_for_leader, s) != 0) {
      (void)close(s->leader);
      s->leader = -1;
    }
  }
  if (s->runs && policy->stats_file[0]) {
    s->footprint.start_ns = fc_sys_boottime();
    s->measures = pthread_create(&s->footprint_thread, NULL, measure, s) == 0;
  }
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (s->runs) __atomic_store_n(&s->journal.words->sweeper, 1, __ATOMIC_RELEASE);
}

/* The leader's thread has ended by itself, or lives on with a leader that is a member no more (it sleeps in poll, and
 * ends with this process). */
static void stop_sweeping(struct sweeping *s) {
  if (!s->runs) return;
  fc_schedule_stop(&s->schedule);
  (void)pthread_join(s->thread, NULL);
  if (s->measures) (void)pthread_join(s->footprint_thread, NULL);
  s->runs = false;
}

/* ---- when it has died ---- */

static void sleep_and_reap(const struct place *at, struct sweeping *sweeping) {
  for (int pause_ms = UNSEEN_POLL_MS;; pause_ms = pause_ms < UNSEEN_POLL_MAX_MS ? pause_ms * 2 : pause_ms) {
    const int rc = fc_sys_lock(at->fd, FC_F_OFD_SETLKW, F_WRLCK, FC_BYTE_MEMBERS, NULL);
    if (rc == -EINTR) continue;
    if (rc < 0) return; /* the next start reaps */
    stop_sweeping(sweeping);
    struct statx st;
    if (fc_sys_statx(at->fd, "", AT_EMPTY_PATH, STATX_NLINK, &st) < 0 || st.stx_nlink == 0) return; /* somebody has */
    const struct fc_end_options options = {.footprint = sweeping->measures ? &sweeping->footprint : NULL};
    struct fc_reap_result result;
    const enum fc_end_outcome outcome =
        fc_ending_run(at->dirfd, at->name, at->fd, &at->header, FC_INFINITY_NS, &options, &result);
    if (outcome != FC_END_WAIT && outcome != FC_END_SOON) return;
    (void)fc_sys_lock(at->fd, FC_F_OFD_SETLK, F_UNLCK, FC_BYTE_MEMBERS, NULL);
    (void)poll(NULL, 0, pause_ms);
  }
}

int fc_guardian_main(int argc, char **argv) {
  static struct place at;
  (void)prctl(PR_SET_NAME, FC_GUARDIAN_NAME, 0, 0, 0);
  if (argc != 3 || open_place(&at, argv[2]) < 0) return 1;
  /* Before the program runs: an orphan's name that it opens by a plain open is not known to be in use. What the budget
   * does not allow waits until it has ended. */
  const bool scan = at.header.policy.on_startup != 0;
  if (scan)
    (void)fc_orphan_scan(at.dirfd, at.dir, at.header.id, true, fc_journal_deadline(at.header.policy.exit_budget_ns),
                         NULL, NULL);
  static struct sweeping sweeping;
  start_sweeping(&sweeping, &at);
  if (write(FC_GUARD_READY_FD, "+", 1) != 1) return 1;
  (void)close(FC_GUARD_READY_FD);
  sleep_and_reap(&at, &sweeping);
  if (scan) (void)fc_orphan_scan(at.dirfd, at.dir, at.header.id, true, FC_INFINITY_NS, NULL, NULL);
  (void)rmdir(at.dir); /* only when no session of this base is left */
  return 0;
}
