#include "outside.h"

#include <stdlib.h>
#include <string.h>

#include "tracking.h"

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

/* The record of count cells at index is somebody else's. */
static void apply(fcm_manager *m, const char *cells, uint32_t index, unsigned count) {
  struct fc_start_cell start;
  char path[PATH_MAX];
  memcpy(&start, cells, sizeof start);
  if (start.type != FC_REC_KEEP && start.type != FC_REC_UNTRACK && start.type != FC_REC_ADOPT) return;
  if (fc_journal_check(m->session->journal.key, index, cells, count) != start.check || start.path_len >= sizeof path) {
    m->keeps = true;
    return;
  }
  fc_journal_copy_path(cells, start.path_len, path);
  if (fc_path_normalize(path) == 0) return;
  remember(m, &start, path);
  if (start.type != FC_REC_ADOPT) fc_tracking_drop_below(m, path);
}

void fc_outside_read(fcm_manager *m) {
  struct fc_journal *const j = &m->session->journal;
  const uint32_t seen = __atomic_load_n(&j->words->outside, __ATOMIC_ACQUIRE);
  if (seen == m->outside_seen) return;
  const uint32_t next = __atomic_load_n(&j->words->next, __ATOMIC_ACQUIRE);
  bool whole = true; /* up to a cell that somebody has reserved and not written yet */
  for (uint32_t at = m->outside_from; at < next && at < j->capacity;) {
    const char *cell = fc_journal_look(j, at, 1);
    const uint32_t word = cell ? __atomic_load_n((const uint32_t *)(const void *)cell, __ATOMIC_ACQUIRE) : 0;
    const unsigned count = (word & 0xffu) == FC_MARK_START ? word >> 8 & 0xffu : 0;
    if (count == 0 || count > next - at) {
      whole = whole && word != 0;
      at++;
    } else {
      const char *cells = fc_journal_look(j, at, count);
      if (cells) apply(m, cells, at, count);
      at += count;
    }
    if (whole) m->outside_from = at;
  }
  m->outside_seen = seen;
}

static bool is_at_or_below(const char *rel, const char *top) {
  const size_t len = strlen(top);
  return strncmp(rel, top, len) == 0 && (rel[len] == '\0' || rel[len] == '/');
}

bool fc_outside_spares(void *context, const char *rel) {
  fcm_manager *m = context;
  bool spares = false;
  (void)pthread_mutex_lock(&m->lock);
  fc_outside_read(m);
  for (const struct fc_outside *o = m->outside; o && !spares; o = o->next)
    spares = o->type != FC_REC_ADOPT && is_at_or_below(rel, o->path);
  spares = spares || m->keeps;
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
