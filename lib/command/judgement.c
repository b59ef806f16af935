#include "judgement.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "beneath.h"
#include "keep.h"
#include "ownership.h"
#include "quarantine.h"
#include "unseen.h"

#define PATH_BYTES 16384
#define MODE_IS(st, type) (((st)->stx_mode & S_IFMT) == (type))

static const struct {
  const char *name;
  const char *rule;
  const char *text;
} reasons[] = {
    [FC_REASON_CREATED] = {"created", NULL, "made by the session"},
    [FC_REASON_BASE] = {"base", NULL, "the base itself"},
    [FC_REASON_TOLD] = {"told", NULL, "the program itself has said that it is temporary"},
    [FC_REASON_QUARANTINE] = {"quarantine", NULL, "where the cleanup takes names to before it deletes them"},
    [FC_REASON_UNSEEN] = {"unseen", NULL, "made by a process without the shim, below a directory made by the session"},
    [FC_REASON_NO_RECORD] = {"no-record", NULL,
                             "no record of its creation: it was there before, or was made by somebody else, or unseen"},
    [FC_REASON_GONE] = {"gone", NULL, "nothing has this name now"},
    [FC_REASON_RESERVED] = {"reserved", "N1",
                            "the session took away what you had here: the name is yours until it ends"},
    [FC_REASON_REPLACES] = {"replaces", "N1", "it took the place of something of yours"},
    [FC_REASON_DATA_MOVED] = {"moved-data", "N2",
                              "made before data of yours was removed or overwritten nearby: it may be the only copy"},
    [FC_REASON_GROUND] = {"users-ground", "N3", "it lies in a directory of yours"},
    [FC_REASON_COMPANION] = {"companion", "N4", "it belongs to a file of yours that stands beside it"},
    [FC_REASON_LINK] = {"link", "N5", "a new name of something that the session did not make"},
    [FC_REASON_MOVED_IN] = {"moved-in", "N6", "moved in from outside the base: its data is older than its name"},
    [FC_REASON_RENAMED_IN] = {"renamed-in", NULL, "renamed to here from outside the base"},
    [FC_REASON_ASKED] = {"asked", NULL, "you asked for it to be kept, or not to be tracked"},
    [FC_REASON_USERS] = {"users", NULL, "yours, renamed to here by the session"},
    [FC_REASON_REPLACED] = {"replaced", NULL,
                            "not what the session made: somebody has put another object in its place"},
    [FC_REASON_UNPROVEN] = {"unproven", NULL, "this file system cannot tell it from another object"},
    [FC_REASON_DEVICE] = {"device", NULL, "a device node; they are never deleted"},
    [FC_REASON_KEEP] = {"kept-by-glob", NULL, "made by the session, and kept by a glob"},
    [FC_REASON_DIRS_KEEP] = {"dirs-keep", NULL, "a directory made by the session, which keeps its directories"},
    [FC_REASON_NOT_EMPTY] = {"not-empty", NULL, "a directory made by the session, which is removed when it is empty"},
    [FC_REASON_NEIGHBOUR] = {"used-by-session", NULL, "made by the session, and used by another one, which gets it"},
    [FC_REASON_FAILED] = {"failed", NULL, "it cannot be looked at"},
};

const char *fc_reason_name(enum fc_reason reason) { return reasons[reason].name; }
const char *fc_reason_rule(enum fc_reason reason) { return reasons[reason].rule; }
const char *fc_reason_text(enum fc_reason reason) { return reasons[reason].text; }

void fc_judge_begin(struct fc_judge *j, struct fc_found *found) {
  const struct fc_session_header *h = found->header;
  memset(j, 0, sizeof *j);
  j->found = found;
  j->place_fd = -1;
  j->dirfd = -1;
  j->buffer = fc_verb_alloc(FC_LIST_BYTES);
  j->text = fc_verb_alloc(PATH_BYTES);
  j->base_fd = fc_base_reopen(h->base, &h->base_identity, h->fs_id, found->other_boot);
  if (j->base_fd < 0) {
    j->error = -j->base_fd;
    j->base_fd = -1;
    return;
  }
  struct fc_identity now;
  struct statx st;
  (void)fc_identity_take(j->base_fd, "", false, &now, &st);
  j->ground =
      (struct fc_ground){&found->registry, h, NULL, j->base_fd, now.dev_major, now.dev_minor, fc_sys_realtime()};
  j->dirfd = fc_state_open_directory(AT_FDCWD, found->dir);
  j->blind = j->dirfd < 0 || !fc_neighbours_refresh(&j->neighbours, j->dirfd, h->id, &found->registry.arena);
  j->ground.neighbours = j->neighbours.first;
  if (!fc_ground_follow_links(&j->ground, FC_INFINITY_NS)) j->blind = true;
}

void fc_judge_end(struct fc_judge *j) {
  fc_neighbours_free(&j->neighbours);
  if (j->place_fd >= 0) (void)close(j->place_fd);
  if (j->base_fd >= 0) (void)close(j->base_fd);
  if (j->dirfd >= 0) (void)close(j->dirfd);
  free(j->one_glob);
  free(j->buffer);
  free(j->text);
}

/* Opens the directory of node. Kept for the next name, which is most often beside it. Returns 0 or -errno. */
static int enter(struct fc_judge *j, struct fc_node *node, const char *path) {
  if (j->place_fd >= 0 && j->place == node) return 0;
  if (j->place_fd >= 0) (void)close(j->place_fd);
  j->place = node;
  j->place_fd = fc_beneath_open(j->base_fd, path);
  if (j->place_fd < 0) {
    const int rc = j->place_fd;
    j->place_fd = -1;
    return rc;
  }
  struct statx st;
  return fc_identity_take(j->place_fd, "", j->found->header->with_handle != 0, &j->place_identity, &st);
}

static bool is_absence(int rc) { return rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP; }

/* Takes the object at leaf of the directory of path. False when that is the end of the matter. */
static bool look(struct fc_judge *j, struct fc_node *parent, const char *path, const char *leaf,
                 struct fc_identity *now, struct fc_judgement *out) {
  char *dir = fc_verb_copy(path, leaf > path ? (size_t)(leaf - path - 1) : 0);
  int rc = j->base_fd < 0 ? -j->error : enter(j, parent, dir);
  free(dir);
  if (rc == 0) rc = fc_ground_look(&j->ground, j->place_fd, leaf, now, &out->st);
  out->exists = rc == 0;
  if (rc == 0) return true;
  if (is_absence(rc) || (j->base_fd < 0 && j->error == ESTALE)) {
    out->reason = FC_REASON_GONE;
  } else {
    out->reason = FC_REASON_FAILED;
    out->detail = rc == -EXDEV ? "it lies on another mount than the base" : strerror(-rc);
  }
  return false;
}

/* By the records alone: why is it not the session's? */
static enum fc_reason recorded_reason(const struct fc_node *node) {
  switch ((enum fc_why)node->why) {
  case FC_WHY_RESERVED:
    return FC_REASON_RESERVED;
  case FC_WHY_REPLACES:
    return FC_REASON_REPLACES;
  case FC_WHY_DATA_MOVED:
    return FC_REASON_DATA_MOVED;
  case FC_WHY_LINK:
    return FC_REASON_LINK;
  case FC_WHY_ASKED:
    return FC_REASON_ASKED;
  case FC_WHY_USERS:
    return FC_REASON_USERS;
  case FC_WHY_RENAMED_IN:
    return FC_REASON_RENAMED_IN;
  case FC_WHY_DIRECTORY:
    return FC_REASON_GROUND;
  case FC_WHY_REMOVED: /* and what stands there now no record knows */
  case FC_WHY_UNTOLD:
    break;
  }
  return node->reserved ? FC_REASON_RESERVED : FC_REASON_NO_RECORD;
}

/* Which glob keeps it: the same question, asked for each of them alone. */
static const char *keeping_glob(struct fc_judge *j, const char *path) {
  const struct fc_session_header *h = j->found->header;
  if (!fc_keep_names(h, path)) return NULL;
  if (!j->one_glob) j->one_glob = fc_verb_alloc(sizeof *j->one_glob);
  for (const char *p = h->policy.keep; *p;) {
    const size_t len = strcspn(p, ":");
    memcpy(j->one_glob->policy.keep, p, len);
    j->one_glob->policy.keep[len] = '\0';
    if (fc_keep_names(j->one_glob, path)) break;
    p += len + (p[len] ? 1 : 0);
  }
  memcpy(j->text, j->one_glob->policy.keep, sizeof j->one_glob->policy.keep);
  return j->text;
}

/* The topmost directory above node that is the user's: by it all that is below is. */
static const char *users_directory(struct fc_judge *j, const struct fc_node *node) {
  const struct fc_node *top = NULL;
  for (const struct fc_node *dir = node->parent; dir && dir->parent; dir = dir->parent)
    if (dir->ground == FC_GROUND_USER) top = dir;
  return top && fc_registry_path(top, j->text, PATH_BYTES) ? j->text : NULL;
}

/* What spares a name that is the session's by the records. */
static enum fc_reason sparing_rule(struct fc_judge *j, struct fc_node *node, const struct fc_identity *now,
                                   struct fc_judgement *what) {
  struct fc_registry *r = &j->found->registry;
  const char *leaf = fc_registry_leaf(node);
  const enum fc_ground_kind kind = fc_ground_of(&j->ground, node->parent, j->place_fd);
  if (kind != FC_GROUND_OURS && kind != FC_GROUND_SHARED) {
    what->detail = users_directory(j, node);
    return FC_REASON_GROUND;
  }
  if (kind == FC_GROUND_SHARED && node->created < r->data_moved) return FC_REASON_DATA_MOVED;
  if (!fc_identity_proves(&node->identity)) return FC_REASON_UNPROVEN;
  if (!fc_ground_same(&j->ground, &node->identity, now)) return FC_REASON_REPLACED;
  if (MODE_IS(&what->st, S_IFCHR) || MODE_IS(&what->st, S_IFBLK)) return FC_REASON_DEVICE;
  if (!fc_ownership_holds_in(r, node, &j->place_identity, leaf)) {
    const struct fc_identity *dir = &j->place_identity;
    const struct fc_place *place = fc_registry_place(r, dir->ino, dir->dev_major, dir->dev_minor, leaf, false);
    return place && place->reserved ? FC_REASON_REPLACES : FC_REASON_DATA_MOVED;
  }
  if (fc_ground_is_companion(&j->ground, node->parent, j->place_fd, leaf)) return FC_REASON_COMPANION;
  if (fc_ground_moved_in(&j->ground, node, &what->st)) return FC_REASON_MOVED_IN;
  return FC_REASON_CREATED;
}

/* What spares a name that the owner of a manager has told of. */
static enum fc_reason asked_rule(struct fc_judge *j, const struct fc_node *node, const struct fc_identity *now,
                                 const struct fc_judgement *what) {
  if (!fc_ownership_stands(&j->found->registry, node)) return FC_REASON_ASKED;
  if (!fc_identity_proves(now)) return FC_REASON_UNPROVEN;
  const bool same = node->expected ? fc_ground_appeared(&j->ground, node, &what->st)
                                   : fc_ground_same(&j->ground, &node->identity, now);
  if (!same) return FC_REASON_REPLACED;
  return MODE_IS(&what->st, S_IFCHR) || MODE_IS(&what->st, S_IFBLK) ? FC_REASON_DEVICE : FC_REASON_TOLD;
}

/* What the reaper asks last, of a name that it may delete. */
static enum fc_reason last_questions(struct fc_judge *j, const struct fc_node *node, const char *path,
                                     struct fc_judgement *out) {
  const bool is_dir = MODE_IS(&out->st, S_IFDIR);
  if (is_dir && !node->asked && j->found->header->policy.dirs == FC_DIRS_KEEP) return FC_REASON_DIRS_KEEP;
  out->detail = keeping_glob(j, path);
  if (out->detail) return FC_REASON_KEEP;
  if (fc_neighbour_using(j->ground.neighbours, path)) return FC_REASON_NEIGHBOUR;
  if (is_dir && !node->tree) {
    const int fd = fc_beneath_open(j->place_fd, fc_registry_leaf(node));
    const int empty = fd < 0 ? fd : fc_list_is_empty(fd, j->buffer);
    if (fd >= 0) (void)close(fd);
    if (empty != 1) return FC_REASON_NOT_EMPTY;
  }
  return out->reason;
}

void fc_judge_node(struct fc_judge *j, struct fc_node *node, const char *path, struct fc_judgement *out) {
  struct fc_registry *r = &j->found->registry;
  struct fc_identity now;
  memset(out, 0, sizeof *out);
  out->node = node;
  const char *slash = strrchr(path, '/');
  if (!look(j, node->parent, path, slash ? slash + 1 : path, &now, out)) return;
  if (!node->tracked) {
    out->reason = recorded_reason(node);
    return;
  }
  if (node->reserved) {
    out->reason = FC_REASON_REPLACES;
    return;
  }
  if (!fc_ownership_tracked(r, node)) {
    out->reason = FC_REASON_DATA_MOVED;
    return;
  }
  out->reason = node->asked ? asked_rule(j, node, &now, out) : sparing_rule(j, node, &now, out);
  out->tracked = out->reason == FC_REASON_CREATED || out->reason == FC_REASON_TOLD;
  if (out->tracked) out->reason = last_questions(j, node, path, out);
}

struct unseen {
  const char *path;
  bool found;
};

static void compare_unseen(void *context, int dirfd, const char *path, const char *leaf) {
  struct unseen *unseen = context;
  (void)dirfd;
  (void)leaf;
  unseen->found |= strcmp(path, unseen->path) == 0;
}

/* DIRS=recursive: does the end of the session find it below the nearest directory that the records know? */
static bool is_unseen(struct fc_judge *j, const char *path) {
  struct fc_registry *r = &j->found->registry;
  if (j->found->header->policy.dirs != FC_DIRS_RECURSIVE) return false;
  struct fc_node *dir = NULL;
  char *above = fc_verb_copy(path, strlen(path));
  for (char *slash; !dir && (slash = strrchr(above, '/')) != NULL;) {
    *slash = '\0';
    dir = fc_registry_find(r, above, false);
  }
  struct unseen unseen = {path, false};
  struct fc_judgement of_dir = {0};
  if (dir) fc_judge_node(j, dir, above, &of_dir);
  const int fd = dir && dir->is_dir && of_dir.tracked ? fc_beneath_open(j->base_fd, above) : -1;
  if (fd >= 0) {
    fc_unseen_below(r, dir, fd, above, j->found->header->uid, j->ground.until_ns, compare_unseen, &unseen);
    (void)close(fd);
  }
  free(above);
  return unseen.found;
}

void fc_judge_path(struct fc_judge *j, const char *path, struct fc_judgement *out) {
  struct fc_registry *r = &j->found->registry;
  memset(out, 0, sizeof *out);
  if (!path[0]) {
    out->reason = FC_REASON_BASE;
    out->exists = j->base_fd >= 0 && fc_sys_statx(j->base_fd, "", AT_EMPTY_PATH, FC_IDENTITY_MASK, &out->st) == 0;
    return;
  }
  struct fc_node *node = fc_registry_find(r, path, false);
  if (node) {
    fc_judge_node(j, node, path, out);
  } else {
    /* Under a node of its own, which is not in the tree, so that no decision of the rules changes. */
    struct fc_identity now;
    struct fc_node unknown = {0};
    const char *slash = strrchr(path, '/');
    if (look(j, &unknown, path, slash ? slash + 1 : path, &now, out)) out->reason = FC_REASON_NO_RECORD;
    if (j->place_fd >= 0) (void)close(j->place_fd);
    j->place_fd = -1;
    j->place = NULL;
    if (out->exists && is_unseen(j, path)) {
      out->detail = keeping_glob(j, path);
      out->reason = out->detail ? FC_REASON_KEEP : FC_REASON_UNSEEN;
    }
  }
  char quarantine[64];
  (void)snprintf(quarantine, sizeof quarantine, FC_QUARANTINE_PREFIX "%s", j->found->header->id);
  const size_t len = strlen(quarantine);
  if (strncmp(path, quarantine, len) == 0 && (path[len] == '\0' || path[len] == '/'))
    out->reason = FC_REASON_QUARANTINE;
}

bool fc_judgement_deletes(const struct fc_found *found, const struct fc_judgement *what) {
  if (!found->header || !found->replayed) return false;
  if (found->state != FC_FOUND_LIVE && found->state != FC_FOUND_ENDING && found->state != FC_FOUND_ORPHAN) return false;
  if (found->header->words.lost_destructive) return false;
  if (found->other_boot && fc_base_is_volatile(found->header->fs_type)) return false;
  const unsigned on_exit = found->header->policy.on_exit;
  if (on_exit == FC_ON_EXIT_KEEP || on_exit == FC_ON_EXIT_REPORT) return false;
  /* Without a status the leader has failed. */
  if (on_exit == FC_ON_EXIT_KEEP_ON_FAILURE && found->state != FC_FOUND_LIVE && found->registry.leader_status != 0)
    return false;
  switch (what->reason) {
  case FC_REASON_UNSEEN:
    return true;
  case FC_REASON_CREATED:
  case FC_REASON_NOT_EMPTY: /* when what is in it is the session's too */
  case FC_REASON_NEIGHBOUR:
    return what->tracked;
  case FC_REASON_BASE:
    return found->header->words.owns_base > 0;
  default:
    return false;
  }
}

const char *fc_judgement_when(const struct fc_found *found, const struct fc_judgement *what) {
  if (!fc_judgement_deletes(found, what)) return "never";
  if (what->reason == FC_REASON_NEIGHBOUR) return "when the session that uses it has ended";
  const bool conditional = what->reason == FC_REASON_NOT_EMPTY || what->reason == FC_REASON_BASE;
  switch (found->state) {
  case FC_FOUND_ENDING:
    return conditional ? "now, if it is empty" : "now";
  case FC_FOUND_ORPHAN:
    return conditional ? "at the next start with this base, if it is empty then" : "at the next start with this base";
  default:
    break;
  }
  const struct fc_policy *p = &found->header->policy;
  if (p->scope == FC_SCOPE_PROCESS && !conditional && what->reason != FC_REASON_UNSEEN)
    return "when the process that made it has ended, and nobody uses it";
  if (p->scope == FC_SCOPE_LEADER && what->reason != FC_REASON_UNSEEN)
    return conditional ? "when the leader of the session has ended, if it is empty then"
                       : "when the leader of the session has ended, and nobody uses it";
  if (p->on_exit == FC_ON_EXIT_KEEP_ON_FAILURE)
    return "when the last process of the session has ended, and the first one with status 0";
  if (conditional) return "when the last process of the session has ended, if it is empty then";
  return "when the last process of the session has ended";
}
