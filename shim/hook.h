/* hook: what syscall() shares with the libc functions of the same names.
 *
 * Responsible for: the fc_ functions that say what we do about a call, whichever way it came in, and the host's own
 * raw call that one of them makes in the middle. Must never: turn a raw call into a function of libc's: open() is a
 * cancellation point, and syscall(SYS_open) is none.
 */
#ifndef FC_HOOK_H
#define FC_HOOK_H

#include "real.h"
#include "record.h"

#define FC_RAW_ARGUMENTS 6

/* A call by syscall(), as the host wrote it. */
struct fc_raw {
  long number;
  long argument[FC_RAW_ARGUMENTS];
};

/* Makes exactly this call. Results and errno are libc's, as for every hook. */
static inline long fc_raw_call(const struct fc_raw *raw) {
  const long *a = raw->argument;
  return FC_REAL(syscall)(raw->number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Which of libc's functions the host called, so that other preloads see the very same one. */
enum fc_open_entry {
  FC_OPEN,
  FC_OPEN64,
#ifdef __GLIBC__
  FC_OPEN_BY_OTHER_NAME,
  FC_OPEN64_BY_OTHER_NAME,
#endif
  FC_OPENAT,
  FC_OPENAT64,
  FC_CREAT,
  FC_CREAT64,
  FC_SHM_OPEN, /* raw's first argument is the host's name */
  FC_OPEN_RAW  /* raw[0] is the host's call, raw[1] the same with O_EXCL */
};
int fc_open(enum fc_open_entry entry, const struct fc_raw *raw, int dirfd, const char *path, int flags, mode_t mode);

enum fc_rename_entry { FC_RENAME, FC_RENAMEAT, FC_RENAMEAT2, FC_RENAME_RAW };
int fc_rename(enum fc_rename_entry entry, const struct fc_raw *raw, int old_dirfd, const char *old_path, int new_dirfd,
              const char *new_path, unsigned flags);

/* The call has been made; each returns its result. */
int fc_made(int dirfd, const char *path, int result, bool is_dir);
int fc_linked(int old_dirfd, const char *old_path, int new_dirfd, const char *new_path, int result);
int fc_bound(const struct sockaddr *address, socklen_t length, int result);
int fc_cwd_changed(int result);
int fc_root_changed(int result);
pid_t fc_forked(pid_t result);

/* The call is about to be made. */
void fc_truncating(const char *path, int64_t length);
void fc_truncating_fd(int fd, int64_t length);
void fc_truncating_handle(int mount_fd, const struct file_handle *handle, int flags);
void fc_ending(int status);

/* What this process leaves for the image that it is about to become. */
struct fc_handed {
  int fd[FC_NEST_MAX];
  int64_t record[FC_NEST_MAX];
};
void fc_hand_over(struct fc_handed *handed);
int fc_take_back(struct fc_handed *handed, int result); /* the exec has failed */

/* The same in a filtered process: call makes the host's call with another environment. */
struct fc_exec {
  int (*call)(const struct fc_exec *exec, char *const *envp);
  char *const *envp;
  char *const *argv;
  const char *path;
  int fd;
  int flags;
  const struct fc_raw *raw;
};
int fc_exec_filtered(const struct fc_exec *exec);

#endif
