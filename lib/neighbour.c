#include "neighbour.h"

#include <string.h>

#include "beneath.h"
#include "ownership.h"

static bool is_session_name(const char *name) {
  return strncmp(name, FC_SESSION_PREFIX, sizeof FC_SESSION_PREFIX - 1) == 0;
}

static bool read_in(struct fc_neighbour *n, struct fc_arena *arena) {
  struct fc_replay replay;
  if (fc_replay_begin(&replay, arena, n->fd, n->header->key, n->header->capacity, false) < 0) return false;
  n->registry.leader_pid = n->header->leader_pid;
  n->registry.leader_status = -1;
  if (fc_ownership_replay(&n->registry, &replay) < 0) return false;
  char *first = fc_sys_mmap(NULL, FC_FIRST_WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, n->fd, 0);
  if (fc_sys_is_error(first)) return false;
  n->journal.first = first;
  n->journal.words = (struct fc_head_words *)(void *)(first + offsetof(struct fc_session_header, words));
  n->journal.key = n->header->key;
  n->journal.capacity = n->header->capacity;
  return true;
}

struct fc_neighbour *fc_neighbour_load(int dirfd, const char *own_id, struct fc_arena *arena, bool *failed) {
  struct fc_neighbour *list = NULL;
  char *buffer = fc_arena_alloc(arena, FC_LIST_BYTES);
  struct fc_session_header *header = fc_arena_alloc(arena, sizeof *header);
  *failed = !buffer || !header;
  if (*failed) return NULL;
  struct fc_list entries;
  struct fc_entry entry;
  fc_list_begin(&entries, dirfd, buffer);
  int rc;
  while ((rc = fc_list_next(&entries, &entry)) == 1) {
    int fd;
    if (!is_session_name(entry.name) || strcmp(entry.name + sizeof FC_SESSION_PREFIX - 1, own_id) == 0) continue;
    if (fc_session_open_file(dirfd, entry.name, &fd, header) != FC_VERDICT_VALID) continue;
    const bool alive = header->words.state == FC_STATE_LIVE && fc_session_probe(fd, FC_BYTE_MEMBERS) == F_RDLCK;
    struct fc_neighbour *n = alive ? fc_arena_alloc(arena, sizeof *n) : NULL;
    if (!n) {
      *failed |= alive;
      (void)fc_sys_close(fd);
      continue;
    }
    n->fd = fd;
    n->header = header;
    n->next = list;
    list = n;
    *failed |= !read_in(n, arena);
    header = fc_arena_alloc(arena, sizeof *header);
    if (!header) {
      *failed = true;
      return list;
    }
  }
  *failed |= rc < 0;
  return list;
}

struct fc_neighbour *fc_neighbour_using(struct fc_neighbour *list, const char *path) {
  for (struct fc_neighbour *n = list; n; n = n->next) {
    const struct fc_node *node = fc_registry_find(&n->registry, path, false);
    if (node && node->used) return n;
  }
  return NULL;
}

struct fc_neighbour *fc_neighbour_below(struct fc_neighbour *list, const char *path) {
  for (struct fc_neighbour *n = list; n; n = n->next)
    if (fc_registry_find(&n->registry, path, false)) return n;
  return NULL;
}

bool fc_neighbour_tracks(struct fc_neighbour *list, const char *path, uint64_t ino) {
  for (struct fc_neighbour *n = list; n; n = n->next) {
    const struct fc_node *node = fc_registry_find(&n->registry, path, false);
    if (node && fc_ownership_tracked(&n->registry, node) && node->created >= n->registry.data_moved &&
        node->identity.ino == ino)
      return true;
  }
  return false;
}

bool fc_neighbour_adopt(struct fc_neighbour *n, const char *path, const struct fc_identity *identity, bool is_dir) {
  if (!n->journal.first) return false;
  const struct fc_record adopt = {.type = FC_REC_ADOPT,
                                  .flags = is_dir ? FC_REC_DIR : 0,
                                  .pid = n->header->leader_pid,
                                  .time_ns = fc_journal_now(),
                                  .identity = identity,
                                  .path = {NULL, 0, path, strlen(path)}};
  if (fc_journal_append(&n->journal, &adopt) < 0) return false;
  /* Had its own reaping begun meanwhile, the record came too late: then the name simply stays. */
  return __atomic_load_n(&n->journal.words->state, __ATOMIC_ACQUIRE) == FC_STATE_LIVE;
}

void fc_neighbour_free(struct fc_neighbour *list) {
  for (struct fc_neighbour *n = list; n; n = n->next) {
    fc_registry_free(&n->registry);
    if (n->journal.first) (void)fc_sys_munmap(n->journal.first, FC_FIRST_WINDOW_BYTES);
    (void)fc_sys_close(n->fd);
  }
}
