/* leaker HOW BASE STOP: makes BASE/leak-0, leak-1, ... one every 50 ms, forgets each, and ends when STOP exists.
 *
 * HOW: plain; daemon (a double-forked child leaks, the first process returns at once); prefork (two worker children
 * leak, the first process waits). Two workers take even and odd numbers. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEP_MS 50
#define STEPS_MAX 1200

static int leak(const char *base, const char *stop, int first, int step) {
  for (int i = 0; i < STEPS_MAX && access(stop, F_OK) != 0; i++) {
    char name[4096];
    snprintf(name, sizeof name, "%s/leak-%d", base, first + i * step);
    const int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, "leak\n", 5) != 5 || close(fd)) return 3;
    nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  if (strcmp(argv[1], "plain") == 0) return leak(argv[2], argv[3], 0, 1);
  if (strcmp(argv[1], "daemon") == 0) {
    if (fork() != 0) return 0;
    setsid();
    if (fork() != 0) _exit(0);
    for (int fd = 0; fd < 3; fd++) close(fd);
    return leak(argv[2], argv[3], 0, 1);
  }
  for (int i = 0; i < 2; i++)
    if (fork() == 0) {
      for (int fd = 0; fd < 3; fd++) close(fd);
      _exit(leak(argv[2], argv[3], i, 2));
    }
  while (wait(NULL) > 0) continue;
  return 0;
}
