/* hook_directory: what changes the meaning of relative or absolute names. A stale working directory could only leak,
 * since identity guards deletion; these keep it from doing even that. */
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "hook.h"

/* After the call, whether it succeeded or not: between the kernel's change and this a hook in a handler may read the
 * old one, once. */
int fc_cwd_changed(int result) {
  if (fc_member.count) fc_target_cwd_changed();
  return result;
}

FC_EXPORT int chdir(const char *path) { return fc_cwd_changed(FC_REAL(chdir)(path)); }
FC_EXPORT int fchdir(int fd) { return fc_cwd_changed(FC_REAL(fchdir)(fd)); }

int fc_root_changed(int result) {
  if (result == 0) fc_target_root_changed();
  return result;
}

FC_EXPORT int chroot(const char *path) { return fc_root_changed(FC_REAL(chroot)(path)); }
FC_EXPORT int setns(int fd, int type) { return fc_root_changed(FC_REAL(setns)(fd, type)); }
/* In no header. */
int pivot_root(const char *new_root, const char *put_old);
FC_EXPORT int pivot_root(const char *new_root, const char *put_old) {
  return fc_root_changed(FC_REAL(pivot_root)(new_root, put_old));
}
FC_EXPORT int unshare(int flags) {
  fc_target_cwd_unknown();
  return FC_REAL(unshare)(flags);
}
FC_EXPORT int daemon(int nochdir, int noclose) {
  fc_target_cwd_unknown();
  const int result = FC_REAL(daemon)(nochdir, noclose);
  fc_member_forked(); /* it returns in the child, or has failed */
  return result;
}
FC_EXPORT FTS *fts_open(char *const *paths, int options, int (*compare)(const FTSENT **, const FTSENT **)) {
  if (!(options & FTS_NOCHDIR)) fc_target_cwd_unknown();
  return FC_REAL(fts_open)(paths, options, compare);
}
#ifdef __GLIBC__
FC_EXPORT FTS64 *fts64_open(char *const *paths, int options, int (*compare)(const FTSENT64 **, const FTSENT64 **)) {
  if (!(options & FTS_NOCHDIR)) fc_target_cwd_unknown();
  return FC_REAL(fts64_open)(paths, options, compare);
}
#endif
FC_EXPORT int nftw(const char *path, int (*function)(const char *, const struct stat *, int, struct FTW *), int fds,
                   int flags) {
  if (flags & FTW_CHDIR) fc_target_cwd_unknown();
  return FC_REAL(nftw)(path, function, fds, flags);
}
FC_EXPORT int nftw64(const char *path, int (*function)(const char *, const struct stat64 *, int, struct FTW *), int fds,
                     int flags) {
  if (flags & FTW_CHDIR) fc_target_cwd_unknown();
  return FC_REAL(nftw64)(path, function, fds, flags);
}

#if defined(__TIMESIZE) && __TIMESIZE == 32
/* What the two above become where a program is compiled for 64-bit times: a private name in any header. */
void *__fts64_open_time64(char *const *paths, int options, int (*compare)(const void **, const void **));
int __nftw64_time64(const char *path, int (*function)(const char *, const void *, int, struct FTW *), int fds,
                    int flags);
FC_EXPORT void *__fts64_open_time64(char *const *paths, int options, int (*compare)(const void **, const void **)) {
  if (!(options & FTS_NOCHDIR)) fc_target_cwd_unknown();
  return FC_REAL(__fts64_open_time64)(paths, options, compare);
}
FC_EXPORT int __nftw64_time64(const char *path, int (*function)(const char *, const void *, int, struct FTW *), int fds,
                              int flags) {
  if (flags & FTW_CHDIR) fc_target_cwd_unknown();
  return FC_REAL(__nftw64_time64)(path, function, fds, flags);
}
#endif
