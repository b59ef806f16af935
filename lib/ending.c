#include "ending.h"

#include <string.h>

#include "named.h"
#include "ownership.h"
#include "report.h"
#include "turn.h"
#include "unseen.h"

#define UNSEEN_LISTED 100 /* so many names are logged one by one */
#define UNSEEN_BUDGET_NS 1000000000
#define UNSEEN_BUDGET_HOST_NS 100000000

/* The policy's answer: is anything to be deleted at all? */
static bool policy_deletes(const struct fc_reaper *r) {
  if (r->journal.words->ended == FC_ENDED_KEPT) return true;
  switch (r->header->policy.on_exit) {
  case FC_ON_EXIT_DELETE:
    return true;
  case FC_ON_EXIT_KEEP_ON_FAILURE:
    return !r->header->name[0] && r->registry.leader_status == 0; /* many commands have no one status */
  default:
    return false;
  }
}

static void set_state(struct fc_reaper *r, uint32_t state) {
  __atomic_store_n(&r->journal.words->state, state, __ATOMIC_RELEASE);
}

static void report(struct fc_reaper *r) {
  for (struct fc_node *n = fc_registry_postorder(&r->registry.root, NULL); n;
       n = fc_registry_postorder(&r->registry.root, n))
    if (fc_ownership_tracked(&r->registry, n) && fc_registry_path(n, r->path, FC_REAPER_PATH_BYTES))
      fc_log_write(&r->log, FC_LOG_WARN, "would delete %s/%s", r->header->base, r->path);
}

struct tally {
  struct fc_reaper *reaper;
  unsigned long long names;
};

static void count_unseen(void *context, int dirfd, const char *path, const char *leaf) {
  struct tally *tally = context;
  (void)dirfd;
  (void)leaf;
  if (++tally->names <= UNSEEN_LISTED)
    fc_log_write(&tally->reaper->log, FC_LOG_INFO, "seen by no hook: %s/%s", tally->reaper->header->base, path);
}

/* What no hook has seen beneath the base: it stays, and is told. When every process had the shim there is none but by
 * io_uring, system calls without libc, and kills: then the base is walked through only for who has asked for
 * statistics. A host that ends does not wait long for a number. */
static void tell_unseen(struct fc_reaper *r, unsigned members) {
  struct tally tally = {r, 0};
  const int64_t budget_ns = r->deadline_ns == FC_INFINITY_NS ? UNSEEN_BUDGET_NS : UNSEEN_BUDGET_HOST_NS;
  const int64_t deadline_ns = fc_journal_deadline(budget_ns);
  fc_unseen_in_base(&r->registry, r->base_fd, r->header, deadline_ns, count_unseen, &tally);
  const bool cut = fc_sys_boottime() >= deadline_ns;
  __atomic_store_n(&r->journal.words->unseen_names, (uint32_t)tally.names, __ATOMIC_RELAXED);
  if (members == 0) {
    if (tally.names)
      fc_log_write(&r->log, FC_LOG_WARN,
                   "%s: %s%llu names were seen by no hook (made by io_uring, by system calls without libc, in the "
                   "instant of a kill, or by others) and stay",
                   r->header->base, cut ? "at least " : "", tally.names);
    return;
  }
  fc_log_write(&r->log, tally.names ? FC_LOG_WARN : FC_LOG_INFO,
               "%s: %u processes ran without the shim (static, set-user-ID or of another libc); %s%llu names that were "
               "made meanwhile were seen by no hook and stay",
               r->header->base, members, cut ? "at least " : "", tally.names);
}

static enum fc_end_outcome finish(struct fc_reaper *r, const char *name) {
  if (fc_quarantine_end(&r->quarantine) < 0) r->result->failed++;
  __atomic_fetch_add(&r->journal.words->leaked, (uint32_t)r->result->leaked, __ATOMIC_RELAXED);
  const struct fc_reap_result *done = r->result;
  fc_log_write(&r->log, FC_LOG_INFO,
               "%s: removed %llu files, %llu directories, %llu unseen; kept %llu, replaced %llu, restored %llu, handed "
               "over %llu, in use %llu, failed %llu",
               r->header->base, done->files, done->dirs, done->unseen, done->kept, done->replaced, done->restored,
               done->adopted, done->in_use, done->failed);
  if (r->late || r->blind || done->in_use || done->failed) return FC_END_DEFERRED;
  const uint32_t levels = r->journal.words->owns_base;
  if (levels > 0) {
    /* Once more: one that begins now opens the base again after it has been published. */
    if (!fc_reaper_look_around(r)) return FC_END_DEFERRED;
    if (r->neighbours.first)
      __atomic_store_n(&r->neighbours.first->journal.words->owns_base, levels, __ATOMIC_RELEASE);
    else
      fc_base_remove(r->header->base, levels, r->header->created_s);
  }
  (void)fc_sys_unlinkat(r->dirfd, name, 0);
  return FC_END_DONE;
}

static enum fc_end_outcome delete_tracked(struct fc_reaper *r, const char *name, unsigned unseen, bool across_boot) {
  const struct fc_session_header *h = r->header;
  const int rc = fc_reaper_open_base(r, across_boot);
  if (rc == -ENOENT || rc == -ESTALE || rc == -ENOTDIR) {
    /* Gone with all that was in it, or another directory by now: there is nothing that we could prove. */
    fc_log_write(&r->log, FC_LOG_INFO, "%s: the base is gone or is another directory", h->base);
    (void)fc_sys_unlinkat(r->dirfd, name, 0);
    return FC_END_DONE;
  }
  if (rc < 0) {
    fc_log_write(&r->log, FC_LOG_WARN, "%s: nothing can be removed now: error %d", h->base, -rc);
    return FC_END_FAILED;
  }
  r->unseen = unseen > 0;
  set_state(r, FC_STATE_REAPING);
  if (fc_reaper_ready(r)) {
    fc_reaper_recover(r);
    fc_reaper_everything(r);
    if (unseen > 0 || h->policy.stats_file[0]) tell_unseen(r, unseen);
  }
  return finish(r, name);
}

/* What the policy keeps, for the report. */
static void tell_kept(struct fc_reaper *r, struct fc_report *told) {
  for (struct fc_node *n = fc_registry_postorder(&r->registry.root, NULL); n;
       n = fc_registry_postorder(&r->registry.root, n)) {
    if (!fc_ownership_tracked(&r->registry, n) || !fc_registry_path(n, r->path, FC_REAPER_PATH_BYTES)) continue;
    r->result->kept++;
    fc_report_stays(told, r, r->path, "kept");
  }
}

static enum fc_end_outcome end(struct fc_reaper *r, int opened, const char *name, struct fc_report *told) {
  const struct fc_session_header *h = r->header;
  if (!r->journal.first) return FC_END_FAILED;
  const uint32_t state = __atomic_load_n(&r->journal.words->state, __ATOMIC_ACQUIRE);
  const bool asked_for = state == FC_STATE_CLOSED && r->journal.words->ended == FC_ENDED_KEPT;
  if (state != FC_STATE_LIVE && state != FC_STATE_REAPING && !asked_for) return FC_END_CLOSED;
  if (fc_named_is_dormant(h, r->journal.words)) return FC_END_DORMANT;
  uint8_t boot_id[16];
  const bool across_boot = fc_session_boot_id(boot_id) && memcmp(boot_id, h->boot_id, sizeof boot_id) != 0;
  /* Without a power failure a hole among the records is what a killed writer leaves. With one it may be a page that
   * never reached the disk, with the removal of a user's file on it, while the page behind it, with what took its
   * place, did. */
  if (opened == 0 && across_boot && r->replay.torn > 0) opened = -EBADMSG;
  if (opened == -EBADMSG) {
    r->result->damaged = true;
    const bool lost = __atomic_load_n(&r->journal.words->lost_destructive, __ATOMIC_ACQUIRE) != 0;
    told->outcome = "damaged";
    set_state(r, FC_STATE_CLOSED);
    fc_log_write(&r->log, FC_LOG_WARN, "%s: session %s is %s; nothing of it is deleted", h->base, h->id,
                 lost ? "incomplete (a record could not be written)" : "damaged");
    return FC_END_CLOSED;
  }
  if (opened < 0) return FC_END_FAILED;

  unsigned alive = 0;
  unsigned arriving = 0;
  const unsigned unseen = across_boot ? 0 : fc_ownership_unseen(&r->registry, &alive, &arriving);
  if (alive > 0) return FC_END_WAIT;
  if (arriving > 0) return FC_END_SOON;
  told->unseen_members = unseen;
  if (!policy_deletes(r)) {
    told->outcome = "kept";
    tell_kept(r, told);
    if (h->policy.on_exit == FC_ON_EXIT_REPORT) report(r);
    set_state(r, FC_STATE_CLOSED);
    return FC_END_CLOSED;
  }
  const enum fc_end_outcome outcome = delete_tracked(r, name, unseen, across_boot);
  if (outcome == FC_END_DONE) told->outcome = "removed";
  if (outcome == FC_END_DEFERRED) told->outcome = "deferred";
  return outcome;
}

/* Listens to the reaper for the report, and passes on what it hears. */
struct listener {
  struct fc_reaper *reaper;
  struct fc_report report;
  const struct fc_reap_watch *other;
};

static void hear(void *context, const char *path, const char *why) {
  struct listener *l = context;
  if (why && why[0]) fc_report_stays(&l->report, l->reaper, path, why);
  if (l->other) l->other->each(l->other->context, path, why);
}

enum fc_end_outcome fc_ending_run(int dirfd, const char *name, int fd, const struct fc_session_header *header,
                                  int64_t deadline_ns, const struct fc_end_options *options,
                                  struct fc_reap_result *result) {
  memset(result, 0, sizeof *result);
  struct fc_arena self = {0};
  struct fc_reaper *r = fc_arena_alloc(&self, sizeof *r); /* too large for the 64 KiB stack that a host gives us */
  if (!r) return FC_END_FAILED;
  struct listener listener = {
      .reaper = r, .report.footprint = options ? options->footprint : NULL, .other = options ? options->watch : NULL};
  const struct fc_reap_watch watch = {hear, &listener};
  const bool reports = header->policy.stats_file[0] != '\0';
  const int opened = fc_reaper_open(r, dirfd, fd, header, false, deadline_ns, result);
  r->watch = reports ? &watch : listener.other;
  const enum fc_end_outcome outcome = end(r, opened, name, &listener.report);
  if (reports && listener.report.outcome) (void)fc_report_write(&listener.report, r);
  /* Whoever leaves waits for this word, within its budget. While a process without a lock lives nothing is done. */
  const bool untouched = outcome == FC_END_WAIT || outcome == FC_END_SOON || outcome == FC_END_DORMANT;
  if (r->journal.first && !untouched) {
    const uint32_t done = outcome == FC_END_DONE || outcome == FC_END_CLOSED ? FC_DONE_REAPED : FC_DONE_DEFERRED;
    __atomic_store_n(&r->journal.words->done, done, __ATOMIC_RELEASE);
    (void)fc_sys_futex(&r->journal.words->done, FC_FUTEX_WAKE, INT32_MAX, -1);
  }
  fc_turn_give(fd);
  fc_reaper_close(r);
  fc_arena_free(&self);
  return outcome;
}
