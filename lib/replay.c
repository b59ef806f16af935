#include "replay.h"

#include <string.h>

#include "session.h"

#define BUFFER_CELLS 1024u /* more than the longest record */

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
  struct fc_head_words words;
  const long n = fc_sys_pread(fd, &words, sizeof words, offsetof(struct fc_session_header, words));
  if (n != (long)sizeof words) return n < 0 ? (int)n : -EIO;
  r->next = words.next < capacity ? words.next : capacity; /* a full journal runs past its end */
  return 0;
}

bool fc_replay_resume(struct fc_replay *r, uint32_t next) {
  uint32_t from = r->index;
  for (unsigned i = 0; i < r->open_count; i++) {
    uint32_t word;
    const int64_t at = (int64_t)FC_HEADER_BYTES + (int64_t)r->open_cells[i] * FC_CELL_BYTES;
    if (fc_sys_pread(r->fd, &word, sizeof word, at) != (long)sizeof word) return false;
    if (word != 0 && r->open_cells[i] < from) from = r->open_cells[i];
  }
  unsigned kept = 0; /* what lies behind is met again */
  for (unsigned i = 0; i < r->open_count; i++)
    if (r->open_cells[i] < from) r->open_cells[kept++] = r->open_cells[i];
  r->open_count = kept;
  r->index = from;
  r->next = next < r->capacity ? next : r->capacity;
  r->buffer_count = 0; /* what was read may have been written since */
  return !r->lost_track;
}

static void remember_open(struct fc_replay *r, uint32_t index) {
  if (r->ended) return;
  if (r->open_count < FC_REPLAY_OPEN_MAX)
    r->open_cells[r->open_count++] = index;
  else
    r->lost_track = true;
}

/* Makes count cells from index on available. Returns them, or NULL when they cannot be read. */
static const char *cells_at(struct fc_replay *r, uint32_t index, uint32_t count) {
  if (index < r->buffer_first || index + count > r->buffer_first + r->buffer_count) {
    uint32_t want = (index < r->next ? r->next : r->capacity) - index;
    if (want < count) want = count;
    if (want > BUFFER_CELLS) want = BUFFER_CELLS;
    const long n = fc_sys_pread(r->fd, r->buffer, (size_t)want * FC_CELL_BYTES,
                                (int64_t)FC_HEADER_BYTES + (int64_t)index * FC_CELL_BYTES);
    if (n < 0) return NULL;
    r->buffer_first = index;
    r->buffer_count = (uint32_t)((size_t)n / FC_CELL_BYTES);
    if (count > r->buffer_count) return NULL;
  }
  return r->buffer + (size_t)(index - r->buffer_first) * FC_CELL_BYTES;
}

static uint32_t word_of(const char *cell) {
  uint32_t word;
  memcpy(&word, cell, sizeof word);
  return word;
}

/* What a killed writer leaves: a start cell without its word, or a continuation cell that was ready before. */
static bool is_torn(uint32_t word) {
  return word == 0 || ((word & 0xffu) == FC_MARK_CONT && (word >> 16) == 0 && (word >> 8 & 0xffu) != 0);
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
  memcpy(&out->start, cells, sizeof out->start);
  const struct fc_start_cell *s = &out->start;
  if ((s->word >> 16) != 0 || s->type == 0 || s->type >= FC_REC_TYPES) return false;
  const unsigned fixed = 1u + ((s->flags & FC_REC_INFO) ? 1u : 0u) + ((s->flags & FC_REC_TARGET) ? 1u : 0u);
  const size_t text = (size_t)s->path_len + s->path2_len;
  if (fixed + (text + FC_CELL_PAYLOAD - 1) / FC_CELL_PAYLOAD != count) return false;
  if (s->path_len >= FC_REPLAY_PATH_MAX || s->path2_len >= FC_REPLAY_PATH_MAX) return false;
  for (unsigned i = 1; i < count; i++)
    if (word_of(cells + (size_t)i * FC_CELL_BYTES) != (FC_MARK_CONT | (i << 8))) return false;
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
  if (s->type != FC_REC_JOIN) {
    if (fc_path_normalize(r->path) == 0) r->path[0] = '\0';
    if (fc_path_normalize(r->path2) == 0) r->path2[0] = '\0';
  }
  out->path = r->path;
  out->path2 = r->path2;
  return true;
}

/* Behind `next` nothing may have been written: a smaller `next` would hide records, and destructive ones among them. */
static bool rest_is_untouched(struct fc_replay *r) {
  uint32_t index = r->next;
  while (index < r->capacity) {
    const int64_t at = (int64_t)FC_HEADER_BYTES + (int64_t)index * FC_CELL_BYTES;
    const int64_t data = fc_sys_seek_data(r->fd, at);
    if (data == -ENXIO) return true;
    if (data < 0) return false;
    if (data > at) index = (uint32_t)((data - FC_HEADER_BYTES) / FC_CELL_BYTES);
    uint32_t count = r->capacity - index;
    if (count > 64) count = 64; /* a page */
    const char *cells = cells_at(r, index, count);
    if (!cells) return false;
    for (size_t i = 0; i < (size_t)count * FC_CELL_BYTES; i++)
      if (cells[i] != 0) return false;
    index += count;
  }
  return true;
}

enum fc_replay_step fc_replay_next(struct fc_replay *r, struct fc_replayed *out) {
  while (r->index < r->next) {
    const char *cell = cells_at(r, r->index, 1);
    if (!cell) return FC_REPLAY_DAMAGED;
    const uint32_t word = word_of(cell);
    if ((word & 0xffu) != FC_MARK_START) {
      if (!is_torn(word)) return FC_REPLAY_DAMAGED;
      r->torn++;
      if (word == 0) remember_open(r, r->index);
      r->index++;
      continue;
    }
    const unsigned count = word >> 8 & 0xffu;
    if (count == 0 || r->index + count > r->next) return FC_REPLAY_DAMAGED;
    const char *cells = cells_at(r, r->index, count);
    if (!cells || !decode(r, cells, count, out)) return FC_REPLAY_DAMAGED;
    r->index += count;
    return FC_REPLAY_RECORD;
  }
  return !r->ended || rest_is_untouched(r) ? FC_REPLAY_END : FC_REPLAY_DAMAGED;
}
