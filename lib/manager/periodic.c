#include "periodic.h"

#include <time.h>

#define MS_PER_S 1000
#define NS_PER_MS 1000000
#define NS_PER_S 1000000000
#define FAR_S INT64_C(1000000000) /* beyond what a machine is up; more would overflow a timespec of 32 bits */

int fc_periodic_init(struct fc_periodic *p) {
  pthread_condattr_t monotonic;
  *p = (struct fc_periodic){.running = false};
  int rc = pthread_mutex_init(&p->lock, NULL);
  if (rc == 0) rc = pthread_condattr_init(&monotonic);
  if (rc == 0) rc = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  if (rc == 0) rc = pthread_cond_init(&p->wake, &monotonic);
  return rc;
}

static struct timespec moment_after(int64_t ms) {
  struct timespec at;
  (void)clock_gettime(CLOCK_MONOTONIC, &at);
  const int64_t s = ms / MS_PER_S;
  at.tv_sec += (time_t)(s < FAR_S ? s : FAR_S);
  at.tv_nsec += (long)(ms % MS_PER_S) * NS_PER_MS;
  if (at.tv_nsec >= NS_PER_S) {
    at.tv_nsec -= NS_PER_S;
    at.tv_sec++;
  }
  return at;
}

static void *clean(void *context) {
  fcm_manager *m = context;
  struct fc_periodic *p = &m->periodic;
  (void)pthread_setname_np(pthread_self(), "fcm-periodic");
  (void)pthread_mutex_lock(&p->lock);
  while (!p->stop) {
    const struct timespec until = moment_after(m->options.interval);
    int rc = 0;
    while (!p->stop && rc == 0) rc = pthread_cond_timedwait(&p->wake, &p->lock, &until);
    if (p->stop) break;
    (void)pthread_mutex_unlock(&p->lock);
    if (fcm_cleanup_old_files(m, FCM_DEFAULT, NULL) < 0) {
      fc_manager_log(m, FCM_LOG_ERROR, "the periodic cleanup failed: error %d", errno);
      fc_manager_tell(m);
    }
    (void)pthread_mutex_lock(&p->lock);
  }
  (void)pthread_mutex_unlock(&p->lock);
  return NULL;
}

int fcm_start_periodic_cleanup(fcm_manager *m) {
  static const uint64_t all = UINT64_MAX;
  uint64_t old;
  if (!fc_manager_may(m)) return -1;
  struct fc_periodic *p = &m->periodic;
  int rc = 0;
  (void)pthread_mutex_lock(&p->lock);
  while (p->joining) (void)pthread_cond_wait(&p->wake, &p->lock);
  if (!fc_manager_owns(m)) {
    (void)pthread_mutex_unlock(&p->lock);
    return fc_manager_fail(EPERM);
  }
  if (!p->running) {
    p->stop = false;
    (void)fc_sys_sigmask(SIG_BLOCK, &all, &old); /* it inherits them blocked */
    rc = pthread_create(&p->thread, NULL, clean, m);
    (void)fc_sys_sigmask(SIG_SETMASK, &old, NULL);
    p->running = rc == 0;
  }
  (void)pthread_mutex_unlock(&p->lock);
  return rc == 0 ? 0 : fc_manager_fail(EAGAIN);
}

int fc_periodic_halt(struct fc_periodic *p) {
  (void)pthread_mutex_lock(&p->lock);
  if (p->running && pthread_equal(p->thread, pthread_self())) {
    (void)pthread_mutex_unlock(&p->lock);
    return -EDEADLK;
  }
  while (p->joining) (void)pthread_cond_wait(&p->wake, &p->lock); /* somebody else stops it */
  if (p->running) {
    p->stop = p->joining = true;
    (void)pthread_cond_broadcast(&p->wake);
    const pthread_t thread = p->thread;
    (void)pthread_mutex_unlock(&p->lock);
    (void)pthread_join(thread, NULL);
    (void)pthread_mutex_lock(&p->lock);
    p->running = p->joining = false;
    (void)pthread_cond_broadcast(&p->wake);
  }
  (void)pthread_mutex_unlock(&p->lock);
  return 0;
}

int fcm_stop_periodic_cleanup(fcm_manager *m) {
  if (!fc_manager_may(m)) return -1;
  const int rc = fc_periodic_halt(&m->periodic);
  return rc < 0 ? fc_manager_fail(-rc) : 0;
}
