#include "sweeper.h"

#include <string.h>

#include "beneath.h"
#include "keep.h"
#include "ownership.h"
#include "standing.h"
#include "turn.h"

#define NS_PER_S INT64_C(1000000000)
#define TURN_SLICE_NS 20000000

struct sweeper {
  struct fc_reaper reaper;
  const struct fc_sweep *sweep;
  struct fc_sweep_result *result;
  struct fc_arena arena;
  struct fc_standing standing;
  int64_t now_boot_ns;
  int64_t now_real_ns;
};

/* What may be removed, in the order of removal. */
struct candidates {
  struct fc_node **nodes;
  size_t count;
  size_t room;
};

FC_EVERY_PROCESS bool fc_sweeper_is_wanted(const struct fc_policy *p) {
  if (!p->periodic || p->interval_ns == FC_INFINITY_NS || p->on_exit == FC_ON_EXIT_REPORT) return false;
  return p->ttl_ns != FC_INFINITY_NS || p->max_bytes != FC_INFINITY_COUNT || p->max_files != FC_INFINITY_COUNT;
}

static int64_t in_ns(const struct statx_timestamp *t) { return fc_sys_in_ns(t->tv_sec, t->tv_nsec); }

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t age_of(const struct sweeper *s, const struct fc_node *node, const struct statx *st) {
  const int64_t since_record = s->now_boot_ns - node->born_ns;
  const bool has_birth = (st->stx_mask & STATX_BTIME) != 0;
  const int64_t mtime = in_ns(&st->stx_mtime);
  if (s->reaper.header->policy.age_by == FC_AGE_BY_MTIME) {
    /* A write sets both times by one clock, whatever that says; touch -d sets the one behind the other. */
    int64_t set = in_ns(&st->stx_ctime);
    if (has_birth) set = smaller(set, in_ns(&st->stx_btime));
    return smaller(s->now_real_ns, since_record + set) - mtime;
  }
  int64_t newest = larger(larger(mtime, in_ns(&st->stx_ctime)), in_ns(&st->stx_atime));
  if (has_birth) newest = larger(newest, in_ns(&st->stx_btime));
  return smaller(s->now_real_ns - newest, since_record);
}

/* Too young: then it is due when it has come of age, unless it is written or read again. */
static bool is_old(struct sweeper *s, const struct fc_node *node, const struct statx *st) {
  const int64_t ttl = s->reaper.header->policy.ttl_ns;
  if (ttl == FC_INFINITY_NS) return false;
  const int64_t age = age_of(s, node, st);
  if (age >= ttl) return true;
  const int64_t left = age < 0 ? ttl : ttl - age; /* a time in the future says nothing */
  if (left < FC_INFINITY_NS - s->now_boot_ns)
    s->result->next_due_ns = smaller(s->result->next_due_ns, s->now_boot_ns + left);
  return false;
}

/* Asked by the reaper right before a removal: a file may have been written since it was chosen. Of directories, whose
 * times our own removals change, the times were looked at before. */
static bool wants_expired(void *context, const struct fc_node *node, const struct statx *st) {
  struct sweeper *s = context;
  if (node->is_dir) return !fc_standing_in(&s->standing, &s->arena, st);
  return ((st->stx_mode & S_IFMT) == S_IFREG && is_old(s, node, st));
}

/* Of what an ended process leaves, the directories in which others stand. */
static bool wants_unless_stood_in(void *context, const struct fc_node *node, const struct statx *st) {
  struct sweeper *s = context;
  return !node->is_dir || !fc_standing_in(&s->standing, &s->arena, st);
}

static bool wants_regular(void *context, const struct fc_node *node, const struct statx *st) {
  (void)context;
  (void)node;
  return (st->stx_mode & S_IFMT) == S_IFREG;
}

static bool add(struct sweeper *s, struct candidates *c, struct fc_node *node) {
  if (c->count == c->room) {
    const size_t room = c->room ? 2 * c->room : 1024;
    struct fc_node **more = fc_arena_alloc(&s->arena, room * sizeof *more);
    if (!more) return false;
    if (c->count) memcpy(more, c->nodes, c->count * sizeof *more);
    c->nodes = more;
    c->room = room;
  }
  c->nodes[c->count++] = node;
  return true;
}

/* What stands at node now, when it is a tracked object's very own. */
static bool look(struct sweeper *s, const struct fc_node *node, struct statx *st) {
  struct fc_reaper *r = &s->reaper;
  struct fc_identity now;
  if (fc_registry_path(node, r->path, FC_REAPER_PATH_BYTES) == 0) return false;
  char *slash = strrchr(r->path, '/');
  const char *leaf = slash ? slash + 1 : r->path;
  int fd = r->base_fd;
  if (slash) {
    *slash = '\0';
    fd = fc_beneath_open(r->base_fd, r->path);
  }
  const bool found = fd >= 0 && fc_ground_look(&r->ground, fd, leaf, &now, st) == 0 &&
                     fc_ground_same(&r->ground, &node->identity, &now);
  if (fd >= 0 && fd != r->base_fd) (void)fc_sys_close(fd);
  return found;
}

/* By the registry alone, with no system call for a file that is too young: children first. */
static bool choose(struct sweeper *s, struct candidates *c) {
  const struct fc_policy *p = &s->reaper.header->policy;
  const bool scope = s->sweep->what != FC_SWEEP_EXPIRED;
  struct fc_node *const root = &s->reaper.registry.root;
  for (struct fc_node *n = fc_registry_postorder(root, NULL); n; n = fc_registry_postorder(root, n)) {
    if (!fc_ownership_tracked(&s->reaper.registry, n)) continue;
    *(n->is_dir ? &s->result->tracked_dirs : &s->result->tracked_files) += 1;
    if (scope) {
      if (s->sweep->what == FC_SWEEP_PROCESS && (n->pid != s->sweep->creator || n->adopted)) continue;
    } else {
      if (p->ttl_ns == FC_INFINITY_NS) continue;
      /* By mtime a file may be old when it is made. */
      const bool may_be_old = p->age_by == FC_AGE_BY_MTIME || s->now_boot_ns - n->born_ns >= p->ttl_ns;
      if (!may_be_old) {
        s->result->next_due_ns = smaller(s->result->next_due_ns, n->born_ns + p->ttl_ns);
        continue;
      }
      struct statx st;
      if (n->is_dir && (!look(s, n, &st) || !is_old(s, n, &st))) continue;
    }
    if (!add(s, c, n)) return false;
  }
  return true;
}

/* A dry run: it would go, unless somebody uses it or another rule spares it. */
static void foretell(struct sweeper *s, const struct fc_node *node) {
  struct fc_reaper *r = &s->reaper;
  struct statx st;
  if (!look(s, node, &st) || !r->wants(r->wants_context, node, &st)) return;
  if (fc_registry_path(node, r->path, FC_REAPER_PATH_BYTES) == 0 || fc_keep_names(r->header, r->path)) return;
  *(node->is_dir ? &s->result->reaped.dirs : &s->result->reaped.files) += 1;
  if (!node->is_dir) s->result->reaped.bytes += st.stx_size;
  const struct fc_reap_watch *watch = s->sweep->watch;
  if (watch) watch->each(watch->context, r->path, NULL);
}

/* ---- caps ---- */

struct weighed {
  struct fc_node *node;
  int64_t age_ns;
  uint64_t bytes;
};

/* Heap sort, oldest first: in place, without recursion, and qsort may allocate. */
static void sift(struct weighed *w, size_t at, size_t count) {
  for (;;) {
    size_t youngest = at;
    for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
      if (w[child].age_ns < w[youngest].age_ns) youngest = child;
    if (youngest == at) return;
    const struct weighed held = w[at];
    w[at] = w[youngest];
    w[youngest] = held;
    at = youngest;
  }
}

static void sort_oldest_first(struct weighed *w, size_t count) {
  for (size_t i = count / 2; i-- > 0;) sift(w, i, count);
  for (size_t end = count; end > 1;) {
    end--;
    const struct weighed held = w[0];
    w[0] = w[end];
    w[end] = held;
    sift(w, 0, end);
  }
}

/* What KEEP protects would, once it exceeds a cap, let everything else go each time. */
static bool counts(struct sweeper *s, const struct fc_node *node, struct statx *st) {
  struct fc_reaper *r = &s->reaper;
  return !node->is_dir && fc_ownership_tracked(&r->registry, node) &&
         fc_registry_path(node, r->path, FC_REAPER_PATH_BYTES) > 0 && !fc_keep_names(r->header, r->path) &&
         look(s, node, st) && (st->stx_mode & S_IFMT) == S_IFREG;
}

static bool enforce_caps(struct sweeper *s, const uint32_t *stop) {
  struct fc_reaper *r = &s->reaper;
  const struct fc_policy *p = &r->header->policy;
  if (p->max_bytes == FC_INFINITY_COUNT && p->max_files == FC_INFINITY_COUNT) return true;
  struct weighed *w = fc_arena_alloc(&s->arena, (size_t)(s->result->tracked_files + 1) * sizeof *w);
  if (!w) return false;
  size_t count = 0;
  uint64_t bytes = 0;
  struct fc_node *const root = &r->registry.root;
  for (struct fc_node *n = fc_registry_postorder(root, NULL); n && count < s->result->tracked_files;
       n = fc_registry_postorder(root, n)) {
    struct statx st;
    if (!counts(s, n, &st) || (s->sweep->dry && is_old(s, n, &st))) continue; /* foretold already */
    w[count++] = (struct weighed){n, age_of(s, n, &st), st.stx_size};
    bytes += st.stx_size;
  }
  uint64_t files = count;
  if (bytes > p->max_bytes || files > p->max_files) sort_oldest_first(w, count);
  r->wants = wants_regular;
  for (size_t i = 0; i < count && (bytes > p->max_bytes || files > p->max_files); i++) {
    if (stop && __atomic_load_n(stop, __ATOMIC_ACQUIRE)) return false;
    const unsigned long long before = s->result->reaped.files;
    if (s->sweep->dry)
      foretell(s, w[i].node);
    else
      fc_reaper_pick(r, &w[i].node, 1);
    if (s->result->reaped.files == before) continue; /* spared; the next one then */
    bytes -= w[i].bytes;
    files--;
  }
  s->result->bytes = bytes;
  return true;
}

/* ---- one pass ---- */

static int sweep(struct sweeper *s, const uint32_t *stop) {
  struct fc_reaper *r = &s->reaper;
  int rc = fc_reaper_open_base(r, false);
  if (rc < 0) return rc;
  fc_reaper_recover(r);
  if (!fc_reaper_ready(r)) return -EINTR;
  /* The policy's word about ends counts for scopes, which are ends. */
  if (s->sweep->what != FC_SWEEP_EXPIRED) {
    const uint32_t on_exit = r->header->policy.on_exit;
    const bool deletes =
        on_exit == FC_ON_EXIT_DELETE ||
        (on_exit == FC_ON_EXIT_KEEP_ON_FAILURE && s->sweep->what == FC_SWEEP_LEADER && r->registry.leader_status == 0);
    if (!deletes) return 0;
  }
  struct candidates c = {0};
  if (!choose(s, &c)) return -ENOMEM;
  r->stop = stop;
  r->wants_context = s;
  r->wants = s->sweep->what == FC_SWEEP_EXPIRED ? wants_expired : wants_unless_stood_in;
  if (s->sweep->dry)
    for (size_t i = 0; i < c.count; i++) foretell(s, c.nodes[i]);
  else
    fc_reaper_pick(r, c.nodes, c.count);
  if (s->sweep->what == FC_SWEEP_EXPIRED && !r->late && !r->blind && !enforce_caps(s, stop)) return -ENOMEM;
  if (!s->sweep->dry) { /* under the turn: nobody else counts now; each was counted before it was removed */
    r->journal.words->swept_files += (uint32_t)(s->result->reaped.files + s->result->reaped.dirs);
    r->journal.words->swept_bytes += s->result->reaped.bytes;
    s->result->tracked_files -= s->result->reaped.files;
    s->result->tracked_dirs -= s->result->reaped.dirs;
  }
  if (s->result->reaped.in_use || s->result->reaped.failed) s->result->next_due_ns = s->now_boot_ns;
  return r->blind ? -EBUSY : r->late ? -EINTR : 0;
}

/* Whoever has it may be stopped for long; a host that ends meanwhile does not wait for him. */
static bool take_turn(int fd, const uint32_t *stop, int64_t deadline_ns) {
  for (;;) {
    if (stop && __atomic_load_n(stop, __ATOMIC_ACQUIRE)) return false;
    const int64_t soon_ns = fc_journal_deadline(TURN_SLICE_NS);
    const int64_t until_ns = stop && soon_ns < deadline_ns ? soon_ns : deadline_ns;
    if (fc_turn_take(fd, until_ns)) return true;
    if (until_ns == deadline_ns) return false;
  }
}

int fc_sweeper_pass(int dirfd, int fd, const struct fc_session_header *h, const struct fc_sweep *what,
                    const uint32_t *stop, int64_t deadline_ns, struct fc_sweep_result *result) {
  memset(result, 0, sizeof *result);
  result->next_due_ns = FC_INFINITY_NS;
  struct fc_arena self = {0};
  struct sweeper *s = fc_arena_alloc(&self, sizeof *s); /* too large for a small stack */
  if (!s) return -ENOMEM;
  s->sweep = what;
  s->result = result;
  s->standing.but = what->what == FC_SWEEP_EXPIRED ? 0 : (uint32_t)fc_sys_getpid();
  s->now_boot_ns = fc_sys_boottime();
  struct timespec now = {0, 0};
  (void)clock_gettime(CLOCK_REALTIME, &now); /* right or wrong, it makes nothing older than the other clock says */
  s->now_real_ns = (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
  if (fc_session_is_managed(h)) { /* its owner sweeps, and only he knows what he has taken back */
    fc_arena_free(&self);
    return 0;
  }
  int rc = take_turn(fd, stop, deadline_ns) ? 0 : -EINTR;
  if (rc == 0) rc = fc_reaper_open(&s->reaper, dirfd, fd, h, true, deadline_ns, &result->reaped);
  s->reaper.watch = what->watch;
  if (rc == 0 && __atomic_load_n(&s->reaper.journal.words->state, __ATOMIC_ACQUIRE) != FC_STATE_LIVE) rc = -ESTALE;
  if (rc == 0) rc = sweep(s, stop);
  fc_reaper_close(&s->reaper);
  fc_turn_give(fd);
  fc_arena_free(&s->arena);
  fc_arena_free(&self);
  return rc;
}
