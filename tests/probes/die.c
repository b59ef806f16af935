/* die DIR HOW [READY]: makes files and directories in DIR, then READY, prints "made", and ends as told: return, exit,
 * _exit, _Exit, quick_exit, abort, pause (until killed), the number of a signal, or status=N. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void make(const char *dir) {
  char path[4096];
  snprintf(path, sizeof path, "%s/by-open", dir);
  int fd = open(path, O_CREAT | O_WRONLY, 0600);
  if (fd < 0 || write(fd, "open\n", 5) != 5 || close(fd)) exit(90);
  snprintf(path, sizeof path, "%s/by-fopen", dir);
  FILE *file = fopen(path, "w");
  if (!file || fputs("fopen\n", file) < 0 || fclose(file)) exit(91);
  snprintf(path, sizeof path, "%s/by-mkstemp-XXXXXX", dir);
  fd = mkstemp(path);
  if (fd < 0 || close(fd)) exit(92);
  snprintf(path, sizeof path, "%s/by-mkdir", dir);
  if (mkdir(path, 0700)) exit(93);
  snprintf(path, sizeof path, "%s/by-mkdir/below", dir);
  fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0 || close(fd)) exit(94);
}

int main(int argc, char **argv) {
  if (argc != 3 && argc != 4) return 2;
  const char *how = argv[2];
  make(argv[1]);
  if (argc == 4 && mkdir(argv[3], 0700)) return 95;
  puts("made");
  fflush(stdout);
  if (strcmp(how, "return") == 0) return 3;
  if (strcmp(how, "exit") == 0) exit(4);
  if (strcmp(how, "_exit") == 0) _exit(5);
  if (strcmp(how, "_Exit") == 0) _Exit(6);
  if (strcmp(how, "quick_exit") == 0) quick_exit(7);
  if (strcmp(how, "abort") == 0) abort();
  if (strncmp(how, "status=", 7) == 0) return atoi(how + 7);
  const int number = atoi(how);
  while (number > 0) raise(number);
  if (strcmp(how, "pause") == 0) {
    for (;;) pause();
  }
  return 99;
}
