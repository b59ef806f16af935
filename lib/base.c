#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define FS_EXT 0xEF53u
#define FS_XFS 0x58465342u
#define FS_BTRFS 0x9123683Eu
#define FS_TMPFS 0x01021994u
#define FS_RAMFS 0x858458f6u
#define FS_F2FS 0xF2F52010u
#define FS_ZFS 0x2FC12FC1u
#define FS_OVERLAY 0x794c7630u
#define FS_FUSE 0x65735546u
#define CREATION_SLACK_S 10 /* the base is made a moment before its session's header */
#define FINE_CLOCK_MAJOR 6  /* multigrain time stamps: Linux 6.13 */
#define FINE_CLOCK_MINOR 13

bool fc_base_is_volatile(uint64_t fs_type) { return fs_type == FS_TMPFS || fs_type == FS_RAMFS; }

bool fc_base_is_local(uint64_t fs_type) {
  switch (fs_type) {
  case FS_EXT:
  case FS_XFS:
  case FS_BTRFS:
  case FS_TMPFS:
  case FS_RAMFS:
  case FS_F2FS:
  case FS_ZFS:
    return true;
  default:
    return false;
  }
}

static bool kernel_clock_is_fine(void) {
  struct utsname name;
  if (uname(&name) != 0) return false;
  char *rest = NULL;
  const long major = strtol(name.release, &rest, 10);
  const long minor = *rest == '.' ? strtol(rest + 1, NULL, 10) : 0;
  return major > FINE_CLOCK_MAJOR || (major == FINE_CLOCK_MAJOR && minor >= FINE_CLOCK_MINOR);
}

/* What is mounted as ext3 or ext2 has the same driver and the same magic number, but not its fine clock. */
static bool is_mounted_as(int fd, const char *type) {
  struct statx st;
  struct fc_statmount mount = {0};
  int rc = fc_sys_statx(fd, "", AT_EMPTY_PATH, FC_STATX_MNT_ID_UNIQUE, &st);
  if (rc == 0 && !(st.stx_mask & FC_STATX_MNT_ID_UNIQUE)) rc = -ENOSYS;
  if (rc == 0) rc = fc_sys_statmount(st.stx_mnt_id, FC_STATMOUNT_FS_TYPE, &mount);
  if (rc < 0 || !(mount.mask & FC_STATMOUNT_FS_TYPE) || mount.fs_type >= sizeof mount.text) return false;
  const size_t room = sizeof mount.text - mount.fs_type;
  return strnlen(mount.text + mount.fs_type, room) < room && strcmp(mount.text + mount.fs_type, type) == 0;
}

/* tmpfs, xfs and btrfs do not give an inode number back at once; ext4 does, and is fine grained from 6.13 on (mounted
 * as ext3, 490 of 500 files made anew at once have the same birth time). ext2, and ext4 with small inodes, have no
 * birth times. What a handle holds on FUSE the server has made up: fuse-overlayfs gives the same to the next file (59
 * of 60 deletions were wrong), so that it is no proof by itself. */
bool fc_base_wants_handle(int fd, uint64_t fs_type, bool has_birth_times) {
  if (fs_type == FS_FUSE) return has_birth_times;
  if (!has_birth_times) return true;
  if (fs_type == FS_TMPFS || fs_type == FS_XFS || fs_type == FS_BTRFS) return false;
  return fs_type != FS_EXT || !kernel_clock_is_fine() || !is_mounted_as(fd, "ext4");
}

/* Makes path and its missing parents. Returns how many were made, or -errno with what was made taken away again. */
static int make_all(const char *path) {
  char work[PATH_MAX];
  const size_t len = strlen(path);
  if (len >= sizeof work) return -ENAMETOOLONG;
  memcpy(work, path, len + 1);
  int made = 0;
  for (size_t i = 1; i <= len; i++) {
    if (work[i] != '/' && work[i] != '\0') continue;
    const char saved = work[i];
    work[i] = '\0';
    const int rc = fc_sys_mkdirat(AT_FDCWD, work, 0777);
    work[i] = saved;
    if (rc == 0) {
      made++;
    } else if (rc != -EEXIST) {
      struct statx st;
      work[i] = '\0';
      const bool exists = fc_sys_statx(AT_FDCWD, work, 0, STATX_TYPE, &st) == 0;
      work[i] = saved;
      if (exists) continue; /* a parent on a read-only or forbidden place may still stand */
      fc_base_remove(path, (unsigned)made, INT64_MIN);
      return rc;
    }
  }
  return made;
}

void fc_base_remove(const char *real, unsigned levels, int64_t since_s) {
  char work[PATH_MAX];
  size_t len = strlen(real);
  if (len >= sizeof work) return;
  memcpy(work, real, len + 1);
  while (levels-- > 0 && len > 1) {
    struct statx st;
    if (fc_sys_statx(AT_FDCWD, work, AT_SYMLINK_NOFOLLOW, FC_IDENTITY_MASK, &st) == 0) {
      if (since_s != INT64_MIN && (st.stx_mask & STATX_BTIME) && st.stx_btime.tv_sec < since_s - CREATION_SLACK_S)
        return;
      if (fc_sys_unlinkat(AT_FDCWD, work, AT_REMOVEDIR) < 0) return;
    }
    while (len > 1 && work[len - 1] != '/') len--;
    while (len > 1 && work[len - 1] == '/') len--;
    work[len] = '\0';
  }
}

/* The canonical name of an open directory. */
static int name_of_fd(int fd, char *out, size_t size) {
  char link[32];
  (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const long n = fc_sys_readlinkat(AT_FDCWD, link, out, size - 1);
  if (n < 0) return (int)n;
  if (n == 0 || out[0] != '/' || (size_t)n >= size - 1) return -ENAMETOOLONG;
  out[n] = '\0';
  return 0;
}

/* error 0: the directory is there, but /proc is not. */
static int fail(struct fc_base *base, const char *path, int error, char *message, size_t size) {
  (void)snprintf(message, size, "filecleanup: FILECLEANUP_BASE_DIR=\"%s\": %s; %s; nothing will be tracked or deleted",
                 path, error ? strerror(error) : "its place cannot be told without /proc",
                 error ? "give a directory that exists or can be made" : "mount /proc");
  if (base->fd >= 0) (void)fc_sys_close(base->fd);
  base->fd = -1;
  fc_base_remove(path, base->created, INT64_MIN);
  return -1;
}

/* On overlayfs a directory of a lower layer (an image's /tmp) is copied up when something is first made in it, and has
 * another birth time and handle from then on: the session would take its own base for somebody else's. A chown that
 * changes nothing does it now; it needs no right that making a file there does not need. */
static void settle(struct fc_base *base) {
  struct statx st;
  struct fc_identity settled;
  if (base->fs_type != FS_OVERLAY || FC_SYS5(SYS_fchownat, base->fd, "", -1, -1, AT_EMPTY_PATH) < 0) return;
  if (fc_identity_take(base->fd, "", false, &settled, &st) == 0) base->identity = settled;
}

int fc_base_open(struct fc_base *base, const struct fc_config *config, char *const *envp, const char *tool_path,
                 char *message, size_t message_size) {
  memset(base, 0, sizeof *base);
  base->fd = -1;
  char wanted[PATH_MAX];
  if (strlen(config->base) >= sizeof wanted) return fail(base, config->base, ENAMETOOLONG, message, message_size);
  memcpy(wanted, config->base, strlen(config->base) + 1);
  int fd = fc_sys_openat(AT_FDCWD, wanted, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd == -ENOENT) {
    const int made = make_all(wanted);
    if (made < 0) return fail(base, wanted, -made, message, message_size);
    base->created = (unsigned)made;
    fd = fc_sys_openat(AT_FDCWD, wanted, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
  }
  if (fd < 0) return fail(base, wanted, -fd, message, message_size);
  base->fd = fd;
  struct statx st;
  struct fc_statfs fs;
  int rc = name_of_fd(fd, base->real, sizeof base->real);
  if (rc == -ENOENT) return fail(base, wanted, 0, message, message_size);
  if (rc == 0) rc = fc_sys_fstatfs(fd, &fs);
  if (rc == 0) {
    base->fs_type = fs.type;
    base->fs_id = fs.fsid;
    rc = fc_identity_take(fd, "", false, &base->identity, &st);
    base->with_handle = fc_base_wants_handle(fd, fs.type, rc == 0 && (st.stx_mask & STATX_BTIME));
  }
  if (rc < 0) return fail(base, wanted, -rc, message, message_size);
  if (fc_config_check_base(config, fd, base->real, envp, tool_path, message, message_size) != 0) {
    (void)fc_sys_close(fd);
    base->fd = -1;
    fc_base_remove(base->real, base->created, INT64_MIN);
    return -1;
  }
  settle(base);
  return 0;
}

int fc_base_reopen(const char *real, const struct fc_identity *identity, uint64_t fs_id, bool across_boot) {
  const int fd = fc_sys_openat(AT_FDCWD, real, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
  if (fd < 0) return fd;
  struct fc_identity now;
  struct statx st;
  /* Something may have been mounted over it: its server is not asked. */
  int rc = fc_identity_look(fd, "", false, false, &now, &st);
  if (rc == 0) {
    if (across_boot) {
      struct fc_statfs fs;
      rc = fc_sys_fstatfs(fd, &fs);
      if (rc == 0 && fs.fsid != fs_id) rc = -ESTALE;
      now.dev_major = identity->dev_major;
      now.dev_minor = identity->dev_minor;
    }
    const bool same = fc_identity_same_inode(&now, identity) && now.birth_s == identity->birth_s &&
                      now.birth_ns == identity->birth_ns;
    if (rc == 0 && !same) rc = -ESTALE;
  }
  if (rc < 0) {
    (void)fc_sys_close(fd);
    return rc;
  }
  return fd;
}
