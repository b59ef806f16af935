/* hook_remove: the entry points that remove a name. The record is committed before the call, and completed after it; or
 * at once when the library announces what it removes. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "announce.h"
#include "real.h"
#include "record.h"

#define REMOVING(dirfd, path, call)                                                                                    \
  if (fc_member.count == 0) return call;                                                                               \
  struct fc_pending pending;                                                                                           \
  fc_record_removing(&pending, dirfd, path);                                                                           \
  const int result = call;                                                                                             \
  fc_record_removed(&pending, result == 0);                                                                            \
  return result

FC_EXPORT int unlink(const char *path) { REMOVING(AT_FDCWD, path, FC_REAL(unlink)(path)); }
FC_EXPORT int unlinkat(int dirfd, const char *path, int flags) {
  REMOVING(dirfd, path, FC_REAL(unlinkat)(dirfd, path, flags));
}
FC_EXPORT int remove(const char *path) { REMOVING(AT_FDCWD, path, FC_REAL(remove)(path)); }
FC_EXPORT int rmdir(const char *path) { REMOVING(AT_FDCWD, path, FC_REAL(rmdir)(path)); }

FC_EXPORT void filecleanup_removing(int dirfd, const char *leaf) {
  struct fc_pending pending;
  if (fc_member.count == 0) return;
  fc_record_removing(&pending, dirfd, leaf);
  fc_record_removed(&pending, true);
}
