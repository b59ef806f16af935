/* workload: a host that does a little of everything, one change of a name at a time, and tells what came of each.
 *
 * usage: workload BASE OUTSIDE END [STEPS [CHURN]]
 *        workload child BASE NAME
 *
 * CHURN: in between it makes and removes so many files, and waits a moment for whoever keeps the journal short.
 * Each step is one call; its number, name, result and errno are one line on stdout. After STEPS of them (default: all)
 * it ends: END is `return`, `_exit` or `kill` (itself, by SIGKILL). What it makes for itself is named tmp-*. All else
 * is the user's, or has become the user's by what it did: u-*  stands with the same contents afterwards, whatever
 * happens to filecleanup c-*  holds a copy of what a u-* held before it was removed, emptied or exchanged: the data
 * must stand somewhere At the end it tells what a host can see of itself: open descriptors, signal mask, umask,
 * directory.
 *
 * An O_EXCL of its own comes with the mode 0600, for whoever must tell it from a probe.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS 7
#define DESCRIPTORS_SHOWN 64

static const char *end;
static int steps_wanted = -1;
static int *steps; /* shared with its children, which go on counting */
static pid_t first;
static const char *self;
static const char *base;

static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (write(1, line, (size_t)length) != length) _exit(99);
}

static void tell_of_itself(void) {
  char open_ones[DESCRIPTORS_SHOWN + 1] = "";
  for (int fd = 0; fd < DESCRIPTORS_SHOWN; fd++) open_ones[fd] = fcntl(fd, F_GETFD) >= 0 ? 'x' : '.';
  sigset_t mask;
  sigprocmask(SIG_SETMASK, NULL, &mask);
  int blocked = 0;
  for (int number = 1; number < NSIG; number++) blocked += sigismember(&mask, number) == 1;
  char directory[4096] = "";
  const char *const leaf = getcwd(directory, sizeof directory) ? strrchr(directory, '/') : "(none)";
  const mode_t before = umask(0);
  umask(before);
  tell("descriptors %s\nblocked %d umask %o directory %s\n", open_ones, blocked, (unsigned)before, leaf);
}

static void finish(void) {
  tell_of_itself();
  if (strcmp(end, "kill") == 0) raise(SIGKILL);
  if (strcmp(end, "_exit") == 0) _exit(STATUS);
  exit(STATUS);
}

static long step(const char *what, long result) {
  const int error = result < 0 ? errno : 0;
  tell("%d %s %ld %s\n", ++*steps, what, result, error ? strerrorname_np(error) : "");
  if (*steps >= steps_wanted && steps_wanted >= 0) {
    if (getpid() != first) _exit(0);
    finish();
  }
  errno = error;
  return result;
}

/* errno is told before each call, so that a change of it by a call that succeeds is seen as well. */
#define DO(call) (errno = 0, step(#call, (long)(call)))
#define SUCCEED(call)                                                                                                  \
  do {                                                                                                                 \
    errno = EXDEV;                                                                                                     \
    const long result_ = (long)(call);                                                                                 \
    const int after_ = errno;                                                                                          \
    step(#call, result_);                                                                                              \
    if (result_ >= 0 && after_ != EXDEV) tell("errno became %s\n", strerrorname_np(after_));                           \
  } while (0)

static int status_of(pid_t child) {
  int status = -1;
  if (child < 0 || waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int put(int fd, const char *text) {
  const ssize_t length = (ssize_t)strlen(text);
  return write(fd, text, (size_t)length) == length ? 0 : -1;
}

static const char *absolute(const char *name) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/%s", base, name);
  return path;
}

static int fd;
#define WRITE_TO(call, text)                                                                                           \
  do {                                                                                                                 \
    fd = (int)DO(call);                                                                                                \
    DO(put(fd, text));                                                                                                 \
    DO(close(fd));                                                                                                     \
  } while (0)

/* What makes data of the user's move, or a name his. Each case has a process and a directory of its own: whatever one
 * of them does spares what that process made so far, and what was made in that directory and those above it, and would
 * hide that another was missed. Nothing else stands in such a directory, or all in it would be spared for that. */
static const char *outside;

static void remake(void) {
  SUCCEED(unlink("u-remade/x"));
  WRITE_TO(open("u-remade/x", O_CREAT | O_WRONLY, 0644), "the user's, made anew\n");
}
static void move_away(void) {
  SUCCEED(rename("u-moved/x", "u-moved/x.bak"));
  WRITE_TO(open(absolute("u-moved/x"), O_CREAT | O_WRONLY | O_TRUNC, 0644), "the user's, after a backup\n");
}
static void move_out(void) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/u-moved-out", outside);
  SUCCEED(rename("u-left/x", path));
  WRITE_TO(creat("u-left/x", 0644), "the user's, in place of what has left\n");
}
static void move_over(void) {
  SUCCEED(rename("u-source/x", "u-over/x"));
  WRITE_TO(open("u-source/x", O_CREAT | O_WRONLY, 0644), "the user's, made anew\n");
}
static void move_in(void) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/u-in", outside);
  SUCCEED(rename(path, "u-into/x"));
}
static void save(void) {
  WRITE_TO(open("u-saved/tmp-x", O_CREAT | O_WRONLY, 0644), "the user's, saved\n");
  SUCCEED(rename("u-saved/tmp-x", "u-saved/x"));
}
static void remake_by_descriptor(void) {
  const int here = (int)DO(open("u-at", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  SUCCEED(unlinkat(here, "x", 0));
  WRITE_TO(openat(here, "x", O_CREAT | O_WRONLY, 0644), "the user's, by a descriptor\n");
  DO(close(here));
}
static void remake_by_a_link(void) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/u-way/u-by-a-link/x", outside);
  SUCCEED(unlink(path));
  WRITE_TO(open(absolute("u-by-a-link/x"), O_CREAT | O_WRONLY, 0644), "the user's, removed by another name\n");
}
static void remake_directory(void) {
  SUCCEED(rmdir("u-directory/d"));
  SUCCEED(mkdir("u-directory/d", 0750));
}
static void link_to(void) { SUCCEED(link("u-untouched", "u-linked")); }
static void stand_on_ground(void) {
  WRITE_TO(open("u-ground/u-new", O_CREAT | O_WRONLY, 0640), "on the user's ground\n");
}
static void keep(void) {
  fd = (int)DO(open("u-kept", O_CREAT | O_WRONLY, 0644));
  DO(close(fd));
}

static void copy(const char *name) {
  static char path[4096], text[64];
  snprintf(path, sizeof path, "c-%s", name);
  SUCCEED(mkdir(path, 0755));
  snprintf(path, sizeof path, "c-%s/copy", name);
  snprintf(text, sizeof text, "data: %s\n", name);
  WRITE_TO(open(path, O_CREAT | O_WRONLY, 0644), text);
}
static void remove_copied(void) {
  copy("removed");
  DO(unlink("u-removed/x"));
}
static void empty_copied(void) {
  copy("emptied");
  fd = (int)DO(open("u-emptied/x", O_CREAT | O_WRONLY | O_TRUNC, 0644));
  DO(close(fd));
}
static void empty_without_creating(void) {
  copy("opened");
  fd = (int)DO(open("u-opened/x", O_WRONLY | O_TRUNC));
  DO(close(fd));
}
static void truncate_copied(void) {
  copy("truncated");
  SUCCEED(truncate("u-truncated/x", 0));
}
static void shorten_copied(void) {
  copy("shortened");
  fd = (int)DO(open("u-shortened/x", O_RDWR));
  SUCCEED(ftruncate(fd, 0));
  DO(close(fd));
}
static void write_over_copied(void) {
  copy("written");
  WRITE_TO(open("u-written/x", O_CREAT | O_WRONLY, 0644), "over the user's data\n");
}
static void stream_over_copied(void) {
  copy("streamed");
  FILE *const stream = fopen("u-streamed/x", "w");
  step("fopen", stream ? 0 : -1);
  if (stream) fclose(stream);
}
static void reopen_over_copied(void) {
  copy("reopened");
  FILE *const again = fopen("/dev/null", "r");
  step("freopen", again && freopen("u-reopened/x", "w", again) ? 0 : -1);
  if (again) fclose(again);
}
static void save_over_copied(void) {
  copy("replaced");
  WRITE_TO(open("u-replaced/tmp-x", O_CREAT | O_WRONLY, 0644), "the user's, saved\n");
  SUCCEED(rename("u-replaced/tmp-x", "u-replaced/x"));
}
static void exchange(void) {
  SUCCEED(mkdir("c-exchanged", 0755));
  WRITE_TO(open("c-exchanged/copy", O_CREAT | O_WRONLY, 0644), "the session's\n");
  SUCCEED(renameat2(AT_FDCWD, "c-exchanged/copy", AT_FDCWD, "u-exchanged/x", RENAME_EXCHANGE));
}

static void with_the_users_things(void) {
  static void (*const cases[])(void) = {remake,
                                        move_away,
                                        move_out,
                                        move_over,
                                        move_in,
                                        save,
                                        remake_by_descriptor,
                                        remake_by_a_link,
                                        remake_directory,
                                        link_to,
                                        stand_on_ground,
                                        keep,
                                        remove_copied,
                                        empty_copied,
                                        empty_without_creating,
                                        truncate_copied,
                                        shorten_copied,
                                        write_over_copied,
                                        stream_over_copied,
                                        reopen_over_copied,
                                        save_over_copied,
                                        exchange};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const pid_t child = fork();
    if (child == 0) {
      cases[i]();
      _exit(0);
    }
    step("a child", status_of(child));
  }
}

static void with_its_own(void) {
  static char path[4096];
  char name[] = "tmp-XXXXXX";
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "tmp-socket"};
  WRITE_TO(open("tmp-a", O_CREAT | O_WRONLY, 0644), "a\n");
  WRITE_TO(open(absolute("tmp-b"), O_CREAT | O_EXCL | O_WRONLY, 0600), "b\n");
  fd = (int)DO(creat("tmp-c", 0644));
  DO(close(fd));
  FILE *const stream = fopen("tmp-f", "w");
  step("fopen", stream ? 0 : -1);
  if (stream) fclose(stream);
  fd = (int)DO(mkstemp(name));
  DO(close(fd));
  SUCCEED(mkdir("tmp-d", 0755));
  SUCCEED(mkdir("tmp-d/sub", 0755));
  WRITE_TO(open("tmp-d/a", O_CREAT | O_WRONLY, 0644), "d/a\n");
  WRITE_TO(open("tmp-d/sub/b", O_CREAT | O_WRONLY, 0644), "d/sub/b\n");
  SUCCEED(rename("tmp-a", "tmp-a2"));
  SUCCEED(rename("tmp-b", "tmp-a2"));
  SUCCEED(rename("tmp-d", "tmp-e"));
  SUCCEED(link("tmp-c", "tmp-l"));
  SUCCEED(symlink("u-untouched", "tmp-s"));
  SUCCEED(mkfifo("tmp-fifo", 0644));
  fd = (int)DO(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  SUCCEED(bind(fd, (struct sockaddr *)&address, sizeof address));
  DO(close(fd));
  SUCCEED(unlink("tmp-c"));
  WRITE_TO(open("tmp-l", O_CREAT | O_WRONLY | O_APPEND, 0644), "again\n");
  snprintf(path, sizeof path, "%s/u-out", outside);
  SUCCEED(rename("tmp-e/a", path));
  fd = (int)DO(open(".", O_TMPFILE | O_WRONLY, 0644));
  DO(put(fd, "named late\n"));
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  DO(linkat(AT_FDCWD, path, AT_FDCWD, "tmp-linked", AT_SYMLINK_FOLLOW));
  DO(close(fd));
  /* What fails, fails as ever. */
  DO(open("none/tmp-n", O_CREAT | O_WRONLY, 0644));
  DO(open("u-untouched/tmp-n", O_CREAT | O_WRONLY, 0644));
  DO(mkdir("tmp-e", 0755));
  DO(rename("none", "tmp-n"));
  DO(unlink("none"));
  DO(rmdir("tmp-e"));
  DO(open("u-untouched", O_CREAT | O_EXCL | O_WRONLY, 0600));
}

static void churn(int times) {
  for (int i = 0; i < times; i++) {
    fd = open("tmp-churn", O_CREAT | O_WRONLY, 0644);
    if (fd < 0 || close(fd) != 0 || unlink("tmp-churn") != 0) _exit(97);
  }
  usleep(50000);
}

static void with_children(void) {
  extern char **environ;
  char *const spawned[] = {(char *)"workload", (char *)"child", (char *)base, (char *)"tmp-spawned", NULL};
  char *const executed[] = {(char *)"workload", (char *)"child", (char *)base, (char *)"tmp-executed", NULL};
  pid_t child = fork();
  if (child == 0) {
    fd = (int)DO(open("tmp-forked", O_CREAT | O_WRONLY, 0644));
    DO(unlink("tmp-f"));
    DO(mkdir("tmp-forked-d", 0755));
    DO(open("tmp-forked-d/x", O_CREAT | O_WRONLY, 0644));
    exit(3);
  }
  step("fork", status_of(child));
  if (posix_spawn(&child, self, NULL, NULL, spawned, environ) != 0) child = -1;
  step("posix_spawn", status_of(child));
  child = fork();
  if (child == 0) {
    execv(self, executed);
    _exit(98);
  }
  step("exec", status_of(child));
}

static int be_child(const char *name) {
  fd = (int)DO(open(absolute(name), O_CREAT | O_WRONLY, 0644));
  DO(put(fd, "a child's\n"));
  tell_of_itself();
  return 5;
}

int main(int argc, char **argv) {
  self = argv[0];
  first = getpid();
  steps = mmap(NULL, sizeof *steps, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (steps == MAP_FAILED) return 2;
  if (argc == 4 && strcmp(argv[1], "child") == 0) {
    base = argv[2];
    return be_child(argv[3]);
  }
  if (argc < 4) return 2;
  base = argv[1];
  end = argv[3];
  if (argc > 4) steps_wanted = atoi(argv[4]);
  if (chdir(base) != 0) return 2;
  outside = argv[2];
  with_the_users_things();
  if (argc > 5) churn(atoi(argv[5]));
  with_its_own();
  with_children();
  finish();
}
