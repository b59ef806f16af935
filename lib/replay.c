#include "replay.h"

#include <string.h>

#include "session.h"

#define BUFFER_CELLS 1024u /* more than the longest record */
#define CELLS_PER_PAGE (4096u / FC_CELL_BYTES)

/* How far b lies behind a. Both are within half of all numbers. */
static uint32_t distance(uint32_t a, uint32_t b) { return b - a; }

struct head_part {
  struct fc_head_words words;
  struct fc_anchor anchors[FC_ANCHORS];
};
_Static_assert(offsetof(struct fc_session_header, anchors) ==
                   offsetof(struct fc_session_header, words) + offsetof(struct head_part, anchors),
               "header layout");

static int read_head(const struct fc_replay *r, struct head_part *head) {
  const long n = fc_sys_pread(r->fd, head, sizeof *head, offsetof(struct fc_session_header, words));
  return n == (long)sizeof *head ? 0 : n < 0 ? (int)n : -EIO;
}

/* A full ring runs past its end. */
static uint32_t bounded(const struct fc_replay *r, uint32_t next) {
  return distance(r->head, next) <= r->capacity ? next : r->head + r->capacity;
}

int fc_replay_begin(struct fc_replay *r, struct fc_arena *arena, int fd, uint64_t key, uint32_t capacity, bool ended) {
  memset(r, 0, sizeof *r);
  r->fd = fd;
  r->key = key;
  r->capacity = capacity;
  r->ended = ended;
  r->buffer = fc_arena_alloc(arena, BUFFER_CELLS * FC_CELL_BYTES);
  r->path = fc_arena_alloc(arena, FC_REPLAY_PATH_MAX);
  r->path2 = fc_arena_alloc(arena, FC_REPLAY_PATH_MAX);
  if (!r->buffer || !r->path || !r->path2) return -ENOMEM;
  struct head_part head;
  const int rc = read_head(r, &head);
  if (rc < 0) return rc;
  const struct fc_anchor *anchor = fc_journal_anchor(key, head.anchors);
  if (anchor) {
    r->head = anchor->head;
    r->head_sequence = anchor->sequence;
    r->checkpoint = anchor->generation;
  }
  r->index = anchor ? anchor->checkpoint : 0;
  r->next = bounded(r, head.words.next);
  /* The word is moved behind the anchor: one that is ahead tells that the newest anchor cannot be read. What the one
   * before it (or none) says is not there any more, and would look torn. */
  if ((int32_t)(head.words.head - r->head) > 0) return ended ? -EBADMSG : -EAGAIN;
  /* A checkpoint that lies elsewhere is none; without it nothing is known. */
  if (anchor && distance(r->head, r->index) >= distance(r->head, r->next)) return -EBADMSG;
  return 0;
}

/* Counts on from a newer head, so that numbers stay within half of all numbers. False when it has passed the reader. */
static bool move_head(struct fc_replay *r) {
  struct head_part head;
  if (read_head(r, &head) < 0) return false;
  const struct fc_anchor *anchor = fc_journal_anchor(r->key, head.anchors);
  if (!anchor || anchor->head == r->head) return true;
  const uint32_t moved = distance(r->head, anchor->head);
  for (unsigned i = 0; i < r->open_count; i++)
    if (distance(r->head, r->open[i].first) < moved) return false;
  if (distance(r->head, r->index) < moved) return false;
  r->head_sequence += moved;
  r->head = anchor->head;
  return true;
}

/* The first cell of the run that has been committed meanwhile, or the one behind the run. False: cannot be read. */
static bool first_committed(const struct fc_replay *r, const struct fc_open_cells *run, uint32_t *index) {
  for (uint32_t i = 0; i < run->count; i++) {
    uint32_t word;
    *index = run->first + i;
    if (fc_sys_pread(r->fd, &word, sizeof word, (int64_t)fc_journal_at(r->capacity, *index)) != (long)sizeof word)
      return false;
    if ((word & 0xffu) == FC_MARK_START && word >> 16 == fc_journal_lap(r->capacity, *index)) return true;
  }
  *index = run->first + run->count;
  return true;
}

bool fc_replay_resume(struct fc_replay *r, uint32_t next) {
  if (!move_head(r)) return false;
  uint32_t from = r->index;
  unsigned kept = 0; /* what lies behind the first that has been committed is met again */
  for (; kept < r->open_count; kept++) {
    struct fc_open_cells *run = &r->open[kept];
    uint32_t committed;
    if (!first_committed(r, run, &committed)) return false;
    if (committed == run->first + run->count) continue;
    from = committed;
    run->count = committed - run->first;
    if (run->count) kept++;
    break;
  }
  r->open_count = kept;
  r->index = from;
  r->next = bounded(r, next);
  r->buffer_count = 0; /* what was read may have been written since */
  return !r->lost_track;
}

static void remember_open(struct fc_replay *r, uint32_t index) {
  if (r->ended) return;
  struct fc_open_cells *last = r->open_count ? &r->open[r->open_count - 1] : NULL;
  if (last && last->first + last->count == index)
    last->count++;
  else if (r->open_count < FC_REPLAY_OPEN_MAX)
    r->open[r->open_count++] = (struct fc_open_cells){index, 1};
  else
    r->lost_track = true;
}

/* What has just been read of a living session still counts: no checkpoint has passed it, whose room is then reused. */
static bool is_overtaken(const struct fc_replay *r, uint32_t index) {
  struct head_part head;
  if (r->ended) return false;
  if (read_head(r, &head) < 0) return true;
  const struct fc_anchor *anchor = fc_journal_anchor(r->key, head.anchors);
  return anchor && anchor->head != r->head && distance(r->head, index) < distance(r->head, anchor->head);
}

/* Makes count cells from index on available; they do not cross the end of the ring. Returns them, or NULL when they
 * cannot be read. */
static const char *cells_at(struct fc_replay *r, uint32_t index, uint32_t count) {
  if (r->buffer_count == 0 || distance(r->buffer_first, index) + count > r->buffer_count) {
    const uint32_t ahead = distance(r->head, index) < distance(r->head, r->next) ? distance(index, r->next) : count;
    const uint32_t left = r->capacity - (index & (r->capacity - 1));
    uint32_t want = ahead < count ? count : ahead;
    if (want > left) want = left;
    if (want > BUFFER_CELLS) want = BUFFER_CELLS;
    if (count > want) return NULL;
    const long n =
        fc_sys_pread(r->fd, r->buffer, (size_t)want * FC_CELL_BYTES, (int64_t)fc_journal_at(r->capacity, index));
    if (n < 0) {
      r->error = (int)n;
      return NULL;
    }
    r->buffer_first = index;
    r->buffer_count = (uint32_t)((size_t)n / FC_CELL_BYTES);
    if (count > r->buffer_count) return NULL;
    if (is_overtaken(r, index)) {
      r->buffer_count = 0;
      r->overtaken = true;
      return NULL;
    }
  }
  return r->buffer + (size_t)distance(r->buffer_first, index) * FC_CELL_BYTES;
}

static uint32_t word_of(const char *cell) {
  uint32_t word;
  memcpy(&word, cell, sizeof word);
  return word;
}

/* What a killed writer leaves: a start cell without its word, or a continuation cell that was ready before. Or one that
 * a checkpoint did not wait for. */
static bool is_torn(const struct fc_replay *r, uint32_t index, uint32_t word) {
  if (word == 0) return true;
  if (word >> 16 != fc_journal_lap(r->capacity, index)) return false;
  const uint32_t middle = word >> 8 & 0xffu;
  return (word & 0xffu) == FC_MARK_CONT ? middle != 0 : (word & 0xffffu) == FC_MARK_GIVEN_UP;
}

/* Copies len bytes of path that start `skip` payload bytes behind the first path cell, and tidies them. */
static void copy_path(const char *cells, unsigned first, size_t skip, size_t len, char *out) {
  size_t at = skip;
  for (size_t done = 0; done < len;) {
    const char *payload = cells + (first + at / FC_CELL_PAYLOAD) * FC_CELL_BYTES + 8;
    const size_t offset = at % FC_CELL_PAYLOAD;
    size_t n = FC_CELL_PAYLOAD - offset;
    if (n > len - done) n = len - done;
    memcpy(out + done, payload + offset, n);
    done += n;
    at += n;
  }
  out[len] = '\0';
}

static bool takes_object(unsigned type) {
  return type == FC_REC_UNLINK || type == FC_REC_RENAME || type == FC_REC_RENAME_OUT || type == FC_REC_EXCHANGE;
}

/* Takes the record at index apart. Returns false when it is not exactly what a writer would have written. */
static bool decode(struct fc_replay *r, const char *cells, unsigned count, struct fc_replayed *out) {
  memset(out, 0, sizeof *out);
  out->index = r->index;
  out->sequence = r->head_sequence + distance(r->head, r->index);
  memcpy(&out->start, cells, sizeof out->start);
  const struct fc_start_cell *s = &out->start;
  const uint32_t lap = fc_journal_lap(r->capacity, r->index);
  if (s->word >> 16 != lap || s->type == 0 || s->type >= FC_REC_TYPES) return false;
  const unsigned fixed = 1u + ((s->flags & FC_REC_INFO) ? 1u : 0u) + ((s->flags & FC_REC_TARGET) ? 1u : 0u);
  const size_t text = (size_t)s->path_len + s->path2_len;
  if (fixed + (text + FC_CELL_PAYLOAD - 1) / FC_CELL_PAYLOAD != count && s->type != FC_REC_PAD) return false;
  if (s->path_len >= FC_REPLAY_PATH_MAX || s->path2_len >= FC_REPLAY_PATH_MAX) return false;
  for (unsigned i = 1; i < count; i++)
    if (word_of(cells + (size_t)i * FC_CELL_BYTES) != (FC_MARK_CONT | (i << 8) | (lap << 16))) return false;
  if (fc_journal_check(r->key, r->index, cells, count) != s->check) return false;

  if (s->flags & FC_REC_INFO) {
    out->has_info = true;
    memcpy(&out->info, cells + FC_CELL_BYTES + 8, sizeof out->info);
  }
  if (!out->has_info && takes_object(s->type) && (s->extra & FC_EXTRA_SEEN)) {
    out->has_info = true;
    out->info.identity = s->identity;
    out->info.mode = S_IFREG; /* of some kind; has_data is what counts */
    out->info.has_data = (s->extra & FC_EXTRA_HAS_DATA) != 0;
  }
  const struct fc_object *checked = NULL;
  struct fc_object seen;
  if (s->flags & FC_REC_TARGET) {
    memcpy(&seen, cells + (size_t)(fixed - 1) * FC_CELL_BYTES + 8, sizeof seen);
    checked = &seen;
  }
  /* A result that does not verify is no result: pending, the reading that protects most. */
  const uint32_t code = s->result & 0xffu;
  if (s->result != 0 && code <= FC_RESULT_ONTO &&
      s->result == fc_journal_result_word(r->key, r->index, code, checked)) {
    out->result = (enum fc_result)code;
    if (checked) {
      out->has_target = true;
      out->target = *checked;
    }
  }
  copy_path(cells, fixed, 0, s->path_len, r->path);
  copy_path(cells, fixed, s->path_len, s->path2_len, r->path2);
  if (s->type != FC_REC_JOIN && s->type != FC_REC_PROGRAM && s->type != FC_REC_CK_PROGRAM) {
    if (fc_path_normalize(r->path) == 0) r->path[0] = '\0';
    if (fc_path_normalize(r->path2) == 0) r->path2[0] = '\0';
  }
  out->path = r->path;
  out->path2 = r->path2;
  return true;
}

/* Behind `next` there are holes up to the head of the next lap: a smaller `next` would hide records, and destructive
 * ones among them. What checkpoints have made superfluous has been punched out. */
static bool rest_is_untouched(struct fc_replay *r) {
  const uint32_t end = (r->head & ~(CELLS_PER_PAGE - 1)) + r->capacity; /* its own page cannot be punched */
  for (uint32_t index = r->next; index != end;) {
    const int64_t at = (int64_t)fc_journal_at(r->capacity, index);
    const uint32_t left = r->capacity - (index & (r->capacity - 1));
    const uint32_t span = distance(index, end) < left ? distance(index, end) : left;
    const int64_t data = fc_sys_seek_data(r->fd, at);
    const uint64_t skip = data == -ENXIO ? span : data > at ? (uint64_t)(data - at) / FC_CELL_BYTES : 0;
    if (data < 0 && data != -ENXIO) {
      r->error = (int)data;
      return false;
    }
    if (skip >= span) {
      index += span;
      continue;
    }
    index += (uint32_t)skip;
    uint32_t count = span - (uint32_t)skip;
    if (count > CELLS_PER_PAGE) count = CELLS_PER_PAGE;
    const char *cells = cells_at(r, index, count);
    if (!cells) return false;
    for (size_t i = 0; i < (size_t)count * FC_CELL_BYTES; i++)
      if (cells[i] != 0) return false;
    index += count;
  }
  return true;
}

/* The next record of any kind. */
static enum fc_replay_step step(struct fc_replay *r, struct fc_replayed *out) {
  while (r->index != r->next) {
    const char *cell = cells_at(r, r->index, 1);
    if (!cell) return r->overtaken ? FC_REPLAY_OVERTAKEN : FC_REPLAY_DAMAGED;
    const uint32_t word = word_of(cell);
    if ((word & 0xffu) != FC_MARK_START) {
      if (!is_torn(r, r->index, word)) return FC_REPLAY_DAMAGED;
      r->torn++;
      if (word == 0) remember_open(r, r->index);
      r->index++;
      continue;
    }
    const unsigned count = word >> 8 & 0xffu;
    if (count == 0 || count > distance(r->index, r->next)) return FC_REPLAY_DAMAGED;
    const char *cells = cells_at(r, r->index, count);
    if (!cells) return r->overtaken ? FC_REPLAY_OVERTAKEN : FC_REPLAY_DAMAGED;
    if (!decode(r, cells, count, out)) return FC_REPLAY_DAMAGED;
    r->index += count;
    return FC_REPLAY_RECORD;
  }
  return !r->ended || rest_is_untouched(r) ? FC_REPLAY_END : FC_REPLAY_DAMAGED;
}

static bool is_checkpoint(unsigned type) { return type >= FC_REC_CK_BEGIN && type <= FC_REC_CK_END; }

enum fc_replay_step fc_replay_next(struct fc_replay *r, struct fc_replayed *out) {
  for (;;) {
    const enum fc_replay_step kind = step(r, out);
    const unsigned type = out->start.type;
    if (r->checkpoint == 0) {
      /* Only what stands beyond the head; checkpoints that came to nothing, or were read first, are passed by. */
      if (kind == FC_REPLAY_RECORD && (is_checkpoint(type) || type == FC_REC_PAD)) continue;
      return kind;
    }
    /* First the checkpoint's own records, up to its end: without that the anchor would not be there. */
    if (kind == FC_REPLAY_END) return FC_REPLAY_DAMAGED;
    if (kind != FC_REPLAY_RECORD) return kind;
    if (!is_checkpoint(type) || out->start.extra != (uint16_t)r->checkpoint) continue;
    if (type != FC_REC_CK_END) {
      r->restored++;
      return kind;
    }
    uint32_t written; /* one that is missing in between would look torn */
    memcpy(&written, &out->info, sizeof written);
    if (!out->has_info || written != r->restored) return FC_REPLAY_DAMAGED;
    r->checkpoint = 0;
    r->index = r->head;
    r->open_count = 0;
    r->lost_track = false;
    r->torn = 0;
  }
}
