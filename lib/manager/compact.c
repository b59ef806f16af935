#include "compact.h"

#include <stdlib.h>
#include <string.h>

#include "outside.h"
#include "entry.h"

#define MESSAGE_BYTES 1024
#define OLD_WORTH_NUM 3u /* so many of OLD_WORTH_DEN parts may still count */
#define OLD_WORTH_DEN 4u
#define TELLERS_TRIES 1000
#define TELLERS_PAUSE_MS 1

extern char **environ;

static bool has_room(const struct fc_journal *j, unsigned cells) {
  /* A record never crosses the end of the ring, and nothing here is ever at its second lap. */
  return __atomic_load_n(&j->words->next, __ATOMIC_RELAXED) + cells <= j->limit;
}

/* At most three quarters of what was written still count: cells of the names that are tracked. */
static bool is_worth_it(fcm_manager *m) {
  uint64_t cells = 0;
  for (size_t i = 0; i < m->table.room; i++)
    if (m->table.slots[i].value) cells += fc_entry_cells_of(m, fc_slot_cell(&m->table.slots[i]));
  return cells * OLD_WORTH_DEN <= (uint64_t)m->session->journal.limit * OLD_WORTH_NUM;
}

/* What fc_session_create wants to know of the base. */
static struct fc_base *base_of(const struct fc_session_header *h) {
  struct fc_base *base = calloc(1, sizeof *base);
  if (!base) return NULL;
  base->fd = -1;
  base->identity = h->base_identity;
  base->fs_type = h->fs_type;
  base->fs_id = h->fs_id;
  base->with_handle = h->with_handle != 0;
  memcpy(base->real, h->base, sizeof base->real);
  return base;
}

struct move {
  struct fc_session *session;
  struct fc_table table;
};

static bool copy_all(fcm_manager *m, struct move *to) {
  struct fc_tracked *one = malloc(sizeof *one);
  uint32_t *cells = NULL;
  size_t count = 0;
  bool fine = one && fc_entry_cells(m, 0, 0, &cells, &count);
  for (size_t i = 0; fine && i < count; i++) {
    if (!fc_entry_read(m, cells[i], one)) continue;
    const struct fc_tracking what = {.rel = one->path,
                                     .identity = one->expected ? NULL : &one->identity,
                                     .is_dir = one->is_dir,
                                     .tree = one->tree,
                                     .asked_ns = one->asked_ns};
    const int64_t index = fc_entry_append(&to->session->journal, &what);
    fine = index >= 0 && fc_table_reserve(&to->table);
    if (fine) fc_table_add(&to->table, fc_entry_hash(m, one->path), fc_entry_value(&what, (uint32_t)index));
  }
  free(cells);
  free(one);
  return fine;
}

/* The words from `from` up to `end`. */
static void say_again(fcm_manager *m, const struct fc_outside *from, const struct fc_outside *end,
                      struct fc_session *to) {
  for (const struct fc_outside *o = from; o != end; o = o->next) {
    const struct fc_record record = {.type = o->type,
                                     .flags = o->flags,
                                     .pid = (uint32_t)fc_sys_getpid(),
                                     .time_ns = fc_sys_boottime(),
                                     .identity = &o->identity,
                                     .path = {NULL, 0, o->path, strlen(o->path)}};
    if (fc_journal_append(&to->journal, &record) < 0) m->keeps = true; /* room was left for all of them */
  }
}

/* Whoever is just telling the old session something holds its lock; after him it is closed to all. */
static void wait_for_tellers(struct fc_session *old) {
  const int fd = fc_session_reopen(old);
  fc_session_unlock(old);
  if (fd < 0) return;
  for (int i = 0; i < TELLERS_TRIES && fc_sys_lock(fd, FC_F_OFD_SETLK, F_WRLCK, FC_BYTE_MEMBERS, NULL) < 0; i++)
    fc_sys_pause(TELLERS_PAUSE_MS);
  (void)fc_sys_close(fd);
}

static void drop_session(struct fc_session *s) {
  if (!s) return;
  if (s->header) {
    (void)fc_sys_unlinkat(AT_FDCWD, fc_session_path(s), 0);
    fc_session_unlock(s);
    fc_journal_unmap(&s->journal);
  }
  free(s);
}

/* Under `passes` and `lock`: nobody else reads the old journal. */
static int move(fcm_manager *m) {
  char message[MESSAGE_BYTES];
  struct move to = {.session = calloc(1, sizeof *to.session)};
  struct fc_base *base = base_of(m->session->header);
  int rc = to.session && base ? 0 : -ENOMEM;
  if (rc == 0) rc = fc_session_create(to.session, &m->config, base, NULL, environ, message, sizeof message);
  free(base);
  /* Until it knows all that the old one does it proves nothing: else a kill would have it removed what somebody has
   * just told the old one to keep. */
  if (rc == 0) __atomic_store_n(&to.session->journal.words->lost_destructive, 1, __ATOMIC_SEQ_CST);
  if (rc == 0) say_again(m, m->outside, NULL, to.session);
  if (rc == 0 && !copy_all(m, &to)) rc = -ENOSPC;
  if (rc < 0) {
    drop_session(to.session);
    fc_table_free(&to.table);
    return rc;
  }
  struct fc_session *const old = m->session;
  const struct fc_outside *const known = m->outside;
  __atomic_store_n(&old->journal.words->state, FC_STATE_CLOSED, __ATOMIC_SEQ_CST);
  wait_for_tellers(old);
  fc_outside_read(m);
  fc_table_free(&m->table);
  m->table = to.table;
  fc_manager_take_session(m, to.session);
  for (const struct fc_outside *o = m->outside; o != known; o = o->next)
    if (o->type != FC_REC_ADOPT) fc_entry_drop_below(m, o->path);
  say_again(m, m->outside, known, to.session);
  __atomic_store_n(&to.session->journal.words->lost_destructive, 0, __ATOMIC_SEQ_CST);
  m->outside_seen = 0;
  m->outside_from = __atomic_load_n(&to.session->journal.words->next, __ATOMIC_ACQUIRE);
  drop_session(old);
  return 0;
}

int fc_compact_reserve(fcm_manager *m, unsigned cells, const char *rel) {
  if (has_room(&m->session->journal, cells)) return 0;
  if (!rel) return -ENOSPC;
  fc_outside_unlock(m);
  (void)pthread_rwlock_wrlock(&m->passes);
  fc_outside_lock(m, NULL);
  int rc = fc_manager_owns(m) ? 0 : -EPERM;
  if (rc == 0 && !has_room(&m->session->journal, cells)) {
    rc = is_worth_it(m) ? move(m) : -ENOSPC;
    if (rc == 0 && !has_room(&m->session->journal, cells)) rc = -ENOSPC;
  }
  fc_outside_unlock(m);
  (void)pthread_rwlock_unlock(&m->passes);
  fc_outside_lock(m, rel);
  if (rc < 0 && rc != -EPERM) fc_manager_log(m, FCM_LOG_ERROR, "%s: the journal is full: error %d", m->real, -rc);
  return rc;
}
