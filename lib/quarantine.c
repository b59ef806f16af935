#include "quarantine.h"

#include <stdio.h>
#include <string.h>

#include "base.h"
#include "sys.h"

#define RENAME_NOREPLACE_ 1u
#define RESTORE_TRIES 1000

void fc_quarantine_begin(struct fc_quarantine *q, int base_fd, const char *id) {
  q->base_fd = base_fd;
  q->fd = -1;
  (void)snprintf(q->name, sizeof q->name, FC_QUARANTINE_PREFIX "%s", id);
}

static bool is_gone(int rc) { return rc == -ENOENT || rc == -ENOTDIR || rc == -ESTALE; }

bool fc_quarantine_stands(const struct fc_session_header *h) {
  struct fc_quarantine q;
  struct statx st;
  const int base_fd = fc_base_reopen(h->base, &h->base_identity, h->fs_id, false);
  if (base_fd < 0) return !is_gone(base_fd);
  fc_quarantine_begin(&q, base_fd, h->id);
  const int rc = fc_sys_statx(base_fd, q.name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st);
  (void)fc_sys_close(base_fd);
  return !is_gone(rc);
}

int fc_quarantine_open(struct fc_quarantine *q, bool make) {
  if (q->fd >= 0) return 0;
  if (make) {
    const int rc = fc_sys_mkdirat(q->base_fd, q->name, 0700);
    if (rc < 0 && rc != -EEXIST) return rc;
  }
  const int fd = fc_sys_openat(q->base_fd, q->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
  if (fd < 0) return fd;
  struct statx st;
  int rc = fc_sys_statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st);
  /* A directory's setgid bit and an ACL's mask come from the parent; what counts is that nobody else gets in. */
  if (rc == 0 && (st.stx_uid != fc_sys_geteuid() || (st.stx_mode & 0077))) {
    rc = st.stx_uid == fc_sys_geteuid() ? fc_sys_fchmod(fd, 0700) : -EPERM;
  }
  if (rc < 0) {
    (void)fc_sys_close(fd);
    return rc;
  }
  q->fd = fd;
  return 0;
}

int fc_quarantine_end(struct fc_quarantine *q) {
  if (q->fd < 0) return 0;
  (void)fc_sys_close(q->fd);
  q->fd = -1;
  const int rc = fc_sys_unlinkat(q->base_fd, q->name, AT_REMOVEDIR); /* not empty: the next try finds it */
  return rc == -ENOENT ? 0 : rc;
}

void fc_quarantine_slot_name(uint32_t slot, char out[FC_SLOT_NAME_BYTES]) {
  (void)snprintf(out, FC_SLOT_NAME_BYTES, "%08x", slot);
}

bool fc_quarantine_slot_number(const char *name, uint32_t *slot) {
  uint32_t value = 0;
  if (strlen(name) != 8) return false;
  for (const char *p = name; *p; p++) {
    const int digit = *p >= '0' && *p <= '9' ? *p - '0' : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10 : -1;
    if (digit < 0) return false;
    value = value << 4 | (uint32_t)digit;
  }
  *slot = value;
  return true;
}

int fc_quarantine_take(struct fc_quarantine *q, int dirfd, const char *leaf, const char *slot) {
  return fc_sys_renameat2(dirfd, leaf, q->fd, slot, 0); /* the slot is private and its number is new */
}

/* rename without replacing; where the file system has no RENAME_NOREPLACE, link and unlink do the same for files. */
static int move_back(struct fc_quarantine *q, const char *slot, int dirfd, const char *name) {
  int rc = fc_sys_renameat2(q->fd, slot, dirfd, name, RENAME_NOREPLACE_);
  if (rc != -EINVAL && rc != -ENOSYS) return rc;
  rc = fc_sys_linkat(q->fd, slot, dirfd, name, 0);
  if (rc == 0) rc = fc_sys_unlinkat(q->fd, slot, 0);
  return rc;
}

int fc_quarantine_give_back(struct fc_quarantine *q, const char *slot, int dirfd, const char *leaf, char *where) {
  (void)snprintf(where, NAME_MAX + 1, "%s", leaf);
  int rc = move_back(q, slot, dirfd, where);
  for (int i = 1; rc == -EEXIST && i <= RESTORE_TRIES; i++) {
    char suffix[40];
    const int n = snprintf(suffix, sizeof suffix, ".filecleanup-restored.%d", i);
    size_t keep = strlen(leaf);
    if (keep + (size_t)n > NAME_MAX) keep = NAME_MAX - (size_t)n;
    memcpy(where, leaf, keep);
    memcpy(where + keep, suffix, (size_t)n + 1);
    rc = move_back(q, slot, dirfd, where);
  }
  return rc;
}
