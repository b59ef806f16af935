#include "standing.h"

#include <stdio.h>
#include <string.h>

#include "beneath.h"

struct fc_standing_place {
  uint64_t ino;
  uint32_t dev_major;
  uint32_t dev_minor;
};

static bool add(struct fc_standing *s, struct fc_arena *arena, const struct statx *st) {
  for (size_t i = s->count; i-- > 0;) /* most stand where the last one did */
    if (s->places[i].ino == st->stx_ino && s->places[i].dev_major == st->stx_dev_major &&
        s->places[i].dev_minor == st->stx_dev_minor)
      return true;
  if (s->count == s->room) {
    const size_t room = s->room ? 2 * s->room : 64;
    struct fc_standing_place *more = fc_arena_alloc(arena, room * sizeof *more);
    if (!more) return false;
    if (s->count) memcpy(more, s->places, s->count * sizeof *more);
    s->places = more;
    s->room = room;
  }
  s->places[s->count++] = (struct fc_standing_place){st->stx_ino, st->stx_dev_major, st->stx_dev_minor};
  return true;
}

static bool read_all(struct fc_standing *s, struct fc_arena *arena) {
  const int proc = fc_sys_openat(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  char *buffer = fc_arena_alloc(arena, FC_LIST_BYTES);
  bool fine = proc >= 0 && buffer;
  struct fc_list list;
  struct fc_entry entry;
  int rc = 0;
  if (fine) fc_list_begin(&list, proc, buffer);
  while (fine && (rc = fc_list_next(&list, &entry)) == 1) {
    uint32_t pid = 0;
    const char *p = entry.name;
    for (; *p >= '0' && *p <= '9'; p++) pid = pid * 10 + (uint32_t)(*p - '0');
    if (*p || pid == s->but) continue;
    static const char *const links[] = {"cwd", "root"};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
      char path[64];
      struct statx st;
      (void)snprintf(path, sizeof path, "%.20s/%s", entry.name, links[i]);
      if (fc_sys_statx(proc, path, AT_STATX_DONT_SYNC, STATX_INO, &st) == 0) fine &= add(s, arena, &st);
    }
  }
  if (proc >= 0) (void)fc_sys_close(proc);
  return fine && rc == 0;
}

bool fc_standing_in(struct fc_standing *s, struct fc_arena *arena, const struct statx *directory) {
  if (!s->read && !read_all(s, arena)) return true;
  s->read = true;
  for (size_t i = 0; i < s->count; i++)
    if (s->places[i].ino == directory->stx_ino && s->places[i].dev_major == directory->stx_dev_major &&
        s->places[i].dev_minor == directory->stx_dev_minor)
      return true;
  return false;
}
