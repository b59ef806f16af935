#include "operand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "path.h"
#include "verb.h"

char *fc_operand_canonical(const char *given, int *error) {
  char *absolute = NULL;
  char *cwd = given[0] == '/' ? NULL : getcwd(NULL, 0);
  if (given[0] != '/' && !cwd) {
    *error = errno;
    return fc_verb_copy(given, strlen(given));
  }
  if (asprintf(&absolute, "%s/%s", cwd ? cwd : "", given) < 0) fc_verb_no_memory();
  free(cwd);
  size_t len = strlen(absolute);
  while (len > 1 && absolute[len - 1] == '/') absolute[--len] = '\0';
  char *slash = strrchr(absolute, '/');
  const char *leaf = slash + 1;
  char *out = NULL;
  if (strcmp(leaf, ".") == 0 || strcmp(leaf, "..") == 0) {
    out = realpath(absolute, NULL);
  } else {
    char *dir = fc_verb_copy(absolute, slash == absolute ? 1 : (size_t)(slash - absolute));
    char *real = realpath(dir, NULL);
    if (real && asprintf(&out, "%s/%s", strcmp(real, "/") == 0 ? "" : real, leaf) < 0) fc_verb_no_memory();
    if (!real && errno != ENOENT && errno != ENOTDIR) *error = errno;
    free(real);
    free(dir);
  }
  if (out) {
    free(absolute);
    return out;
  }
  /* Its directory is gone: what is left is the name that it had. */
  absolute[0] = '/';
  const size_t tidied = fc_path_normalize(absolute + 1);
  absolute[tidied + 1] = '\0';
  return absolute;
}

const char *fc_operand_beneath(const char *path, const char *directory) {
  const size_t len = strlen(directory);
  if (!len || strncmp(path, directory, len) != 0) return NULL;
  if (path[len] == '\0') return path + len;
  return path[len] == '/' ? path + len + 1 : NULL;
}
