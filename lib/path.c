#include "path.h"

#include <stdint.h>
#include <string.h>

static unsigned components(const char *path, size_t len) {
  unsigned n = 0;
  for (size_t i = 0; i < len; i++)
    if (path[i] == '/') n++;
  return n; /* absolute and normalized: one slash before each component */
}

/* The index-th component of an absolute normalized path. */
static const char *component(const char *path, size_t len, unsigned index, size_t *out_len) {
  const char *p = path;
  const char *end = path + len;
  for (unsigned i = 0; p < end; i++) {
    const char *start = p + 1;
    const char *slash = memchr(start, '/', (size_t)(end - start));
    const char *stop = slash ? slash : end;
    if (i == index) {
      *out_len = (size_t)(stop - start);
      return start;
    }
    p = stop;
  }
  *out_len = 0;
  return NULL;
}

/* How deep the walk is (".." taken away), and how many leading components equal the base's. */
struct classifier {
  const char *base;
  size_t base_len;
  unsigned base_depth;
  unsigned depth;
  unsigned matched;
};

static void step(struct classifier *c, const char *text, size_t len) {
  if (len == 0 || (len == 1 && text[0] == '.')) return;
  if (len == 2 && text[0] == '.' && text[1] == '.') {
    if (c->depth > 0) c->depth--;
    if (c->matched > c->depth) c->matched = c->depth;
    return;
  }
  if (c->matched == c->depth && c->matched < c->base_depth) {
    size_t want_len;
    const char *want = component(c->base, c->base_len, c->matched, &want_len);
    if (want && want_len == len && memcmp(want, text, len) == 0) c->matched++;
  }
  c->depth++;
}

/* Walks one piece. Stores in *inside the offset just behind the component that completed the base, and keeps it only
 * while the walk stays inside; SIZE_MAX = not inside. */
static inline __attribute__((always_inline)) void walk_piece(struct classifier *c, const char *text, size_t len,
                                                             size_t *inside) {
  size_t i = 0;
  while (i < len) {
    while (i < len && text[i] == '/') i++;
    const size_t start = i;
    const char *slash = memchr(text + i, '/', len - i);
    i = slash ? (size_t)(slash - text) : len;
    if (i == start) break;
    const bool was_inside = c->matched == c->base_depth;
    step(c, text + start, i - start);
    const bool is_inside = c->matched == c->base_depth;
    if (!is_inside)
      *inside = SIZE_MAX;
    else if (!was_inside)
      *inside = i;
  }
}

static void skip_slashes(const char **text, size_t *len) {
  while (*len > 0 && **text == '/') {
    (*text)++;
    (*len)--;
  }
}

/* True when text, which follows a slash (or begins a name), has an empty, "." or ".." component: only then do the
 * pieces not mean what they say. */
static bool needs_walk(const char *text, size_t len) {
  const char *p = text;
  const char *const end = text + len;
  while (p < end) {
    if (*p == '/' || *p == '.') return true; /* hidden names are walked too, which costs little and is rare */
    p = memchr(p, '/', (size_t)(end - p));
    if (!p) return false;
    p++;
  }
  return false;
}

/* The answer for names that are written plainly, which nearly all are: one comparison. 1 inside, 0 outside, -1 walk. */
static int beneath_plain(const char *base, size_t base_len, const struct fc_name *name, struct fc_name *relative) {
  if (name->tail_len == 0) return -1;
  if (!name->head_len) {
    if (needs_walk(name->tail + 1, name->tail_len - 1)) return -1;
    if (name->tail_len <= base_len + 1 || name->tail[base_len] != '/' || memcmp(name->tail, base, base_len) != 0)
      return 0;
    *relative = (struct fc_name){NULL, 0, name->tail + base_len + 1, name->tail_len - base_len - 1};
    return 1;
  }
  /* A head comes from the kernel, so it is plain. The base may end in it, or reach into the tail. */
  if (name->head_len == 1 || needs_walk(name->tail, name->tail_len)) return -1; /* the root ends in its slash */
  if (name->head_len < base_len)
    return base[name->head_len] == '/' && memcmp(name->head, base, name->head_len) == 0 ? -1 : 0;
  if (memcmp(name->head, base, base_len) != 0) return 0;
  if (name->head_len == base_len) {
    *relative = (struct fc_name){NULL, 0, name->tail, name->tail_len};
    return 1;
  }
  if (name->head[base_len] != '/') return 0;
  *relative = (struct fc_name){name->head + base_len + 1, name->head_len - base_len - 1, name->tail, name->tail_len};
  return 1;
}

/* Apart, for the sake of the stack. */
static __attribute__((noinline)) bool beneath_by_walk(const char *base, size_t base_len, const struct fc_name *name,
                                                      struct fc_name *relative) {
  struct classifier c = {base, base_len, components(base, base_len), 0, 0};
  size_t in_head = SIZE_MAX;
  size_t in_tail = SIZE_MAX;
  walk_piece(&c, name->head, name->head_len, &in_head);
  const bool inside_after_head = name->head_len > 0 && c.matched == c.base_depth;
  walk_piece(&c, name->tail, name->tail_len, &in_tail);
  if (c.matched != c.base_depth || c.depth <= c.base_depth) return false;
  if (in_tail != SIZE_MAX) {
    *relative = (struct fc_name){NULL, 0, name->tail + in_tail, name->tail_len - in_tail};
  } else if (inside_after_head) {
    *relative = (struct fc_name){name->head + in_head, name->head_len - in_head, name->tail, name->tail_len};
    skip_slashes(&relative->head, &relative->head_len);
  } else {
    return false;
  }
  skip_slashes(&relative->tail, &relative->tail_len);
  return true;
}

bool fc_path_beneath(const char *base, size_t base_len, const struct fc_name *name, struct fc_name *relative) {
  if (!name->head_len && (name->tail_len == 0 || name->tail[0] != '/')) return false;
  const int plain = base_len > 1 ? beneath_plain(base, base_len, name, relative) : -1;
  return plain < 0 ? beneath_by_walk(base, base_len, name, relative) : plain == 1;
}

size_t fc_path_normalize(char *text) {
  size_t out = 0;
  const char *p = text;
  while (*p) {
    while (*p == '/') p++;
    const char *start = p;
    while (*p && *p != '/') p++;
    const size_t len = (size_t)(p - start);
    if (len == 0) break;
    if (len == 1 && start[0] == '.') continue;
    if (len == 2 && start[0] == '.' && start[1] == '.') {
      if (out == 0) return 0;
      while (out > 0 && text[out - 1] != '/') out--;
      if (out > 0) out--;
      continue;
    }
    if (out > 0) text[out++] = '/';
    memmove(text + out, start, len);
    out += len;
  }
  text[out] = '\0';
  return out;
}

static unsigned long long mix(unsigned long long h, const char *text, size_t len) {
  while (len > 0) {
    unsigned long long word = 0;
    const size_t n = len < 8 ? len : 8;
    memcpy(&word, text, n);
    h = (h ^ word ^ n) * 0x9FB21C651E98DF25ULL;
    h ^= h >> 32;
    text += n;
    len -= n;
  }
  return h;
}

unsigned long long fc_path_hash(const struct fc_name *relative) {
  /* The same name has one value however it is cut into head and tail only if it is cut in the same way; a hint that is
   * missed for that costs a statx. */
  unsigned long long h =
      mix(0x2545F4914F6CDD1DULL ^ (relative->head_len << 20) ^ relative->tail_len, relative->head, relative->head_len);
  return mix(h, relative->tail, relative->tail_len);
}
