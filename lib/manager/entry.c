#include "entry.h"

#include <stdlib.h>
#include <string.h>

#define NS_PER_S INT64_C(1000000000)

static uint32_t hash_of(const fcm_manager *m, const char *rel, size_t len) {
  uint64_t h = m->hash_key ^ len;
  for (size_t i = 0; i < len; i += 8) {
    uint64_t word = 0;
    memcpy(&word, rel + i, len - i < 8 ? len - i : 8);
    h = (h ^ word) * UINT64_C(0x9FB21C651E98DF25);
    h ^= h >> 32;
  }
  return (uint32_t)(h ^ h >> 29);
}

uint32_t fc_entry_hash(const fcm_manager *m, const char *rel) { return hash_of(m, rel, strlen(rel)); }

/* The record at cell: its start cell and all its cells, NULL when it cannot be reached. */
static const char *record_at(fcm_manager *m, uint32_t cell, struct fc_start_cell *start) {
  struct fc_journal *const j = &m->session->journal;
  const char *cells = fc_journal_look(j, cell, 1);
  if (!cells) return NULL;
  memcpy(start, cells, sizeof *start);
  const unsigned count = start->word >> 8 & 0xffu;
  return (start->word & 0xffu) == FC_MARK_START ? fc_journal_look(j, cell, count) : NULL;
}

unsigned fc_entry_cells_of(fcm_manager *m, uint32_t cell) {
  struct fc_start_cell start;
  return record_at(m, cell, &start) ? start.word >> 8 & 0xffu : 0;
}

uint32_t fc_entry_path_len(fcm_manager *m, uint32_t cell) {
  struct fc_start_cell start;
  return record_at(m, cell, &start) ? start.path_len : 0;
}

static bool is_named(fcm_manager *m, uint32_t cell, const char *rel, size_t len) {
  struct fc_start_cell start;
  const char *cells = record_at(m, cell, &start);
  return cells && start.path_len == len && fc_journal_path_is(cells, rel, len);
}

static struct fc_slot *find(fcm_manager *m, const char *rel, size_t *at) {
  const size_t len = strlen(rel);
  const uint32_t hash = hash_of(m, rel, len);
  *at = SIZE_MAX;
  for (struct fc_slot *slot; (slot = fc_table_next(&m->table, hash, at));)
    if (is_named(m, fc_slot_cell(slot), rel, len)) return slot;
  return NULL;
}

static int64_t birth_ns(const struct fc_identity *id) { return fc_sys_in_ns(id->birth_s, id->birth_ns); }

static bool decode(fcm_manager *m, uint32_t cell, struct fc_tracked *out) {
  struct fc_start_cell start;
  const char *cells = record_at(m, cell, &start);
  if (!cells || start.type != FC_REC_TRACK || start.path_len >= sizeof out->path) return false;
  out->cell = cell;
  out->tree = (start.flags & FC_REC_TREE) != 0;
  out->is_dir = (start.flags & FC_REC_DIR) != 0;
  out->expected = start.identity.ino == 0;
  out->identity = start.identity;
  out->asked_ns = out->expected ? birth_ns(&start.identity) : 0;
  if (start.flags & FC_REC_INFO) {
    struct fc_object since;
    memcpy(&since, cells + FC_CELL_BYTES + 8, sizeof since);
    out->asked_ns = birth_ns(&since.identity);
  }
  fc_journal_copy_path(cells, start.path_len, out->path);
  return true;
}

bool fc_entry_read(fcm_manager *m, uint32_t cell, struct fc_tracked *out) {
  size_t at;
  if (!decode(m, cell, out)) return false;
  const struct fc_slot *slot = find(m, out->path, &at);
  return slot && fc_slot_cell(slot) == cell;
}

int64_t fc_entry_now(void) { return fc_sys_clock(CLOCK_REALTIME_COARSE); }

int64_t fc_entry_append(struct fc_journal *journal, const struct fc_tracking *what) {
  const struct fc_identity since = {.birth_s = what->asked_ns / NS_PER_S,
                                    .birth_ns = (uint32_t)(what->asked_ns % NS_PER_S)};
  const struct fc_object info = {.identity = since};
  const bool with_info = what->tree && what->identity;
  const struct fc_record record = {.type = FC_REC_TRACK,
                                   .flags = (what->is_dir ? FC_REC_DIR : 0u) | (what->tree ? FC_REC_TREE : 0u) |
                                            (with_info ? FC_REC_INFO : 0u),
                                   .pid = (uint32_t)fc_sys_getpid(),
                                   .time_ns = fc_journal_now(),
                                   .identity = what->identity ? what->identity : &since,
                                   .info = with_info ? &info : NULL,
                                   .path = {NULL, 0, what->rel, strlen(what->rel)}};
  return fc_journal_append(journal, &record);
}

static void take_back(fcm_manager *m, uint32_t cell) {
  fc_journal_complete(&m->session->journal, cell, FC_RESULT_FAILED, NULL);
}

uint32_t fc_entry_value(const struct fc_tracking *what, uint32_t cell) {
  return (cell + 1) | (what->identity ? 0u : FC_SLOT_EXPECTED) | (what->is_dir ? FC_SLOT_DIR : 0u) |
         (what->tree ? FC_SLOT_TREE : 0u);
}

bool fc_entry_is(fcm_manager *m, const struct fc_tracking *what) {
  size_t at;
  struct fc_start_cell start;
  const struct fc_slot *slot = find(m, what->rel, &at);
  return slot && what->identity && record_at(m, fc_slot_cell(slot), &start) &&
         fc_identity_equal(&start.identity, what->identity) && what->tree == ((start.flags & FC_REC_TREE) != 0);
}

void fc_entry_set(fcm_manager *m, const struct fc_tracking *what, uint32_t cell) {
  const uint32_t value = fc_entry_value(what, cell);
  size_t at;
  struct fc_slot *slot = find(m, what->rel, &at);
  if (slot) {
    take_back(m, fc_slot_cell(slot));
    slot->value = value;
  } else {
    fc_table_add(&m->table, fc_entry_hash(m, what->rel), value);
  }
}

bool fc_entry_find(fcm_manager *m, const char *rel, struct fc_tracked *out) {
  size_t at;
  const struct fc_slot *slot = find(m, rel, &at);
  return slot && (!out || decode(m, fc_slot_cell(slot), out));
}

bool fc_entry_drop(fcm_manager *m, const char *rel) {
  size_t at;
  const struct fc_slot *slot = find(m, rel, &at);
  if (!slot) return false;
  take_back(m, fc_slot_cell(slot));
  fc_table_remove(&m->table, at);
  return true;
}

void fc_entry_drop_below(fcm_manager *m, const char *rel) {
  const size_t len = strlen(rel);
  for (size_t i = 0; i < m->table.room;) {
    struct fc_start_cell start;
    const struct fc_slot *slot = &m->table.slots[i];
    const char *cells = slot->value ? record_at(m, fc_slot_cell(slot), &start) : NULL;
    const bool below = cells && start.path_len >= len && fc_journal_path_is(cells, rel, len) &&
                       (start.path_len == len || fc_journal_path_has(cells, len, '/'));
    if (!below) {
      i++;
      continue;
    }
    take_back(m, fc_slot_cell(slot));
    fc_table_remove(&m->table, i); /* another may stand here now */
  }
}

static int by_number(const void *a, const void *b) {
  const uint32_t x = *(const uint32_t *)a;
  const uint32_t y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

bool fc_entry_cells(fcm_manager *m, uint32_t with, uint32_t without, uint32_t **cells, size_t *count) {
  *cells = NULL;
  *count = 0;
  size_t n = 0;
  for (size_t i = 0; i < m->table.room; i++) {
    const uint32_t value = m->table.slots[i].value;
    n += value != 0 && !(value & without) && (with == 0 || (value & with));
  }
  if (n == 0) return true;
  *cells = malloc(n * sizeof **cells);
  if (!*cells) return false;
  for (size_t i = 0; i < m->table.room; i++) {
    const uint32_t value = m->table.slots[i].value;
    if (value != 0 && !(value & without) && (with == 0 || (value & with)))
      (*cells)[(*count)++] = fc_slot_cell(&m->table.slots[i]);
  }
  qsort(*cells, *count, sizeof **cells, by_number);
  return true;
}
