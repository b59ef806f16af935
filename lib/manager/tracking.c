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

/* ---- the set ---- */

int fc_tracking_add(fcm_manager *m, const struct fc_tracking *what) {
  if (!fc_manager_owns(m)) return -EPERM;
  if (fc_entry_is(m, what)) return 0;
  const unsigned cells = 2u + (unsigned)(strlen(what->rel) + FC_CELL_PAYLOAD - 1) / FC_CELL_PAYLOAD;
  const int rc = fc_compact_reserve(m, cells, what->in_pass ? NULL : what->rel);
  if (rc < 0) return rc;
  if (!fc_manager_owns(m)) return -EPERM; /* given up meanwhile: the set is another process's */
  if (!fc_table_reserve(&m->table)) return -ENOMEM;
  const int64_t index = fc_entry_append(&m->session->journal, what);
  if (index < 0) return -ENOSPC;
  fc_entry_set(m, what, (uint32_t)index);
  if (m->outside) fc_outside_track(m, what->rel);
  return 0;
}

bool fc_tracking_is_empty(fcm_manager *m) {
  fc_outside_lock(m, NULL);
  const bool empty = m->table.count == 0 && !m->outside && !fc_quarantine_stands(m->session->header);
  fc_outside_unlock(m);
  return empty;
}

static int add_again(fcm_manager *m, const struct fc_replayed *rec) {
  const struct fc_start_cell *start = &rec->start;
  if (start->type != FC_REC_TRACK || rec->result == FC_RESULT_FAILED || !rec->path[0]) return 0;
  if (!fc_table_reserve(&m->table)) return -ENOMEM;
  const struct fc_tracking what = {.rel = rec->path,
                                   .identity = start->identity.ino ? &start->identity : NULL,
                                   .is_dir = (start->flags & FC_REC_DIR) != 0,
                                   .tree = (start->flags & FC_REC_TREE) != 0};
  fc_entry_set(m, &what, rec->index); /* the parent was perhaps gone before it could take an earlier one back */
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
  struct fc_tracking what = {.rel = rel, .tree = tree, .asked_ns = tree ? fc_entry_now() : 0};
  rc = look(m, rel, &now, &st, &parent);
  if (rc == -ENOENT && parent) {
    what.is_dir = tree;
    /* The clock is asked before the look that counts, so that nothing which appears behind it is older. */
    if (!tree) what.asked_ns = fc_entry_now();
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
  fc_outside_lock(m, rel);
  rc = fc_tracking_add(m, &what);
  fc_outside_unlock(m);
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
  fc_outside_lock(m, rel);
  const bool owns = fc_manager_owns(m);
  const bool was = owns && fc_entry_drop(m, rel);
  fc_outside_unlock(m);
  return was ? 0 : fc_manager_fail(owns ? ENOENT : EPERM);
}

int fcm_is_tracked(fcm_manager *m, const char *path, bool *tracked) {
  char rel[PATH_MAX];
  if (!fc_manager_may(m)) return -1;
  const int rc = path && tracked ? fc_tracking_relative(m, path, rel) : -EINVAL;
  if (rc < 0) return fc_manager_fail(-rc);
  fc_outside_lock(m, rel);
  *tracked = fc_entry_find(m, rel, NULL);
  fc_outside_unlock(m);
  return 0;
}
