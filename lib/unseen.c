#include "unseen.h"

#include <dirent.h>
#include <string.h>

#include "quarantine.h"
#include "walk.h"

#define NS_PER_S INT64_C(1000000000)

struct search {
  struct fc_registry *registry;
  uint32_t uid;
  int64_t since_s;
  uint32_t since_ns;
  uint32_t dev_major;
  uint32_t dev_minor;
  int64_t until_ns;
};

/* True when a record has ever spoken of the name, as of an object, or of what lies around it. */
static bool is_seen(struct fc_registry *r, const char *path) {
  const struct fc_node *node = fc_registry_find(r, path, false);
  return node && node->seen;
}

static bool was_born_since(const struct search *s, int dirfd, const char *leaf, bool *is_dir) {
  struct statx st;
  if (fc_sys_statx(dirfd, leaf, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, FC_IDENTITY_MASK, &st) < 0) return false;
  *is_dir = (st.stx_mode & S_IFMT) == S_IFDIR;
  if (!(st.stx_mask & STATX_BTIME) || st.stx_uid != s->uid) return false;
  if (st.stx_dev_major != s->dev_major || st.stx_dev_minor != s->dev_minor) return false;
  if (fc_sys_in_ns(st.stx_btime.tv_sec, st.stx_btime.tv_nsec) > s->until_ns) return false;
  if (st.stx_btime.tv_sec != s->since_s) return st.stx_btime.tv_sec > s->since_s;
  return st.stx_btime.tv_nsec >= s->since_ns;
}

void fc_unseen_below(struct fc_registry *r, struct fc_node *top, int fd, const char *path, uint32_t uid,
                     int64_t until_ns, fc_unseen_visit visit, void *context) {
  const struct fc_identity *id = &top->identity;
  if (!id->birth_s || (!top->asked && top->created < r->data_moved)) return;
  struct search search = {r, uid, id->birth_s, id->birth_ns, id->dev_major, id->dev_minor, until_ns};
  if (top->asked) {
    search.since_s = top->asked_ns / NS_PER_S;
    search.since_ns = (uint32_t)(top->asked_ns % NS_PER_S);
  }
  struct fc_arena arena = {0};
  struct fc_walk walk;
  struct fc_walked at;
  if (fc_walk_begin(&walk, &arena, fd, path)) {
    while (fc_walk_next(&walk, &at) == 1) {
      bool is_dir = false;
      if (at.after) {
        visit(context, at.dirfd, at.path, at.leaf);
      } else if (!is_seen(r, at.path) && was_born_since(&search, at.dirfd, at.leaf, &is_dir)) {
        if (is_dir)
          fc_walk_enter(&walk);
        else
          visit(context, at.dirfd, at.path, at.leaf);
      }
    }
    fc_walk_end(&walk);
  }
  fc_arena_free(&arena);
}

void fc_unseen_in_base(struct fc_registry *r, int base_fd, const struct fc_session_header *header, int64_t deadline_ns,
                       fc_unseen_visit visit, void *context) {
  struct statx base;
  if (fc_sys_statx(base_fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &base) < 0) return;
  const struct search search = {r,        header->uid, header->created_s, 0, base.stx_dev_major, base.stx_dev_minor,
                                INT64_MAX};
  struct fc_arena arena = {0};
  struct fc_walk walk;
  struct fc_walked at;
  const int fd = fc_beneath_open(base_fd, ""); /* base_fd itself cannot be read */
  if (fd >= 0 && fc_walk_begin(&walk, &arena, fd, "")) {
    while (fc_walk_next(&walk, &at) == 1) {
      if (at.after) continue;
      if (deadline_ns != FC_INFINITY_NS && fc_sys_boottime() >= deadline_ns) break;
      const bool top_level = strchr(at.path, '/') == NULL;
      if (top_level && strncmp(at.leaf, FC_QUARANTINE_PREFIX, sizeof FC_QUARANTINE_PREFIX - 1) == 0) continue;
      bool is_dir = at.type == DT_DIR;
      if (!is_seen(r, at.path) && was_born_since(&search, at.dirfd, at.leaf, &is_dir))
        visit(context, at.dirfd, at.path, at.leaf);
      if (is_dir) fc_walk_enter(&walk);
    }
    fc_walk_end(&walk);
  }
  if (fd >= 0) (void)fc_sys_close(fd);
  fc_arena_free(&arena);
}
