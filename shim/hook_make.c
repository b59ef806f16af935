/* hook_make: the entry points whose success is a creation: mkstemp and its kin, mkdir, symlink, link. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "real.h"
#include "record.h"

static int fc_made_file(char *name, int fd) {
  if (fd >= 0 && fc_member.count) fc_record_created(AT_FDCWD, name, fd, false);
  return fd;
}

static int fc_made(int dirfd, const char *path, int result, bool is_dir) {
  if (result == 0 && fc_member.count) fc_record_created(dirfd, path, -1, is_dir);
  return result;
}

static int fc_linked(int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, int result) {
  if (result == 0 && fc_member.count) fc_record_linked(old_dirfd, old_path, new_dirfd, new_path);
  return result;
}

FC_EXPORT int mkstemp(char *name) { return fc_made_file(name, FC_REAL(mkstemp)(name)); }
FC_EXPORT int mkstemp64(char *name) { return fc_made_file(name, FC_REAL(mkstemp64)(name)); }
FC_EXPORT int mkostemp(char *name, int flags) { return fc_made_file(name, FC_REAL(mkostemp)(name, flags)); }
FC_EXPORT int mkostemp64(char *name, int flags) { return fc_made_file(name, FC_REAL(mkostemp64)(name, flags)); }

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
