#include "state.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "sys.h"

static const char *variable(char *const *envp, const char *name) {
  const size_t len = strlen(name);
  for (char *const *e = envp; e && *e; e++)
    if (strncmp(*e, name, len) == 0 && (*e)[len] == '=') return *e + len + 1;
  return NULL;
}

static bool fits(int n, size_t size) { return n > 0 && (size_t)n < size; }

bool fc_state_place(unsigned index, const struct fc_config *config, char *const *envp, char *out, size_t size) {
  const unsigned uid = fc_sys_geteuid();
  out[0] = '\0';
  if (config->state_dir[0]) {
    if (index > 0) return false;
    if (!fits(snprintf(out, size, "%s", config->state_dir), size)) out[0] = '\0';
    return true;
  }
  int n = 0;
  switch (index) {
  case 0: {
    const char *xdg = variable(envp, "XDG_STATE_HOME");
    const char *home = variable(envp, "HOME");
    if (xdg && xdg[0] == '/')
      n = snprintf(out, size, "%s/filecleanup", xdg);
    else if (home && home[0] == '/')
      n = snprintf(out, size, "%s/.local/state/filecleanup", home);
    break;
  }
  case 1:
    n = snprintf(out, size, "/var/tmp/filecleanup-%u", uid);
    break;
  case 2:
    n = snprintf(out, size, "/dev/shm/filecleanup-%u", uid);
    break;
  default:
    return false;
  }
  if (!fits(n, size)) out[0] = '\0';
  return true;
}

/* Ours, and nobody else may write into it. */
static int check(int fd) {
  struct statx st;
  const int rc = fc_sys_statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st);
  if (rc < 0) return rc;
  if ((st.stx_mode & S_IFMT) != S_IFDIR || st.stx_uid != fc_sys_geteuid() || (st.stx_mode & 022)) return -EPERM;
  return 0;
}

static int open_directory(int dirfd, const char *path, bool make) {
  const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  int fd = fc_sys_openat(dirfd, path, flags, 0);
  if (fd == -ENOENT && make) {
    const int rc = fc_sys_mkdirat(dirfd, path, 0700);
    if (rc < 0 && rc != -EEXIST) return rc;
    fd = fc_sys_openat(dirfd, path, flags, 0);
  }
  if (fd < 0) return fd == -ELOOP || fd == -ENOTDIR ? -EPERM : fd;
  const int rc = check(fd);
  if (rc < 0) {
    (void)fc_sys_close(fd);
    return rc;
  }
  return fd;
}

int fc_state_open_directory(int dirfd, const char *name) { return open_directory(dirfd, name, false); }

/* The parents of a state directory below the home directory may be missing on a fresh account. */
static void make_parents(const char *path) {
  char work[PATH_MAX];
  const size_t len = strlen(path);
  if (len >= sizeof work) return;
  memcpy(work, path, len + 1);
  for (size_t i = 1; i < len; i++) {
    if (work[i] != '/') continue;
    work[i] = '\0';
    (void)fc_sys_mkdirat(AT_FDCWD, work, 0700); /* EEXIST is usual; any other failure shows when it is opened */
    work[i] = '/';
  }
}

void fc_state_leaf(const struct fc_identity *base, char *out, size_t size) {
  (void)snprintf(out, size, "%llx-%llx", ((unsigned long long)base->dev_major << 32) | base->dev_minor,
                 (unsigned long long)base->ino);
}

int fc_state_open(const char *place, const struct fc_identity *base, bool make, char *out, size_t size) {
  char leaf[64];
  fc_state_leaf(base, leaf, sizeof leaf);
  if (!fits(snprintf(out, size, "%s/%s", place, leaf), size)) return -ENAMETOOLONG;
  int top = open_directory(AT_FDCWD, place, make);
  if (top == -ENOENT && make) {
    make_parents(place);
    top = open_directory(AT_FDCWD, place, make);
  }
  if (top < 0) return top;
  const int fd = open_directory(top, leaf, make);
  (void)fc_sys_close(top);
  return fd;
}
