/* vforkfail DIR: makes DIR/needed; 50 children by vfork try to execute what does not exist and leave by _exit; the file
 * must still be there, and the parent must still be able to make and remove names. Prints "kept". */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  char needed[4096], other[4096];
  snprintf(needed, sizeof needed, "%s/needed", argv[1]);
  snprintf(other, sizeof other, "%s/other", argv[1]);
  int fd = open(needed, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0 || close(fd)) return 90;
  for (int i = 0; i < 50; i++) {
    pid_t child = vfork();
    if (child == 0) {
      execl("/nonexistent/program", "program", (char *)NULL);
      _exit(127);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 127) return 91;
    if (access(needed, F_OK)) {
      printf("lost after %d\n", i + 1);
      return 1;
    }
  }
  /* Time for a guardian that took the child's end for the session's. */
  nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
  fd = open(other, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0 || close(fd)) return 92;
  puts(access(needed, F_OK) ? "lost" : "kept");
  return 0;
}
