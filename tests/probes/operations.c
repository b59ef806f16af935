/* operations DIR ELSEWHERE: calls between marks, for a comparison of system calls.
 *
 * Each section writes "begin NAME" and "end NAME" to a descriptor that is not open: strace shows the names, and nobody
 * else notices. DIR holds the file `there` and the directory `sub`; ELSEWHERE is outside the base. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMES 1000 /* for what must add nothing */
#define FEW 10     /* for what adds something, so that "once" and "each time" can be told apart */

static char name[4096];

static void mark(const char *edge, const char *section) {
  char text[64];
  int length = snprintf(text, sizeof text, "%s %s", edge, section);
  if (write(-1, text, (size_t)length) >= 0) abort();
}

static const char *in(const char *directory, const char *entry) {
  (void)snprintf(name, sizeof name, "%s/%s", directory, entry);
  return name;
}

static void need(int result) {
  if (result < 0) abort();
}

static void open_and_close(const char *path, int flags) {
  int fd = open(path, flags, 0600);
  need(fd);
  need(close(fd));
}

static void look(const char *base) {
  char buffer[256];
  struct stat st;
  mark("begin", "open");
  for (int i = 0; i < TIMES; i++) open_and_close(in(base, "there"), O_RDONLY);
  mark("end", "open");
  mark("begin", "write");
  for (int i = 0; i < FEW; i++) {
    int fd = open(in(base, "there"), O_WRONLY | O_APPEND);
    need(fd);
    need((int)write(fd, "x", 1));
    need(close(fd));
  }
  mark("end", "write");
  mark("begin", "fail");
  for (int i = 0; i < FEW; i++)
    if (open(in(base, "missing"), O_RDWR) >= 0 || unlink(in(base, "missing")) == 0 || rmdir(in(base, "there")) == 0 ||
        mkdir(in(base, "sub"), 0700) == 0)
      abort();
  mark("end", "fail");
  mark("begin", "stat");
  for (int i = 0; i < FEW; i++) {
    need(stat(in(base, "there"), &st));
    need(lstat(in(base, "sub"), &st));
    need(access(in(base, "there"), R_OK));
    need(chmod(in(base, "there"), 0600));
    if (readlink(in(base, "there"), buffer, sizeof buffer) >= 0) abort();
  }
  mark("end", "stat");
  mark("begin", "list");
  for (int i = 0; i < FEW; i++) {
    DIR *directory = opendir(base);
    if (!directory) abort();
    while (readdir(directory)) continue;
    need(closedir(directory));
  }
  mark("end", "list");
  mark("begin", "chdir");
  for (int i = 0; i < FEW; i++) {
    need(chdir(in(base, "sub")));
    need(chdir(".."));
    open_and_close("there", O_RDONLY);
    if (!getcwd(buffer, sizeof buffer)) abort();
  }
  mark("end", "chdir");
  mark("begin", "stdio");
  for (int i = 0; i < FEW; i++) {
    FILE *stream = fopen(in(base, "there"), "r");
    if (!stream || fgetc(stream) == EOF || fclose(stream) != 0) abort();
  }
  mark("end", "stdio");
}

static void make_and_remove(const char *directory, const char *what) {
  char other[4096];
  char section[64];
  (void)snprintf(other, sizeof other, "%s", in(directory, "other"));
#define SECTION(text, call)                                                                                            \
  (void)snprintf(section, sizeof section, "%s-%s", what, text);                                                        \
  mark("begin", section);                                                                                              \
  for (int i = 0; i < FEW; i++) {                                                                                      \
    (void)in(directory, (char[]){(char)('a' + i), '\0'});                                                              \
    call;                                                                                                              \
  }                                                                                                                    \
  mark("end", section)
  SECTION("create", open_and_close(name, O_WRONLY | O_CREAT));
  SECTION("reopen", open_and_close(name, O_WRONLY | O_CREAT));
  SECTION("truncate", open_and_close(name, O_WRONLY | O_CREAT | O_TRUNC));
  SECTION("link", need(link(name, other)); need(unlink(other)));
  SECTION("rename", need(rename(name, other)); need(rename(other, name)));
  SECTION("replace", open_and_close(other, O_WRONLY | O_CREAT | O_EXCL); need(rename(other, name)));
  SECTION("unlink", need(unlink(name)));
  SECTION("symlink", need(symlink("there", name)); need(unlink(name)));
  SECTION("mkdir", need(mkdir(name, 0700)); need(rmdir(name)));
  SECTION("fifo", need(mkfifo(name, 0600)); need(unlink(name)));
#undef SECTION
}

static void relative(const char *directory, const char *what) {
  char section[64];
  need(chdir(directory));
  (void)snprintf(section, sizeof section, "%s-relative", what);
  mark("begin", section);
  for (int i = 0; i < FEW; i++) open_and_close((char[]){(char)('a' + i), '\0'}, O_WRONLY | O_CREAT | O_EXCL);
  for (int i = 0; i < FEW; i++) need(unlink((char[]){(char)('a' + i), '\0'}));
  mark("end", section);
}

static void by_descriptor(const char *directory, const char *what) {
  char section[64];
  int at = open(directory, O_RDONLY | O_DIRECTORY);
  need(at);
  (void)snprintf(section, sizeof section, "%s-dirfd", what);
  mark("begin", section);
  for (int i = 0; i < FEW; i++) {
    int fd = openat(at, (char[]){(char)('a' + i), '\0'}, O_WRONLY | O_CREAT | O_EXCL, 0600);
    need(fd);
    need(close(fd));
  }
  for (int i = 0; i < FEW; i++) need(unlinkat(at, (char[]){(char)('a' + i), '\0'}, 0));
  mark("end", section);
  need(close(at));
}

static void start_children(void) {
  mark("begin", "fork");
  for (int i = 0; i < FEW; i++) {
    pid_t child = fork();
    need(child);
    if (child == 0) _exit(0);
    if (waitpid(child, NULL, 0) != child) abort();
  }
  mark("end", "fork");
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  mark("begin", "main");
  mark("end", "main");
  look(argv[1]);
  make_and_remove(argv[2], "outside");
  make_and_remove(argv[1], "inside");
  relative(argv[2], "outside");
  relative(argv[1], "inside");
  by_descriptor(argv[2], "outside");
  by_descriptor(argv[1], "inside");
  start_children();
  mark("begin", "exit");
  return 0;
}
