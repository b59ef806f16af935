#include "fuzz.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[64];
static pid_t owner;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st;
  (void)type;
  (void)ftw;
  return remove(path);
}

static void remove_scratch(void) {
  if (getpid() == owner) (void)nftw(scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_scratch(void) {
  if (scratch[0]) return scratch;
  (void)snprintf(scratch, sizeof scratch, "%s/fc-fuzz.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
  REQUIRE(mkdtemp(scratch) != NULL);
  owner = getpid();
  REQUIRE(atexit(remove_scratch) == 0);
  return scratch;
}
