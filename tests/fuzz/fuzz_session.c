/* fuzz_session: a session file's header with any bytes in it, and any bytes as the token of FILECLEANUP_SESSION.
 *
 * The input is a list of patches to a valid header: where (2 bytes), how many (1 byte), what. What must hold:
 *   - a header that differs from the one that was written in a byte that is covered is not VALID;
 *   - one whose checksum has been put right is VALID only when every text ends, every choice is one of the choices, the
 *     ring is a power of two and as large as the file, and the id is the file's own;
 *   - a joiner accepts no more than that of what it uses, and can then record and leave.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox.h"

enum mode { MODE_DAMAGE, MODE_FORGE, MODE_TOKEN, MODE_COUNT };

static void patch(struct fc_session_header *h, const uint8_t **data, size_t *size) {
  while (*size >= 3) {
    const unsigned low = fuzz_take(data, size), high = fuzz_take(data, size);
    unsigned count = 1 + fuzz_take(data, size) % 64;
    /* Most of the header is long texts: three of four patches go to the fields and words before them. */
    const size_t ends[] = {offsetof(struct fc_session_header, words), offsetof(struct fc_session_header, policy.keep),
                           1024, sizeof *h};
    size_t at = (low | high << 8) % ends[count % 4];
    for (; count > 0 && *size > 0 && at < sizeof *h; count--, at++) ((char *)h)[at] = (char)fuzz_take(data, size);
  }
}

static bool covered_differs(const struct fc_session_header *a, const struct fc_session_header *b) {
  const size_t check_end = offsetof(struct fc_session_header, check) + sizeof a->check;
  const size_t policy = offsetof(struct fc_session_header, policy);
  return memcmp(a, b, check_end) != 0 ||
         memcmp((const char *)a + policy, (const char *)b + policy, sizeof *a - policy) != 0;
}

static void is_sound(const struct fc_session_header *h, const struct sandbox *box) {
  const struct fc_policy *p = &h->policy;
  REQUIRE(p->on_exit <= FC_ON_EXIT_REPORT && p->scope <= FC_SCOPE_PROCESS && p->dirs <= FC_DIRS_RECURSIVE);
  REQUIRE(p->in_use <= FC_IN_USE_IGNORE && p->age_by <= FC_AGE_BY_MTIME && p->track <= FC_TRACK_ALL);
  REQUIRE(p->log_level <= FC_LOG_DEBUG && p->exit_budget_ns >= 0);
  REQUIRE(memchr(p->keep, 0, sizeof p->keep) && memchr(p->log_file, 0, sizeof p->log_file));
  REQUIRE(memchr(p->stats_file, 0, sizeof p->stats_file) && memchr(h->name, 0, sizeof h->name));
  REQUIRE(h->base[0] == '/' && memchr(h->base, 0, sizeof h->base) && memchr(h->alias, 0, sizeof h->alias));
  REQUIRE(memchr(h->path, 0, sizeof h->path) && memchr(h->id, 0, sizeof h->id));
  REQUIRE(h->capacity != 0 && (h->capacity & (h->capacity - 1)) == 0);
  REQUIRE(FC_HEADER_BYTES + (uint64_t)h->capacity * FC_CELL_BYTES == box->file_bytes);
  REQUIRE(strcmp(h->id, box->name + sizeof FC_SESSION_PREFIX - 1) == 0 && h->uid == geteuid());
}

static void look(struct sandbox *box, const struct fc_session_header *written, bool differs) {
  static struct fc_session_header read;
  int fd = -1;
  const enum fc_verdict verdict = fc_session_open_file(box->state_fd, box->name, &fd, &read);
  REQUIRE((verdict == FC_VERDICT_VALID) == (fd >= 0));
  if (verdict != FC_VERDICT_VALID) return;
  REQUIRE(!differs);
  REQUIRE(memcmp(&read, written, sizeof read) == 0);
  is_sound(&read, box);
  (void)close(fd);
}

static void join(const char *token, size_t len, bool may) {
  static struct fc_session session;
  memset(&session, 0, sizeof session);
  const int rc = fc_session_join(&session, token, len, "fuzz");
  REQUIRE(rc <= 0);
  if (rc < 0) {
    REQUIRE(!session.header && !session.journal.first && !session.lock_page);
    return;
  }
  REQUIRE(may);
  const char *base = fc_session_base(&session);
  REQUIRE(base[0] == '/' && strlen(base) == session.base_len && session.base_len < PATH_MAX);
  REQUIRE(strlen(fc_session_alias(&session)) == session.alias_len && strlen(fc_session_path(&session)) < PATH_MAX);
  REQUIRE(session.journal.capacity >= FC_JOURNAL_CELLS_MIN && session.journal.capacity <= FC_JOURNAL_CELLS_MAX);
  const struct fc_record record = {.type = FC_REC_CREATE, .pid = 1, .path = {NULL, 0, "a", 1}};
  const int64_t index = fc_journal_append(&session.journal, &record);
  fc_journal_complete(&session.journal, index, FC_RESULT_DONE, NULL);
  const int fd = fc_session_leave(&session);
  if (fd >= 0) (void)close(fd);
  fc_journal_unmap(&session.journal);
}

/* Where the token of the session file stands: made by the product, for a header that was valid. */
static size_t good_token(const struct sandbox *box, const struct stat *st, char out[FC_TOKEN_BYTES]) {
  return (size_t)snprintf(out, FC_TOKEN_BYTES, "%.16s:%llx:%llx:%s", box->header.id,
                          (unsigned long long)(st->st_dev >> 8 & 0xfff) << 32 | (st->st_dev & 0xff),
                          (unsigned long long)st->st_ino, box->header.path);
}

/* Bytes as a token. What it names is opened for writing: only what lies in the scratch directory. */
static void tokens(const char *good, const uint8_t *data, size_t size) {
  char token[FC_TOKEN_BYTES];
  if (size >= 1024) return;
  memcpy(token, data, size);
  token[size] = '\0';
  size_t colons = 0, at = 0;
  for (; at < size && colons < 3; at++) colons += token[at] == ':';
  for (size_t i = at; i < size; i++)
    if (token[i] == '.' || (token[i] == '%' && i + 2 < size && token[i + 1] == '2')) return; /* ".." in any spelling */
  if (colons == 3)
    (void)snprintf(token + at, sizeof token - at, "%s/%.*s", fuzz_scratch(), (int)(size - at), data + at);
  join(token, colons == 3 ? strlen(token) : size, true);
  /* Cut short anywhere, the good one names nothing. */
  const size_t cut = size ? data[0] % strlen(good) : 0;
  join(good, cut, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct fc_session_header header;
  struct sandbox *box = sandbox();
  const enum mode mode = (enum mode)(fuzz_take(&data, &size) % MODE_COUNT);
  header = box->header;
  const int fd = sandbox_file(box, &header);
  struct stat st;
  char good[FC_TOKEN_BYTES];
  REQUIRE(fstat(fd, &st) == 0);
  const size_t good_length = good_token(box, &st, good);
  if (mode == MODE_TOKEN) {
    join(good, good_length, true);
    tokens(good, data, size);
    REQUIRE(close(fd) == 0);
    return 0;
  }
  static struct fc_session_header patched;
  patched = header;
  patch(&patched, &data, &size);
  if (mode == MODE_FORGE) patched.check = fc_session_check(&patched);
  REQUIRE(pwrite(fd, &patched, sizeof patched, 0) == (ssize_t)sizeof patched);
  REQUIRE(close(fd) == 0);
  look(box, &patched, mode == MODE_DAMAGE && covered_differs(&header, &patched));
  join(good, good_length, true);
  return 0;
}
