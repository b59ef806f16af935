/* async: a manager's workers and the requests that wait for them.
 *
 * Responsible for: a bounded queue, threads that are started by the first request, the completion of each request
 * exactly once (callback, eventfd, wait), and an orderly end. Must never: remove anything but by the manager's own
 * functions, call a callback with a lock held, or touch a lock in a fork child.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "owner.h"
#include "removal.h"
#include "scope.h"

enum kind { FILE_REQUEST, DIRECTORY_REQUEST, OLD_REQUEST, ALL_REQUEST, SCOPE_REQUEST };

/* DONE is final, and is set after error and result: who reads it needs no lock, nor the manager. */
enum state { WAITING, CANCELLED, UNDER_WAY, DONE };

struct fcm_request {
  struct fcm_request *next;
  struct fc_async *async;
  atomic_uint holders; /* the queue, and the caller's handle */
  atomic_uint state;
  uint64_t number; /* of all requests of this manager */
  enum kind kind;
  enum fcm_outcome outcome;
  bool recursive;
  int64_t max_age;
  fcm_scope *scope;
  char *path;
  fcm_callback callback;
  void *context;
  int error;
  struct fcm_result result;
};

struct list {
  struct fcm_request *first;
  struct fcm_request **end;
};

struct worker {
  pthread_t thread;
  struct fc_async *async;
  struct fcm_request *current;
};

/* One thread in fcm_async_flush; lives on its stack. */
struct flush {
  struct flush *next;
  uint64_t last; /* number of the last request it waits for */
  uint64_t left;
};

struct fc_async {
  fcm_manager *manager;
  size_t limit;
  bool by_dispatch;
  pthread_mutex_t lock; /* guards all that follows; never held while anything is removed or called */
  pthread_cond_t wake;  /* for workers: a request, or the end */
  pthread_cond_t done;  /* for waiters: a request is DONE, or a flush has none left */
  struct list queue;
  struct list undispatched;
  size_t queued;
  uint64_t last;        /* number of the newest request */
  uint64_t outstanding; /* not yet DONE */
  uint64_t unseen;      /* DONE since the last dispatch */
  struct flush *flushes;
  int eventfd; /* -1 until somebody asks for it */
  bool finishing;
  size_t idle;
  size_t started;
  size_t workers_max;
  struct worker workers[];
};

/* ---- Lists and holders ------------------------------------------------------------------------------------------- */

static void list_clear(struct list *list) {
  list->first = NULL;
  list->end = &list->first;
}

static void list_append(struct list *list, struct fcm_request *request) {
  request->next = NULL;
  *list->end = request;
  list->end = &request->next;
}

static void list_prepend(struct list *list, struct fcm_request *request) {
  request->next = list->first;
  if (!list->first) list->end = &request->next;
  list->first = request;
}

static struct fcm_request *list_take(struct list *list) {
  struct fcm_request *request = list->first;
  if (!request) return NULL;
  list->first = request->next;
  if (!list->first) list->end = &list->first;
  return request;
}

static void list_remove(struct list *list, struct fcm_request *request) {
  struct fcm_request **at = &list->first;
  while (*at != request) at = &(*at)->next;
  *at = request->next;
  if (list->end == &request->next) list->end = at;
}

static void release(struct fcm_request *request) {
  if (atomic_fetch_sub_explicit(&request->holders, 1, memory_order_acq_rel) > 1) return;
  fc_scope_forget(request->scope);
  free(request->path);
  free(request);
}

static bool is_done(const struct fcm_request *request) {
  return atomic_load_explicit(&request->state, memory_order_acquire) == DONE;
}

/* ---- Workers ----------------------------------------------------------------------------------------------------- */

/* Where a request was cancelled only a scope still has something to do: it ends as a cancelled one. */
static void carry_out(struct fcm_request *request, bool cancelled) {
  fcm_manager *manager = request->async->manager;
  int result = 0;
  if (request->kind == SCOPE_REQUEST) {
    fcm_scope *scope = request->scope;
    request->scope = NULL;
    result = fc_scope_leave(scope, cancelled ? FCM_CANCELLED : request->outcome, &request->result);
  } else if (!cancelled) {
    switch (request->kind) {
    case FILE_REQUEST:
      result = fc_removal_file(manager, request->path, &request->result);
      break;
    case DIRECTORY_REQUEST:
      result = fc_removal_directory(manager, request->path, request->recursive, &request->result);
      break;
    case OLD_REQUEST:
      result = fcm_cleanup_old_files(manager, request->max_age, &request->result);
      break;
    default:
      result = fcm_cleanup_all_tracked(manager, &request->result);
      break;
    }
  }
  request->error = result != 0 ? errno : 0;
  if (cancelled) request->error = ECANCELED;
}

static void call_back(const struct fcm_request *request) {
  if (request->callback) request->callback(request->context, request->error, &request->result);
}

/* Eventfds count: a write fails only at a number of completions that nobody reaches. */
static void notify(struct fc_async *async) {
  const uint64_t one = 1;
  async->unseen++;
  if (async->eventfd >= 0) (void)!write(async->eventfd, &one, sizeof one);
}

/* The lock is held. */
static void complete(struct fc_async *async, struct fcm_request *request) {
  async->outstanding--;
  for (struct flush *flush = async->flushes; flush; flush = flush->next) flush->left -= request->number <= flush->last;
  atomic_store_explicit(&request->state, DONE, memory_order_release);
  notify(async);
  (void)pthread_cond_broadcast(&async->done);
}

static void work_on(struct worker *self, struct fcm_request *request) {
  struct fc_async *async = self->async;
  const bool cancelled = atomic_load(&request->state) == CANCELLED;
  atomic_store(&request->state, UNDER_WAY);
  self->current = request;
  (void)pthread_mutex_unlock(&async->lock);

  carry_out(request, cancelled);
  const bool later = async->by_dispatch && request->callback;
  if (!later) call_back(request);

  (void)pthread_mutex_lock(&async->lock);
  self->current = NULL;
  complete(async, request);
  if (later)
    list_append(&async->undispatched, request);
  else
    release(request);
}

static void *worker_main(void *argument) {
  struct worker *self = argument;
  struct fc_async *async = self->async;
  (void)pthread_setname_np(pthread_self(), "fcm-worker"); /* a name is for people who look */
  (void)pthread_mutex_lock(&async->lock);
  for (;;) {
    struct fcm_request *request = list_take(&async->queue);
    if (request) {
      async->queued--;
      work_on(self, request);
      continue;
    }
    if (async->finishing) break;
    async->idle++;
    (void)pthread_cond_wait(&async->wake, &async->lock);
    async->idle--;
  }
  (void)pthread_mutex_unlock(&async->lock);
  return NULL;
}

/* The lock is held. A worker more than there is work for is not started. */
static int start_worker(struct fc_async *async) {
  if (async->started == async->workers_max || async->idle > async->queued) return 0;
  struct worker *worker = &async->workers[async->started];
  worker->async = async;
  worker->current = NULL;
  sigset_t all, before;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(&worker->thread, NULL, worker_main, worker);
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error == 0) async->started++;
  return async->started > 0 ? 0 : error;
}

/* The lock is held. */
static bool is_worker(const struct fc_async *async) {
  for (size_t i = 0; i < async->started; i++)
    if (pthread_equal(async->workers[i].thread, pthread_self())) return true;
  return false;
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

static int make_locks(struct fc_async *async) {
  pthread_condattr_t attributes;
  int error = pthread_condattr_init(&attributes);
  if (error != 0) return error;
  (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  error = pthread_mutex_init(&async->lock, NULL);
  if (error == 0) error = pthread_cond_init(&async->wake, NULL);
  if (error == 0) error = pthread_cond_init(&async->done, &attributes);
  (void)pthread_condattr_destroy(&attributes);
  return error;
}

static int dispatch(struct fc_async *async) {
  int count = 0;
  (void)pthread_mutex_lock(&async->lock);
  uint64_t sum;
  async->unseen = 0;
  if (async->eventfd >= 0) (void)!read(async->eventfd, &sum, sizeof sum); /* EAGAIN: nothing new */
  struct list due = async->undispatched;
  if (!due.first) due.end = &due.first;
  list_clear(&async->undispatched);
  (void)pthread_mutex_unlock(&async->lock);
  for (struct fcm_request *request; (request = list_take(&due)); count++) {
    call_back(request);
    release(request);
  }
  return count;
}

/* For nobody but who still has a handle. */
static void drop(struct fcm_request *request) {
  if (!is_done(request)) request->error = ECANCELED;
  atomic_store_explicit(&request->state, DONE, memory_order_release);
  release(request);
}

/* In a fork child the memory holds what the parent's threads were at. Each step that changes a list leaves one that can
 * be walked, so the worst is that a request is not found and its memory not freed. */
static void drop_all(struct fc_async *async) {
  struct fcm_request *request;
  for (size_t i = 0; i < async->started; i++)
    if (async->workers[i].current) drop(async->workers[i].current);
  async->started = 0;
  while ((request = list_take(&async->queue))) drop(request);
  while ((request = list_take(&async->undispatched))) drop(request);
}

static void stop(void *part) {
  struct fc_async *async = part;
  (void)pthread_mutex_lock(&async->lock);
  async->finishing = true;
  (void)pthread_cond_broadcast(&async->wake);
  (void)pthread_mutex_unlock(&async->lock);
  /* No worker is started any more. */
  for (size_t i = 0; i < async->started; i++) (void)pthread_join(async->workers[i].thread, NULL);
  while (dispatch(async) > 0) continue;
  (void)pthread_mutex_lock(&async->lock);
  async->started = 0;
  if (async->eventfd >= 0) (void)close(async->eventfd);
  async->eventfd = -1;
  (void)pthread_mutex_unlock(&async->lock);
}

static void go_on(void *part) {
  struct fc_async *async = part;
  (void)pthread_mutex_lock(&async->lock);
  async->finishing = false;
  (void)pthread_mutex_unlock(&async->lock);
}

/* The number of the eventfd may be another file's in the child by now. */
static void forget(void *part) {
  drop_all(part);
  free(part);
}

static const struct fc_manager_part async_part = {.stop = stop, .go_on = go_on, .discard = free, .forget = forget};

static struct fc_async *new_async(fcm_manager *manager) {
  const struct fcm_options *options = &manager->options;
  struct fc_async *async = calloc(1, sizeof *async + options->async_workers * sizeof async->workers[0]);
  if (!async) return NULL;
  async->manager = manager;
  async->limit = options->async_queue;
  async->workers_max = options->async_workers;
  async->by_dispatch = options->callbacks_by_dispatch;
  async->eventfd = -1;
  list_clear(&async->queue);
  list_clear(&async->undispatched);
  const int error = make_locks(async);
  if (error == 0) return async;
  free(async);
  errno = error;
  return NULL;
}

/* The manager's, made at the first need. NULL with errno: also in a fork child, before anything is locked. */
static struct fc_async *async_of(fcm_manager *manager) {
  if (!fc_manager_may(manager)) return NULL;
  (void)pthread_mutex_lock(&manager->part_lock);
  const bool closed = manager->part_closed;
  if (!manager->part && !closed) {
    manager->part = new_async(manager);
    manager->part_kind = manager->part ? &async_part : NULL;
  }
  struct fc_async *async = manager->part;
  (void)pthread_mutex_unlock(&manager->part_lock);
  if (!async && closed) errno = EPERM;
  return async;
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static struct fcm_request *new_request(struct fc_async *async, enum kind kind, fcm_callback callback, void *context) {
  struct fcm_request *request = calloc(1, sizeof *request);
  if (!request) return NULL;
  request->async = async;
  request->kind = kind;
  request->callback = callback;
  request->context = context;
  atomic_init(&request->holders, 1);
  atomic_init(&request->state, WAITING);
  return request;
}

/* The lock is held. Returns 0 or an errno. */
static int enqueue(struct fc_async *async, struct fcm_request *request) {
  if (async->finishing) return ECANCELED;
  if (async->queued >= async->limit) return EAGAIN;
  const int error = start_worker(async);
  if (error != 0) return error;
  request->number = ++async->last;
  async->outstanding++;
  async->queued++;
  list_append(&async->queue, request);
  (void)pthread_cond_signal(&async->wake);
  return 0;
}

/* Takes request over: it is queued, or freed with errno. */
static int submit(struct fcm_request *request, fcm_request **handle) {
  if (!request) return -1;
  struct fc_async *async = request->async;
  if (handle) atomic_store(&request->holders, 2);
  (void)pthread_mutex_lock(&async->lock);
  const int error = enqueue(async, request);
  if (error == 0 && handle) *handle = request; /* before a callback can look at it */
  (void)pthread_mutex_unlock(&async->lock);
  if (error == 0) return 0;
  atomic_store(&request->holders, 1);
  request->scope = NULL; /* stays the caller's */
  release(request);
  errno = error;
  return -1;
}

/* For a path: made absolute now, since the working directory may be another one when the work is done. */
static int submit_path(fcm_manager *manager, enum kind kind, const char *path, bool recursive, fcm_callback callback,
                       void *context, fcm_request **handle) {
  struct fc_async *async = async_of(manager);
  if (!async) return -1;
  char *absolute = fc_removal_absolute(path);
  if (!absolute) return -1;
  struct fcm_request *request = new_request(async, kind, callback, context);
  if (!request) {
    free(absolute);
    return -1;
  }
  request->path = absolute;
  request->recursive = recursive;
  return submit(request, handle);
}

int fcm_cleanup_file_async(fcm_manager *manager, const char *path, fcm_callback callback, void *context,
                           fcm_request **request) {
  return submit_path(manager, FILE_REQUEST, path, false, callback, context, request);
}

int fcm_cleanup_directory_async(fcm_manager *manager, const char *path, bool recursive, fcm_callback callback,
                                void *context, fcm_request **request) {
  return submit_path(manager, DIRECTORY_REQUEST, path, recursive, callback, context, request);
}

int fcm_cleanup_old_files_async(fcm_manager *manager, int64_t max_age, fcm_callback callback, void *context,
                                fcm_request **handle) {
  struct fc_async *async = async_of(manager);
  if (!async) return -1;
  if (max_age < 0 && max_age != FCM_DEFAULT) {
    errno = EINVAL;
    return -1;
  }
  struct fcm_request *request = new_request(async, OLD_REQUEST, callback, context);
  if (request) request->max_age = max_age;
  return submit(request, handle);
}

int fcm_cleanup_all_tracked_async(fcm_manager *manager, fcm_callback callback, void *context, fcm_request **handle) {
  struct fc_async *async = async_of(manager);
  if (!async) return -1;
  return submit(new_request(async, ALL_REQUEST, callback, context), handle);
}

int fcm_scope_exit_async(fcm_scope *scope, enum fcm_outcome outcome, fcm_callback callback, void *context,
                         fcm_request **handle) {
  struct fc_async *async = async_of(scope ? fc_scope_manager(scope) : NULL);
  if (!async) return -1;
  struct fcm_request *request = new_request(async, SCOPE_REQUEST, callback, context);
  if (request) {
    request->scope = scope;
    request->outcome = outcome;
  }
  return submit(request, handle);
}

/* What a handle is good for as long as its request is not DONE: the lock, in the process that has the workers. */
static struct fc_async *lock_for(fcm_request *request) {
  struct fc_async *async = async_of(request->async->manager);
  if (async) (void)pthread_mutex_lock(&async->lock);
  return async;
}

int fcm_request_cancel(fcm_request *request) {
  if (!request || is_done(request)) {
    errno = request ? EALREADY : EINVAL;
    return -1;
  }
  struct fc_async *async = lock_for(request);
  if (!async) return -1;
  const bool in_time = atomic_load(&request->state) == WAITING;
  if (in_time) {
    atomic_store(&request->state, CANCELLED);
    list_remove(&async->queue, request);
    list_prepend(&async->queue, request);
  }
  (void)pthread_mutex_unlock(&async->lock);
  if (in_time) return 0;
  errno = EALREADY;
  return -1;
}

/* Seconds from now that a clock can hold everywhere; what is longer is for ever. */
#define LONGEST_WAIT FCM_HOURS(10 * 365 * 24)

static struct timespec deadline_of(int64_t timeout) {
  struct timespec at;
  (void)clock_gettime(CLOCK_MONOTONIC, &at);
  at.tv_sec += (time_t)(timeout / 1000);
  at.tv_nsec += (long)(timeout % 1000) * 1000000;
  if (at.tv_nsec >= 1000000000) {
    at.tv_sec++;
    at.tv_nsec -= 1000000000;
  }
  return at;
}

static int wait_until_done(struct fcm_request *request, int64_t timeout) {
  const struct timespec deadline = deadline_of(timeout > LONGEST_WAIT ? 0 : timeout);
  struct fc_async *async = lock_for(request);
  if (!async) return errno;
  int error = is_worker(async) && !is_done(request) ? EDEADLK : 0;
  while (error == 0 && !is_done(request)) {
    if (timeout > LONGEST_WAIT)
      (void)pthread_cond_wait(&async->done, &async->lock);
    else
      error = pthread_cond_timedwait(&async->done, &async->lock, &deadline);
  }
  if (error == ETIMEDOUT && is_done(request)) error = 0;
  (void)pthread_mutex_unlock(&async->lock);
  return error;
}

int fcm_request_wait(fcm_request *request, int64_t timeout, int *error, struct fcm_result *result) {
  int problem = request && timeout >= 0 ? 0 : EINVAL;
  if (problem == 0 && !is_done(request)) problem = wait_until_done(request, timeout);
  if (problem != 0) {
    errno = problem;
    return -1;
  }
  if (error) *error = request->error;
  if (result) *result = request->result;
  return 0;
}

void fcm_request_free(fcm_request *request) {
  if (request) release(request);
}

/* ---- Loops ------------------------------------------------------------------------------------------------------- */

int fcm_async_fd(fcm_manager *manager) {
  struct fc_async *async = async_of(manager);
  if (!async) return -1;
  (void)pthread_mutex_lock(&async->lock);
  if (async->eventfd < 0) async->eventfd = eventfd(async->unseen > 0, EFD_CLOEXEC | EFD_NONBLOCK);
  const int fd = async->eventfd;
  const int error = errno;
  (void)pthread_mutex_unlock(&async->lock);
  errno = error;
  return fd;
}

int fcm_async_dispatch(fcm_manager *manager) {
  struct fc_async *async = async_of(manager);
  return async ? dispatch(async) : -1;
}

int fcm_async_flush(fcm_manager *manager) {
  struct fc_async *async = async_of(manager);
  if (!async) return -1;
  (void)pthread_mutex_lock(&async->lock);
  const bool deadlock = is_worker(async);
  if (!deadlock) {
    struct flush self = {.next = async->flushes, .last = async->last, .left = async->outstanding};
    async->flushes = &self;
    while (self.left > 0) (void)pthread_cond_wait(&async->done, &async->lock);
    struct flush **at = &async->flushes;
    while (*at != &self) at = &(*at)->next;
    *at = self.next;
  }
  (void)pthread_mutex_unlock(&async->lock);
  if (!deadlock) return 0;
  errno = EDEADLK;
  return -1;
}
