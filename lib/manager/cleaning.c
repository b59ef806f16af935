#include "cleaning.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "beneath.h"
#include "outside.h"
#include "tracking.h"
#include "walk.h"

#define NS_PER_MS INT64_C(1000000)
#define BYTES_PER_MB (1024.0 * 1024.0)
#define BATCH 64u   /* names in one turn: half a millisecond */
#define LOOKS 1024u /* in one turn, when nothing is removed */

/* ---- turns ---- */

static void turn_take(fcm_manager *m) {
  (void)pthread_mutex_lock(&m->lock);
  const uint64_t mine = m->turn_next++;
  while (m->turn_serving != mine) (void)pthread_cond_wait(&m->turned, &m->lock);
  (void)pthread_mutex_unlock(&m->lock);
}

static void turn_give(fcm_manager *m) {
  fc_reaper_rest(&m->reaper);
  (void)pthread_mutex_lock(&m->lock);
  m->turn_serving++;
  (void)pthread_cond_broadcast(&m->turned);
  (void)pthread_mutex_unlock(&m->lock);
}

/* Begins what abandoning waits for. False: it came first. */
static bool begin(fcm_manager *m) {
  (void)pthread_rwlock_rdlock(&m->passes);
  if (fc_manager_owns(m)) return true;
  (void)pthread_rwlock_unlock(&m->passes);
  return false;
}

int fc_cleaning_begin(fcm_manager *m) {
  if (!begin(m)) return -EPERM;
  turn_take(m);
  return 0;
}

void fc_cleaning_end(fcm_manager *m) {
  turn_give(m);
  (void)pthread_rwlock_unlock(&m->passes);
}

static void take(fcm_manager *m, const char *rel, bool tree) {
  m->in_hand = rel;
  m->in_hand_tree = tree;
}

static void leave(fcm_manager *m) {
  m->in_hand = NULL;
  (void)pthread_cond_broadcast(&m->turned);
}

void fc_cleaning_take(fcm_manager *m, const char *rel, bool tree) {
  (void)pthread_mutex_lock(&m->lock);
  take(m, rel, tree);
  (void)pthread_mutex_unlock(&m->lock);
}

void fc_cleaning_leave(fcm_manager *m) {
  (void)pthread_mutex_lock(&m->lock);
  leave(m);
  (void)pthread_mutex_unlock(&m->lock);
}

/* ---- one name ---- */

/* Told by the reaper of each name that has gone: of a tree they are many. */
static void gone(void *context, const char *path, const char *why) {
  fcm_manager *m = context;
  if (why) return;
  (void)pthread_mutex_lock(&m->lock);
  (void)fc_entry_drop(m, path);
  (void)pthread_mutex_unlock(&m->lock);
}

/* The break signal of a lease goes to the thread that holds it. */
static void block_signals(const fcm_manager *m, uint64_t *old) {
  static const uint64_t all = UINT64_MAX;
  if (m->options.spare_in_use) (void)fc_sys_sigmask(SIG_BLOCK, &all, old);
}

static void unblock_signals(const fcm_manager *m, const uint64_t *old) {
  if (m->options.spare_in_use) (void)fc_sys_sigmask(SIG_SETMASK, old, NULL);
}

/* What was only expected has come: from now on it is this object. Locked. */
static void bind(fcm_manager *m, const struct fc_tracked *known) {
  const struct fc_reaper *r = &m->reaper;
  const struct fc_tracking what = {.rel = known->path,
                                   .identity = &r->found,
                                   .is_dir = S_ISDIR(r->found_mode),
                                   .tree = known->tree,
                                   .asked_ns = known->asked_ns,
                                   .in_pass = true};
  (void)fc_tracking_add(m, &what); /* no room: it stays expected, and is bound another time */
}

/* known: NULL = not tracked. */
static int remove_known(fcm_manager *m, const char *rel, const struct fc_tracked *known, bool whole) {
  struct fc_reaper *const r = &m->reaper;
  uint64_t signals;
  const bool bound = known && !known->expected;
  const struct fc_reap_watch watch = {gone, m};
  r->watch = &watch;
  block_signals(m, &signals);
  const int rc = fc_reaper_ask(r, rel, bound ? &known->identity : NULL, whole || (known && known->tree));
  unblock_signals(m, &signals);
  r->watch = NULL;
  return rc;
}

/* The caller has `lock`, and gets it back given up. forget: also what was expected and is not there. */
static int remove_locked(fcm_manager *m, const char *rel, struct fc_tracked *known, bool tracked, bool whole,
                         bool forget) {
  take(m, rel, whole || (tracked && known->tree));
  (void)pthread_mutex_unlock(&m->lock);
  const int rc = remove_known(m, rel, tracked ? known : NULL, whole);
  (void)pthread_mutex_lock(&m->lock);
  if (rc == -ENOENT && tracked && (forget || !known->expected)) (void)fc_entry_drop(m, rel);
  if (rc == -EAGAIN && tracked && known->expected) bind(m, known);
  leave(m);
  (void)pthread_mutex_unlock(&m->lock);
  return rc;
}

int fc_cleaning_remove(fcm_manager *m, const char *rel, bool whole) {
  struct fc_tracked *known = malloc(sizeof *known);
  if (!known) return -ENOMEM;
  (void)pthread_mutex_lock(&m->lock);
  fc_outside_read(m);
  const bool tracked = fc_entry_find(m, rel, known);
  const int rc = remove_locked(m, rel, known, tracked, whole, true);
  free(known);
  return rc;
}

/* ---- a pass ---- */

struct pass {
  fcm_manager *manager;
  struct fcm_result *result;
  struct fc_tracked *known; /* scratch */
  int64_t newest_ns;        /* what was modified later is too young; INT64_MAX: all are old enough */
  bool last;                /* what was expected and has not come is forgotten */
  uint32_t *dirs;           /* cells of what is dealt with last */
  size_t dir_count;
  size_t dir_room;
};

static int64_t mtime_ns(const struct statx *st) { return fc_sys_in_ns(st->stx_mtime.tv_sec, st->stx_mtime.tv_nsec); }

/* Now, by the clock that says less: a step of it makes nothing older. */
static int64_t now_ns(const fcm_manager *m) {
  const int64_t real = fc_sys_realtime();
  const int64_t elapsed = m->made_real_ns + (fc_sys_boottime() - m->made_boot_ns);
  return real < elapsed ? real : elapsed;
}

static bool is_old(void *context, const struct fc_node *node, const struct statx *st) {
  const struct pass *p = context;
  (void)node;
  return mtime_ns(st) <= p->newest_ns;
}

/* Of directories, whose times our own removals change, the times were looked at before. */
static bool is_old_file(void *context, const struct fc_node *node, const struct statx *st) {
  return S_ISDIR(st->stx_mode) || is_old(context, node, st);
}

/* A tree is as young as the youngest that is in it. */
static bool is_old_below(struct pass *p, const char *rel) {
  fcm_manager *m = p->manager;
  struct fc_arena arena = {0};
  struct fc_walk walk;
  struct fc_walked at;
  const int fd = fc_beneath_open(m->base_fd, rel);
  bool old = fd >= 0 && fc_walk_begin(&walk, &arena, fd, rel);
  if (old) {
    int rc;
    while (old && (rc = fc_walk_next(&walk, &at)) != 0) {
      struct statx st;
      if (rc < 0) old = false;
      if (!old || at.after) continue;
      if (fc_sys_statx(at.dirfd, at.leaf, AT_SYMLINK_NOFOLLOW, FC_IDENTITY_MASK, &st) < 0) continue;
      old = is_old(p, NULL, &st);
      if (S_ISDIR(st.stx_mode)) fc_walk_enter(&walk);
    }
    fc_walk_end(&walk);
  }
  if (fd >= 0) (void)fc_sys_close(fd);
  fc_arena_free(&arena);
  return old;
}

static bool put_off(struct pass *p, uint32_t cell) {
  if (p->dir_count == p->dir_room) {
    const size_t room = p->dir_room ? 2 * p->dir_room : BATCH;
    uint32_t *more = realloc(p->dirs, room * sizeof *more);
    if (!more) return false;
    p->dirs = more;
    p->dir_room = room;
  }
  p->dirs[p->dir_count++] = cell;
  return true;
}

/* Counts what became of one name. */
static void count(struct pass *p, const char *rel, int rc) {
  switch (rc) {
  case 0:
  case -ENOENT:
  case -EAGAIN:
  case -ENOTEMPTY:
    return;
  case -ESTALE:
  case -EBUSY:
  case -ENOTSUP:
  case -ELOOP:
  case -EXDEV:
  case -ENOTDIR:
    p->result->spared++;
    return;
  default:
    p->result->errors++;
    fc_manager_log(p->manager, FCM_LOG_WARN, "cannot remove %s/%s: %s", p->manager->real, rel, strerror(-rc));
  }
}

/* One name of the set, in turn. Returns as fc_reaper_ask; -ENOENT also when it is not tracked any more. */
static int remove_cell(struct pass *p, uint32_t cell) {
  fcm_manager *m = p->manager;
  (void)pthread_mutex_lock(&m->lock);
  fc_outside_read(m);
  if (!fc_entry_read(m, cell, p->known)) {
    (void)pthread_mutex_unlock(&m->lock);
    return -ENOENT;
  }
  const int rc = remove_locked(m, p->known->path, p->known, true, false, p->last);
  count(p, p->known->path, rc);
  return rc;
}

/* Calls one for each cell, some in a turn. */
static void in_turns(struct pass *p, const uint32_t *cells, size_t count_, unsigned batch,
                     void (*one)(struct pass *p, uint32_t cell)) {
  fcm_manager *m = p->manager;
  for (size_t i = 0; i < count_;) {
    turn_take(m);
    const struct fc_reap_result before = m->reaped;
    for (size_t end = i + batch; i < count_ && i < end; i++) one(p, cells[i]);
    p->result->removed_count += m->reaped.files + m->reaped.dirs - before.files - before.dirs;
    p->result->removed_size_bytes += m->reaped.bytes - before.bytes;
    turn_give(m);
  }
}

static void look_at_directory(struct pass *p, uint32_t cell) {
  fcm_manager *m = p->manager;
  struct fc_identity now;
  struct statx st;
  (void)pthread_mutex_lock(&m->lock);
  const bool counts = fc_entry_read(m, cell, p->known);
  (void)pthread_mutex_unlock(&m->lock);
  if (!counts) return;
  if (p->newest_ns != INT64_MAX && fc_reaper_look(&m->reaper, p->known->path, &now, &st) == 0 &&
      (!is_old(p, NULL, &st) || (p->known->tree && S_ISDIR(st.stx_mode) && !is_old_below(p, p->known->path))))
    return;
  if (!put_off(p, cell)) p->result->errors++;
}

static void remove_file(struct pass *p, uint32_t cell) {
  p->manager->reaper.wants = p->newest_ns == INT64_MAX ? NULL : is_old;
  p->manager->reaper.wants_context = p;
  /* It was expected, and is a directory: it is old enough, and what is in it may go yet. */
  if (remove_cell(p, cell) == -ENOTEMPTY && !put_off(p, cell)) p->result->errors++;
  p->manager->reaper.wants = NULL;
}

static void remove_directory(struct pass *p, uint32_t cell) {
  p->manager->reaper.wants = p->newest_ns == INT64_MAX ? NULL : is_old_file;
  p->manager->reaper.wants_context = p;
  (void)remove_cell(p, cell);
  p->manager->reaper.wants = NULL;
}

struct depth {
  uint32_t cell;
  uint32_t len;
};

static int deeper_first(const void *a, const void *b) {
  const struct depth *x = a;
  const struct depth *y = b;
  return x->len > y->len ? -1 : x->len < y->len;
}

/* What lies in a directory has a longer path than it. */
static bool sort_directories(struct pass *p) {
  fcm_manager *m = p->manager;
  struct depth *order = p->dir_count ? malloc(p->dir_count * sizeof *order) : NULL;
  if (p->dir_count && !order) return false;
  (void)pthread_mutex_lock(&m->lock);
  for (size_t i = 0; i < p->dir_count; i++) order[i] = (struct depth){p->dirs[i], fc_entry_path_len(m, p->dirs[i])};
  (void)pthread_mutex_unlock(&m->lock);
  if (order) qsort(order, p->dir_count, sizeof *order, deeper_first);
  for (size_t i = 0; i < p->dir_count; i++) p->dirs[i] = order[i].cell;
  free(order);
  return true;
}

static int work(struct pass *p) {
  fcm_manager *m = p->manager;
  uint32_t *files;
  uint32_t *dirs = NULL;
  size_t file_count;
  size_t dir_count = 0;
  fc_outside_lock(m, NULL);
  const bool fine = fc_entry_cells(m, 0, FC_SLOT_DIR | FC_SLOT_TREE, &files, &file_count) &&
                    fc_entry_cells(m, FC_SLOT_DIR | FC_SLOT_TREE, 0, &dirs, &dir_count);
  fc_outside_unlock(m);
  if (fine) {
    in_turns(p, dirs, dir_count, LOOKS, look_at_directory);
    in_turns(p, files, file_count, BATCH, remove_file);
    if (sort_directories(p))
      in_turns(p, p->dirs, p->dir_count, BATCH, remove_directory);
    else
      p->result->errors++;
  }
  free(files);
  free(dirs);
  free(p->dirs);
  return fine ? 0 : -ENOMEM;
}

static int pass(fcm_manager *m, int64_t newest_ns, bool last, struct fcm_result *result) {
  struct pass p = {.manager = m, .result = result, .newest_ns = newest_ns, .last = last};
  memset(result, 0, sizeof *result);
  int rc = 0;
  if (!m->keeps) {
    p.known = malloc(sizeof *p.known);
    rc = p.known ? -EPERM : -ENOMEM;
    if (p.known && begin(m)) {
      rc = work(&p);
      (void)pthread_rwlock_unlock(&m->passes);
    }
    free(p.known);
  }
  result->removed_size_mb = (double)result->removed_size_bytes / BYTES_PER_MB;
  fc_outside_lock(m, NULL);
  result->tracked_files_remaining = m->table.count;
  fc_outside_unlock(m);
  fc_manager_tell(m);
  return rc;
}

/* ---- public ---- */

int fcm_cleanup_old_files(fcm_manager *m, int64_t max_age, struct fcm_result *result) {
  struct fcm_result own;
  if (!fc_manager_may(m)) return -1;
  if (max_age == FCM_DEFAULT) max_age = m->options.ttl;
  if (max_age < 0) return fc_manager_fail(EINVAL);
  int64_t newest_ns = INT64_MAX;
  if (max_age > 0) {
    const int64_t now = now_ns(m);
    newest_ns = max_age > now / NS_PER_MS ? INT64_MIN : now - max_age * NS_PER_MS;
  }
  const int rc = pass(m, newest_ns, false, result ? result : &own);
  return rc < 0 ? fc_manager_fail(-rc) : 0;
}

int fcm_cleanup_all_tracked(fcm_manager *m, struct fcm_result *result) {
  struct fcm_result own;
  if (!fc_manager_may(m)) return -1;
  const int rc = pass(m, INT64_MAX, false, result ? result : &own);
  return rc < 0 ? fc_manager_fail(-rc) : 0;
}

void fc_cleaning_last(fcm_manager *m) {
  struct fcm_result result;
  (void)pass(m, INT64_MAX, true, &result); /* what is left is seen by who asks next */
}

/* is_dir: what stands there must be a directory. */
static int remove_one(fcm_manager *m, const char *path, bool is_dir, bool whole, bool *removed) {
  char rel[PATH_MAX];
  struct fc_identity now;
  struct statx st;
  if (removed) *removed = false;
  int rc = path ? fc_tracking_relative(m, path, rel) : -EINVAL;
  if (rc < 0 || m->keeps) return rc;
  rc = fc_cleaning_begin(m);
  if (rc < 0) return rc;
  if (is_dir) {
    rc = fc_reaper_look(&m->reaper, rel, &now, &st);
    if (rc == 0 && !S_ISDIR(st.stx_mode)) rc = -ENOTDIR;
  }
  if (rc == 0 || rc == -ENOENT) rc = fc_cleaning_remove(m, rel, whole);
  fc_cleaning_end(m);
  fc_manager_tell(m);
  if (rc == -ENOENT) return 0; /* it is fine that nothing is there */
  if (rc == 0 && removed) *removed = true;
  return rc;
}

int fcm_cleanup_file(fcm_manager *m, const char *path, bool *removed) {
  if (!fc_manager_may(m)) return -1;
  const int rc = remove_one(m, path, false, false, removed);
  return rc < 0 ? fc_manager_fail(-rc) : 0;
}

int fcm_cleanup_directory(fcm_manager *m, const char *path, bool recursive, bool *removed) {
  if (!fc_manager_may(m)) return -1;
  const int rc = remove_one(m, path, true, recursive, removed);
  return rc < 0 ? fc_manager_fail(-rc) : 0;
}

struct sum {
  struct pass pass; /* its scratch and manager */
  uint64_t bytes;
};

static void add_size(struct pass *p, uint32_t cell) {
  fcm_manager *m = p->manager;
  struct fc_identity now;
  struct statx st;
  (void)pthread_mutex_lock(&m->lock);
  const bool counts = fc_entry_read(m, cell, p->known);
  (void)pthread_mutex_unlock(&m->lock);
  if (counts && fc_reaper_look(&m->reaper, p->known->path, &now, &st) == 0 && S_ISREG(st.stx_mode))
    ((struct sum *)(void *)p)->bytes += st.stx_size;
}

int fcm_get_stats(fcm_manager *m, struct fcm_stats *stats) {
  if (!fc_manager_may(m)) return -1;
  if (!stats) return fc_manager_fail(EINVAL);
  memset(stats, 0, sizeof *stats);
  struct fcm_result unused = {0};
  struct sum sum = {.pass = {.manager = m, .result = &unused, .known = malloc(sizeof *sum.pass.known)}};
  uint32_t *cells = NULL;
  size_t cell_count = 0;
  if (!sum.pass.known) return fc_manager_fail(ENOMEM);
  (void)pthread_rwlock_rdlock(&m->passes);
  fc_outside_lock(m, NULL);
  const bool fine = fc_entry_cells(m, 0, FC_SLOT_DIR, &cells, &cell_count);
  stats->tracked_files = m->table.count;
  stats->memory_bytes = fc_table_bytes(&m->table) + sizeof *m + sizeof *m->session + m->reaper.registry.arena.total;
  fc_outside_unlock(m);
  if (fine) in_turns(&sum.pass, cells, cell_count, LOOKS, add_size);
  struct statx st;
  if (fc_sys_statx(AT_FDCWD, fc_session_path(m->session), AT_SYMLINK_NOFOLLOW, STATX_BLOCKS, &st) == 0)
    stats->journal_bytes = st.stx_blocks * 512;
  (void)pthread_rwlock_unlock(&m->passes);
  free(cells);
  free(sum.pass.known);
  stats->total_size_bytes = sum.bytes;
  stats->total_size_mb = (double)sum.bytes / BYTES_PER_MB;
  stats->periodic_cleanup_running = fc_manager_is_periodic(&m->periodic);
  stats->default_ttl = m->options.ttl;
  stats->cleanup_interval = m->options.interval;
  return fine ? 0 : fc_manager_fail(ENOMEM);
}
