/* hook_truncate: N2 also holds when a file of the user's is made shorter: its data may have gone into what was created.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "hook.h"

void fc_truncating(const char *path, int64_t length) {
  if (fc_member.count && length >= 0) fc_record_used(AT_FDCWD, path, -1, true);
}

/* Apart, for the sake of the stack. */
static __attribute__((noinline)) bool gets_shorter(int fd, int64_t length) {
  struct statx st;
  const int rc = fc_sys_statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE, &st);
  if (rc < 0) return rc != -EBADF; /* it may */
  return (st.stx_mode & S_IFMT) == S_IFREG && st.stx_size > (uint64_t)length;
}

/* Only a regular file that gets shorter is asked for its name. */
void fc_truncating_fd(int fd, int64_t length) {
  int slot;
  if (fc_member.count == 0 || length < 0) return;
  FC_ASKING;
  if (fc_is_filtered()) {
    fc_record_lost(); /* whose file this is, and whether it gets shorter, cannot be told */
    return;
  }
  if (!gets_shorter(fd, length)) return;
  const char *name = fc_target_name_of(fd, &slot);
  if (!name) {
    if (fc_target_may_be_inside(fd)) fc_record_lost();
    return;
  }
  fc_record_used(AT_FDCWD, name, fd, true);
  fc_target_give_name(slot);
}

FC_EXPORT int truncate(const char *path, off_t length) {
  fc_truncating(path, length);
  return FC_REAL(truncate)(path, length);
}
FC_EXPORT int truncate64(const char *path, off64_t length) {
  fc_truncating(path, length);
  return FC_REAL(truncate64)(path, length);
}
FC_EXPORT int ftruncate(int fd, off_t length) {
  fc_truncating_fd(fd, length);
  return FC_REAL(ftruncate)(fd, length);
}
FC_EXPORT int ftruncate64(int fd, off64_t length) {
  fc_truncating_fd(fd, length);
  return FC_REAL(ftruncate64)(fd, length);
}

/* A handle has no name until it is open. Its file may have none even then (nobody has looked it up since the boot). */
void fc_truncating_handle(int mount_fd, const struct file_handle *handle, int flags) {
  if (fc_member.count == 0 || !(flags & O_TRUNC) || (flags & O_PATH)) return;
  FC_ASKING;
  if (fc_is_filtered()) {
    fc_record_lost();
    return;
  }
  const int fd = (int)FC_SYS3(SYS_open_by_handle_at, mount_fd, handle, O_PATH | O_CLOEXEC);
  if (fd < 0) return; /* so will be the host's */
  fc_truncating_fd(fd, 0);
  (void)fc_sys_close(fd);
}

FC_EXPORT int open_by_handle_at(int mount_fd, struct file_handle *handle, int flags) {
  fc_truncating_handle(mount_fd, handle, flags);
  return FC_REAL(open_by_handle_at)(mount_fd, handle, flags);
}
