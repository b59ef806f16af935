#include "ground.h"

#include <dirent.h>
#include <string.h>

#include "beneath.h"
#include "keep.h"
#include "ownership.h"

#define SCAN_DEPTH_MAX 128 /* a directory of the user's deeper than this is simply the user's */
#define PATH_BYTES 16384

bool fc_ground_same(const struct fc_ground *g, const struct fc_identity *recorded, const struct fc_identity *now) {
  struct fc_identity then = *recorded;
  const struct fc_identity *base = &g->header->base_identity;
  if (then.dev_major == base->dev_major && then.dev_minor == base->dev_minor) {
    then.dev_major = g->base_major;
    then.dev_minor = g->base_minor;
  }
  return fc_identity_equal(&then, now);
}

int fc_ground_look(const struct fc_ground *g, int dirfd, const char *path, struct fc_identity *out, struct statx *st) {
  const struct fc_session_header *h = g->header;
  return fc_identity_look(dirfd, path, h->with_handle != 0, !fc_base_is_local(h->fs_type), out, st);
}

/* A user's directory, open as fd, holds only tracked names and directories of that kind. */
static bool holds_only_tracked(struct fc_ground *g, struct fc_node *dir, int fd, char *path, size_t path_len,
                               unsigned depth) {
  struct fc_registry *r = g->registry;
  char *buffer = depth < SCAN_DEPTH_MAX ? fc_arena_alloc(&r->arena, FC_LIST_BYTES) : NULL;
  if (!buffer) return false;
  struct fc_list list;
  struct fc_entry entry;
  int rc;
  fc_list_begin(&list, fd, buffer);
  while ((rc = fc_list_next(&list, &entry)) == 1) {
    const size_t leaf_len = strlen(entry.name);
    if (path_len + 1 + leaf_len + 1 > PATH_BYTES) return false;
    path[path_len] = '/';
    memcpy(path + path_len + 1, entry.name, leaf_len + 1);
    struct fc_node *node = dir ? fc_registry_child(r, dir, entry.name, leaf_len, false) : NULL;
    bool fine = false;
    if (entry.type == DT_DIR) {
      const int below = fc_beneath_open(fd, entry.name);
      if (below >= 0) {
        /* A directory where something of the user's stood is his with all that is in it: nothing there is known. */
        struct fc_node *known = node && node->reserved ? NULL : node;
        fine = holds_only_tracked(g, known, below, path, path_len + 1 + leaf_len, depth + 1);
        (void)fc_sys_close(below);
      }
    } else if (node && fc_ownership_tracked(r, node) && node->created >= r->data_moved) {
      fine = node->identity.ino == entry.ino;
    } else {
      fine = fc_neighbour_tracks(g->neighbours, path, entry.ino);
    }
    path[path_len] = '\0';
    if (!fine) return false;
  }
  return rc == 0;
}

/* The node's ancestor directly beneath the base. */
static struct fc_node *top_of(struct fc_node *node) {
  while (node->parent && node->parent->parent) node = node->parent;
  return node;
}

static enum fc_ground_kind shared_or_user(struct fc_ground *g, struct fc_node *node) {
  struct fc_node *top = top_of(node);
  if (top->subtree == FC_GROUND_UNKNOWN) {
    top->subtree = FC_GROUND_USER;
    /* Emptied of the user's things, it is still the user's: `rm -f out/(all); generate > out/new`. */
    if (top->data_moved) return FC_GROUND_USER;
    char *path = fc_arena_alloc(&g->registry->arena, PATH_BYTES);
    const int fd = path ? fc_beneath_open(g->base_fd, fc_registry_leaf(top)) : -1;
    if (fd >= 0) {
      memcpy(path, fc_registry_leaf(top), top->leaf_len + 1u);
      if (holds_only_tracked(g, top, fd, path, top->leaf_len, 0)) top->subtree = FC_GROUND_SHARED;
      (void)fc_sys_close(fd);
    }
  }
  return (enum fc_ground_kind)top->subtree;
}

/* The directory at node, open as fd or (-1) by its name, is the very one that the session made. */
static bool is_the_one(struct fc_ground *g, const struct fc_node *node, int fd) {
  struct fc_identity now;
  struct statx st;
  int own = -1;
  if (fd < 0) {
    char *path = fc_arena_alloc(&g->registry->arena, PATH_BYTES);
    own = path && fc_registry_path(node, path, PATH_BYTES) ? fc_beneath_open(g->base_fd, path) : -1;
  }
  const bool same = (fd >= 0 || own >= 0) && fc_ground_look(g, fd >= 0 ? fd : own, "", &now, &st) == 0 &&
                    fc_ground_same(g, &node->identity, &now);
  if (own >= 0) (void)fc_sys_close(own);
  return same;
}

/* TRACK=all: everything but what stands where something of the user's stood. In `mv d d.bak; mkdir d; make d/f` nothing
 * tells that there was an f in the first d. */
static enum fc_ground_kind ground_of_all(struct fc_node *node) {
  for (struct fc_node *dir = node; dir->parent; dir = dir->parent)
    if (dir->reserved) return (enum fc_ground_kind)(dir->ground = FC_GROUND_USER);
  return FC_GROUND_OURS;
}

enum fc_ground_kind fc_ground_of(struct fc_ground *g, struct fc_node *node, int fd) {
  if (!node->parent) return FC_GROUND_OURS;
  if (g->header->policy.track == FC_TRACK_ALL) return ground_of_all(node);
  /* From the first directory above whose ground is known downwards: no recursion on deep trees. A directory that the
   * session made counts only while it stands there itself: another may have its name by now. */
  while (node->ground == FC_GROUND_UNKNOWN) {
    struct fc_node *at = node;
    while (at->parent->parent && at->parent->ground == FC_GROUND_UNKNOWN) at = at->parent;
    const enum fc_ground_kind above = at->parent->parent ? (enum fc_ground_kind)at->parent->ground : FC_GROUND_OURS;
    enum fc_ground_kind kind = FC_GROUND_USER;
    if (above == FC_GROUND_OURS && at->is_dir && fc_ownership_tracked(g->registry, at)) {
      if (is_the_one(g, at, at == node ? fd : -1)) kind = FC_GROUND_OURS;
    } else if (above != FC_GROUND_USER && !at->reserved) {
      kind = shared_or_user(g, at);
    }
    at->ground = (uint8_t)kind;
  }
  return (enum fc_ground_kind)node->ground;
}

/* Stores in main the name that leaf accompanies. */
static bool companion_of(const char *leaf, char *main, size_t size) {
  static const char *const suffixes[] = {"-journal", "-wal", "-shm"};
  const size_t len = strlen(leaf);
  if (len + 1 > size) return false;
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
    const size_t n = strlen(suffixes[i]);
    if (len > n && strcmp(leaf + len - n, suffixes[i]) == 0) {
      memcpy(main, leaf, len - n);
      main[len - n] = '\0';
      return true;
    }
  }
  const char *super = strstr(leaf, "-mj"); /* SQLite's super-journal: X-mjHEX */
  if (super && super != leaf && super[3]) {
    memcpy(main, leaf, (size_t)(super - leaf));
    main[super - leaf] = '\0';
    return true;
  }
  if (len > 5 && leaf[0] == '.' && leaf[len - 4] == '.' && leaf[len - 3] == 's' && leaf[len - 2] >= 'a' &&
      leaf[len - 2] <= 'w' && leaf[len - 1] >= 'a' && leaf[len - 1] <= 'z') { /* vim: .X.swp .X.swo ... .X.svz */
    memcpy(main, leaf + 1, len - 5);
    main[len - 5] = '\0';
    return true;
  }
  if (len > 2 && leaf[0] == '#' && leaf[len - 1] == '#') { /* emacs auto-save */
    memcpy(main, leaf + 1, len - 2);
    main[len - 2] = '\0';
    return true;
  }
  if (len > 2 && leaf[0] == '.' && leaf[1] == '#') { /* emacs lock link */
    memcpy(main, leaf + 2, len - 1);
    return true;
  }
  return false;
}

/* What a glob keeps stays, and its companions with it. */
static bool is_kept(const struct fc_ground *g, const struct fc_node *node) {
  if (!g->header->policy.keep[0]) return false;
  char *path = fc_arena_alloc(&g->registry->arena, PATH_BYTES); /* names of this kind are few */
  return !path || fc_registry_path(node, path, PATH_BYTES) == 0 || fc_keep_names(g->header, path);
}

bool fc_ground_is_companion(struct fc_ground *g, struct fc_node *parent, int fd, const char *leaf) {
  char main[NAME_MAX + 1];
  if (!companion_of(leaf, main, sizeof main)) return false;
  struct fc_identity now;
  struct statx st;
  const int rc = fc_ground_look(g, fd, main, &now, &st);
  if (rc == -ENOENT) return false;
  if (rc < 0) return true;
  const struct fc_node *node = fc_registry_child(g->registry, parent, main, strlen(main), false);
  return !fc_ownership_tracked(g->registry, node) || !fc_ground_same(g, &node->identity, &now) || is_kept(g, node);
}

bool fc_ground_appeared(const struct fc_ground *g, const struct fc_node *node, const struct statx *st) {
  if (!(st->stx_mask & STATX_BTIME) || st->stx_uid != g->header->uid) return false;
  if ((st->stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) && (st->stx_attributes & STATX_ATTR_MOUNT_ROOT)) return false;
  const int64_t birth = fc_sys_in_ns(st->stx_btime.tv_sec, st->stx_btime.tv_nsec);
  return birth >= node->asked_ns && birth <= g->until_ns;
}

bool fc_ground_moved_in(struct fc_ground *g, const struct fc_node *node, const struct statx *st) {
  const struct fc_process *creator = fc_registry_process(g->registry, node->pid, false);
  if (!creator || !creator->outside) return false;
  if (!(st->stx_mask & STATX_BTIME)) return true;
  if (st->stx_mtime.tv_sec != st->stx_btime.tv_sec) return st->stx_mtime.tv_sec < st->stx_btime.tv_sec;
  return st->stx_mtime.tv_nsec < st->stx_btime.tv_nsec;
}

/* Reserves the name that the link at node leads to. 1: it was not reserved before; 0: nothing to do; -errno: cannot
 * tell. */
static int follow_link(struct fc_ground *g, struct fc_node *node, char *path, char *target) {
  struct fc_registry *r = g->registry;
  path[0] = '\0';
  if (node->parent->parent && !fc_registry_path(node->parent, path, PATH_BYTES)) return -ENAMETOOLONG;
  const int fd = fc_beneath_open(g->base_fd, path);
  if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -EXDEV) return 0;
  if (fd < 0) return fd;
  const size_t dir_len = strlen(path);
  const long len = fc_sys_readlinkat(fd, fc_registry_leaf(node), target, PATH_MAX - 1);
  (void)fc_sys_close(fd);
  if (len <= 0) return 0; /* no link */
  target[len] = '\0';
  if (target[0] == '/') {
    const size_t base_len = strlen(g->header->base);
    const size_t alias_len = strlen(g->header->alias);
    const bool by_base = strncmp(target, g->header->base, base_len) == 0 && target[base_len] == '/';
    const bool by_alias = alias_len && strncmp(target, g->header->alias, alias_len) == 0 && target[alias_len] == '/';
    if (!by_base && !by_alias) return 0;
    const char *relative = target + (by_base ? base_len : alias_len);
    memcpy(path, relative, strlen(relative) + 1);
  } else {
    path[dir_len] = '/';
    memcpy(path + dir_len + 1, target, (size_t)len + 1);
  }
  if (fc_path_normalize(path) == 0) return 0;
  struct fc_node *there = fc_registry_find(r, path, false);
  if (!there || there->reserved || there == &r->root) return 0;
  there->reserved = true;
  return 1;
}

bool fc_ground_follow_links(struct fc_ground *g, int64_t deadline_ns) {
  struct fc_registry *r = g->registry;
  char *path = fc_arena_alloc(&r->arena, PATH_BYTES + PATH_MAX);
  char *target = fc_arena_alloc(&r->arena, PATH_MAX);
  if (!path || !target) return false;
  /* Links to links: each pass but the last reserves a name more. */
  for (bool again = true; again;) {
    again = false;
    for (struct fc_node *n = fc_registry_postorder(&r->root, NULL); n; n = fc_registry_postorder(&r->root, n)) {
      if (!n->parent || !n->reserved) continue;
      if (deadline_ns != FC_INFINITY_NS && fc_sys_boottime() >= deadline_ns) return false;
      const int rc = follow_link(g, n, path, target);
      if (rc < 0) return false;
      again |= rc > 0;
    }
  }
  return true;
}
