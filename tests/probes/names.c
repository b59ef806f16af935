/* names DIR [PROGRAM ARGUMENT...]: makes, renames and removes names in DIR by every function of libc's that does so,
 * walks DIR with the functions that change the directory inside libc, starts children, prints what each call returned,
 * and becomes PROGRAM, or ends with status 3 by return.
 *
 * It is also compiled for other machines and word sizes, where these functions have other names (open64,
 * __nftw64_time64). */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void tell(const char *what, long result) { printf("%s: %s\n", what, result < 0 ? strerror(errno) : "done"); }

static void opened(const char *what, int fd) {
  tell(what, fd);
  if (fd >= 0 && (write(fd, "text\n", 5) != 5 || close(fd))) exit(90);
}

static void streamed(const char *what, FILE *stream) {
  tell(what, stream ? 0 : -1);
  if (stream && (fputs("text\n", stream) < 0 || fclose(stream))) exit(91);
}

static void make(void) {
  char a[] = "mkstemp-XXXXXX", b[] = "mkostemp-XXXXXX", c[] = "mkstemps-XXXXXX.x", d[] = "mkostemps-XXXXXX.x";
  char e[] = "mkdtemp-XXXXXX", f[] = "mkstemp64-XXXXXX";
  opened("open", open("open", O_CREAT | O_WRONLY, 0644));
  opened("open64", open64("open64", O_CREAT | O_WRONLY, 0644));
  opened("openat", openat(AT_FDCWD, "openat", O_CREAT | O_WRONLY | O_EXCL, 0644));
  opened("openat64", openat64(AT_FDCWD, "openat64", O_CREAT | O_RDWR, 0644));
  opened("creat", creat("creat", 0644));
  opened("creat64", creat64("creat64", 0644));
  opened("mkstemp", mkstemp(a));
  opened("mkstemp64", mkstemp64(f));
  opened("mkostemp", mkostemp(b, O_CLOEXEC));
  opened("mkstemps", mkstemps(c, 2));
  opened("mkostemps", mkostemps(d, 2, 0));
  opened("open without O_CREAT", open("none", O_WRONLY));
  opened("open again", open("open", O_CREAT | O_WRONLY | O_APPEND, 0644));
  streamed("fopen", fopen("fopen", "w"));
  streamed("fopen64", fopen64("fopen64", "a"));
  streamed("freopen", freopen("freopen", "w", fopen("fopen", "r")));
  streamed("freopen64", freopen64("freopen64", "w", fopen("fopen", "r")));
  tell("mkdtemp", mkdtemp(e) ? 0 : -1);
  tell("mkdir", mkdir("mkdir", 0755));
  tell("mkdirat", mkdirat(AT_FDCWD, "mkdirat", 0755));
  tell("mkfifo", mkfifo("mkfifo", 0644));
  tell("mknod", mknod("mknod", S_IFREG | 0644, 0));
  tell("symlink", symlink("open", "symlink"));
  tell("link", link("open", "link"));
  tell("link again", link("open", "link"));
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "bind"};
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  tell("bind", bind(fd, (struct sockaddr *)&address, sizeof address));
  close(fd);
}

static void change(void) {
  tell("rename", rename("openat", "renamed"));
  tell("renameat2", renameat2(AT_FDCWD, "openat64", AT_FDCWD, "renamed2", 1));
  tell("rename over", rename("creat", "creat64"));
  tell("rename of a directory", rename("mkdir", "mkdirat"));
  tell("unlink", unlink("renamed2"));
  tell("unlinkat", unlinkat(AT_FDCWD, "mkdirat", AT_REMOVEDIR));
  tell("remove", remove("fopen64"));
  tell("rmdir", rmdir("none"));
  tell("truncate", truncate("open", 2));
  tell("truncate64", truncate64("open64", 3));
}

/* In the directory that libc has changed to. */
static int at_entry(const char *path, const struct stat *st, int type, struct FTW *where) {
  (void)path, (void)st, (void)where;
  if (type == FTW_F && strcmp(path + where->base, "again") == 0 && unlink("again") == 0)
    opened("in nftw", open("in-nftw", O_CREAT | O_WRONLY, 0644));
  return 0;
}

static void walk(void) {
  tell("mkdir", mkdir("walked", 0755));
  tell("mknod", mknod("walked/again", S_IFREG | 0644, 0)); /* empty, or there already */
  tell("nftw", nftw("walked", at_entry, 4, FTW_CHDIR | FTW_PHYS));
  opened("again", open("walked/again", O_CREAT | O_EXCL | O_WRONLY, 0644));
  char *const paths[] = {"walked", NULL};
  FTS *fts = fts_open(paths, FTS_PHYSICAL, NULL);
  tell("fts_open", fts ? 0 : -1);
  for (FTSENT *entry; fts && (entry = fts_read(fts));)
    if (entry->fts_info == FTS_F) opened("in fts", open("in-fts", O_CREAT | O_WRONLY | O_TRUNC, 0644));
  if (fts) tell("fts_close", fts_close(fts));
}

static void start_children(const char *self) {
  fflush(stdout);
  if (fork() == 0) {
    opened("in a child", open("child", O_CREAT | O_WRONLY, 0644));
    fflush(stdout);
    _exit(0);
  }
  wait(NULL);
  fflush(stdout);
  tell("system", system("echo x > by-system"));
  char *const arguments[] = {(char *)self, "-", NULL};
  pid_t pid = 0;
  int status = 0;
  const int rc = posix_spawn(&pid, self, NULL, NULL, arguments, environ);
  waitpid(pid, &status, 0);
  printf("posix_spawn: %d %d\n", rc, WEXITSTATUS(status));
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  printf("%s\n", argv[1]);
  if (strcmp(argv[1], "-") == 0) {
    opened("spawned", open("spawned", O_CREAT | O_WRONLY, 0644));
    return 4;
  }
  const char *self = realpath("/proc/self/exe", NULL);
  if (mkdir(argv[1], 0755) && errno != EEXIST) return 92;
  const int here = open(".", O_RDONLY | O_DIRECTORY);
  if (chdir(argv[1]) || here < 0) return 93;
  make();
  change();
  walk();
  start_children(self);
  fflush(stdout);
  if (fchdir(here) || close(here)) return 94;
  if (argc > 2) {
    execvp(argv[2], argv + 2);
    tell("execvp", -1);
    return 95;
  }
  return 3;
}
