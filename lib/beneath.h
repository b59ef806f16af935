/* beneath: opening what lies under a directory, and nothing else.
 *
 * Responsible for: resolving a relative path right before its use, so that it can leave neither the directory nor its
 * mount, and listing a directory. Must never: follow a symbolic link or cross a mount, a bind mount of the same file
 * system included (RESOLVE_BENEATH alone walks into one).
 */
#ifndef FC_BENEATH_H
#define FC_BENEATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FC_LIST_BYTES 8192

/* Opens the directory at path (tidied, relative, any length, "" = dirfd again) beneath dirfd. Returns an fd (O_RDONLY |
 * O_DIRECTORY | O_CLOEXEC, owned) or -errno: -ELOOP for a link on the way. Uses openat2, or walks component by
 * component where there is none. */
int fc_beneath_open(int dirfd, const char *path);

struct fc_entry {
  uint64_t ino;
  int64_t offset;     /* behind it, for fc_list_seek */
  unsigned char type; /* DT_* */
  const char *name;
};

/* Lists an open directory through a buffer of FC_LIST_BYTES. */
struct fc_list {
  int fd;
  char *buffer;
  long used;
  long at;
};

/* Rewinds fd and starts; no access time is left where the kernel lets us (F_SETFL on fd). */
void fc_list_begin(struct fc_list *list, int fd, char *buffer);

/* Goes on behind an entry of this directory that was read before. */
void fc_list_seek(struct fc_list *list, int64_t offset);

/* The next entry but "." and "..": 1, 0 at the end, or -errno. */
int fc_list_next(struct fc_list *list, struct fc_entry *entry);

/* 1 empty, 0 not, or -errno. */
int fc_list_is_empty(int fd, char *buffer);

#endif
