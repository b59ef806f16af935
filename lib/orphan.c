#include "orphan.h"

#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "beneath.h"
#include "departure.h"
#include "named.h"

#define SOON_MS 20
#define STALE_S 3600 /* an unpublished file that nobody holds for so long is what a killed start left */

/* Same boot: the free lock proves it. Another boot: only where no other machine can hold the lock. */
bool fc_orphan_is_dead(int fd, const struct fc_session_header *header, const uint8_t boot_id[16], bool known_boot) {
  static const uint8_t none[16];
  if (fc_session_probe(fd, FC_BYTE_MEMBERS) != F_UNLCK) return false;
  if (!known_boot || memcmp(header->boot_id, none, sizeof none) == 0) return false;
  if (memcmp(header->boot_id, boot_id, sizeof none) == 0) return true;
  return fc_base_is_local(header->fs_type);
}

static void drop_stale(int dirfd, const char *name) {
  const int fd = fc_sys_openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
  if (fd < 0) return;
  struct statx st;
  if (fc_sys_statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) == 0 && (st.stx_mode & S_IFMT) == S_IFREG &&
      st.stx_uid == fc_sys_geteuid() && st.stx_mtime.tv_sec + STALE_S < fc_sys_realtime() / 1000000000 &&
      fc_session_probe(fd, FC_BYTE_MEMBERS) == F_UNLCK)
    (void)fc_sys_unlinkat(dirfd, name, 0);
  (void)fc_sys_close(fd);
}

static void reap_dead(int dirfd, const char *name, int fd, const struct fc_session_header *header,
                      int64_t deadline_ns) {
  while (fc_departure_try(dirfd, name, fd, header, deadline_ns) == FC_DEPARTURE_SOON) {
    if (deadline_ns != FC_INFINITY_NS && fc_sys_boottime() >= deadline_ns) return;
    fc_sys_pause(SOON_MS);
  }
}

unsigned fc_orphan_scan(int dirfd, const char *dir, const char *own_id, bool reap, int64_t deadline_ns,
                        fc_orphan_warn warn, void *context) {
  static const char *const why[] = {
      [FC_VERDICT_FOREIGN] = "is not a private file of this user",
      [FC_VERDICT_FUTURE] = "was written by a later version",
      [FC_VERDICT_CORRUPT] = "is damaged or is not a session",
  };
  struct fc_arena arena = {0};
  char *buffer = fc_arena_alloc(&arena, FC_LIST_BYTES);
  struct fc_session_header *header = fc_arena_alloc(&arena, sizeof *header);
  unsigned dead = 0;
  if (buffer && header) {
    uint8_t boot_id[16];
    const bool known_boot = fc_session_boot_id(boot_id);
    struct fc_list list;
    struct fc_entry entry;
    fc_list_begin(&list, dirfd, buffer);
    while (fc_list_next(&list, &entry) == 1) {
      if (strncmp(entry.name, ".new-", 5) == 0) drop_stale(dirfd, entry.name);
      if (strncmp(entry.name, FC_SESSION_PREFIX, sizeof FC_SESSION_PREFIX - 1) != 0) continue;
      if (strcmp(entry.name + sizeof FC_SESSION_PREFIX - 1, own_id) == 0) continue;
      int fd;
      const enum fc_verdict verdict = fc_session_open_file(dirfd, entry.name, &fd, header);
      if (verdict == FC_VERDICT_VALID) {
        const uint32_t state = header->words.state;
        if ((state == FC_STATE_LIVE || state == FC_STATE_REAPING) &&
            fc_orphan_is_dead(fd, header, boot_id, known_boot) && !fc_named_is_dormant(header, &header->words)) {
          dead++;
          if (reap) reap_dead(dirfd, entry.name, fd, header, deadline_ns);
        }
        (void)fc_sys_close(fd);
      } else if (verdict != FC_VERDICT_ABSENT && warn) {
        char line[1024];
        (void)snprintf(line, sizeof line,
                       "filecleanup: %s/%s %s; it is ignored and nothing is deleted because of it; remove it by hand",
                       dir, entry.name, why[verdict]);
        warn(context, line);
      }
    }
  }
  fc_arena_free(&arena);
  return dead;
}
