/* config_check: which directories may be a base. See fc_config_check_base in config.h.
 *
 * Directories are compared by device and inode, since one directory has many names: links, bind mounts, "..". Only raw
 * system calls: the open() that libc would give us here may be the shim's own.
 */
#include <errno.h>
#include <string.h>

#include "config.h"
#include "message.h"
#include "sys.h"

/* What tells one directory from all others, however it was reached. */
struct place {
  uint64_t ino;
  uint32_t dev_major;
  uint32_t dev_minor;
};

static bool place_equal(const struct place *a, const struct place *b) {
  return a->ino == b->ino && a->dev_major == b->dev_major && a->dev_minor == b->dev_minor;
}

/* Returns 0 or -errno. */
static int place_of(int dirfd, const char *path, int flags, struct place *out) {
  struct statx stx;
  int rc = fc_sys_statx(dirfd, path, flags, STATX_TYPE | STATX_INO, &stx);
  if (rc == 0)
    *out = (struct place){.ino = stx.stx_ino, .dev_major = stx.stx_dev_major, .dev_minor = stx.stx_dev_minor};
  return rc;
}

/* Is the directory `start` the place, or below it? Walks upwards by names ("start", "start/..", ...), so that no fd is
 * needed. Returns 1, 0, or -errno when a step could not be made. */
static int place_is_at_or_above(const struct place *place, const char *start) {
  char path[PATH_MAX];
  size_t length = strlen(start);
  struct place here;
  struct place below = {0};
  if (length >= sizeof path) return -ENAMETOOLONG;
  memcpy(path, start, length + 1);
  for (bool first = true;; first = false) {
    int rc = place_of(AT_FDCWD, path, 0, &here);
    if (rc != 0) return rc;
    if (place_equal(&here, place)) return 1;
    if (!first && place_equal(&here, &below)) return 0; /* ".." of the root is the root */
    below = here;
    if (length + sizeof "/.." > sizeof path) return -ENAMETOOLONG;
    memcpy(path + length, "/..", sizeof "/..");
    length += sizeof "/.." - 1;
  }
}

static bool name_is_at_or_below(const char *name, const char *directory) {
  size_t length = strlen(directory);
  return strncmp(name, directory, length) == 0 && (name[length] == '\0' || name[length] == '/');
}

/* Whether a working directory that cannot be walked up from (no search permission on the way) is in the base: the
 * kernel still knows its name. Deleted or unreachable: it is in nobody's base. */
static bool cwd_name_is_in(const char *real) {
  char cwd[PATH_MAX];
  return fc_sys_getcwd(cwd, sizeof cwd) > 0 && name_is_at_or_below(cwd, real);
}

/* Cuts the last component off a path, leaving a name that is followed by ".." or looked up as it is. */
static void cut_last_component(char *path) {
  char *slash = strrchr(path, '/');
  if (slash == NULL)
    memcpy(path, ".", sizeof ".");
  else if (slash == path)
    path[1] = '\0';
  else
    *slash = '\0';
}

#define LINKS_MAX 40 /* as the kernel's own limit in one look-up */

/* Is the tool's file below the place? Asks for every link on the way to it too: each of them is needed to start it. */
static int tool_is_below(const struct place *place, const char *tool_path) {
  char file[PATH_MAX];
  char scratch[PATH_MAX];
  size_t length = strlen(tool_path);
  if (length >= sizeof file) return -ENAMETOOLONG;
  memcpy(file, tool_path, length + 1);
  for (int links = 0; links < LINKS_MAX; links++) {
    memcpy(scratch, file, strlen(file) + 1);
    cut_last_component(scratch);
    int rc = place_is_at_or_above(place, scratch);
    if (rc != 0) return rc;
    long got = fc_sys_readlinkat(AT_FDCWD, file, scratch, sizeof scratch - 1);
    if (got == -EINVAL) return 0; /* not a link: the file itself */
    if (got <= 0) return got == 0 ? -ENOENT : (int)got;
    scratch[got] = '\0';
    size_t at = 0;
    if (scratch[0] != '/') {
      cut_last_component(file);
      at = strlen(file);
      if (at + 1 + (size_t)got >= sizeof file) return -ENAMETOOLONG;
      file[at++] = '/';
    }
    memcpy(file + at, scratch, (size_t)got + 1);
  }
  return -ELOOP;
}

static const char *environment_value(char *const *envp, const char *name) {
  size_t length = strlen(name);
  for (; envp != NULL && *envp != NULL; envp++) {
    if (strncmp(*envp, name, length) == 0 && (*envp)[length] == '=') return *envp + length + 1;
  }
  return NULL;
}

/* DESIGN 3's list, and what has the same standing. Compared by name and by place: /bin is often a link to /usr/bin. */
static bool is_system_directory(const struct place *base, const char *real) {
  static const char directories[][8] = {"/etc",    "/usr", "/var",  "/bin", "/sbin", "/lib",  "/lib32", "/lib64",
                                        "/libx32", "/dev", "/proc", "/sys", "/boot", "/root", "/home"};
  for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
    struct place place;
    if (strcmp(real, directories[i]) == 0) return true;
    if (place_of(AT_FDCWD, directories[i], 0, &place) == 0 && place_equal(&place, base)) return true;
  }
  /* lib*: whatever else a machine calls its libraries */
  return strncmp(real, "/lib", 4) == 0 && strchr(real + 1, '/') == NULL;
}

#define TRUST_HINT ", or set FILECLEANUP_TRUST_BASE=1 if this is meant"

/* What not even FILECLEANUP_TRUST_BASE=1 allows. Returns NULL or the reason. */
static const char *always_refused(int base_fd, const struct place *base, const char *real, const char *home) {
  struct statx stx;
  struct place place;
  if (fc_sys_statx(base_fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MODE, &stx) != 0)
    return "cannot be examined; use a directory of its own, like /tmp/scratch";
  if ((stx.stx_mode & S_IFMT) != S_IFDIR) return "not a directory; use a directory of its own, like /tmp/scratch";
  if (strcmp(real, "/") == 0 || (place_of(AT_FDCWD, "/", 0, &place) == 0 && place_equal(&place, base)))
    return "the root directory can never be the base; use a directory of its own, like /tmp/scratch";
  if (home != NULL &&
      (strcmp(real, home) == 0 || (place_of(AT_FDCWD, home, 0, &place) == 0 && place_equal(&place, base))))
    return "the home directory can never be the base; use a directory of its own below it, like ~/.cache/scratch";
  if (is_system_directory(base, real))
    return "a system directory can never be the base; use a directory of its own, like /tmp/scratch";
  if ((stx.stx_mode & S_IWOTH) != 0 && (stx.stx_mode & S_ISVTX) == 0)
    return "everybody may write there and it has no sticky bit; chmod o-w or +t it, or use a directory of its own";
  return NULL;
}

static const char *version_control_at_top(int base_fd) {
  static const char names[][8] = {".git", ".hg", ".svn", ".bzr", "_darcs", "CVS", ".jj"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    struct place place;
    int rc = place_of(base_fd, names[i], AT_SYMLINK_NOFOLLOW, &place);
    if (rc == 0)
      return "it is under version control (.git, .hg, .svn, .bzr, _darcs, CVS or .jj at its top); use a directory of"
             " its own below it" TRUST_HINT;
    if (rc != -ENOENT) return "cannot be searched; use a directory of its own, like /tmp/scratch" TRUST_HINT;
  }
  return NULL;
}

/* What 4.2 refuses and FILECLEANUP_TRUST_BASE=1 allows. Returns NULL or the reason. */
static const char *refused_without_trust(int base_fd, const struct place *base, const char *real, const char *home,
                                         const char *tool_path) {
  struct place parent;
  struct place homes;
  int inside = place_is_at_or_above(base, ".");
  if (inside > 0 || (inside < 0 && cwd_name_is_in(real)))
    return "it is or contains the working directory; use a directory of its own, like ./temp" TRUST_HINT;
  /* A home that does not exist, or that we may not enter, is nobody's loss. */
  if (home != NULL && (place_is_at_or_above(base, home) > 0 || name_is_at_or_below(home, real)))
    return "it contains the home directory; use a directory of its own, like /tmp/scratch" TRUST_HINT;
  if (place_of(base_fd, "..", 0, &parent) == 0 && place_of(AT_FDCWD, "/home", 0, &homes) == 0 &&
      place_equal(&parent, &homes))
    return "it is a home directory; use a directory of its own below it" TRUST_HINT;
  const char *reason = version_control_at_top(base_fd);
  if (reason != NULL) return reason;
  if (tool_path != NULL && tool_is_below(base, tool_path) > 0)
    return "it contains filecleanup itself; use a directory of its own, like /tmp/scratch" TRUST_HINT;
  return NULL;
}

int fc_config_check_base(const struct fc_config *config, int base_fd, const char *real, char *const *envp,
                         const char *tool_path, char *message, size_t message_size) {
  const char *home = environment_value(envp, "HOME");
  struct place base;
  (void)fc_message_start(message, message_size);   /* an empty message, should all be well */
  if (home != NULL && home[0] != '/') home = NULL; /* relative to nothing that we know */
  const char *reason;
  if (place_of(base_fd, "", AT_EMPTY_PATH, &base) != 0)
    reason = "cannot be examined; use a directory of its own, like /tmp/scratch";
  else
    reason = always_refused(base_fd, &base, real, home);
  if (reason == NULL && !config->policy.trust_base)
    reason = refused_without_trust(base_fd, &base, real, home, tool_path);
  return reason == NULL ? 0 : fc_message_refuse(message, message_size, "FILECLEANUP_BASE_DIR", real, reason);
}
