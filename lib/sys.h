/* sys: the kernel's door, without libc in between.
 *
 * Responsible for: raw system calls that return the result or -errno. They touch neither errno nor a cancellation
 * point nor a symbol that the host (or our own hooks) could have interposed, so they can be used in hooks, in signal
 * handlers, in vfork children and by the reaper inside a host. Must never: interpret a result.
 */
#ifndef FC_SYS_H
#define FC_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#if defined(__x86_64__)
static inline long fc_sys6(long n, long a, long b, long c, long d, long e, long f) {
  long ret;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(ret)
                   : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return ret;
}
#elif defined(__i386__)
/* int $0x80 and arguments from memory: ebx (the GOT of older compilers) and ebp cannot be named as operands. */
static inline long fc_sys6(long n, long a, long b, long c, long d, long e, long f) {
  const long args[6] = {a, b, c, d, e, f};
  const long *block = args;
  long ret = n;
  __asm__ volatile("pushl %%ebx\n\tpushl %%ebp\n\t"
                   "movl 0(%%esi), %%ebx\n\tmovl 4(%%esi), %%ecx\n\tmovl 8(%%esi), %%edx\n\t"
                   "movl 16(%%esi), %%edi\n\tmovl 20(%%esi), %%ebp\n\tmovl 12(%%esi), %%esi\n\t"
                   "int $0x80\n\tpopl %%ebp\n\tpopl %%ebx"
                   : "+a"(ret), "+S"(block)
                   :
                   : "ecx", "edx", "edi", "memory");
  return ret;
}
#elif defined(__aarch64__)
static inline long fc_sys6(long n, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = n;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
  return x0;
}
#else
#error "fc_sys6 is written for x86-64, i386 and aarch64; another machine needs its system call instruction here"
#endif

#define FC_SYS0(n) fc_sys6((n), 0, 0, 0, 0, 0, 0)
#define FC_SYS1(n, a) fc_sys6((n), (long)(a), 0, 0, 0, 0, 0)
#define FC_SYS2(n, a, b) fc_sys6((n), (long)(a), (long)(b), 0, 0, 0, 0)
#define FC_SYS3(n, a, b, c) fc_sys6((n), (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define FC_SYS4(n, a, b, c, d) fc_sys6((n), (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define FC_SYS5(n, a, b, c, d, e) fc_sys6((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

#if defined(__LP64__)
#define FC_O_LARGEFILE 0
#else
#define FC_O_LARGEFILE 0100000
#endif

/* The kernel's own struct flock64: the layout of libc's depends on how the including file was compiled. */
struct fc_flock {
  int16_t type;
  int16_t whence;
#if defined(__LP64__)
  int32_t pad;
#endif
  int64_t start;
  int64_t len;
  int32_t pid;
#if defined(__LP64__)
  int32_t pad2;
#endif
}
#if !defined(__LP64__)
__attribute__((packed))
#endif
;
#define FC_F_OFD_GETLK 36
#define FC_F_OFD_SETLK 37
#define FC_F_OFD_SETLKW 38

#define FC_SYS_MAX_ERRNO 4095

/* Code that every process of a session runs at its start or end: it stands together, beside that of the hooks, or each
 * function would be a page fault of its own. */
#define FC_EVERY_PROCESS __attribute__((hot))

static inline int fc_sys_openat(int dirfd, const char *path, int flags, unsigned mode) {
  return (int)FC_SYS4(SYS_openat, dirfd, path, flags | FC_O_LARGEFILE, mode);
}
static inline int fc_sys_openat2(int dirfd, const char *path, const struct open_how *how) {
  return (int)FC_SYS4(SYS_openat2, dirfd, path, how, sizeof *how);
}
static inline int fc_sys_close(int fd) { return (int)FC_SYS1(SYS_close, fd); }
static inline int fc_sys_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *out) {
  return (int)FC_SYS5(SYS_statx, dirfd, path, flags, mask, out);
}
/* The beginning of the kernel's struct statmount, and its texts. */
struct fc_statmount {
  uint32_t size, mnt_opts;
  uint64_t mask;
  uint32_t sb_dev_major, sb_dev_minor;
  uint64_t sb_magic;
  uint32_t sb_flags, fs_type; /* fs_type: an offset in text */
  uint64_t rest[59];
  char text[64];
};
_Static_assert(offsetof(struct fc_statmount, text) == 512, "statmount(2)");
#define FC_STATX_MNT_ID_UNIQUE 0x4000u /* Linux 6.8, as statmount */
#define FC_STATMOUNT_FS_TYPE 0x20u
/* mount_id: stx_mnt_id as of FC_STATX_MNT_ID_UNIQUE. */
static inline int fc_sys_statmount(uint64_t mount_id, uint64_t mask, struct fc_statmount *out) {
  const struct {
    uint32_t size, spare;
    uint64_t mnt_id, param;
  } request = {24, 0, mount_id, mask};
  return (int)FC_SYS4(457, &request, out, sizeof *out, 0); /* SYS_statmount, the same number everywhere */
}
static inline int fc_sys_unlinkat(int dirfd, const char *path, int flags) {
  return (int)FC_SYS3(SYS_unlinkat, dirfd, path, flags);
}
static inline int fc_sys_renameat2(int od, const char *op, int nd, const char *np, unsigned flags) {
  return (int)FC_SYS5(SYS_renameat2, od, op, nd, np, flags);
}
static inline int fc_sys_mkdirat(int dirfd, const char *path, unsigned mode) {
  return (int)FC_SYS3(SYS_mkdirat, dirfd, path, mode);
}
static inline int fc_sys_linkat(int od, const char *op, int nd, const char *np, int flags) {
  return (int)FC_SYS5(SYS_linkat, od, op, nd, np, flags);
}
static inline int fc_sys_fchmod(int fd, unsigned mode) { return (int)FC_SYS2(SYS_fchmod, fd, mode); }
static inline long fc_sys_readlinkat(int dirfd, const char *path, char *buf, size_t size) {
  return FC_SYS4(SYS_readlinkat, dirfd, path, buf, size);
}
static inline long fc_sys_getcwd(char *buf, size_t size) { return FC_SYS2(SYS_getcwd, buf, size); }
static inline long fc_sys_getdents64(int fd, void *buf, size_t size) { return FC_SYS3(SYS_getdents64, fd, buf, size); }
static inline long fc_sys_read(int fd, void *buf, size_t size) { return FC_SYS3(SYS_read, fd, buf, size); }
static inline long fc_sys_write(int fd, const void *buf, size_t size) { return FC_SYS3(SYS_write, fd, buf, size); }
static inline long fc_sys_pread(int fd, void *buf, size_t size, int64_t offset) {
#if defined(__LP64__)
  return FC_SYS4(SYS_pread64, fd, buf, size, offset);
#else
  return FC_SYS5(SYS_pread64, fd, buf, size, (uint32_t)offset, (uint32_t)((uint64_t)offset >> 32));
#endif
}
static inline long fc_sys_pwrite(int fd, const void *buf, size_t size, int64_t offset) {
#if defined(__LP64__)
  return FC_SYS4(SYS_pwrite64, fd, buf, size, offset);
#else
  return FC_SYS5(SYS_pwrite64, fd, buf, size, (uint32_t)offset, (uint32_t)((uint64_t)offset >> 32));
#endif
}
static inline int fc_sys_ftruncate(int fd, int64_t size) {
#if defined(__LP64__)
  return (int)FC_SYS2(SYS_ftruncate, fd, size);
#else
  return (int)FC_SYS3(SYS_ftruncate64, fd, (uint32_t)size, (uint32_t)((uint64_t)size >> 32));
#endif
}
/* The next offset >= offset that holds data, or -ENXIO when only a hole follows. */
static inline int64_t fc_sys_seek_data(int fd, int64_t offset) {
#if defined(__LP64__)
  return FC_SYS3(SYS_lseek, fd, offset, 3 /* SEEK_DATA */);
#else
  int64_t result = 0;
  long rc = FC_SYS5(SYS__llseek, fd, (uint32_t)((uint64_t)offset >> 32), (uint32_t)offset, &result, 3);
  return rc < 0 ? rc : result;
#endif
}
static inline int fc_sys_fcntl(int fd, int cmd, long arg) {
#if defined(__LP64__)
  return (int)FC_SYS3(SYS_fcntl, fd, cmd, arg);
#else
  return (int)FC_SYS3(SYS_fcntl64, fd, cmd, arg);
#endif
}
/* offset must be a multiple of the page size. Returns the address, or -errno as a value above (unsigned)-4096. */
static inline void *fc_sys_mmap(void *addr, size_t len, int prot, int flags, int fd, int64_t offset) {
#if defined(__LP64__)
  return (void *)fc_sys6(SYS_mmap, (long)addr, (long)len, prot, flags, fd, offset);
#else
  return (void *)fc_sys6(SYS_mmap2, (long)addr, (long)len, prot, flags, fd, (long)(offset >> 12));
#endif
}
static inline int fc_sys_is_error(const void *p) { return (uintptr_t)p > (uintptr_t) - (FC_SYS_MAX_ERRNO + 1); }
static inline int fc_sys_munmap(void *addr, size_t len) { return (int)FC_SYS2(SYS_munmap, addr, len); }
static inline void *fc_sys_mremap(void *addr, size_t old_len, size_t new_len, int flags) {
  return (void *)FC_SYS4(SYS_mremap, addr, old_len, new_len, flags);
}
static inline int fc_sys_madvise(void *addr, size_t len, int advice) {
  return (int)FC_SYS3(SYS_madvise, addr, len, advice);
}
/* Soft limit of RLIMIT_FSIZE (1) or RLIMIT_NOFILE (7); UINT64_MAX when unlimited. Unknown (a filter): for files 0, as
 * growing one beyond the limit would kill, for descriptors UINT64_MAX. */
#define FC_RLIMIT_FSIZE 1
#define FC_RLIMIT_NOFILE 7
static inline uint64_t fc_sys_soft_limit(int resource) {
  uint64_t limit[2] = {UINT64_MAX, UINT64_MAX};
  if (FC_SYS4(SYS_prlimit64, 0, resource, 0, limit) < 0) return resource == FC_RLIMIT_FSIZE ? 0 : UINT64_MAX;
  return limit[0];
}
struct fc_statfs {
  uint64_t type;
  uint64_t fsid;
};
#if defined(__LP64__)
struct fc_kernel_statfs {
  int64_t type, bsize;
  uint64_t blocks, bfree, bavail, files, ffree;
  int32_t fsid[2];
  int64_t rest[8];
};
#else
struct fc_kernel_statfs {
  uint32_t type, bsize;
  uint64_t blocks, bfree, bavail, files, ffree;
  int32_t fsid[2];
  uint32_t rest[8];
} __attribute__((packed, aligned(4)));
#endif
static inline int fc_sys_fstatfs(int fd, struct fc_statfs *out) {
  struct fc_kernel_statfs s;
  __builtin_memset(&s, 0, sizeof s);
#if defined(__LP64__)
  int rc = (int)FC_SYS2(SYS_fstatfs, fd, &s);
#else
  int rc = (int)FC_SYS3(SYS_fstatfs64, fd, 84, &s);
#endif
  out->type = (uint64_t)(uint32_t)s.type;
  out->fsid = ((uint64_t)(uint32_t)s.fsid[1] << 32) | (uint32_t)s.fsid[0];
  return rc;
}
static inline int fc_sys_getpid(void) { return (int)FC_SYS0(SYS_getpid); }
static inline int fc_sys_getppid(void) { return (int)FC_SYS0(SYS_getppid); }
static inline unsigned fc_sys_geteuid(void) {
#if defined(__i386__)
  return (unsigned)FC_SYS0(SYS_geteuid32);
#else
  return (unsigned)FC_SYS0(SYS_geteuid);
#endif
}
#define FC_LOCK_EX 2
#define FC_LOCK_NB 4
#define FC_LOCK_UN 8
static inline int fc_sys_flock(int fd, int operation) { return (int)FC_SYS2(SYS_flock, fd, operation); }
/* A time of a file as nanoseconds since the epoch. Files can tell times that these do not reach: such a one becomes the
 * farthest one, which is such that the difference of any two can be told. */
#define FC_SYS_FARTHEST_NS (INT64_MAX / 2)
static inline int64_t fc_sys_in_ns(int64_t seconds, uint32_t ns) {
  const int64_t farthest = FC_SYS_FARTHEST_NS / 1000000000;
  if (seconds >= farthest) return FC_SYS_FARTHEST_NS;
  if (seconds <= -farthest) return -FC_SYS_FARTHEST_NS;
  return seconds * 1000000000 + ns;
}
static inline int64_t fc_sys_clock(int clock) {
  struct {
    long sec, nsec;
  } now = {0, 0};
  (void)FC_SYS2(SYS_clock_gettime, clock, &now);
  return (int64_t)now.sec * 1000000000 + now.nsec;
}
/* CLOCK_BOOTTIME and CLOCK_REALTIME in nanoseconds, 0 = unknown. The kernel's own: libc's clock_gettime may be that of
 * another preload, which tells the host another time or one that stands still. Without the vDSO: right after a fork its
 * two pages have to be mapped first. */
static inline int64_t fc_sys_boottime(void) { return fc_sys_clock(CLOCK_BOOTTIME); }
static inline int64_t fc_sys_realtime(void) { return fc_sys_clock(CLOCK_REALTIME); }
/* Does not wait. fds: struct pollfd. */
static inline int fc_sys_poll_now(void *fds, unsigned count) {
  struct {
    long sec, nsec;
  } nothing = {0, 0};
  return (int)FC_SYS5(SYS_ppoll, fds, count, &nothing, 0, sizeof(uint64_t));
}
#define FC_FUTEX_WAIT 0
#define FC_FUTEX_WAKE 1
/* op: FC_FUTEX_WAIT or FC_FUTEX_WAKE, shared between processes. timeout_ms < 0: for ever. */
static inline int fc_sys_futex(volatile uint32_t *word, int op, uint32_t value, int timeout_ms) {
  struct {
    long sec, nsec;
  } ts = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000L};
  return (int)fc_sys6(SYS_futex, (long)word, op, (long)value, timeout_ms < 0 ? 0 : (long)&ts, 0, 0);
}
/* Sleeps, unless a signal comes; with no clock of libc's and no cancellation point. */
static inline void fc_sys_pause(int ms) {
  uint32_t nothing = 0;
  (void)fc_sys_futex(&nothing, FC_FUTEX_WAIT, 0, ms);
}
/* The kernel's signal set is 64 bits on every machine served here. */
static inline int fc_sys_sigmask(int how, const uint64_t *set, uint64_t *old) {
  return (int)FC_SYS4(SYS_rt_sigprocmask, how, set, old, sizeof(uint64_t));
}
static inline int fc_sys_name_to_handle_at(int dirfd, const char *path, void *handle, int *mount_id, int flags) {
  return (int)FC_SYS5(SYS_name_to_handle_at, dirfd, path, handle, mount_id, flags);
}
static inline long fc_sys_getrandom(void *buf, size_t size) { return FC_SYS3(SYS_getrandom, buf, size, 0); }
static inline int fc_sys_lock(int fd, int cmd, int16_t type, int64_t start, struct fc_flock *out) {
  struct fc_flock lock;
  __builtin_memset(&lock, 0, sizeof lock);
  lock.type = type;
  lock.start = start;
  lock.len = 1;
  int rc = fc_sys_fcntl(fd, cmd, (long)&lock);
  if (out) *out = lock;
  return rc;
}

#endif
