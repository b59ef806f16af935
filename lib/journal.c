#include "journal.h"

#include <string.h>

#define PAGE_BYTES 4096u
#define CLAIM_PAGES 8u /* 32 KiB a time: one system call in 512 cells */
#define MADV_POPULATE_WRITE_ 23
#define MREMAP_MAYMOVE_ 1

static const uint32_t window_bytes[FC_WINDOWS] = {1u << 20, 16u << 20, 256u << 20, FC_JOURNAL_BYTES_MAX};

int64_t fc_journal_now(void) {
  struct timespec ts;
  if (clock_gettime(CLOCK_BOOTTIME, &ts) != 0) return 0;
  return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t fc_journal_deadline(int64_t budget_ns) {
  return budget_ns == INT64_MAX ? INT64_MAX : fc_journal_now() + budget_ns;
}

static size_t window_len(const struct fc_journal *j, int i) {
  const uint64_t file_bytes = FC_HEADER_BYTES + (uint64_t)j->capacity * FC_CELL_BYTES;
  return file_bytes < window_bytes[i] ? (size_t)file_bytes : window_bytes[i];
}

void fc_journal_discard(struct fc_journal *j) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
  for (int i = 0; i < FC_WINDOWS; i++)
    if (j->windows[i]) (void)fc_sys_mmap(j->windows[i], window_len(j, i), PROT_READ | PROT_WRITE, flags, -1, 0);
  (void)fc_sys_mmap(j->first, FC_FIRST_WINDOW_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
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

uint32_t fc_journal_check(uint64_t key, uint32_t index, const void *cells, unsigned count) {
  const unsigned char *bytes = cells;
  struct fc_start_cell start;
  memcpy(&start, bytes, sizeof start);
  uint64_t h = mix(key, ((uint64_t)index << 32) | (count << 16) | start.type);
  h = mix(h, start.pid);
  h = mix_bytes(h, bytes + offsetof(struct fc_start_cell, type), FC_CELL_BYTES - offsetof(struct fc_start_cell, type));
  unsigned cell = 1;
  if (start.flags & FC_REC_INFO) h = mix_bytes(h, bytes + cell++ * FC_CELL_BYTES + 8, FC_CELL_PAYLOAD);
  if (start.flags & FC_REC_TARGET) cell++; /* it changes after the commit and is checked with the result */
  /* Path cells up to the last word that is used: nobody reads the rest. */
  size_t text = (size_t)start.path_len + start.path2_len;
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

/* The window that holds the cell ending at byte `end` of the file, mapped when it is not yet. mremap with an old size
 * of 0 makes a second mapping of the same pages without an fd, also after chroot and setuid. */
static char *window_for(struct fc_journal *j, uint64_t end) {
  if (end <= FC_FIRST_WINDOW_BYTES) return j->first;
  for (int i = 0; i < FC_WINDOWS; i++) {
    if (end > window_bytes[i]) continue;
    char *window = __atomic_load_n(&j->windows[i], __ATOMIC_ACQUIRE);
    if (window) return window;
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

/* Makes sure that a store to [at, at+len) of the window cannot raise SIGBUS: a full disk or a truncated file is an
 * error here. The remembered range is one of several pages, so this is a comparison in nearly every call. */
static bool claim(struct fc_journal *j, char *window, uint64_t at, size_t len) {
  const uint32_t low = (uint32_t)(at / PAGE_BYTES);
  const uint32_t high = (uint32_t)((at + len + PAGE_BYTES - 1) / PAGE_BYTES);
  const uint64_t have = __atomic_load_n(&j->claimed, __ATOMIC_RELAXED);
  if (low >= (uint32_t)have && high <= (uint32_t)(have >> 32)) return true;
  const uint64_t file_bytes = FC_HEADER_BYTES + (uint64_t)j->capacity * FC_CELL_BYTES;
  const uint64_t file_pages = (file_bytes + PAGE_BYTES - 1) / PAGE_BYTES;
  const uint32_t window_pages = window == j->first ? FC_FIRST_WINDOW_BYTES / PAGE_BYTES : (uint32_t)file_pages;
  /* The first claim of a process is small, since most processes write a handful of records. */
  uint32_t end = high + (have ? CLAIM_PAGES : 0);
  if (window != j->first)
    for (int i = 0; i < FC_WINDOWS; i++)
      if (j->windows[i] == window && end > window_bytes[i] / PAGE_BYTES) end = window_bytes[i] / PAGE_BYTES;
  if (end > window_pages) end = window_pages;
  if (end > file_pages) end = (uint32_t)file_pages;
  if (end < high) return false;
  char *const start = window + (uint64_t)low * PAGE_BYTES;
  int rc = fc_sys_madvise(start, (size_t)(end - low) * PAGE_BYTES, MADV_POPULATE_WRITE_);
  if (rc < 0 && end > high) {
    end = high;
    rc = fc_sys_madvise(start, (size_t)(end - low) * PAGE_BYTES, MADV_POPULATE_WRITE_);
  }
  if (rc == -EINVAL) {
    /* Before Linux 5.14: let the kernel write 8 bytes into our own reserved cells, one store for each page. */
    rc = 0;
    for (uint64_t p = at; rc == 0 && p < at + len; p = (p / PAGE_BYTES + 1) * PAGE_BYTES) {
      rc = fc_sys_sigmask(SIG_BLOCK, NULL, (uint64_t *)(void *)(window + p + 8));
      if (rc == 0) memset(window + p + 8, 0, 8);
    }
    end = high;
  }
  if (rc < 0) return false;
  __atomic_store_n(&j->claimed, ((uint64_t)end << 32) | low, __ATOMIC_RELAXED);
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

static void put(struct cursor *at, const char *text, size_t len) {
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

static size_t name_len(const struct fc_name *name) {
  return name->head_len + (name->head_len && name->tail_len ? 1 : 0) + name->tail_len;
}

static void put_name(struct cursor *at, const struct fc_name *name) {
  put(at, name->head, name->head_len);
  if (name->head_len && name->tail_len) put(at, "/", 1);
  put(at, name->tail, name->tail_len);
}

int64_t fc_journal_append(struct fc_journal *j, const struct fc_record *r) {
  const size_t len1 = name_len(&r->path);
  const size_t len2 = name_len(&r->path2);
  if (len1 > UINT16_MAX || len2 > UINT16_MAX) return lost(j, r);
  const unsigned fixed = 1u + ((r->flags & FC_REC_INFO) ? 1u : 0u) + ((r->flags & FC_REC_TARGET) ? 1u : 0u);
  const size_t count = fixed + (len1 + len2 + FC_CELL_PAYLOAD - 1) / FC_CELL_PAYLOAD;
  if (count > FC_RECORD_CELLS_MAX) return lost(j, r);
  if (__atomic_load_n(&j->words->next, __ATOMIC_RELAXED) > j->capacity) return lost(j, r);
  const uint32_t index = __atomic_fetch_add(&j->words->next, (uint32_t)count, __ATOMIC_RELAXED);
  if ((uint64_t)index + count > j->capacity) return lost(j, r);
  const uint64_t at = FC_HEADER_BYTES + (uint64_t)index * FC_CELL_BYTES;
  char *const window = window_for(j, at + count * FC_CELL_BYTES);
  if (!window || !claim(j, window, at, count * FC_CELL_BYTES)) return lost(j, r);

  char *const cells = window + at;
  for (unsigned i = 1; i < count; i++) {
    const uint32_t word = FC_MARK_CONT | (i << 8);
    memcpy(cells + i * FC_CELL_BYTES, &word, sizeof word);
  }
  if (r->flags & FC_REC_INFO) memcpy(cells + FC_CELL_BYTES + 8, r->info, sizeof *r->info);
  struct cursor cursor = {cells + fixed * FC_CELL_BYTES, 0};
  put_name(&cursor, &r->path);
  put_name(&cursor, &r->path2);

  struct fc_start_cell start;
  memset(&start, 0, sizeof start);
  start.pid = r->pid;
  start.type = (uint8_t)r->type;
  start.flags = (uint8_t)r->flags;
  start.path_len = (uint16_t)len1;
  start.path2_len = (uint16_t)len2;
  start.extra = r->extra;
  start.time_ns = r->time_ns;
  if (r->identity) start.identity = *r->identity;
  memcpy(cells, &start, sizeof start);
  struct fc_start_cell *const committed = (struct fc_start_cell *)(void *)cells;
  committed->check = fc_journal_check(j->key, index, cells, (unsigned)count);
  __atomic_store_n(&committed->word, FC_MARK_START | ((uint32_t)count << 8), __ATOMIC_RELEASE);
  return index;
}

void fc_journal_complete(struct fc_journal *j, int64_t index, enum fc_result result, const struct fc_object *target) {
  if (index < 0) return;
  const uint64_t at = FC_HEADER_BYTES + (uint64_t)index * FC_CELL_BYTES;
  char *const window = window_for(j, at + 3 * FC_CELL_BYTES);
  if (!window) return; /* stays pending, which is the safe reading */
  struct fc_start_cell *const start = (struct fc_start_cell *)(void *)(window + at);
  const struct fc_object *checked = NULL;
  if (start->flags & FC_REC_TARGET) {
    struct fc_info_cell *const cell =
        (struct fc_info_cell *)(void *)(window + at + ((start->flags & FC_REC_INFO) ? 2 : 1) * FC_CELL_BYTES);
    if (target) cell->object = *target;
    checked = &cell->object;
  }
  const uint32_t word = fc_journal_result_word(j->key, (uint32_t)index, (uint32_t)result, checked);
  __atomic_store_n(&start->result, word, __ATOMIC_RELEASE);
}
