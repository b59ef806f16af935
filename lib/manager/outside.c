#include "outside.h"

#include <stdlib.h>
#include <string.h>

#include "entry.h"

static void remember(fcm_manager *m, const struct fc_start_cell *start, const char *path) {
  const size_t len = strlen(path);
  struct fc_outside *o = malloc(sizeof *o + len + 1);
  if (!o) {
    m->keeps = true; /* what was told is not known: nothing may be removed any more */
    return;
  }
  o->type = (enum fc_record_type)start->type;
  o->flags = start->flags;
  o->identity = start->identity;
  memcpy(o->path, path, len + 1);
  o->next = m->outside;
  m->outside = o;
}

static bool is_unread(const fcm_manager *m) {
  return __atomic_load_n(&m->session->journal.words->outside, __ATOMIC_ACQUIRE) != m->outside_seen;
}

/* Not through the mapping: where a record could not be written a page may be missing, and on a full file system that
 * would be a SIGBUS. */
static void read_on(fcm_manager *m, int fd) {
  const struct fc_session_header *h = m->session->header;
  struct fc_arena arena = {0};
  struct fc_replay replay;
  struct fc_replayed rec;
  enum fc_replay_step step = FC_REPLAY_DAMAGED;
  const uint32_t seen = __atomic_load_n(&m->session->journal.words->outside, __ATOMIC_ACQUIRE);
  if (fc_replay_begin(&replay, &arena, fd, h->key, h->capacity, false) == 0) {
    replay.index = m->outside_from;
    while ((step = fc_replay_next(&replay, &rec)) == FC_REPLAY_RECORD) {
      const uint8_t type = rec.start.type;
      if ((type != FC_REC_KEEP && type != FC_REC_UNTRACK && type != FC_REC_ADOPT) || !rec.path[0]) continue;
      remember(m, &rec.start, rec.path);
      if (type != FC_REC_ADOPT) fc_entry_drop_below(m, rec.path);
    }
  }
  if (step == FC_REPLAY_END) {
    /* What somebody has reserved and not written yet is looked at again. */
    m->outside_from = replay.open_count ? replay.open[0].first : replay.index;
    m->outside_seen = seen;
  }
  fc_arena_free(&arena);
}

void fc_outside_read(fcm_manager *m) {
  if (!is_unread(m)) return;
  const int fd = fc_session_reopen(m->session);
  if (fd < 0) return; /* until it can be read everything is spared */
  read_on(m, fd);
  (void)fc_sys_close(fd);
}

static bool is_at_or_below(const char *rel, const char *top) {
  const size_t len = strlen(top);
  return strncmp(rel, top, len) == 0 && (rel[len] == '\0' || rel[len] == '/');
}

bool fc_outside_spares(void *context, const char *rel) {
  fcm_manager *m = context;
  (void)pthread_mutex_lock(&m->lock);
  fc_outside_read(m);
  bool spares = m->keeps || is_unread(m);
  for (const struct fc_outside *o = m->outside; o && !spares; o = o->next)
    spares = o->type != FC_REC_ADOPT && is_at_or_below(rel, o->path);
  (void)pthread_mutex_unlock(&m->lock);
  return spares;
}

void fc_outside_track(fcm_manager *m, const char *rel) {
  for (struct fc_outside **at = &m->outside; *at;) {
    struct fc_outside *o = *at;
    if (o->type != FC_REC_UNTRACK || strcmp(o->path, rel) != 0) {
      at = &o->next;
      continue;
    }
    *at = o->next;
    free(o);
  }
}

void fc_outside_free(fcm_manager *m) {
  while (m->outside) {
    struct fc_outside *o = m->outside;
    m->outside = o->next;
    free(o);
  }
}

/* The name in hand, or, when that is a tree, what lies below it. */
static bool is_in_hand(const fcm_manager *m, const char *rel) {
  if (!m->in_hand || !rel) return false;
  const size_t len = strlen(m->in_hand);
  return strncmp(rel, m->in_hand, len) == 0 && (rel[len] == '\0' || (m->in_hand_tree && rel[len] == '/'));
}

void fc_outside_lock(fcm_manager *m, const char *rel) {
  (void)pthread_mutex_lock(&m->lock);
  while (is_in_hand(m, rel)) (void)pthread_cond_wait(&m->turned, &m->lock);
  fc_outside_read(m);
}

void fc_outside_unlock(fcm_manager *m) { (void)pthread_mutex_unlock(&m->lock); }
