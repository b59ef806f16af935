/* model_worker ROOT NUMBER: one process of the model test (tests/model).
 *
 * A plain program with nothing of ours in it: it connects to ROOT/driver, says its number and pid, and then does what
 * each message says (a line of tests/model/actions.h) with ordinary libc calls, answering "RESULT ERRNO NAME". The
 * driver waits for each answer, so the actions of all processes are totally ordered and a model can be exact.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char *root;
static const char *program;
static int driver = -1;

/* A path in the style that the action asks for: what to give to the ...at function, and to the plain one. */
struct place {
  int dirfd;
  char name[PATH_MAX];
  bool changed_dir;
  bool raw; /* syscall() instead of the libc function */
};

static int nameless = -1; /* what tmpfile has opened */

static void connect_to_driver(const char *number) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char hello[64];
  if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s/driver", root) >= sizeof address.sun_path)
    exit(121);
  driver = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (driver < 0 || connect(driver, (struct sockaddr *)&address, sizeof address) != 0) exit(122);
  snprintf(hello, sizeof hello, "%s %ld", number, (long)getpid());
  if (send(driver, hello, strlen(hello), MSG_NOSIGNAL) < 0) exit(123);
}

static int place_take(struct place *place, char style, const char *path, bool second) {
  *place = (struct place){.dirfd = AT_FDCWD, .raw = style == 's'};
  if (style == 'r') {
    snprintf(place->name, sizeof place->name, "%s", path);
    return 0;
  }
  snprintf(place->name, sizeof place->name, "%s/%s", root, path);
  if (style == 'a' || style == 's' || ((style == 'c' || style == 'f') && second)) return 0;
  char *slash = strrchr(place->name, '/');
  char leaf[NAME_MAX + 1];
  snprintf(leaf, sizeof leaf, "%s", slash + 1);
  *slash = '\0';
  if (style == 'c') {
    if (chdir(place->name) != 0) return -1;
    place->changed_dir = true;
  } else if (style == 'f') {
    const int fd = open(place->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int result = fd < 0 ? -1 : fchdir(fd);
    if (fd >= 0) close(fd);
    if (result != 0) return -1;
    place->changed_dir = true;
  } else {
    place->dirfd = open(place->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place->dirfd < 0) return -1;
  }
  snprintf(place->name, sizeof place->name, "%s", leaf);
  return 0;
}

static void place_leave(struct place *place) {
  const int saved = errno;
  if (place->dirfd >= 0) close(place->dirfd);
  if (place->changed_dir && chdir(root) != 0) exit(124);
  errno = saved;
}

static int write_text(int fd, const char *text) {
  if (fd < 0) return -1;
  if (strcmp(text, "-") != 0 && write(fd, text, strlen(text)) != (ssize_t)strlen(text)) return -1;
  return close(fd);
}

static int open_in(const struct place *place, int flags, const char *text) {
  if (place->raw) return write_text((int)syscall(SYS_openat, AT_FDCWD, place->name, flags, 0644), text);
  return write_text(
      place->dirfd == AT_FDCWD ? open(place->name, flags, 0644) : openat(place->dirfd, place->name, flags, 0644), text);
}

static int fopen_in(const struct place *place, const char *mode, const char *text) {
  FILE *file = fopen(place->name, mode);
  if (!file) return -1;
  if (strcmp(text, "-") != 0) fputs(text, file);
  return fclose(file) == 0 ? 0 : -1;
}

static int make_unique(const char *verb, struct place *place, const char *text, char *made) {
  if (strlen(place->name) + 8 > sizeof place->name) return -1;
  strcat(place->name, ".XXXXXX");
  const int result =
      strcmp(verb, "mkstemp") == 0 ? write_text(mkstemp(place->name), text) : (mkdtemp(place->name) ? 0 : -1);
  const char *slash = strrchr(place->name, '/');
  snprintf(made, NAME_MAX + 1, "%.*s", NAME_MAX, slash ? slash + 1 : place->name);
  return result;
}

/* The file that tmpfile opens stays open until it is named, or another one is made. */
static int open_nameless(const struct place *place, const char *text) {
  char dir[PATH_MAX];
  snprintf(dir, sizeof dir, "%s", place->name);
  char *slash = strrchr(dir, '/');
  *(slash ? slash : dir) = '\0';
  const int fd = openat(place->dirfd, slash ? dir : ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644);
  if (fd < 0) return -1;
  if (nameless >= 0) close(nameless);
  nameless = fd;
  return strcmp(text, "-") == 0 || write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

static int name_nameless(const struct place *place) {
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", nameless);
  return linkat(AT_FDCWD, name, place->dirfd, place->name, AT_SYMLINK_FOLLOW);
}

static int act_on_one_raw(const char *verb, const struct place *at, const char *text) {
  if (strcmp(verb, "mkdir") == 0) return (int)syscall(SYS_mkdirat, AT_FDCWD, at->name, 0755);
  if (strcmp(verb, "rmdir") == 0) return (int)syscall(SYS_unlinkat, AT_FDCWD, at->name, AT_REMOVEDIR);
  if (strcmp(verb, "unlink") == 0) return (int)syscall(SYS_unlinkat, AT_FDCWD, at->name, 0);
  return (int)syscall(SYS_symlinkat, text, AT_FDCWD, at->name);
}

static bool is_raw(const char *verb) {
  static const char *const verbs[] = {"mkdir", "rmdir", "unlink", "symlink"};
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
    if (strcmp(verb, verbs[i]) == 0) return true;
  return false;
}

static int act_on_one(const char *verb, struct place *at, const char *text, char *made) {
  if (at->raw && is_raw(verb)) return act_on_one_raw(verb, at, text);
  if (strcmp(verb, "tmpfile") == 0) return open_nameless(at, text);
  if (strcmp(verb, "linkfd") == 0) return name_nameless(at);
  const bool plain = at->dirfd == AT_FDCWD;
  if (strcmp(verb, "create") == 0) return open_in(at, O_WRONLY | O_CREAT | O_EXCL, text);
  if (strcmp(verb, "open") == 0) return open_in(at, O_WRONLY | O_CREAT | O_APPEND, text);
  if (strcmp(verb, "trunc") == 0) return open_in(at, O_WRONLY | O_CREAT | O_TRUNC, text);
  if (strcmp(verb, "creat") == 0) return write_text(creat(at->name, 0644), text);
  if (strcmp(verb, "otrunc") == 0) return open_in(at, O_WRONLY | O_TRUNC, text);
  if (strcmp(verb, "append") == 0) return open_in(at, O_WRONLY | O_APPEND, text);
  if (strcmp(verb, "fopenw") == 0) return fopen_in(at, "w", text);
  if (strcmp(verb, "fopena") == 0) return fopen_in(at, "a+", text);
  if (strcmp(verb, "fopenx") == 0) return fopen_in(at, "wx", text);
  if (strcmp(verb, "mkstemp") == 0 || strcmp(verb, "mkdtemp") == 0) return make_unique(verb, at, text, made);
  if (strcmp(verb, "mkdir") == 0) return plain ? mkdir(at->name, 0755) : mkdirat(at->dirfd, at->name, 0755);
  if (strcmp(verb, "rmdir") == 0) return plain ? rmdir(at->name) : unlinkat(at->dirfd, at->name, AT_REMOVEDIR);
  if (strcmp(verb, "unlink") == 0) return plain ? unlink(at->name) : unlinkat(at->dirfd, at->name, 0);
  if (strcmp(verb, "remove") == 0) return remove(at->name);
  if (strcmp(verb, "symlink") == 0) return plain ? symlink(text, at->name) : symlinkat(text, at->dirfd, at->name);
  errno = ENOSYS;
  return -1;
}

static int act_on_two(const char *verb, struct place *from, struct place *to) {
  const bool plain = from->dirfd == AT_FDCWD && to->dirfd == AT_FDCWD;
  if (from->raw) {
    if (strcmp(verb, "link") == 0) return (int)syscall(SYS_linkat, AT_FDCWD, from->name, AT_FDCWD, to->name, 0);
    const unsigned how = strcmp(verb, "exchange") == 0    ? RENAME_EXCHANGE
                         : strcmp(verb, "noreplace") == 0 ? RENAME_NOREPLACE
                                                          : 0;
    return (int)syscall(SYS_renameat2, AT_FDCWD, from->name, AT_FDCWD, to->name, how);
  }
  if (strcmp(verb, "link") == 0)
    return plain ? link(from->name, to->name) : linkat(from->dirfd, from->name, to->dirfd, to->name, 0);
  if (strcmp(verb, "rename") == 0)
    return plain ? rename(from->name, to->name) : renameat(from->dirfd, from->name, to->dirfd, to->name);
  const unsigned flags = strcmp(verb, "exchange") == 0 ? RENAME_EXCHANGE : RENAME_NOREPLACE;
  return renameat2(from->dirfd, from->name, to->dirfd, to->name, flags);
}

/* These functions have no ...at form: the directory is entered instead of opened. */
static bool has_at_form(const char *verb) {
  static const char *const without[] = {"creat",   "fopenw",  "fopena", "fopenx",
                                        "mkstemp", "mkdtemp", "remove", "tmpfile"};
  for (size_t i = 0; i < sizeof without / sizeof *without; i++)
    if (strcmp(verb, without[i]) == 0) return false;
  return true;
}

static int act(const char *verb, char style, const char *path, const char *other, char *made) {
  struct place first, second = {.dirfd = AT_FDCWD};
  const bool two = strcmp(verb, "link") == 0 || strcmp(verb, "rename") == 0 || strcmp(verb, "noreplace") == 0 ||
                   strcmp(verb, "exchange") == 0;
  if (style == 'd' && !has_at_form(verb)) style = 'c';
  int result = place_take(&first, style, path, false);
  if (result == 0 && two && strcmp(verb, "link") == 0) {
    /* The kernel would find a missing old name before a missing new directory; so must we, who open it ourselves. */
    struct stat st;
    result = fstatat(first.dirfd, first.name, &st, AT_SYMLINK_NOFOLLOW);
  }
  if (result == 0 && two) result = place_take(&second, style, other, true);
  if (result == 0) result = two ? act_on_two(verb, &first, &second) : act_on_one(verb, &first, other, made);
  place_leave(&second);
  place_leave(&first);
  return result;
}

static int start_another(const char *verb, const char *number, bool *is_child) {
  char *const argv[] = {(char *)program, (char *)root, (char *)number, NULL};
  pid_t pid = 0;
  *is_child = false;
  if (strcmp(verb, "spawn") == 0) {
    const int error = posix_spawn(&pid, program, NULL, NULL, argv, environ);
    errno = error;
    return error == 0 ? 0 : -1;
  }
  pid = fork();
  if (pid != 0) return pid < 0 ? -1 : 0;
  /* A child that keeps nothing open, as a daemon would. */
  *is_child = true;
  close_range(3, ~0U, 0);
  nameless = -1;
  connect_to_driver(number);
  return 0;
}

/* `filecleanup run` on the same base, as a shell would: by the command that the driver's environment names. */
static int start_nested(const char *number) {
  char base[PATH_MAX];
  const char *command = getenv("MODEL_COMMAND");
  snprintf(base, sizeof base, "%s/base", root);
  char *const run[] = {(char *)command, "run",        "--base",       base, "--",
                       (char *)program, (char *)root, (char *)number, NULL};
  char *const *const argv = command[0] ? run : run + 5; /* "": without us */
  pid_t pid = 0;
  const int error = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);
  errno = error;
  return error == 0 ? 0 : -1;
}

static void answer(int result, const char *made) {
  char text[NAME_MAX + 64];
  const int length = snprintf(text, sizeof text, "%d %d %s", result, result == 0 ? 0 : errno, made[0] ? made : "-");
  if (send(driver, text, (size_t)length, MSG_NOSIGNAL) < 0) exit(125);
}

int main(int argc, char **argv) {
  char line[4096], number[16], verb[16], path[PATH_MAX / 2], other[PATH_MAX / 2];
  if (argc != 3) return 2;
  program = argv[0];
  root = argv[1];
  signal(SIGCHLD, SIG_IGN); /* nobody waits for the processes that this one starts */
  connect_to_driver(argv[2]);
  for (;;) {
    char style = 'r', made[NAME_MAX + 1] = "";
    const ssize_t length = recv(driver, line, sizeof line - 1, 0);
    if (length <= 0) _exit(120); /* the driver has gone */
    line[length] = '\0';
    path[0] = other[0] = '\0';
    if (sscanf(line, "%15s %15s", verb, number) != 2) return 2;
    if (strcmp(verb, "root") == 0) { /* the next list begins, in a new directory of the old name */
      answer(chdir(root), made);
      continue;
    }
    if (strcmp(verb, "exit") == 0) exit(0);
    if (strcmp(verb, "_exit") == 0) _exit(0);
    if (strcmp(verb, "return") == 0) return 0;
    if (strcmp(verb, "abort") == 0) abort();
    if (strcmp(verb, "exec") == 0) {
      char *const again[] = {(char *)program, (char *)root, number, NULL};
      execv(program, again);
      answer(-1, made);
      continue;
    }
    if (strcmp(verb, "nest") == 0) {
      sscanf(line, "%*s %*s %15s", number);
      answer(start_nested(number), made);
      continue;
    }
    if (strcmp(verb, "fork") == 0 || strcmp(verb, "spawn") == 0) {
      bool is_child;
      sscanf(line, "%*s %*s %15s", number);
      const int result = start_another(verb, number, &is_child);
      if (!is_child) answer(result, made);
      continue;
    }
    if (sscanf(line, "%*s %*s %c %2047s %2047s", &style, path, other) < 2) return 2;
    answer(act(verb, style, path, other, made), made);
  }
}
