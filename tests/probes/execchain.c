/* execchain DIR N: makes DIR/first, then executes itself N times; each image looks whether DIR/first is still there,
 * and every twentieth makes a file of its own. The last prints "arrived" and leaves by _exit. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc != 3 && argc != 4) return 2;
  int left = atoi(argv[2]);
  char path[4096];
  if (argc == 4) {
    snprintf(path, sizeof path, "%s/first", argv[1]);
    if (access(path, F_OK)) {
      fprintf(stderr, "execchain: gone with %d to go\n", left);
      return 1;
    }
  }
  if (argc == 3 || left % 20 == 0) {
    snprintf(path, sizeof path, argc == 3 ? "%s/first" : "%s/%d", argv[1], left);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (fd < 0 || close(fd)) return 90;
  }
  if (left == 0) {
    if (write(STDOUT_FILENO, "arrived\n", 8) != 8) return 91;
    _exit(0);
  }
  char next[16];
  snprintf(next, sizeof next, "%d", left - 1);
  execl(argv[0], argv[0], argv[1], next, "chain", (char *)NULL);
  return 92;
}
