#include "checkpoint.h"

#include <string.h>

#include "history.h"
#include "ownership.h"
#include "quarantine.h"
#include "snapshot.h"
#include "turn.h"

#define PAGE_BYTES 4096u
#define STUCK_NS INT64_C(2000000000) /* between reserving cells and writing them lie nanoseconds */
#define FULL_NS INT64_C(10000000000) /* a call that takes longer is not waited for when the ring gets full */
#define PUNCH_HOLE_KEEP_SIZE 3       /* FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE */

static uint32_t longest_step(uint32_t capacity) { return capacity / 4; }

bool fc_checkpoint_is_due(uint32_t capacity, const struct fc_head_words *words,
                          const struct fc_checkpoint_memory *memory) {
  if (capacity < FC_CHECKPOINT_CAPACITY_MIN) return false;
  const uint32_t head = __atomic_load_n(&words->head, __ATOMIC_ACQUIRE);
  const uint32_t used = __atomic_load_n(&words->next, __ATOMIC_RELAXED) - head;
  const uint32_t since = used > memory->last_cells ? used - memory->last_cells : 0;
  const uint32_t least = 2 * memory->last_cells < capacity / 16 ? 2 * memory->last_cells : capacity / 16;
  return since > fc_journal_stride(capacity) && since > least;
}

static int punch(int fd, uint64_t from, uint64_t to) {
  if (to <= from) return 0;
#if defined(__LP64__)
  return (int)FC_SYS4(SYS_fallocate, fd, PUNCH_HOLE_KEEP_SIZE, from, to - from);
#else
  return (int)fc_sys6(SYS_fallocate, fd, PUNCH_HOLE_KEEP_SIZE, (long)from, 0, (long)(to - from), 0);
#endif
}

/* The pages that hold nothing but cells of the quarter before head: what this step has covered, or an earlier one that
 * was killed; before the first lap's head, the last quarter of the ring, where nothing stands yet. */
static int punch_before(int fd, uint32_t capacity, uint32_t head) {
  if (capacity < FC_CHECKPOINT_CAPACITY_MIN) return -EOPNOTSUPP;
  const uint64_t from = fc_journal_at(capacity, head - longest_step(capacity)) / PAGE_BYTES * PAGE_BYTES;
  const uint64_t to = fc_journal_at(capacity, head) / PAGE_BYTES * PAGE_BYTES;
  if (from < to) return punch(fd, from, to);
  const int rc = punch(fd, from, FC_HEADER_BYTES + (uint64_t)capacity * FC_CELL_BYTES);
  return rc < 0 ? rc : punch(fd, FC_HEADER_BYTES, to);
}

struct maker {
  int fd;
  const struct fc_session_header *header;
  struct fc_checkpoint_memory *memory;
  struct fc_journal journal;
  struct fc_registry registry;
  struct fc_replay replay;
  int64_t now;
  uint32_t stuck_before; /* cells before this one were reserved long ago */
  bool full;             /* what cannot be covered now may cost the whole session */
};

/* The writer may still complete it: its call is under way. EXEC is no such record: what becomes of it is told by JOIN,
 * or by the process's own life. */
static bool may_be_completed(const struct maker *m, const struct fc_replayed *rec) {
  switch (rec->start.type) {
  case FC_REC_UNLINK:
  case FC_REC_RENAME:
  case FC_REC_RENAME_OUT:
  case FC_REC_RENAME_IN:
  case FC_REC_EXCHANGE:
    break;
  default:
    return false;
  }
  if (rec->result != FC_RESULT_PENDING) return false;
  if (m->full && m->now - rec->start.time_ns > FULL_NS) return false;
  const int64_t started = fc_session_start_time(rec->start.pid);
  return started >= 0 && started <= rec->start.time_ns;
}

/* Remembers how far writers had come, to know at the next try what has been under way for long. */
static void look_back(struct maker *m) {
  struct fc_checkpoint_memory *memory = m->memory;
  if (memory->then_ns != 0 && m->now - memory->then_ns < STUCK_NS) return;
  m->stuck_before = memory->then_ns != 0 ? memory->then_next : m->replay.head;
  memory->then_next = __atomic_load_n(&m->journal.words->next, __ATOMIC_RELAXED);
  memory->then_ns = m->now;
}

/* Cells that have been reserved and not written for long are taken away from their writers. */
static bool give_up_open(struct maker *m) {
  const struct fc_replay *r = &m->replay;
  for (unsigned i = 0; i < r->open_count; i++)
    for (uint32_t cell = r->open[i].first; cell != r->open[i].first + r->open[i].count; cell++)
      if ((int32_t)(m->stuck_before - cell) <= 0 || !fc_journal_give_up(&m->journal, cell)) return false;
  return true;
}

/* What lies between the last record that was applied and the cell is empty, or passed by: older checkpoints. */
static uint32_t at_most(const struct fc_replay *r, uint32_t cell, uint32_t most) {
  return cell - r->head > most ? r->head + most : cell;
}

/* Reads what is settled into the registry. *cover gets the first cell that is not. */
static int read_settled(struct maker *m, uint32_t *cover) {
  struct fc_replay *const replay = &m->replay;
  struct fc_replayed rec;
  const uint32_t most = longest_step(m->header->capacity);
  for (;;) {
    const enum fc_replay_step step = fc_replay_next(replay, &rec);
    if (step == FC_REPLAY_OVERTAKEN) return -EAGAIN;
    if (step == FC_REPLAY_DAMAGED) return -EBADMSG;
    if (replay->checkpoint == 0 && replay->open_count > 0) {
      /* More of them than are remembered: the others are met by the next try. */
      if (!give_up_open(m) || replay->lost_track) {
        *cover = at_most(replay, replay->open[0].first, most);
        return 0;
      }
      replay->open_count = 0;
    }
    const uint32_t at = step == FC_REPLAY_END ? replay->index : rec.index;
    if (replay->checkpoint == 0 &&
        (step == FC_REPLAY_END || replay->index - replay->head > most || may_be_completed(m, &rec))) {
      *cover = at_most(replay, at, most);
      return 0;
    }
    fc_history_apply(&m->registry, &rec);
    if (m->registry.failed) return -ENOMEM;
  }
}

static void publish(struct fc_session_header *h, uint64_t key, const struct fc_anchor *anchor) {
  const struct fc_anchor *current = fc_journal_anchor(key, h->anchors);
  struct fc_anchor *slot = &h->anchors[current == &h->anchors[0] ? 1 : 0];
  /* Whoever is killed in between leaves the other one in force. An exchange: nothing below may come before it. */
  (void)__atomic_exchange_n(&slot->generation, 0, __ATOMIC_SEQ_CST);
  slot->sequence = anchor->sequence;
  slot->head = anchor->head;
  slot->checkpoint = anchor->checkpoint;
  slot->zero = 0;
  slot->check = anchor->check;
  __atomic_store_n(&slot->generation, anchor->generation, __ATOMIC_RELEASE);
}

static int make(struct maker *m) {
  const struct fc_session_header *h = m->header;
  struct fc_head_words *words = m->journal.words;
  struct fc_registry *r = &m->registry;
  struct fc_replay *replay = &m->replay;
  r->no_captures = true;
  r->leader_pid = h->leader_pid;
  r->leader_status = -1;
  int rc = fc_replay_begin(replay, &r->arena, m->fd, h->key, h->capacity, false);
  if (rc < 0) return rc;
  /* Had the one before been killed behind its anchor. */
  __atomic_store_n(&words->head, replay->head, __ATOMIC_RELEASE);
  /* A file system that cannot punch says so before anything depends on it. */
  rc = punch_before(m->fd, h->capacity, replay->head);
  if (rc < 0) return rc;
  char *path = fc_arena_alloc(&r->arena, FC_REPLAY_PATH_MAX);
  if (!path) return -ENOMEM;
  m->stuck_before = replay->head;
  look_back(m);
  m->full = __atomic_load_n(&words->next, __ATOMIC_RELAXED) - replay->head > h->capacity / 4;
  uint32_t cover;
  rc = read_settled(m, &cover);
  if (rc < 0) return rc;
  if (cover - replay->head < fc_journal_stride(h->capacity) / 2) return -EAGAIN; /* not worth it */
  if (__atomic_load_n(&words->lost_destructive, __ATOMIC_ACQUIRE)) return -EBADMSG;
  /* The old records stay until the new ones stand, and a step must gain more than it takes. */
  const uint32_t used = __atomic_load_n(&words->next, __ATOMIC_RELAXED) - replay->head;
  const uint32_t cells = fc_snapshot_cells(r);
  if (cells > longest_step(h->capacity) / 2 || used + cells + h->capacity / 64 > m->journal.limit) return -ENOSPC;
  struct fc_session_header *const shared = (struct fc_session_header *)(void *)m->journal.first;
  const struct fc_anchor *before = fc_journal_anchor(h->key, shared->anchors);
  struct fc_anchor anchor = {.sequence = replay->head_sequence + (cover - replay->head),
                             .generation = before ? before->generation + 1 : 1,
                             .head = cover};
  rc = fc_snapshot_write(r, &m->journal, anchor.generation, path, &anchor.checkpoint);
  if (rc < 0) return rc;
  anchor.check = fc_journal_anchor_check(h->key, &anchor);
  publish(shared, h->key, &anchor);
  __atomic_store_n(&words->head, cover, __ATOMIC_SEQ_CST);
  m->memory->last_cells = __atomic_load_n(&words->next, __ATOMIC_RELAXED) - anchor.checkpoint;
  return punch_before(m->fd, h->capacity, cover);
}

static bool is_in_the_leaders_namespace(const struct fc_session_header *h) {
  return h->pid_space != 0 && fc_session_pid_space() == h->pid_space;
}

int fc_checkpoint_make(int fd, const struct fc_session_header *h, struct fc_checkpoint_memory *memory,
                       int64_t deadline_ns) {
  struct fc_arena self = {0};
  if (!is_in_the_leaders_namespace(h)) return -EXDEV;
  if (fc_session_is_managed(h)) return -EOPNOTSUPP; /* its owner takes words back in place, and moves it himself */
  struct maker *m = fc_arena_alloc(&self, sizeof *m);
  if (!m) return -ENOMEM;
  m->fd = fd;
  m->header = h;
  m->memory = memory;
  m->now = fc_sys_boottime();
  int rc = fc_turn_take(fd, deadline_ns) ? 0 : -EINTR;
  if (rc == 0) {
    rc = fc_session_map(fd, h, &m->journal);
    if (rc == 0 && __atomic_load_n(&m->journal.words->state, __ATOMIC_ACQUIRE) != FC_STATE_LIVE) rc = -ESTALE;
    if (rc == 0 && fc_quarantine_stands(h)) rc = -EBUSY;
    if (rc == 0) rc = make(m);
    fc_journal_unmap(&m->journal);
    fc_turn_give(fd);
  }
  fc_registry_free(&m->registry);
  fc_arena_free(&self);
  return rc;
}

void fc_checkpoint_finish(int fd, const struct fc_session_header *h) {
  struct fc_anchor anchors[FC_ANCHORS];
  if (fc_sys_pread(fd, anchors, sizeof anchors, offsetof(struct fc_session_header, anchors)) != (long)sizeof anchors)
    return;
  const struct fc_anchor *anchor = fc_journal_anchor(h->key, anchors);
  if (anchor) (void)punch_before(fd, h->capacity, anchor->head); /* not possible: then the rest reads as damage */
}
