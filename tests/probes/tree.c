/* tree DIR READY: three generations of processes. Each makes a file of its name in DIR; when all are there, READY
 * appears, holding the pids of leader, middle and leaf; then all wait to be killed. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void make(const char *dir, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0 || close(fd)) exit(90);
}

static _Noreturn void wait_for_death(void) {
  for (;;) pause();
}

static void announce(const char *ready, pid_t leader, pid_t middle) {
  char path[4096];
  snprintf(path, sizeof path, "%s.tmp", ready);
  FILE *file = fopen(path, "w");
  if (!file) exit(91);
  fprintf(file, "%d %d %d\n", (int)leader, (int)middle, (int)getpid());
  if (fclose(file) || rename(path, ready)) exit(92);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  pid_t leader = getpid();
  make(argv[1], "leader");
  if (fork()) wait_for_death();
  pid_t middle = getpid();
  make(argv[1], "middle");
  if (fork()) wait_for_death();
  make(argv[1], "leaf");
  announce(argv[2], leader, middle);
  wait_for_death();
}
