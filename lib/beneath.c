#include "beneath.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "sys.h"

#define CHUNK 3072 /* below PATH_MAX; longer paths are resolved piece by piece */

#define DIRECTORY_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)

/* O_DIRECTORY says ENOTDIR of a link that is not followed. */
static int tell_link(int dirfd, const char *name, int rc) {
  struct statx st;
  const bool link = rc == -ENOTDIR && fc_sys_statx(dirfd, name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st) == 0 &&
                    (st.stx_mode & S_IFMT) == S_IFLNK;
  return link ? -ELOOP : rc;
}

/* One step without openat2 (before Linux 5.6, or refused by a seccomp filter): not a link, not the root of a mount. */
static int step(int dirfd, const char *name) {
  const int fd = fc_sys_openat(dirfd, name, DIRECTORY_FLAGS, 0);
  if (fd < 0) return tell_link(dirfd, name, fd);
  struct statx here;
  struct statx above;
  int rc = fc_sys_statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &here);
  if (rc == 0) rc = fc_sys_statx(dirfd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &above);
  if (rc == 0 && (here.stx_dev_major != above.stx_dev_major || here.stx_dev_minor != above.stx_dev_minor)) rc = -EXDEV;
  if (rc == 0 && !(here.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
    rc = -EXDEV; /* cannot tell: fail towards leaving */
  if (rc == 0 && (here.stx_attributes & STATX_ATTR_MOUNT_ROOT)) rc = -EXDEV;
  if (rc < 0) {
    (void)fc_sys_close(fd);
    return rc;
  }
  return fd;
}

static int open_piece(int dirfd, char *piece) {
  const struct open_how how = {
      .flags = DIRECTORY_FLAGS,
      .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
  };
  static bool missing; /* asked once: valgrind complains on stderr of each system call that it does not know */
  int fd = __atomic_load_n(&missing, __ATOMIC_RELAXED) ? -ENOSYS : fc_sys_openat2(dirfd, piece, &how);
  if (fd != -ENOSYS && fd != -EPERM) return tell_link(dirfd, piece, fd);
  if (fd == -ENOSYS) __atomic_store_n(&missing, true, __ATOMIC_RELAXED);
  int at = -1;
  for (char *p = piece; *p;) {
    char *slash = strchr(p, '/');
    if (slash) *slash = '\0';
    fd = step(at >= 0 ? at : dirfd, p);
    if (slash) *slash = '/';
    if (at >= 0) (void)fc_sys_close(at);
    if (fd < 0) return fd;
    at = fd;
    p = slash ? slash + 1 : p + strlen(p);
  }
  return at;
}

int fc_beneath_open(int dirfd, const char *path) {
  if (!path[0]) return fc_sys_openat(dirfd, ".", DIRECTORY_FLAGS, 0);
  char piece[CHUNK + NAME_MAX + 2];
  int at = -1;
  for (const char *p = path; *p;) {
    size_t len = strlen(p);
    if (len > CHUNK) {
      const char *slash = strchr(p + CHUNK, '/');
      if (slash) len = (size_t)(slash - p);
    }
    int fd = -ENAMETOOLONG;
    if (len < sizeof piece) {
      memcpy(piece, p, len);
      piece[len] = '\0';
      fd = open_piece(at >= 0 ? at : dirfd, piece);
    }
    if (at >= 0) (void)fc_sys_close(at);
    if (fd < 0) return fd;
    at = fd;
    p += len;
    while (*p == '/') p++;
  }
  return at;
}

/* The kernel's record. */
struct dirent64_record {
  uint64_t ino;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
} __attribute__((packed));

void fc_list_seek(struct fc_list *list, int64_t offset) {
#if defined(__LP64__)
  (void)FC_SYS3(SYS_lseek, list->fd, offset, 0);
#else
  int64_t result;
  (void)FC_SYS5(SYS__llseek, list->fd, (uint32_t)((uint64_t)offset >> 32), (uint32_t)offset, &result, 0);
#endif
  list->used = list->at = 0;
}

void fc_list_begin(struct fc_list *list, int fd, char *buffer) {
  *list = (struct fc_list){fd, buffer, 0, 0};
  /* Refused for the directories of others, which then show that they were read. */
  (void)fc_sys_fcntl(fd, F_SETFL, O_NOATIME);
  fc_list_seek(list, 0);
}

int fc_list_next(struct fc_list *list, struct fc_entry *entry) {
  for (;;) {
    if (list->at >= list->used) {
      list->used = fc_sys_getdents64(list->fd, list->buffer, FC_LIST_BYTES);
      list->at = 0;
      if (list->used <= 0) return (int)list->used;
    }
    const struct dirent64_record *record = (const void *)(list->buffer + list->at);
    list->at += record->length;
    if (strcmp(record->name, ".") == 0 || strcmp(record->name, "..") == 0) continue;
    *entry = (struct fc_entry){record->ino, record->offset, record->type, record->name};
    return 1;
  }
}

int fc_list_is_empty(int fd, char *buffer) {
  struct fc_list list;
  struct fc_entry entry;
  fc_list_begin(&list, fd, buffer);
  const int rc = fc_list_next(&list, &entry);
  return rc == 1 ? 0 : rc == 0 ? 1 : rc;
}
