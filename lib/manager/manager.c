/* manager: making an fcm_manager, and its end.
 *
 * Responsible for: the order of both, and who takes it over in between (abandon, adopt). Must never: remove a name
 * itself.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "announce.h"
#include "cleaning.h"
#include "departure.h"
#include "options.h"
#include "orphan.h"
#include "outside.h"
#include "periodic.h"
#include "tracking.h"

#define MESSAGE_BYTES 1024
#define BASE_TRIES 4
#define STARTUP_NS                                                                                                     \
  INT64_C(300000000000) /* others may be at work on what is left; a program must start all the same                    \
                         */
#define BASE_MODE 0700
#define ADOPT_PAUSE_MS 5

extern char **environ;

const char *fcm_version(void) { return FC_VERSION; }

const char *fcm_base_dir(const fcm_manager *m) {
  if (m) return m->real;
  errno = EINVAL;
  return NULL;
}

/* What a reaper of ours has to say. */
static void hear(void *context, enum fc_log_level level, const char *line) {
  fc_manager_log(context, (enum fcm_log_level)level, "%s", line);
}

/* ---- making ---- */

/* In a fork child: had no thread of the parent been in the middle of something, when it forked? */
static bool is_whole(fcm_manager *m) {
  return pthread_mutex_trylock(&m->lock) == 0 && pthread_mutex_trylock(&m->line_lock) == 0;
}

/* What is not whole cannot be freed. */
static void free_memory(fcm_manager *m, bool whole) {
  while (whole && m->lines) {
    struct fc_manager_line *line = m->lines;
    m->lines = line->next;
    free(line);
  }
  if (whole) fc_table_free(&m->table);
  if (whole) fc_outside_free(m);
  fc_arena_free(&m->reaper.registry.arena);
  if (m->session) fc_journal_unmap(&m->session->journal);
  free(m->session);
  free(m->header);
  if (m->owner) (void)fc_sys_munmap(m->owner, OWNER_PAGE);
  free(m->real);
  free((char *)m->options.base_dir);
  free((char *)m->options.state_dir);
  free((char *)m->options.keep);
  free(m);
}

static bool copy_text(const char **text) {
  if (!*text) return true;
  *text = strdup(*text);
  return *text != NULL;
}

static bool make_locks(fcm_manager *m) {
  pthread_rwlockattr_t writers_first;
  (void)pthread_rwlockattr_init(&writers_first);
  (void)pthread_rwlockattr_setkind_np(&writers_first, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
  int rc = pthread_rwlock_init(&m->passes, &writers_first);
  (void)pthread_rwlockattr_destroy(&writers_first);
  if (rc == 0) rc = pthread_mutex_init(&m->lock, NULL);
  if (rc == 0) rc = pthread_cond_init(&m->turned, NULL);
  if (rc == 0) rc = pthread_mutex_init(&m->line_lock, NULL);
  if (rc == 0) rc = pthread_mutex_init(&m->part_lock, NULL);
  if (rc == 0) rc = fc_periodic_init(&m->periodic);
  m->turn_next = m->turn_serving = 0;
  m->in_hand = NULL;
  return rc == 0;
}

/* Memory that does not depend on a session. NULL with errno. */
static fcm_manager *allocate(const struct fcm_options *options) {
  fcm_manager *m = calloc(1, sizeof *m);
  if (!m) return NULL;
  m->base_fd = -1;
  m->lines_end = &m->lines;
  const bool known = fc_options_read(&m->options, options);
  const char *const texts[] = {m->options.base_dir, m->options.state_dir, m->options.keep};
  m->options.base_dir = m->options.state_dir = m->options.keep = NULL; /* not ours to free yet */
  m->session = known ? calloc(1, sizeof *m->session) : NULL;
  void *page = fc_sys_mmap(NULL, OWNER_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (!fc_sys_is_error(page)) m->owner = page;
  bool fine = m->session && m->owner && make_locks(m);
  if (fine) {
    m->options.base_dir = texts[0];
    m->options.state_dir = texts[1];
    m->options.keep = texts[2];
    const bool base = copy_text(&m->options.base_dir);
    const bool state = copy_text(&m->options.state_dir);
    const bool keep = copy_text(&m->options.keep);
    fine = base && state && keep;
  }
  if (fine) return m;
  free_memory(m, true);
  errno = known ? ENOMEM : EINVAL;
  return NULL;
}

/* Makes the base with its parents, private. Returns how many directories were made, or -errno with none left. */
static int make_base(const char *path) {
  char work[PATH_MAX];
  const size_t len = strlen(path);
  int made = 0;
  int rc = 0;
  if (len >= sizeof work) return -ENAMETOOLONG;
  memcpy(work, path, len + 1);
  for (size_t i = 1; i <= len && rc == 0; i++) {
    if (work[i] != '/' && work[i] != '\0') continue;
    const char saved = work[i];
    struct statx st;
    work[i] = '\0';
    rc = fc_sys_mkdirat(AT_FDCWD, work, BASE_MODE);
    if (rc == 0) made++;
    /* A parent on a read-only or forbidden place may still stand. */
    if (rc < 0 && fc_sys_statx(AT_FDCWD, work, 0, STATX_TYPE, &st) == 0)
      rc = (st.stx_mode & S_IFMT) == S_IFDIR ? 0 : -ENOTDIR;
    work[i] = saved;
  }
  if (rc == 0) return made;
  fc_base_remove(path, (unsigned)made, INT64_MIN);
  return rc;
}

/* Opens the base and makes the session, again when the end of another one has removed the base meanwhile. 0 or -errno,
 * with one line in message. */
static int begin_session(fcm_manager *m, char *message, size_t size) {
  struct fc_base *base = malloc(sizeof *base);
  int rc = base ? -ESTALE : -ENOMEM;
  for (int i = 0; base && rc == -ESTALE && i < BASE_TRIES; i++) {
    const int made = make_base(m->config.base);
    int fd = made < 0 ? made : fc_sys_openat(AT_FDCWD, m->config.base, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0) {
      (void)snprintf(message, size, "filecleanup: base \"%.700s\": %s", m->config.base, strerror(-fd));
      rc = fd;
      if (made > 0) fc_base_remove(m->config.base, (unsigned)made, INT64_MIN);
      break;
    }
    (void)fc_sys_close(fd);
    rc = fc_base_open(base, &m->config, environ, NULL, message, size) == 0 ? 0 : -EPERM;
    if (rc == 0) {
      base->created = 0; /* it stays when the manager ends */
      rc = fc_session_create(m->session, &m->config, base, NULL, environ, message, size);
      if (rc == 0)
        m->base_fd = base->fd;
      else
        (void)fc_sys_close(base->fd);
      if (rc == 0 && (!(m->real = strdup(base->real)) || !(m->header = malloc(sizeof *m->header)))) rc = -ENOMEM;
      if (rc == 0) *m->header = *m->session->header;
    }
    if (rc < 0) fc_base_remove(m->config.base, (unsigned)made, INT64_MIN);
  }
  free(base);
  return rc;
}

/* A session that follows this one stands beside it, whatever the environment says by then. */
static void stay_in_place(fcm_manager *m) {
  char dir[PATH_MAX];
  char *const place = m->config.state_dir;
  if (fc_session_split(fc_session_path(m->session), dir, sizeof dir))
    (void)fc_session_split(dir, place, sizeof m->config.state_dir);
}

static int open_reaper(fcm_manager *m) {
  const int rc = fc_reaper_open_owner(&m->reaper, m->session->header, m->base_fd, &m->session->journal, &m->reaped);
  m->reaper.log.hear = m->options.log ? hear : NULL;
  m->reaper.log.context = m;
  m->reaper.spares = fc_outside_spares;
  m->reaper.spares_context = m;
  m->reaper.removing = filecleanup_removing;
  return rc;
}

static void tell_startup(void *context, const char *line) { fc_manager_log(context, FCM_LOG_WARN, "%s", line); }

/* The break signal of a lease goes to the thread that holds it; a reaper of another session may take one. */
static void block_signals(uint64_t *old) {
  static const uint64_t all = UINT64_MAX;
  (void)fc_sys_sigmask(SIG_BLOCK, &all, old);
}

/* What dead sessions of this base and user have left. */
static void clean_startup(fcm_manager *m) {
  uint64_t signals;
  char dir[PATH_MAX];
  if (!fc_session_split(fc_session_path(m->session), dir, sizeof dir)) return;
  const int dirfd = fc_sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
  if (dirfd < 0) {
    fc_manager_log(m, FCM_LOG_ERROR, "%s: what earlier runs have left cannot be looked for: %s", dir, strerror(-dirfd));
    return;
  }
  block_signals(&signals);
  (void)fc_orphan_scan(dirfd, dir, m->session->header->id, true, fc_journal_deadline(STARTUP_NS), tell_startup, m);
  (void)fc_sys_sigmask(SIG_SETMASK, &signals, NULL);
  (void)fc_sys_close(dirfd);
}

/* Gives up the lock and the journal's file, which nobody needs any more. */
static void retire(fcm_manager *m) {
  __atomic_store_n(&m->session->journal.words->state, FC_STATE_CLOSED, __ATOMIC_RELEASE);
  char dir[PATH_MAX];
  if (fc_session_split(fc_session_path(m->session), dir, sizeof dir)) {
    (void)fc_sys_unlinkat(AT_FDCWD, fc_session_path(m->session), 0);
    (void)fc_sys_unlinkat(AT_FDCWD, dir, AT_REMOVEDIR); /* only when no session of this base is left */
  }
  fc_session_unlock(m->session);
}

fcm_manager *fcm_create(const struct fcm_options *options) {
  char message[MESSAGE_BYTES] = "";
  if (!options) {
    errno = EINVAL;
    return NULL;
  }
  fcm_manager *m = allocate(options);
  if (!m) return NULL;
  int rc = -EINVAL;
  if (fc_options_config(&m->options, &m->config, message, sizeof message) == 0)
    rc = begin_session(m, message, sizeof message);
  if (rc == 0) {
    fc_manager_own(m);
    stay_in_place(m);
    m->keeps = m->options.disabled;
    m->made_real_ns = fc_sys_realtime();
    m->made_boot_ns = fc_sys_boottime();
    rc = open_reaper(m);
    if (rc == 0 && fc_sys_getrandom(&m->hash_key, sizeof m->hash_key) != (long)sizeof m->hash_key) rc = -EIO;
    if (rc == 0) {
      if (m->options.cleanup_on_startup && !m->keeps) clean_startup(m);
      if (m->options.enable_periodic_cleanup && fcm_start_periodic_cleanup(m) < 0) rc = -errno;
    }
    if (rc < 0) {
      retire(m);
      fc_reaper_close(&m->reaper);
      (void)fc_sys_close(m->base_fd);
    }
  }
  if (rc == 0) {
    fc_manager_tell(m);
    return m;
  }
  if (m->options.log && message[0]) m->options.log(m->options.log_context, FCM_LOG_ERROR, message);
  free_memory(m, true);
  errno = -rc;
  return NULL;
}

/* ---- ending ---- */

/* Its requests are done; it stays where it is, for who is still in a call of it. */
static void stop_part(fcm_manager *m) {
  (void)pthread_mutex_lock(&m->part_lock);
  m->part_closed = true;
  void *const part = m->part;
  (void)pthread_mutex_unlock(&m->part_lock);
  if (part) m->part_kind->stop(part);
}

static void open_part(fcm_manager *m) {
  (void)pthread_mutex_lock(&m->part_lock);
  m->part_closed = false;
  if (m->part) m->part_kind->go_on(m->part);
  (void)pthread_mutex_unlock(&m->part_lock);
}

/* Leaves it to the ordinary end of a session, by its policy. True when nothing is left to be done. */
static bool end_session(fcm_manager *m) {
  struct statx st;
  uint64_t signals;
  block_signals(&signals);
  fc_departure(m->session);
  (void)fc_sys_sigmask(SIG_SETMASK, &signals, NULL);
  const bool closed = __atomic_load_n(&m->session->journal.words->state, __ATOMIC_ACQUIRE) == FC_STATE_CLOSED;
  return closed || fc_sys_statx(AT_FDCWD, fc_session_path(m->session), AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st) < 0;
}

int fcm_destroy(fcm_manager *m) {
  if (!m) return 0;
  if (!fc_manager_owns(m)) {
    const bool gave_up = __atomic_load_n(m->owner, __ATOMIC_RELAXED) == (uint32_t)fc_sys_getpid();
    if (m->part) gave_up ? m->part_kind->discard(m->part) : m->part_kind->forget(m->part);
    if (gave_up) (void)fc_sys_close(m->base_fd); /* in a child the number may be another file's by now */
    free_memory(m, gave_up || is_whole(m));
    return 0;
  }
  stop_part(m);
  if (m->part) m->part_kind->discard(m->part);
  m->part = NULL;
  (void)fcm_stop_periodic_cleanup(m);
  const bool removes = m->options.cleanup_after_processing && !m->keeps;
  if (removes) fc_cleaning_last(m);
  fc_reaper_rest(&m->reaper);
  bool done = true;
  if (fc_tracking_is_empty(m))
    retire(m);
  else
    done = end_session(m);
  if (!done) fc_manager_log(m, FCM_LOG_WARN, "%s: something could not be removed; it stays on record", m->config.base);
  fc_manager_tell(m);
  fc_reaper_close(&m->reaper);
  (void)fc_sys_close(m->base_fd);
  free_memory(m, true);
  return done ? 0 : fc_manager_fail(EBUSY);
}

/* ---- from one process to another ---- */

int fcm_abandon(fcm_manager *m) {
  if (!fc_manager_may(m)) return -1;
  const bool periodic = fc_manager_is_periodic(&m->periodic);
  if (fcm_stop_periodic_cleanup(m) < 0) return -1;
  stop_part(m);
  (void)pthread_rwlock_wrlock(&m->passes); /* the pass that is under way is waited for, and no other one begins */
  (void)pthread_mutex_lock(&m->lock);
  const bool owns = fc_manager_owns(m); /* or another thread was faster */
  if (owns) {
    __atomic_store_n(&m->session->journal.words->abandoned_s, fc_session_now_s(), __ATOMIC_SEQ_CST);
    __atomic_store_n(&m->given_up, true, __ATOMIC_RELEASE);
    fc_session_unlock(m->session);
  }
  (void)pthread_mutex_unlock(&m->lock);
  (void)pthread_rwlock_unlock(&m->passes);
  fc_manager_tell(m);
  if (!owns) return fc_manager_fail(EPERM);
  (void)fc_periodic_halt(&m->periodic); /* somebody may have started it meanwhile */
  m->periodic.restart = periodic;
  return 0;
}

/* Takes the lock of a session whose owner is gone, before anybody reaps it, and keeps it through a mapping. 0 or
 * -errno. */
static int take_lock(struct fc_session *s) {
  for (;;) {
    const int fd = fc_session_reopen(s);
    if (fd < 0) return -ESTALE;
    int rc = fc_sys_lock(fd, FC_F_OFD_SETLK, F_WRLCK, FC_BYTE_MEMBERS, NULL);
    if (rc < 0) {
      const int held = fc_session_probe(fd, FC_BYTE_MEMBERS);
      (void)fc_sys_close(fd);
      if (held == F_RDLCK) return -EBUSY;
      fc_sys_pause(ADOPT_PAUSE_MS); /* somebody looks whether it is to be reaped, or reaps it */
      continue;
    }
    struct statx st;
    if (fc_sys_statx(fd, "", AT_EMPTY_PATH, STATX_NLINK, &st) < 0 || st.stx_nlink == 0 ||
        __atomic_load_n(&s->journal.words->state, __ATOMIC_ACQUIRE) != FC_STATE_LIVE)
      rc = -ESTALE;
    if (rc == 0) rc = fc_sys_lock(fd, FC_F_OFD_SETLK, F_RDLCK, FC_BYTE_MEMBERS, NULL);
    void *page = rc < 0 ? NULL : fc_sys_mmap(NULL, OWNER_PAGE, PROT_NONE, MAP_SHARED, fd, 0);
    if (rc == 0 && fc_sys_is_error(page)) rc = (int)(intptr_t)page;
    if (rc == 0) {
      s->lock_page = page;
      s->journal_locks = false;
    }
    (void)fc_sys_close(fd);
    return rc;
  }
}

/* What is tracked, read anew: another process may have owned the manager meanwhile. whole: the memory can be freed. */
static int read_again(fcm_manager *m, bool whole) {
  if (whole) fc_table_free(&m->table);
  if (whole) fc_outside_free(m);
  m->table = (struct fc_table){0};
  m->outside = NULL;
  return fc_tracking_rebuild(m);
}

int fcm_adopt(fcm_manager *m) {
  if (!m) return fc_manager_fail(EINVAL);
  if (fc_manager_owns(m)) return 0;
  const bool is_child = __atomic_load_n(m->owner, __ATOMIC_RELAXED) != (uint32_t)fc_sys_getpid();
  int rc = take_lock(m->session);
  if (rc < 0) return fc_manager_fail(-rc);
  if (is_child) {
    /* What the other threads of the parent had locked stays locked here, and what they had begun stays half done. */
    if (m->part) m->part_kind->forget(m->part);
    m->part = NULL;
    m->part_closed = false;
    const bool whole = is_whole(m);
    m->periodic.restart = m->periodic.restart || m->periodic.running;
    const bool restart = m->periodic.restart;
    if (!make_locks(m)) rc = -ENOMEM;
    m->periodic.restart = restart;
    m->lines = NULL;
    m->lines_end = &m->lines;
    m->reaper.quarantine.fd = m->reaper.hand_fd = -1;
    fc_arena_free(&m->reaper.registry.arena);
    const struct fc_session_header *h = m->session->header;
    m->base_fd = fc_base_reopen(h->base, &h->base_identity, h->fs_id, false);
    if (m->base_fd < 0) rc = m->base_fd == -ENOENT ? -ESTALE : m->base_fd;
    if (rc == 0) rc = open_reaper(m);
    if (rc == 0) rc = read_again(m, whole);
  } else {
    (void)pthread_mutex_lock(&m->lock); /* a thread that came too late for the end may still look at the table */
    rc = read_again(m, true);
    (void)pthread_mutex_unlock(&m->lock);
  }
  if (rc < 0) {
    fc_session_unlock(m->session);
    return fc_manager_fail(-rc);
  }
  fc_manager_own(m);
  open_part(m);
  __atomic_store_n(&m->session->journal.words->abandoned_s, 0, __ATOMIC_SEQ_CST);
  const struct fc_record join = {.type = FC_REC_JOIN, .pid = (uint32_t)fc_sys_getpid(), .time_ns = fc_sys_getppid()};
  (void)fc_journal_append(&m->session->journal, &join); /* for people who look; nothing depends on it */
  if (m->periodic.restart) return fcm_start_periodic_cleanup(m);
  return 0;
}
