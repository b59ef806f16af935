/* nochild DIR: has no children, so wait must say so: at the start, and after files were made. Prints what it saw. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void look(const char *when) {
  int status = 0;
  pid_t pid = waitpid(-1, &status, WNOHANG);
  printf("%s: %s\n", when, pid < 0 && errno == ECHILD ? "no child" : "A CHILD");
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  look("at the start");
  char path[4096];
  snprintf(path, sizeof path, "%s/file", argv[1]);
  int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0 || close(fd)) return 90;
  look("after a file");
  nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
  look("a moment later");
  return 0;
}
