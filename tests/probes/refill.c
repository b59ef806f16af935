/* refill BASE COUNT STOP: keeps files o0, o1, ... in BASE: makes those that are missing, with their own name and a
 * newline in them, again and again until STOP exists. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  const int count = atoi(argv[2]);
  for (long round = 0; access(argv[3], F_OK) != 0; round++) {
    for (int i = 0; i < count; i++) {
      char path[4096], text[32];
      snprintf(path, sizeof path, "%s/o%d", argv[1], i);
      const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
      if (fd < 0) continue;
      const int len = snprintf(text, sizeof text, "o%d\n", i);
      if (write(fd, text, (size_t)len) != len || close(fd)) return 3;
    }
    usleep(200);
  }
  return 0;
}
