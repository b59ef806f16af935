#include "lease.h"

#include "sys.h"

#define F_SETSIG_ 10
#define F_SETOWN_EX_ 15
#define F_SETLEASE_ 1024
#define F_GETLEASE_ 1025
#define F_OWNER_TID_ 0

enum fc_lease_answer fc_lease_take(struct fc_lease *lease, int dirfd, const char *leaf) {
  const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  lease->fd = -1;
  int fd = fc_sys_openat(dirfd, leaf, flags | O_NOATIME, 0);
  if (fd == -EPERM) fd = fc_sys_openat(dirfd, leaf, flags, 0);
  if (fd < 0) return fd == -EAGAIN ? FC_LEASE_IN_USE : FC_LEASE_UNKNOWN;
  /* Before the lease: taking it makes the process the owner of the signal only where there is none yet. */
  const struct {
    int type;
    int pid;
  } owner = {F_OWNER_TID_, (int)FC_SYS0(SYS_gettid)};
  int rc = fc_sys_fcntl(fd, F_SETOWN_EX_, (long)&owner);
  if (rc >= 0) rc = fc_sys_fcntl(fd, F_SETSIG_, SIGURG);
  if (rc >= 0) rc = fc_sys_fcntl(fd, F_SETLEASE_, F_WRLCK);
  if (rc >= 0) {
    lease->fd = fd;
    return FC_LEASE_FREE;
  }
  (void)fc_sys_close(fd);
  return rc == -EAGAIN ? FC_LEASE_IN_USE : FC_LEASE_UNKNOWN;
}

bool fc_lease_is_whole(const struct fc_lease *lease) {
  return lease->fd < 0 || fc_sys_fcntl(lease->fd, F_GETLEASE_, 0) == F_WRLCK;
}

void fc_lease_drop(struct fc_lease *lease) {
  if (lease->fd < 0) return;
  const bool broken = !fc_lease_is_whole(lease);
  (void)fc_sys_fcntl(lease->fd, F_SETLEASE_, F_UNLCK);
  (void)fc_sys_close(lease->fd);
  lease->fd = -1;
  if (!broken) return;
  /* It was sent to this thread and is blocked: without this it would stay pending, and a host's handler would run. */
  const uint64_t set = UINT64_C(1) << (SIGURG - 1);
  const struct { long sec, nsec; } at_once = {0, 0};
  (void)FC_SYS4(SYS_rt_sigtimedwait, &set, 0, &at_once, sizeof set);
}
