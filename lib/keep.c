#include "keep.h"

#include <fnmatch.h>
#include <limits.h>
#include <string.h>

/* One glob against path and every directory above it. */
static bool glob_matches(const char *glob, const char *path) {
  char prefix[PATH_MAX];
  size_t len = strlen(path);
  if (len >= sizeof prefix) return true; /* cannot tell: keep */
  memcpy(prefix, path, len + 1);
  for (;;) {
    if (fnmatch(glob, prefix, FNM_PATHNAME) == 0) return true;
    while (len > 0 && prefix[len] != '/') len--;
    if (len == 0) return false;
    prefix[len] = '\0';
  }
}

bool fc_keep_names(const struct fc_session_header *header, const char *path) {
  char glob[FC_KEEP_MAX];
  const char *p = header->policy.keep;
  while (*p) {
    const char *end = strchr(p, ':');
    const size_t len = end ? (size_t)(end - p) : strlen(p);
    if (len > 0 && len < sizeof glob) {
      memcpy(glob, p, len);
      glob[len] = '\0';
      if (glob_matches(glob, path)) return true;
    }
    p += len + (end ? 1 : 0);
  }
  return false;
}
