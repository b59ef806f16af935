/* vforkdaemon: a process whose parent has ended, and which vforks a child that cannot become its program. The child
 * shares its memory, and must not leave the session for it. usage: vforkdaemon FILE RESULT: writes "kept" or "lost" to
 * RESULT. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const int fd = open(argv[1], O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0) return 3;
  close(fd);
  if (fork() != 0) return 0;
  usleep(100000); /* the parent has gone */
  const pid_t child = vfork();
  if (child == 0) {
    execl("/nonexistent/program", "program", (char *)0);
    _exit(127);
  }
  waitpid(child, NULL, 0);
  usleep(200000);
  const char *word = access(argv[1], F_OK) == 0 ? "kept" : "lost";
  FILE *result = fopen(argv[2], "w");
  if (!result) return 4;
  fputs(word, result);
  return fclose(result);
}
