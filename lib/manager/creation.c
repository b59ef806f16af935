/* creation: a file or directory that is tracked before it is there, so that a kill in between leaves nothing. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "beneath.h"
#include "outside.h"
#include "tracking.h"

#define RANDOM_CHARACTERS 6
#define TRIES 100
#define FILE_MODE 0600
#define DIRECTORY_MODE 0700

/* dir, a slash, prefix, six random characters, suffix. 0; -ERANGE, -EIO. */
static int make_name(const char *dir, const char *prefix, const char *suffix, char *path, size_t size) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  unsigned char bytes[RANDOM_CHARACTERS];
  char random[RANDOM_CHARACTERS + 1];
  if (fc_sys_getrandom(bytes, sizeof bytes) != (long)sizeof bytes) return -EIO;
  for (size_t i = 0; i < RANDOM_CHARACTERS; i++) random[i] = letters[bytes[i] % (sizeof letters - 1)];
  random[RANDOM_CHARACTERS] = '\0';
  const size_t len = strlen(dir);
  const char *slash = len && dir[len - 1] == '/' ? "" : "/";
  const int n = snprintf(path, size, "%s%s%s%s%s", dir, slash, prefix ? prefix : "", random, suffix ? suffix : "");
  return n < 0 || (size_t)n >= size ? -ERANGE : 0;
}

/* Makes it and says what it is; a file stays open as *fd. */
static int make_object(fcm_manager *m, int dirfd, const char *leaf, bool is_dir, int *fd, struct fc_identity *now) {
  struct statx st;
  int rc = is_dir ? fc_sys_mkdirat(dirfd, leaf, DIRECTORY_MODE)
                  : fc_sys_openat(dirfd, leaf, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
  if (rc < 0) return rc;
  *fd = is_dir ? -1 : rc;
  rc = fc_identity_take(is_dir ? dirfd : *fd, is_dir ? leaf : "", m->header->with_handle != 0, now, &st);
  if (rc == 0 && !fc_identity_proves(now)) rc = -ENOTSUP;
  if (rc == 0) return 0;
  (void)fc_sys_unlinkat(dirfd, leaf, is_dir ? AT_REMOVEDIR : 0);
  if (*fd >= 0) (void)fc_sys_close(*fd);
  return rc;
}

static int make(fcm_manager *m, const char *path, bool is_dir, int *fd) {
  char rel[PATH_MAX];
  char dir[PATH_MAX];
  int rc = fc_tracking_relative(m, path, rel);
  if (rc < 0) return rc;
  char *slash = strrchr(rel, '/');
  int dirfd = m->base_fd;
  if (slash) {
    memcpy(dir, rel, (size_t)(slash - rel));
    dir[slash - rel] = '\0';
    dirfd = fc_beneath_open(m->base_fd, dir);
    if (dirfd < 0) return dirfd;
  }
  struct fc_identity now;
  struct fc_tracking what = {.rel = rel, .is_dir = is_dir, .tree = is_dir, .asked_ns = fc_entry_now()};
  fc_outside_lock(m, rel);
  /* A name that is tracked already is somebody else's. */
  rc = fc_entry_find(m, rel, NULL) ? -EEXIST : fc_tracking_add(m, &what);
  fc_outside_unlock(m);
  if (rc == 0) {
    rc = make_object(m, dirfd, slash ? slash + 1 : rel, is_dir, fd, &now);
    what.identity = rc == 0 ? &now : NULL;
    fc_outside_lock(m, rel);
    if (rc < 0)
      (void)fc_entry_drop(m, rel);
    else
      (void)fc_tracking_add(m, &what); /* no room: it stays expected, and is bound when it is seen */
    fc_outside_unlock(m);
  }
  if (slash) (void)fc_sys_close(dirfd);
  return rc;
}

static int make_new(fcm_manager *m, const char *dir, const char *prefix, const char *suffix, bool is_dir, char *path,
                    size_t size, int *fd) {
  if (!path || size == 0) return -EINVAL;
  if ((prefix && strchr(prefix, '/')) || (suffix && strchr(suffix, '/'))) return -EINVAL;
  int rc = -EEXIST;
  for (int i = 0; rc == -EEXIST && i < TRIES; i++) {
    rc = make_name(dir ? dir : m->real, prefix, suffix, path, size);
    if (rc == 0) rc = make(m, path, is_dir, fd);
  }
  if (rc < 0) {
    path[0] = '\0';
    fc_manager_tell(m);
  }
  return rc;
}

int fcm_make_file(fcm_manager *m, const char *dir, const char *prefix, const char *suffix, char *path, size_t size) {
  int fd = -1;
  if (!fc_manager_may(m)) return -1;
  const int rc = make_new(m, dir, prefix, suffix, false, path, size, &fd);
  return rc < 0 ? fc_manager_fail(-rc) : fd;
}

int fcm_make_directory(fcm_manager *m, const char *dir, const char *prefix, char *path, size_t size) {
  int fd;
  if (!fc_manager_may(m)) return -1;
  const int rc = make_new(m, dir, prefix, NULL, true, path, size, &fd);
  return rc < 0 ? fc_manager_fail(-rc) : 0;
}
