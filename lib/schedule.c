#include "schedule.h"

#include "checkpoint.h"

#define NS_PER_MS 1000000
#define RETRY_NS 500000000                /* something was under way that a checkpoint could not pass */
#define RETRY_MAX_NS INT64_C(16000000000) /* or none can be made, and looking costs */
#define LONGEST_WAIT_MS (60 * 60 * 1000)

bool fc_schedule_claim(int fd) { return fc_sys_lock(fd, FC_F_OFD_SETLK, F_WRLCK, FC_BYTE_SWEEPER, NULL) >= 0; }

void fc_schedule_stop(struct fc_schedule *s) {
  __atomic_store_n(&s->stop, 1, __ATOMIC_RELEASE);
  fc_journal_wake(s->words);
}

/* When the pass after one that ended now is due. What is made from now on expires a TTL from now at the earliest. */
static int64_t next_pass(const struct fc_policy *p, int64_t now_ns, int64_t due_ns) {
  const int64_t soonest = p->interval_ns == FC_INFINITY_NS ? FC_INFINITY_NS : now_ns + p->interval_ns;
  const bool each_time =
      p->max_bytes != FC_INFINITY_COUNT || p->max_files != FC_INFINITY_COUNT || p->age_by == FC_AGE_BY_MTIME;
  if (each_time || soonest == FC_INFINITY_NS || p->ttl_ns == FC_INFINITY_NS) return soonest;
  if (due_ns > now_ns + p->ttl_ns) due_ns = now_ns + p->ttl_ns;
  return due_ns > soonest ? due_ns : soonest;
}

static void wait_until(const struct fc_schedule *s, uint32_t seen, int64_t then_ns) {
  int64_t ms = LONGEST_WAIT_MS;
  if (then_ns != FC_INFINITY_NS) {
    const int64_t left_ns = then_ns - fc_sys_boottime();
    if (left_ns <= 0) return;
    if (left_ns / NS_PER_MS < ms) ms = left_ns / NS_PER_MS + 1;
  }
  (void)fc_sys_futex(&s->words->wake, FC_FUTEX_WAIT, seen, (int)ms);
}

/* A pass gives back first what one that was killed has left in the quarantine. */
static void recover(const struct fc_schedule *s) {
  const struct fc_sweep sweep = {.what = FC_SWEEP_EXPIRED};
  struct fc_sweep_result result;
  (void)fc_sweeper_pass(s->dirfd, s->fd, s->header, &sweep, &s->stop, FC_INFINITY_NS, &result);
}

void fc_schedule_run(struct fc_schedule *s) {
  const struct fc_policy *p = &s->header->policy;
  const bool expires = fc_sweeper_is_wanted(p);
  int64_t next = expires ? next_pass(p, fc_sys_boottime(), fc_sys_boottime()) : FC_INFINITY_NS;
  bool leader_done = false;
  struct fc_checkpoint_memory checkpoint = {0};
  int64_t not_before = 0; /* the next try of a checkpoint */
  int64_t pause = RETRY_NS;
  for (;;) {
    const uint32_t seen = __atomic_load_n(&s->words->wake, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) return;
    const bool leader = !leader_done && __atomic_load_n(&s->leader_ended, __ATOMIC_ACQUIRE) != 0;
    const int64_t now = fc_sys_boottime();
    if (fc_checkpoint_is_due(s->header->capacity, s->words, &checkpoint) && now >= not_before) {
      const int rc = fc_checkpoint_make(s->fd, s->header, &checkpoint, FC_INFINITY_NS);
      if (rc == -ESTALE || rc == -EBADMSG) return;
      if (rc == -EBUSY) recover(s);
      pause = rc == 0 || rc == -EAGAIN || rc == -EBUSY ? RETRY_NS : pause < RETRY_MAX_NS ? 2 * pause : pause;
      if (rc < 0) not_before = fc_sys_boottime() + pause;
      continue;
    }
    if (!leader && now < next) {
      wait_until(s, seen, now < not_before && not_before < next ? not_before : next);
      continue;
    }
    const struct fc_sweep sweep = {.what = leader ? FC_SWEEP_LEADER : FC_SWEEP_EXPIRED};
    struct fc_sweep_result result;
    const int rc = fc_sweeper_pass(s->dirfd, s->fd, s->header, &sweep, &s->stop, FC_INFINITY_NS, &result);
    if (rc == -ESTALE || rc == -EBADMSG) return; /* it has ended, or proves nothing any more */
    if (leader)
      leader_done = true;
    else
      next = next_pass(p, fc_sys_boottime(), rc < 0 ? fc_sys_boottime() : result.next_due_ns);
  }
}
