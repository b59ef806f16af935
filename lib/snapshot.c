#include "snapshot.h"

#include <string.h>

#include "ownership.h"
#include "session.h"

enum node_bits {
  TRACKED = 1,
  RESERVED = 2,
  DIRECTORY = 4,
  USED = 8,
  SEEN = 16,
  ASKED = 32,
  TREE = 64,
  EXPECTED = 128,
  KEPT = 256,
  ADOPTED = 512,
  WHY_SHIFT = 16
};
enum process_bits { OUTSIDE = 1, JOINED = 2, EXEC_OPEN = 4, CHILD_ARRIVED = 8 };

/* Each stands in the place of an info cell's object. */
struct node_state {
  uint64_t created, since, used_at, data_moved; /* used_at: or asked_ns */
  uint32_t bits;
  uint32_t zero[5];
};
struct process_state {
  uint64_t data_moved;
  int64_t exec_ns, starts_ns;
  uint32_t bits;
  uint32_t program;
  uint32_t zero[6];
};
struct program_state {
  uint64_t created;
  uint32_t number;
  uint32_t zero[11];
};
struct place_state {
  uint64_t ino, data_moved;
  uint32_t dev_major, dev_minor, reserved;
  uint32_t zero[7];
};
struct inode_state {
  uint64_t record;
  uint32_t zero[12];
};
struct end_state {
  uint32_t records; /* of the checkpoint before this one; first, for replay.c */
  uint32_t zero[13];
};
struct whole_state {
  uint64_t data_moved, root_data_moved;
  int32_t leader_status;
  uint32_t unseen_gone;
  uint64_t created_files, created_dirs, removed, renamed_out;
};
_Static_assert(sizeof(struct node_state) == FC_CELL_PAYLOAD, "cell layout");
_Static_assert(sizeof(struct process_state) == FC_CELL_PAYLOAD, "cell layout");
_Static_assert(sizeof(struct program_state) == FC_CELL_PAYLOAD, "cell layout");
_Static_assert(sizeof(struct place_state) == FC_CELL_PAYLOAD, "cell layout");
_Static_assert(sizeof(struct inode_state) == FC_CELL_PAYLOAD, "cell layout");
_Static_assert(sizeof(struct whole_state) == FC_CELL_PAYLOAD, "cell layout");
_Static_assert(sizeof(struct end_state) == FC_CELL_PAYLOAD, "cell layout");

struct writer {
  struct fc_registry *registry;
  struct fc_journal *journal;
  uint16_t generation;
  struct end_state *end;
};

static int64_t put(const struct writer *w, const struct fc_record *fields, const void *state) {
  struct fc_object object;
  memcpy(&object, state, sizeof object);
  struct fc_record record = *fields;
  record.flags = FC_REC_INFO;
  record.extra = w->generation;
  record.info = &object;
  w->end->records++;
  return fc_journal_append(w->journal, &record);
}

static bool matters(struct fc_registry *r, const struct fc_node *n) {
  return n->reserved || n->used || n->data_moved || n->seen || fc_ownership_tracked(r, n);
}

uint32_t fc_snapshot_cells(struct fc_registry *r) {
  const uint64_t inodes = HASH_COUNT(r->inodes) < FC_SNAPSHOT_INODES ? HASH_COUNT(r->inodes) : FC_SNAPSHOT_INODES;
  uint64_t cells = 16 + 2 * (uint64_t)HASH_COUNT(r->processes) + 2 * inodes;
  for (struct fc_node *n = fc_registry_postorder(&r->root, NULL); n; n = fc_registry_postorder(&r->root, n)) {
    if (!matters(r, n)) continue;
    size_t len = 0;
    for (const struct fc_node *at = n; at->parent; at = at->parent) len += at->leaf_len + 1u;
    cells += 3 + len / FC_CELL_PAYLOAD;
  }
  for (const struct fc_program *p = r->programs; p; p = p->hh.next) cells += 3 + p->hh.keylen / FC_CELL_PAYLOAD;
  for (const struct fc_place *p = r->places; p; p = p->hh.next) cells += 3 + p->hh.keylen / FC_CELL_PAYLOAD;
  return cells > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)cells;
}

/* What is written as untracked because of N2 says so. */
static uint32_t why_bits(struct fc_registry *r, const struct fc_node *n) {
  const bool by_n2 = n->tracked && !n->reserved && !fc_ownership_tracked(r, n);
  return (uint32_t)(by_n2 ? FC_WHY_DATA_MOVED : n->why) << WHY_SHIFT;
}

static bool put_nodes(const struct writer *w, char *path) {
  struct fc_registry *r = w->registry;
  for (struct fc_node *n = fc_registry_postorder(&r->root, NULL); n; n = fc_registry_postorder(&r->root, n)) {
    if (!n->parent || !matters(r, n)) continue;
    const size_t len = fc_registry_path(n, path, FC_REPLAY_PATH_MAX);
    if (len == 0) return false;
    const struct node_state state = {.created = n->created,
                                     .since = n->since,
                                     .used_at = n->used_at,
                                     .data_moved = n->data_moved,
                                     .bits = (fc_ownership_tracked(r, n) ? TRACKED : 0u) |
                                             (n->reserved ? RESERVED : 0u) | (n->is_dir ? DIRECTORY : 0u) |
                                             (n->used ? USED : 0u) | (n->seen ? SEEN : 0u) | (n->asked ? ASKED : 0u) |
                                             (n->tree ? TREE : 0u) | (n->expected ? EXPECTED : 0u) |
                                             (n->kept ? KEPT : 0u) | (n->adopted ? ADOPTED : 0u) | why_bits(r, n)};
    const struct fc_record record = {.type = FC_REC_CK_NODE,
                                     .pid = n->pid,
                                     .time_ns = n->born_ns,
                                     .identity = &n->identity,
                                     .path = {NULL, 0, path, len}};
    if (put(w, &record, &state) < 0) return false;
  }
  return true;
}

/* N6 asks for the creator of what is tracked; the other words are about what the process may still do. */
static bool put_processes(const struct writer *w) {
  struct fc_registry *r = w->registry;
  const int64_t now = fc_sys_boottime();
  for (struct fc_process *p = r->processes; p; p = p->hh.next) p->mentioned = false;
  for (struct fc_node *n = fc_registry_postorder(&r->root, NULL); n; n = fc_registry_postorder(&r->root, n)) {
    struct fc_process *creator = fc_ownership_tracked(r, n) ? fc_registry_process(r, n->pid, false) : NULL;
    if (creator) creator->mentioned = true;
  }
  for (struct fc_process *p = r->processes; p; p = p->hh.next) {
    const bool may_start = p->starts_ns && now < p->starts_ns + FC_START_NS;
    if (!p->mentioned && !may_start && fc_session_start_time(p->pid) < 0) {
      if (p->exec_open || (p->starts_ns && !p->child_arrived)) r->unseen_gone++;
      continue;
    }
    const struct process_state state = {.data_moved = p->data_moved,
                                        .exec_ns = p->exec_ns,
                                        .starts_ns = p->starts_ns,
                                        .program = p->program ? p->program->number : 0,
                                        .bits = (p->outside ? OUTSIDE : 0u) | (p->joined ? JOINED : 0u) |
                                                (p->exec_open ? EXEC_OPEN : 0u) |
                                                (p->child_arrived ? CHILD_ARRIVED : 0u)};
    const struct fc_record record = {.type = FC_REC_CK_PROCESS, .pid = p->pid};
    if (put(w, &record, &state) < 0) return false;
  }
  return true;
}

static bool put_programs(const struct writer *w) {
  for (const struct fc_program *p = w->registry->programs; p; p = p->hh.next) {
    const struct program_state state = {.created = p->created, .number = p->number};
    const struct fc_record record = {.type = FC_REC_CK_PROGRAM, .path = {NULL, 0, p->name, p->hh.keylen}};
    if (put(w, &record, &state) < 0) return false;
  }
  return true;
}

static bool put_places(const struct writer *w) {
  for (const struct fc_place *p = w->registry->places; p; p = p->hh.next) {
    struct place_state state = {.data_moved = p->data_moved, .reserved = p->reserved};
    memcpy(&state.ino, p->key, 8);
    memcpy(&state.dev_major, p->key + 8, 4);
    memcpy(&state.dev_minor, p->key + 12, 4);
    const struct fc_record record = {.type = FC_REC_CK_PLACE, .path = {NULL, 0, p->key + 16, p->hh.keylen - 16}};
    if (put(w, &record, &state) < 0) return false;
  }
  return true;
}

static bool put_inodes(const struct writer *w) {
  const unsigned count = HASH_COUNT(w->registry->inodes);
  unsigned i = 0;
  for (const struct fc_inode *inode = w->registry->inodes; inode; inode = inode->hh.next, i++) {
    if (count - i > FC_SNAPSHOT_INODES) continue;
    const struct inode_state state = {.record = inode->record};
    const struct fc_record record = {.type = FC_REC_CK_INODE, .identity = &inode->identity};
    if (put(w, &record, &state) < 0) return false;
  }
  return true;
}

int fc_snapshot_write(struct fc_registry *r, struct fc_journal *journal, uint32_t generation, char *path,
                      uint32_t *first) {
  struct end_state state = {0};
  const struct writer w = {r, journal, (uint16_t)generation, &state};
  const struct fc_record begin = {.type = FC_REC_CK_BEGIN};
  const struct fc_record end = {.type = FC_REC_CK_END};
  const struct node_state nothing = {0};
  struct whole_state whole = {.data_moved = r->data_moved, .root_data_moved = r->root.data_moved};
  const int64_t at = put(&w, &begin, &nothing);
  if (at < 0 || !put_nodes(&w, path) || !put_programs(&w) || !put_processes(&w) || !put_places(&w) || !put_inodes(&w))
    return -ENOSPC;
  whole.leader_status = r->leader_status;
  whole.unseen_gone = r->unseen_gone;
  whole.created_files = r->created_files;
  whole.created_dirs = r->created_dirs;
  whole.removed = r->removed;
  whole.renamed_out = r->renamed_out;
  const struct fc_record all = {.type = FC_REC_CK_WHOLE};
  if (put(&w, &all, &whole) < 0 || put(&w, &end, &state) < 0) return -ENOSPC;
  *first = (uint32_t)at;
  return 0;
}

static void restore_node(struct fc_registry *r, const struct fc_replayed *rec, const struct node_state *state) {
  struct fc_node *n = rec->path[0] ? fc_registry_find(r, rec->path, true) : NULL;
  if (!n) return;
  n->identity = rec->start.identity;
  n->born_ns = rec->start.time_ns;
  n->pid = rec->start.pid;
  n->created = state->created;
  n->since = state->since;
  n->used_at = state->used_at;
  n->data_moved = state->data_moved;
  n->tracked = state->bits & TRACKED;
  n->reserved = state->bits & RESERVED;
  n->is_dir = state->bits & DIRECTORY;
  n->used = state->bits & USED;
  n->seen = state->bits & SEEN;
  n->asked = state->bits & ASKED;
  n->tree = state->bits & TREE;
  n->expected = (state->bits & EXPECTED) && n->identity.ino == 0;
  n->kept = state->bits & KEPT;
  n->adopted = state->bits & ADOPTED;
  n->why = (uint8_t)(state->bits >> WHY_SHIFT);
}

static void restore_process(struct fc_registry *r, const struct fc_replayed *rec, const struct process_state *state) {
  struct fc_process *p = fc_registry_process(r, rec->start.pid, true);
  if (!p) return;
  p->data_moved = state->data_moved;
  p->exec_ns = state->exec_ns;
  p->starts_ns = state->starts_ns;
  p->child_arrived = state->bits & CHILD_ARRIVED;
  p->outside = state->bits & OUTSIDE;
  for (p->program = state->program ? r->programs : NULL; p->program && p->program->number != state->program;)
    p->program = p->program->hh.next;
  p->joined = state->bits & JOINED;
  p->exec_open = state->bits & EXEC_OPEN;
}

static void restore_program(struct fc_registry *r, const struct fc_replayed *rec, const struct program_state *state) {
  struct fc_program *p = fc_registry_program(r, rec->path, strlen(rec->path), state->number);
  if (p) p->created = state->created;
}

static void restore_place(struct fc_registry *r, const struct fc_replayed *rec, const struct place_state *state) {
  struct fc_place *p = fc_registry_place(r, state->ino, state->dev_major, state->dev_minor, rec->path, true);
  if (!p) return;
  p->data_moved = state->data_moved;
  p->reserved = state->reserved;
}

void fc_snapshot_restore(struct fc_registry *r, const struct fc_replayed *rec) {
  union {
    struct node_state node;
    struct process_state process;
    struct program_state program;
    struct place_state place;
    struct inode_state inode;
    struct whole_state whole;
  } state;
  if (!rec->has_info) return;
  memcpy(&state, &rec->info, sizeof rec->info);
  switch ((enum fc_record_type)rec->start.type) {
  case FC_REC_CK_NODE:
    restore_node(r, rec, &state.node);
    return;
  case FC_REC_CK_PROCESS:
    restore_process(r, rec, &state.process);
    return;
  case FC_REC_CK_PROGRAM:
    restore_program(r, rec, &state.program);
    return;
  case FC_REC_CK_PLACE:
    restore_place(r, rec, &state.place);
    return;
  case FC_REC_CK_INODE:
    fc_registry_add_inode(r, &rec->start.identity, state.inode.record);
    return;
  case FC_REC_CK_WHOLE:
    r->data_moved = state.whole.data_moved;
    r->root.data_moved = state.whole.root_data_moved;
    r->leader_status = state.whole.leader_status;
    r->unseen_gone = state.whole.unseen_gone;
    r->created_files = state.whole.created_files;
    r->created_dirs = state.whole.created_dirs;
    r->removed = state.whole.removed;
    r->renamed_out = state.whole.renamed_out;
    return;
  default:
    return;
  }
}
