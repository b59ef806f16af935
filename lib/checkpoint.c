#include "checkpoint.h"

#include <string.h>

#include "ownership.h"
#include "snapshot.h"
#include "turn.h"

#define PAGE_BYTES 4096u
#define LEAST_MAX (FC_JOURNAL_CELLS_MAX / 16)
#define STUCK_NS                                                                                                       \
  INT64_C(10000000000)         /* between reserving cells and writing them lie nanoseconds; then it was killed         \
                                */
#define PUNCH_HOLE_KEEP_SIZE 3 /* FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE */

bool fc_checkpoint_is_due(const struct fc_head_words *words, const struct fc_checkpoint_memory *memory) {
  const uint32_t used =
      __atomic_load_n(&words->next, __ATOMIC_RELAXED) - __atomic_load_n(&words->head, __ATOMIC_RELAXED);
  const uint32_t since = used > memory->last_cells ? used - memory->last_cells : 0;
  const uint32_t least = 2 * memory->last_cells < LEAST_MAX ? 2 * memory->last_cells : LEAST_MAX;
  return since > FC_CHECKPOINT_CELLS && since > least;
}

static int punch(int fd, uint64_t from, uint64_t to) {
  if (to <= from) return 0;
#if defined(__LP64__)
  return (int)FC_SYS4(SYS_fallocate, fd, PUNCH_HOLE_KEEP_SIZE, from, to - from);
#else
  return (int)fc_sys6(SYS_fallocate, fd, PUNCH_HOLE_KEEP_SIZE, (long)from, 0, (long)(to - from), 0);
#endif
}

/* The pages that hold nothing but cells before head, an eighth of the ring backwards: that covers what an earlier try
 * has left. They are free: the writers keep to half of the ring. */
static int punch_before(int fd, uint32_t capacity, uint32_t head) {
  const uint32_t back = head < capacity / 8 ? head : capacity / 8;
  const uint32_t first = head - back;
  const uint64_t from = fc_journal_at(capacity, first) / PAGE_BYTES * PAGE_BYTES;
  const uint64_t to = fc_journal_at(capacity, head) / PAGE_BYTES * PAGE_BYTES;
  if (from <= to && from >= FC_HEADER_BYTES) return punch(fd, from, to);
  const int rc = punch(fd, from, FC_HEADER_BYTES + (uint64_t)capacity * FC_CELL_BYTES);
  return rc < 0 ? rc : punch(fd, FC_HEADER_BYTES, to);
}

/* The writer may still complete it: its call is under way. EXEC is no such record: what becomes of it is told by JOIN,
 * or by the process's own life. */
static bool may_be_completed(const struct fc_replayed *rec) {
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
  const int64_t started = fc_session_start_time(rec->start.pid);
  return started >= 0 && started <= rec->start.time_ns;
}

/* When the record was about to be reserved, or 0 when it does not say. */
static int64_t time_of(const struct fc_replayed *rec) {
  return rec->start.type == FC_REC_JOIN || rec->start.type >= FC_REC_PAD ? 0 : rec->start.time_ns;
}

/* Reads what is settled into the registry. *cover gets the first cell that is not. A cell that has been reserved and
 * not written is older than the record behind it; one that old has lost its writer. */
static int read_settled(struct fc_registry *r, struct fc_replay *replay, uint32_t *cover) {
  struct fc_replayed rec;
  const int64_t now = fc_journal_now();
  for (;;) {
    const enum fc_replay_step step = fc_replay_next(replay, &rec);
    if (step == FC_REPLAY_OVERTAKEN) return -EAGAIN;
    if (step == FC_REPLAY_DAMAGED) return -EBADMSG;
    if (replay->lost_track) return -EAGAIN;
    if (replay->checkpoint == 0 && replay->open_count > 0) {
      const int64_t then = step == FC_REPLAY_RECORD ? time_of(&rec) : 0;
      if (then == 0 || now - then < STUCK_NS) {
        *cover = replay->open_cells[0];
        return 0;
      }
      replay->open_count = 0;
    }
    if (step == FC_REPLAY_END) {
      *cover = replay->index;
      return 0;
    }
    if (replay->checkpoint == 0 && may_be_completed(&rec)) {
      *cover = rec.index;
      return 0;
    }
    fc_ownership_apply(r, &rec);
    if (r->failed) return -ENOMEM;
  }
}

static void publish(struct fc_session_header *h, uint64_t key, const struct fc_anchor *anchor) {
  const struct fc_anchor *current = fc_journal_anchor(key, h->anchors);
  struct fc_anchor *slot = &h->anchors[current == &h->anchors[0] ? 1 : 0];
  slot->generation = 0; /* whoever is killed in between leaves the other one in force */
  __atomic_thread_fence(__ATOMIC_RELEASE);
  slot->sequence = anchor->sequence;
  slot->head = anchor->head;
  slot->checkpoint = anchor->checkpoint;
  slot->zero = 0;
  slot->check = anchor->check;
  __atomic_store_n(&slot->generation, anchor->generation, __ATOMIC_RELEASE);
}

static int make(int fd, const struct fc_session_header *h, struct fc_checkpoint_memory *memory,
                struct fc_journal *journal, struct fc_registry *r, struct fc_replay *replay) {
  struct fc_head_words *words = journal->words;
  r->no_captures = true;
  r->leader_pid = h->leader_pid;
  r->leader_status = -1;
  /* A file system that cannot punch says so before anything depends on it. */
  int rc = punch(fd, FC_HEADER_BYTES + (uint64_t)h->capacity * FC_CELL_BYTES - PAGE_BYTES,
                 FC_HEADER_BYTES + (uint64_t)h->capacity * FC_CELL_BYTES);
  if (rc == 0) rc = fc_replay_begin(replay, &r->arena, fd, h->key, h->capacity, false);
  char *path = rc == 0 ? fc_arena_alloc(&r->arena, FC_REPLAY_PATH_MAX) : NULL;
  if (rc == 0 && !path) rc = -ENOMEM;
  if (rc < 0) return rc;
  uint32_t cover;
  rc = read_settled(r, replay, &cover);
  if (rc < 0) return rc;
  if (cover - replay->head < FC_CHECKPOINT_CELLS / 2) return -EAGAIN; /* not worth it */
  if (__atomic_load_n(&words->lost_destructive, __ATOMIC_ACQUIRE)) return -EBADMSG;
  /* The old records stay until the new ones stand, and hooks must find room all the while. */
  const uint32_t used = __atomic_load_n(&words->next, __ATOMIC_RELAXED) - replay->head;
  if (used + fc_snapshot_cells(r) + h->capacity / 64 > h->capacity / 2) return -ENOSPC;
  struct fc_session_header *const shared = (struct fc_session_header *)(void *)journal->first;
  const struct fc_anchor *before = fc_journal_anchor(h->key, shared->anchors);
  struct fc_anchor anchor = {.sequence = replay->head_sequence + (cover - replay->head),
                             .generation = before ? before->generation + 1 : 1,
                             .head = cover};
  rc = fc_snapshot_write(r, journal, anchor.generation, path, &anchor.checkpoint);
  if (rc < 0) return rc;
  anchor.check = fc_journal_anchor_check(h->key, &anchor);
  publish(shared, h->key, &anchor);
  __atomic_store_n(&words->head, cover, __ATOMIC_RELEASE);
  memory->last_cells = __atomic_load_n(&words->next, __ATOMIC_RELAXED) - anchor.checkpoint;
  return punch_before(fd, h->capacity, cover);
}

int fc_checkpoint_make(int fd, const struct fc_session_header *h, struct fc_checkpoint_memory *memory,
                       int64_t deadline_ns) {
  struct fc_journal journal = {0};
  struct fc_registry registry;
  struct fc_replay replay;
  memset(&registry, 0, sizeof registry);
  if (!fc_turn_take(fd, deadline_ns)) return -EINTR;
  int rc = fc_session_map(fd, h, &journal);
  if (rc == 0) {
    rc = __atomic_load_n(&journal.words->state, __ATOMIC_ACQUIRE) == FC_STATE_LIVE
             ? make(fd, h, memory, &journal, &registry, &replay)
             : -ESTALE;
    fc_journal_unmap(&journal);
  }
  fc_registry_free(&registry);
  fc_turn_give(fd);
  return rc;
}

void fc_checkpoint_finish(int fd, const struct fc_session_header *h) {
  struct fc_anchor anchors[FC_ANCHORS];
  if (fc_sys_pread(fd, anchors, sizeof anchors, offsetof(struct fc_session_header, anchors)) != (long)sizeof anchors)
    return;
  const struct fc_anchor *anchor = fc_journal_anchor(h->key, anchors);
  if (anchor) (void)punch_before(fd, h->capacity, anchor->head); /* not possible: then the rest reads as damage */
}
