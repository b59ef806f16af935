#include "walk.h"

#include <dirent.h>
#include <string.h>

#include "sys.h"

#define LEVELS_FIRST 64u

struct fc_walk_level {
  size_t len;     /* of the path of the directory above */
  int64_t offset; /* where the reading goes on in it */
};

bool fc_walk_begin(struct fc_walk *w, struct fc_arena *arena, int top_fd, const char *prefix) {
  memset(w, 0, sizeof *w);
  w->arena = arena;
  w->top_fd = w->fd = top_fd;
  w->prefix_len = w->len = strlen(prefix);
  w->path = fc_arena_alloc(arena, FC_WALK_PATH_BYTES);
  w->room = LEVELS_FIRST;
  w->levels = fc_arena_alloc(arena, w->room * sizeof *w->levels);
  char *buffer = fc_arena_alloc(arena, FC_LIST_BYTES);
  if (!w->path || !w->levels || !buffer || w->len >= FC_WALK_PATH_BYTES) return false;
  memcpy(w->path, prefix, w->len + 1);
  fc_list_begin(&w->list, top_fd, buffer);
  return true;
}

static void close_fd(struct fc_walk *w) {
  if (w->fd >= 0 && w->fd != w->top_fd) (void)fc_sys_close(w->fd);
  w->fd = -1;
}

/* The path of the directory in hand, relative to the top. */
static const char *relative(const struct fc_walk *w) {
  const char *path = w->path + w->prefix_len;
  return *path == '/' ? path + 1 : path;
}

/* Opens the directory that path names now, and goes on reading it behind offset. */
static int open_here(struct fc_walk *w, int64_t offset) {
  close_fd(w);
  const char behind = w->path[w->len]; /* the entry that was in hand below it */
  w->path[w->len] = '\0';
  w->fd = w->len == w->prefix_len ? w->top_fd : fc_beneath_open(w->top_fd, relative(w));
  w->path[w->len] = behind;
  if (w->fd < 0) return w->fd;
  fc_list_begin(&w->list, w->fd, w->list.buffer);
  if (offset) fc_list_seek(&w->list, offset);
  return 0;
}

static bool push(struct fc_walk *w) {
  if (w->depth == w->room) {
    struct fc_walk_level *more = fc_arena_alloc(w->arena, 2 * w->room * sizeof *more);
    if (!more) return false;
    memcpy(more, w->levels, w->room * sizeof *more);
    w->levels = more;
    w->room *= 2;
  }
  w->levels[w->depth++] = (struct fc_walk_level){w->len, w->offset};
  return true;
}

static int64_t pop(struct fc_walk *w) {
  w->depth--;
  w->len = w->levels[w->depth].len;
  return w->levels[w->depth].offset;
}

/* Where the leaf of an entry of the directory in hand stands in path. */
static size_t leaf_at(size_t dir_len) { return dir_len + (dir_len > 0 ? 1 : 0); }

int fc_walk_next(struct fc_walk *w, struct fc_walked *out) {
  if (w->leaf_len > 0) {
    const size_t len = leaf_at(w->len) + w->leaf_len;
    w->leaf_len = 0;
    if (push(w)) {
      w->len = len;
      if (open_here(w, 0) < 0) { /* gone, no directory any more, or another mount */
        const int64_t offset = pop(w);
        const int rc = open_here(w, offset);
        if (rc < 0) return rc;
      }
    }
  }
  for (;;) {
    struct fc_entry entry;
    const int rc = fc_list_next(&w->list, &entry);
    if (rc < 0) return rc;
    if (rc == 0) {
      if (w->depth == 0) return 0;
      w->path[w->len] = '\0';
      const int64_t offset = pop(w);
      const int again = open_here(w, offset);
      if (again < 0) return again;
      *out = (struct fc_walked){w->fd, w->path, w->path + leaf_at(w->len), DT_DIR, true};
      return 1;
    }
    const size_t at = leaf_at(w->len);
    const size_t len = strlen(entry.name);
    if (at + len + 1 > FC_WALK_PATH_BYTES) continue;
    if (at > w->len) w->path[w->len] = '/';
    memcpy(w->path + at, entry.name, len + 1);
    w->offset = entry.offset;
    *out = (struct fc_walked){w->fd, w->path, w->path + at, entry.type, false};
    return 1;
  }
}

void fc_walk_enter(struct fc_walk *w) { w->leaf_len = strlen(w->path + leaf_at(w->len)); }

void fc_walk_end(struct fc_walk *w) { close_fd(w); }
