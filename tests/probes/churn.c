/* churn keep DIR N          makes N files in DIR, which stay.
 * churn run DIR CYCLES P    P processes (this one and its children) make and remove files in DIR, CYCLES times each.
 * churn until FILE DIR P    the same until FILE exists; FILE.going appears after the first 10,000 times. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMES 64    /* at a time, so that no directory gets long */
#define GOING 10000 /* of two processes: more than a checkpoint's worth */

static int make(const char *path) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (fd < 0) return -1;
  return close(fd);
}

static int keep(const char *dir, long count) {
  char path[4096];
  for (long i = 0; i < count; i++) {
    snprintf(path, sizeof path, "%s/kept-%ld", dir, i);
    if (make(path) != 0) return 1;
  }
  return 0;
}

static int run(const char *dir, long cycles, const char *until) {
  char path[4096];
  char going[4096];
  snprintf(going, sizeof going, "%s.going", until ? until : "");
  for (long i = 0; cycles == 0 || i < cycles; i++) {
    snprintf(path, sizeof path, "%s/c-%d-%ld", dir, (int)getpid(), i % NAMES);
    if (make(path) != 0 || unlink(path) != 0) {
      perror(path);
      return 1;
    }
    if (!until || i % 1024 != 0) continue;
    if (i < GOING + 1024 && i >= GOING) {
      const int fd = open(going, O_WRONLY | O_CREAT, 0600);
      if (fd >= 0) close(fd);
    }
    if (access(until, F_OK) == 0) return 0;
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "keep") == 0) return keep(argv[2], atol(argv[3]));
  if (argc != 5) return 2;
  const int is_until = strcmp(argv[1], "until") == 0;
  const char *dir = is_until ? argv[3] : argv[2];
  const long cycles = is_until ? 0 : atol(argv[3]);
  const int processes = atoi(argv[4]);
  for (int i = 1; i < processes; i++)
    if (fork() == 0) return run(dir, cycles, is_until ? argv[2] : NULL);
  int rc = run(dir, cycles, is_until ? argv[2] : NULL);
  int status;
  while (wait(&status) > 0)
    if (status != 0) rc = 1;
  return rc;
}
