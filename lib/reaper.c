#include "reaper.h"

#include <dirent.h>
#include <string.h>

#include "beneath.h"
#include "ground.h"
#include "ownership.h"
#include "quarantine.h"

#define PATH_BYTES 16384
#define F_SETSIG_ 10
#define F_SETLEASE_ 1024
#define MODE_IS(st, type) (((st)->stx_mode & S_IFMT) == (type))

struct reaper {
  const struct fc_session_header *header;
  int dirfd;
  int fd;
  int base_fd;
  struct fc_registry registry;
  struct fc_journal journal; /* for CAPTURE records */
  struct fc_neighbours neighbours;
  struct fc_ground ground;
  struct fc_quarantine quarantine;
  struct fc_log log;
  struct fc_reap_result *result;
  int64_t deadline_ns;
  bool unseen; /* a process was seen to exec and never to arrive */
  bool blind;  /* a neighbour could not be read: it may use anything */
  bool late;   /* the deadline has passed */
  char *path;  /* PATH_BYTES: of the node in hand */
  char *list;  /* FC_LIST_BYTES */
};

/* A directory in hand: open and checked. */
struct place {
  int fd;
  struct fc_node *node;
  struct fc_identity identity;
};

enum verdict { GONE, SPARED };

static bool out_of_time(struct reaper *r) {
  if (r->blind) return true;
  if (!r->late && r->deadline_ns != FC_INFINITY_NS && fc_journal_now() >= r->deadline_ns) r->late = true;
  return r->late;
}

/* A write lease is refused exactly when somebody else has the file open, mapped or executes it. It is given back at
 * once; its break signal is made SIGURG, which is ignored by default, and all signals are blocked in a host. */
static bool in_use(int dirfd, const char *leaf) {
  const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  int fd = fc_sys_openat(dirfd, leaf, flags | O_NOATIME, 0);
  if (fd == -EPERM) fd = fc_sys_openat(dirfd, leaf, flags, 0);
  if (fd < 0) return fd != -ENOENT;
  (void)fc_sys_fcntl(fd, F_SETSIG_, SIGURG);
  const bool refused = fc_sys_fcntl(fd, F_SETLEASE_, F_WRLCK) < 0; /* also where there are no leases: cannot tell */
  if (!refused) (void)fc_sys_fcntl(fd, F_SETLEASE_, F_UNLCK);
  (void)fc_sys_close(fd);
  return refused;
}

static int64_t record_capture(struct reaper *r, const char *path, const struct fc_identity *identity) {
  const struct fc_record record = {.type = FC_REC_CAPTURE,
                                   .pid = (uint32_t)fc_sys_getpid(),
                                   .time_ns = fc_journal_now(),
                                   .identity = identity,
                                   .path = {NULL, 0, path, strlen(path)}};
  return fc_journal_append(&r->journal, &record);
}

static void give_back(struct reaper *r, const char *slot, int dirfd, const char *path) {
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
  if (rc < 0 && rc != -ENOENT) {
    rc = fc_quarantine_give_back(&r->quarantine, slot, r->base_fd, leaf, where);
  }
  if (fd >= 0 && fd != dirfd) (void)fc_sys_close(fd);
  if (rc == 0) {
    r->result->restored++;
    fc_log_write(&r->log, FC_LOG_WARN, "%s/%s was replaced while it was being removed; what was found there is at %s",
                 r->header->base, path, where);
  } else if (rc != -ENOENT) {
    r->result->failed++;
    fc_log_write(&r->log, FC_LOG_ERROR, "cannot put %s back from %s/%s: error %d; it is safe there", path,
                 r->header->base, r->quarantine.name, -rc);
  }
}

/* The second look and the deletion, in a directory that nobody else reaches. */
static int remove_slot(struct reaper *r, const char *slot, const struct fc_node *node, bool is_dir) {
  struct fc_identity now;
  struct statx st;
  int rc = fc_identity_take(r->quarantine.fd, slot, r->header->with_handle != 0, &now, &st);
  if (rc < 0) return rc;
  if (!fc_ground_same(&r->ground, &node->identity, &now)) return -ESTALE;
  rc = fc_sys_unlinkat(r->quarantine.fd, slot, is_dir ? AT_REMOVEDIR : 0);
  return rc;
}

/* Sessions come and go, and work, while this one is reaped: what they use now counts, not what they used at the start.
 */
static void look_around(struct reaper *r) {
  if (!fc_neighbours_refresh(&r->neighbours, r->dirfd, r->header->id, &r->registry.arena)) r->blind = true;
  r->ground.neighbours = r->neighbours.first;
}

/* Somebody may still work with our files: a process that was never seen to arrive, or a neighbour. */
static bool asks_in_use(const struct reaper *r) {
  return r->header->policy.in_use == FC_IN_USE_SKIP && (r->unseen || r->neighbours.first);
}

static bool slot_in_use(const struct reaper *r, const char *slot) {
  struct statx st;
  return fc_sys_statx(r->quarantine.fd, slot, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st) == 0 && MODE_IS(&st, S_IFREG) &&
         in_use(r->quarantine.fd, slot);
}

/* Capture, verify, delete one name of place. path is the node's. */
static enum verdict capture_and_remove(struct reaper *r, const struct place *place, struct fc_node *node,
                                       const char *path, bool is_dir) {
  char slot[FC_SLOT_NAME_BYTES];
  int rc = fc_quarantine_open(&r->quarantine, true);
  const int64_t index = rc < 0 ? -1 : record_capture(r, path, &node->identity);
  if (index < 0) {
    r->result->failed++;
    return SPARED;
  }
  fc_quarantine_slot_name((uint32_t)index, slot);
  rc = fc_quarantine_take(&r->quarantine, place->fd, fc_registry_leaf(node), slot);
  if (rc == -ENOENT) return GONE;
  if (rc < 0) {
    r->result->failed++;
    fc_log_write(&r->log, FC_LOG_WARN, "cannot remove %s/%s: error %d", r->header->base, path, -rc);
    return SPARED;
  }
  look_around(r);
  /* Between the first look and the capture somebody may have begun to use it. */
  const bool wanted =
      fc_neighbour_using(r->neighbours.first, path) || (!is_dir && asks_in_use(r) && slot_in_use(r, slot));
  rc = wanted || r->blind ? -EBUSY : remove_slot(r, slot, node, is_dir);
  if (rc == 0) return GONE;
  if (rc == -EBUSY) r->result->in_use++;
  give_back(r, slot, place->fd, path);
  return SPARED;
}

/* The rules that spare a name whatever others do with it. Counts why. */
static bool is_spared(struct reaper *r, const struct place *place, struct fc_node *node, const struct statx *st,
                      const struct fc_identity *now, const char *path) {
  const char *leaf = fc_registry_leaf(node);
  if (!fc_ground_same(&r->ground, &node->identity, now)) {
    r->result->replaced++;
    return true;
  }
  if (MODE_IS(st, S_IFCHR) || MODE_IS(st, S_IFBLK) ||
      !fc_ownership_holds_in(&r->registry, node, &place->identity, leaf) ||
      fc_ground_is_companion(&r->ground, place->node, place->fd, leaf) || fc_ground_moved_in(&r->ground, node, st) ||
      fc_ground_kept(r->header, path)) {
    r->result->kept++;
    return true;
  }
  return false;
}

/* A live session that has USED the name gets it, and it dies with that session. */
static bool is_needed(struct reaper *r, const struct place *place, struct fc_node *node, const struct statx *st,
                      const struct fc_identity *now, const char *path) {
  look_around(r);
  if (r->blind) {
    r->result->in_use++;
    return true;
  }
  struct fc_neighbour *user = fc_neighbour_using(r->neighbours.first, path);
  if (user) {
    /* One that has moved data of the user's may have moved it into this very name: then nobody may delete it. */
    if (!fc_neighbours_moved_data_to(r->neighbours.first, path) &&
        fc_neighbour_adopt(user, path, now, MODE_IS(st, S_IFDIR)))
      r->result->adopted++;
    else
      r->result->kept++;
    return true;
  }
  if (asks_in_use(r) && MODE_IS(st, S_IFREG) && in_use(place->fd, fc_registry_leaf(node))) {
    r->result->in_use++;
    return true;
  }
  return false;
}

static void remove_file(struct reaper *r, const struct place *place, struct fc_node *node) {
  struct fc_identity now;
  struct statx st;
  const char *leaf = fc_registry_leaf(node);
  const int rc = fc_identity_take(place->fd, leaf, r->header->with_handle != 0, &now, &st);
  if (rc == -ENOENT) return;
  if (rc < 0 || fc_registry_path(node, r->path, PATH_BYTES) == 0) {
    r->result->failed++;
    return;
  }
  if (MODE_IS(&st, S_IFDIR)) {
    r->result->replaced++; /* recorded as a file, or identity would have differed */
    return;
  }
  if (is_spared(r, place, node, &st, &now, r->path) || is_needed(r, place, node, &st, &now, r->path)) return;
  if (capture_and_remove(r, place, node, r->path, false) == GONE) r->result->files++;
}

/* A tracked directory whose own names have been dealt with. Only when it is empty. */
static void remove_directory(struct reaper *r, const struct place *place, struct fc_node *node) {
  if (r->header->policy.dirs == FC_DIRS_KEEP) return;
  struct fc_identity now;
  struct statx st;
  const char *leaf = fc_registry_leaf(node);
  int rc = fc_identity_take(place->fd, leaf, r->header->with_handle != 0, &now, &st);
  if (rc == -ENOENT) return;
  if (rc < 0 || !MODE_IS(&st, S_IFDIR) || fc_registry_path(node, r->path, PATH_BYTES) == 0) {
    r->result->replaced++;
    return;
  }
  if (is_spared(r, place, node, &st, &now, r->path)) return;
  const int fd = fc_beneath_open(place->fd, leaf);
  const int empty = fd < 0 ? fd : fc_list_is_empty(fd, r->list);
  if (fd >= 0) (void)fc_sys_close(fd);
  if (empty != 1) {
    /* What keeps it may be a neighbour's: then it dies with the neighbour. */
    struct fc_neighbour *heir = fc_neighbour_below(r->neighbours.first, r->path);
    if (heir && fc_neighbour_adopt(heir, r->path, &now, true)) r->result->adopted++;
    return;
  }
  if (is_needed(r, place, node, &st, &now, r->path)) return;
  if (capture_and_remove(r, place, node, r->path, true) == GONE) r->result->dirs++;
}

/* Deletes the tracked names that lie directly in place. Its subdirectories have been dealt with before. */
static void empty_place(struct reaper *r, struct place *place) {
  struct statx st;
  if (fc_identity_take(place->fd, "", r->header->with_handle != 0, &place->identity, &st) < 0) {
    r->result->failed++;
    return;
  }
  const enum fc_ground_kind kind = fc_ground_of(&r->ground, place->node, place->fd);
  if (kind != FC_GROUND_OURS && kind != FC_GROUND_SHARED) {
    for (struct fc_node *n = place->node->first_child; n; n = n->next) r->result->kept += n->tracked ? 1u : 0u;
    return;
  }
  for (struct fc_node *n = place->node->first_child; n && !out_of_time(r); n = n->next) {
    if (!fc_ownership_tracked(&r->registry, n)) continue;
    if (kind == FC_GROUND_SHARED && n->created < r->registry.data_moved) {
      r->result->kept++; /* N3: on the user's ground only what came after the last move of data */
      continue;
    }
    if (n->is_dir)
      remove_directory(r, place, n);
    else
      remove_file(r, place, n);
  }
}

/* What an earlier try left in the quarantine. */
static void recover(struct reaper *r) {
  if (fc_quarantine_open(&r->quarantine, false) < 0) return;
  char *buffer = fc_arena_alloc(&r->registry.arena, FC_LIST_BYTES);
  if (!buffer) return;
  struct fc_list list;
  struct fc_entry entry;
  fc_list_begin(&list, r->quarantine.fd, buffer);
  while (fc_list_next(&list, &entry) == 1) {
    uint32_t number;
    const struct fc_capture *capture = NULL;
    if (fc_quarantine_slot_number(entry.name, &number))
      for (capture = r->registry.captures; capture && capture->slot != number;) capture = capture->next;
    if (!capture) {
      give_back(r, entry.name, r->base_fd, entry.name); /* no record: nothing may be deleted */
      continue;
    }
    struct fc_node *node = fc_registry_find(&r->registry, capture->path, false);
    struct fc_identity now;
    struct statx st;
    const bool ours = node && fc_ownership_tracked(&r->registry, node) &&
                      fc_identity_take(r->quarantine.fd, entry.name, r->header->with_handle != 0, &now, &st) == 0 &&
                      fc_ground_same(&r->ground, &capture->identity, &now) &&
                      fc_ground_same(&r->ground, &node->identity, &now);
    if (!ours) {
      give_back(r, entry.name, -1, capture->path);
    } else {
      const int rc = remove_slot(r, entry.name, node, node->is_dir);
      if (rc == 0)
        *(node->is_dir ? &r->result->dirs : &r->result->files) += 1;
      else
        give_back(r, entry.name, -1, capture->path);
    }
  }
}

/* Children before parents, so that a directory is looked at when its own names have been dealt with. */
static void reap_names(struct reaper *r) {
  struct fc_node *const root = &r->registry.root;
  for (struct fc_node *n = fc_registry_postorder(root, NULL); n && !out_of_time(r);
       n = fc_registry_postorder(root, n)) {
    if (!n->first_child) continue;
    if (n->parent && fc_registry_path(n, r->path, PATH_BYTES) == 0) continue;
    struct place place = {.node = n};
    place.fd = fc_beneath_open(r->base_fd, n->parent ? r->path : "");
    if (place.fd < 0) {
      if (place.fd != -ENOENT && place.fd != -ENOTDIR && place.fd != -ELOOP && place.fd != -EXDEV) r->result->failed++;
      continue;
    }
    empty_place(r, &place);
    (void)fc_sys_close(place.fd);
  }
}

/* The policy's answer: is anything to be deleted at all? */
static bool policy_deletes(const struct reaper *r) {
  switch (r->header->policy.on_exit) {
  case FC_ON_EXIT_DELETE:
    return true;
  case FC_ON_EXIT_KEEP_ON_FAILURE:
    return r->registry.leader_status == 0;
  default:
    return false;
  }
}

static void set_state(struct reaper *r, uint32_t state) {
  __atomic_store_n(&r->journal.words->state, state, __ATOMIC_RELEASE);
}

static void report(struct reaper *r) {
  for (struct fc_node *n = fc_registry_postorder(&r->registry.root, NULL); n;
       n = fc_registry_postorder(&r->registry.root, n))
    if (fc_ownership_tracked(&r->registry, n) && fc_registry_path(n, r->path, PATH_BYTES))
      fc_log_write(&r->log, FC_LOG_WARN, "would delete %s/%s", r->header->base, r->path);
}

static enum fc_reap_outcome finish(struct reaper *r, const char *name) {
  fc_quarantine_end(&r->quarantine);
  const struct fc_reap_result *done = r->result;
  fc_log_write(
      &r->log, FC_LOG_INFO,
      "%s: removed %llu files, %llu directories; kept %llu, replaced %llu, restored %llu, handed over %llu, in "
      "use %llu, failed %llu",
      r->header->base, done->files, done->dirs, done->kept, done->replaced, done->restored, done->adopted, done->in_use,
      done->failed);
  if (r->late || r->blind || done->in_use || done->failed) return FC_REAP_DEFERRED;
  const uint32_t levels = r->journal.words->owns_base;
  if (levels > 0) {
    look_around(r); /* once more: one that begins now opens the base again after it has been published */
    if (r->blind) return FC_REAP_DEFERRED;
    if (r->neighbours.first)
      __atomic_store_n(&r->neighbours.first->journal.words->owns_base, levels, __ATOMIC_RELEASE);
    else
      fc_base_remove(r->header->base, levels, r->header->created_s);
  }
  (void)fc_sys_unlinkat(r->dirfd, name, 0);
  return FC_REAP_DONE;
}

static enum fc_reap_outcome run(struct reaper *r, const char *name) {
  const struct fc_session_header *h = r->header;
  if (fc_session_map(r->fd, h, h->capacity, &r->journal) < 0) return FC_REAP_FAILED;
  const uint32_t state = __atomic_load_n(&r->journal.words->state, __ATOMIC_ACQUIRE);
  if (state != FC_STATE_LIVE && state != FC_STATE_REAPING) return FC_REAP_CLOSED;

  uint8_t boot_id[16];
  const bool known_boot = fc_session_boot_id(boot_id);
  const bool across_boot = known_boot && memcmp(boot_id, h->boot_id, sizeof boot_id) != 0;
  struct fc_replay replay;
  r->registry.leader_pid = h->leader_pid;
  r->registry.leader_status = -1;
  r->path = fc_arena_alloc(&r->registry.arena, PATH_BYTES);
  r->list = fc_arena_alloc(&r->registry.arena, FC_LIST_BYTES);
  if (!r->path || !r->list) return FC_REAP_FAILED;
  int rc = fc_replay_begin(&replay, &r->registry.arena, r->fd, h->key, h->capacity, true);
  if (rc == 0) rc = fc_ownership_replay(&r->registry, &replay);
  const uint32_t lost = __atomic_load_n(&r->journal.words->lost_destructive, __ATOMIC_ACQUIRE);
  if (rc == -EBADMSG || (rc == 0 && lost)) {
    set_state(r, FC_STATE_CLOSED);
    fc_log_write(&r->log, FC_LOG_WARN, "%s: session %s is %s; nothing of it is deleted", h->base, h->id,
                 rc ? "damaged" : "incomplete (a record could not be written)");
    return FC_REAP_CLOSED;
  }
  if (rc < 0) return FC_REAP_FAILED;

  unsigned alive = 0;
  const unsigned unseen = across_boot ? 0 : fc_ownership_unseen(&r->registry, &alive);
  if (alive > 0) return FC_REAP_WAIT;
  if (!policy_deletes(r)) {
    if (h->policy.on_exit == FC_ON_EXIT_REPORT) report(r);
    set_state(r, FC_STATE_CLOSED);
    return FC_REAP_CLOSED;
  }

  r->base_fd = fc_base_reopen(h->base, &h->base_identity, h->fs_id, across_boot);
  if (r->base_fd < 0) {
    /* Gone with all that was in it, or another directory by now: there is nothing that we could prove. */
    const bool gone = r->base_fd == -ENOENT || r->base_fd == -ESTALE || r->base_fd == -ENOTDIR;
    fc_log_write(&r->log, gone ? FC_LOG_INFO : FC_LOG_WARN, "%s: the base cannot be opened again: error %d", h->base,
                 -r->base_fd);
    if (!gone) return FC_REAP_FAILED;
    (void)fc_sys_unlinkat(r->dirfd, name, 0);
    return FC_REAP_DONE;
  }
  struct fc_identity base_now;
  struct statx st;
  rc = fc_identity_take(r->base_fd, "", false, &base_now, &st);
  r->ground = (struct fc_ground){&r->registry, h, NULL, r->base_fd, base_now.dev_major, base_now.dev_minor};
  look_around(r);
  fc_quarantine_begin(&r->quarantine, r->base_fd, h->id);
  enum fc_reap_outcome outcome = FC_REAP_FAILED;
  if (rc == 0 && !r->blind && !(across_boot && fc_base_is_volatile(h->fs_type))) {
    r->unseen = unseen > 0;
    set_state(r, FC_STATE_REAPING);
    if (fc_ground_follow_links(&r->ground, r->deadline_ns)) {
      recover(r);
      reap_names(r);
    } else {
      r->late = true; /* not everything could be asked: nothing may be deleted now */
    }
    outcome = finish(r, name);
  }
  fc_neighbours_free(&r->neighbours);
  (void)fc_sys_close(r->base_fd);
  return outcome;
}

enum fc_reap_outcome fc_reaper_run(int dirfd, const char *name, int fd, const struct fc_session_header *header,
                                   int64_t deadline_ns, struct fc_reap_result *result) {
  memset(result, 0, sizeof *result);
  struct fc_arena self = {0};
  struct reaper *r = fc_arena_alloc(&self, sizeof *r); /* too large for the 64 KiB stack that a host gives us */
  if (!r) return FC_REAP_FAILED;
  r->header = header;
  r->dirfd = dirfd;
  r->fd = fd;
  r->base_fd = -1;
  r->quarantine.fd = -1;
  r->result = result;
  r->deadline_ns = deadline_ns;
  fc_log_open(&r->log, &header->policy, header->path);
  const enum fc_reap_outcome outcome = run(r, name);
  if (r->journal.first) {
    /* Whoever leaves waits for this word, within its budget. While a process without a lock lives nothing is done. */
    if (outcome != FC_REAP_WAIT) {
      const uint32_t done = outcome == FC_REAP_DONE || outcome == FC_REAP_CLOSED ? FC_DONE_REAPED : FC_DONE_DEFERRED;
      __atomic_store_n(&r->journal.words->done, done, __ATOMIC_RELEASE);
      (void)fc_sys_futex(&r->journal.words->done, FC_FUTEX_WAKE, INT32_MAX, -1);
    }
    (void)fc_sys_munmap(r->journal.first, FC_FIRST_WINDOW_BYTES);
  }
  fc_registry_free(&r->registry);
  fc_arena_free(&self);
  return outcome;
}
