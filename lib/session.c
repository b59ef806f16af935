#include "session.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "state.h"

#define FD_TARGET 1000 /* where a handed-over fd goes when the limit allows it */
#define FD_HEADROOM 16 /* below the soft limit otherwise; also how many numbers are tried */
#define MEMBER_WINDOW_BYTES                                                                                            \
  (1u << 20) /* what a member maps: room for 16,000 cells, and it costs no more than a page                            \
              */
#define BASE_TRIES 4
#define PUBLISH_TRIES 8 /* another session may remove the empty state directory while we make our file */
#define LOCK_PAGE 4096u
#define NS_PER_S 1000000000
#define FIELD_THREADS 20
#define USER_HZ 100 /* of /proc/PID/stat, on every machine */
#define JOIN_TRIES 5
#define JOIN_PAUSE_MS 10

static uint64_t mix(uint64_t h, uint64_t word) {
  h = (h ^ word) * 0xD6E8FEB86659FD93ULL;
  return h ^ (h >> 32);
}

static uint64_t mix_range(uint64_t h, const void *start, size_t len) {
  const unsigned char *bytes = start;
  for (size_t i = 0; i + 8 <= len; i += 8) {
    uint64_t word;
    memcpy(&word, bytes + i, 8);
    h = mix(h, word);
  }
  return h;
}

uint64_t fc_session_check(const struct fc_session_header *header) {
  uint64_t h = mix_range(header->key, header, offsetof(struct fc_session_header, check));
  h = mix_range(h, &header->policy, sizeof *header - offsetof(struct fc_session_header, policy));
  return h ? h : 1;
}

static long read_file(const char *path, char *buf, size_t size) {
  const int fd = fc_sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return fd;
  const long n = fc_sys_read(fd, buf, size - 1);
  (void)fc_sys_close(fd);
  if (n >= 0) buf[n] = '\0';
  return n;
}

FC_EVERY_PROCESS static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

bool fc_session_boot_id(uint8_t out[16]) {
  char text[64];
  memset(out, 0, 16);
  if (read_file("/proc/sys/kernel/random/boot_id", text, sizeof text) < 36) return false;
  unsigned nibbles = 0;
  for (const char *p = text; *p && nibbles < 32; p++) {
    const int digit = hex_digit(*p);
    if (digit < 0) continue;
    out[nibbles / 2] = (uint8_t)(out[nibbles / 2] << 4 | digit);
    nibbles++;
  }
  return nibbles == 32;
}

uint32_t fc_session_pid_space(void) {
  struct statx st;
  if (fc_sys_statx(AT_FDCWD, "/proc/self/ns/pid", 0, STATX_INO, &st) < 0) return 0;
  return (uint32_t)(st.stx_ino ^ st.stx_ino >> 32);
}

int64_t fc_session_start_time(uint32_t pid) {
  char path[32];
  char text[512];
  (void)snprintf(path, sizeof path, "/proc/%u/stat", pid);
  if (read_file(path, text, sizeof text) <= 0) return -1;
  const char *p = strrchr(text, ')'); /* the name in parentheses may hold anything */
  if (!p || p[1] != ' ') return -1;
  const bool zombie = p[2] == 'Z' || p[2] == 'X';
  for (int field = 2; field < 22; field++) {
    p = strchr(p + 1, ' ');
    if (!p) return -1;
    /* A zombie needs no files any more, unless only its first thread has ended. */
    if (field == FIELD_THREADS - 1 && zombie && p[1] <= '1' && p[2] == ' ') return -1;
  }
  int64_t ticks = 0;
  for (p++; *p >= '0' && *p <= '9'; p++) ticks = ticks * 10 + (*p - '0');
  return ticks * (NS_PER_S / USER_HZ);
}

FC_EVERY_PROCESS int fc_session_probe(int fd, enum fc_byte byte) {
  struct fc_flock lock;
  if (fc_sys_lock(fd, FC_F_OFD_GETLK, F_WRLCK, byte, &lock) < 0) return F_RDLCK; /* unknown = alive */
  return lock.type;
}

/* ---- becoming a member ---- */

static size_t text_bytes(const struct fc_session_header *h) {
  return (size_t)h->base_len + 1u + h->alias_len + 1u + h->path_len + 1u;
}

static void fill_text(struct fc_session_header *h) {
  h->base_len = (uint16_t)strlen(h->base);
  h->alias_len = (uint16_t)strlen(h->alias);
  h->path_len = (uint16_t)strlen(h->path);
  if (text_bytes(h) > sizeof h->text) {
    h->base_len = h->alias_len = h->path_len = 0;
    return;
  }
  memcpy(h->text, h->base, h->base_len + 1u);
  memcpy(h->text + h->base_len + 1, h->alias, h->alias_len + 1u);
  memcpy(h->text + h->base_len + 1 + h->alias_len + 1, h->path, h->path_len + 1u);
}

FC_EVERY_PROCESS static void adopt_header(struct fc_session *s) {
  const struct fc_session_header *h = s->header;
  s->journal.words = (struct fc_head_words *)&h->words;
  s->journal.key = h->key;
  s->journal.capacity = h->capacity;
  s->journal.limit = h->capacity / 2;
  s->journal.with_handle = h->with_handle;
  /* Copies, side by side: a file that is truncated under us must not take the names away, and one page holds them all.
   * NULs stand there already. */
  if (h->base_len) {
    s->base_len = h->base_len;
    s->alias_len = h->alias_len;
    memcpy(s->text, h->text, text_bytes(h));
  } else {
    s->base_len = strnlen(h->base, sizeof h->base - 1);
    s->alias_len = strnlen(h->alias, sizeof h->alias - 1);
    memcpy(s->text, h->base, s->base_len);
    memcpy(s->text + s->base_len + 1, h->alias, s->alias_len);
    memcpy(s->text + s->base_len + 1 + s->alias_len + 1, h->path, strnlen(h->path, sizeof h->path - 1));
  }
  s->alias_at = (uint32_t)s->base_len + 1;
  s->path_at = s->alias_at + (uint32_t)s->alias_len + 1;
  s->leader_pid = h->leader_pid;
}

FC_EVERY_PROCESS static int map_journal(struct fc_session *s, int fd, uint64_t file_bytes) {
  s->journal.first_bytes = file_bytes < MEMBER_WINDOW_BYTES ? FC_FIRST_WINDOW_BYTES : MEMBER_WINDOW_BYTES;
  char *first = fc_sys_mmap(NULL, s->journal.first_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (first == (char *)-ENOMEM) { /* RLIMIT_AS */
    s->journal.first_bytes = FC_FIRST_WINDOW_BYTES;
    first = fc_sys_mmap(NULL, s->journal.first_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  if (fc_sys_is_error(first)) return (int)(intptr_t)first;
  s->journal.first = first;
  s->header = (const struct fc_session_header *)(void *)first;
  return 0;
}

static int map_lock(struct fc_session *s, int fd) {
  void *page = fc_sys_mmap(NULL, LOCK_PAGE, PROT_NONE, MAP_SHARED, fd, 0);
  if (fc_sys_is_error(page)) return (int)(intptr_t)page;
  s->lock_page = page;
  return 0;
}

/* The text is written last, by those who have become members: until then it is zero, and its pages stay untouched. */
static void begin(struct fc_session *s) { memset(s, 0, offsetof(struct fc_session, text)); }

static void forget(struct fc_session *s) {
  if (s->lock_page && !s->journal_locks) (void)fc_sys_munmap(s->lock_page, LOCK_PAGE);
  if (s->journal.first) (void)fc_sys_munmap(s->journal.first, s->journal.first_bytes);
  begin(s);
}

static void remember_file(struct fc_session *s, const struct statx *st) {
  s->file_ino = st->stx_ino;
  s->file_major = st->stx_dev_major;
  s->file_minor = st->stx_dev_minor;
}

static bool same_file(const struct fc_session *s, const struct statx *st) {
  return s->file_ino == st->stx_ino && s->file_major == st->stx_dev_major && s->file_minor == st->stx_dev_minor &&
         st->stx_nlink == 1;
}

static int stat_fd(int fd, struct statx *st) {
  const char nothing = '\0'; /* not a page with constants */
  return fc_sys_statx(fd, &nothing, AT_EMPTY_PATH, STATX_BASIC_STATS, st);
}

/* Size, key and id; the same for every place that is tried. */
static int fill_header(struct fc_session_header *h, const struct fc_config *config, const struct fc_base *base) {
  memset(h, 0, sizeof *h);
  uint64_t random[2];
  if (fc_sys_getrandom(random, sizeof random) != (long)sizeof random) return -EIO;
  uint64_t bytes = FC_JOURNAL_BYTES_MAX;
  const uint64_t limit = fc_sys_soft_limit(FC_RLIMIT_FSIZE); /* beyond it ftruncate would kill with SIGXFSZ */
  if (bytes > limit) bytes = limit;
  if (bytes < FC_FIRST_WINDOW_BYTES) return -EFBIG;
  memcpy(h->magic, FC_SESSION_MAGIC, sizeof h->magic);
  h->version = config->manager ? FC_SESSION_VERSION_MANAGER : FC_SESSION_VERSION;
  h->header_bytes = FC_HEADER_BYTES;
  h->cell_bytes = FC_CELL_BYTES;
  h->capacity = FC_JOURNAL_CELLS_MAX;
  while (FC_HEADER_BYTES + (uint64_t)h->capacity * FC_CELL_BYTES > bytes) h->capacity /= 2;
  h->key = random[0];
  h->uid = fc_sys_geteuid();
  h->leader_pid = (uint32_t)fc_sys_getpid();
  h->pid_space = fc_session_pid_space();
  (void)fc_session_boot_id(h->boot_id);
  h->created_s = fc_sys_realtime() / NS_PER_S;
  h->base_identity = base->identity;
  h->fs_type = base->fs_type;
  h->fs_id = base->fs_id;
  h->with_handle = base->with_handle;
  (void)snprintf(h->id, sizeof h->id, "%0*llx", FC_ID_HEX, (unsigned long long)random[1]);
  memcpy(h->base, base->real, sizeof h->base);
  if (strcmp(config->base, base->real) != 0) {
    /* The name that the user knows: programs will use it, tidied of "." and "//" as they would write it. */
    char alias[PATH_MAX];
    memcpy(alias, config->base, sizeof alias);
    alias[sizeof alias - 1] = '\0';
    const size_t len = fc_path_normalize(alias);
    if (len > 0 && len + 2 <= sizeof h->alias) {
      h->alias[0] = '/';
      memcpy(h->alias + 1, alias, len + 1);
      if (strcmp(h->alias, h->base) == 0) memset(h->alias, 0, sizeof h->alias);
    }
  }
  const char *name = fc_config_session_name(config);
  if (name) (void)snprintf(h->name, sizeof h->name, "%s", name);
  h->policy = config->policy;
  h->words.used_s = fc_session_now_s();
  h->words.state = FC_STATE_LIVE;
  h->words.owns_base = base->created;
  return 0;
}

static int write_all(int fd, const void *buf, size_t size) {
  const char *p = buf;
  for (size_t done = 0; done < size;) {
    const long n = fc_sys_pwrite(fd, p + done, size - done, (int64_t)done);
    if (n == -EINTR) continue;
    if (n <= 0) return n < 0 ? (int)n : -EIO;
    done += (size_t)n;
  }
  return 0;
}

/* One try in the open directory: make it invisibly, lock, self-test, publish. */
static int publish(struct fc_session *s, struct fc_session_header *h, int dirfd, const char *dir) {
  char hidden[64];
  char name[64];
  (void)snprintf(hidden, sizeof hidden, ".new-%s", h->id);
  (void)snprintf(name, sizeof name, FC_SESSION_PREFIX "%s", h->id);
  memset(h->path, 0, sizeof h->path);
  const int n = snprintf(h->path, sizeof h->path, "%s/%s", dir, name);
  if (n < 0 || (size_t)n >= sizeof h->path) return -ENAMETOOLONG;
  fill_text(h);
  int fd = fc_sys_openat(dirfd, hidden, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return fd;
  struct statx st;
  int rc = fc_sys_fchmod(fd, 0600); /* a umask of 0777 must not lock our own children out */
  if (rc == 0) rc = stat_fd(fd, &st);
  if (rc == 0) {
    h->file_ino = st.stx_ino;
    h->check = fc_session_check(h);
    rc = fc_sys_ftruncate(fd, (int64_t)FC_HEADER_BYTES + (int64_t)h->capacity * FC_CELL_BYTES);
  }
  if (rc == 0) rc = fc_sys_lock(fd, FC_F_OFD_SETLK, F_RDLCK, FC_BYTE_MEMBERS, NULL);
  if (rc == 0) rc = write_all(fd, h, sizeof *h);
  if (rc == 0) rc = map_lock(s, fd);
  (void)fc_sys_close(fd);
  fd = -1;
  if (rc == 0) {
    fd = fc_sys_openat(dirfd, hidden, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
    rc = fd < 0 ? fd : map_journal(s, fd, FC_HEADER_BYTES + (uint64_t)h->capacity * FC_CELL_BYTES);
    /* The self-test: on overlayfs the mapping pins another file, and the lock died with the close above. */
    if (rc == 0 && fc_session_probe(fd, FC_BYTE_MEMBERS) != F_RDLCK) rc = -EOPNOTSUPP;
    if (fd >= 0) (void)fc_sys_close(fd);
  }
  if (rc == 0) rc = fc_sys_renameat2(dirfd, hidden, dirfd, name, 0);
  if (rc == 0) {
    /* A session that has ended meanwhile may have removed the base that it had made, as long as it did not see us. */
    const int base = fc_base_reopen(h->base, &h->base_identity, h->fs_id, false);
    if (base >= 0) {
      (void)fc_sys_close(base);
    } else {
      (void)fc_sys_unlinkat(dirfd, name, 0);
      rc = -ESTALE;
    }
  }
  if (rc < 0) {
    (void)fc_sys_unlinkat(dirfd, hidden, 0);
    forget(s);
    return rc;
  }
  remember_file(s, &st);
  adopt_header(s);
  return 0;
}

uint32_t fc_session_now_s(void) { return (uint32_t)(fc_sys_boottime() / NS_PER_S); }

void fc_session_touch(struct fc_head_words *words) {
  __atomic_store_n(&words->used_s, fc_session_now_s(), __ATOMIC_RELAXED);
}

int fc_session_create(struct fc_session *s, const struct fc_config *config, const struct fc_base *base,
                      fc_session_finder find, char *const *envp, char *message, size_t message_size) {
  memset(s, 0, sizeof *s);
  void *scratch = fc_sys_mmap(NULL, FC_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int rc = fc_sys_is_error(scratch) ? (int)(intptr_t)scratch : 0;
  struct fc_session_header *const h = scratch;
  if (rc == 0) rc = fill_header(h, config, base);
  char place[PATH_MAX];
  char dir[PATH_MAX];
  int last = rc < 0 ? rc : -ENOENT;
  bool made = false;
  for (unsigned i = 0; rc == 0 && !made && fc_state_place(i, config, envp, place, sizeof place); i++) {
    if (!place[0]) continue;
    for (int attempt = 0; !made && attempt < PUBLISH_TRIES; attempt++) {
      const int dirfd = fc_state_open(place, &base->identity, true, dir, sizeof dir);
      last = dirfd;
      if (dirfd >= 0) {
        last = h->name[0] && find ? find(s, dirfd, h->name, h->base) : -ENOENT;
        if (last == -ENOENT) last = publish(s, h, dirfd, dir);
        (void)fc_sys_close(dirfd);
        made = last == 0;
      }
      if (last != -ENOENT) break;
    }
    if (last == -EBUSY) break;  /* a second session of the same name must not be made elsewhere */
    if (last == -ESTALE) break; /* the base is another directory now: the caller starts again */
  }
  if (!fc_sys_is_error(scratch)) (void)fc_sys_munmap(scratch, FC_HEADER_BYTES);
  if (made) return 0;
  if (last == -ESTALE) return -ESTALE;
  (void)snprintf(message, message_size,
                 "filecleanup: no usable state directory (last tried \"%s\": %s); set FILECLEANUP_STATE_DIR to a "
                 "directory of yours, mode 0700, on a local file system; nothing will be tracked or deleted",
                 place, strerror(-last));
  return last;
}

int fc_session_establish(struct fc_session *s, const struct fc_config *config, unsigned made_by_caller,
                         fc_session_finder find, char *const *envp, const char *tool_path, char *message,
                         size_t message_size) {
  static struct fc_base base; /* too large for a stack that may be small; called once, before there are threads */
  for (int i = 0; i < BASE_TRIES; i++) {
    if (fc_base_open(&base, config, envp, tool_path, message, message_size) != 0) return -1;
    if (made_by_caller) base.created = made_by_caller;
    const int rc = fc_session_create(s, config, &base, find, envp, message, message_size);
    (void)fc_sys_close(base.fd);
    if (rc == 0) return 0;
    fc_base_remove(base.real, base.created, INT64_MIN);
    if (rc != -ESTALE) return -1;
  }
  (void)snprintf(message, message_size,
                 "filecleanup: the base is replaced again and again; nothing will be tracked or deleted");
  return -1;
}

const char *fc_session_split(const char *path, char *dir, size_t size) {
  const char *slash = strrchr(path, '/');
  const size_t len = slash ? (size_t)(slash - path) : 0;
  if (len == 0 || len >= size) return NULL;
  memcpy(dir, path, len);
  dir[len] = '\0';
  return slash + 1;
}

int fc_session_map(int fd, const struct fc_session_header *h, struct fc_journal *journal) {
  char *first = fc_sys_mmap(NULL, FC_FIRST_WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (fc_sys_is_error(first)) return (int)(intptr_t)first;
  journal->first = first;
  journal->first_bytes = FC_FIRST_WINDOW_BYTES;
  journal->words = (struct fc_head_words *)(void *)(first + offsetof(struct fc_session_header, words));
  journal->key = h->key;
  journal->capacity = h->capacity;
  journal->limit = h->capacity / 8 * 5;
  journal->outside = true;
  return 0;
}

/* ---- tokens ---- */

static bool needs_escape(char c) { return c == ':' || c == '%' || c == ',' || c == '\n'; }

static size_t write_token(const char *id, uint32_t major, uint32_t minor, uint64_t ino, const char *path, char *out,
                          size_t size) {
  const int n =
      snprintf(out, size, "%s:%llx:%llx:", id, ((unsigned long long)major << 32) | minor, (unsigned long long)ino);
  if (n < 0 || (size_t)n >= size) return 0;
  size_t at = (size_t)n;
  for (const char *p = path; *p; p++) {
    if (at + 4 > size) return 0;
    if (needs_escape(*p)) {
      static const char digits[] = "0123456789abcdef";
      out[at++] = '%';
      out[at++] = digits[(unsigned char)*p >> 4];
      out[at++] = digits[(unsigned char)*p & 15];
    } else {
      out[at++] = *p;
    }
  }
  out[at] = '\0';
  return at;
}

size_t fc_session_token(const struct fc_session *s, char *out, size_t size) {
  return write_token(s->header->id, s->file_major, s->file_minor, s->file_ino, fc_session_path(s), out, size);
}

FC_EVERY_PROCESS static const char *hex_field(const char *p, const char *end, uint64_t *out) {
  *out = 0;
  while (p < end && *p != ':') {
    const int digit = hex_digit(*p++);
    if (digit < 0) return NULL;
    *out = *out << 4 | (uint64_t)digit;
  }
  return p < end ? p + 1 : NULL;
}

/* Reads device and inode out of a token. Returns where its path begins, or NULL. */
FC_EVERY_PROCESS static const char *parse_token(const char *token, size_t len, uint64_t *dev, uint64_t *ino) {
  const char *const end = token + len;
  uint64_t id;
  const char *p = hex_field(token, end, &id);
  if (p) p = hex_field(p, end, dev);
  if (p) p = hex_field(p, end, ino);
  return p;
}

static bool unescape_path(const char *p, const char *end, char *path, size_t size) {
  size_t at = 0;
  while (p < end) {
    if (at + 1 >= size) return false;
    if (*p == '%' && end - p >= 3 && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0) {
      path[at++] = (char)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
      p += 3;
    } else {
      path[at++] = *p++;
    }
  }
  path[at] = '\0';
  return path[0] == '/';
}

static int fd_start(void) {
  const uint64_t limit = fc_sys_soft_limit(FC_RLIMIT_NOFILE);
  const uint64_t low = limit > FD_HEADROOM ? limit - FD_HEADROOM : 0;
  return low >= FD_TARGET ? FD_TARGET : low > 3 ? (int)low : 3; /* never a standard stream */
}

/* Which of the FD_HEADROOM numbers from start are open, as bits, by one system call; all when the kernel does not say
 * (it refuses more numbers than the limit allows). */
FC_EVERY_PROCESS static unsigned open_numbers(int start) {
  struct pollfd fds[FD_HEADROOM];
  for (int i = 0; i < FD_HEADROOM; i++) fds[i] = (struct pollfd){.fd = start + i};
  if (fc_sys_poll_now(fds, FD_HEADROOM) < 0) return UINT_MAX;
  unsigned bits = 0;
  for (unsigned i = 0; i < FD_HEADROOM; i++)
    if (!(fds[i].revents & POLLNVAL)) bits |= 1u << i;
  return bits;
}

FC_EVERY_PROCESS static int inherited_from(const struct fc_session *s, int start, struct statx *st) {
  const unsigned numbers = open_numbers(start);
  int found = -1;
  for (int i = 0; i < FD_HEADROOM; i++) {
    struct statx here;
    if (!(numbers & 1u << i) || stat_fd(start + i, &here) != 0 || !same_file(s, &here)) continue;
    if (found >= 0) {
      (void)fc_sys_close(start + i); /* another thread's spawn happened to hand one over too */
      continue;
    }
    found = start + i;
    *st = here;
  }
  return found;
}

/* The inherited fd that is this very file, or -1. It stands where fc_session_locked_fd has put it. */
static int inherited_fd(const struct fc_session *s, struct statx *st) {
  const int found = inherited_from(s, FD_TARGET, st);
  if (found >= 0) return found;
  const int start = fd_start();
  return start == FD_TARGET ? -1 : inherited_from(s, start, st);
}

/* The id becomes part of names: digits, and the very ones of the file's own name. */
FC_EVERY_PROCESS static bool id_is_sound(const struct fc_session_header *h, const char *path) {
  for (unsigned i = 0; i < FC_ID_HEX; i++)
    if (hex_digit(h->id[i]) < 0) return false;
  if (h->id[FC_ID_HEX] != '\0') return false;
  const size_t prefix = sizeof FC_SESSION_PREFIX - 1;
  const char *slash = strrchr(path, '/');
  return slash && strlen(slash + 1) == prefix + FC_ID_HEX && memcmp(slash + 1, FC_SESSION_PREFIX, prefix) == 0 &&
         memcmp(slash + 1 + prefix, h->id, FC_ID_HEX) == 0;
}

static bool policy_is_sound(const struct fc_policy *p) {
  return p->on_exit <= FC_ON_EXIT_REPORT && p->scope <= FC_SCOPE_PROCESS && p->dirs <= FC_DIRS_RECURSIVE &&
         p->in_use <= FC_IN_USE_IGNORE && p->age_by <= FC_AGE_BY_MTIME && p->track <= FC_TRACK_ALL &&
         p->log_level <= FC_LOG_DEBUG && p->exit_budget_ns >= 0 && memchr(p->keep, 0, sizeof p->keep) &&
         memchr(p->log_file, 0, sizeof p->log_file) && memchr(p->stats_file, 0, sizeof p->stats_file);
}

/* What a joiner looks at, all in the first page when the text is there: the file is its user's own, or came through an
 * fd that was locked by a member. */
static bool page_fits(const struct fc_session_header *h, uint64_t file_ino) {
  return memcmp(h->magic, FC_SESSION_MAGIC, sizeof h->magic) == 0 &&
         (h->version == FC_SESSION_VERSION || fc_session_is_managed(h)) && h->header_bytes == FC_HEADER_BYTES &&
         h->cell_bytes == FC_CELL_BYTES && h->file_ino == file_ino && h->capacity >= FC_JOURNAL_CELLS_MIN &&
         h->capacity <= FC_JOURNAL_CELLS_MAX && (h->capacity & (h->capacity - 1)) == 0 &&
         memchr(h->name, 0, sizeof h->name);
}

FC_EVERY_PROCESS static bool text_fits(const struct fc_session_header *h) {
  if (text_bytes(h) > sizeof h->text) return false;
  const char *const alias = h->text + h->base_len + 1;
  const char *const path = alias + h->alias_len + 1;
  return h->text[0] == '/' && strnlen(h->text, h->base_len + 1u) == h->base_len &&
         strnlen(alias, h->alias_len + 1u) == h->alias_len && strnlen(path, h->path_len + 1u) == h->path_len &&
         id_is_sound(h, path);
}

static bool header_fits(const struct fc_session_header *h, uint64_t file_ino) {
  return page_fits(h, file_ino) && h->base[0] == '/' && memchr(h->base, 0, sizeof h->base) &&
         memchr(h->alias, 0, sizeof h->alias) && memchr(h->path, 0, sizeof h->path) && id_is_sound(h, h->path) &&
         policy_is_sound(&h->policy);
}

static bool joiner_fits(const struct fc_session_header *h, uint64_t file_ino) {
  return h->base_len ? page_fits(h, file_ino) && text_fits(h) : header_fits(h, file_ino);
}

/* Size and mode of a session file; whose it is. */
static bool is_session_file(const struct statx *st) {
  return (st->stx_mode & S_IFMT) == S_IFREG && (st->stx_mode & 07777) == 0600 && st->stx_size >= FC_FIRST_WINDOW_BYTES;
}

/* Opens the file by the name in its token and locks it. Apart from its caller for the sake of the stack, which most
 * joiners need not touch. */
static __attribute__((noinline)) int join_by_name(const struct fc_session *s, const char *escaped, const char *end,
                                                  struct statx *st) {
  char path[PATH_MAX];
  if (!unescape_path(escaped, end, path, sizeof path)) return -EINVAL;
  const int fd = fc_sys_openat(AT_FDCWD, path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
  if (fd < 0) return -ESTALE;
  int rc = stat_fd(fd, st);
  if (rc == 0 && (!same_file(s, st) || st->stx_uid != fc_sys_geteuid())) rc = -ESTALE;
  /* A reaper that found a living process without a lock lets go again at once; one that reaps does not. */
  for (int i = 0; rc == 0 && i < JOIN_TRIES; i++) {
    rc = fc_sys_lock(fd, FC_F_OFD_SETLK, F_RDLCK, FC_BYTE_MEMBERS, NULL);
    if (rc != -EAGAIN && rc != -EACCES) break;
    fc_sys_pause(JOIN_PAUSE_MS);
    if (i + 1 < JOIN_TRIES) rc = 0;
  }
  if (rc == 0) return fd;
  (void)fc_sys_close(fd);
  return rc;
}

/* One mapping of the locked open file is both: the journal, and what holds the lock. */
FC_EVERY_PROCESS static int map_member(struct fc_session *s, int fd, const struct statx *st) {
  if (!is_session_file(st)) return -ESTALE;
  const int rc = map_journal(s, fd, st->stx_size);
  if (rc < 0) return rc;
  s->lock_page = s->journal.first;
  s->journal_locks = true;
  return 0;
}

/* The first access to the header's page is a store, or the page would be mapped twice, the first time with its
 * neighbours: once to read, once to write. */
static void touch(const struct fc_session_header *h) {
  (void)__atomic_fetch_add((uint32_t *)&h->words.next, 0, __ATOMIC_RELAXED);
}

FC_EVERY_PROCESS int fc_session_join(struct fc_session *s, const char *token, size_t len, const char *program) {
  uint64_t dev;
  begin(s);
  const char *escaped = parse_token(token, len, &dev, &s->file_ino);
  if (!escaped) return -EINVAL;
  s->file_major = (uint32_t)(dev >> 32);
  s->file_minor = (uint32_t)dev;

  struct statx st;
  int fd = inherited_fd(s, &st);
  int rc = fd < 0 ? -ESTALE : map_member(s, fd, &st);
  if (rc < 0) {
    if (fd >= 0) (void)fc_sys_close(fd);
    fd = join_by_name(s, escaped, token + len, &st);
    rc = fd < 0 ? fd : map_member(s, fd, &st);
  }
  if (fd >= 0) (void)fc_sys_close(fd);
  if (rc == 0) touch(s->header);
  /* Only now, locked and mapped, does the state count: a reaper sets it under the exclusive lock before it deletes. */
  if (rc == 0 && !joiner_fits(s->header, s->file_ino)) rc = -ESTALE;
  if (rc == 0 && __atomic_load_n(&s->header->words.state, __ATOMIC_ACQUIRE) != FC_STATE_LIVE) rc = -ESTALE;
  if (rc < 0) {
    forget(s);
    return rc;
  }
  s->journal.capacity = s->header->capacity;
  fc_journal_reach(&s->journal, s->header->words.next);
  s->header = (const struct fc_session_header *)(void *)s->journal.first;
  s->lock_page = s->journal.first;
  adopt_header(s);
  if (s->header->name[0]) fc_session_touch(s->journal.words);
  const struct fc_record join = {.type = FC_REC_JOIN,
                                 .pid = (uint32_t)fc_sys_getpid(),
                                 .time_ns = fc_sys_getppid(),
                                 .path = {NULL, 0, program, program ? strlen(program) : 0}};
  (void)fc_journal_append(&s->journal, &join); /* without it the member counts as unseen, which is the safe reading */
  return 0;
}

int fc_session_join_file(struct fc_session *s, int fd, const struct fc_session_header *h, char *scratch,
                         const char *program) {
  struct statx st;
  const int rc = stat_fd(fd, &st);
  if (rc < 0) return rc;
  const size_t len =
      write_token(h->id, st.stx_dev_major, st.stx_dev_minor, st.stx_ino, h->path, scratch, FC_TOKEN_BYTES);
  return len ? fc_session_join(s, scratch, len, program) : -ENAMETOOLONG;
}

/* ---- handing over and leaving ---- */

FC_EVERY_PROCESS int fc_session_reopen(const struct fc_session *s) {
  const int fd =
      fc_sys_openat(AT_FDCWD, fc_session_path(s), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
  if (fd < 0) return fd;
  struct statx st;
  int rc = stat_fd(fd, &st);
  if (rc == 0 && !same_file(s, &st)) rc = -ESTALE;
  if (rc < 0) {
    (void)fc_sys_close(fd);
    return rc;
  }
  return fd;
}

FC_EVERY_PROCESS int fc_session_locked_fd(const struct fc_session *s) {
  const int fd = fc_session_reopen(s);
  if (fd < 0) return -1;
  int high = -1;
  if (fc_sys_lock(fd, FC_F_OFD_SETLK, F_RDLCK, FC_BYTE_MEMBERS, NULL) == 0) {
    int start = FD_TARGET;
    high = fc_sys_fcntl(fd, F_DUPFD, start); /* inheritable, and the lock belongs to the open file, not to the number */
    if (high == -EINVAL) {                   /* beyond the soft limit */
      start = fd_start();
      high = fc_sys_fcntl(fd, F_DUPFD, start);
    }
    if (high >= start + FD_HEADROOM) {
      (void)fc_sys_close(high);
      high = -1;
    }
  }
  (void)fc_sys_close(fd);
  return high < 0 ? -1 : high;
}

FC_EVERY_PROCESS int fc_session_hand_over(struct fc_session *s, uint32_t pid, int64_t *record) {
  const int fd = fc_session_locked_fd(s);
  touch(s->header); /* most often by the child of a fork, where nothing of the journal is mapped yet */
  fc_journal_ready(&s->journal);
  /* On a copy, since all it would remember goes with the exec: in a fork child each page stored to is a page copied. */
  struct fc_journal journal = s->journal;
  const struct fc_record exec = {.type = FC_REC_EXEC, .pid = pid, .time_ns = fc_sys_boottime()};
  *record = fc_journal_append(&journal, &exec);
  return fd;
}

void fc_session_exec_failed(struct fc_session *s, int fd, int64_t record) {
  if (fd >= 0) (void)fc_sys_close(fd);
  fc_journal_complete(&s->journal, record, FC_RESULT_FAILED, NULL);
}

void fc_session_spawned(struct fc_session *s, uint32_t child) {
  const struct fc_record exec = {
      .type = FC_REC_EXEC, .flags = FC_REC_SPAWNED, .pid = child, .time_ns = fc_sys_boottime()};
  (void)fc_journal_append(&s->journal, &exec); /* lost: the child is protected by its own lock once it has joined */
}

int64_t fc_session_starting(struct fc_session *s, uint32_t pid) {
  const struct fc_record exec = {.type = FC_REC_EXEC, .flags = FC_REC_STARTS, .pid = pid, .time_ns = fc_sys_boottime()};
  return fc_journal_append(&s->journal, &exec);
}

void fc_session_started(struct fc_session *s, int64_t record) {
  fc_journal_complete(&s->journal, record, FC_RESULT_DONE, NULL);
}

FC_EVERY_PROCESS void fc_session_unlock(struct fc_session *s) {
  if (s->lock_page && !s->journal_locks) (void)fc_sys_munmap(s->lock_page, LOCK_PAGE);
  s->lock_page = NULL;
}

FC_EVERY_PROCESS int fc_session_leave(struct fc_session *s) {
  const bool journal_locks = s->journal_locks;
  const int fd = fc_session_reopen(s);
  fc_session_unlock(s);
  if (fd < 0 || !journal_locks || fc_journal_remap(&s->journal, fd)) return fd;
  (void)fc_sys_close(fd);
  return -ENOMEM;
}

/* ---- looking at files of the state directory ---- */

enum fc_verdict fc_session_open_file(int dirfd, const char *name, int *out_fd, struct fc_session_header *h) {
  *out_fd = -1;
  /* O_NOATIME: to look leaves no trace. Refused for a file of another user's, which is foreign anyway. */
  const int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_NOATIME | O_CLOEXEC;
  const int fd = fc_sys_openat(dirfd, name, flags, 0);
  if (fd == -ENOENT) return FC_VERDICT_ABSENT;
  if (fd < 0) return FC_VERDICT_FOREIGN;
  struct statx st;
  enum fc_verdict verdict = FC_VERDICT_VALID;
  if (stat_fd(fd, &st) < 0 || (st.stx_mode & S_IFMT) != S_IFREG || st.stx_uid != fc_sys_geteuid() ||
      (st.stx_mode & 07777) != 0600 || st.stx_nlink > 1) {
    verdict = FC_VERDICT_FOREIGN;
  } else if (st.stx_nlink == 0) {
    verdict = FC_VERDICT_ABSENT;
  } else if (fc_sys_pread(fd, h, sizeof *h, 0) != (long)sizeof *h ||
             memcmp(h->magic, FC_SESSION_MAGIC, sizeof h->magic) != 0) {
    verdict = FC_VERDICT_CORRUPT;
  } else if (h->version != FC_SESSION_VERSION && !fc_session_is_managed(h)) {
    verdict = FC_VERDICT_FUTURE;
  } else if (!header_fits(h, st.stx_ino) || strcmp(h->id, name + sizeof FC_SESSION_PREFIX - 1) != 0 ||
             h->uid != st.stx_uid || h->check != fc_session_check(h) ||
             st.stx_size != FC_HEADER_BYTES + (uint64_t)h->capacity * FC_CELL_BYTES) {
    verdict = FC_VERDICT_CORRUPT;
  }
  if (verdict != FC_VERDICT_VALID) {
    (void)fc_sys_close(fd);
    return verdict;
  }
  *out_fd = fd;
  return FC_VERDICT_VALID;
}
