#include "tracking.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "beneath.h"
#include "compact.h"
#include "outside.h"

#define NS_PER_S INT64_C(1000000000)

/* ---- paths ---- */

static int check_components(const char *rel) {
  for (const char *p = rel; *p;) {
    const size_t len = strcspn(p, "/");
    if (len > NAME_MAX) return -ENAMETOOLONG;
    p += len + (p[len] == '/');
  }
  /* What is being captured by us, or by another session. */
  return strncmp(rel, FC_QUARANTINE_PREFIX, sizeof FC_QUARANTINE_PREFIX - 1) == 0 ? -EXDEV : 0;
}

int fc_tracking_relative(const fcm_manager *m, const char *path, char *rel) {
  char cwd[PATH_MAX];
  struct fc_name name = {.tail = path, .tail_len = strnlen(path, PATH_MAX)};
  struct fc_name below;
  const char *const base = m->header->base;
  const char *const alias = m->header->alias;
  if (name.tail_len == 0) return -EINVAL;
  if (name.tail_len == PATH_MAX) return -ENAMETOOLONG;
  if (path[0] != '/') {
    const long rc = fc_sys_getcwd(cwd, sizeof cwd);
    if (rc < 0) return rc == -ERANGE ? -ENAMETOOLONG : (int)rc;
    if (cwd[0] != '/') return -ENOENT;
    name.head = cwd;
    name.head_len = strlen(cwd);
  }
  if (!fc_path_beneath(base, strlen(base), &name, &below) &&
      !(alias[0] && fc_path_beneath(alias, strlen(alias), &name, &below)))
    return -EXDEV;
  if (below.head_len + 1 + below.tail_len >= PATH_MAX) return -ENAMETOOLONG;
  if (below.head_len) memcpy(rel, below.head, below.head_len);
  size_t at = below.head_len;
  if (at) rel[at++] = '/';
  memcpy(rel + at, below.tail, below.tail_len);
  rel[at + below.tail_len] = '\0';
  return fc_path_normalize(rel) == 0 ? -EXDEV : check_components(rel);
}

/* ---- records ---- */

static uint32_t hash_of(const fcm_manager *m, const char *rel, size_t len) {
  uint64_t h = m->hash_key ^ len;
  for (size_t i = 0; i < len; i += 8) {
    uint64_t word = 0;
    memcpy(&word, rel + i, len - i < 8 ? len - i : 8);
    h = (h ^ word) * UINT64_C(0x9FB21C651E98DF25);
    h ^= h >> 32;
  }
  return (uint32_t)(h ^ h >> 29);
}

uint32_t fc_tracking_hash(const fcm_manager *m, const char *rel) { return hash_of(m, rel, strlen(rel)); }

/* The record at cell: its start cell and all its cells, NULL when it cannot be reached. */
static const char *record_at(fcm_manager *m, uint32_t cell, struct fc_start_cell *start) {
  struct fc_journal *const j = &m->session->journal;
  const char *cells = fc_journal_look(j, cell, 1);
  if (!cells) return NULL;
  memcpy(start, cells, sizeof *start);
  const unsigned count = start->word >> 8 & 0xffu;
  return (start->word & 0xffu) == FC_MARK_START ? fc_journal_look(j, cell, count) : NULL;
}

unsigned fc_tracking_cells_of(fcm_manager *m, uint32_t cell) {
  struct fc_start_cell start;
  return record_at(m, cell, &start) ? start.word >> 8 & 0xffu : 0;
}

uint32_t fc_tracking_path_len(fcm_manager *m, uint32_t cell) {
  struct fc_start_cell start;
  return record_at(m, cell, &start) ? start.path_len : 0;
}

static bool is_named(fcm_manager *m, uint32_t cell, const char *rel, size_t len) {
  struct fc_start_cell start;
  const char *cells = record_at(m, cell, &start);
  return cells && start.path_len == len && fc_journal_path_is(cells, rel, len);
}

static struct fc_slot *find(fcm_manager *m, const char *rel, size_t *at) {
  const size_t len = strlen(rel);
  const uint32_t hash = hash_of(m, rel, len);
  *at = SIZE_MAX;
  for (struct fc_slot *slot; (slot = fc_table_next(&m->table, hash, at));)
    if (is_named(m, fc_slot_cell(slot), rel, len)) return slot;
  return NULL;
}

static int64_t birth_ns(const struct fc_identity *id) { return fc_sys_in_ns(id->birth_s, id->birth_ns); }

static bool decode(fcm_manager *m, uint32_t cell, struct fc_tracked *out) {
  struct fc_start_cell start;
  const char *cells = record_at(m, cell, &start);
  if (!cells || start.type != FC_REC_TRACK || start.path_len >= sizeof out->path) return false;
  out->cell = cell;
  out->tree = (start.flags & FC_REC_TREE) != 0;
  out->is_dir = (start.flags & FC_REC_DIR) != 0;
  out->expected = start.identity.ino == 0;
  out->identity = start.identity;
  out->asked_ns = out->expected ? birth_ns(&start.identity) : 0;
  if (start.flags & FC_REC_INFO) {
    struct fc_object since;
    memcpy(&since, cells + FC_CELL_BYTES + 8, sizeof since);
    out->asked_ns = birth_ns(&since.identity);
  }
  fc_journal_copy_path(cells, start.path_len, out->path);
  return true;
}

bool fc_tracking_read(fcm_manager *m, uint32_t cell, struct fc_tracked *out) {
  size_t at;
  if (!decode(m, cell, out)) return false;
  const struct fc_slot *slot = find(m, out->path, &at);
  return slot && fc_slot_cell(slot) == cell;
}

int64_t fc_tracking_now(void) { return fc_sys_clock(CLOCK_REALTIME_COARSE); }

int64_t fc_tracking_append(struct fc_journal *journal, const struct fc_tracking *what) {
  const struct fc_identity since = {.birth_s = what->asked_ns / NS_PER_S,
                                    .birth_ns = (uint32_t)(what->asked_ns % NS_PER_S)};
  const struct fc_object info = {.identity = since};
  const bool with_info = what->tree && what->identity;
  const struct fc_record record = {.type = FC_REC_TRACK,
                                   .flags = (what->is_dir ? FC_REC_DIR : 0u) | (what->tree ? FC_REC_TREE : 0u) |
                                            (with_info ? FC_REC_INFO : 0u),
                                   .pid = (uint32_t)fc_sys_getpid(),
                                   .time_ns = fc_journal_now(),
                                   .identity = what->identity ? what->identity : &since,
                                   .info = with_info ? &info : NULL,
                                   .path = {NULL, 0, what->rel, strlen(what->rel)}};
  return fc_journal_append(journal, &record);
}

static void take_back(fcm_manager *m, uint32_t cell) {
  fc_journal_complete(&m->session->journal, cell, FC_RESULT_FAILED, NULL);
}

/* ---- the set ---- */

/* The name in hand, or, when that is a tree, what lies below it. */
static bool is_in_hand(const fcm_manager *m, const char *rel) {
  if (!m->in_hand || !rel) return false;
  const size_t len = strlen(m->in_hand);
  return strncmp(rel, m->in_hand, len) == 0 && (rel[len] == '\0' || (m->in_hand_tree && rel[len] == '/'));
}

void fc_tracking_lock(fcm_manager *m, const char *rel) {
  (void)pthread_mutex_lock(&m->lock);
  while (is_in_hand(m, rel)) (void)pthread_cond_wait(&m->turned, &m->lock);
  fc_outside_read(m);
}

void fc_tracking_unlock(fcm_manager *m) { (void)pthread_mutex_unlock(&m->lock); }

uint32_t fc_tracking_value(const struct fc_tracking *what, uint32_t cell) {
  return (cell + 1) | (what->identity ? 0u : FC_SLOT_EXPECTED) | (what->is_dir ? FC_SLOT_DIR : 0u) |
         (what->tree ? FC_SLOT_TREE : 0u);
}

/* It is already known just so: nothing is written. */
static bool is_the_same(fcm_manager *m, uint32_t cell, const struct fc_tracking *what) {
  struct fc_start_cell start;
  return what->identity && record_at(m, cell, &start) && fc_identity_equal(&start.identity, what->identity) &&
         what->tree == ((start.flags & FC_REC_TREE) != 0);
}

int fc_tracking_add(fcm_manager *m, const struct fc_tracking *what) {
  size_t at;
  if (!fc_manager_owns(m)) return -EPERM;
  struct fc_slot *slot = find(m, what->rel, &at);
  if (slot && is_the_same(m, fc_slot_cell(slot), what)) return 0;
  const unsigned cells = 2u + (unsigned)(strlen(what->rel) + FC_CELL_PAYLOAD - 1) / FC_CELL_PAYLOAD;
  const int rc = fc_compact_reserve(m, cells, what->in_pass ? NULL : what->rel);
  if (rc < 0) return rc;
  if (!fc_manager_owns(m)) return -EPERM; /* given up meanwhile: the set is another process's */
  if (!fc_table_reserve(&m->table)) return -ENOMEM;
  const int64_t index = fc_tracking_append(&m->session->journal, what);
  if (index < 0) return -ENOSPC;
  const uint32_t value = fc_tracking_value(what, (uint32_t)index);
  slot = find(m, what->rel, &at); /* the lock may have been given up */
  if (slot) {
    take_back(m, fc_slot_cell(slot));
    slot->value = value;
  } else {
    fc_table_add(&m->table, hash_of(m, what->rel, strlen(what->rel)), value);
  }
  if (m->outside) fc_outside_track(m, what->rel);
  return 0;
}

bool fc_tracking_find(fcm_manager *m, const char *rel, struct fc_tracked *out) {
  size_t at;
  const struct fc_slot *slot = find(m, rel, &at);
  return slot && (!out || decode(m, fc_slot_cell(slot), out));
}

bool fc_tracking_drop(fcm_manager *m, const char *rel) {
  size_t at;
  const struct fc_slot *slot = find(m, rel, &at);
  if (!slot) return false;
  take_back(m, fc_slot_cell(slot));
  fc_table_remove(&m->table, at);
  return true;
}

void fc_tracking_drop_below(fcm_manager *m, const char *rel) {
  const size_t len = strlen(rel);
  for (size_t i = 0; i < m->table.room;) {
    struct fc_start_cell start;
    const struct fc_slot *slot = &m->table.slots[i];
    const char *cells = slot->value ? record_at(m, fc_slot_cell(slot), &start) : NULL;
    const bool below = cells && start.path_len >= len && fc_journal_path_is(cells, rel, len) &&
                       (start.path_len == len || fc_journal_path_has(cells, len, '/'));
    if (!below) {
      i++;
      continue;
    }
    take_back(m, fc_slot_cell(slot));
    fc_table_remove(&m->table, i); /* another may stand here now */
  }
}

static int by_number(const void *a, const void *b) {
  const uint32_t x = *(const uint32_t *)a;
  const uint32_t y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

bool fc_tracking_cells(fcm_manager *m, uint32_t with, uint32_t without, uint32_t **cells, size_t *count) {
  *cells = NULL;
  *count = 0;
  size_t n = 0;
  for (size_t i = 0; i < m->table.room; i++) {
    const uint32_t value = m->table.slots[i].value;
    n += value != 0 && !(value & without) && (with == 0 || (value & with));
  }
  if (n == 0) return true;
  *cells = malloc(n * sizeof **cells);
  if (!*cells) return false;
  for (size_t i = 0; i < m->table.room; i++) {
    const uint32_t value = m->table.slots[i].value;
    if (value != 0 && !(value & without) && (with == 0 || (value & with)))
      (*cells)[(*count)++] = fc_slot_cell(&m->table.slots[i]);
  }
  qsort(*cells, *count, sizeof **cells, by_number);
  return true;
}

bool fc_tracking_is_empty(fcm_manager *m) {
  fc_tracking_lock(m, NULL);
  const bool empty = m->table.count == 0 && !m->outside && !fc_quarantine_stands(m->session->header);
  fc_tracking_unlock(m);
  return empty;
}

static int add_again(fcm_manager *m, const struct fc_replayed *rec) {
  const struct fc_start_cell *start = &rec->start;
  if (start->type != FC_REC_TRACK || rec->result == FC_RESULT_FAILED || !rec->path[0]) return 0;
  if (!fc_table_reserve(&m->table)) return -ENOMEM;
  const struct fc_tracking what = {.identity = start->identity.ino ? &start->identity : NULL,
                                   .is_dir = (start->flags & FC_REC_DIR) != 0,
                                   .tree = (start->flags & FC_REC_TREE) != 0};
  const uint32_t value = fc_tracking_value(&what, rec->index);
  size_t at;
  struct fc_slot *slot = find(m, rec->path, &at);
  if (slot) { /* the parent was gone before it could take the earlier one back */
    take_back(m, fc_slot_cell(slot));
    slot->value = value;
  } else {
    fc_table_add(&m->table, fc_tracking_hash(m, rec->path), value);
  }
  return 0;
}

int fc_tracking_rebuild(fcm_manager *m) {
  const struct fc_session_header *h = m->session->header;
  struct fc_arena arena = {0};
  struct fc_replay replay;
  struct fc_replayed rec;
  m->outside_seen = m->outside_from = 0;
  const int fd = fc_session_reopen(m->session);
  if (fd < 0) return fd;
  int rc = fc_replay_begin(&replay, &arena, fd, h->key, h->capacity, false);
  while (rc == 0) {
    const enum fc_replay_step step = fc_replay_next(&replay, &rec);
    if (step == FC_REPLAY_END) break;
    rc = step == FC_REPLAY_RECORD ? add_again(m, &rec) : -ESTALE;
  }
  (void)fc_sys_close(fd);
  fc_arena_free(&arena);
  if (rc == 0) fc_outside_read(m);
  return rc;
}

/* ---- public ---- */

/* What stands at rel. 0, -ENOENT when nothing does in a directory that stands, or -errno with *parent false. */
static int look(const fcm_manager *m, const char *rel, struct fc_identity *now, struct statx *st, bool *parent) {
  char dir[PATH_MAX];
  const char *slash = strrchr(rel, '/');
  const char *leaf = slash ? slash + 1 : rel;
  int fd = m->base_fd;
  if (slash) {
    memcpy(dir, rel, (size_t)(slash - rel));
    dir[slash - rel] = '\0';
    fd = fc_beneath_open(m->base_fd, dir);
  }
  *parent = fd >= 0;
  if (fd < 0) return fd;
  const int rc = fc_identity_take(fd, leaf, m->header->with_handle != 0, now, st);
  if (slash) (void)fc_sys_close(fd);
  return rc;
}

/* The root of a mount says so since Linux 5.8; a device number does not on overlayfs, whose files have those of its
 * layers. */
static bool is_on_another_mount(const fcm_manager *m, const struct statx *st) {
  const struct fc_identity *base = &m->header->base_identity;
  if (st->stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) return (st->stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  return st->stx_dev_major != base->dev_major || st->stx_dev_minor != base->dev_minor;
}

static int track(fcm_manager *m, const char *path, bool tree) {
  char rel[PATH_MAX];
  struct fc_identity now;
  struct statx st;
  bool parent;
  int rc = fc_tracking_relative(m, path, rel);
  if (rc < 0) return rc;
  struct fc_tracking what = {.rel = rel, .tree = tree, .asked_ns = tree ? fc_tracking_now() : 0};
  rc = look(m, rel, &now, &st, &parent);
  if (rc == -ENOENT && parent) {
    what.is_dir = tree;
    /* The clock is asked before the look that counts, so that nothing which appears behind it is older. */
    if (!tree) what.asked_ns = fc_tracking_now();
    rc = look(m, rel, &now, &st, &parent);
    if (rc == -ENOENT && parent) rc = 1;
  }
  if (rc < 0) return rc;
  if (rc == 0) {
    what.is_dir = S_ISDIR(st.stx_mode);
    if (tree && !what.is_dir) return -ENOTDIR;
    if (is_on_another_mount(m, &st)) return -EXDEV;
    if (!fc_identity_proves(&now)) return -ENOTSUP;
    what.identity = &now;
  }
  fc_tracking_lock(m, rel);
  rc = fc_tracking_add(m, &what);
  fc_tracking_unlock(m);
  if (rc < 0) fc_manager_tell(m);
  return rc;
}

int fcm_track_file(fcm_manager *m, const char *path) {
  if (!fc_manager_may(m)) return -1;
  const int rc = path ? track(m, path, false) : -EINVAL;
  return rc < 0 ? fc_manager_fail(-rc) : 0;
}

int fcm_track_tree(fcm_manager *m, const char *path) {
  if (!fc_manager_may(m)) return -1;
  const int rc = path ? track(m, path, true) : -EINVAL;
  return rc < 0 ? fc_manager_fail(-rc) : 0;
}

int fcm_untrack_file(fcm_manager *m, const char *path) {
  char rel[PATH_MAX];
  if (!fc_manager_may(m)) return -1;
  const int rc = path ? fc_tracking_relative(m, path, rel) : -EINVAL;
  if (rc < 0) return fc_manager_fail(-rc);
  fc_tracking_lock(m, rel);
  const bool owns = fc_manager_owns(m);
  const bool was = owns && fc_tracking_drop(m, rel);
  fc_tracking_unlock(m);
  return was ? 0 : fc_manager_fail(owns ? ENOENT : EPERM);
}

int fcm_is_tracked(fcm_manager *m, const char *path, bool *tracked) {
  char rel[PATH_MAX];
  if (!fc_manager_may(m)) return -1;
  const int rc = path && tracked ? fc_tracking_relative(m, path, rel) : -EINVAL;
  if (rc < 0) return fc_manager_fail(-rc);
  fc_tracking_lock(m, rel);
  *tracked = fc_tracking_find(m, rel, NULL);
  fc_tracking_unlock(m);
  return 0;
}
