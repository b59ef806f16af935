#include "target.h"

#include <string.h>

#include "placement.h"

#define SLOTS 32 /* threads (and handlers on top of them) that are inside a hook with a relative name at one moment */

static char slots[SLOTS][PATH_MAX];
FC_START static uint32_t slot_busy[SLOTS];

/* The working directory, guarded by a sequence number: odd = being written. Readers copy and look again. */
static struct {
  uint32_t sequence;
  uint32_t epoch; /* the epoch it was read in */
  uint32_t len;   /* 0 = empty */
  char path[PATH_MAX];
} cwd;
FC_START static uint32_t epoch = 1;
FC_START static uint32_t unknown; /* the cache is never used again */
FC_START static uint32_t other_root;

static int slot_take(void) {
  for (int i = 0; i < SLOTS; i++) {
    uint32_t idle = 0;
    if (__atomic_load_n(&slot_busy[i], __ATOMIC_RELAXED) == 0 &&
        __atomic_compare_exchange_n(&slot_busy[i], &idle, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
      return i;
  }
  return -1;
}

static void slot_give(int slot) {
  if (slot >= 0) __atomic_store_n(&slot_busy[slot], 0, __ATOMIC_RELEASE);
}

void fc_target_forked(void) {
  for (int i = 0; i < SLOTS; i++)
    if (__atomic_load_n(&slot_busy[i], __ATOMIC_RELAXED)) slot_give(i); /* a store would copy the page */
}

void fc_target_cwd_unknown(void) { __atomic_store_n(&unknown, 1, __ATOMIC_RELEASE); }

void fc_target_cwd_changed(void) { __atomic_fetch_add(&epoch, 1, __ATOMIC_ACQ_REL); }

void fc_target_root_changed(void) {
  fc_target_cwd_unknown();
  __atomic_store_n(&other_root, 1, __ATOMIC_RELEASE);
}

/* Copies the cached working directory. Returns its length, 0 when there is none. */
static size_t cwd_cached(char *out) {
  if (__atomic_load_n(&unknown, __ATOMIC_ACQUIRE)) return 0;
  const uint32_t before = __atomic_load_n(&cwd.sequence, __ATOMIC_ACQUIRE);
  if ((before & 1u) || cwd.len == 0 || cwd.len >= PATH_MAX || cwd.epoch != __atomic_load_n(&epoch, __ATOMIC_ACQUIRE))
    return 0;
  const size_t len = cwd.len;
  memcpy(out, cwd.path, len);
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  return __atomic_load_n(&cwd.sequence, __ATOMIC_RELAXED) == before ? len : 0;
}

/* Offers path for the cache. Somebody else writing, or we interrupted ourselves: then not. Nor in a vfork child, which
 * may stand elsewhere than its parent, whose memory it uses; asked here and not at each chdir, which then costs
 * nothing. */
static void cwd_store(const char *path, size_t len, uint32_t of_epoch) {
  if (!fc_member_owns_memory()) return;
  uint32_t even = __atomic_load_n(&cwd.sequence, __ATOMIC_RELAXED) & ~1u;
  if (!__atomic_compare_exchange_n(&cwd.sequence, &even, even + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return;
  __atomic_thread_fence(__ATOMIC_RELEASE); /* the odd number before the bytes */
  memcpy(cwd.path, path, len);
  cwd.len = (uint32_t)len;
  cwd.epoch = of_epoch;
  __atomic_store_n(&cwd.sequence, even + 2, __ATOMIC_RELEASE);
}

/* From a directory that has been removed one still comes to the one above it. */
static bool climbs(const char *path) {
  while (path[0] == '.' && path[1] == '/')
    for (path++; *path == '/'; path++) continue;
  return path[0] == '.' && path[1] == '.' && (path[2] == '/' || path[2] == '\0');
}

/* Both return the length, 0 when the name cannot be beneath a base, or -1 when that cannot be told. */
static long cwd_into(char *out, const char *path) {
  const size_t cached = cwd_cached(out);
  if (cached) return (long)cached;
  FC_ASKING;
  if (fc_is_filtered()) return -1;
  const uint32_t now = __atomic_load_n(&epoch, __ATOMIC_ACQUIRE);
  const long n = fc_sys_getcwd(out, PATH_MAX); /* counts the NUL */
  if (n == -ENOENT && !climbs(path)) return 0; /* the directory has been removed: nothing can be made in it */
  if (n < 0) return -1;
  if (n <= 1 || out[0] != '/') return 0; /* "(unreachable)" */
  if (!__atomic_load_n(&unknown, __ATOMIC_ACQUIRE)) cwd_store(out, (size_t)n - 1, now);
  return n - 1;
}

void fc_target_cwd_look(void) {
  const int slot = slot_take();
  if (slot >= 0) (void)cwd_into(slots[slot], "");
  slot_give(slot);
}

/* Functions that hold a struct statx stand apart, so that a hook which does not need one does not pay for it with 256
 * bytes of what may be a small stack. */
#define APART __attribute__((noinline))

APART bool fc_target_may_be_inside(int fd) {
  struct statx st;
  const int rc = fc_sys_statx(fd, "", AT_EMPTY_PATH, STATX_INO, &st);
  if (rc < 0) return rc != -EBADF;
  for (unsigned i = 0; i < fc_member.count; i++) {
    const struct fc_identity *base = &fc_member.sessions[i].header->base_identity;
    if (base->dev_major == st.stx_dev_major && base->dev_minor == st.stx_dev_minor) return true;
  }
  return false;
}

/* readlink of /proc/self/fd/N. Returns its length or -errno. */
static long link_into(int dirfd, char *out) {
  char link[32] = "/proc/self/fd/";
  char digits[12];
  size_t n = 0;
  for (unsigned rest = (unsigned)dirfd; n == 0 || rest; rest /= 10) digits[n++] = (char)('0' + rest % 10);
  size_t at = strlen(link);
  while (n > 0) link[at++] = digits[--n];
  link[at] = '\0';
  return fc_sys_readlinkat(AT_FDCWD, link, out, PATH_MAX);
}

static long dirfd_into(int dirfd, char *out) {
  if (dirfd < 0) return 0;
  FC_ASKING;
  if (fc_is_filtered()) return -1;
  const long len = link_into(dirfd, out);
  if (len <= 0 || len >= PATH_MAX) return fc_target_may_be_inside(dirfd) ? -1 : 0;
  return out[0] == '/' ? len : 0;
}

const char *fc_target_name_of(int fd, int *slot) {
  *slot = fc_is_filtered() ? -1 : slot_take();
  if (*slot < 0) return NULL;
  const long len = fd < 0 ? -EBADF : link_into(fd, slots[*slot]);
  if (len > 0 && len < PATH_MAX && slots[*slot][0] == '/') {
    slots[*slot][len] = '\0';
    return slots[*slot];
  }
  slot_give(*slot);
  *slot = -1;
  return NULL;
}

void fc_target_give_name(int slot) { slot_give(slot); }

void fc_target_close(struct fc_target *target) {
  slot_give(target->slot);
  target->slot = -1;
}

int fc_target_innermost(const struct fc_target *target) { return target->inside ? __builtin_ctz(target->inside) : -1; }

/* NULL, a small number and the kernel's half of the address space: EFAULT is the kernel's to say. Other bad pointers
 * are not asked about, since that would cost a system call each time. */
static bool is_readable(const char *path) {
#if defined(__LP64__)
  if ((intptr_t)path < 0) return false;
#endif
  return (uintptr_t)path >= 4096;
}

static bool classify(struct fc_target *target) {
  const struct fc_name *const name = &target->name;
  for (unsigned i = 0; i < fc_member.count; i++) {
    const struct fc_session *s = &fc_member.sessions[i];
    struct fc_name relative;
    if (s->base_len == 0) continue;
    if (fc_path_beneath(fc_session_base(s), s->base_len, name, &relative) ||
        (s->alias_len && fc_path_beneath(fc_session_alias(s), s->alias_len, name, &relative))) {
      target->inside |= 1u << i;
      target->below[i] = (uint16_t)(relative.head_len ? (size_t)(relative.head - name->head)
                                                      : name->head_len + (size_t)(relative.tail - name->tail));
    }
  }
  return target->inside != 0;
}

struct fc_name fc_target_relative(const struct fc_target *target, unsigned i) {
  struct fc_name name = target->name;
  const size_t below = target->below[i];
  const size_t in_head = below < name.head_len ? below : name.head_len;
  name.head += in_head;
  name.head_len -= in_head;
  name.tail += below - in_head;
  name.tail_len -= below - in_head;
  return name;
}

static const char *after(const char *path, const char *prefix) {
  const size_t len = strlen(prefix);
  return strncmp(path, prefix, len) == 0 ? path + len : NULL;
}

/* What stands behind the number that path begins with and a slash; NULL when it does not begin so. */
static const char *after_number(const char *path, uint32_t *number) {
  const char *p = path;
  for (*number = 0; *p >= '0' && *p <= '9' && *number < INT32_MAX / 10; p++)
    *number = *number * 10 + (uint32_t)(*p - '0');
  return p > path ? after(p, "/") : NULL;
}

/* A name that begins with a descriptor or the working directory, as /proc writes them, is relative to that. The link
 * alone, with nothing behind it, stays what it is. */
static void through_proc(int *dirfd, const char **path) {
  uint32_t number;
  const char *p = after(*path, "/proc/");
  if (p) {
    const char *own = after(p, "self/");
    if (!own) own = after(p, "thread-self/");
    if (!own) {
      own = after_number(p, &number);
      if (own && number != fc_member_pid()) return;
    }
    if (!own) return;
    p = after(own, "fd/");
    if (!p && (p = after(own, "cwd/")) != NULL) {
      number = (uint32_t)AT_FDCWD;
    } else if (p) {
      p = after_number(p, &number);
    }
  } else {
    p = after(*path, "/dev/fd/");
    if (p) p = after_number(p, &number);
  }
  while (p && *p == '/') p++;
  if (!p || !*p) return;
  *dirfd = (int)number;
  *path = p;
}

bool fc_target_open(struct fc_target *target, int dirfd, const char *path) {
  target->slot = -1;
  target->inside = 0;
  target->lost = target->denied = false;
  target->file = NULL;
  if (!is_readable(path) || !path[0]) return false;
  if (path[0] == '/' && (path[1] == 'p' || path[1] == 'd')) through_proc(&dirfd, &path);
  target->name = (struct fc_name){NULL, 0, path, strnlen(path, PATH_MAX)};
  if (target->name.tail_len >= PATH_MAX) return false; /* ENAMETOOLONG */
  if (path[0] == '/') {
    if (__atomic_load_n(&other_root, __ATOMIC_RELAXED)) return false;
  } else {
    target->slot = slot_take();
    if (target->slot < 0) {
      target->lost = true;
      return false;
    }
    char *const head = slots[target->slot];
    const long len = dirfd == AT_FDCWD ? cwd_into(head, path) : dirfd_into(dirfd, head);
    if (len <= 0) {
      fc_target_close(target);
      target->lost = len < 0;
      return false;
    }
    target->name.head = head;
    target->name.head_len = (size_t)len;
  }
  if (classify(target)) return true;
  fc_target_close(target);
  return false;
}

/* Directories that have been found to lie outside every base, by the hash of how they were written. */
#define ELSEWHERE 64
static uint64_t elsewhere[ELSEWHERE];

static size_t directory_part(const char *path) {
  size_t len = strnlen(path, PATH_MAX);
  while (len > 1 && path[len - 1] == '/') len--;
  while (len > 0 && path[len - 1] != '/') len--;
  return len;
}

/* The name of what was opened as fd only for this; or fd is -errno. Lost, unless the host's call will fail as well. */
static long opened_into(struct fc_target *target, int fd, char *out) {
  if (fd < 0) {
    target->lost =
        fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP && fd != -EACCES && fd != -ENAMETOOLONG && fd != -EBADF;
    target->denied = fd == -EACCES;
    return fd;
  }
  const long len = link_into(fd, out);
  if (len <= 0) target->lost = fc_target_may_be_inside(fd);
  (void)fc_sys_close(fd);
  return len;
}

/* Asks for the real name of the directory. */
static APART bool find_real(struct fc_target *target, int dirfd, const char *path) {
  const size_t len = directory_part(path);
  if (len == 0 || len >= PATH_MAX) return false; /* in the working directory or a dirfd, whose names are the kernel's */
  /* Only a directory that is written as the kernel writes it is remembered: a link, /proc/self/fd/N and the working
   * directory may lead somewhere else the next time. */
  size_t plain_len = len;
  while (plain_len > 1 && path[plain_len - 1] == '/') plain_len--;
  const struct fc_name directory = {NULL, 0, path, plain_len};
  const uint64_t hash = fc_path_hash(&directory);
  uint64_t *const place = &elsewhere[hash % ELSEWHERE];
  if (path[0] == '/' && __atomic_load_n(place, __ATOMIC_RELAXED) == hash) return false;
  target->slot = fc_is_filtered() ? -1 : slot_take();
  if (target->slot < 0) {
    target->lost = true;
    return false;
  }
  char *const text = slots[target->slot];
  memcpy(text, path, len);
  text[len] = '\0';
  const int fd = fc_sys_openat(dirfd, text, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
  const long real_len = opened_into(target, fd, text);
  if (real_len > 0 && real_len < PATH_MAX && text[0] == '/') {
    const char *leaf = path + len;
    target->name = (struct fc_name){text, (size_t)real_len, leaf, strnlen(leaf, PATH_MAX)};
    if (classify(target)) return true;
    if ((size_t)real_len == plain_len && memcmp(text, path, plain_len) == 0)
      __atomic_store_n(place, hash, __ATOMIC_RELAXED);
  }
  fc_target_close(target);
  return false;
}

bool fc_target_open_real(struct fc_target *target, int dirfd, const char *path) {
  if (fc_target_open(target, dirfd, path)) return true;
  if (target->lost || !is_readable(path) || !path[0]) return false;
  return find_real(target, dirfd, path);
}

static bool names_an_open_file(const char *path) {
  return path[0] == '/' &&
         (strncmp(path, "/proc/", 6) == 0 || strncmp(path, "/dev/fd/", 8) == 0 || strncmp(path, "/dev/std", 8) == 0);
}

static APART bool find_open_file(struct fc_target *target, const char *path) {
  target->slot = fc_is_filtered() ? -1 : slot_take();
  const int fd = target->slot < 0 ? -EMFILE : fc_sys_openat(AT_FDCWD, path, O_PATH | O_CLOEXEC, 0);
  char *const text = slots[target->slot < 0 ? 0 : target->slot];
  const long len = opened_into(target, fd, text);
  if (len > 0 && len < PATH_MAX && text[0] == '/') {
    target->name = (struct fc_name){NULL, 0, text, (size_t)len};
    text[len] = '\0';
    target->file = text;
    if (classify(target)) return true;
  }
  fc_target_close(target);
  return false;
}

bool fc_target_open_emptied(struct fc_target *target, int dirfd, const char *path) {
  if (fc_target_open_real(target, dirfd, path)) return true;
  if (target->lost || !is_readable(path) || !names_an_open_file(path)) return false;
  return find_open_file(target, path);
}

/* The directory part of path, as an argument for statx. */
static APART void parent_inode(int dirfd, const char *path, struct fc_object *out) {
  struct statx st;
  const size_t len = directory_part(path);
  int rc = -ENOENT;
  if (len == 0) {
    rc = dirfd == AT_FDCWD ? fc_sys_statx(AT_FDCWD, ".", 0, STATX_INO, &st)
                           : fc_sys_statx(dirfd, "", AT_EMPTY_PATH, STATX_INO, &st);
  } else {
    const int slot = slot_take();
    if (slot >= 0 && len < PATH_MAX) {
      memcpy(slots[slot], path, len);
      slots[slot][len] = '\0';
      rc = fc_sys_statx(dirfd, slots[slot], 0, STATX_INO, &st);
    }
    slot_give(slot);
  }
  if (rc < 0) return;
  out->parent_ino = st.stx_ino;
  out->parent_major = st.stx_dev_major;
  out->parent_minor = st.stx_dev_minor;
}

static APART int object_itself(int dirfd, const char *path, bool follow, struct fc_object *out) {
  struct statx st;
  /* A trailing slash makes the kernel follow a link; the call itself will see to it. */
  int rc = fc_identity_take_first(dirfd, path, &out->identity, &st);
  if (rc == 0 && follow && (st.stx_mode & S_IFMT) == S_IFLNK) {
    memset(&out->identity, 0, sizeof out->identity); /* what is behind a link is never proven to be ours */
    rc = fc_sys_statx(dirfd, path, 0, FC_IDENTITY_MASK, &st);
  }
  if (rc < 0) return rc;
  out->mode = st.stx_mode;
  out->has_data = (st.stx_mode & S_IFMT) == S_IFREG && st.stx_size > 0;
  return 0;
}

int fc_target_object(int dirfd, const char *path, bool follow, bool with_parent, bool with_handle,
                     struct fc_object *out) {
  memset(out, 0, sizeof *out);
  if (fc_is_filtered()) return -EPERM;
  const int rc = object_itself(dirfd, path, follow, out);
  if (rc < 0) return rc;
  if (with_handle && out->identity.ino) out->identity.handle = fc_identity_handle(dirfd, path);
  if (with_parent) parent_inode(dirfd, path, out);
  return 0;
}
