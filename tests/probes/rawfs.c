/* rawfs OP ARG...: system calls that no hook of libc's functions sees, as a static program makes them.
 *
 * create FILE TEXT; mkdir DIR; fifo FILE; device FILE; symlink TARGET LINK; link OLD NEW; rename OLD NEW; unlink FILE;
 * many DIR COUNT (files 0, 1, ... in DIR); deep DIR LEVELS (a chain of directories d/d/d... in DIR, a file at its end).
 * Several operations are separated by an argument ",". */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
static long raw(long n, long a, long b, long c, long d, long e) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                   : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
static long raw(long n, long a, long b, long c, long d, long e) {
  register long x8 __asm__("x8") = n;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
}
#else
#error "this probe is written for x86-64 and aarch64"
#endif

static long create(int dirfd, const char *path, const char *text) {
  const long fd = raw(SYS_openat, dirfd, (long)path, O_CREAT | O_EXCL | O_WRONLY, 0644, 0);
  if (fd < 0) return fd;
  const long written = raw(SYS_write, fd, (long)text, (long)strlen(text), 0, 0);
  (void)raw(SYS_close, fd, 0, 0, 0, 0);
  return written < 0 ? written : 0;
}

static long many(const char *dir, int count) {
  long rc = 0;
  for (int i = 0; i < count && rc >= 0; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%d", dir, i);
    rc = create(AT_FDCWD, path, "unseen\n");
  }
  return rc;
}

static long deep(const char *dir, int levels) {
  long at = raw(SYS_openat, AT_FDCWD, (long)dir, O_RDONLY | O_DIRECTORY, 0, 0);
  for (int i = 0; i < levels && at >= 0; i++) {
    const long rc = raw(SYS_mkdirat, at, (long)"d", 0755, 0, 0);
    const long below = rc < 0 ? rc : raw(SYS_openat, at, (long)"d", O_RDONLY | O_DIRECTORY, 0, 0);
    (void)raw(SYS_close, at, 0, 0, 0, 0);
    at = below;
  }
  if (at < 0) return at;
  const long rc = create((int)at, "end", "unseen\n");
  (void)raw(SYS_close, at, 0, 0, 0, 0);
  return rc;
}

static long operate(int count, char **a) {
  const char *op = a[0], *first = count > 1 ? a[1] : "", *second = count > 2 ? a[2] : "";
  if (strcmp(op, "create") == 0) return create(AT_FDCWD, first, second);
  if (strcmp(op, "mkdir") == 0) return raw(SYS_mkdirat, AT_FDCWD, (long)first, 0755, 0, 0);
  if (strcmp(op, "fifo") == 0) return raw(SYS_mknodat, AT_FDCWD, (long)first, S_IFIFO | 0644, 0, 0);
  if (strcmp(op, "device") == 0) return raw(SYS_mknodat, AT_FDCWD, (long)first, S_IFCHR | 0644, 0x103, 0);
  if (strcmp(op, "symlink") == 0) return raw(SYS_symlinkat, (long)first, AT_FDCWD, (long)second, 0, 0);
  if (strcmp(op, "link") == 0) return raw(SYS_linkat, AT_FDCWD, (long)first, AT_FDCWD, (long)second, 0);
  if (strcmp(op, "rename") == 0) return raw(SYS_renameat2, AT_FDCWD, (long)first, AT_FDCWD, (long)second, 0);
  if (strcmp(op, "unlink") == 0) return raw(SYS_unlinkat, AT_FDCWD, (long)first, 0, 0, 0);
  if (strcmp(op, "many") == 0) return many(first, atoi(second));
  if (strcmp(op, "deep") == 0) return deep(first, atoi(second));
  return -EINVAL;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc;) {
    int end = i;
    while (end < argc && strcmp(argv[end], ",") != 0) end++;
    const long rc = operate(end - i, argv + i);
    if (rc < 0) {
      fprintf(stderr, "rawfs %s %s: %s\n", argv[i], argv[i + 1], strerror((int)-rc));
      return 1;
    }
    i = end + 1;
  }
  return 0;
}
