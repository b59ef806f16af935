/* persist: a tracked file leaves the manager's hands for a permanent place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "announce.h"
#include "beneath.h"
#include "cleaning.h"
#include "tracking.h"

#define COPY_BYTES (64 * 1024)
#define TRIES 100
#define PERMISSIONS 07777

/* Everything that is left of the file at fd `from` goes to `to`. */
static int copy_data(int from, int to) {
  char *buffer = malloc(COPY_BYTES);
  int rc = buffer ? 0 : -ENOMEM;
  while (rc == 0) {
    const long n = fc_sys_read(from, buffer, COPY_BYTES);
    if (n == 0) break;
    if (n < 0) rc = n == -EINTR ? 0 : (int)n;
    for (long done = 0; rc == 0 && done < n;) {
      const long w = fc_sys_write(to, buffer + done, (size_t)(n - done));
      if (w < 0 && w != -EINTR) rc = (int)w;
      if (w > 0) done += w;
    }
  }
  free(buffer);
  return rc;
}

static int sync_fd(int fd) { return (int)FC_SYS1(SYS_fsync, fd); }

/* A file beside `to` with a name of its own. Returns an fd or -errno; temp (PATH_MAX bytes) gets its path. */
static int open_beside(const char *to, char *temp) {
  const char *slash = strrchr(to, '/');
  const int dir_len = slash ? (int)(slash - to + 1) : 0;
  for (int i = 0; i < TRIES; i++) {
    uint32_t random;
    if (fc_sys_getrandom(&random, sizeof random) != (long)sizeof random) return -EIO;
    const int n = snprintf(temp, PATH_MAX, "%.*s.fcm-%08x", dir_len, to, random);
    if (n < 0 || n >= PATH_MAX) return -ENAMETOOLONG;
    const int fd = fc_sys_openat(AT_FDCWD, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd != -EEXIST) return fd;
  }
  return -EEXIST;
}

static int sync_directory_of(const char *to) {
  char dir[PATH_MAX];
  const char *slash = strrchr(to, '/');
  const int len = slash ? (int)(slash - to) : 0;
  (void)snprintf(dir, sizeof dir, "%.*s", len, to);
  const int fd = fc_sys_openat(AT_FDCWD, !slash ? "." : len ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) return fd;
  const int rc = sync_fd(fd);
  (void)fc_sys_close(fd);
  return rc == -EINVAL ? 0 : rc; /* a file system that cannot sync directories */
}

static struct timespec timespec_of(const struct statx_timestamp *t) {
  return (struct timespec){.tv_sec = (time_t)t->tv_sec, .tv_nsec = (long)t->tv_nsec};
}

/* Copies the file open as fd; what was at `to` is replaced in one step. */
static int copy_to(int fd, const struct statx *st, const char *to) {
  char temp[PATH_MAX];
  const struct timespec times[2] = {timespec_of(&st->stx_atime), timespec_of(&st->stx_mtime)};
  const int out = open_beside(to, temp);
  if (out < 0) return out;
  int rc = copy_data(fd, out);
  if (rc == 0) rc = fc_sys_fchmod(out, st->stx_mode & PERMISSIONS);
  if (rc == 0 && futimens(out, times) < 0) rc = -errno;
  if (rc == 0) rc = sync_fd(out);
  (void)fc_sys_close(out);
  if (rc == 0) rc = fc_sys_renameat2(AT_FDCWD, temp, AT_FDCWD, to, 0);
  if (rc < 0)
    (void)fc_sys_unlinkat(AT_FDCWD, temp, 0);
  else
    rc = sync_directory_of(to);
  return rc;
}

static void announce(int dirfd, const char *leaf, const char *to) {
  struct statx st;
  if (!filecleanup_removing) return;
  filecleanup_removing(dirfd, leaf);
  if (fc_sys_statx(AT_FDCWD, to, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st) == 0) filecleanup_removing(AT_FDCWD, to);
}

/* The object at leaf of dirfd, which is the one that is meant. */
static int move_out(fcm_manager *m, int dirfd, const char *leaf, const char *rel, const struct fc_identity *meant,
                    const char *to) {
  struct fc_identity now;
  struct statx st;
  const bool handle = m->header->with_handle != 0;
  int rc = fc_identity_take(dirfd, leaf, handle, &now, &st);
  if (rc == 0 && meant && !fc_identity_equal(meant, &now)) rc = -ESTALE;
  if (rc == 0) announce(dirfd, leaf, to);
  if (rc == 0) rc = fc_sys_renameat2(dirfd, leaf, AT_FDCWD, to, 0);
  if (rc != -EXDEV || !S_ISREG(st.stx_mode)) return rc;
  const int fd = fc_sys_openat(dirfd, leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
  if (fd < 0) return fd;
  struct fc_identity opened;
  rc = fc_identity_take(fd, "", handle, &opened, &st);
  if (rc == 0 && !fc_identity_equal(&opened, &now)) rc = -ESTALE;
  if (rc == 0) rc = copy_to(fd, &st, to);
  (void)fc_sys_close(fd);
  if (rc == 0) rc = fc_reaper_ask(&m->reaper, rel, &now, false);
  return rc == -ENOENT ? 0 : rc;
}

/* In turn. */
static int persist(fcm_manager *m, const char *rel, const struct fc_tracked *known, const char *to) {
  char dir[PATH_MAX];
  const char *slash = strrchr(rel, '/');
  int dirfd = m->base_fd;
  if (slash) {
    memcpy(dir, rel, (size_t)(slash - rel));
    dir[slash - rel] = '\0';
    dirfd = fc_beneath_open(m->base_fd, dir);
    if (dirfd < 0) return dirfd;
  }
  const int rc = move_out(m, dirfd, slash ? slash + 1 : rel, rel, known->expected ? NULL : &known->identity, to);
  if (slash) (void)fc_sys_close(dirfd);
  return rc;
}

int fcm_persist(fcm_manager *m, const char *path, const char *to) {
  char rel[PATH_MAX];
  char rel_to[PATH_MAX];
  if (!fc_manager_may(m)) return -1;
  int rc = path && to && to[0] ? fc_tracking_relative(m, path, rel) : -EINVAL;
  if (rc == 0 && strnlen(to, PATH_MAX) == PATH_MAX) rc = -ENAMETOOLONG;
  struct fc_tracked *known = rc == 0 ? malloc(sizeof *known) : NULL;
  if (rc == 0 && !known) rc = -ENOMEM;
  if (rc < 0) return fc_manager_fail(-rc);
  const bool stays_beneath = fc_tracking_relative(m, to, rel_to) == 0;
  rc = fc_cleaning_begin(m);
  if (rc < 0) {
    free(known);
    return fc_manager_fail(-rc);
  }
  (void)pthread_mutex_lock(&m->lock);
  if (!fc_entry_find(m, rel, known)) rc = -ENOENT;
  (void)pthread_mutex_unlock(&m->lock);
  if (rc == 0) {
    fc_cleaning_take(m, rel, false);
    rc = persist(m, rel, known, to);
    (void)pthread_mutex_lock(&m->lock);
    if (rc == 0) (void)fc_entry_drop(m, rel);
    if (rc == 0 && stays_beneath) (void)fc_entry_drop(m, rel_to); /* it is no temporary name any more */
    (void)pthread_mutex_unlock(&m->lock);
    fc_cleaning_leave(m);
  }
  fc_cleaning_end(m);
  free(known);
  fc_manager_tell(m);
  return rc < 0 ? fc_manager_fail(-rc) : 0;
}
