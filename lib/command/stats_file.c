#include "stats_file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "operand.h"

#define LEAF "/filecleanup-report-XXXXXX"
#define FILE_NAME "/stats"

/* TMPDIR may be the base, or be made the base's by --tmpdir; it is not asked. */
static const char *place(unsigned i) {
  switch (i) {
  case 0:
    return getenv("XDG_RUNTIME_DIR");
  case 1:
    return "/tmp";
  case 2:
    return "/var/tmp";
  default:
    return "/dev/shm";
  }
}
#define PLACES 4

static bool is_beneath(const char *directory, const char *base) {
  char *real = realpath(directory, NULL);
  char *real_base = base ? realpath(base, NULL) : NULL; /* not there yet: nothing is in it */
  const bool beneath = real && real_base && fc_operand_beneath(real, real_base);
  free(real);
  free(real_base);
  return beneath;
}

bool fc_stats_file_make(const char *base, char *out, size_t size) {
  for (unsigned i = 0; i < PLACES; i++) {
    const char *directory = place(i);
    if (!directory || directory[0] != '/' || is_beneath(directory, base)) continue;
    const int len = snprintf(out, size, "%s" LEAF, directory);
    if (len < 0 || (size_t)len + sizeof FILE_NAME > size || !mkdtemp(out)) continue;
    memcpy(out + len, FILE_NAME, sizeof FILE_NAME);
    return true;
  }
  return false;
}

void fc_stats_file_remove(const char *file) {
  char directory[PATH_MAX];
  const char *slash = strrchr(file, '/');
  const size_t len = slash ? (size_t)(slash - file) : 0;
  if (len == 0 || len >= sizeof directory) return;
  memcpy(directory, file, len);
  directory[len] = '\0';
  (void)unlink(file);
  (void)rmdir(directory);
}
