#include "departure.h"

#include <string.h>

#include "ending.h"
#include "named.h"
#include "sweeper.h"

#define SLICE_MS 20 /* between two looks at whether the one we wait for still lives */
#define MS 1000000

static bool still_named(int dirfd, const char *name, int fd) {
  struct statx there;
  struct statx here;
  return fc_sys_statx(dirfd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &there) == 0 &&
         fc_sys_statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &here) == 0 && there.stx_ino == here.stx_ino &&
         there.stx_dev_major == here.stx_dev_major && there.stx_dev_minor == here.stx_dev_minor;
}

enum fc_departure_answer fc_departure_try(int dirfd, const char *name, int fd, const struct fc_session_header *header,
                                          int64_t deadline_ns) {
  if (fc_sys_lock(fd, FC_F_OFD_SETLK, F_WRLCK, FC_BYTE_MEMBERS, NULL) < 0) return FC_DEPARTURE_HELD;
  struct fc_reap_result result;
  /* What is left is the next start's. */
  const bool soon =
      still_named(dirfd, name, fd) && fc_ending_run(dirfd, name, fd, header, deadline_ns, NULL, &result) == FC_END_SOON;
  (void)fc_sys_lock(fd, FC_F_OFD_SETLK, F_UNLCK, FC_BYTE_MEMBERS, NULL);
  return soon ? FC_DEPARTURE_SOON : FC_DEPARTURE_TRIED;
}

/* Somebody else reaps: wait a moment for the word that it is done. Returns true when it is. */
static bool wait_for_done(const struct fc_session *s) {
  struct fc_head_words *words = s->journal.words;
  if (__atomic_load_n(&words->done, __ATOMIC_ACQUIRE) != 0) return true;
  (void)fc_sys_futex(&words->done, FC_FUTEX_WAIT, 0, SLICE_MS);
  return __atomic_load_n(&words->done, __ATOMIC_ACQUIRE) != 0;
}

/* In another namespace a number is another process's, which may live. */
static bool counts_as_the_leader_does(const struct fc_session *s) {
  return s->header->pid_space != 0 && s->header->pid_space == fc_session_pid_space();
}

bool fc_departure_is_leader(const struct fc_session *s, uint32_t pid) {
  return s->leader_pid == pid && counts_as_the_leader_does(s);
}

FC_EVERY_PROCESS bool fc_departure_has_scope(const struct fc_session *s, uint32_t pid) {
  if (!s->header || !s->lock_page) return false;
  switch (s->header->policy.scope) {
  case FC_SCOPE_PROCESS:
    return counts_as_the_leader_does(s);
  case FC_SCOPE_LEADER:
    return fc_departure_is_leader(s, pid);
  default:
    return false;
  }
}

void fc_departure_scope(const struct fc_session *s, uint32_t pid) {
  const int64_t deadline = fc_journal_deadline(s->header->policy.exit_budget_ns);
  char dir[PATH_MAX];
  if (!fc_session_split(fc_session_path(s), dir, sizeof dir)) return;
  const int dirfd = fc_sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
  const int fd = dirfd < 0 ? -1 : fc_session_reopen(s);
  if (fd >= 0) {
    const struct fc_sweep sweep = {
        .what = s->header->policy.scope == FC_SCOPE_LEADER ? FC_SWEEP_LEADER : FC_SWEEP_PROCESS, .creator = pid};
    struct fc_sweep_result result;
    /* What is left is the end's, or, when it could not be done, the guardian's. */
    const int rc = fc_sweeper_pass(dirfd, fd, s->header, &sweep, NULL, deadline, &result);
    if (rc == 0 && sweep.what == FC_SWEEP_LEADER)
      __atomic_store_n(&s->journal.words->leader_swept, 1, __ATOMIC_RELEASE);
  }
  if (fd >= 0) (void)fc_sys_close(fd);
  if (dirfd >= 0) (void)fc_sys_close(dirfd);
}

FC_EVERY_PROCESS int fc_departure_begin(struct fc_session *s) {
  if (!s->header || !s->lock_page) return -1;
  if (s->header->name[0]) fc_session_touch(s->journal.words);
  const int fd = fc_session_leave(s);
  if (fd < 0) return -1; /* reaped already, another user or root directory, no fd: the guardian's or the next start's */
  /* Asked after the lock has gone: whoever ends it now either gets the lock or is seen here. */
  if (fc_named_goes_on(s->header)) {
    (void)fc_sys_close(fd);
    return -1;
  }
  if (fc_session_probe(fd, FC_BYTE_MEMBERS) != F_RDLCK) return fd;
  (void)fc_sys_close(fd);
  return -1; /* others live */
}

void fc_departure_finish(struct fc_session *s, int fd) {
  const int64_t deadline = fc_journal_deadline(s->header->policy.exit_budget_ns);
  char dir[PATH_MAX];
  const char *name = fc_session_split(fc_session_path(s), dir, sizeof dir);
  if (!name) {
    (void)fc_sys_close(fd);
    return;
  }
  int dirfd = -1;
  for (;;) {
    const int held = fc_session_probe(fd, FC_BYTE_MEMBERS);
    if (held == F_RDLCK) break; /* others live */
    const bool somebody_reaps = held == F_WRLCK || fc_session_probe(fd, FC_BYTE_GUARDIAN) != F_UNLCK;
    if (somebody_reaps) {
      if (wait_for_done(s)) break;
    } else {
      if (dirfd < 0) dirfd = fc_sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
      if (dirfd < 0) break;
      const enum fc_departure_answer answer = fc_departure_try(dirfd, name, fd, s->header, deadline);
      if (answer == FC_DEPARTURE_TRIED) break;
      if (answer == FC_DEPARTURE_SOON) fc_sys_pause(SLICE_MS);
    }
    if (deadline != FC_INFINITY_NS && fc_sys_boottime() >= deadline) break;
  }
  if (dirfd >= 0) {
    (void)fc_sys_close(dirfd);
    (void)fc_sys_unlinkat(AT_FDCWD, dir, AT_REMOVEDIR); /* only when no session of this base is left */
  }
  (void)fc_sys_close(fd);
}

void fc_departure(struct fc_session *s) {
  const int fd = fc_departure_begin(s);
  if (fd >= 0) fc_departure_finish(s, fd);
}
