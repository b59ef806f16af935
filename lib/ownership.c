#include "ownership.h"

#include <limits.h>
#include <string.h>

#include "session.h"

bool fc_ownership_tracked(struct fc_registry *r, const struct fc_node *node) {
  if (!node || !node->tracked || node->reserved) return false;
  if (node->asked) return true;
  if (node->parent && node->since < node->parent->data_moved) return false;
  const struct fc_process *creator = fc_registry_process(r, node->pid, false);
  return !creator || node->created >= creator->data_moved;
}

bool fc_ownership_stands(struct fc_registry *r, const struct fc_node *node) {
  if (!fc_ownership_tracked(r, node)) return false;
  for (const struct fc_node *dir = node->parent; dir; dir = dir->parent)
    if (dir->reserved) return false;
  return true;
}

bool fc_ownership_holds_in(struct fc_registry *r, const struct fc_node *node, const struct fc_identity *parent,
                           const char *leaf) {
  const struct fc_place *name = fc_registry_place(r, parent->ino, parent->dev_major, parent->dev_minor, leaf, false);
  if (name && name->reserved) return false;
  const struct fc_place *dir = fc_registry_place(r, parent->ino, parent->dev_major, parent->dev_minor, "", false);
  return !dir || node->since >= dir->data_moved;
}

static const char *leaf_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static void untrack(struct fc_node *node, enum fc_why why) {
  node->tracked = node->asked = node->tree = node->expected = false;
  node->why = (uint8_t)why;
}

/* N1. `object` may be NULL when nothing is known of it. */
static void reserve(struct fc_registry *r, const char *path, const struct fc_object *object) {
  struct fc_node *node = fc_registry_find(r, path, true);
  if (node) {
    node->seen = true;
    node->reserved = true;
    untrack(node, FC_WHY_RESERVED);
  }
  if (!object || !object->parent_ino) return;
  struct fc_place *place =
      fc_registry_place(r, object->parent_ino, object->parent_major, object->parent_minor, leaf_of(path), true);
  if (place) place->reserved = true;
}

/* N2. The object at path was the user's and (perhaps) held data that went somewhere else. */
static void data_moved(struct fc_registry *r, const char *path, const struct fc_object *object, uint32_t pid,
                       uint64_t index) {
  const uint64_t now = index + 1; /* what is created from the next record on is judged afresh */
  struct fc_process *process = fc_registry_process(r, pid, true);
  if (process) process->data_moved = now;
  struct fc_node *node = fc_registry_find(r, path, true);
  for (node = node ? node->parent : NULL; node; node = node->parent) node->data_moved = now;
  r->root.data_moved = now;
  r->data_moved = now;
  if (!object || !object->parent_ino) return;
  struct fc_place *dir = fc_registry_place(r, object->parent_ino, object->parent_major, object->parent_minor, "", true);
  if (dir) dir->data_moved = now;
}

static bool may_hold_data(const struct fc_object *object) { return !object || !object->mode || object->has_data; }

/* An untracked object went away from path: both rules. */
static void lost_to_user(struct fc_registry *r, const char *path, const struct fc_object *object, uint32_t pid,
                         uint64_t index) {
  if (may_hold_data(object)) data_moved(r, path, object, pid, index);
  reserve(r, path, object);
}

static void runs(struct fc_registry *r, const struct fc_replayed *rec) {
  struct fc_process *process = rec->path[0] ? fc_registry_process(r, rec->start.pid, true) : NULL;
  if (process) process->program = fc_registry_program(r, rec->path, strlen(rec->path), 0);
}

/* Only counted: who has made how much. */
static void count_made(struct fc_registry *r, const struct fc_replayed *rec) {
  const struct fc_process *process = fc_registry_process(r, rec->start.pid, false);
  *((rec->start.flags & FC_REC_DIR) ? &r->created_dirs : &r->created_files) += 1;
  if (process && process->program) process->program->created++;
}

static bool is_below_kept(const struct fc_node *node) {
  for (; node; node = node->parent)
    if (node->kept) return true;
  return false;
}

static void track(struct fc_registry *r, const struct fc_replayed *rec, const char *path) {
  struct fc_node *node = fc_registry_find(r, path, true);
  if (!node || node == &r->root) return;
  const bool kept = is_below_kept(node);
  node->seen = true;
  node->tracked = !node->reserved && !kept;
  node->why = kept ? FC_WHY_ASKED : FC_WHY_REPLACES;
  node->identity = rec->start.identity;
  node->born_ns = rec->start.time_ns;
  node->pid = rec->start.pid;
  node->created = node->since = rec->sequence;
  node->is_dir = (rec->start.flags & FC_REC_DIR) != 0;
  node->asked = node->tree = node->expected = false;
  node->adopted = rec->start.type == FC_REC_ADOPT;
}

/* The owner's word (TRACK). */
static void asked(struct fc_registry *r, const struct fc_replayed *rec) {
  track(r, rec, rec->path);
  struct fc_node *node = fc_registry_find(r, rec->path, false);
  if (!node || !node->tracked) return;
  const struct fc_identity *since = rec->has_info ? &rec->info.identity : &rec->start.identity;
  node->asked = true;
  node->tree = (rec->start.flags & FC_REC_TREE) != 0;
  node->expected = rec->start.identity.ino == 0;
  node->asked_ns = fc_sys_in_ns(since->birth_s, since->birth_ns);
}

/* Why the object at source, whose identity is seen, is not the session's when it gets another name: made by it, but
 * before data moved, or never its own. */
static enum fc_why why_not_ours(const struct fc_node *source, const struct fc_identity *seen, enum fc_why otherwise) {
  const bool made =
      source && (source->tracked || source->why == FC_WHY_DATA_MOVED) && fc_identity_equal(&source->identity, seen);
  return made ? FC_WHY_DATA_MOVED : otherwise;
}

/* N5: path is a new name of the object that path2 names (or of one that never had a name). */
static void linked(struct fc_registry *r, const struct fc_replayed *rec) {
  struct fc_node *source = rec->path2[0] ? fc_registry_find(r, rec->path2, false) : NULL;
  const struct fc_inode *nameless = fc_registry_inode(r, &rec->start.identity);
  const bool ours =
      (fc_ownership_stands(r, source) && fc_identity_equal(&source->identity, &rec->start.identity)) || nameless;
  const uint64_t made = source ? source->created : nameless ? nameless->record : 0;
  if (ours && made >= r->data_moved) {
    track(r, rec, rec->path);
    return;
  }
  struct fc_node *node = fc_registry_find(r, rec->path, true);
  if (!node) return;
  node->seen = true;
  untrack(node, nameless ? FC_WHY_DATA_MOVED : why_not_ours(source, &rec->start.identity, FC_WHY_LINK));
}

/* True when the object that was there right before the call is the one that the session created at this node. */
static bool was_ours(struct fc_registry *r, const struct fc_node *node, const struct fc_replayed *rec) {
  return rec->has_info && fc_ownership_stands(r, node) && fc_identity_equal(&node->identity, &rec->info.identity);
}

static void forget_object(struct fc_registry *r, struct fc_node *node, enum fc_why why) {
  while (node->first_child) fc_registry_drop(r, node->first_child);
  untrack(node, why);
  node->is_dir = false;
}

static void removed(struct fc_registry *r, const struct fc_replayed *rec, bool data_is_gone) {
  struct fc_node *node = fc_registry_find(r, rec->path, false);
  if (was_ours(r, node, rec)) {
    /* Pending: it may still be there, and its identity proves it then. */
    if (rec->result == FC_RESULT_DONE) {
      *(data_is_gone ? &r->removed : &r->renamed_out) += 1;
      forget_object(r, node, FC_WHY_REMOVED);
      node->seen = false; /* nothing stands there that was ever spoken of */
    }
    return;
  }
  const struct fc_object *object = rec->has_info ? &rec->info : NULL;
  if (data_is_gone)
    lost_to_user(r, rec->path, object, rec->start.pid, rec->sequence);
  else
    reserve(r, rec->path, object);
  node = fc_registry_find(r, rec->path, false);
  if (node && rec->result != FC_RESULT_PENDING) forget_object(r, node, FC_WHY_RESERVED);
}

static struct fc_node *parent_of(struct fc_registry *r, const char *path, const char **leaf) {
  *leaf = leaf_of(path);
  if (*leaf == path) return &r->root;
  /* The parent's path is a prefix: find its node component by component up to the leaf. */
  struct fc_node *node = &r->root;
  for (const char *p = path; p < *leaf && node;) {
    const char *slash = strchr(p, '/');
    node = fc_registry_child(r, node, p, (size_t)(slash - p), true);
    p = slash + 1;
  }
  return node;
}

/* A directory above stands where something of the user's stood: so far all that is in it was spared. */
static bool is_in_users(const struct fc_node *node) {
  for (const struct fc_node *dir = node->parent; dir; dir = dir->parent)
    if (dir->reserved) return true;
  return false;
}

/* why: the reason when it is not tracked there. */
static void move_node(struct fc_registry *r, struct fc_node *node, const char *path, uint64_t index,
                      bool was_ours_before, bool tracked, enum fc_why why) {
  const char *leaf;
  struct fc_node *parent = parent_of(r, path, &leaf);
  if (!parent) return;
  const struct fc_node *there = fc_registry_child(r, parent, leaf, strlen(leaf), false);
  const bool reserved = there && there->reserved;
  const bool was_users = is_in_users(node);
  if (!fc_registry_move(r, node, parent, leaf, strlen(leaf))) {
    untrack(node, why);
    return;
  }
  node->seen = true;
  node->reserved = reserved;
  const bool kept = is_below_kept(node);
  node->tracked = tracked && !reserved && !kept && !was_users;
  node->why = (uint8_t)(kept ? FC_WHY_ASKED : reserved ? FC_WHY_REPLACES : why);
  node->since = index;
  if (node->tracked || (!was_ours_before && !reserved && !kept && !was_users)) return;
  /* With a directory that takes the place of the user's, or may hold his data, goes what is in it. */
  for (struct fc_node *below = fc_registry_postorder(node, NULL); below; below = fc_registry_postorder(node, below))
    if (below != node) untrack(below, FC_WHY_DIRECTORY);
}

static void renamed(struct fc_registry *r, const struct fc_replayed *rec) {
  struct fc_node *source = fc_registry_find(r, rec->path, false);
  struct fc_node *target = fc_registry_find(r, rec->path2, false);
  const bool ours = was_ours(r, source, rec);
  const struct fc_object *source_object = rec->has_info ? &rec->info : NULL;
  const struct fc_object *seen = rec->has_target ? &rec->target : NULL;
  const uint32_t pid = rec->start.pid;

  if (rec->result == FC_RESULT_PENDING) {
    if (!ours) reserve(r, rec->path, source_object);
    if (!fc_ownership_tracked(r, target)) lost_to_user(r, rec->path2, NULL, pid, rec->sequence);
    return;
  }
  /* What was made before data of the user's moved may hold it, and would escape N2 at another place. */
  bool stays_ours = ours && source->created >= r->data_moved;
  enum fc_why why = rec->has_info ? why_not_ours(source, &rec->info.identity, FC_WHY_USERS) : FC_WHY_USERS;
  if (rec->result == FC_RESULT_ONTO) {
    if (seen && seen->mode && source_object && fc_identity_equal(&source_object->identity, &seen->identity))
      return; /* one inode: no-op */
    const bool target_ours =
        seen && seen->mode && fc_ownership_stands(r, target) && fc_identity_equal(&target->identity, &seen->identity);
    if (!target_ours) {
      lost_to_user(r, rec->path2, seen, pid, rec->sequence);
      stays_ours = false;
      why = FC_WHY_REPLACES;
    }
  }
  if (!source) source = fc_registry_find(r, rec->path, true);
  if (!source || source == &r->root) return;
  move_node(r, source, rec->path2, rec->sequence, ours, stays_ours, why);
  if (!ours) reserve(r, rec->path, source_object);
}

static void renamed_out(struct fc_registry *r, const struct fc_replayed *rec) { removed(r, rec, false); }

static void renamed_in(struct fc_registry *r, const struct fc_replayed *rec) {
  struct fc_node *node = fc_registry_find(r, rec->path, false);
  const bool was_tracked = fc_ownership_stands(r, node);
  if (rec->result == FC_RESULT_PENDING && was_tracked) return; /* identity decides */
  const bool onto_ours =
      was_tracked && rec->has_target && rec->target.mode && fc_identity_equal(&node->identity, &rec->target.identity);
  if (rec->result != FC_RESULT_DONE && !onto_ours)
    lost_to_user(r, rec->path, rec->has_target ? &rec->target : NULL, rec->start.pid, rec->sequence);
  node = fc_registry_find(r, rec->path, true);
  if (!node) return;
  forget_object(r, node, FC_WHY_RENAMED_IN);
  node->seen = true;
}

/* Each takes the other's place with all below it; a name's N1 mark stays with the name. */
static void swap_nodes(struct fc_registry *r, struct fc_node *a, struct fc_node *b, uint64_t index) {
  static const char nowhere[] = "/"; /* no leaf is called so */
  struct fc_node *const parent_a = a->parent;
  struct fc_node *const parent_b = b->parent;
  char leaf_a[NAME_MAX + 1];
  char leaf_b[NAME_MAX + 1];
  memcpy(leaf_a, fc_registry_leaf(a), a->leaf_len + 1u);
  memcpy(leaf_b, fc_registry_leaf(b), b->leaf_len + 1u);
  const bool reserved_a = a->reserved;
  a->reserved = b->reserved;
  b->reserved = reserved_a;
  a->since = b->since = index;
  if (!fc_registry_move(r, a, &r->root, nowhere, 1)) return;
  if (!fc_registry_move(r, b, parent_a, leaf_a, strlen(leaf_a)) ||
      !fc_registry_move(r, a, parent_b, leaf_b, strlen(leaf_b)))
    a->tracked = b->tracked = false; /* no memory */
}

static bool is_above(const struct fc_node *node, const struct fc_node *other) {
  for (; other; other = other->parent)
    if (other == node) return true;
  return false;
}

static void exchanged(struct fc_registry *r, const struct fc_replayed *rec) {
  struct fc_node *a = fc_registry_find(r, rec->path, true);
  struct fc_node *b = fc_registry_find(r, rec->path2, true);
  if (!a || !b || is_above(a, b) || is_above(b, a)) return; /* the kernel refuses that; a journal may claim it */
  a->seen = b->seen = true;
  if (rec->has_info && rec->has_target && fc_identity_equal(&rec->info.identity, &rec->target.identity))
    return; /* two names of one inode: nothing changes */
  const bool both = was_ours(r, a, rec) && fc_ownership_stands(r, b) && rec->has_target &&
                    fc_identity_equal(&b->identity, &rec->target.identity) && a->created >= r->data_moved &&
                    b->created >= r->data_moved;
  if (rec->result == FC_RESULT_PENDING) {
    if (both) return; /* whichever happened, identity tells */
  } else if (both) {
    swap_nodes(r, a, b, rec->sequence);
  } else {
    forget_object(r, a, FC_WHY_RESERVED);
    forget_object(r, b, FC_WHY_RESERVED);
  }
  if (both) return;
  reserve(r, rec->path, rec->has_info ? &rec->info : NULL);
  reserve(r, rec->path2, rec->has_target ? &rec->target : NULL);
}

static void used(struct fc_registry *r, const struct fc_replayed *rec) {
  struct fc_node *node = fc_registry_find(r, rec->path, true);
  if (!node) return;
  if (!node->used && !node->asked)
    node->used_at = rec->sequence; /* the first time: what moved data since may have moved it here */
  node->seen = node->used = true;
  if ((rec->start.flags & FC_REC_TRUNCATES) && !was_ours(r, node, rec) &&
      may_hold_data(rec->has_info ? &rec->info : NULL))
    data_moved(r, rec->path, rec->has_info ? &rec->info : NULL, rec->start.pid, rec->sequence);
}

/* Asked for from outside: with a directory goes what is in it. */
static void untracked(struct fc_registry *r, const char *path) {
  struct fc_node *top = fc_registry_find(r, path, true);
  if (!top) return;
  top->seen = true;
  for (struct fc_node *n = fc_registry_postorder(top, NULL); n; n = fc_registry_postorder(top, n))
    untrack(n, FC_WHY_ASKED);
}

static void keep_below(struct fc_registry *r, const char *path) {
  struct fc_node *top = fc_registry_find(r, path, true);
  if (top) top->kept = true;
}

/* What the owner only expected is bound by then. */
static void captured(struct fc_registry *r, const struct fc_replayed *rec) {
  struct fc_node *node = fc_registry_find(r, rec->path, false);
  if (node && node->expected) {
    node->identity = rec->start.identity;
    node->expected = false;
  }
  if (r->no_captures) return;
  const size_t len = strlen(rec->path);
  struct fc_capture *capture = fc_arena_alloc(&r->arena, sizeof *capture + len + 1);
  if (!capture) {
    r->failed = true;
    return;
  }
  capture->identity = rec->start.identity;
  capture->slot = rec->index;
  memcpy(capture->path, rec->path, len + 1);
  capture->next = r->captures;
  r->captures = capture;
}

void fc_ownership_apply(struct fc_registry *r, const struct fc_replayed *rec) {
  r->records++;
  if (rec->result == FC_RESULT_FAILED && rec->start.type == FC_REC_TRACK && r->heeds_taken_back && rec->path[0])
    (void)fc_registry_find(r, rec->path, true);
  if (rec->result == FC_RESULT_FAILED && rec->start.type != FC_REC_EXEC) return;
  struct fc_process *process;
  switch ((enum fc_record_type)rec->start.type) {
  case FC_REC_JOIN:
    process = fc_registry_process(r, rec->start.pid, true);
    if (process) process->exec_open = false;
    if (process) process->joined = true;
    runs(r, rec);
    process = fc_registry_process(r, (uint32_t)rec->start.time_ns, false); /* its parent */
    if (process) process->child_arrived = true;
    return;
  case FC_REC_EXEC:
    process = fc_registry_process(r, rec->start.pid, true);
    if (!process || rec->result == FC_RESULT_FAILED) return;
    if (rec->start.flags & FC_REC_STARTS) {
      if (rec->result != FC_RESULT_PENDING) return;
      process->starts_ns = rec->start.time_ns;
      process->child_arrived = false;
      return;
    }
    if ((rec->start.flags & FC_REC_SPAWNED) && process->joined) return;
    process->exec_open = true;
    process->exec_ns = rec->start.time_ns;
    return;
  case FC_REC_PROGRAM:
    runs(r, rec);
    return;
  case FC_REC_END:
    if (rec->start.pid == r->leader_pid) r->leader_status = rec->start.extra;
    return;
  case FC_REC_OUTSIDE:
    process = fc_registry_process(r, rec->start.pid, true);
    if (process) process->outside = true;
    return;
  case FC_REC_INODE:
    fc_registry_add_inode(r, &rec->start.identity, rec->sequence);
    return;
  default:
    break;
  }
  if (!rec->path[0]) return; /* the base itself, or a name that "." and ".." lead out of it */
  switch ((enum fc_record_type)rec->start.type) {
  case FC_REC_CREATE:
    count_made(r, rec);
    track(r, rec, rec->path);
    return;
  case FC_REC_ADOPT:
    track(r, rec, rec->path);
    return;
  case FC_REC_TRACK:
    asked(r, rec);
    return;
  case FC_REC_LINK:
    linked(r, rec);
    return;
  case FC_REC_UNLINK:
    removed(r, rec, true);
    return;
  case FC_REC_RENAME:
    if (rec->path2[0]) renamed(r, rec);
    return;
  case FC_REC_RENAME_OUT:
    renamed_out(r, rec);
    return;
  case FC_REC_RENAME_IN:
    renamed_in(r, rec);
    return;
  case FC_REC_EXCHANGE:
    if (rec->path2[0]) exchanged(r, rec);
    return;
  case FC_REC_USED:
    used(r, rec);
    return;
  case FC_REC_KEEP:
    reserve(r, rec->path, NULL);
    untracked(r, rec->path);
    keep_below(r, rec->path);
    return;
  case FC_REC_UNTRACK:
    untracked(r, rec->path);
    return;
  case FC_REC_CAPTURE:
    captured(r, rec);
    return;
  default:
    return;
  }
}

unsigned fc_ownership_unseen(struct fc_registry *r, unsigned *alive, unsigned *arriving) {
  unsigned unseen = r->unseen_gone;
  *alive = *arriving = 0;
  const int64_t now = fc_sys_boottime();
  for (struct fc_process *p = r->processes; p; p = p->hh.next) {
    const bool may_arrive = p->starts_ns && now < p->starts_ns + FC_START_NS;
    if (may_arrive) (*arriving)++;
    if (may_arrive || (p->starts_ns && !p->child_arrived)) unseen++;
    if (!p->exec_open) continue;
    unseen++;
    /* With an fd the lock answers as long as the image keeps the fd; sudo and daemons close it. The pid is the same
     * process when it was started before the record was written. */
    const int64_t started = fc_session_start_time(p->pid);
    if (started >= 0 && started <= p->exec_ns) (*alive)++;
  }
  return unseen;
}
