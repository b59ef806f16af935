/* identity: which object a name means, so that a deletion can be refused when it means another one by now.
 *
 * Responsible for: taking an identity at creation and comparing it at deletion. Must never: decide what to do about a
 * difference. Used in hooks: no allocation, no lock, no errno.
 *
 * Device and inode alone are reused at once (ext4: 200 of 200 times). The birth time tells objects apart where the
 * kernel's time stamps are fine grained, and they are only fine after somebody asked: STATX_CTIME must be in the mask
 * (without it 1784 of 1999 re-created files had the same inode and birth time on Linux 6.18). Where the clock is coarse
 * (before 6.13: the same birth time in 49 of 50) a hash of the file handle, which holds the inode generation, is added.
 */
#ifndef FC_IDENTITY_H
#define FC_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "sys.h"

/* Stands in the journal: fixed width, the same layout for 32- and 64-bit processes. All zero = no identity. */
struct fc_identity {
  uint64_t ino;
  uint32_t dev_major;
  uint32_t dev_minor;
  int64_t birth_s;
  uint32_t birth_ns;
  uint32_t handle; /* hash of the file handle, 0 when not asked for or not to be had */
};
_Static_assert(sizeof(struct fc_identity) == 32, "journal layout");

/* What the mask of every statx of ours must hold. */
#define FC_IDENTITY_MASK (STATX_BASIC_STATS | STATX_BTIME)

/* The identity of path relative to dirfd (AT_SYMLINK_NOFOLLOW is implied), or of dirfd itself when path is "".
 * with_handle asks for the handle's hash too. Stores the whole statx in *st. Returns 0 or -errno. */
int fc_identity_take(int dirfd, const char *path, bool with_handle, struct fc_identity *out, struct statx *st);

/* The two halves of it, for callers whose stack has no room for both at a time. */
int fc_identity_take_first(int dirfd, const char *path, struct fc_identity *out, struct statx *st);
uint32_t fc_identity_handle(int dirfd, const char *path);

/* The same for who looks at a name later, when anything may have been mounted there: what is mounted at path is another
 * object (-EXDEV), and is not asked anything, as the server of a FUSE mount may never answer. asks_server: what the
 * kernel remembers of a file's times may be old, since dirfd itself lies on a network or FUSE file system. */
int fc_identity_look(int dirfd, const char *path, bool with_handle, bool asks_server, struct fc_identity *out,
                     struct statx *st);

/* True when both name the same object for certain: no equality is ever assumed from missing information. */
bool fc_identity_equal(const struct fc_identity *a, const struct fc_identity *b);

/* The same device and inode, which is enough to say that two names are one directory while it is held open. */
bool fc_identity_same_inode(const struct fc_identity *a, const struct fc_identity *b);

/* True when the identity can prove anything at all: it has a birth time or a handle. */
bool fc_identity_proves(const struct fc_identity *id);

#endif
