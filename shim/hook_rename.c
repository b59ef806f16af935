/* hook_rename: the entry points that rename.
 *
 * Onto something or onto a free name? RENAME_NOREPLACE is tried first: success proves that the target was free. On
 * EEXIST what stands there is looked at, and the caller's own call follows. Where the flag is not known (EINVAL,
 * ENOSYS) the target counts as taken. Same-inode renames do nothing; the registry sees that from the two identities.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "hook.h"

#define FLAG_NOREPLACE 1u
#define FLAG_EXCHANGE 2u

/* musl has no renameat2, or only since 1.2.5. */
static int real_renameat2_or_raw(int od, const char *op, int nd, const char *np, unsigned flags) {
#ifdef __GLIBC__
  return FC_REAL(renameat2)(od, op, nd, np, flags);
#else
  const long rc = FC_SYS5(SYS_renameat2, od, op, nd, np, flags);
  if (rc >= 0) return 0;
  errno = (int)-rc;
  return -1;
#endif
}

static int real_entry(enum fc_rename_entry entry, const struct fc_raw *raw, int od, const char *op, int nd,
                      const char *np, unsigned flags) {
  switch (entry) {
  case FC_RENAME:
    return FC_REAL(rename)(op, np);
  case FC_RENAMEAT:
    return FC_REAL(renameat)(od, op, nd, np);
  case FC_RENAMEAT2:
    return real_renameat2_or_raw(od, op, nd, np, flags);
  default:
    return (int)fc_raw_call(raw);
  }
}

/* The question: has it been renamed onto nothing? */
static bool is_renamed(int od, const char *op, int nd, const char *np, unsigned flags) {
  FC_ASKING;
  return !fc_is_filtered() && real_renameat2_or_raw(od, op, nd, np, flags | FLAG_NOREPLACE) == 0;
}

int fc_rename(enum fc_rename_entry entry, const struct fc_raw *raw, int od, const char *op, int nd, const char *np,
              unsigned flags) {
  if (fc_member.count == 0) return real_entry(entry, raw, od, op, nd, np, flags);
  struct fc_pending pending;
  struct fc_object target;
  const struct fc_object *seen = NULL;
  enum fc_result onto = FC_RESULT_DONE;
  fc_record_renaming(&pending, od, op, nd, np, (flags & FLAG_EXCHANGE) != 0);
  if (pending.onto && (flags & FLAG_EXCHANGE)) {
    (void)fc_record_target(nd, np, false, &target);
    seen = &target;
    onto = FC_RESULT_ONTO;
  } else if (pending.onto && !(flags & FLAG_NOREPLACE) && fc_record_target(nd, np, true, &target)) {
    seen = &target; /* taken, and by a name of ours: the question by RENAME_NOREPLACE would be refused */
    onto = FC_RESULT_ONTO;
  } else if (pending.onto && !(flags & FLAG_NOREPLACE)) {
    const int saved = errno;
    if (is_renamed(od, op, nd, np, flags)) {
      fc_record_renamed(&pending, FC_RESULT_DONE, NULL, od, op, nd, np);
      return 0;
    }
    errno = saved;
    (void)fc_record_target(nd, np, false, &target);
    seen = &target;
    onto = FC_RESULT_ONTO;
  }
  const int result = real_entry(entry, raw, od, op, nd, np, flags);
  fc_record_renamed(&pending, result == 0 ? onto : FC_RESULT_FAILED, seen, od, op, nd, np);
  return result;
}

FC_EXPORT int rename(const char *old_path, const char *new_path) {
  return fc_rename(FC_RENAME, NULL, AT_FDCWD, old_path, AT_FDCWD, new_path, 0);
}
FC_EXPORT int renameat(int od, const char *old_path, int nd, const char *new_path) {
  return fc_rename(FC_RENAMEAT, NULL, od, old_path, nd, new_path, 0);
}
FC_EXPORT int renameat2(int od, const char *old_path, int nd, const char *new_path, unsigned flags) {
  return fc_rename(FC_RENAMEAT2, NULL, od, old_path, nd, new_path, flags);
}
