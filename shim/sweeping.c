#include "sweeping.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#include "member.h"
#include "placement.h"
#include "schedule.h"
#include "symbol.h"

#define NS_PER_S INT64_C(1000000000)
#define LATE_NS (600 * NS_PER_S) /* a longer TTL than this lets a process be that old before it gets a thread */
#define STACK_BYTES (256u * 1024u)
#define STOP_TRIES 250
#define STOP_SLICE_MS 20
#define CLOSE_RANGE_UNSHARE_ 2u
/* All but the two that libc needs itself: setuid() waits until every thread has taken one of them. */
#define BLOCKED (UINT64_MAX & ~(UINT64_C(3) << 31))

enum state { NOT_RUNNING = 0, RUNNING, ENDED };

/* For each session: not before, CLOCK_BOOTTIME. */
FC_START static int64_t check_ns[FC_NEST_MAX] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};

/* One for each session. What a fork child inherits of it is void: its wiped page says that it runs no thread. */
static struct {
  bool wanted; /* put off */
  int tid;
  uint32_t state;
  struct fc_schedule schedule;
} sweeps[FC_NEST_MAX];

/* The process whose main thread has ended before it. */
static uint32_t without_main;

static uint32_t retired; /* none may be started */

void fc_sweeping_prepare(void) {
  for (unsigned i = 0; i < fc_member.count; i++) {
    const struct fc_session *s = &fc_member.sessions[i];
    const struct fc_policy *p = &s->header->policy;
    if (!p->periodic) continue;
    const bool soon = p->ttl_ns <= LATE_NS || p->max_bytes != FC_INFINITY_COUNT || p->max_files != FC_INFINITY_COUNT;
    /* Without anything to sweep only a long journal asks for one. */
    const int64_t first = soon ? 0 : fc_sys_boottime() + LATE_NS;
    check_ns[i] = fc_sweeper_is_wanted(p) ? first : INT64_MAX - 1;
  }
}

/* In the thread: descriptors, working directory and root of its own. Without that it would not be safe: a host that
 * closes or replaces a number would meet ours. */
static bool part_from_host(void) {
  if (FC_SYS1(SYS_unshare, CLONE_FS) < 0) return false;
#ifdef SYS_close_range
  if (FC_SYS3(SYS_close_range, 0, ~0u, CLOSE_RANGE_UNSHARE_) < 0) return false;
#else
  return false;
#endif
  return FC_SYS1(SYS_chdir, "/") == 0;
}

static void sweep(unsigned i) {
  struct fc_session *s = &fc_member.sessions[i];
  struct fc_schedule *schedule = &sweeps[i].schedule;
  char dir[PATH_MAX];
  if (!part_from_host() || !fc_session_split(fc_session_path(s), dir, sizeof dir)) return;
  schedule->dirfd = fc_sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
  schedule->fd = schedule->dirfd < 0 ? -1 : fc_session_reopen(s);
  if (schedule->fd < 0 || !fc_schedule_claim(schedule->fd)) return; /* the table of descriptors goes with the thread */
  __atomic_store_n(&schedule->words->sweeper, 1, __ATOMIC_RELEASE);
  fc_schedule_run(schedule);
  __atomic_store_n(&schedule->words->sweeper, 0, __ATOMIC_RELEASE);
}

static void *run(void *argument) {
  const unsigned i = (unsigned)(uintptr_t)argument;
  __atomic_store_n(&sweeps[i].tid, (int)FC_SYS0(SYS_gettid), __ATOMIC_RELEASE);
  (void)FC_SYS5(SYS_prctl, PR_SET_NAME, "fc-sweeper", 0, 0, 0);
  sweep(i);
  __atomic_store_n(&sweeps[i].state, ENDED, __ATOMIC_RELEASE);
  (void)fc_sys_futex(&sweeps[i].state, FC_FUTEX_WAKE, INT32_MAX, -1);
  return NULL;
}

/* By name: which library holds them, and with which version, differs between releases of libc. */
static __attribute__((noinline)) int make_thread(unsigned i) {
  int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  int (*init)(pthread_attr_t *);
  int (*set_size)(pthread_attr_t *, size_t);
  int (*set_detached)(pthread_attr_t *, int);
  int (*destroy)(pthread_attr_t *);
  const struct {
    const char *name;
    void *place;
  } wanted[] = {{"pthread_create", &create},
                {"pthread_attr_init", &init},
                {"pthread_attr_setstacksize", &set_size},
                {"pthread_attr_setdetachstate", &set_detached},
                {"pthread_attr_destroy", &destroy}};
  for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++) {
    void *symbol = fc_symbol_ask(RTLD_DEFAULT, wanted[k].name);
    if (!symbol) return ENOSYS;
    __builtin_memcpy(wanted[k].place, &symbol, sizeof symbol);
  }
  pthread_attr_t attributes;
  pthread_t thread;
  int rc = init(&attributes);
  if (rc != 0) return rc;
  (void)set_detached(&attributes, PTHREAD_CREATE_DETACHED);
  (void)set_size(&attributes, STACK_BYTES);
  rc = create(&thread, &attributes, run, (void *)(uintptr_t)i);
  if (rc == EINVAL) { /* a host with much thread-local storage */
    (void)destroy(&attributes);
    (void)init(&attributes);
    (void)set_detached(&attributes, PTHREAD_CREATE_DETACHED);
    rc = create(&thread, &attributes, run, (void *)(uintptr_t)i);
  }
  (void)destroy(&attributes);
  return rc;
}

/* Somebody else does, or this process could not: another user or root directory, or no descriptor to be had. */
static bool somebody_sweeps(const struct fc_session *s) {
  const int fd = fc_session_reopen(s);
  if (fd < 0) return true;
  /* The word may be a dead one's; its lock is not. */
  const bool held = __atomic_load_n(&s->journal.words->sweeper, __ATOMIC_ACQUIRE) != 0 &&
                    fc_session_probe(fd, FC_BYTE_SWEEPER) != F_UNLCK;
  (void)fc_sys_close(fd);
  return held;
}

static bool is_leaving(void) {
  return __atomic_load_n(&fc_member_wiped()->left, __ATOMIC_ACQUIRE) != 0 ||
         __atomic_load_n(&retired, __ATOMIC_ACQUIRE) != 0 ||
         __atomic_load_n(&without_main, __ATOMIC_ACQUIRE) == (uint32_t)fc_sys_getpid();
}

/* By one of the host's threads only, and once until it has ended. */
static bool may_start(unsigned i) {
  if (!fc_member_owns_memory()) return false;
  const uint32_t bit = 1u << i;
  if (!(__atomic_fetch_or(&fc_member_wiped()->sweeps, bit, __ATOMIC_ACQ_REL) & bit)) {
    __atomic_store_n(&sweeps[i].state, RUNNING, __ATOMIC_RELEASE);
    return true;
  }
  uint32_t ended = ENDED;
  return __atomic_compare_exchange_n(&sweeps[i].state, &ended, RUNNING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void start_thread(unsigned i) {
  struct fc_session *s = &fc_member.sessions[i];
  sweeps[i].wanted = false;
  if (__atomic_load_n(&retired, __ATOMIC_ACQUIRE) || somebody_sweeps(s) || !may_start(i)) return;
  sweeps[i].schedule = (struct fc_schedule){-1, -1, s->header, s->journal.words, 0, 0};
  __atomic_store_n(&sweeps[i].tid, 0, __ATOMIC_RELEASE);
  uint64_t before;
  const uint64_t blocked = BLOCKED;
  const int saved = errno;
  const bool masked = fc_sys_sigmask(SIG_BLOCK, &blocked, &before) >= 0;
  /* Whoever stops us looks at the bit that may_start has set only after he has begun to leave. */
  if (!masked || is_leaving() || make_thread(i) != 0) __atomic_store_n(&sweeps[i].state, ENDED, __ATOMIC_RELEASE);
  if (masked) (void)fc_sys_sigmask(SIG_SETMASK, &before, NULL);
  errno = saved;
}

/* A handler runs with its own signal blocked, unless it asked not to; on an alternate stack it says so. */
static bool may_be_handler(void) {
  uint64_t mask = UINT64_MAX;
  stack_t stack = {0};
  if (fc_sys_sigmask(SIG_BLOCK, NULL, &mask) < 0 || mask != 0) return true;
  return FC_SYS2(SYS_sigaltstack, NULL, &stack) < 0 || (stack.ss_flags & SS_ONSTACK);
}

void fc_sweeping_consider(unsigned i, int64_t now_ns) {
  if (now_ns < __atomic_load_n(&check_ns[i], __ATOMIC_RELAXED)) return;
  const int64_t interval = fc_member.sessions[i].header->policy.interval_ns;
  __atomic_store_n(&check_ns[i], now_ns + (interval < NS_PER_S ? NS_PER_S : interval), __ATOMIC_RELAXED);
  if (may_be_handler())
    sweeps[i].wanted = true;
  else
    start_thread(i);
}

void fc_sweeping_hurry(unsigned i) {
  if (check_ns[i] != INT64_MAX) __atomic_store_n(&check_ns[i], 0, __ATOMIC_RELAXED);
}

void fc_sweeping_certain(void) {
  FC_ASKING;
  if (fc_is_filtered()) return;
  for (unsigned i = 0; i < fc_member.count; i++)
    if (sweeps[i].wanted) start_thread(i);
}

/* Cleanup delays an exit by no more than its budget; one that is not out of the way by then has the turn, or waits for
 * it, and the rest is the next start's. */
static int tries_for(unsigned i, bool budgeted) {
  const int64_t budget_ns = fc_member.sessions[i].header->policy.exit_budget_ns;
  const int64_t slice_ns = STOP_SLICE_MS * INT64_C(1000000);
  return budgeted && budget_ns / slice_ns < STOP_TRIES ? (int)(budget_ns / slice_ns) + 1 : STOP_TRIES;
}

static void stop(bool budgeted) {
  const uint32_t mine = __atomic_load_n(&fc_member_wiped()->sweeps, __ATOMIC_ACQUIRE);
  for (unsigned i = 0; i < fc_member.count; i++) {
    if (!(mine & (1u << i))) continue;
    __atomic_store_n(&sweeps[i].schedule.stop, 1, __ATOMIC_RELEASE);
    fc_journal_wake(fc_member.sessions[i].journal.words);
    for (int tries = 0; tries < tries_for(i, budgeted); tries++) {
      if (__atomic_load_n(&sweeps[i].state, __ATOMIC_ACQUIRE) != RUNNING) break;
      (void)fc_sys_futex(&sweeps[i].state, FC_FUTEX_WAIT, RUNNING, STOP_SLICE_MS);
    }
  }
}

void fc_sweeping_stop(void) { stop(true); }

/* Until the kernel knows them no more. */
static void stop_and_wait(int pid) {
  stop(false);
  for (unsigned i = 0; i < fc_member.count; i++) {
    const int tid = __atomic_load_n(&sweeps[i].tid, __ATOMIC_ACQUIRE);
    if (!(fc_member_wiped()->sweeps & (1u << i)) || tid == 0) continue;
    for (int tries = 0; tries < STOP_TRIES && FC_SYS3(SYS_tgkill, pid, tid, 0) == 0; tries++) {
      fc_sys_pause(1);
    }
  }
}

void fc_sweeping_thread_ends(void) {
  FC_ASKING;
  if (fc_member.count == 0 || !fc_member_owns_memory()) return;
  const int pid = (int)fc_sys_getpid();
  if ((int)FC_SYS0(SYS_gettid) != pid) return;
  __atomic_store_n(&without_main, (uint32_t)pid, __ATOMIC_RELEASE);
  stop_and_wait(pid); /* else one may still become the last, and libc would call exit() in it */
}

void fc_sweeping_retire(void) {
  __atomic_store_n(&retired, 1, __ATOMIC_SEQ_CST);
  stop_and_wait((int)fc_sys_getpid());
}

void fc_sweeping_return(void) { __atomic_store_n(&retired, 0, __ATOMIC_RELEASE); }
