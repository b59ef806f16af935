/* hook_make: the entry points whose success is a creation: mkstemp and its kin, mkdir, symlink, link. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "hook.h"
#include "sweeping.h"

/* mkstemp and its kin are not for signal handlers: what sweeps may be started here. */
static int fc_made_file(char *name, int fd) {
  if (fd >= 0 && fc_member.count) {
    fc_record_created(AT_FDCWD, name, fd, false);
    fc_sweeping_certain();
  }
  return fd;
}

int fc_made(int dirfd, const char *path, int result, bool is_dir) {
  if (result == 0 && fc_member.count) fc_record_created(dirfd, path, -1, is_dir);
  return result;
}

int fc_linked(int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, int result) {
  if (result == 0 && fc_member.count) fc_record_linked(old_dirfd, old_path, new_dirfd, new_path);
  return result;
}

FC_EXPORT int mkstemp(char *name) { return fc_made_file(name, FC_REAL(mkstemp)(name)); }
FC_EXPORT int mkstemp64(char *name) { return fc_made_file(name, FC_REAL(mkstemp64)(name)); }
FC_EXPORT int mkostemp(char *name, int flags) { return fc_made_file(name, FC_REAL(mkostemp)(name, flags)); }
FC_EXPORT int mkostemp64(char *name, int flags) { return fc_made_file(name, FC_REAL(mkostemp64)(name, flags)); }

FC_EXPORT int mkstemps(char *name, int suffix) { return fc_made_file(name, FC_REAL(mkstemps)(name, suffix)); }
FC_EXPORT int mkstemps64(char *name, int suffix) { return fc_made_file(name, FC_REAL(mkstemps64)(name, suffix)); }
FC_EXPORT int mkostemps(char *name, int suffix, int flags) {
  return fc_made_file(name, FC_REAL(mkostemps)(name, suffix, flags));
}
FC_EXPORT int mkostemps64(char *name, int suffix, int flags) {
  return fc_made_file(name, FC_REAL(mkostemps64)(name, suffix, flags));
}

FC_EXPORT char *mkdtemp(char *name) {
  char *const result = FC_REAL(mkdtemp)(name);
  (void)fc_made(AT_FDCWD, name, result ? 0 : -1, true);
  return result;
}
FC_EXPORT int mkdir(const char *path, mode_t mode) { return fc_made(AT_FDCWD, path, FC_REAL(mkdir)(path, mode), true); }
FC_EXPORT int mkdirat(int dirfd, const char *path, mode_t mode) {
  return fc_made(dirfd, path, FC_REAL(mkdirat)(dirfd, path, mode), true);
}
FC_EXPORT int symlink(const char *target, const char *path) {
  return fc_made(AT_FDCWD, path, FC_REAL(symlink)(target, path), false);
}
FC_EXPORT int symlinkat(const char *target, int dirfd, const char *path) {
  return fc_made(dirfd, path, FC_REAL(symlinkat)(target, dirfd, path), false);
}
FC_EXPORT int link(const char *old_path, const char *new_path) {
  return fc_linked(AT_FDCWD, old_path, AT_FDCWD, new_path, FC_REAL(link)(old_path, new_path));
}
FC_EXPORT int linkat(int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, int flags) {
  return fc_linked(old_dirfd, old_path, new_dirfd, new_path,
                   FC_REAL(linkat)(old_dirfd, old_path, new_dirfd, new_path, flags));
}

FC_EXPORT int mkfifo(const char *path, mode_t mode) {
  return fc_made(AT_FDCWD, path, FC_REAL(mkfifo)(path, mode), false);
}
FC_EXPORT int mkfifoat(int dirfd, const char *path, mode_t mode) {
  return fc_made(dirfd, path, FC_REAL(mkfifoat)(dirfd, path, mode), false);
}
FC_EXPORT int mknod(const char *path, mode_t mode, dev_t device) {
  return fc_made(AT_FDCWD, path, FC_REAL(mknod)(path, mode, device), false);
}
FC_EXPORT int mknodat(int dirfd, const char *path, mode_t mode, dev_t device) {
  return fc_made(dirfd, path, FC_REAL(mknodat)(dirfd, path, mode, device), false);
}
/* libc's headers no longer declare these two; old programs import them. */
int __xmknod(int version, const char *path, mode_t mode, dev_t *device);
int __xmknodat(int version, int dirfd, const char *path, mode_t mode, dev_t *device);
FC_EXPORT int __xmknod(int version, const char *path, mode_t mode, dev_t *device) {
  return fc_made(AT_FDCWD, path, FC_REAL(__xmknod)(version, path, mode, device), false);
}
FC_EXPORT int __xmknodat(int version, int dirfd, const char *path, mode_t mode, dev_t *device) {
  return fc_made(dirfd, path, FC_REAL(__xmknodat)(version, dirfd, path, mode, device), false);
}

/* A named socket is a name; an abstract or unnamed one is none. */
int fc_bound(const struct sockaddr *address, socklen_t length, int result) {
  const size_t start = offsetof(struct sockaddr_un, sun_path);
  if (result != 0 || fc_member.count == 0 || length <= start || address->sa_family != AF_UNIX) return result;
  char path[sizeof((struct sockaddr_un *)0)->sun_path + 1];
  size_t n = length - start;
  if (n >= sizeof path) n = sizeof path - 1;
  memcpy(path, (const char *)address + start, n);
  path[n] = '\0';
  if (path[0]) fc_record_created(AT_FDCWD, path, -1, false);
  return result;
}
FC_EXPORT int bind(int fd, const struct sockaddr *address, socklen_t length) {
  return fc_bound(address, length, FC_REAL(bind)(fd, address, length));
}
