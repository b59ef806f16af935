/* target: what a path argument of a hook means for the sessions.
 *
 * Responsible for: making a name absolute (cached working directory, dirfd), and finding the sessions whose base
 * contains it. Must never: resolve links, allocate, lock, or keep a buffer over the host's call: open is a cancellation
 * point, and a cancelled thread would never give it back.
 */
#ifndef FC_TARGET_H
#define FC_TARGET_H

#include "member.h"
#include "path.h"

struct fc_target {
  int slot;         /* scratch buffer in use, -1 = none */
  unsigned inside;  /* bit i: beneath the base of session i */
  bool lost;        /* the name could not be made out (no buffer, no /proc): it may be anywhere */
  bool denied;      /* the same if the host's call succeeds: ours was denied (EACCES) */
  const char *file; /* the kernel's name of an open file that path leads to by /proc or /dev; else NULL */
  struct fc_name name;
  uint16_t below[FC_NEST_MAX]; /* of name: where the part that is relative to the base of session i begins */
};

/* The name as session i knows it; its bit in `inside` is set. */
struct fc_name fc_target_relative(const struct fc_target *target, unsigned i);

/* Classifies path relative to dirfd. True when it lies beneath a base; the caller then calls fc_target_close in any
 * case, before the host's call. Pieces of the name live until then, or as long as path does. */
bool fc_target_open(struct fc_target *target, int dirfd, const char *path);
void fc_target_close(struct fc_target *target);

/* The same for a call that removes, renames or empties. A name that looks as if it were outside may lead into a base by
 * a symbolic link in its directory part: then the kernel's name of that directory counts. Asked once for each
 * directory. */
bool fc_target_open_real(struct fc_target *target, int dirfd, const char *path);

/* The same for a call that empties what path leads to: names that the kernel makes of an open file (/proc/self/fd/5,
 * /dev/fd/5, /dev/stdout) are that file's name. */
bool fc_target_open_emptied(struct fc_target *target, int dirfd, const char *path);

/* The innermost session that contains it, or -1. */
int fc_target_innermost(const struct fc_target *target);

/* chdir and fchdir have been called (well or not): the cached working directory is asked for anew. */
void fc_target_cwd_changed(void);

/* Looks the working directory up now, for a time when that cannot be done. */
void fc_target_cwd_look(void);

/* From now on the working directory may change without us (unshare, chroot, fts, a child that shares our memory): the
 * cache is never used again. */
void fc_target_cwd_unknown(void);

/* Absolute names mean something else from now on (chroot, setns). */
void fc_target_root_changed(void);

/* The name of an open file, in a buffer that fc_target_give_name takes back. NULL when there is none. */
const char *fc_target_name_of(int fd, int *slot);
void fc_target_give_name(int slot);

/* What can be told of an open file without a name (no /proc in a chroot): false when it is on another device than every
 * base. */
bool fc_target_may_be_inside(int fd);

/* In a fork child: buffers that other threads held at that moment are free again. */
void fc_target_forked(void);

/* What is at path now, and with with_parent the inode of the directory that holds the name. follow: a link stands for
 * what it leads to. Unknown parts are 0. Returns 0 or -errno of the object's statx. */
int fc_target_object(int dirfd, const char *path, bool follow, bool with_parent, bool with_handle,
                     struct fc_object *out);

#endif
