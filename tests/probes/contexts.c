/* contexts prepare DIR CONTEXT | list | run CONTEXT DIR [FILE]: each function of lib/hooks.def, called in one context.
 *
 * One row for each function (and for some a second way to call it): an expression that succeeds and one that fails.
 * Each row of each context runs in a process of its own, in a directory DIR/CONTEXT/ROW that `prepare` has made. A line
 * of output tells results, errno (set to a number of its own before each call), how many times the heap was used, and
 * what the directory holds. The line must be the same without and with the shim.
 *
 * FILE: for `altstack` the sizes of the alternate stacks, which the run without FILE prints; for `seccomp` the system
 * calls that each row needs, which the run without FILE writes to DIR/../calls: with it all others kill.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <mntent.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>
#include <wordexp.h>

#define CANARY 1234
#define NOBODY 65534
#define STACK_ROOM (256 * 1024)
#define PAGE 4096
#define PAINT 0xC7
#define CALLS_MAX 512

/* ---- the heap, counted ---- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
static volatile unsigned heap_calls;
void *malloc(size_t size) {
  heap_calls++;
  return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
  heap_calls++;
  return __libc_calloc(count, size);
}
void *realloc(void *old, size_t size) {
  heap_calls++;
  return __libc_realloc(old, size);
}

/* ---- what rows are made of ---- */

static const char *const true_argv[] = {"true", NULL};
#define ARGV ((char *const *)(uintptr_t)true_argv)
#define TRUE "/bin/true"

static int fd_of(int fd) {
  const int saved = errno;
  if (fd >= 0) close(fd);
  errno = saved;
  return fd < 0 ? -1 : 0;
}

static int stream_of(FILE *file) {
  const int saved = errno;
  if (file) fclose(file);
  errno = saved;
  return file ? 0 : -1;
}

static int status_of(pid_t child) {
  int status = -1;
  const int saved = errno;
  if (child > 0 && waitpid(child, &status, 0) != child) return -2;
  errno = saved;
  return child > 0 ? status : -1;
}

static int reopened(FILE *(*how)(const char *, const char *, FILE *), const char *name, const char *mode) {
  FILE *const file = fopen("other", "r");
  if (!file) return -3;
  errno = CANARY;
  return stream_of(how(name, mode, file));
}

static int bound(const char *name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, name);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  const int result = bind(fd, (struct sockaddr *)&address, sizeof address);
  fd_of(fd);
  return result;
}

static char shm_name[64];
static const char *own_name(void) {
  snprintf(shm_name, sizeof shm_name, "/contexts-%d", (int)getpid());
  return shm_name;
}
static int shm(void) {
  const int result = fd_of(shm_open(own_name(), O_CREAT | O_RDWR, 0600));
  return result + shm_unlink(shm_name);
}
static int sem(void) {
  sem_t *const s = sem_open(own_name(), O_CREAT, 0600, 1);
  if (s == SEM_FAILED) return -1;
  sem_close(s);
  return sem_unlink(shm_name);
}
static int sem_bad(void) { return sem_open("/a/b", O_CREAT, 0600, 1) == SEM_FAILED ? -1 : 0; }

static int with_fd(const char *name, int flags, int (*act)(int)) {
  const int fd = open(name, flags);
  const int result = act(fd);
  fd_of(fd);
  return result;
}
static int shorten(int fd) { return ftruncate(fd, 1); }
static int shorten64(int fd) { return ftruncate64(fd, 1); }

/* Into a directory, where a relative name means something else then, and back. */
static int made_in(int result) {
  if (result == 0) result = fd_of(open("inside", O_CREAT | O_WRONLY, 0600)) + chdir("..");
  return result;
}

static int (*xmknod)(int, const char *, mode_t, dev_t *);
static int (*xmknodat)(int, int, const char *, mode_t, dev_t *);
static dev_t no_device;

static int walked(FTS *tree) {
  const int saved = errno;
  if (tree) {
    while (fts_read(tree)) {
    }
    fts_close(tree);
  }
  errno = saved;
  return tree ? 0 : -1;
}
static char *const tree_names[] = {".", NULL};
static char *const no_names[] = {"", NULL};
static int met(const char *name, const struct stat *st, int kind, struct FTW *where) {
  (void)name, (void)st, (void)kind, (void)where;
  return 0;
}
static int met64(const char *name, const struct stat64 *st, int kind, struct FTW *where) {
  (void)name, (void)st, (void)kind, (void)where;
  return 0;
}

/* A child that makes a name and ends. */
static int child_of(pid_t child) {
  if (child == 0) {
    const int fd = open("by-child", O_CREAT | O_WRONLY, 0600);
    _exit(fd < 0 ? 1 : 7);
  }
  return status_of(child);
}
static int by_pty(void) {
  int master;
  const pid_t child = forkpty(&master, NULL, NULL, NULL);
  const int result = child_of(child);
  fd_of(child > 0 ? master : -1);
  return result;
}
static int by_daemon(void) {
  int ends[2];
  char letter = 0;
  if (pipe(ends)) return -1;
  const pid_t child = fork();
  if (child == 0) {
    const int result = daemon(1, 1);
    fd_of(open("by-daemon", O_CREAT | O_WRONLY, 0600));
    letter = result == 0 ? 'y' : 'n';
    _exit(write(ends[1], &letter, 1) != 1);
  }
  close(ends[1]);
  const int status = status_of(child);
  if (read(ends[0], &letter, 1) != 1) letter = '?';
  close(ends[0]);
  return letter == 'y' ? status : -1;
}
static int by_popen(const char *command, const char *mode) {
  FILE *const stream = popen(command, mode);
  return stream ? pclose(stream) : -1;
}
static int by_wordexp(const char *words, int flags) {
  wordexp_t expanded = {0};
  const int result = wordexp(words, &expanded, flags);
  if (result == 0) wordfree(&expanded);
  return result;
}
static int by_spawn(__typeof__(&posix_spawn) how, const char *path) {
  pid_t child = 0;
  const int result = how(&child, path, NULL, NULL, ARGV, environ);
  return result ? -result : status_of(child);
}

static int by_addopen(int fd) {
  posix_spawn_file_actions_t actions;
  pid_t child = 0;
  posix_spawn_file_actions_init(&actions);
  int result = posix_spawn_file_actions_addopen(&actions, fd, "new", O_CREAT | O_WRONLY, 0600);
  if (result == 0) result = posix_spawn(&child, TRUE, &actions, NULL, ARGV, environ);
  posix_spawn_file_actions_destroy(&actions);
  return result ? -result : status_of(child);
}

/* The other names of libc's functions, some of which no header declares. */
#define NAMED(like, name) ((__typeof__(&like))dlsym(RTLD_DEFAULT, name))
static int by_other_popen(const char *command, const char *mode) {
  FILE *const stream = NAMED(popen, "_IO_popen")(command, mode);
  return stream ? pclose(stream) : -1;
}

static void *in_pthread(void *argument) {
  (void)argument;
  fd_of(open("by-thread", O_CREAT | O_WRONLY, 0600));
  pthread_exit((void *)5);
}
static int by_pthread(void) {
  pthread_t thread;
  void *result = NULL;
  if (pthread_create(&thread, NULL, in_pthread, NULL)) return -1;
  pthread_join(thread, &result);
  return (int)(intptr_t)result;
}
static int in_thrd(void *argument) {
  (void)argument;
  thrd_exit(5);
}
static int by_thrd(void) {
  thrd_t thread;
  int result = -1;
  if (thrd_create(&thread, in_thrd, NULL) != thrd_success) return -1;
  thrd_join(thread, &result);
  return result;
}

static int by_handle(const char *name, int mount, int flags) {
  char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
  struct file_handle *const handle = (struct file_handle *)room;
  int mount_id;
  handle->handle_bytes = MAX_HANDLE_SZ;
  if (name_to_handle_at(AT_FDCWD, name, handle, &mount_id, 0)) return -2;
  return fd_of(open_by_handle_at(mount, handle, flags));
}

static int by_setns(int fd) {
  const int result = setns(fd, CLONE_NEWUTS);
  fd_of(fd);
  return result;
}

#define TEMPLATE(call)                                                                                                 \
  ({                                                                                                                   \
    char name[] = "tmp.XXXXXX";                                                                                        \
    call;                                                                                                              \
  })
#define TEMPLATE_SUFFIX(call)                                                                                          \
  ({                                                                                                                   \
    char name[] = "tmp.XXXXXX.c";                                                                                      \
    call;                                                                                                              \
  })
#define TEMPLATE_NONE(call)                                                                                            \
  ({                                                                                                                   \
    char name[] = "none/tmp.XXXXXX";                                                                                   \
    call;                                                                                                              \
  })

/* ---- the rows ---- */

#define NEVER(reason) (-4) /* there is no failure, for this reason */
#define ANYWHERE NULL
#define ALLOCATES "it allocates: in a vfork child that is the parent's heap"
#define STARTS "libc would fork or change signals in its parent's memory"
#define THREADS "a vfork child cannot have threads"

/* function, which way, why not in a vfork child, the success, the failure */
#define ROWS                                                                                                           \
  ROW(open, new, ANYWHERE, fd_of(open("new", O_CREAT | O_WRONLY, 0600)),                                               \
      fd_of(open("none/x", O_CREAT | O_RDWR, 0600)))                                                                   \
  ROW(open, existing, ANYWHERE, fd_of(open("old", O_CREAT | O_RDWR, 0600)),                                            \
      fd_of(open("dir", O_CREAT | O_WRONLY, 0600)))                                                                    \
  ROW(open, truncating, ANYWHERE, fd_of(open("old", O_WRONLY | O_TRUNC)), fd_of(open("none", O_WRONLY | O_TRUNC)))     \
  ROW(open, exclusive, ANYWHERE, fd_of(open("new", O_CREAT | O_EXCL, 0600)),                                           \
      fd_of(open("old", O_CREAT | O_EXCL, 0600)))                                                                      \
  ROW(open, nameless, ANYWHERE, fd_of(open(".", O_TMPFILE | O_RDWR, 0600)),                                            \
      fd_of(open("none", O_TMPFILE | O_RDWR, 0600)))                                                                   \
  ROW(open64, , ANYWHERE, fd_of(open64("new", O_CREAT | O_WRONLY, 0600)),                                              \
      fd_of(open64("none/x", O_CREAT | O_RDWR, 0600)))                                                                 \
  ROW(openat, , ANYWHERE, fd_of(openat(AT_FDCWD, "new", O_CREAT | O_RDWR, 0600)),                                      \
      fd_of(openat(-7, "x", O_CREAT, 0600)))                                                                           \
  ROW(openat64, , ANYWHERE, fd_of(openat64(AT_FDCWD, "new", O_CREAT | O_RDWR, 0600)),                                  \
      fd_of(openat64(-7, "x", O_CREAT, 0600)))                                                                         \
  ROW(creat, , ANYWHERE, fd_of(creat("new", 0600)), fd_of(creat("dir", 0600)))                                         \
  ROW(creat64, , ANYWHERE, fd_of(creat64("new", 0600)), fd_of(creat64("dir", 0600)))                                   \
  ROW(fopen, new, ALLOCATES, stream_of(fopen("new", "w")), stream_of(fopen("none/x", "w")))                            \
  ROW(fopen, existing, ALLOCATES, stream_of(fopen("old", "a")), stream_of(fopen("dir", "a")))                          \
  ROW(fopen64, , ALLOCATES, stream_of(fopen64("new", "w")), stream_of(fopen64("none/x", "w")))                         \
  ROW(mkstemp, , ANYWHERE, TEMPLATE(fd_of(mkstemp(name))), TEMPLATE_NONE(fd_of(mkstemp(name))))                        \
  ROW(mkstemp64, , ANYWHERE, TEMPLATE(fd_of(mkstemp64(name))), TEMPLATE_NONE(fd_of(mkstemp64(name))))                  \
  ROW(mkostemp, , ANYWHERE, TEMPLATE(fd_of(mkostemp(name, O_CLOEXEC))), TEMPLATE_NONE(fd_of(mkostemp(name, 0))))       \
  ROW(mkostemp64, , ANYWHERE, TEMPLATE(fd_of(mkostemp64(name, O_CLOEXEC))), TEMPLATE_NONE(fd_of(mkostemp64(name, 0)))) \
  ROW(mkstemps, , ANYWHERE, TEMPLATE_SUFFIX(fd_of(mkstemps(name, 2))), TEMPLATE_NONE(fd_of(mkstemps(name, 0))))        \
  ROW(mkstemps64, , ANYWHERE, TEMPLATE_SUFFIX(fd_of(mkstemps64(name, 2))), TEMPLATE_NONE(fd_of(mkstemps64(name, 0))))  \
  ROW(mkostemps, , ANYWHERE, TEMPLATE_SUFFIX(fd_of(mkostemps(name, 2, 0))),                                            \
      TEMPLATE_NONE(fd_of(mkostemps(name, 0, 0))))                                                                     \
  ROW(mkostemps64, , ANYWHERE, TEMPLATE_SUFFIX(fd_of(mkostemps64(name, 2, 0))),                                        \
      TEMPLATE_NONE(fd_of(mkostemps64(name, 0, 0))))                                                                   \
  ROW(freopen, new, ALLOCATES, reopened(freopen, "new", "w"), reopened(freopen, "none/x", "w"))                        \
  ROW(freopen, exclusive, ALLOCATES, reopened(freopen, "new", "wx"), reopened(freopen, "old", "wx"))                   \
  ROW(freopen64, , ALLOCATES, reopened(freopen64, "new", "w"), reopened(freopen64, "none/x", "w"))                     \
  ROW(mkfifo, , ANYWHERE, mkfifo("new", 0600), mkfifo("old", 0600))                                                    \
  ROW(mkfifoat, , ANYWHERE, mkfifoat(AT_FDCWD, "new", 0600), mkfifoat(AT_FDCWD, "old", 0600))                          \
  ROW(mknod, , ANYWHERE, mknod("new", S_IFREG | 0600, 0), mknod("old", S_IFREG | 0600, 0))                             \
  ROW(mknodat, , ANYWHERE, mknodat(AT_FDCWD, "new", S_IFREG | 0600, 0), mknodat(-7, "x", S_IFREG | 0600, 0))           \
  ROW(__xmknod, , ANYWHERE, xmknod(0, "new", S_IFREG | 0600, &no_device),                                              \
      xmknod(0, "old", S_IFREG | 0600, &no_device))                                                                    \
  ROW(__xmknodat, , ANYWHERE, xmknodat(0, AT_FDCWD, "new", S_IFREG | 0600, &no_device),                                \
      xmknodat(0, AT_FDCWD, "old", S_IFREG | 0600, &no_device))                                                        \
  ROW(bind, , ANYWHERE, bound("new"), bound("old"))                                                                    \
  ROW(mkdtemp, , ANYWHERE, TEMPLATE(mkdtemp(name) ? 0 : -1), TEMPLATE_NONE(mkdtemp(name) ? 0 : -1))                    \
  ROW(mkdir, , ANYWHERE, mkdir("new", 0700), mkdir("old", 0700))                                                       \
  ROW(mkdirat, , ANYWHERE, mkdirat(AT_FDCWD, "new", 0700), mkdirat(AT_FDCWD, "none/x", 0700))                          \
  ROW(link, , ANYWHERE, link("old", "new"), link("none", "x"))                                                         \
  ROW(linkat, , ANYWHERE, linkat(AT_FDCWD, "old", AT_FDCWD, "new", 0), linkat(AT_FDCWD, "old", AT_FDCWD, "other", 0))  \
  ROW(symlink, , ANYWHERE, symlink("old", "new"), symlink("old", "other"))                                             \
  ROW(symlinkat, , ANYWHERE, symlinkat("old", AT_FDCWD, "new"), symlinkat("old", AT_FDCWD, "none/x"))                  \
  ROW(rename, new, ANYWHERE, rename("old", "new"), rename("none", "x"))                                                \
  ROW(rename, onto, ANYWHERE, rename("old", "other"), rename("other", "dir"))                                          \
  ROW(renameat, , ANYWHERE, renameat(AT_FDCWD, "old", AT_FDCWD, "other"), renameat(-7, "old", AT_FDCWD, "x"))          \
  ROW(renameat2, , ANYWHERE, renameat2(AT_FDCWD, "old", AT_FDCWD, "new", 0), renameat2(-7, "none", -7, "x", 0))        \
  ROW(renameat2, exchange, ANYWHERE, renameat2(AT_FDCWD, "old", AT_FDCWD, "other", RENAME_EXCHANGE),                   \
      renameat2(AT_FDCWD, "old", AT_FDCWD, "none", RENAME_EXCHANGE))                                                   \
  ROW(renameat2, noreplace, ANYWHERE, renameat2(AT_FDCWD, "old", AT_FDCWD, "new", RENAME_NOREPLACE),                   \
      renameat2(AT_FDCWD, "other", AT_FDCWD, "old", RENAME_NOREPLACE))                                                 \
  ROW(unlink, , ANYWHERE, unlink("old"), unlink("none"))                                                               \
  ROW(unlinkat, , ANYWHERE, unlinkat(AT_FDCWD, "old", 0), unlinkat(AT_FDCWD, "dir", 0))                                \
  ROW(remove, , ANYWHERE, remove("old"), remove("none"))                                                               \
  ROW(rmdir, , ANYWHERE, rmdir("empty"), rmdir("dir"))                                                                 \
  ROW(shm_open, , ANYWHERE, shm(), fd_of(shm_open("/a/b", O_CREAT | O_RDWR, 0600)))                                    \
  ROW(shm_unlink, , ANYWHERE, shm(), shm_unlink("/contexts-none"))                                                     \
  ROW(sem_open, , ALLOCATES, sem(), sem_bad())                                                                         \
  ROW(sem_unlink, , ALLOCATES, sem(), sem_unlink("/contexts-none"))                                                    \
  ROW(truncate, , ANYWHERE, truncate("old", 1), truncate("none", 1))                                                   \
  ROW(truncate64, , ANYWHERE, truncate64("old", 1), truncate64("old", -1))                                             \
  ROW(ftruncate, , ANYWHERE, with_fd("old", O_RDWR, shorten), with_fd("old", O_RDONLY, shorten))                       \
  ROW(ftruncate64, , ANYWHERE, with_fd("old", O_RDWR, shorten64), ftruncate64(-1, 1))                                  \
  ROW(chdir, , ANYWHERE, made_in(chdir("dir")), chdir("none"))                                                         \
  ROW(fchdir, , ANYWHERE, made_in(with_fd("dir", O_RDONLY, fchdir)), fchdir(-1))                                       \
  ROW(chroot, , ANYWHERE, chroot(".") + fd_of(open("/new", O_CREAT | O_RDWR, 0600)), chroot("none"))                   \
  ROW(unshare, , ANYWHERE, unshare(CLONE_FS), unshare(1))                                                              \
  ROW(setns, , ANYWHERE, by_setns(open("/proc/self/ns/uts", O_RDONLY)), setns(-1, 0))                                  \
  ROW(daemon, , STARTS, by_daemon(), NEVER("it fails only where fork does"))                                           \
  ROW(fork, , STARTS, child_of(fork()), NEVER("it fails only when there is no memory, or no number left"))             \
  ROW(_Fork, , STARTS, child_of(_Fork()), NEVER("as fork"))                                                            \
  ROW(forkpty, , STARTS, by_pty(), NEVER("as fork"))                                                                   \
  ROW(fts_open, , ALLOCATES, walked(fts_open(tree_names, FTS_PHYSICAL, NULL)), walked(fts_open(no_names, 0, NULL)))    \
  ROW(fts64_open, , ALLOCATES, walked((FTS *)fts64_open(tree_names, FTS_PHYSICAL, NULL)),                              \
      walked((FTS *)fts64_open(tree_names, 0x7f000, NULL)))                                                            \
  ROW(nftw, , ALLOCATES, nftw(".", met, 4, FTW_CHDIR), nftw("none", met, 4, FTW_CHDIR))                                \
  ROW(nftw64, , ALLOCATES, nftw64(".", met64, 4, FTW_CHDIR), nftw64("none", met64, 4, FTW_CHDIR))                      \
  ROW(execve, , ANYWHERE, execve(TRUE, ARGV, environ), execve("none", ARGV, environ))                                  \
  ROW(execve, found, ANYWHERE, execve(TRUE, ARGV, NULL), execve("old", ARGV, environ))                                 \
  ROW(execv, , ANYWHERE, execv(TRUE, ARGV), execv("none", ARGV))                                                       \
  ROW(execvp, , ANYWHERE, execvp(TRUE, ARGV), execvp("./none", ARGV))                                                  \
  ROW(execvpe, , ANYWHERE, execvpe(TRUE, ARGV, environ), execvpe("./none", ARGV, environ))                             \
  ROW(execl, , ANYWHERE, execl(TRUE, "true", "a", NULL), execl("none", "true", NULL))                                  \
  ROW(execlp, , ANYWHERE, execlp(TRUE, "true", "a", NULL), execlp("./none", "true", NULL))                             \
  ROW(execle, , ANYWHERE, execle(TRUE, "true", "a", NULL, environ), execle("none", "true", NULL, environ))             \
  ROW(execveat, , ANYWHERE, execveat(AT_FDCWD, TRUE, ARGV, environ, 0), execveat(-7, "none", ARGV, environ, 0))        \
  ROW(fexecve, , ANYWHERE, fexecve(open(TRUE, O_RDONLY | O_CLOEXEC), ARGV, environ), fexecve(-1, ARGV, environ))       \
  ROW(popen, , STARTS, by_popen("exit 3", "r"), by_popen("exit 3", "q"))                                               \
  ROW(system, , STARTS, system("exit 3"), NEVER("what the shell says is its status"))                                  \
  ROW(wordexp, , STARTS, by_wordexp("$(echo a b)", 0), by_wordexp("a | b", 0))                                         \
  ROW(posix_spawn, , STARTS, by_spawn(posix_spawn, TRUE), by_spawn(posix_spawn, "none"))                               \
  ROW(posix_spawnp, , STARTS, by_spawn(posix_spawnp, TRUE), by_spawn(posix_spawnp, "./none"))                          \
  ROW(syscall, openat, ANYWHERE, fd_of((int)syscall(SYS_openat, AT_FDCWD, "new", O_CREAT | O_RDWR, 0600)),             \
      fd_of((int)syscall(SYS_openat, AT_FDCWD, "none/x", O_CREAT | O_RDWR, 0600)))                                     \
  ROW(syscall, unlinkat, ANYWHERE, (int)syscall(SYS_unlinkat, AT_FDCWD, "old", 0),                                     \
      (int)syscall(SYS_unlinkat, -7, "x", 0))                                                                          \
  ROW(syscall, renameat2, ANYWHERE, (int)syscall(SYS_renameat2, AT_FDCWD, "old", AT_FDCWD, "new", 0),                  \
      (int)syscall(SYS_renameat2, AT_FDCWD, "none", AT_FDCWD, "x", 0))                                                 \
  ROW(syscall, execve, ANYWHERE, (int)syscall(SYS_execve, TRUE, ARGV, environ),                                        \
      (int)syscall(SYS_execve, "none", ARGV, environ))                                                                 \
  ROW(syscall, exit_group, ANYWHERE, (int)syscall(SYS_exit_group, 5), NEVER("it does not return"))                     \
  ROW(syscall, other, ANYWHERE, (int)syscall(SYS_getuid) < 0, (int)syscall(SYS_close, -1))                             \
  ROW(prctl, , ANYWHERE, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) < 0, prctl(123456, 0, 0, 0, 0))                            \
  ROW(open_by_handle_at, , ANYWHERE, by_handle("old", AT_FDCWD, O_RDWR | O_TRUNC), by_handle("old", -7, O_RDWR))       \
  ROW(_exit, , ANYWHERE, (_exit(5), 0), NEVER("it does not return"))                                                   \
  ROW(_Exit, , ANYWHERE, (_Exit(5), 0), NEVER("it does not return"))                                                   \
  ROW(__open, , ANYWHERE, fd_of(NAMED(open, "__open")("new", O_CREAT | O_WRONLY, 0600)),                               \
      fd_of(NAMED(open, "__open")("none/x", O_CREAT | O_RDWR, 0600)))                                                  \
  ROW(__open64, , ANYWHERE, fd_of(NAMED(open64, "__open64")("new", O_CREAT | O_WRONLY, 0600)),                         \
      fd_of(NAMED(open64, "__open64")("none/x", O_CREAT | O_RDWR, 0600)))                                              \
  ROW(_IO_fopen, , ALLOCATES, stream_of(NAMED(fopen, "_IO_fopen")("new", "w")),                                        \
      stream_of(NAMED(fopen, "_IO_fopen")("none/x", "w")))                                                             \
  ROW(setmntent, , ALLOCATES, stream_of(setmntent("new", "w")), stream_of(setmntent("none/x", "w")))                   \
  ROW(__setmntent, , ALLOCATES, stream_of(NAMED(setmntent, "__setmntent")("new", "w")),                                \
      stream_of(NAMED(setmntent, "__setmntent")("none/x", "w")))                                                       \
  ROW(__fork, , STARTS, child_of(NAMED(fork, "__fork")()), NEVER("as fork"))                                           \
  ROW(_IO_popen, , STARTS, by_other_popen("exit 3", "r"), by_other_popen("exit 3", "q"))                               \
  ROW(posix_spawn_file_actions_addopen, , STARTS, by_addopen(7), by_addopen(-1))                                       \
  ROW(pthread_exit, , THREADS, by_pthread(), NEVER("it does not return"))                                              \
  ROW(thrd_exit, , THREADS, by_thrd(), NEVER("it does not return"))

/* Not called here, for a reason. */
static const char *const elsewhere[][2] = {
    {"exit", "it runs the handlers and destructors of the program, whose contexts are destructor and atexit"},
    {"pivot_root", "it would change the root directory of the machine that runs the test"},
    {"__libc_start_main", "it is what calls main, once"},
    {"__fts64_open_time64", "32-bit programs alone have it"},
    {"__nftw64_time64", "32-bit programs alone have it"},
};

struct row {
  const char *function;
  const char *way;
  const char *not_in_vfork;
  const char *no_failure;
  long (*succeed)(void);
  long (*fail)(void);
};

#define GLUE_(a, b, c) a##_##b##_##c
#define GLUE(a, b, c) GLUE_(a, b, c)
#define ROW(function, way, vfork, success, failure)                                                                    \
  static long GLUE(ok, function, way)(void) { return success; }                                                        \
  static long GLUE(bad, function, way)(void) { return failure; }
ROWS
#undef ROW
#define ROW(function, way, vfork, success, failure)                                                                    \
  {#function, #way, vfork, #failure, GLUE(ok, function, way), GLUE(bad, function, way)},
    static const struct row rows[] = {ROWS};
#undef ROW
#define COUNT (sizeof rows / sizeof *rows)

static const char *label(const struct row *row) {
  static char text[64];
  snprintf(text, sizeof text, "%s%s%s", row->function, row->way[0] ? "." : "", row->way);
  return text;
}

static const char *without_failure(const struct row *row) {
  const char prefix[] = "NEVER(";
  return strncmp(row->no_failure, prefix, sizeof prefix - 1) == 0 ? row->no_failure + sizeof prefix - 1 : NULL;
}

/* ---- one row ---- */

struct outcome {
  volatile int done;
  long result;
  int error;
  unsigned heap;
};

/* Shared with the children. */
static struct shared {
  struct outcome good;
  struct outcome bad;
  volatile size_t stack_used;
  const struct row *row;
} * shared;

static void call(struct outcome *out, long (*what)(void)) {
  const unsigned before = heap_calls;
  errno = CANARY;
  const long result = what();
  out->error = errno;
  out->result = result;
  out->heap = heap_calls - before;
  out->done = 1;
}

static void both(void) {
  if (!without_failure(shared->row)) call(&shared->bad, shared->row->fail);
  call(&shared->good, shared->row->succeed);
}

/* ---- contexts ---- */

static void in_thread_of_its_own(void) {
  pthread_t thread;
  void *(*const start)(void *) = (void *(*)(void *))(void *)both;
  if (pthread_create(&thread, NULL, start, NULL) == 0) pthread_join(thread, NULL);
}

static void in_fork_child(void) {
  const pid_t child = fork();
  if (child == 0) {
    both();
    _exit(0);
  }
  _exit(WEXITSTATUS(status_of(child)));
}

static void in_vfork_child(void) {
  int status;
  const pid_t child = vfork();
  if (child == 0) {
    both();
    _exit(0);
  }
  waitpid(child, &status, 0);
  fd_of(open("after-vfork", O_CREAT | O_WRONLY, 0600)); /* the parent goes on as if nothing had been */
  _exit(WEXITSTATUS(status));
}

static char *stack; /* STACK_ROOM bytes behind a page that cannot be touched */
static size_t stack_bytes;

static void handler(int signal_number) {
  (void)signal_number;
  both();
}

static size_t used_of(void) {
  size_t untouched = 0;
  while (untouched < stack_bytes && (unsigned char)stack[untouched] == PAINT) untouched++;
  return stack_bytes - untouched;
}

static void in_handler(void) {
  const stack_t alternate = {.ss_sp = stack, .ss_size = stack_bytes};
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
  memset(stack, PAINT, stack_bytes);
  if (sigaltstack(&alternate, NULL) || sigaction(SIGUSR1, &action, NULL)) _exit(99);
  raise(SIGUSR1);
  shared->stack_used = used_of();
}

static void after_chroot(void) {
  const int needs_programs = strstr(shared->row->function, "exec") || strstr(shared->row->function, "spawn") ||
                             strcmp(shared->row->function, "popen") == 0 ||
                             strcmp(shared->row->function, "system") == 0 ||
                             strcmp(shared->row->function, "wordexp") == 0 || strcmp(shared->row->way, "execve") == 0;
  if (geteuid() == 0 && chroot(needs_programs ? "/" : ".")) _exit(99);
  both();
}

static void after_setuid(void) {
  if (geteuid() == 0 && (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))) _exit(99);
  both();
}

static void with_few_descriptors(void) {
  if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){8, 8})) _exit(99);
  both();
}

static void with_little_memory(void) {
  unsigned long pages = 0;
  FILE *const statm = fopen("/proc/self/statm", "r");
  if (!statm || fscanf(statm, "%lu", &pages) != 1) _exit(99);
  fclose(statm);
  const rlim_t limit = pages * PAGE + 512 * 1024;
  if (setrlimit(RLIMIT_AS, &(struct rlimit){limit, limit})) _exit(99);
  both();
}

/* ---- under a filter ---- */

static unsigned char needed[COUNT][CALLS_MAX]; /* by row: the system calls of the plain run */
static int is_strict;

static void install_filter(void) {
  static struct sock_filter program[CALLS_MAX + 8];
  unsigned n = 0;
  const size_t row = (size_t)(shared->row - rows);
  static const int always[] = {SYS_futex,           SYS_exit,     SYS_exit_group, SYS_rt_sigreturn,
                               SYS_restart_syscall, SYS_getrandom};
  program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (size_t i = 0; i < sizeof always / sizeof *always; i++) needed[row][always[i]] = 1;
  for (unsigned i = 0; i < CALLS_MAX && is_strict; i++) {
    if (!needed[row][i]) continue;
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, i, 0, 1);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    if (n >= CALLS_MAX) _exit(98);
  }
  program[n++] =
      (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, is_strict ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ALLOW);
  const struct sock_fprog filter = {(unsigned short)n, program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) _exit(97);
  if (row % 2 ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0)
              : syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, row % 4 ? SECCOMP_FILTER_FLAG_TSYNC : 0, &filter))
    _exit(96);
}

static void under_filter(void) {
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP)) _exit(99);
  install_filter();
  both();
  _exit(0);
}

/* Follows child and all that it starts. futex and getrandom (of mkstemp) are called or not as it happens. Marks the
 * calls made after the filter in seen, and lists those of the child itself, up to its exec. */
static int follow(pid_t child, unsigned char *seen, char *list, size_t size) {
  int status;
  int result = -1;
  int counting = 0;
  int listing = 1;
  size_t at = 0;
  list[0] = '\0';
  waitpid(child, &status, 0);
  ptrace(PTRACE_SETOPTIONS, child, NULL,
         (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                  PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL));
  ptrace(PTRACE_SYSCALL, child, NULL, NULL);
  for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0;) {
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (pid == child) result = status;
      continue;
    }
    long deliver = 0;
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      struct __ptrace_syscall_info info;
      ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info);
      const unsigned long number = info.entry.nr;
      if (info.op == PTRACE_SYSCALL_INFO_ENTRY && counting && number < CALLS_MAX) {
        seen[number] = 1;
        if (pid == child && listing && at + 8 < size && number != SYS_futex && number != SYS_getrandom)
          at += (size_t)snprintf(list + at, size - at, " %lu", number);
      } else if (info.op == PTRACE_SYSCALL_INFO_ENTRY && pid == child &&
                 (number == SYS_seccomp || (number == SYS_prctl && info.entry.args[0] == PR_SET_SECCOMP))) {
        counting = 1;
      }
    } else if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
      if (pid == child) listing = 0;
    } else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP) {
      deliver = WSTOPSIG(status);
    }
    ptrace(PTRACE_SYSCALL, pid, NULL, (void *)deliver);
  }
  return result;
}

/* ---- running them ---- */

static const struct context {
  const char *name;
  void (*enter)(void);
} contexts[] = {
    {"main", both},
    {"thread", in_thread_of_its_own},
    {"fork", in_fork_child},
    {"vfork", in_vfork_child},
    {"altstack", in_handler},
    {"chroot", after_chroot},
    {"setuid", after_setuid},
    {"nofile", with_few_descriptors},
    {"as", with_little_memory},
    {"seccomp", under_filter},
    /* by whoever calls contexts_call at the right moment */
    {"constructor-before", both},
    {"constructor-after", both},
    {"destructor", both},
    {"destructor-after", both},
    {"atexit", both},
};
#define CONTEXTS (sizeof contexts / sizeof *contexts)

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list_directory(const char *path, const char *prefix) {
  char *names[64];
  size_t count = 0;
  DIR *const dir = opendir(path);
  struct dirent *entry;
  while (dir && (entry = readdir(dir)) && count < 64)
    if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) names[count++] = strdup(entry->d_name);
  if (dir) closedir(dir);
  qsort(names, count, sizeof *names, by_name);
  for (size_t i = 0; i < count; i++) {
    char full[PATH_MAX];
    struct stat st;
    snprintf(full, sizeof full, "%s/%s", path, names[i]);
    if (lstat(full, &st)) continue;
    if (strncmp(names[i], "tmp.", 4) == 0) memcpy(names[i] + 4, "XXXXXX", 6);
    printf(" %s%s:%o", prefix, names[i], (unsigned)st.st_mode);
    if (S_ISREG(st.st_mode)) printf(":%lld", (long long)st.st_size);
    if (S_ISDIR(st.st_mode)) list_directory(full, names[i][0] ? "/" : "");
    free(names[i]);
  }
}

static void tell(const char *what, const struct outcome *o, const char *absent) {
  if (o->done)
    printf(" %s=%ld/%s heap=%u", what, o->result, o->error == CANARY ? "kept" : strerrorname_np(o->error), o->heap);
  else
    printf(" %s=%s", what, absent);
}

static int ends(const struct row *row) {
  return strstr(row->function, "exec") || strstr(row->function, "_exit") == row->function ||
         strcmp(row->function, "_Exit") == 0 || strcmp(row->way, "execve") == 0 || strcmp(row->way, "exit_group") == 0;
}

static void run_row(const struct context *context, const struct row *row, const char *base, size_t size) {
  char directory[PATH_MAX];
  char calls[4096] = "";
  const int filtered = context->enter == under_filter;
  snprintf(directory, sizeof directory, "%s/%s/%s", base, context->name, label(row));
  if (context->enter == in_vfork_child && row->not_in_vfork) {
    printf("%s %s: not meant: %s\n", context->name, label(row), row->not_in_vfork);
    return;
  }
  memset(shared, 0, sizeof *shared);
  shared->row = row;
  stack_bytes = size ? size : STACK_ROOM;
  char *const room = mmap(NULL, STACK_ROOM + PAGE, PROT_READ | PROT_WRITE,
                          MAP_ANONYMOUS | (ends(row) ? MAP_SHARED : MAP_PRIVATE), -1, 0);
  stack = room + PAGE;
  mprotect(room, PAGE, PROT_NONE);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    if (chdir(directory)) _exit(99);
    context->enter();
    _exit(0);
  }
  int status = -1;
  if (filtered)
    status = follow(child, needed[row - rows], calls, sizeof calls);
  else
    waitpid(child, &status, 0);
  if (ends(row)) shared->stack_used = used_of();
  munmap(room, STACK_ROOM + PAGE);
  printf("%s %s: status=%#x", context->name, label(row), (unsigned)status);
  tell("good", &shared->good, "ended");
  tell("bad", &shared->bad, without_failure(row) ? "none" : "ended");
  printf(" left:");
  list_directory(directory, "");
  if (filtered) printf(" calls:%s", calls);
  if (context->enter == in_handler && size == 0) printf(" stack=%zu", shared->stack_used);
  printf("\n");
}

static const struct context *context_of(const char *name) {
  for (size_t i = 0; i < CONTEXTS; i++)
    if (strcmp(contexts[i].name, name) == 0) return &contexts[i];
  return NULL;
}

static void get_ready(void) {
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  void *symbol = dlsym(RTLD_DEFAULT, "__xmknod");
  memcpy(&xmknod, &symbol, sizeof symbol);
  symbol = dlsym(RTLD_DEFAULT, "__xmknodat");
  memcpy(&xmknodat, &symbol, sizeof symbol);
}

static int run(const char *name, const char *base, const char *file) {
  const struct context *const context = context_of(name);
  if (!context) return 2;
  get_ready();
  FILE *given = file ? fopen(file, "r") : NULL;
  if (file && !given) return 3;
  is_strict = context->enter == under_filter && given;
  if (is_strict && fread(needed, sizeof needed, 1, given) != 1) return 3;
  for (size_t i = 0; i < COUNT; i++) {
    size_t size = 0;
    if (given && !is_strict && fscanf(given, "%zu", &size) != 1) return 3;
    run_row(context, &rows[i], base, size);
  }
  if (given) fclose(given);
  if (context->enter == under_filter && !file) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/../calls", base);
    FILE *const out = fopen(path, "w");
    if (!out || fwrite(needed, sizeof needed, 1, out) != 1 || fclose(out)) return 3;
  }
  fflush(stdout);
  return 0;
}

static void put(const char *directory, const char *name, const char *text) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  const int fd = open(path, O_CREAT | O_WRONLY, 0666);
  if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || close(fd)) exit(4);
}

static void make(const char *path, const char *name) {
  char full[PATH_MAX];
  snprintf(full, sizeof full, "%s/%s", path, name);
  if (mkdir(full, 0777) && errno != EEXIST) exit(4);
}

static int prepare(const char *base, const char *context) {
  umask(0);
  if (!context_of(context) || chdir(base)) return 4;
  make(".", context);
  for (size_t i = 0; i < COUNT; i++) {
    char directory[128];
    make(context, label(&rows[i]));
    snprintf(directory, sizeof directory, "%s/%s", context, label(&rows[i]));
    make(directory, "dir");
    make(directory, "empty");
    put(directory, "dir/in", "data\n");
    put(directory, "old", "some data\n");
    put(directory, "other", "other data\n");
  }
  return 0;
}

/* Called by contexts_library.so, or by one of the two below. */
static const char *context_asked_for(const char **base) {
  *base = getenv("CONTEXTS_BASE");
  return *base ? getenv("CONTEXTS_WHEN") : NULL;
}

__attribute__((visibility("default"))) void contexts_call(const char *when) {
  const char *base;
  const char *const wanted = context_asked_for(&base);
  if (wanted && strcmp(wanted, when) == 0) (void)run(when, base, NULL);
}

static void at_exit(void) { contexts_call("atexit"); }
__attribute__((destructor)) static void at_end(void) { contexts_call("destructor"); }

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "prepare") == 0) return prepare(argv[2], argv[3]);
  if (argc == 2 && strcmp(argv[1], "list") == 0) {
    for (size_t i = 0; i < COUNT; i++) printf("%s\n", rows[i].function);
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
      printf("%s\n  %s is not called: %s\n", elsewhere[i][0], elsewhere[i][0], elsewhere[i][1]);
    return 0;
  }
  if (argc == 2 && strcmp(argv[1], "wait") == 0) return atexit(at_exit); /* the work is done before or behind main */
  if (argc >= 4 && strcmp(argv[1], "run") == 0) return run(argv[2], argv[3], argv[4]);
  return 2;
}
