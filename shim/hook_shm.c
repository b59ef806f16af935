/* hook_shm: shared memory and semaphores by name, which are files of /dev/shm: they matter when that is the base.
 *
 * As with open, the proof of creation is the caller's call with O_EXCL added. What stands between the slashes and the
 * end is the leaf; a name that libc refuses is passed on.
 */
#include <errno.h>
#include <limits.h>
#include <semaphore.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include "hook.h"

#define DIRECTORY "/dev/shm/"
#define SEMAPHORE "sem."
#define PATH_BYTES (sizeof DIRECTORY + sizeof SEMAPHORE + NAME_MAX)

/* False when we are inert, or libc is going to refuse the name. */
static bool path_of(char path[PATH_BYTES], const char *prefix, const char *name) {
  if (fc_member.count == 0 || !name) return false;
  while (*name == '/') name++;
  const size_t len = strnlen(name, NAME_MAX + 1);
  const size_t prefix_len = strlen(prefix);
  if (len == 0 || len > NAME_MAX || memchr(name, '/', len)) return false;
  memcpy(path, DIRECTORY, sizeof DIRECTORY - 1);
  memcpy(path + sizeof DIRECTORY - 1, prefix, prefix_len);
  memcpy(path + sizeof DIRECTORY - 1 + prefix_len, name, len + 1);
  return true;
}

#define REMOVING(prefix, call)                                                                                         \
  char path[PATH_BYTES];                                                                                               \
  if (!path_of(path, prefix, name)) return call;                                                                       \
  struct fc_pending pending;                                                                                           \
  fc_record_removing(&pending, AT_FDCWD, path);                                                                        \
  const int result = call;                                                                                             \
  fc_record_removed(&pending, result == 0);                                                                            \
  return result

FC_EXPORT int shm_unlink(const char *name) { REMOVING("", FC_REAL(shm_unlink)(name)); }
FC_EXPORT int sem_unlink(const char *name) { REMOVING(SEMAPHORE, FC_REAL(sem_unlink)(name)); }

FC_EXPORT int shm_open(const char *name, int flags, mode_t mode) {
  char path[PATH_BYTES];
  if (!path_of(path, "", name)) return FC_REAL(shm_open)(name, flags, mode);
  const struct fc_raw named = {0, {(long)name, 0, 0, 0, 0, 0}};
  return fc_open(FC_SHM_OPEN, &named, AT_FDCWD, path, flags, mode);
}

FC_EXPORT sem_t *sem_open(const char *name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) ? va_arg(arguments, mode_t) : 0;
  const unsigned value = (flags & O_CREAT) ? va_arg(arguments, unsigned) : 0;
  va_end(arguments);
  char path[PATH_BYTES];
  if (!(flags & O_CREAT) || !path_of(path, SEMAPHORE, name)) return FC_REAL(sem_open)(name, flags, mode, value);
  if (fc_is_filtered()) {
    if (!(flags & O_EXCL)) fc_record_used(AT_FDCWD, path, -1, false);
    return FC_REAL(sem_open)(name, flags, mode, value);
  }
  const int saved = errno;
  sem_t *semaphore = FC_REAL(sem_open)(name, flags | O_EXCL, mode, value);
  if (semaphore != SEM_FAILED) {
    fc_record_created(AT_FDCWD, path, -1, false);
    if (!(flags & O_EXCL)) errno = ENOENT; /* libc looks for it first, and leaves it at that */
  } else if (!(flags & O_EXCL)) {
    if (errno == EEXIST) fc_record_used(AT_FDCWD, path, -1, false);
    errno = saved;
    semaphore = FC_REAL(sem_open)(name, flags, mode, value);
  }
  return semaphore;
}
