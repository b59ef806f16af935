#include "identity.h"

#include <fcntl.h>

#define HANDLE_BYTES 128 /* MAX_HANDLE_SZ of the kernel */
#define OVL_FILEID_V0 0xfb
#define OVL_FILEID_V1 0xf8
#define AT_HANDLE_FID_ 0x200 /* Linux 6.5: handles on overlayfs, for comparison only */

struct handle {
  uint32_t bytes;
  int32_t type;
  unsigned char data[HANDLE_BYTES];
};

static uint32_t handle_hash(int dirfd, const char *path, int flags) {
  struct handle h;
  int mount_id;
  h.bytes = HANDLE_BYTES;
  int rc = fc_sys_name_to_handle_at(dirfd, path, &h, &mount_id, flags);
  if (rc < 0) {
    h.bytes = HANDLE_BYTES;
    rc = fc_sys_name_to_handle_at(dirfd, path, &h, &mount_id, flags | AT_HANDLE_FID_);
    /* A file system that has no handles of its own (ramfs, 9p) gets them from the kernel, of the inode number and a
     * generation that it may never have set. */
    if (rc == 0 && h.type != OVL_FILEID_V0 && h.type != OVL_FILEID_V1) return 0;
  }
  if (rc < 0 || h.bytes > HANDLE_BYTES) return 0;
  uint64_t x = 0xcbf29ce484222325ULL ^ (uint32_t)h.type;
  for (uint32_t i = 0; i < h.bytes; i++) x = (x ^ h.data[i]) * 0x100000001b3ULL;
  const uint32_t folded = (uint32_t)(x ^ (x >> 32));
  return folded ? folded : 1;
}

/* The rest of an identity whose statx has been made. */
static void fill(const struct statx *st, struct fc_identity *out) {
  *out = (struct fc_identity){st->stx_ino, st->stx_dev_major, st->stx_dev_minor, 0, 0, 0};
  if (st->stx_mask & STATX_BTIME) {
    out->birth_s = st->stx_btime.tv_sec;
    out->birth_ns = st->stx_btime.tv_nsec;
  }
}

static void complete(int dirfd, const char *path, bool with_handle, const struct statx *st, struct fc_identity *out) {
  fill(st, out);
  if (with_handle) out->handle = fc_identity_handle(dirfd, path);
}

static int lookup_flags(const char *path) { return path[0] ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH; }

uint32_t fc_identity_handle(int dirfd, const char *path) {
  return handle_hash(dirfd, path, path[0] ? 0 : AT_EMPTY_PATH);
}

int fc_identity_take_first(int dirfd, const char *path, struct fc_identity *out, struct statx *st) {
  const int rc = fc_sys_statx(dirfd, path, lookup_flags(path), FC_IDENTITY_MASK, st);
  if (rc == 0) fill(st, out);
  return rc;
}

int fc_identity_take(int dirfd, const char *path, bool with_handle, struct fc_identity *out, struct statx *st) {
  const int rc = fc_sys_statx(dirfd, path, lookup_flags(path), FC_IDENTITY_MASK, st);
  if (rc == 0) complete(dirfd, path, with_handle, st, out);
  return rc;
}

int fc_identity_look(int dirfd, const char *path, bool with_handle, bool asks_server, struct fc_identity *out,
                     struct statx *st) {
  const int flags = lookup_flags(path);
  int rc = fc_sys_statx(dirfd, path, flags | AT_STATX_DONT_SYNC, FC_IDENTITY_MASK, st);
  if (rc == 0 && path[0] && (st->stx_attributes & STATX_ATTR_MOUNT_ROOT)) rc = -EXDEV;
  if (rc == 0 && asks_server) rc = fc_sys_statx(dirfd, path, flags, FC_IDENTITY_MASK, st);
  if (rc == 0) complete(dirfd, path, with_handle, st, out);
  return rc;
}

bool fc_identity_same_inode(const struct fc_identity *a, const struct fc_identity *b) {
  return a->ino == b->ino && a->dev_major == b->dev_major && a->dev_minor == b->dev_minor;
}

bool fc_identity_equal(const struct fc_identity *a, const struct fc_identity *b) {
  return fc_identity_same_inode(a, b) && a->birth_s == b->birth_s && a->birth_ns == b->birth_ns &&
         a->handle == b->handle && fc_identity_proves(a);
}

bool fc_identity_proves(const struct fc_identity *id) {
  return id->birth_s != 0 || id->birth_ns != 0 || id->handle != 0;
}
