/* semantics CASE: makes the calls of one case in ./base and says of each what it returned and what errno was (77 where
 * nothing set it), then what stands in the base. The same must be said with and without the shim. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#include <wchar.h>

#define UNSET 77
#define NOBODY 65534
#define CHILDREN 1000
#define FLAG_NOREPLACE 1u
#define FLAG_EXCHANGE 2u
#define FLAG_WHITEOUT 4u

static void say(int line, const char *call, long result) {
  const int now = errno;
  printf("%d %s = %ld, errno %d\n", line, call, result, now);
}
#define DO(call) (errno = UNSET, say(__LINE__, #call, (long)(call)))
#define DO_FILE(call)                                                                                                  \
  do {                                                                                                                 \
    errno = UNSET;                                                                                                     \
    FILE *file_ = (call);                                                                                              \
    say(__LINE__, #call, file_ != NULL);                                                                               \
    if (file_) fclose(file_);                                                                                          \
  } while (0)

static int closing(int fd) {
  const int now = errno;
  if (fd >= 0) close(fd);
  errno = now;
  return fd;
}

static int renameat2_(int od, const char *op, int nd, const char *np, unsigned flags) {
  return (int)syscall(SYS_renameat2, od, op, nd, np, flags);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Everything below dirfd, but what varies from run to run. */
static void list(int dirfd, int depth) {
  DIR *dir = fdopendir(dirfd);
  char *names[2 * CHILDREN];
  size_t n = 0;
  if (!dir) return;
  for (struct dirent *e; (e = readdir(dir)) && n < 2 * CHILDREN;)
    if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) names[n++] = strdup(e->d_name);
  qsort(names, n, sizeof *names, by_name);
  for (size_t i = 0; i < n; i++) {
    struct stat st;
    char target[256] = "";
    if (fstatat(dirfd, names[i], &st, AT_SYMLINK_NOFOLLOW)) continue;
    const ssize_t len = readlinkat(dirfd, names[i], target, sizeof target - 1);
    target[len < 0 ? 0 : len] = '\0';
    printf("%*s%s %o size %ld links %ld %s\n", 2 * depth, "", names[i], st.st_mode,
           S_ISREG(st.st_mode) ? (long)st.st_size : 0, (long)st.st_nlink, target);
    if (S_ISDIR(st.st_mode)) list(openat(dirfd, names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC), depth + 1);
    free(names[i]);
  }
  closedir(dir);
}

static void put(const char *path, const char *text) {
  const int fd = open(path, O_CREAT | O_WRONLY, 0644);
  if (fd < 0 || write(fd, text, strlen(text)) < 0 || close(fd)) printf("cannot write %s\n", path);
}

/* ---- nameless files ---- */

static void nameless(void) {
  const int fd = open("base", O_TMPFILE | O_RDWR, 0640);
  char link[64];
  DO(write(fd, "some", 4));
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  DO(linkat(fd, "", AT_FDCWD, "base/by-empty-path", AT_EMPTY_PATH));
  DO(linkat(AT_FDCWD, link, AT_FDCWD, "base/by-proc", AT_SYMLINK_FOLLOW));
  DO(linkat(AT_FDCWD, link, AT_FDCWD, "base/by-proc", AT_SYMLINK_FOLLOW));
  DO(linkat(AT_FDCWD, link, AT_FDCWD, "base/of-the-link", 0));
  DO(unlink("base/by-empty-path"));
  DO(linkat(fd, "", AT_FDCWD, "base/again", AT_EMPTY_PATH));
  DO(open("base", O_TMPFILE | O_RDONLY, 0600));
  DO(open("base/again", O_TMPFILE | O_RDWR, 0600));
  DO(open("base/none", O_TMPFILE | O_RDWR, 0600));
  const int exclusive = openat(AT_FDCWD, "base", O_TMPFILE | O_EXCL | O_RDWR, 0600);
  DO(linkat(exclusive, "", AT_FDCWD, "base/never", AT_EMPTY_PATH));
  const int unwritten = open64("base", O_TMPFILE | O_WRONLY, 0600);
  DO(close(unwritten));
}

/* ---- names of descriptors ---- */

static void descriptors(void) {
  const int dir = open("base", O_RDONLY | O_DIRECTORY);
  const int path = open("base", O_PATH);
  char name[2][64], of_file[64];
  DO(mkdir("base/sub", 0700));
  snprintf(name[0], sizeof name[0], "/proc/self/fd/%d/made", dir);
  snprintf(name[1], sizeof name[1], "/dev/fd/%d/sub/moved", path);
  const int fd = open(name[0], O_CREAT | O_RDWR, 0600);
  DO(write(fd, "some", 4));
  DO(rename(name[0], name[1]));
  DO(access("base/sub/moved", F_OK));
  DO(mkdir("/proc/self/cwd/base/by-cwd", 0700));
  DO(symlink("x", "/proc/thread-self/cwd/base/by-thread"));
  snprintf(of_file, sizeof of_file, "/proc/self/fd/%d", fd);
  DO(closing(open(of_file, O_CREAT | O_RDWR, 0600)));
  DO(closing(open(of_file, O_CREAT | O_TRUNC | O_RDWR, 0600)));
  DO(open(of_file, O_CREAT | O_EXCL | O_RDWR, 0600));
  DO(open(of_file, O_NOFOLLOW | O_RDWR));
  DO(rename(of_file, "base/never"));
  DO(unlink(of_file));
  snprintf(name[0], sizeof name[0], "/proc/%d/fd/%d/by-pid", (int)getpid(), dir);
  DO(mkfifo(name[0], 0600));
  DO_FILE(fopen("/proc/self/cwd//base/by-fopen", "w"));
  DO(open("/proc/self/fd/999/none", O_CREAT | O_RDWR, 0600));
  DO(open("/proc/self/fd/", O_CREAT | O_RDWR, 0600));
  DO(open("/proc/self/fd", O_RDONLY | O_DIRECTORY) >= 0);
}

/* ---- renaming ---- */

static void renaming(void) {
  put("base/a", "a");
  put("base/b", "bb");
  DO(renameat2_(AT_FDCWD, "base/a", AT_FDCWD, "base/b", FLAG_NOREPLACE));
  DO(renameat2_(AT_FDCWD, "base/a", AT_FDCWD, "base/c", FLAG_NOREPLACE));
  DO(renameat2_(AT_FDCWD, "base/c", AT_FDCWD, "base/b", FLAG_EXCHANGE));
  DO(renameat2_(AT_FDCWD, "base/c", AT_FDCWD, "base/none", FLAG_EXCHANGE));
  DO(renameat2_(AT_FDCWD, "base/c", AT_FDCWD, "base/b", FLAG_EXCHANGE | FLAG_NOREPLACE));
  DO(renameat2_(AT_FDCWD, "base/c", AT_FDCWD, "base/b", FLAG_EXCHANGE | FLAG_WHITEOUT));
  DO(renameat2_(AT_FDCWD, "base/c", AT_FDCWD, "base/b", 64));
  DO(mkdir("base/d", 0700) | mkdir("base/e", 0700) | mkdir("base/d/in", 0700));
  DO(rename("base/d", "base/d/in/self"));
  DO(rename("base/d", "base/e"));
  DO(rename("base/e", "base/b"));
  DO(rename("base/b", "base/e"));
  DO(rename("base/none", "base/new"));
  DO(link("base/b", "base/same"));
  DO(rename("base/b", "base/same"));
  DO(rename("base/b", "base/b"));
  DO(renameat2_(AT_FDCWD, "base/b", AT_FDCWD, "base/same", FLAG_NOREPLACE));
  DO(renameat2_(AT_FDCWD, "base/b", AT_FDCWD, "base/same", FLAG_EXCHANGE));
  DO(rename("base/e", "base/f"));
  DO(rename("", "base/x"));
  DO(rename("base/b", ""));
  DO(rename("base/b", (const char *)8));
}

static void exchange_with_user(void) { /* users: base/mine, base/dir/mine */
  put("base/new", "new");
  DO(renameat2_(AT_FDCWD, "base/new", AT_FDCWD, "base/mine", FLAG_EXCHANGE));
  DO(mkdir("base/made", 0700));
  DO(renameat2_(AT_FDCWD, "base/made", AT_FDCWD, "base/dir", FLAG_EXCHANGE));
}

/* A whiteout is a device, and what is a device is never removed. */
static void devices(void) {
  put("base/a", "a");
  put("base/to", "to");
  DO(renameat2_(AT_FDCWD, "base/a", AT_FDCWD, "base/b", FLAG_WHITEOUT));
  DO(renameat2_(AT_FDCWD, "base/b", AT_FDCWD, "base/to", FLAG_WHITEOUT));
  DO(renameat2_(AT_FDCWD, "base/to", AT_FDCWD, "base/a", FLAG_WHITEOUT | FLAG_NOREPLACE));
  DO(mknod("base/block", S_IFBLK | 0600, 0));
  DO(mknod("base/character", S_IFCHR | 0600, 0));
}

static void thousand(void) {
  char name[64];
  DO(mkdir("base/many", 0700) | mkdir("base/many/deeper", 0700));
  for (int i = 0; i < CHILDREN; i++) {
    snprintf(name, sizeof name, i % 2 ? "base/many/%d" : "base/many/deeper/%d", i);
    put(name, "x");
  }
  DO(rename("base/many", "base/moved"));
  DO(rename("base/moved/deeper", "base/deeper"));
  for (int i = 0; i < CHILDREN; i += 5) {
    snprintf(name, sizeof name, i % 2 ? "base/moved/%d" : "base/deeper/%d", i);
    if (unlink(name)) printf("cannot unlink %s\n", name);
  }
  DO(rename("base/deeper", "base/moved/back"));
}

/* ---- how names are written ---- */

static void slashes(void) {
  DO(mkdir("base/d/", 0700));
  DO(mkdir("base//e///", 0700));
  DO(open("base/f/", O_CREAT | O_RDWR, 0600));
  DO(open("base/d", O_CREAT | O_RDWR, 0600));
  DO(open("base/d/.", O_CREAT | O_RDWR, 0600));
  DO(open("base/d/..", O_CREAT | O_RDWR, 0600));
  DO(open("base/none/../f", O_CREAT | O_RDWR, 0600));
  DO(closing(open("base/./d/.././/f", O_CREAT | O_RDWR, 0600)));
  DO(closing(open("base/d/../../base/g", O_CREAT | O_RDWR, 0600)));
  DO(open("base/f/x", O_CREAT | O_RDWR, 0600));
  DO(rename("base/d/", "base/h/"));
  DO(rename("base/f", "base/i/"));
  DO(rename("base/f/", "base/i"));
  DO(unlink("base/f/"));
  DO(unlink("base/h/"));
  DO(rmdir("base/h/."));
  DO(rmdir("base/h/.."));
  DO(symlink("h", "base/link"));
  DO(mkdir("base/link/", 0700));
  DO(mkdir("base/link/below", 0700));
  DO(rmdir("base/link/"));
  DO(unlink("base/link/"));
  DO(rename("base/link/", "base/j"));
  DO(symlink("none", "base/dangling"));
  DO(mkdir("base/dangling/", 0700));
  DO(mkdir("base/dangling", 0700));
  DO(symlink("x", "base/s/"));
  DO(link("base/f", "base/linked/"));
  DO(mkfifo("base/fifo/", 0600));
  DO(link("base/f/", "base/linked"));
  DO(remove("base/e/"));
  DO(open("", O_CREAT | O_RDWR, 0600));
  DO(mkdir("base/..", 0700));
  DO(mkdir("/", 0700));
  DO(rmdir("base/link/below"));
}

static void spelling(void) {
  char longest[300], longer[300], path[5000];
  DO(closing(open("base/\xff\xfe\x80", O_CREAT | O_RDWR, 0600)));
  DO(closing(open("base/two\nlines\n", O_CREAT | O_RDWR, 0600)));
  DO(rename("base/\xff\xfe\x80", "base/\xff\nand\t\x01\\"));
  DO(mkdir("base/-rf *", 0700));
  DO_FILE(fopen("base/-rf */\"$(x)'", "w"));
  memset(longest, 'n', sizeof longest);
  memset(longer, 'n', sizeof longer);
  memcpy(longest, "base/", 5);
  memcpy(longer, "base/", 5);
  longest[5 + 255] = '\0';
  longer[5 + 256] = '\0';
  DO(closing(open(longest, O_CREAT | O_RDWR, 0600)));
  DO(open(longer, O_CREAT | O_RDWR, 0600));
  DO(mkdir(longer, 0700));
  DO(rename(longest, longer));
  for (size_t i = 0; i < sizeof path; i += 2) memcpy(path + i, "./", 2);
  memcpy(path + 4095 - 8, "base/max", 9);
  DO(closing(open(path, O_CREAT | O_RDWR, 0600)));
  DO(unlink(path));
  DO(closing(creat(path, 0600)));
  memcpy(path + 4096 - 9, "/base/max", 10);
  DO(open(path, O_CREAT | O_RDWR, 0600));
  DO(unlink(path));
}

/* ---- what names are relative to ---- */

static void directories(void) {
  const int start = open(".", O_RDONLY | O_DIRECTORY);
  DO(chdir("base"));
  DO(closing(open("here", O_CREAT | O_RDWR, 0600)));
  DO(mkdir("sub", 0700));
  DO(chdir("sub"));
  DO(closing(open("../up", O_CREAT | O_RDWR, 0600)));
  DO(closing(open("there", O_CREAT | O_RDWR, 0600)));
  DO(rename("there", "../moved"));
  DO(chdir("none"));
  DO(closing(creat("still", 0600)));
  DO(fchdir(start));
  DO(rename("base/sub", "base/other"));
  DO(chdir("base/other") | rename("../other", "../third"));
  DO(closing(creat("renamed", 0600)));
  DO(mkdir("gone", 0700) | chdir("gone") | rmdir("../gone"));
  DO(open("x", O_CREAT | O_RDWR, 0600));
  DO(mkdir("x", 0700));
  DO(closing(open("../beside", O_CREAT | O_RDWR, 0600)));
  DO(fchdir(start));
  DO(fchdir(-1));
  const int dir = open("base", O_RDONLY | O_DIRECTORY), path = open("base/third", O_PATH | O_DIRECTORY);
  const int file = openat(dir, "file", O_CREAT | O_RDWR, 0600);
  DO(mkdirat(dir, "by-at", 0700));
  DO(mkdirat(path, "by-path", 0700));
  DO(renameat(dir, "file", path, "file"));
  DO(linkat(path, "file", dir, "link", 0));
  DO(symlinkat("x", dir, "sym"));
  DO(mkfifoat(path, "fifo", 0600));
  DO(mknodat(dir, "node", S_IFREG | 0600, 0));
  DO(unlinkat(dir, "sym", AT_REMOVEDIR));
  DO(unlinkat(dir, "by-at", 0));
  DO(unlinkat(dir, "by-at", AT_REMOVEDIR));
  DO(openat(file, "x", O_CREAT | O_RDWR, 0600));
  DO(openat(-1, "x", O_CREAT | O_RDWR, 0600));
  DO(openat(999, "x", O_CREAT | O_RDWR, 0600));
  DO(mkdirat(999, "x", 0700));
  DO(unlinkat(999, "x", 0));
  DO(renameat(dir, "link", 999, "x"));
  DO(renameat(999, "link", dir, "x"));
  DO(symlinkat("x", 999, "x"));
  DO(closing(openat(999, "/proc/self/cwd/base/absolute", O_CREAT | O_RDWR, 0600)));
  DO(openat(dir, (const char *)8, O_CREAT | O_RDWR, 0600));
}

/* Deeper than any name can say. */
static void deep(void) {
  char name[201];
  memset(name, 'd', 200);
  name[200] = '\0';
  int at = open("base", O_RDONLY | O_DIRECTORY);
  put("base/shallow", "x");
  for (int i = 0; i < 30; i++) {
    if (mkdirat(at, name, 0700)) printf("cannot make level %d: %d\n", i, errno);
    const int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(at);
    at = next;
  }
  DO(closing(openat(at, "leaf", O_CREAT | O_RDWR, 0600)));
  DO(closing(openat(at, "leaf", O_CREAT | O_RDWR, 0600)));
  DO(openat(at, "leaf", O_CREAT | O_EXCL | O_RDWR, 0600));
  DO(fchdir(at));
  DO(closing(open("relative", O_CREAT | O_RDWR, 0600)));
  DO(mkdir("dir", 0700));
  DO_FILE(fopen("stream", "w"));
  DO(closing(open("emptied", O_CREAT | O_TRUNC | O_RDWR, 0600)));
  DO(open("none/x", O_CREAT | O_RDWR, 0600));
}

static void dangling(void) { /* users: base/link -> missing, base/away -> ../outside */
  DO(open("base/link", O_CREAT | O_EXCL | O_RDWR, 0600));
  DO(open("base/link", O_CREAT | O_NOFOLLOW | O_RDWR, 0600));
  DO(open("base/link", O_RDWR));
  DO(closing(open("base/link", O_CREAT | O_RDWR, 0600)));
  DO(closing(open("base/away", O_CREAT | O_TRUNC | O_WRONLY, 0600)));
  DO(symlink("none/none", "base/nowhere"));
  DO(open("base/nowhere", O_CREAT | O_RDWR, 0600));
  DO(symlink("loop", "base/loop"));
  DO(open("base/loop", O_CREAT | O_RDWR, 0600));
  DO(creat("base/loop/x", 0600));
  DO_FILE(fopen("base/loop", "w"));
  DO(mkdir("base/nowhere", 0700));
  DO(rename("base/nowhere", "base/elsewhere"));
}

/* ---- modes ---- */

static void modes(void) {
  static const mode_t masks[] = {0, 022, 077, 0777};
  for (size_t i = 0; i < 4; i++) {
    char name[64];
    umask(masks[i]);
#define NAMED(call)                                                                                                    \
  do {                                                                                                                 \
    snprintf(name, sizeof name, "base/%zu-%d", i, __LINE__);                                                           \
    DO(call);                                                                                                          \
  } while (0)
    NAMED(closing(open(name, O_CREAT | O_RDWR, 0666)));
    NAMED(closing(open(name, O_CREAT | O_RDWR, 06755)));
    NAMED(closing(open(name, O_CREAT | O_RDWR, 0)));
    NAMED(closing(open(name, O_CREAT | O_WRONLY, 0170000 | 0644)));
    NAMED(closing(creat(name, 0444)));
    NAMED(mkdir(name, 01777));
    NAMED(mkfifo(name, 0666));
    NAMED(mknod(name, S_IFSOCK | 0640, 0));
    NAMED(fclose(fopen(name, "w")));
    NAMED(fclose(fopen(name, "a+")));
    NAMED(fclose(freopen(name, "w", fopen("/dev/null", "r"))));
    DO(umask(masks[i]));
  }
}

static void flags(void) {
  put("base/file", "some");
  DO(mkdir("base/dir", 0700));
  DO(symlink("file", "base/link"));
  DO(open("base/none", O_PATH | O_CREAT, 0600));
  DO(closing(open("base/file", O_PATH | O_CREAT | O_EXCL, 0600)));
  DO(closing(open("base/file", O_PATH | O_TRUNC)));
  DO(closing(open("base/link", O_PATH | O_NOFOLLOW)));
  DO(open("base/file", O_DIRECTORY | O_RDONLY));
  DO(open("base/new", O_DIRECTORY | O_CREAT | O_RDONLY, 0600));
  DO(open("base/dir", O_DIRECTORY | O_CREAT | O_RDONLY, 0600));
  DO(closing(open("base/dir", O_CREAT | O_DIRECTORY | O_PATH, 0600)));
  DO(open("base/dir", O_RDWR));
  DO(open("base/link", O_NOFOLLOW | O_CREAT | O_RDWR, 0600));
  DO(open("base/link", O_EXCL | O_CREAT | O_RDWR, 0600));
  DO(closing(open("base/link", O_CREAT | O_APPEND | O_WRONLY, 0600)));
  DO(closing(open("base/nofollow", O_NOFOLLOW | O_CREAT | O_RDWR, 0600)));
  DO(closing(open("base/ro", O_CREAT | O_RDONLY | O_TRUNC, 0400)));
  DO(closing(open("base/mode3", O_CREAT | O_ACCMODE, 0600)));
  DO(closing(open("base/sync", O_CREAT | O_RDWR | O_SYNC | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | O_NOATIME, 0600)));
  DO(closing(open("base/async", O_CREAT | O_RDWR | O_ASYNC, 0600)));
  DO(closing(open("base/file", O_EXCL | O_RDWR)));
  DO(closing(open("base/file", O_CREAT | O_TRUNC | O_RDONLY, 0600)));
  DO(open("base/none/file", O_CREAT | O_RDWR, 0600));
  DO(open("base/file/x", O_CREAT | O_RDWR, 0600));
  DO(open((const char *)8, O_CREAT | O_RDWR, 0600));
  DO(open("base/unknown", O_CREAT | O_RDWR | 0x8000000, 0600) >= 0);
  DO(creat("base/dir", 0600));
  DO(mknod("base/wrong", S_IFDIR | 0600, 0));
  DO(mknod("base/plain", 0600, 0));
  DO(fcntl(open("base/flags", O_CREAT | O_APPEND | O_RDWR | O_CLOEXEC, 0600), F_GETFL));
}

/* ---- streams ---- */

static void streams(void) {
  /* clang-format off */
  static const char *const tried[] = {
      "w", "w+", "a", "a+", "r", "r+", "wx", "w+x", "ax", "wb", "wbe", "wme", "wc", "wex", "w,ccs=UTF-8",
      "xw", "", "q", "rw", "ra", "w ", "r+x", "we+", "wbbbbbbbx", "wbbbbbxb", "a,x", "w\x80", "w,ccs=big5",
      "w,ccs=euc-jp", "w,ccs=x", "w,ccs=no-such", "wx,ccs=UTF-8"
  };
  /* clang-format on */
  for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
    char name[64];
    for (int there = 0; there < 3; there++) {
      snprintf(name, sizeof name, "base/%zu-%d", i, there);
      if (there == 1) put(name, "before");
      errno = UNSET;
      FILE *file = there == 2 ? fopen64(name, tried[i]) : fopen(name, tried[i]);
      say(there, tried[i], file != NULL);
      if (!file) continue;
      printf("flags %o %o %d", fcntl(fileno(file), F_GETFL), fcntl(fileno(file), F_GETFD), fwide(file, 0));
      errno = UNSET;
      say(there, "fputs", fputs("after", file) < 0);
      fclose(file);
    }
  }
  FILE *file = fopen("base/stream", "w+");
  DO(fputs("text", file) < 0);
  DO((file = freopen(NULL, "r", file)) != NULL);
  if (file) DO(fgetc(file));
  if (file) DO((file = freopen(NULL, "w", file)) != NULL);
  if (file) DO((file = freopen("base/second", "a", file)) != NULL);
  if (file) DO(fputs("text", file) < 0);
  if (file) DO((file = freopen("base/second", "r+", file)) != NULL);
  if (file) DO((file = freopen("base/third", "wx", file)) != NULL);
  if (file) DO((file = freopen64("base/fourth", "w,ccs=UTF-8", file)) != NULL);
  if (file) DO((file = freopen("base/third", "wx", file)) != NULL); /* closes it */
  file = fopen("base/stream", "r");
  DO(freopen("base/none/x", "w", file) != NULL);
  file = fopen("base/stream", "r");
  DO(freopen("base/fifth", "z", file) != NULL);
  DO_FILE(fopen("base/none/x", "w"));
  DO_FILE(fopen("base", "w"));
  DO_FILE(fopen("", "a"));
}

/* ---- waiting ---- */

static void *const cancelled = PTHREAD_CANCELED;
static int wait_for_cancel[2];
static int how;
static char waits_at[64];

/* errno of a failure, 1000 of a success: never what a cancelled thread returns. */
static void *outcome(int succeeded) { return (void *)(intptr_t)(succeeded ? 1000 : errno); }

static void *opener(void *unused) {
  (void)unused;
  char byte;
  int type;
  pthread_setcancelstate(how == 9 ? PTHREAD_CANCEL_DISABLE : PTHREAD_CANCEL_ENABLE, &type);
  if (how < 10) { /* until it is pending: read is no cancellation point meanwhile */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &type);
    if (read(wait_for_cancel[0], &byte, 1) != 1) return NULL;
    pthread_setcancelstate(type, NULL);
  } else if (write(wait_for_cancel[1], "x", 1) != 1) {
    return NULL;
  }
  switch (how) {
  case 0:
    return outcome(open("base/cancelled", O_CREAT | O_RDWR, 0600) >= 0);
  case 1:
    return outcome(openat(AT_FDCWD, "base/cancelled", O_CREAT | O_RDWR, 0600) >= 0);
  case 2:
    return outcome(creat("base/cancelled", 0600) >= 0);
  case 3:
    return outcome(mkdir("base/cancelled", 0700) == 0);
  case 4:
    return outcome(unlink("base/cancelled") == 0);
  case 5:
    return outcome(rename("base/cancelled", "base/x") == 0);
  case 6:
    return outcome(fopen("base/cancelled", "w") != NULL);
  case 7:
    return outcome(open("base/there", O_CREAT | O_TRUNC | O_RDWR, 0600) >= 0);
  case 8:
    return outcome(syscall(SYS_openat, AT_FDCWD, "base/cancelled", O_CREAT | O_RDWR, 0600) >= 0);
  case 9:
    return outcome(open("base/cancelled", O_CREAT | O_RDWR, 0600) >= 0);
  case 10:
    return outcome(open("base/fifo", O_WRONLY) >= 0);
  case 11:
    return outcome(open("base/fifo", O_CREAT | O_WRONLY, 0600) >= 0);
  case 12:
    return outcome(open(waits_at, O_CREAT | O_TRUNC | O_WRONLY, 0600) >= 0);
  default:
    return outcome(openat(3, "fifo", O_CREAT | O_WRONLY, 0600) >= 0);
  }
}

/* The thread is asleep in the system call that it makes: then its state is S and stays so. */
static void until_asleep(pid_t self) {
  for (int quiet = 0, tries = 0; quiet < 5 && tries < 2000; tries++) {
    usleep(2000);
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *e; (e = readdir(dir));) {
      char name[300], text[512];
      const int tid = atoi(e->d_name);
      if (tid == 0 || tid == self) continue;
      snprintf(name, sizeof name, "/proc/self/task/%d/stat", tid);
      const int fd = open(name, O_RDONLY);
      const ssize_t n = read(fd, text, sizeof text - 1);
      close(fd);
      text[n < 0 ? 0 : n] = '\0';
      const char *state = strrchr(text, ')');
      quiet = state && state[2] == 'S' ? quiet + 1 : 0;
    }
    closedir(dir);
  }
}

static void cancelling(void) {
  (void)open("base", O_RDONLY | O_DIRECTORY); /* number 3 */
  if (pipe(wait_for_cancel)) return;
  mkfifo("base/fifo", 0600);
  snprintf(waits_at, sizeof waits_at, "/proc/self/cwd/base/fifo");
  for (int round = 0; round < 40; round++) { /* more often than there are places for names */
    for (how = round == 0 ? 0 : 10; how < 14; how++) {
      pthread_t thread;
      void *result;
      char byte;
      put("base/there", "some");
      pthread_create(&thread, NULL, opener, NULL);
      if (how < 10) {
        pthread_cancel(thread);
        if (write(wait_for_cancel[1], "x", 1) != 1) return;
      } else {
        if (read(wait_for_cancel[0], &byte, 1) != 1) return;
        if (round == 0) until_asleep(getpid());
        pthread_cancel(thread);
      }
      pthread_join(thread, &result);
      if (round > 0 && result == cancelled) continue;
      errno = UNSET;
      say(how, "thread", result == cancelled ? -1 : (long)(intptr_t)result);
      struct stat st;
      if (how == 7 && stat("base/there", &st) == 0) say(how, "size", (long)st.st_size);
      DO(access("base/cancelled", F_OK));
      remove("base/cancelled");
    }
  }
  DO(chdir("base"));
  DO(closing(open("still-seen", O_CREAT | O_RDWR, 0600)));
  DO(chdir(".."));
}

static void on_signal(int number) { (void)number; }

static void interrupted(void) {
  const struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART */
  sigaction(SIGALRM, &action, NULL);
  DO(mkfifo("base/fifo", 0600));
  DO(open("base/fifo", O_CREAT | O_WRONLY | O_NONBLOCK, 0600));
  const struct itimerval often = {{0, 20000}, {0, 20000}}, never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &often, NULL);
  DO(open("base/fifo", O_WRONLY));
  DO(open("base/fifo", O_CREAT | O_WRONLY, 0600));
  DO(open("base/fifo", O_CREAT | O_TRUNC | O_WRONLY, 0600));
  DO(open("base/fifo", O_CREAT | O_RDONLY, 0600));
  DO(creat("base/fifo", 0600));
  DO_FILE(fopen("base/fifo", "w"));
  DO_FILE(fopen("base/fifo", "a"));
  setitimer(ITIMER_REAL, &never, NULL);
  DO(open("base/fifo", O_CREAT | O_EXCL | O_WRONLY, 0600));
  DO(closing(open("base/fifo", O_CREAT | O_RDWR, 0600)));
}

static void leases(void) {
  signal(SIGIO, SIG_IGN);
  put("base/leased", "some");
  const int fd = open("base/leased", O_RDWR);
  DO(fcntl(fd, F_SETLEASE, F_WRLCK));
  DO(open("base/leased", O_CREAT | O_RDWR | O_NONBLOCK, 0600));
  DO(open("base/leased", O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK, 0600));
  DO(fcntl(fd, F_GETLEASE));
  DO(open("base/leased", O_CREAT | O_TRUNC | O_WRONLY | O_NONBLOCK, 0600));
  DO(open("base/leased", O_CREAT | O_WRONLY | O_NONBLOCK, 0600));
  DO(fcntl(fd, F_SETLEASE, F_UNLCK));
  DO(fcntl(fd, F_SETLEASE, F_WRLCK));
  DO(link("base/leased", "base/linked"));
  DO(rename("base/leased", "base/moved"));
  DO(fcntl(fd, F_GETLEASE));
  DO(unlink("base/linked"));
  DO(fcntl(fd, F_GETLEASE));
}

/* In a directory that is everybody's, as another user than the owner of what stands there. users: base/sticky (1777)
 * with file and fifo (12345's), link (to ../file) and closed (0600); base/plain (0777) with file. */
static void sticky(void) {
  DO(setgroups(0, NULL) | setresgid(NOBODY, NOBODY, NOBODY) | setresuid(NOBODY, NOBODY, NOBODY));
  static const char *const names[] = {"base/sticky/file", "base/sticky/fifo", "base/sticky/link", "base/sticky/closed",
                                      "base/plain/file"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    DO(closing(open(names[i], O_RDWR | O_NONBLOCK)));
    DO(closing(open(names[i], O_CREAT | O_RDWR | O_NONBLOCK, 0600)));
    DO(open(names[i], O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK, 0600));
    DO_FILE(fopen(names[i], "a+"));
    DO(link(names[i], "base/sticky/linked"));
    DO(rename(names[i], "base/sticky/renamed"));
    DO(unlink(names[i]));
  }
  DO(closing(open("base/sticky/own", O_CREAT | O_RDWR, 0600)));
  DO(closing(open("base/sticky/own", O_CREAT | O_RDWR, 0600)));
  DO(open("base/closed/x", O_CREAT | O_RDWR, 0600));
  DO(mkdir("base/closed/x", 0700));
  DO(closing(open("base/plain/own", O_CREAT | O_RDWR, 0600)));
  DO(unlink("base/sticky/own") | unlink("base/plain/own"));
}

static const struct {
  const char *name;
  void (*run)(void);
} cases[] = {{"nameless", nameless},
             {"descriptors", descriptors},
             {"renaming", renaming},
             {"exchange_with_user", exchange_with_user},
             {"devices", devices},
             {"thousand", thousand},
             {"slashes", slashes},
             {"spelling", spelling},
             {"directories", directories},
             {"deep", deep},
             {"dangling", dangling},
             {"modes", modes},
             {"flags", flags},
             {"streams", streams},
             {"cancelling", cancelling},
             {"interrupted", interrupted},
             {"leases", leases},
             {"sticky", sticky}};

int main(int argc, char **argv) {
  const int base = open("base", O_RDONLY | O_DIRECTORY);
  const int high = fcntl(base, F_DUPFD_CLOEXEC, 100);
  close(base);
  for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof *cases; i++) {
    if (strcmp(argv[1], cases[i].name) != 0) continue;
    cases[i].run();
    umask(022);
    if (cases[i].run != deep) list(high, 0);
    return ferror(stdout) || fflush(stdout) ? 1 : 0;
  }
  return 2;
}
