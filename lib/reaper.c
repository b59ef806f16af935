#include "reaper.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "beneath.h"
#include "checkpoint.h"
#include "keep.h"
#include "lease.h"
#include "history.h"
#include "ownership.h"
#include "permission.h"
#include "turn.h"
#include "unseen.h"
#include "walk.h"

#define MODE_IS(st, type) (((st)->stx_mode & S_IFMT) == (type))

/* A directory in hand: open and checked. */
struct place {
  int fd;
  struct fc_node *node;
  struct fc_identity identity;
};

enum verdict { GONE, SPARED };

static bool out_of_time(struct fc_reaper *r) {
  if (r->blind) return true;
  if (r->stop && __atomic_load_n(r->stop, __ATOMIC_ACQUIRE)) r->late = true;
  if (!r->late && r->deadline_ns != FC_INFINITY_NS && fc_sys_boottime() >= r->deadline_ns) r->late = true;
  return r->late;
}

static void count_failure(struct fc_reaper *r, int rc) {
  r->result->failed++;
  if (rc == -EACCES) r->denied = true;
}

static int64_t record_capture(struct fc_reaper *r, const char *path, const struct fc_identity *identity) {
  const struct fc_record record = {.type = FC_REC_CAPTURE,
                                   .pid = (uint32_t)fc_sys_getpid(),
                                   .time_ns = fc_sys_boottime(),
                                   .identity = identity,
                                   .path = {NULL, 0, path, strlen(path)}};
  return fc_journal_append(r->captures, &record);
}

/* What is no failure: somebody has put another object there, or something into the directory, or has moved it away. */
static bool is_somebodys(int rc) {
  return rc == -ESTALE || rc == -ENOTEMPTY || rc == -EEXIST || rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP ||
         rc == -EXDEV;
}

static void give_back(struct fc_reaper *r, const char *slot, int dirfd, const char *path, int why) {
  const char *slash = strrchr(path, '/');
  const char *leaf = slash ? slash + 1 : path;
  char where[NAME_MAX + 1];
  int fd = dirfd;
  if (fd < 0) {
    /* Recovery, or the directory in hand may have moved: resolve the parent again, else the base takes it. */
    r->path[0] = '\0';
    if (slash) {
      memcpy(r->path, path, (size_t)(slash - path));
      r->path[slash - path] = '\0';
    }
    fd = fc_beneath_open(r->base_fd, r->path);
  }
  int rc = fd < 0 ? fd : fc_quarantine_give_back(&r->quarantine, slot, fd, leaf, where);
  if (rc < 0) rc = fc_quarantine_give_back(&r->quarantine, slot, r->base_fd, leaf, where);
  if (fd >= 0 && fd != dirfd) (void)fc_sys_close(fd);
  if (rc == 0) {
    r->result->restored++;
    if (is_somebodys(why) || why == -EBUSY) {
      fc_log_write(&r->log, FC_LOG_WARN, "%s/%s was replaced while it was being removed; what was found there is at %s",
                   r->header->base, path, where);
    } else {
      r->result->failed++; /* the next try may do it */
      fc_log_write(&r->log, FC_LOG_WARN, "cannot remove %s/%s: error %d; it is at %s", r->header->base, path, -why,
                   where);
    }
  } else if (rc != -ENOENT) {
    r->result->failed++;
    fc_log_write(&r->log, FC_LOG_ERROR, "cannot put %s back from %s/%s: error %d; it is safe there", path,
                 r->header->base, r->quarantine.name, -rc);
  }
}

/* What stands at one name, right before it is dealt with. */
struct found {
  const struct place *place;
  const char *leaf;
  const char *path;     /* beneath the base */
  struct fc_node *node; /* NULL: seen by no hook */
  struct fc_identity identity;
  struct statx st;
  uint64_t created; /* the node's, when it was picked */
  uint64_t since;
};

/* The second look and the deletion, in a directory that nobody else reaches. Who had found the file by its name before
 * it was taken away may only now come to open it: the lease is asked last of all. */
static int remove_slot(struct fc_reaper *r, const char *slot, const struct fc_identity *identity, bool is_dir,
                       const struct fc_lease *lease) {
  struct fc_identity now;
  struct statx st;
  int rc = fc_ground_look(&r->ground, r->quarantine.fd, slot, &now, &st);
  if (rc < 0) return rc;
  if (!fc_ground_same(&r->ground, identity, &now)) return -ESTALE;
  if (!fc_lease_is_whole(lease)) return -EBUSY;
  rc = fc_sys_unlinkat(r->quarantine.fd, slot, is_dir ? AT_REMOVEDIR : 0);
  return rc;
}

static bool read_on(struct fc_reaper *r) {
  struct fc_head_words *words = r->journal.words;
  if (__atomic_load_n(&words->lost_destructive, __ATOMIC_ACQUIRE)) return false;
  const uint32_t next = __atomic_load_n(&words->next, __ATOMIC_ACQUIRE);
  if (next == r->replay.next && r->replay.open_count == 0) return true;
  return fc_replay_resume(&r->replay, next) && fc_history_replay(&r->registry, &r->replay) == 0;
}

bool fc_reaper_look_around(struct fc_reaper *r) {
  if (r->owner) return true; /* he asks for each name himself */
  if (r->live && !read_on(r)) r->blind = true;
  if (!fc_neighbours_refresh(&r->neighbours, r->dirfd, r->header->id, &r->registry.arena)) r->blind = true;
  r->ground.neighbours = r->neighbours.first;
  return !r->blind;
}

/* In a session that lives: is the node still what it was when it was picked, at the place where it was? */
static bool is_still(struct fc_reaper *r, const struct found *f) {
  if (!r->live || !f->node) return true;
  return f->node->parent == f->place->node && f->node->created == f->created && f->node->since == f->since &&
         fc_ownership_tracked(&r->registry, f->node) &&
         (f->place->node->ground != FC_GROUND_SHARED || f->created >= r->registry.data_moved) &&
         fc_ownership_holds_in(&r->registry, f->node, &f->place->identity, f->leaf) &&
         fc_registry_path(f->node, r->path2, FC_REAPER_PATH_BYTES) > 0 && strcmp(r->path2, f->path) == 0;
}

/* Writes the path of the directory that holds path. False when that is the base. */
static bool parent_path(const char *path, char *out) {
  const char *slash = strrchr(path, '/');
  if (!slash) return false;
  memcpy(out, path, (size_t)(slash - path));
  out[slash - path] = '\0';
  return true;
}

/* The directory in hand, which holds the name at path, is still where its own path says, beneath the base: moved out of
 * it, what it holds is the mover's. Returns 0, -ESTALE, or -errno when that cannot be told now. */
static int place_stands(struct fc_reaper *r, const struct place *place, const char *path) {
  const struct fc_node *dir = place->node;
  struct statx st;
  int rc;
  if (dir && !dir->parent) return 0;
  if (dir && !dir->parent->parent) {
    rc = fc_sys_statx(r->base_fd, fc_registry_leaf(dir), AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_INO, &st);
  } else {
    const bool known = dir ? fc_registry_path(dir, r->path2, FC_REAPER_PATH_BYTES) > 0 : parent_path(path, r->path2);
    if (!known) return -ESTALE;
    if (strchr(r->path2, '/')) {
      const int fd = fc_beneath_open(r->base_fd, r->path2);
      rc = fd < 0 ? fd : fc_sys_statx(fd, "", AT_EMPTY_PATH, STATX_INO, &st);
      if (fd >= 0) (void)fc_sys_close(fd);
    } else { /* one step beneath the base: no link can be on the way */
      rc = fc_sys_statx(r->base_fd, r->path2, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_INO, &st);
    }
  }
  if (is_somebodys(rc)) return -ESTALE;
  if (rc < 0) return rc;
  const bool same = st.stx_ino == place->identity.ino && st.stx_dev_major == place->identity.dev_major &&
                    st.stx_dev_minor == place->identity.dev_minor;
  return same ? 0 : -ESTALE;
}

/* Somebody may still work with our files: this session's own, a process that was never seen to arrive, a neighbour. A
 * manager asks always: others may read what its owner has made. */
static bool asks_in_use(const struct fc_reaper *r) {
  return r->header->policy.in_use == FC_IN_USE_SKIP &&
         (r->live || r->unseen || r->neighbours.first || fc_session_is_managed(r->header));
}

static bool is_in_use(struct fc_reaper *r, struct fc_lease *lease, const struct found *f) {
  lease->fd = -1;
  if (!asks_in_use(r) || !MODE_IS(&f->st, S_IFREG)) return false;
  const enum fc_lease_answer answer = fc_lease_take(lease, f->place->fd, f->leaf);
  if (answer == FC_LEASE_UNKNOWN && !r->told) {
    r->told = true;
    fc_log_write(&r->log, FC_LOG_WARN, "%s/%s: whether it is in use cannot be asked here (no lease); such files stay",
                 r->header->base, f->path);
  }
  return answer != FC_LEASE_FREE;
}

/* Capture, verify, delete one name. */
static enum verdict capture_and_remove(struct fc_reaper *r, const struct found *f, const struct fc_lease *lease) {
  char slot[FC_SLOT_NAME_BYTES];
  /* Every name of a directory that was moved out would else vanish for a moment before it is given back. */
  if (fc_identity_same_inode(&r->moved, &f->place->identity) && place_stands(r, f->place, f->path) == -ESTALE) {
    r->error = -ESTALE;
    r->result->replaced++;
    return SPARED;
  }
  int rc = fc_quarantine_open(&r->quarantine, true);
  const int64_t index = rc < 0 ? -1 : record_capture(r, f->path, &f->identity);
  if (index < 0) {
    r->error = rc < 0 ? rc : -ENOSPC;
    r->result->failed++;
    return SPARED;
  }
  if (!fc_lease_is_whole(lease)) {
    r->error = -EBUSY;
    r->result->in_use++;
    return SPARED;
  }
  if (r->removing) r->removing(f->place->fd, f->leaf);
  fc_quarantine_slot_name((uint32_t)index, slot);
  rc = fc_quarantine_take(&r->quarantine, f->place->fd, f->leaf, slot);
  if (rc == -ENOENT) {
    r->error = rc;
    return r->owner ? SPARED : GONE;
  }
  if (rc < 0) {
    r->error = rc;
    count_failure(r, rc);
    fc_log_write(&r->log, FC_LOG_WARN, "cannot remove %s/%s: error %d", r->header->base, f->path, -rc);
    return SPARED;
  }
  /* Between the first look and the capture somebody may have begun to use it. */
  const bool sees = fc_reaper_look_around(r);
  const bool wanted = fc_neighbour_using(r->neighbours.first, f->path) || !is_still(r, f) ||
                      (r->spares && r->spares(r->spares_context, f->path));
  rc = !sees || wanted ? -EBUSY : place_stands(r, f->place, f->path);
  if (rc == -ESTALE) r->moved = f->place->identity;
  if (rc == 0) rc = remove_slot(r, slot, &f->identity, MODE_IS(&f->st, S_IFDIR), lease);
  if (rc == 0) {
    if (MODE_IS(&f->st, S_IFREG)) r->result->bytes += f->st.stx_size;
    return GONE;
  }
  r->error = rc;
  if (rc == -EBUSY) r->result->in_use++;
  give_back(r, slot, f->place->fd, f->path, rc);
  return SPARED;
}

/* Whoever asks for it: a device node, or what is to be kept. */
static bool is_never_removed(const struct fc_reaper *r, const struct found *f) {
  return MODE_IS(&f->st, S_IFCHR) || MODE_IS(&f->st, S_IFBLK) || fc_keep_names(r->header, f->path) ||
         (r->spares && r->spares(r->spares_context, f->path));
}

/* The rules that spare a name whatever others do with it. Counts why. */
static bool is_spared(struct fc_reaper *r, const struct found *f) {
  if (!fc_ground_same(&r->ground, &f->node->identity, &f->identity)) {
    r->result->replaced++;
    return true;
  }
  if (f->node->asked) {
    const bool spared = is_never_removed(r, f) || !fc_ownership_stands(&r->registry, f->node);
    r->result->kept += spared;
    return spared;
  }
  if (MODE_IS(&f->st, S_IFCHR) || MODE_IS(&f->st, S_IFBLK) ||
      !fc_ownership_holds_in(&r->registry, f->node, &f->place->identity, f->leaf) ||
      fc_ground_is_companion(&r->ground, f->place->node, f->place->fd, f->leaf) ||
      fc_ground_moved_in(&r->ground, f->node, &f->st) || fc_keep_names(r->header, f->path)) {
    r->result->kept++;
    return true;
  }
  return false;
}

/* A live session that has USED the name gets it, and it dies with that session; what is in use stays. When the answer
 * is no, the lease may be held. */
static bool is_needed(struct fc_reaper *r, const struct found *f, struct fc_lease *lease) {
  lease->fd = -1;
  if (!fc_reaper_look_around(r)) {
    r->result->in_use++;
    return true;
  }
  struct fc_neighbour *user = fc_neighbour_using(r->neighbours.first, f->path);
  if (user && r->live) {
    r->result->in_use++; /* it stays ours, until our end hands it over */
    return true;
  }
  if (user) {
    /* One that has moved data of the user's may have moved it into this very name: then nobody may delete it. */
    if (!fc_neighbours_moved_data_to(r->neighbours.first, f->path) &&
        fc_neighbour_adopt(user, f->path, &f->identity, MODE_IS(&f->st, S_IFDIR)))
      r->result->adopted++;
    else
      r->result->kept++;
    return true;
  }
  if (!is_still(r, f)) {
    r->result->kept++;
    return true;
  }
  if (is_in_use(r, lease, f)) {
    r->error = -EBUSY;
    r->result->in_use++;
    return true;
  }
  return false;
}

/* Deletes what has been found, unless it is needed. */
static bool remove_found(struct fc_reaper *r, const struct found *f) {
  struct fc_lease lease;
  const bool gone = !is_needed(r, f, &lease) && capture_and_remove(r, f, &lease) == GONE;
  fc_lease_drop(&lease);
  return gone;
}

/* Fills *f with what stands at the node's name now. False when there is nothing to do, which has been counted. */
static bool find(struct fc_reaper *r, const struct place *place, struct fc_node *node, struct found *f) {
  *f = (struct found){.place = place,
                      .leaf = fc_registry_leaf(node),
                      .path = r->path,
                      .node = node,
                      .created = node->created,
                      .since = node->since};
  const int rc = fc_ground_look(&r->ground, place->fd, f->leaf, &f->identity, &f->st);
  if (rc == -ENOENT) return false;
  if (rc == -EXDEV) { /* something is mounted there */
    r->result->replaced++;
    return false;
  }
  if (rc < 0 || fc_registry_path(node, r->path, FC_REAPER_PATH_BYTES) == 0) {
    count_failure(r, rc);
    return false;
  }
  /* Recorded as the other kind, or identity would have differed. */
  if (MODE_IS(&f->st, S_IFDIR) != node->is_dir) {
    r->result->replaced++;
    return false;
  }
  if (is_spared(r, f)) return false;
  return !r->wants || r->wants(r->wants_context, node, &f->st);
}

static void remove_file(struct fc_reaper *r, const struct place *place, struct fc_node *node) {
  struct found f;
  if (!find(r, place, node, &f)) return;
  r->result->leaked += !r->live;
  if (remove_found(r, &f)) r->result->files++;
}

/* What spares a name that no hook has seen: KEEP, companions and devices as ever, and another session whose hooks have:
 * one that lives, that was kept, or that is over and has yet to be ended by its own policy. */
static bool is_spared_unseen(struct fc_reaper *r, const struct found *f) {
  if (!fc_identity_proves(&f->identity) || MODE_IS(&f->st, S_IFCHR) || MODE_IS(&f->st, S_IFBLK)) return true;
  if (fc_keep_names(r->header, f->path)) return true;
  if (!fc_neighbours_read_silent(&r->neighbours, r->dirfd, r->header->id, &r->registry.arena)) return true;
  const enum fc_neighbour_word word = fc_neighbours_know(&r->neighbours, f->path);
  if (word == FC_NEIGHBOUR_ENDS) r->result->in_use++; /* the next try, behind its end */
  if (word != FC_NEIGHBOUR_NONE) return true;
  struct fc_node *dir = parent_path(f->path, r->path2) ? fc_registry_find(&r->registry, r->path2, true) : NULL;
  return !dir || fc_ground_is_companion(&r->ground, dir, f->place->fd, f->leaf);
}

/* DIRS=recursive: a name that no hook has seen, below a directory of ours, made since by the same user. */
static void remove_unseen(void *context, int dirfd, const char *path, const char *leaf) {
  struct fc_reaper *r = context;
  struct place place = {.fd = dirfd};
  struct found f = {.place = &place, .leaf = leaf, .path = path};
  if (out_of_time(r) || fc_ground_look(&r->ground, dirfd, "", &place.identity, &f.st) < 0 ||
      fc_ground_look(&r->ground, dirfd, leaf, &f.identity, &f.st) < 0)
    return;
  if (!fc_reaper_look_around(r) || is_spared_unseen(r, &f)) {
    r->result->kept++;
    return;
  }
  if (MODE_IS(&f.st, S_IFDIR)) {
    const int fd = fc_beneath_open(dirfd, leaf);
    const int empty = fd < 0 ? fd : fc_list_is_empty(fd, r->list);
    if (fd >= 0) (void)fc_sys_close(fd);
    if (empty != 1) return;
  }
  if (remove_found(r, &f)) r->result->unseen++;
}

/* A tracked directory whose own names have been dealt with. Only when it is empty. */
static void remove_directory(struct fc_reaper *r, const struct place *place, struct fc_node *node) {
  struct found f;
  const uint32_t dirs = r->header->policy.dirs;
  if ((dirs == FC_DIRS_KEEP && !node->asked) || !find(r, place, node, &f)) return;
  const int fd = fc_beneath_open(place->fd, f.leaf);
  if (fd >= 0 && (dirs == FC_DIRS_RECURSIVE || node->tree) && !r->live)
    fc_unseen_below(&r->registry, node, fd, r->path, r->header->uid, r->ground.until_ns, remove_unseen, r);
  const int empty = fd < 0 ? fd : fc_list_is_empty(fd, r->list);
  if (fd >= 0) (void)fc_sys_close(fd);
  if (empty < 0 && !is_somebodys(empty)) count_failure(r, empty);
  if (empty != 1) {
    /* What keeps it may be a neighbour's: then it dies with the neighbour. */
    struct fc_neighbour *heir = r->live ? NULL : fc_neighbour_below(r->neighbours.first, r->path);
    if (heir && fc_neighbour_adopt(heir, r->path, &f.identity, true)) r->result->adopted++;
    return;
  }
  r->result->leaked += !r->live;
  if (remove_found(r, &f)) r->result->dirs++;
}

/* Opens the directory of node. False when it is gone, or cannot be opened, which has been counted. */
static bool open_place(struct fc_reaper *r, struct fc_node *node, struct place *place) {
  *place = (struct place){.fd = -1, .node = node};
  if (node->parent && fc_registry_path(node, r->path, FC_REAPER_PATH_BYTES) == 0) return false;
  place->fd = fc_beneath_open(r->base_fd, node->parent ? r->path : "");
  if (place->fd < 0) {
    const int rc = place->fd;
    if (rc != -ENOENT && rc != -ENOTDIR && rc != -ELOOP && rc != -EXDEV) count_failure(r, rc);
    return false;
  }
  struct statx st;
  if (fc_ground_look(&r->ground, place->fd, "", &place->identity, &st) == 0) return true;
  r->result->failed++;
  (void)fc_sys_close(place->fd);
  place->fd = -1;
  return false;
}

/* What the owner expected here has come, or nothing has: the first look binds it. False: it is not what he meant. */
static bool bind_expected(struct fc_reaper *r, const struct place *place, struct fc_node *n) {
  struct statx st;
  struct fc_identity now;
  const int rc = fc_ground_look(&r->ground, place->fd, fc_registry_leaf(n), &now, &st);
  if (rc < 0 && rc != -ENOENT) count_failure(r, rc);
  if (rc < 0) return false;
  if (!fc_identity_proves(&now) || !fc_ground_appeared(&r->ground, n, &st)) {
    r->result->replaced++;
    return false;
  }
  n->identity = now;
  n->is_dir = MODE_IS(&st, S_IFDIR);
  n->expected = false;
  return true;
}

static void decide(struct fc_reaper *r, const struct place *place, enum fc_ground_kind kind, struct fc_node *n) {
  if (n->expected && !bind_expected(r, place, n)) return;
  if (n->asked) kind = FC_GROUND_OURS; /* on whatever ground: he has said so */
  if (kind != FC_GROUND_OURS && kind != FC_GROUND_SHARED) {
    r->result->kept++;
    return;
  }
  if (kind == FC_GROUND_SHARED && n->created < r->registry.data_moved) {
    r->result->kept++; /* N3: on the user's ground only what came after the last move of data */
    return;
  }
  if (n->is_dir)
    remove_directory(r, place, n);
  else
    remove_file(r, place, n);
}

static void remove_name(struct fc_reaper *r, const struct place *place, enum fc_ground_kind kind, struct fc_node *n) {
  if (!fc_ownership_tracked(&r->registry, n)) return;
  const struct fc_reap_result before = *r->result;
  decide(r, place, kind, n);
  const struct fc_reap_result *now = r->result;
  if (!r->watch || fc_registry_path(n, r->path, FC_REAPER_PATH_BYTES) == 0) return;
  const bool gone = now->files + now->dirs > before.files + before.dirs;
  const char *why = now->kept > before.kept           ? "kept"
                    : now->in_use > before.in_use     ? "in_use"
                    : now->adopted > before.adopted   ? "handed_over"
                    : now->failed > before.failed     ? "failed"
                    : now->replaced > before.replaced ? "replaced"
                                                      : "";
  r->watch->each(r->watch->context, r->path, gone ? NULL : why);
}

/* Deletes the tracked names that lie directly in place. Its subdirectories have been dealt with before. */
static void empty_place(struct fc_reaper *r, struct place *place) {
  enum fc_ground_kind kind = FC_GROUND_UNKNOWN;
  for (struct fc_node *n = place->node->first_child; n && !out_of_time(r); n = n->next) {
    if (kind == FC_GROUND_UNKNOWN && !n->asked) kind = fc_ground_of(&r->ground, place->node, place->fd);
    remove_name(r, place, kind, n);
  }
}

void fc_reaper_recover(struct fc_reaper *r) {
  int rc = fc_quarantine_open(&r->quarantine, false);
  if (rc == -ENOENT || rc == -EPERM) return; /* EPERM: somebody else's directory */
  char *buffer = rc < 0 ? NULL : fc_arena_alloc(&r->registry.arena, FC_LIST_BYTES);
  if (!buffer) {
    r->result->failed++; /* it may hold something of somebody's: the session stays for the next try */
    return;
  }
  struct fc_list list;
  struct fc_entry entry;
  fc_list_begin(&list, r->quarantine.fd, buffer);
  while ((rc = fc_list_next(&list, &entry)) == 1) {
    uint32_t number;
    const struct fc_capture *capture = NULL;
    if (fc_quarantine_slot_number(entry.name, &number))
      for (capture = r->registry.captures; capture && capture->slot != number;) capture = capture->next;
    if (!capture) {
      give_back(r, entry.name, r->base_fd, entry.name, -ESTALE); /* no record: nothing may be deleted */
      continue;
    }
    struct fc_node *node = fc_registry_find(&r->registry, capture->path, false);
    struct fc_identity now;
    struct statx st;
    const bool ours = node && !r->live && fc_ownership_tracked(&r->registry, node) &&
                      fc_ground_look(&r->ground, r->quarantine.fd, entry.name, &now, &st) == 0 &&
                      fc_ground_same(&r->ground, &capture->identity, &now) &&
                      fc_ground_same(&r->ground, &node->identity, &now);
    if (!ours) {
      give_back(r, entry.name, -1, capture->path, -ESTALE);
    } else {
      const struct fc_lease none = {-1};
      rc = remove_slot(r, entry.name, &node->identity, node->is_dir, &none);
      if (rc == 0)
        *(node->is_dir ? &r->result->dirs : &r->result->files) += 1;
      else
        give_back(r, entry.name, -1, capture->path, rc);
    }
  }
  if (rc < 0) r->result->failed++;
}

/* Children before parents, so that a directory is looked at when its own names have been dealt with. */
static void empty_places(struct fc_reaper *r) {
  struct fc_node *const root = &r->registry.root;
  for (struct fc_node *n = fc_registry_postorder(root, NULL); n && !out_of_time(r);
       n = fc_registry_postorder(root, n)) {
    struct place place;
    if (!n->first_child || !open_place(r, n, &place)) continue;
    empty_place(r, &place);
    (void)fc_sys_close(place.fd);
  }
}

void fc_reaper_everything(struct fc_reaper *r) {
  empty_places(r);
  if (!r->denied) return;
  struct fc_opened *const opened = fc_permission_open_up(&r->ground, r->path);
  if (!opened) return;
  r->result->kept = r->result->replaced = r->result->in_use = r->result->failed = 0; /* counted again */
  empty_places(r);
  fc_permission_restore(&r->ground, opened, r->path);
}

void fc_reaper_pick(struct fc_reaper *r, struct fc_node *const *nodes, size_t count) {
  struct place place = {.fd = -1};
  enum fc_ground_kind kind = FC_GROUND_UNKNOWN;
  for (size_t i = 0; i < count && !out_of_time(r); i++) {
    struct fc_node *const n = nodes[i];
    if (!n->parent) continue; /* dropped meanwhile */
    if (place.node != n->parent || place.fd < 0 || place_stands(r, &place, NULL) < 0) {
      if (place.fd >= 0) (void)fc_sys_close(place.fd);
      if (!open_place(r, n->parent, &place)) continue;
      kind = fc_ground_of(&r->ground, place.node, place.fd);
    }
    remove_name(r, &place, kind, n);
  }
  if (place.fd >= 0) (void)fc_sys_close(place.fd);
}

int fc_reaper_open(struct fc_reaper *r, int dirfd, int fd, const struct fc_session_header *h, bool live,
                   int64_t deadline_ns, struct fc_reap_result *result) {
  memset(r, 0, sizeof *r);
  memset(result, 0, sizeof *result);
  r->header = h;
  r->dirfd = dirfd;
  r->fd = fd;
  r->live = live;
  r->base_fd = -1;
  r->quarantine.fd = -1;
  r->result = result;
  r->deadline_ns = deadline_ns;
  r->registry.leader_pid = h->leader_pid;
  r->registry.leader_status = -1;
  r->registry.no_captures = live && !fc_quarantine_stands(h);
  r->captures = &r->journal;
  fc_log_open(&r->log, &h->policy, h->path);
  int rc = fc_session_map(fd, h, &r->journal);
  if (rc < 0) return rc;
  r->path = fc_arena_alloc(&r->registry.arena, FC_REAPER_PATH_BYTES);
  r->path2 = fc_arena_alloc(&r->registry.arena, FC_REAPER_PATH_BYTES);
  r->list = fc_arena_alloc(&r->registry.arena, FC_LIST_BYTES);
  if (!r->path || !r->path2 || !r->list) return -ENOMEM;
  if (!live) {
    /* A guardian whose session was killed may be in the middle of a checkpoint, and the records move under a reader. */
    if (!fc_turn_take(fd, deadline_ns)) return -EINTR;
    r->journal.limit = h->capacity;
    fc_checkpoint_finish(fd, h);
  }
  rc = fc_replay_begin(&r->replay, &r->registry.arena, fd, h->key, h->capacity, !live);
  if (rc == 0) rc = fc_history_replay(&r->registry, &r->replay);
  if (rc == 0 && __atomic_load_n(&r->journal.words->lost_destructive, __ATOMIC_ACQUIRE)) rc = -EBADMSG;
  return rc;
}

/* What no record speaks of was made by the session only while it lived: before the first try of its end, however long
 * ago that was, and before this boot when it is of another one. A file that is born while its end is under way is
 * somebody's who has not recorded it yet. */
static int64_t last_birth(struct fc_reaper *r, bool across_boot) {
  const int64_t now = fc_sys_realtime();
  if (r->live) return now;
  int64_t first = 0;
  if (__atomic_compare_exchange_n(&r->journal.words->reaped_ns, &first, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    first = now;
  const int64_t boot = across_boot ? now - fc_sys_boottime() : now;
  return first < boot ? first : boot;
}

int fc_reaper_open_base(struct fc_reaper *r, bool across_boot) {
  const struct fc_session_header *h = r->header;
  r->base_fd = fc_base_reopen(h->base, &h->base_identity, h->fs_id, across_boot);
  if (r->base_fd < 0) return r->base_fd;
  struct fc_identity base_now;
  struct statx st;
  const int rc = fc_identity_look(r->base_fd, "", false, false, &base_now, &st);
  r->ground = (struct fc_ground){
      &r->registry, h, NULL, r->base_fd, base_now.dev_major, base_now.dev_minor, last_birth(r, across_boot)};
  fc_quarantine_begin(&r->quarantine, r->base_fd, h->id);
  if (rc < 0) return rc;
  return fc_reaper_look_around(r) && !(across_boot && fc_base_is_volatile(h->fs_type)) ? 0 : -EBUSY;
}

bool fc_reaper_ready(struct fc_reaper *r) {
  if (fc_ground_follow_links(&r->ground, r->deadline_ns)) return true;
  r->late = true; /* not everything could be asked */
  return false;
}

/* ---- for the owner of a session that lives ---- */

int fc_reaper_open_owner(struct fc_reaper *r, const struct fc_session_header *h, int base_fd,
                         struct fc_journal *journal, struct fc_reap_result *result) {
  memset(r, 0, sizeof *r);
  memset(result, 0, sizeof *result);
  r->header = h;
  r->dirfd = r->fd = r->hand_fd = -1;
  r->base_fd = base_fd;
  r->owner = r->live = true;
  r->captures = journal;
  r->result = result;
  r->deadline_ns = FC_INFINITY_NS;
  r->path = fc_arena_alloc(&r->registry.arena, FC_REAPER_PATH_BYTES);
  r->path2 = fc_arena_alloc(&r->registry.arena, FC_REAPER_PATH_BYTES);
  r->hand = fc_arena_alloc(&r->registry.arena, FC_REAPER_PATH_BYTES);
  r->list = fc_arena_alloc(&r->registry.arena, FC_LIST_BYTES);
  if (!r->path || !r->path2 || !r->hand || !r->list) return -ENOMEM;
  fc_log_open(&r->log, &h->policy, h->path);
  const struct fc_identity *base = &h->base_identity; /* of this boot: it is ours */
  r->ground = (struct fc_ground){&r->registry, h, NULL, base_fd, base->dev_major, base->dev_minor, INT64_MAX};
  fc_quarantine_begin(&r->quarantine, base_fd, h->id);
  return 0;
}

void fc_reaper_rest(struct fc_reaper *r) {
  (void)fc_quarantine_end(&r->quarantine);
  if (r->hand_fd >= 0 && r->hand_fd != r->base_fd) (void)fc_sys_close(r->hand_fd);
  r->hand_fd = -1;
}

/* Opens the directory that holds path, unless it is the one in hand. */
static int take_in_hand(struct fc_reaper *r, const char *path, struct place *place, const char **leaf) {
  const char *slash = strrchr(path, '/');
  *leaf = slash ? slash + 1 : path;
  *place = (struct place){.fd = r->base_fd};
  if (!slash) {
    place->node = &r->registry.root;
    return 0;
  }
  const size_t len = (size_t)(slash - path);
  /* Should it have been moved meanwhile, the look behind the capture tells. */
  const bool same = r->hand_fd >= 0 && strncmp(r->hand, path, len) == 0 && r->hand[len] == '\0';
  if (!same) {
    if (r->hand_fd >= 0) (void)fc_sys_close(r->hand_fd);
    memcpy(r->hand, path, len);
    r->hand[len] = '\0';
    r->hand_fd = fc_beneath_open(r->base_fd, r->hand);
    if (r->hand_fd < 0) return r->hand_fd;
    struct statx st;
    const int rc = fc_identity_take(r->hand_fd, "", false, &r->hand_identity, &st);
    if (rc < 0) return rc;
  }
  place->identity = r->hand_identity;
  place->fd = r->hand_fd;
  return 0;
}

/* Tells who listens that the name has been removed. */
static void tell_gone(const struct fc_reaper *r, const struct found *f) {
  *(MODE_IS(&f->st, S_IFDIR) ? &r->result->dirs : &r->result->files) += 1;
  if (r->watch) r->watch->each(r->watch->context, f->path, NULL);
}

/* One name of a tree that goes as a whole: everything that is the owner's user's, on the same mount. */
static void remove_below(struct fc_reaper *r, int dirfd, const char *path, const char *leaf) {
  struct place place = {.fd = dirfd};
  struct found f = {.place = &place, .leaf = leaf, .path = path};
  int rc = fc_identity_take(dirfd, "", false, &place.identity, &f.st);
  if (rc == 0) rc = fc_ground_look(&r->ground, dirfd, leaf, &f.identity, &f.st);
  if (rc == -ENOENT) return;
  if (rc < 0) {
    r->error = rc;
    count_failure(r, rc);
    return;
  }
  if (MODE_IS(&f.st, S_IFDIR)) {
    const int fd = fc_beneath_open(dirfd, leaf);
    const int empty = fd < 0 ? fd : fc_list_is_empty(fd, r->list);
    if (fd >= 0) (void)fc_sys_close(fd);
    if (empty < 0) count_failure(r, r->error = empty);
    if (empty != 1) return;
  }
  if (r->wants && !MODE_IS(&f.st, S_IFDIR) && !r->wants(r->wants_context, NULL, &f.st)) return;
  if (is_never_removed(r, &f) || f.st.stx_uid != r->header->uid || !fc_identity_proves(&f.identity)) {
    r->result->kept++;
    return;
  }
  if (remove_found(r, &f)) tell_gone(r, &f);
}

/* Everything below the directory, open as fd, with this path. */
static void empty_tree(struct fc_reaper *r, int fd, const char *path) {
  struct fc_arena arena = {0};
  struct fc_walk walk;
  struct fc_walked at;
  if (fc_walk_begin(&walk, &arena, fd, path)) {
    while (fc_walk_next(&walk, &at) == 1) {
      struct statx st;
      const bool is_dir =
          !at.after && (at.type == DT_DIR || (at.type == DT_UNKNOWN &&
                                              fc_sys_statx(at.dirfd, at.leaf, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
                                                           STATX_TYPE, &st) == 0 &&
                                              MODE_IS(&st, S_IFDIR)));
      if (is_dir)
        fc_walk_enter(&walk);
      else
        remove_below(r, at.dirfd, at.path, at.leaf);
    }
    fc_walk_end(&walk);
  } else {
    r->error = -ENOMEM;
    r->result->failed++;
  }
  fc_arena_free(&arena);
}

/* Makes a directory empty as far as it may be. 0 or -errno. */
static int empty_directory(struct fc_reaper *r, const struct found *f, bool tree) {
  struct fc_identity now;
  struct statx st;
  const int fd = fc_beneath_open(f->place->fd, f->leaf);
  if (fd < 0) return fd;
  int rc = fc_identity_take(fd, "", r->header->with_handle != 0, &now, &st);
  if (rc == 0 && !fc_identity_same_inode(&now, &f->identity)) rc = -ESTALE;
  if (rc == 0 && tree) empty_tree(r, fd, f->path);
  const int empty = rc < 0 ? rc : fc_list_is_empty(fd, r->list);
  (void)fc_sys_close(fd);
  if (empty == 0) return r->error < 0 ? r->error : -ENOTEMPTY;
  return empty < 0 ? empty : 0;
}

int fc_reaper_look(struct fc_reaper *r, const char *path, struct fc_identity *now, struct statx *st) {
  struct place place;
  const char *leaf;
  const int rc = take_in_hand(r, path, &place, &leaf);
  return rc < 0 ? rc : fc_ground_look(&r->ground, place.fd, leaf, now, st);
}

int fc_reaper_ask(struct fc_reaper *r, const char *path, const struct fc_identity *identity, bool tree) {
  struct place place;
  struct found f = {.place = &place, .path = path};
  r->error = 0;
  int rc = take_in_hand(r, path, &place, &f.leaf);
  if (rc == 0) {
    rc = fc_ground_look(&r->ground, place.fd, f.leaf, &f.identity, &f.st);
    if (rc == -EXDEV && identity) rc = -ESTALE; /* something is mounted there: it is not what is meant */
  }
  if (rc == -ENOENT) return rc;
  if (rc == -ESTALE || rc == -ELOOP || rc == -EXDEV ||
      rc == -ENOTDIR) { /* another one stands where a directory of the path was */
    r->result->replaced++;
    return rc;
  }
  if (rc < 0) {
    count_failure(r, rc);
    return rc;
  }
  r->found = f.identity;
  r->found_mode = f.st.stx_mode;
  if (identity && !fc_ground_same(&r->ground, identity, &f.identity)) {
    r->result->replaced++;
    return -ESTALE;
  }
  if (!fc_identity_proves(&f.identity)) {
    r->result->kept++;
    return -ENOTSUP;
  }
  if (is_never_removed(r, &f)) {
    r->result->kept++;
    return -EBUSY;
  }
  if (r->wants && !r->wants(r->wants_context, NULL, &f.st)) return -EAGAIN;
  if (MODE_IS(&f.st, S_IFDIR)) {
    rc = empty_directory(r, &f, tree);
    if (rc < 0) return rc;
  }
  if (!remove_found(r, &f)) return r->error < 0 ? r->error : -EBUSY;
  tell_gone(r, &f);
  return 0;
}

void fc_reaper_close(struct fc_reaper *r) {
  (void)fc_quarantine_end(&r->quarantine);
  fc_neighbours_free(&r->neighbours);
  if (r->base_fd >= 0 && !r->owner) (void)fc_sys_close(r->base_fd);
  fc_journal_unmap(&r->journal);
  fc_registry_free(&r->registry);
  memset(r, 0, sizeof *r);
}
