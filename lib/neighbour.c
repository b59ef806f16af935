#include "neighbour.h"

#include <string.h>

#include "beneath.h"
#include "keep.h"
#include "named.h"
#include "history.h"
#include "ownership.h"

#define READ_TRIES 5
#define SETTLED_NS 100000000 /* longer than a tick of any kernel's clock */

static bool is_session_name(const char *name) {
  return strncmp(name, FC_SESSION_PREFIX, sizeof FC_SESSION_PREFIX - 1) == 0;
}

/* From the beginning; again when checkpoints overtake the reading. */
static bool read_all(struct fc_neighbour *n, struct fc_arena *arena) {
  int rc = -EAGAIN;
  for (int tries = 0; rc == -EAGAIN && tries < READ_TRIES; tries++) {
    fc_registry_free(&n->registry);
    n->registry.no_captures = n->registry.heeds_taken_back = true;
    n->registry.leader_pid = n->header->leader_pid;
    n->registry.leader_status = -1;
    rc = fc_replay_begin(&n->replay, arena, n->fd, n->header->key, n->header->capacity, false);
    if (rc == 0) rc = fc_history_replay(&n->registry, &n->replay);
  }
  return rc == 0;
}

static bool open_journal(struct fc_neighbour *n, struct fc_arena *arena) {
  return fc_session_map(n->fd, n->header, &n->journal) == 0 && read_all(n, arena);
}

/* What it has written since. A record that was not yet committed when we passed it would be missed for ever, so such
 * cells are looked at again; records that are applied twice can only make us more careful with its names. */
static bool read_on(struct fc_neighbour *n, struct fc_arena *arena) {
  const uint32_t next = __atomic_load_n(&n->journal.words->next, __ATOMIC_ACQUIRE);
  if (next == n->replay.next && n->replay.open_count == 0) return true;
  if (fc_replay_resume(&n->replay, next) && fc_history_replay(&n->registry, &n->replay) == 0) return true;
  return read_all(n, arena);
}

/* Locked by a member, or for a moment by a guardian that waits for one; or named, and waiting for its next command. */
static bool goes_on(int fd, const struct fc_session_header *header, const struct fc_head_words *words) {
  return fc_session_probe(fd, FC_BYTE_MEMBERS) != F_UNLCK || fc_named_is_dormant(header, words);
}

static bool is_alive(int fd, const struct fc_session_header *header) {
  return header->words.state == FC_STATE_LIVE && goes_on(fd, header, &header->words);
}

static void let_go(struct fc_neighbour *n) {
  fc_registry_free(&n->registry);
  fc_journal_unmap(&n->journal);
  (void)fc_sys_close(n->fd);
}

static void drop_dead(struct fc_neighbours *list) {
  for (struct fc_neighbour **at = &list->first; *at;) {
    struct fc_neighbour *n = *at;
    if (goes_on(n->fd, n->header, n->journal.words)) {
      at = &n->next;
      continue;
    }
    *at = n->next;
    let_go(n);
  }
}

static bool is_among(const struct fc_neighbour *first, const char *id) {
  for (const struct fc_neighbour *n = first; n; n = n->next)
    if (strcmp(n->header->id, id) == 0) return true;
  return false;
}

static bool is_known(const struct fc_neighbours *list, const char *id) {
  if (is_among(list->first, id)) return true;
  for (const struct fc_ended *e = list->ended; e; e = e->next)
    if (strcmp(e->id, id) == 0) return true;
  return false;
}

/* Of the kept and the reported there may be many, and a directory that is not settled is read for every name. */
static void remember_ended(struct fc_neighbours *list, const struct fc_session_header *header, struct fc_arena *arena) {
  if (header->words.state == FC_STATE_LIVE) return; /* somebody may be about to join */
  struct fc_ended *ended = fc_arena_alloc(arena, sizeof *ended);
  if (!ended) return; /* it is looked at again */
  memcpy(ended->id, header->id, sizeof ended->id);
  ended->next = list->ended;
  list->ended = ended;
}

/* What is open as fd and has been read into list->header. Takes fd over. NULL: no memory. */
static struct fc_neighbour *make(const struct fc_neighbours *list, int fd, struct fc_arena *arena) {
  struct fc_neighbour *n = fc_arena_alloc(arena, sizeof *n);
  if (n) n->header = fc_arena_alloc(arena, sizeof *n->header);
  if (!n || !n->header) {
    (void)fc_sys_close(fd);
    return NULL;
  }
  n->fd = fd;
  memcpy(n->header, list->header, sizeof *n->header);
  return n;
}

static bool has_buffers(struct fc_neighbours *list, struct fc_arena *arena) {
  if (!list->buffer) list->buffer = fc_arena_alloc(arena, FC_LIST_BYTES);
  if (!list->header) list->header = fc_arena_alloc(arena, sizeof *list->header);
  return list->buffer && list->header;
}

/* Adds the live sessions of the state directory that are not known yet. */
static bool read_directory(struct fc_neighbours *list, int dirfd, const char *own_id, struct fc_arena *arena) {
  if (!has_buffers(list, arena)) return false;
  list->readings++;
  struct fc_list entries;
  struct fc_entry entry;
  fc_list_begin(&entries, dirfd, list->buffer);
  int rc;
  while ((rc = fc_list_next(&entries, &entry)) == 1) {
    const char *id = entry.name + sizeof FC_SESSION_PREFIX - 1;
    if (!is_session_name(entry.name) || strcmp(id, own_id) == 0 || is_known(list, id)) continue;
    int fd;
    if (fc_session_open_file(dirfd, entry.name, &fd, list->header) != FC_VERDICT_VALID) continue;
    if (!is_alive(fd, list->header)) {
      (void)fc_sys_close(fd);
      remember_ended(list, list->header, arena);
      continue;
    }
    struct fc_neighbour *n = make(list, fd, arena);
    if (!n) return false;
    if (!open_journal(n, arena)) {
      let_go(n);
      return false;
    }
    n->next = list->first;
    list->first = n;
  }
  return rc == 0;
}

/* A directory that changed a moment ago may change again within the same tick of a coarse clock and look the same. */
static bool is_settled(const struct statx *st) {
  return fc_sys_realtime() - fc_sys_in_ns(st->stx_ctime.tv_sec, st->stx_ctime.tv_nsec) >= SETTLED_NS;
}

bool fc_neighbours_refresh(struct fc_neighbours *list, int dirfd, const char *own_id, struct fc_arena *arena) {
  struct statx st;
  if (fc_sys_statx(dirfd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) < 0) return false;
  const bool same = list->read && st.stx_ctime.tv_sec == list->changed_s && st.stx_ctime.tv_nsec == list->changed_ns;
  for (struct fc_neighbour *n = list->first; n; n = n->next)
    if (!read_on(n, arena) && goes_on(n->fd, n->header, n->journal.words)) return false;
  if (same) return true;
  list->read = is_settled(&st);
  list->changed_s = st.stx_ctime.tv_sec;
  list->changed_ns = st.stx_ctime.tv_nsec;
  drop_dead(list);
  return read_directory(list, dirfd, own_id, arena);
}

bool fc_neighbours_read_silent(struct fc_neighbours *list, int dirfd, const char *own_id, struct fc_arena *arena) {
  if (list->readings == list->silent_reading) return true;
  if (!has_buffers(list, arena)) return false;
  struct fc_list entries;
  struct fc_entry entry;
  fc_list_begin(&entries, dirfd, list->buffer);
  int rc;
  while ((rc = fc_list_next(&entries, &entry)) == 1) {
    const char *id = entry.name + sizeof FC_SESSION_PREFIX - 1;
    if (!is_session_name(entry.name) || strcmp(id, own_id) == 0 || is_among(list->first, id) ||
        is_among(list->silent, id))
      continue;
    int fd;
    const enum fc_verdict verdict = fc_session_open_file(dirfd, entry.name, &fd, list->header);
    if (verdict == FC_VERDICT_ABSENT) continue;
    struct fc_neighbour *n = verdict == FC_VERDICT_VALID ? make(list, fd, arena) : NULL;
    if (!n) return false;
    const bool fine = read_all(n, arena);
    (void)fc_sys_close(n->fd);
    n->fd = -1;
    if (!fine) {
      fc_registry_free(&n->registry);
      return false;
    }
    n->next = list->silent;
    list->silent = n;
  }
  if (rc == 0) list->silent_reading = list->readings;
  return rc == 0;
}

static bool knows(struct fc_neighbour *n, const char *path) {
  return fc_registry_find(&n->registry, path, false) || fc_keep_names(n->header, path);
}

enum fc_neighbour_word fc_neighbours_know(const struct fc_neighbours *list, const char *path) {
  for (struct fc_neighbour *n = list->first; n; n = n->next)
    if (knows(n, path)) return FC_NEIGHBOUR_KNOWS;
  enum fc_neighbour_word word = FC_NEIGHBOUR_NONE;
  for (struct fc_neighbour *n = list->silent; n; n = n->next) {
    if (!knows(n, path)) continue;
    if (n->header->words.state == FC_STATE_CLOSED) return FC_NEIGHBOUR_KNOWS;
    /* Two that wait for each other would wait for ever: one that has been put off already is not waited for. */
    const bool was_put_off = n->header->words.done == FC_DONE_DEFERRED;
    if (was_put_off) return FC_NEIGHBOUR_KNOWS;
    word = FC_NEIGHBOUR_ENDS;
  }
  return word;
}

struct fc_neighbour *fc_neighbour_using(struct fc_neighbour *list, const char *path) {
  for (struct fc_neighbour *n = list; n; n = n->next) {
    const struct fc_node *node = fc_registry_find(&n->registry, path, false);
    if (node && node->used) return n;
  }
  return NULL;
}

bool fc_neighbours_moved_data_to(struct fc_neighbour *list, const char *path) {
  for (struct fc_neighbour *n = list; n; n = n->next) {
    const struct fc_node *node = fc_registry_find(&n->registry, path, false);
    /* An opening that truncates moves data itself. */
    if (node && node->used && n->registry.data_moved > node->used_at + 1) return true;
  }
  return false;
}

struct fc_neighbour *fc_neighbour_below(struct fc_neighbour *list, const char *path) {
  for (struct fc_neighbour *n = list; n; n = n->next)
    if (fc_registry_find(&n->registry, path, false)) return n;
  return NULL;
}

bool fc_neighbour_tracks(struct fc_neighbour *list, const char *path, uint64_t ino) {
  for (struct fc_neighbour *n = list; n; n = n->next) {
    const struct fc_node *node = fc_registry_find(&n->registry, path, false);
    if (node && fc_ownership_stands(&n->registry, node) && node->created >= n->registry.data_moved &&
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
                                  .time_ns = fc_sys_boottime(),
                                  .identity = identity,
                                  .path = {NULL, 0, path, strlen(path)}};
  if (fc_journal_append(&n->journal, &adopt) < 0) return false;
  /* Had its own reaping begun meanwhile, the record came too late: then the name simply stays. */
  return __atomic_load_n(&n->journal.words->state, __ATOMIC_ACQUIRE) == FC_STATE_LIVE;
}

void fc_neighbours_free(struct fc_neighbours *list) {
  while (list->first) {
    struct fc_neighbour *n = list->first;
    list->first = n->next;
    let_go(n);
  }
  for (struct fc_neighbour *n = list->silent; n; n = n->next) fc_registry_free(&n->registry);
  list->silent = NULL;
  list->ended = NULL;
}
