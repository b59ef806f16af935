#include "owner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 1024
#define MADV_DONTFORK_ 10
#define MADV_WIPEONFORK_ 18

int fc_manager_fail(int error) {
  errno = error;
  return -1;
}

bool fc_manager_owns(const fcm_manager *m) {
  return !__atomic_load_n(&m->given_up, __ATOMIC_ACQUIRE) &&
         __atomic_load_n(m->owner, __ATOMIC_RELAXED) == (uint32_t)fc_sys_getpid();
}

bool fc_manager_may(const fcm_manager *m) {
  if (m && fc_manager_owns(m)) return true;
  errno = m ? EPERM : EINVAL;
  return false;
}

void fc_manager_own(fcm_manager *m) {
  (void)fc_sys_madvise(m->session->lock_page, OWNER_PAGE, MADV_DONTFORK_);
  (void)fc_sys_madvise(m->owner, OWNER_PAGE, MADV_WIPEONFORK_); /* before Linux 4.14 the pid alone tells */
  __atomic_store_n(m->owner, (uint32_t)fc_sys_getpid(), __ATOMIC_RELEASE);
  __atomic_store_n(&m->given_up, false, __ATOMIC_RELEASE);
}

void fc_manager_take_session(fcm_manager *m, struct fc_session *session) {
  m->session = session;
  fc_manager_own(m);
  m->reaper.header = m->reaper.ground.header = session->header;
  m->reaper.captures = &session->journal;
  fc_quarantine_begin(&m->reaper.quarantine, m->base_fd, session->header->id);
}

/* ---- lines ---- */

void fc_manager_log(fcm_manager *m, enum fcm_log_level level, const char *format, ...) {
  char text[LINE_BYTES];
  va_list args;
  va_start(args, format);
  (void)vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (!m->options.log) {
    struct fc_log log;
    fc_log_open(&log, &m->config.policy, m->header->path);
    fc_log_write(&log, (enum fc_log_level)level, "%s", text);
    return;
  }
  struct fc_manager_line *line = malloc(sizeof *line + strlen(text) + 1);
  if (!line) return; /* the counts tell it too */
  line->next = NULL;
  line->level = level;
  memcpy(line->text, text, strlen(text) + 1);
  (void)pthread_mutex_lock(&m->line_lock);
  *m->lines_end = line;
  m->lines_end = &line->next;
  (void)pthread_mutex_unlock(&m->line_lock);
}

void fc_manager_tell(fcm_manager *m) {
  if (!m->options.log) return;
  for (;;) {
    (void)pthread_mutex_lock(&m->line_lock);
    struct fc_manager_line *line = m->lines;
    if (line) m->lines = line->next;
    if (!m->lines) m->lines_end = &m->lines;
    (void)pthread_mutex_unlock(&m->line_lock);
    if (!line) return;
    m->options.log(m->options.log_context, line->level, line->text);
    free(line);
  }
}

bool fc_manager_is_periodic(struct fc_periodic *p) {
  (void)pthread_mutex_lock(&p->lock);
  const bool runs = p->running;
  (void)pthread_mutex_unlock(&p->lock);
  return runs;
}
