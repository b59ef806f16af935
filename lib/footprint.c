#include "footprint.h"

#include <string.h>

#include "base.h"
#include "beneath.h"
#include "history.h"
#include "ownership.h"

static void keep(struct fc_footprint *f, const struct fc_sample *sample) {
  if (f->count == FC_FOOTPRINT_MAX) {
    for (unsigned i = 0; i < FC_FOOTPRINT_MAX / 2; i++) f->samples[i] = f->samples[2 * i];
    f->count /= 2;
  }
  f->samples[f->count++] = *sample;
  if (sample->bytes > f->peak.bytes || (sample->bytes == f->peak.bytes && sample->files > f->peak.files))
    f->peak = *sample;
}

/* The files that lie directly in the directory of node. */
static void add_directory(struct fc_registry *r, struct fc_node *dir, int base_fd, char *path, struct fc_sample *sum) {
  path[0] = '\0';
  if (dir->parent && fc_registry_path(dir, path, FC_REPLAY_PATH_MAX) == 0) return;
  const int fd = fc_beneath_open(base_fd, path);
  for (struct fc_node *n = fd < 0 ? NULL : dir->first_child; n; n = n->next) {
    struct statx st;
    if (n->is_dir || !fc_ownership_tracked(r, n)) continue;
    if (fc_sys_statx(fd, fc_registry_leaf(n), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st) < 0) continue;
    sum->files++;
    if ((st.stx_mode & S_IFMT) == S_IFREG) sum->bytes += st.stx_size;
  }
  if (fd >= 0) (void)fc_sys_close(fd);
}

int fc_footprint_take(struct fc_footprint *f, int fd, const struct fc_session_header *h) {
  struct fc_registry r;
  struct fc_replay replay;
  memset(&r, 0, sizeof r);
  r.no_captures = true;
  struct fc_sample sum = {.since_ns = fc_sys_boottime() - f->start_ns};
  char *path = fc_arena_alloc(&r.arena, FC_REPLAY_PATH_MAX);
  int rc = path ? fc_replay_begin(&replay, &r.arena, fd, h->key, h->capacity, false) : -ENOMEM;
  if (rc == 0) rc = fc_history_replay(&r, &replay);
  const int base_fd = rc < 0 ? rc : fc_base_reopen(h->base, &h->base_identity, h->fs_id, false);
  if (rc == 0 && base_fd < 0) rc = base_fd;
  if (rc == 0) {
    for (struct fc_node *n = fc_registry_postorder(&r.root, NULL); n; n = fc_registry_postorder(&r.root, n))
      if (n->first_child) add_directory(&r, n, base_fd, path, &sum);
    keep(f, &sum);
  }
  if (base_fd >= 0) (void)fc_sys_close(base_fd);
  fc_registry_free(&r);
  return rc;
}
