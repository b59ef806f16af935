#include "journal.h"

#include <string.h>

#define PAGE_BYTES 4096u
#define CLAIM_PAGES 8u /* 32 KiB a time: one system call in 512 cells */
#define MADV_POPULATE_WRITE_ 23
#define MREMAP_MAYMOVE_ 1

#define LAP_MASK 0xffffu

static const uint32_t window_bytes[FC_WINDOWS] = {1u << 20, 16u << 20, 256u << 20, FC_JOURNAL_BYTES_MAX};

uint64_t fc_journal_at(uint32_t capacity, uint32_t index) {
  return FC_HEADER_BYTES + (uint64_t)(index & (capacity - 1)) * FC_CELL_BYTES;
}

uint32_t fc_journal_lap(uint32_t capacity, uint32_t index) { return (index >> __builtin_ctz(capacity)) & LAP_MASK; }

int64_t fc_journal_now(void) {
  struct timespec ts;
  if (clock_gettime(CLOCK_BOOTTIME, &ts) != 0) return 0;
  return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t fc_journal_deadline(int64_t budget_ns) {
  return budget_ns == INT64_MAX ? INT64_MAX : fc_sys_boottime() + budget_ns;
}

static size_t window_len(const struct fc_journal *j, int i) {
  const uint64_t file_bytes = FC_HEADER_BYTES + (uint64_t)j->capacity * FC_CELL_BYTES;
  return file_bytes < window_bytes[i] ? (size_t)file_bytes : window_bytes[i];
}

FC_EVERY_PROCESS void fc_journal_reach(struct fc_journal *j, uint32_t next) {
  const uint64_t end = fc_journal_at(j->capacity, next) + FC_CELL_BYTES;
  if (end <= j->first_bytes) return;
  for (int i = 0; i < FC_WINDOWS; i++) {
    const size_t len = window_len(j, i);
    if (end > len || len <= j->first_bytes) continue;
    char *larger = fc_sys_mremap(j->first, j->first_bytes, len, MREMAP_MAYMOVE_);
    if (fc_sys_is_error(larger)) return; /* a window may still be had when it is needed */
    j->first = larger;
    j->first_bytes = len;
    return;
  }
}

static bool remap(void *at, size_t len, int fd) {
  return !fc_sys_is_error(fc_sys_mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0));
}

FC_EVERY_PROCESS bool fc_journal_remap(struct fc_journal *j, int fd) {
  bool all = remap(j->first, j->first_bytes, fd); /* before the windows, which are copies of it */
  for (int i = 0; i < FC_WINDOWS; i++) {
    char *window = __atomic_load_n(&j->windows[i], __ATOMIC_ACQUIRE);
    if (window) all = remap(window, window_len(j, i), fd) && all;
  }
  __atomic_store_n(&j->claimed, 0, __ATOMIC_RELAXED);
  return all;
}

void fc_journal_unmap(struct fc_journal *j) {
  for (int i = 0; i < FC_WINDOWS; i++)
    if (j->windows[i]) (void)fc_sys_munmap(j->windows[i], window_len(j, i));
  if (j->first) (void)fc_sys_munmap(j->first, j->first_bytes);
  memset(j, 0, sizeof *j);
}

static uint64_t mix(uint64_t h, uint64_t word) {
  h = (h ^ word) * 0x9FB21C651E98DF25ULL;
  return h ^ (h >> 32);
}

static uint64_t mix_bytes(uint64_t h, const unsigned char *bytes, size_t len) {
  for (size_t i = 0; i < len; i += 8) {
    uint64_t word;
    memcpy(&word, bytes + i, 8);
    h = mix(h, word);
  }
  return h;
}

static uint32_t fold(uint64_t h) {
  const uint32_t folded = (uint32_t)(h ^ (h >> 29) ^ (h >> 47));
  return folded ? folded : 1;
}

FC_EVERY_PROCESS uint32_t fc_journal_check(uint64_t key, uint32_t index, const void *cells, unsigned count) {
  const unsigned char *bytes = cells;
  const struct fc_start_cell *const start = cells;
  uint64_t h = mix(key, ((uint64_t)index << 32) | (count << 16) | start->type);
  h = mix(h, start->pid);
  h = mix_bytes(h, bytes + offsetof(struct fc_start_cell, type), FC_CELL_BYTES - offsetof(struct fc_start_cell, type));
  unsigned cell = 1;
  if (start->flags & FC_REC_INFO) h = mix_bytes(h, bytes + cell++ * FC_CELL_BYTES + 8, FC_CELL_PAYLOAD);
  if (start->flags & FC_REC_TARGET) cell++; /* it changes after the commit and is checked with the result */
  /* Path cells up to the last word that is used: nobody reads the rest. */
  size_t text = (size_t)start->path_len + start->path2_len;
  for (; cell < count && text > 0; cell++) {
    const size_t here = text < FC_CELL_PAYLOAD ? text : FC_CELL_PAYLOAD;
    h = mix_bytes(h, bytes + cell * FC_CELL_BYTES + 8, (here + 7) & ~(size_t)7);
    text -= here;
  }
  return fold(h);
}

uint32_t fc_journal_result_word(uint64_t key, uint32_t index, uint32_t result, const struct fc_object *target) {
  uint64_t h = mix(key, ((uint64_t)index << 32) | 0x80000000u | result);
  if (target) h = mix_bytes(h, (const unsigned char *)target, sizeof *target);
  return (fold(h) << 8) | (result & 0xffu);
}

uint64_t fc_journal_anchor_check(uint64_t key, const struct fc_anchor *anchor) {
  const uint64_t h = mix_bytes(key, (const unsigned char *)anchor, offsetof(struct fc_anchor, check));
  return h ? h : 1;
}

const struct fc_anchor *fc_journal_anchor(uint64_t key, const struct fc_anchor anchors[FC_ANCHORS]) {
  const struct fc_anchor *best = NULL;
  for (unsigned i = 0; i < FC_ANCHORS; i++) {
    const struct fc_anchor *a = &anchors[i];
    if (a->generation == 0 || a->check != fc_journal_anchor_check(key, a)) continue;
    if (!best || a->generation > best->generation) best = a;
  }
  return best;
}

/* The window that holds the cell ending at byte `end` of the file, mapped when it is not yet. mremap with an old size
 * of 0 makes a second mapping of the same pages without an fd, also after chroot and setuid. */
FC_EVERY_PROCESS static char *window_for(struct fc_journal *j, uint64_t end) {
  if (end <= j->first_bytes) return j->first;
  for (int i = 0; i < FC_WINDOWS; i++) {
    if (end > window_bytes[i]) continue;
    char *window = __atomic_load_n(&j->windows[i], __ATOMIC_ACQUIRE);
    if (window) return window;
    if (j->still) return NULL;
    const size_t len = window_len(j, i);
    window = fc_sys_mremap(j->first, 0, len, MREMAP_MAYMOVE_);
    if (fc_sys_is_error(window)) return NULL;
    char *expected = NULL;
    if (!__atomic_compare_exchange_n(&j->windows[i], &expected, window, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
      (void)fc_sys_munmap(window, len); /* another thread was first; nobody has seen this one */
      window = expected;
    }
    return window;
  }
  return NULL;
}

FC_EVERY_PROCESS void fc_journal_ready(struct fc_journal *j) {
  const uint32_t next = __atomic_load_n(&j->words->next, __ATOMIC_RELAXED);
  (void)window_for(j, fc_journal_at(j->capacity, next) + FC_CELL_BYTES);
}

/* Lets the kernel write 8 bytes into each page of our own reserved cells, which makes it present or is an error. */
FC_EVERY_PROCESS static bool write_by_kernel(char *window, uint64_t at, size_t len) {
  for (uint64_t p = at; p < at + len; p = (p / PAGE_BYTES + 1) * PAGE_BYTES) {
    if (fc_sys_sigmask(SIG_BLOCK, NULL, (uint64_t *)(void *)(window + p + 8)) < 0) return false;
    memset(window + p + 8, 0, 8);
  }
  return true;
}

/* Makes sure that a store to [at, at+len) of the window cannot raise SIGBUS: a full disk or a truncated file is an
 * error here. The remembered range is one of several pages, so this is a comparison in nearly every call. Pages are
 * remembered by lap: those of an earlier lap have been given back meanwhile. */
FC_EVERY_PROCESS static bool claim(struct fc_journal *j, char *window, uint32_t index, uint64_t at, size_t len) {
  const uint32_t lap_pages = (index & ~(j->capacity - 1)) / (PAGE_BYTES / FC_CELL_BYTES);
  const uint32_t low = (uint32_t)(at / PAGE_BYTES);
  const uint32_t high = (uint32_t)((at + len + PAGE_BYTES - 1) / PAGE_BYTES);
  const uint64_t have = __atomic_load_n(&j->claimed, __ATOMIC_RELAXED);
  if (low + lap_pages >= (uint32_t)have && high + lap_pages <= (uint32_t)(have >> 32)) return true;
  if (j->still) return false;
  const uint64_t file_bytes = FC_HEADER_BYTES + (uint64_t)j->capacity * FC_CELL_BYTES;
  const uint64_t file_pages = (file_bytes + PAGE_BYTES - 1) / PAGE_BYTES;
  const uint32_t window_pages = window == j->first ? (uint32_t)(j->first_bytes / PAGE_BYTES) : (uint32_t)file_pages;
  /* The first claim of a process is small, since most processes write a handful of records, and is then cheaper than
   * MADV_POPULATE_WRITE, which first empties the lists of pages that the processor keeps. */
  uint32_t end = high + (have ? CLAIM_PAGES : 0);
  if (window != j->first)
    for (int i = 0; i < FC_WINDOWS; i++)
      if (j->windows[i] == window && end > window_bytes[i] / PAGE_BYTES) end = window_bytes[i] / PAGE_BYTES;
  if (end > window_pages) end = window_pages;
  if (end > file_pages) end = (uint32_t)file_pages;
  if (end < high) return false;
  char *const start = window + (uint64_t)low * PAGE_BYTES;
  int rc = -EINVAL;
  if (have) rc = fc_sys_madvise(start, (size_t)(end - low) * PAGE_BYTES, MADV_POPULATE_WRITE_);
  if (rc < 0 && rc != -EINVAL && end > high) {
    end = high;
    rc = fc_sys_madvise(start, (size_t)(end - low) * PAGE_BYTES, MADV_POPULATE_WRITE_);
  }
  if (rc == -EINVAL) { /* also before Linux 5.14 */
    end = high;
    rc = write_by_kernel(window, at, len) ? 0 : -EFAULT;
  }
  if (rc < 0) return false;
  __atomic_store_n(&j->claimed, ((uint64_t)(end + lap_pages) << 32) | (low + lap_pages), __ATOMIC_RELAXED);
  return true;
}

static bool is_destructive(const struct fc_record *r) {
  switch (r->type) {
  case FC_REC_UNLINK:
  case FC_REC_RENAME:
  case FC_REC_RENAME_OUT:
  case FC_REC_RENAME_IN:
  case FC_REC_EXCHANGE:
  case FC_REC_OUTSIDE:
    return true;
  case FC_REC_USED:
    return (r->flags & FC_REC_TRUNCATES) != 0;
  default:
    return false;
  }
}

static int64_t lost(struct fc_journal *j, const struct fc_record *r) {
  uint32_t *counter = is_destructive(r) ? &j->words->lost_destructive : &j->words->lost_creating;
  __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
  return -1;
}

/* Copies the path bytes over the payloads of the cells that follow. */
struct cursor {
  char *cell;
  unsigned used; /* payload bytes used in cell */
};

FC_EVERY_PROCESS static void put(struct cursor *at, const char *text, size_t len) {
  while (len > 0) {
    if (at->used == FC_CELL_PAYLOAD) {
      at->cell += FC_CELL_BYTES;
      at->used = 0;
    }
    const size_t room = FC_CELL_PAYLOAD - at->used;
    const size_t n = len < room ? len : room;
    memcpy(at->cell + 8 + at->used, text, n);
    at->used += (unsigned)n;
    text += n;
    len -= n;
  }
}

FC_EVERY_PROCESS static size_t name_len(const struct fc_name *name) {
  return name->head_len + (name->head_len && name->tail_len ? 1 : 0) + name->tail_len;
}

FC_EVERY_PROCESS static void put_name(struct cursor *at, const struct fc_name *name) {
  put(at, name->head, name->head_len);
  if (name->head_len && name->tail_len) put(at, "/", 1);
  put(at, name->tail, name->tail_len);
}

static uint32_t start_word(const struct fc_journal *j, uint32_t index, uint32_t count) {
  return FC_MARK_START | (count << 8) | (fc_journal_lap(j->capacity, index) << 16);
}

FC_EVERY_PROCESS static void mark_cells(const struct fc_journal *j, char *cells, uint32_t index, uint32_t count) {
  for (uint32_t i = 1; i < count; i++) {
    const uint32_t word = FC_MARK_CONT | (i << 8) | (fc_journal_lap(j->capacity, index) << 16);
    memcpy(cells + i * FC_CELL_BYTES, &word, sizeof word);
  }
}

/* The cells from index on, mapped and present, or NULL. They do not cross the end of the ring. */
FC_EVERY_PROCESS static char *cells_for(struct fc_journal *j, uint32_t index, uint32_t count) {
  const uint64_t at = fc_journal_at(j->capacity, index);
  char *const window = window_for(j, at + (uint64_t)count * FC_CELL_BYTES);
  return window && claim(j, window, index, at, count * FC_CELL_BYTES) ? window + at : NULL;
}

const char *fc_journal_look(struct fc_journal *j, uint32_t index, uint32_t count) {
  const uint64_t at = fc_journal_at(j->capacity, index);
  const char *const window = window_for(j, at + (uint64_t)count * FC_CELL_BYTES);
  return window ? window + at : NULL;
}

/* The byte at `at` of a record's path; the rest of its cell lies behind it. */
static const char *path_at(const char *cells, size_t at) {
  const uint8_t flags = (uint8_t)cells[offsetof(struct fc_start_cell, flags)];
  const size_t first = 1u + ((flags & FC_REC_INFO) ? 1u : 0u) + ((flags & FC_REC_TARGET) ? 1u : 0u);
  return cells + (first + at / FC_CELL_PAYLOAD) * FC_CELL_BYTES + 8 + at % FC_CELL_PAYLOAD;
}

void fc_journal_copy_path(const char *cells, size_t len, char *out) {
  for (size_t done = 0; done < len; done += FC_CELL_PAYLOAD)
    memcpy(out + done, path_at(cells, done), len - done < FC_CELL_PAYLOAD ? len - done : FC_CELL_PAYLOAD);
  out[len] = '\0';
}

bool fc_journal_path_is(const char *cells, const char *path, size_t len) {
  for (size_t done = 0; done < len; done += FC_CELL_PAYLOAD)
    if (memcmp(path + done, path_at(cells, done), len - done < FC_CELL_PAYLOAD ? len - done : FC_CELL_PAYLOAD) != 0)
      return false;
  return true;
}

bool fc_journal_path_has(const char *cells, size_t at, char c) { return *path_at(cells, at) == c; }

void fc_journal_prepare(struct fc_journal *j, uint32_t cells) {
  const uint32_t next = __atomic_load_n(&j->words->next, __ATOMIC_RELAXED);
  const uint32_t left = j->capacity - (next & (j->capacity - 1));
  const uint32_t count = cells < left ? cells : left;
  (void)cells_for(j, next, 1); /* a process's first claim is small, the second one large */
  for (uint32_t step = 1; step < count; step *= 2)
    (void)cells_for(j, next, step); /* each window on the way is mapped */
  (void)cells_for(j, next, count);
}

/* A checkpoint has passed the cell: nobody reads it any more. */
FC_EVERY_PROCESS static bool is_passed(const struct fc_journal *j, uint32_t index) {
  return (int32_t)(__atomic_load_n(&j->words->head, __ATOMIC_SEQ_CST) - index) > 0;
}

FC_EVERY_PROCESS static uint32_t given_up_word(const struct fc_journal *j, uint32_t index) {
  return FC_MARK_GIVEN_UP | (fc_journal_lap(j->capacity, index) << 16);
}

bool fc_journal_give_up(struct fc_journal *j, uint32_t index) {
  char *const cell = cells_for(j, index, 1);
  if (!cell) return false;
  uint32_t expected = 0;
  return __atomic_compare_exchange_n((uint32_t *)(void *)cell, &expected, given_up_word(j, index), false,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ||
         expected == given_up_word(j, index) || (expected & 0xffu) == FC_MARK_CONT;
}

/* Why a record was not written: a checkpoint did not wait, or there is no page to write to. */
static bool is_passed_or_given_up(struct fc_journal *j, uint32_t index) {
  if (is_passed(j, index)) return true;
  const char *const cell = cells_for(j, index, 1);
  return cell && __atomic_load_n((const uint32_t *)(const void *)cell, __ATOMIC_RELAXED) == given_up_word(j, index);
}

/* What stands in the first of the cells, empty but for its word, which commit writes. Not put together elsewhere and
 * copied: the stack may be small. */
FC_EVERY_PROCESS static struct fc_start_cell *start_of(char *cells) {
  struct fc_start_cell *const start = (struct fc_start_cell *)(void *)cells;
  memset(cells + sizeof start->word, 0, sizeof *start - sizeof start->word);
  return start;
}

/* Makes start and the cells behind it a record. False when a checkpoint was faster: either it has given the cell up, or
 * (that mark has been punched out since) its head lies beyond. The word is never made 0 on the way: what a very late
 * writer spoils would look torn, and not damaged. */
FC_EVERY_PROCESS static bool commit(const struct fc_journal *j, struct fc_start_cell *start, uint32_t index,
                                    uint32_t count) {
  start->check = fc_journal_check(j->key, index, start, count);
  uint32_t before = __atomic_load_n(&start->word, __ATOMIC_RELAXED);
  return before != given_up_word(j, index) &&
         __atomic_compare_exchange_n(&start->word, &before, start_word(j, index, count), false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_RELAXED) &&
         !is_passed(j, index);
}

/* Fills cells that a record does not fit into. Without it they read as a writer's that was killed. */
static __attribute__((noinline)) void pad(struct fc_journal *j, uint32_t index, uint32_t count) {
  char *const cells = cells_for(j, index, count);
  if (!cells) return;
  struct fc_start_cell *const start = start_of(cells);
  start->type = FC_REC_PAD;
  mark_cells(j, cells, index, count);
  (void)commit(j, start, index, count);
}

/* Reserves count cells that stand side by side. */
FC_EVERY_PROCESS static bool reserve(struct fc_journal *j, uint32_t count, uint32_t *index) {
  for (;;) {
    /* In this order: a head that moves on in between can only make it look fuller than it is. */
    const uint32_t head = __atomic_load_n(&j->words->head, __ATOMIC_ACQUIRE);
    const uint32_t used = __atomic_load_n(&j->words->next, __ATOMIC_ACQUIRE) - head;
    if (used + count > j->limit) {
      if (__atomic_load_n(&j->words->head, __ATOMIC_ACQUIRE) == head) return false;
      continue;
    }
    *index = __atomic_fetch_add(&j->words->next, count, __ATOMIC_RELAXED);
    /* Very many at once may all have found room: beyond this mark lies what a checkpoint punches out, or the head. */
    if (*index + count - head > j->limit + j->capacity / 16 || *index + count - head > j->capacity) return false;
    const uint32_t left = j->capacity - (*index & (j->capacity - 1));
    if (count <= left) return true;
    pad(j, *index, left);
    pad(j, *index + left, count - left);
  }
}

/* A record that a checkpoint did not wait for is written anew when it spares something. One that claims something is
 * not: what has happened meanwhile counts for it, and would not when it came later. */
static bool is_said_again(const struct fc_record *r) {
  switch (r->type) {
  case FC_REC_USED:
  case FC_REC_JOIN:
  case FC_REC_EXEC:
  case FC_REC_END:
    return true;
  default:
    return is_destructive(r);
  }
}

/* Writes the record into the reserved cells. */
FC_EVERY_PROCESS static bool fill(struct fc_journal *j, const struct fc_record *r, uint32_t index, uint32_t count,
                                  unsigned fixed, size_t len1, size_t len2) {
  char *const cells = cells_for(j, index, count);
  if (!cells || is_passed(j, index)) return false;
  mark_cells(j, cells, index, count);
  if (r->flags & FC_REC_INFO) memcpy(cells + FC_CELL_BYTES + 8, r->info, sizeof *r->info);
  struct cursor cursor = {cells + fixed * FC_CELL_BYTES, 0};
  put_name(&cursor, &r->path);
  put_name(&cursor, &r->path2);

  struct fc_start_cell *const start = start_of(cells);
  start->pid = r->pid;
  start->type = (uint8_t)r->type;
  start->flags = (uint8_t)r->flags;
  start->path_len = (uint16_t)len1;
  start->path2_len = (uint16_t)len2;
  start->extra = r->extra;
  start->time_ns = r->time_ns;
  if (r->identity) start->identity = *r->identity;
  return commit(j, start, index, count);
}

FC_EVERY_PROCESS int64_t fc_journal_append(struct fc_journal *j, const struct fc_record *r) {
  const size_t len1 = name_len(&r->path);
  const size_t len2 = name_len(&r->path2);
  if (len1 > UINT16_MAX || len2 > UINT16_MAX) return lost(j, r);
  const unsigned fixed = 1u + ((r->flags & FC_REC_INFO) ? 1u : 0u) + ((r->flags & FC_REC_TARGET) ? 1u : 0u);
  const size_t count = fixed + (len1 + len2 + FC_CELL_PAYLOAD - 1) / FC_CELL_PAYLOAD;
  if (count > FC_RECORD_CELLS_MAX) return lost(j, r);
  uint32_t index;
  do {
    if (!reserve(j, (uint32_t)count, &index)) return lost(j, r);
    if (fill(j, r, index, (uint32_t)count, fixed, len1, len2)) {
      if (j->outside) __atomic_fetch_add(&j->words->outside, 1, __ATOMIC_RELEASE);
      const uint32_t crossed = (index ^ (index + (uint32_t)count)) & ~(fc_journal_stride(j->capacity) - 1);
      if (crossed && !j->still) fc_journal_wake(j->words);
      return index;
    }
  } while (is_passed_or_given_up(j, index) && is_said_again(r));
  return lost(j, r);
}

void fc_journal_wake(struct fc_head_words *words) {
  __atomic_fetch_add(&words->wake, 1, __ATOMIC_ACQ_REL);
  (void)fc_sys_futex(&words->wake, FC_FUTEX_WAKE, INT32_MAX, -1);
}

void fc_journal_complete(struct fc_journal *j, int64_t index, enum fc_result result, const struct fc_object *target) {
  if (index < 0 || is_passed(j, (uint32_t)index)) return; /* passed: it stays pending, which is the safe reading */
  const uint64_t at = fc_journal_at(j->capacity, (uint32_t)index);
  const uint64_t end = at + 3 * FC_CELL_BYTES;
  const uint64_t file_bytes = FC_HEADER_BYTES + (uint64_t)j->capacity * FC_CELL_BYTES;
  char *const window = window_for(j, end < file_bytes ? end : file_bytes);
  if (!window) return; /* stays pending, which is the safe reading */
  struct fc_start_cell *const start = (struct fc_start_cell *)(void *)(window + at);
  /* A checkpoint may pass over a call that takes very long: then nothing is said any more. */
  const uint32_t word = __atomic_load_n(&start->word, __ATOMIC_ACQUIRE);
  if ((word & ~UINT32_C(0xff00)) != (start_word(j, (uint32_t)index, 0))) return;
  const struct fc_object *checked = NULL;
  if (start->flags & FC_REC_TARGET) {
    struct fc_info_cell *const cell =
        (struct fc_info_cell *)(void *)(window + at + ((start->flags & FC_REC_INFO) ? 2 : 1) * FC_CELL_BYTES);
    if (target) cell->object = *target;
    checked = &cell->object;
  }
  const uint32_t told = fc_journal_result_word(j->key, (uint32_t)index, (uint32_t)result, checked);
  __atomic_store_n(&start->result, told, __ATOMIC_RELEASE);
}
