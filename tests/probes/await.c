/* await PATH: returns 0 as soon as PATH exists, 1 after five minutes, which no test takes. One process that waits,
 * where a shell loop would start hundreds. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define STEP_MS 2
#define LIMIT_MS 300000

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  for (int waited = 0; waited < LIMIT_MS; waited += STEP_MS) {
    if (access(argv[1], F_OK) == 0) return 0;
    nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
  }
  fprintf(stderr, "await: %s did not come\n", argv[1]);
  return 1;
}
