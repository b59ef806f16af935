#include "cells.h"

#include <unistd.h>

#define LONG_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DEEP_16 "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/"

const char *const cells_names[CELLS_NAMES] = {
    "a",
    "b",
    "d",
    "d/a",
    "d/b",
    "d/e",
    "d/e/f",
    "d/e/g/h",
    "u",
    "u/x",
    "u/w",
    "u/w/y",
    "a-journal",
    "a-wal",
    ".a.swp",
    "#b#",
    "l",
    "l/x",
    "new",
    "n/o/p",
    "./a",
    "d//a",
    "d/../b",
    "../out/x",
    "d/../../out/x",
    "..",
    ".",
    "/",
    "",
    "a/b",
    "/etc/passwd",
    "u/../u/x",
    ".filecleanup-0123456789abcdef",
    ".filecleanup-0123456789abcdef/1",
    LONG_64 LONG_64 LONG_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
    LONG_64 LONG_64 LONG_64 LONG_64,
    DEEP_16 DEEP_16 DEEP_16 DEEP_16 "e",
    "\xff\xfe\x01",
    "a\nb",
    "d/e/f/below-a-file",
};

enum form { FORM_RAW, FORM_FIXED, FORM_SCRIPT, FORM_SCRIPT_TORN, FORM_COUNT };

static char *at(struct cells *c, uint32_t index) { return c->bytes + (size_t)(index % CELLS_CAPACITY) * FC_CELL_BYTES; }

static void put_word(struct cells *c, uint32_t index, uint32_t word) { memcpy(at(c, index), &word, sizeof word); }

static uint32_t cells_left(uint32_t index) { return CELLS_CAPACITY - index % CELLS_CAPACITY; }

/* Makes the cells from index on, whose bodies stand there, one valid record. */
static void seal(struct cells *c, uint32_t index, uint32_t count, uint32_t result) {
  const uint32_t lap = fc_journal_lap(CELLS_CAPACITY, index) << 16;
  struct fc_start_cell start;
  for (uint32_t i = 1; i < count; i++) put_word(c, index + i, FC_MARK_CONT | i << 8 | lap);
  memcpy(&start, at(c, index), sizeof start);
  start.word = FC_MARK_START | count << 8 | lap;
  memcpy(at(c, index), &start, sizeof start);
  start.check = fc_journal_check(c->key, index, at(c, index), count);
  struct fc_object target;
  const bool has_target = start.flags & FC_REC_TARGET;
  if (has_target) memcpy(&target, at(c, index + (start.flags & FC_REC_INFO ? 2 : 1)) + 8, sizeof target);
  start.result =
      result ? fc_journal_result_word(c->key, index, result % (FC_RESULT_ONTO + 2), has_target ? &target : NULL) : 0;
  memcpy(at(c, index), &start, sizeof start);
}

/* ---- raw and put right ---- */

static void copy_raw(struct cells *c, const uint8_t *data, size_t size) {
  for (; size > 0 && c->next - c->head < CELLS_CAPACITY; c->next++) {
    const size_t n = size < FC_CELL_BYTES ? size : FC_CELL_BYTES;
    memcpy(at(c, c->next), data, n);
    data += n;
    size -= n;
  }
}

static void put_right(struct cells *c) {
  for (uint32_t index = c->head; index != c->next;) {
    struct fc_start_cell start;
    memcpy(&start, at(c, index), sizeof start);
    const uint32_t lap = fc_journal_lap(CELLS_CAPACITY, index) << 16;
    const unsigned mark = start.word & 0xffu;
    if (mark == 0 || mark == FC_MARK_CONT || mark == FC_MARK_GIVEN_UP) { /* torn */
      put_word(c, index, mark == 0 ? 0 : mark == FC_MARK_CONT ? FC_MARK_CONT | 1u << 8 | lap : FC_MARK_GIVEN_UP | lap);
      index++;
      continue;
    }
    uint32_t most = c->next - index < cells_left(index) ? c->next - index : cells_left(index);
    if (most > FC_RECORD_CELLS_MAX) most = FC_RECORD_CELLS_MAX;
    start.type = (uint8_t)(1 + start.type % (FC_REC_TYPES - 1));
    if (most < 3) start.flags &= (uint8_t) ~(FC_REC_INFO | FC_REC_TARGET);
    const uint32_t fixed = 1u + !!(start.flags & FC_REC_INFO) + !!(start.flags & FC_REC_TARGET);
    const size_t room = (size_t)(most - fixed) * FC_CELL_PAYLOAD;
    if (start.path_len > room) start.path_len = (uint16_t)room;
    if (start.path2_len > room - start.path_len) start.path2_len = (uint16_t)(room - start.path_len);
    const uint32_t count =
        fixed + (uint32_t)((size_t)start.path_len + start.path2_len + FC_CELL_PAYLOAD - 1) / FC_CELL_PAYLOAD;
    memcpy(at(c, index), &start, sizeof start);
    seal(c, index, count, start.result & 0xffu);
    index += count;
  }
}

/* ---- scripts ---- */

struct step {
  uint8_t type, flags, pid, path, path2, identity, target, result, extra, time, state, number;
};
_Static_assert(sizeof(struct step) == 12, "a script's record");

static void put_text(struct cells *c, uint32_t index, uint32_t first, const char *text, size_t len, size_t skip) {
  for (size_t i = 0; i < len; i++) {
    const size_t to = skip + i;
    at(c, index + first + (uint32_t)(to / FC_CELL_PAYLOAD))[8 + to % FC_CELL_PAYLOAD] = text[i];
  }
}

/* False when the ring is full. info: FC_CELL_PAYLOAD bytes, or NULL. */
static bool put_record(struct cells *c, struct fc_start_cell start, const void *info, const struct fc_object *target,
                       const char *path, const char *path2, uint32_t result) {
  start.flags = (uint8_t)((start.flags & ~(FC_REC_INFO | FC_REC_TARGET)) | (info ? FC_REC_INFO : 0) |
                          (target ? FC_REC_TARGET : 0));
  start.path_len = (uint16_t)strlen(path);
  start.path2_len = (uint16_t)strlen(path2);
  const uint32_t fixed = 1u + !!info + !!target;
  const uint32_t count =
      fixed + (uint32_t)((size_t)start.path_len + start.path2_len + FC_CELL_PAYLOAD - 1) / FC_CELL_PAYLOAD;
  if (count > cells_left(c->next)) {
    const uint32_t left = cells_left(c->next);
    if (c->next - c->head + left > CELLS_CAPACITY) return false;
    const struct fc_start_cell pad = {.type = FC_REC_PAD};
    memcpy(at(c, c->next), &pad, sizeof pad);
    seal(c, c->next, left, 0);
    c->next += left;
  }
  if (c->next - c->head + count > CELLS_CAPACITY) return false;
  memcpy(at(c, c->next), &start, sizeof start);
  if (info) memcpy(at(c, c->next + 1) + 8, info, FC_CELL_PAYLOAD);
  if (target) memcpy(at(c, c->next + fixed - 1) + 8, target, sizeof *target);
  put_text(c, c->next, fixed, path, start.path_len, 0);
  put_text(c, c->next, fixed, path2, start.path2_len, start.path_len);
  seal(c, c->next, count, result);
  c->next += count;
  return true;
}

/* In most records the object that belongs to the name: two free choices would hardly ever meet. */
static const struct fc_identity *identity_of(const struct fc_identity *identities, uint8_t which, uint8_t name) {
  return &identities[(which & 3 ? name : which) % CELLS_NAMES];
}

static struct fc_object object_of(const struct step *s, const struct fc_identity *identities, uint8_t which,
                                  uint8_t name) {
  return (struct fc_object){.identity = *identity_of(identities, which, name),
                            .parent_ino = s->extra % 3 ? identities[s->extra % CELLS_NAMES].ino : 0,
                            .parent_major = identities[0].dev_major,
                            .parent_minor = identities[0].dev_minor,
                            .mode = s->state % 4 == 0   ? 0
                                    : s->state % 4 == 1 ? S_IFDIR | 0755
                                                        : S_IFREG | 0600,
                            .has_data = s->state & 4 ? 1 : 0};
}

static bool put_step(struct cells *c, const struct step *s, const struct fc_identity *identities) {
  const struct fc_start_cell start = {.type = (uint8_t)(1 + s->type % FC_REC_PAD),
                                      .flags = s->flags,
                                      .pid = 0x7ffffff0u + s->pid % 4, /* beyond every kernel's largest */
                                      .extra = s->extra,
                                      .time_ns = (int64_t)s->time << 30,
                                      .identity = *identity_of(identities, s->identity, s->path)};
  const struct fc_object info = object_of(s, identities, s->identity, s->path);
  const struct fc_object target = object_of(s, identities, s->target, s->path2);
  return put_record(c, start, s->flags & FC_REC_INFO ? &info : NULL, s->flags & FC_REC_TARGET ? &target : NULL,
                    cells_names[s->path % CELLS_NAMES], s->path2 ? cells_names[s->path2 % CELLS_NAMES] : "", s->result);
}

/* A checkpoint's record; what its info cell holds is snapshot.c's, and here bytes of the step, over and over. */
static bool put_checkpoint_step(struct cells *c, const struct step *s, const struct fc_identity *identities) {
  const struct fc_start_cell start = {.type = (uint8_t)(FC_REC_CK_NODE + s->type % (FC_REC_CK_END - FC_REC_CK_NODE)),
                                      .pid = 0x7ffffff0u + s->pid % 4,
                                      .extra = 1,
                                      .time_ns = (int64_t)s->time << 30,
                                      .identity = *identity_of(identities, s->identity, s->path)};
  uint64_t info[FC_CELL_PAYLOAD / 8] = {s->number, s->extra, s->time, s->target, s->state | (uint64_t)s->flags << 32};
  return put_record(c, start, info, NULL, cells_names[s->path % CELLS_NAMES], "", 0);
}

static void write_script(struct cells *c, const uint8_t *data, size_t size, unsigned checkpoint, bool torn,
                         const struct fc_identity *identities) {
  uint64_t info[FC_CELL_PAYLOAD / 8] = {0};
  const uint32_t first = c->next;
  unsigned done = 0;
  if (checkpoint) {
    (void)put_record(c, (struct fc_start_cell){.type = FC_REC_CK_BEGIN, .extra = 1}, info, NULL, "", "", 0);
    info[0] = 1;
  }
  for (; size >= sizeof(struct step); data += sizeof(struct step), size -= sizeof(struct step)) {
    struct step s;
    memcpy(&s, data, sizeof s);
    if (checkpoint && done < checkpoint) {
      if (!put_checkpoint_step(c, &s, identities)) break;
      info[0]++;
      if (++done < checkpoint) continue;
      (void)put_record(c, (struct fc_start_cell){.type = FC_REC_CK_END, .extra = 1}, info, NULL, "", "", 0);
      c->anchors[0] = (struct fc_anchor){.sequence = first, .generation = 1, .head = first, .checkpoint = first};
      c->anchors[0].check = fc_journal_anchor_check(c->key, &c->anchors[0]);
      continue;
    }
    if (!put_step(c, &s, identities)) break;
    if (torn && s.number % 8 == 0 && c->next - c->head < CELLS_CAPACITY) put_word(c, c->next++, 0);
  }
}

void cells_build(struct cells *c, const uint8_t *data, size_t size, const struct fc_identity *identities) {
  memset(c, 0, sizeof *c);
  const unsigned mode = fuzz_take(&data, &size);
  const unsigned start = fuzz_take(&data, &size);
  const enum form form = (enum form)(mode % FORM_COUNT);
  c->key = 0x9E3779B97F4A7C15u;
  c->live = mode & 4;
  if (form != FORM_RAW && mode & 64) c->flip = 1 + start * 37u;
  if (start & 1) c->head = c->next = CELLS_CAPACITY * (1u + start / 16) - 1u - start % 16;
  if (form == FORM_RAW || form == FORM_FIXED) {
    if (size >= sizeof c->key) {
      memcpy(&c->key, data, sizeof c->key);
      data += sizeof c->key;
      size -= sizeof c->key;
    }
    copy_raw(c, data, size);
    if (form == FORM_FIXED) put_right(c);
  } else {
    write_script(c, data, size, (mode & 8) || c->head ? 1 + start / 2 % 8 : 0, form == FORM_SCRIPT_TORN, identities);
  }
  if (c->head != 0 && c->anchors[0].generation == 0 && form != FORM_RAW) {
    c->anchors[1] = (struct fc_anchor){.sequence = c->head, .generation = 1, .head = c->head, .checkpoint = c->head};
    c->anchors[1].check = fc_journal_anchor_check(c->key, &c->anchors[1]);
  }
  if (mode & 16) c->next += 1 + start; /* next lies beyond what was written */
  if (mode & 32) c->anchors[0].sequence ^= 1;
}

bool cells_flip(struct cells *c) {
  const size_t first = offsetof(struct fc_start_cell, pid);
  unsigned records = 0;
  for (uint32_t index = c->head; c->flip && index != c->next; index++) {
    struct fc_start_cell start;
    memcpy(&start, at(c, index), sizeof start);
    if ((start.word & 0xffu) != FC_MARK_START) continue;
    if (records++ == c->flip % 8) {
      const uint32_t bit = c->flip % (uint32_t)(8 * (FC_CELL_BYTES - first));
      at(c, index)[first + bit / 8] ^= (char)(1 << bit % 8);
      return true;
    }
    index += (start.word >> 8 & 0xffu) - 1; /* a path may look like anything */
  }
  return false;
}

bool cells_claim(const struct cells *c, const struct fc_identity *identity) {
  for (uint32_t i = 0; i < CELLS_CAPACITY; i++) {
    struct fc_start_cell start;
    memcpy(&start, c->bytes + (size_t)i * FC_CELL_BYTES, sizeof start);
    if ((start.word & 0xffu) != FC_MARK_START || !fc_identity_same_inode(&start.identity, identity)) continue;
    switch (start.type) {
    case FC_REC_CREATE:
    case FC_REC_INODE:
    case FC_REC_LINK:
    case FC_REC_ADOPT:
    case FC_REC_CK_NODE:
    case FC_REC_CK_INODE:
      return true;
    default:
      break;
    }
  }
  return false;
}

/* Whether a record's cells hold this path, in which a slash may stand for several. */
static bool has_path(const struct cells *c, uint32_t index, const struct fc_start_cell *start, const char *path) {
  const uint32_t fixed = 1u + !!(start->flags & FC_REC_INFO) + !!(start->flags & FC_REC_TARGET);
  char before = '/';
  for (size_t i = 0; i < start->path_len; i++) {
    const uint32_t cell = (index + fixed + (uint32_t)(i / FC_CELL_PAYLOAD)) % CELLS_CAPACITY;
    const char now = c->bytes[(size_t)cell * FC_CELL_BYTES + 8 + i % FC_CELL_PAYLOAD];
    if (now == '/' && before == '/') continue;
    before = now;
    if (*path++ != now) return false;
  }
  return *path == '\0';
}

bool cells_ask(const struct cells *c, const struct fc_identity *identity, const char *path, bool tree) {
  for (uint32_t i = 0; i < CELLS_CAPACITY; i++) {
    struct fc_start_cell start;
    memcpy(&start, c->bytes + (size_t)i * FC_CELL_BYTES, sizeof start);
    const bool asks = start.type == FC_REC_TRACK && (!tree || (start.flags & FC_REC_TREE));
    if ((start.word & 0xffu) != FC_MARK_START || (!asks && start.type != FC_REC_CK_NODE)) continue;
    if (fc_identity_same_inode(&start.identity, identity)) return true;
    if (start.identity.ino == 0 && has_path(c, i, &start, path)) return true;
  }
  return false;
}

void cells_store(const struct cells *c, int fd) {
  struct fc_head_words words = {.state = FC_STATE_LIVE, .head = c->head, .next = c->next};
  REQUIRE(pwrite(fd, &words, sizeof words, offsetof(struct fc_session_header, words)) == (ssize_t)sizeof words);
  REQUIRE(pwrite(fd, c->anchors, sizeof c->anchors, offsetof(struct fc_session_header, anchors)) ==
          (ssize_t)sizeof c->anchors);
  /* Whole cells only, as they are: what is zero stays a hole. */
  for (uint32_t i = 0; i < CELLS_CAPACITY; i++) {
    static const char nothing[FC_CELL_BYTES];
    uint32_t run = 0;
    while (i + run < CELLS_CAPACITY &&
           memcmp(c->bytes + (size_t)(i + run) * FC_CELL_BYTES, nothing, FC_CELL_BYTES) != 0)
      run++;
    if (run == 0) continue;
    REQUIRE(pwrite(fd, c->bytes + (size_t)i * FC_CELL_BYTES, (size_t)run * FC_CELL_BYTES,
                   (off_t)fc_journal_at(CELLS_CAPACITY, i)) == (ssize_t)run * FC_CELL_BYTES);
    i += run;
  }
}
