/* The asynchronous forms: each request is completed exactly once, off the caller's thread, and nobody waits for
 * himself.
 *
 * FC_ASYNC_ROUNDS=100 makes the races longer (default 1). */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "library_world.h"

static struct library_world world;

static void setup(void) { library_world_begin(&world); }
static void teardown(void) { library_world_end(&world); }

TestSuite(async, .init = setup, .fini = teardown, .timeout = 100);

/* Another manager than that of setup(). */
static void again(unsigned queue, unsigned workers, bool by_dispatch) {
  ASSERT_DOES(fcm_destroy(world.manager));
  world.options.async_queue = queue;
  world.options.async_workers = workers;
  world.options.callbacks_by_dispatch = by_dispatch;
  library_world_create(&world);
}

/* What a callback was told. */
struct told {
  atomic_int calls;
  int error;
  pthread_t thread;
  struct fcm_result result;
};

static void tell(void *context, int error, const struct fcm_result *result) {
  struct told *told = context;
  told->error = error;
  told->thread = pthread_self();
  told->result = *result;
  atomic_fetch_add(&told->calls, 1);
}

static int finish(fcm_request *request, struct fcm_result *result) {
  int error = -1;
  ASSERT_DOES(fcm_request_wait(request, FCM_FOREVER, &error, result));
  fcm_request_free(request);
  return error;
}

/* Holds the one worker in a callback until gate_open. */
static sem_t gate_reached;
static sem_t gate;

static void stand_at_gate(void *context, int error, const struct fcm_result *result) {
  (void)context, (void)error, (void)result;
  (void)sem_post(&gate_reached);
  while (sem_wait(&gate) != 0) continue;
}

static void close_gate(void) {
  ASSERT_DOES(sem_init(&gate, 0, 0));
  ASSERT_DOES(sem_init(&gate_reached, 0, 0));
  ASSERT_DOES(fcm_cleanup_file_async(world.manager, library_path(&world, "base/none"), stand_at_gate, NULL, NULL));
  while (sem_wait(&gate_reached) != 0) continue;
}

static void open_gate(void) { ASSERT_DOES(sem_post(&gate)); }

static int rounds(void) {
  const char *text = getenv("FC_ASYNC_ROUNDS");
  return text ? atoi(text) : 1;
}

/* ---- What is done ------------------------------------------------------------------------------------------------ */

Test(async, file_is_removed_by_another_thread_and_told) {
  const char *path = library_tracked(&world, "base/file");
  struct told told = {0};
  fcm_request *request = NULL;
  struct fcm_result result;
  ASSERT_DOES(fcm_cleanup_file_async(world.manager, path, tell, &told, &request));
  cr_expect_eq(finish(request, &result), 0);
  cr_expect_not(library_exists(path));
  cr_expect_eq(told.calls, 1);
  cr_expect_eq(told.error, 0);
  cr_expect_not(pthread_equal(told.thread, pthread_self()));
  cr_expect_eq(result.removed_count, 1);
  cr_expect_eq(result.removed_size_bytes, 4);
  cr_expect_eq(result.tracked_files_remaining, 0);
  cr_expect_eq(memcmp(&result, &told.result, sizeof result), 0);
}

Test(async, directory_old_files_and_all_tracked_have_their_forms) {
  fcm_request *request = NULL;
  struct fcm_result result;
  const char *directory = library_path(&world, "base/directory");
  cr_assert_eq(mkdir(directory, 0700), 0);
  library_write(library_path(&world, "base/directory/file"), "text");
  ASSERT_DOES(fcm_cleanup_directory_async(world.manager, directory, false, NULL, NULL, &request));
  cr_expect_eq(finish(request, NULL), ENOTEMPTY);
  cr_expect(library_exists(directory));
  ASSERT_DOES(fcm_cleanup_directory_async(world.manager, directory, true, NULL, NULL, &request));
  cr_expect_eq(finish(request, &result), 0);
  cr_expect_not(library_exists(directory));
  cr_expect_gt(result.removed_count, 0);

  (void)library_tracked(&world, "base/young");
  const char *old = library_tracked(&world, "base/old");
  const struct timespec then[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
  cr_assert_eq(utimensat(AT_FDCWD, old, then, 0), 0);
  ASSERT_DOES(fcm_cleanup_old_files_async(world.manager, FCM_HOURS(1), NULL, NULL, &request));
  cr_expect_eq(finish(request, &result), 0);
  cr_expect_eq(result.removed_count, 1);
  cr_expect_eq(result.tracked_files_remaining, 1);
  ASSERT_DOES(fcm_cleanup_all_tracked_async(world.manager, NULL, NULL, &request));
  cr_expect_eq(finish(request, &result), 0);
  cr_expect_eq(result.removed_count, 1);
  cr_expect_eq(result.tracked_files_remaining, 0);
}

Test(async, errors_of_the_path_are_told_by_the_worker) {
  fcm_request *request = NULL;
  struct fcm_result result;
  ASSERT_DOES(fcm_cleanup_file_async(world.manager, library_path(&world, "outside"), NULL, NULL, &request));
  cr_expect_eq(finish(request, &result), EXDEV);
  cr_expect_eq(result.removed_count, 0);
  cr_expect_eq(result.errors, 1);
  ASSERT_DOES(fcm_cleanup_file_async(world.manager, library_path(&world, "base/none"), NULL, NULL, &request));
  cr_expect_eq(finish(request, &result), 0, "that nothing is there is an error");
  cr_expect_eq(result.removed_count, 0);
}

Test(async, relative_path_means_the_directory_of_the_call) {
  (void)library_tracked(&world, "base/relative");
  close_gate();
  cr_assert_eq(chdir(world.base), 0);
  ASSERT_DOES(fcm_cleanup_file_async(world.manager, "relative", NULL, NULL, NULL));
  cr_assert_eq(chdir("/"), 0);
  open_gate();
  ASSERT_DOES(fcm_async_flush(world.manager));
  cr_expect_not(library_exists(library_path(&world, "base/relative")));
}

Test(async, bad_input_is_refused_at_once) {
  static char longer[5001];
  memset(longer, 'x', sizeof longer - 1);
  EXPECT_FAILS(EINVAL, fcm_cleanup_file_async(NULL, "x", NULL, NULL, NULL));
  EXPECT_FAILS(EINVAL, fcm_cleanup_file_async(world.manager, NULL, NULL, NULL, NULL));
  EXPECT_FAILS(EINVAL, fcm_cleanup_directory_async(world.manager, "", true, NULL, NULL, NULL));
  EXPECT_FAILS(EINVAL, fcm_cleanup_old_files_async(world.manager, -2, NULL, NULL, NULL));
  EXPECT_FAILS(EINVAL, fcm_cleanup_old_files_async(NULL, 0, NULL, NULL, NULL));
  EXPECT_FAILS(EINVAL, fcm_cleanup_all_tracked_async(NULL, NULL, NULL, NULL));
  EXPECT_FAILS(ENAMETOOLONG, fcm_cleanup_file_async(world.manager, longer, NULL, NULL, NULL));
  EXPECT_FAILS(EINVAL, fcm_request_cancel(NULL));
  EXPECT_FAILS(EINVAL, fcm_request_wait(NULL, 0, NULL, NULL));
  EXPECT_FAILS(EINVAL, fcm_async_fd(NULL));
  EXPECT_FAILS(EINVAL, fcm_async_dispatch(NULL));
  EXPECT_FAILS(EINVAL, fcm_async_flush(NULL));
  fcm_request_free(NULL);
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

static size_t threads(void) {
  size_t count = 0;
  DIR *tasks = opendir("/proc/self/task");
  cr_assert_not_null(tasks);
  for (const struct dirent *entry; (entry = readdir(tasks));) count += entry->d_name[0] != '.';
  (void)closedir(tasks);
  return count;
}

static void look_at_signals(void *context, int error, const struct fcm_result *result) {
  static const int samples[] = {SIGTERM, SIGINT, SIGCHLD, SIGALRM, SIGUSR1, SIGIO, SIGPIPE, SIGHUP};
  atomic_int *blocked = context;
  sigset_t set;
  (void)error, (void)result;
  (void)pthread_sigmask(SIG_SETMASK, NULL, &set);
  for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) *blocked += sigismember(&set, samples[i]);
  char name[16] = "";
  (void)pthread_getname_np(pthread_self(), name, sizeof name);
  *blocked += strncmp(name, "fcm", 3) == 0;
}

Test(async, workers_start_at_the_first_request_take_no_signal_and_are_gone_after_the_end) {
  const size_t before = threads();
  (void)library_tracked(&world, "base/file");
  cr_expect_eq(threads(), before);
  atomic_int blocked = 0;
  ASSERT_DOES(fcm_cleanup_all_tracked_async(world.manager, look_at_signals, &blocked, NULL));
  ASSERT_DOES(fcm_async_flush(world.manager));
  cr_expect_eq(blocked, 9);
  cr_expect_eq(threads(), before + 1);
  ASSERT_DOES(fcm_destroy(world.manager));
  world.manager = NULL;
  cr_expect_eq(threads(), before);
}

/* As many callbacks at once as there are workers: none is left unstarted when there is work for it. */
static pthread_barrier_t all_at_once;

static void meet_the_others(void *context, int error, const struct fcm_result *result) {
  (void)context, (void)error, (void)result;
  (void)pthread_barrier_wait(&all_at_once);
}

Test(async, workers_work_at_the_same_time) {
  again(64, 3, false);
  ASSERT_DOES(pthread_barrier_init(&all_at_once, NULL, 3));
  for (int i = 0; i < 30; i++)
    ASSERT_DOES(fcm_cleanup_file_async(world.manager, library_path(&world, "base/none"), meet_the_others, NULL, NULL));
  ASSERT_DOES(fcm_async_flush(world.manager));
}

/* ---- The queue --------------------------------------------------------------------------------------------------- */

Test(async, full_queue_refuses_at_once_and_takes_more_when_it_was_flushed) {
  again(3, 1, false);
  struct told told = {0};
  const char *none = library_path(&world, "base/none");
  close_gate();
  for (int i = 0; i < 3; i++) ASSERT_DOES(fcm_cleanup_file_async(world.manager, none, tell, &told, NULL));
  fcm_request *request = NULL;
  EXPECT_FAILS(EAGAIN, fcm_cleanup_file_async(world.manager, none, tell, &told, &request));
  cr_expect_null(request);
  fcm_scope *scope = fcm_scoped_file(world.manager, none, 0);
  EXPECT_FAILS(EAGAIN, fcm_scope_exit_async(scope, FCM_SUCCEEDED, tell, &told, NULL));
  open_gate();
  ASSERT_DOES(fcm_async_flush(world.manager));
  cr_expect_eq(told.calls, 3);
  ASSERT_DOES(fcm_scope_exit_async(scope, FCM_SUCCEEDED, tell, &told, NULL));
  ASSERT_DOES(fcm_async_flush(world.manager));
  cr_expect_eq(told.calls, 4);
}

static atomic_int order_next;

static void take_place(void *context, int error, const struct fcm_result *result) {
  int *place = context;
  (void)error, (void)result;
  *place = atomic_fetch_add(&order_next, 1);
}

Test(async, requests_are_done_in_order) {
  enum { COUNT = 100 };
  int places[COUNT];
  const char *none = library_path(&world, "base/none");
  close_gate();
  for (int i = 0; i < COUNT; i++)
    ASSERT_DOES(fcm_cleanup_file_async(world.manager, none, take_place, &places[i], NULL));
  open_gate();
  ASSERT_DOES(fcm_async_flush(world.manager));
  for (int i = 0; i < COUNT; i++) cr_assert_eq(places[i], i, "request %d was number %d", i, places[i]);
}

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__) /* they need addresses themselves */
Test(async, without_a_thread_nothing_is_queued) {
  struct rlimit before;
  cr_assert_eq(getrlimit(RLIMIT_AS, &before), 0);
  /* Room for a request, not for a thread's stack. */
  const struct rlimit none = {1, before.rlim_max};
  struct told told = {0};
  cr_assert_eq(setrlimit(RLIMIT_AS, &none), 0);
  EXPECT_FAILS(EAGAIN, fcm_cleanup_all_tracked_async(world.manager, tell, &told, NULL));
  cr_assert_eq(setrlimit(RLIMIT_AS, &before), 0);
  ASSERT_DOES(fcm_cleanup_all_tracked_async(world.manager, tell, &told, NULL));
  ASSERT_DOES(fcm_async_flush(world.manager));
  cr_expect_eq(told.calls, 1);
}
#endif

/* ---- Callbacks --------------------------------------------------------------------------------------------------- */

struct busy {
  fcm_request *self;
  const char *file;
  const char *other;
  atomic_int failures;
  atomic_int done;
};

static void call_everything(void *context, int error, const struct fcm_result *result) {
  struct busy *busy = context;
  fcm_manager *manager = world.manager;
  struct fcm_stats stats;
  bool removed;
  (void)result;
  busy->failures += error != 0;
  busy->failures += fcm_track_file(manager, busy->file) != 0;
  busy->failures += fcm_get_stats(manager, &stats) != 0;
  busy->failures += fcm_cleanup_file(manager, busy->file, &removed) != 0 || !removed;
  busy->failures += fcm_start_periodic_cleanup(manager) != 0;
  busy->failures += fcm_stop_periodic_cleanup(manager) != 0;
  busy->failures += fcm_cleanup_old_files(manager, 0, NULL) != 0;
  busy->failures += fcm_async_dispatch(manager) != 0;
  busy->failures += fcm_async_fd(manager) < 0;
  busy->failures += fcm_async_flush(manager) != -1 || errno != EDEADLK;
  busy->failures += fcm_request_wait(busy->self, 0, NULL, NULL) != -1 || errno != EDEADLK;
  busy->failures += fcm_request_cancel(busy->self) != -1 || errno != EALREADY;
  /* The queue of one is full with the second. */
  busy->failures += fcm_cleanup_file_async(manager, busy->other, NULL, NULL, NULL) != 0;
  busy->failures += fcm_cleanup_file_async(manager, busy->other, NULL, NULL, NULL) != -1 || errno != EAGAIN;
  busy->done++;
}

Test(async, callback_may_call_everything_and_never_waits_for_itself) {
  again(1, 1, false);
  struct busy busy = {.file = library_path(&world, "base/file"), .other = library_tracked(&world, "base/other")};
  library_write(busy.file, "text");
  ASSERT_DOES(
      fcm_cleanup_file_async(world.manager, library_path(&world, "base/none"), call_everything, &busy, &busy.self));
  ASSERT_DOES(fcm_request_wait(busy.self, FCM_FOREVER, NULL, NULL));
  ASSERT_DOES(fcm_async_flush(world.manager));
  fcm_request_free(busy.self);
  cr_expect_eq(busy.done, 1);
  cr_expect_eq(busy.failures, 0, "%d calls did not do what they should", busy.failures);
  cr_expect_not(library_exists(busy.file));
  cr_expect_not(library_exists(busy.other));
}

static void ask_for_more(void *context, int error, const struct fcm_result *result) {
  atomic_int *refused = context;
  (void)error, (void)result;
  if (fcm_cleanup_file_async(world.manager, world.base, ask_for_more, context, NULL) != 0)
    *refused += errno == ECANCELED ? 1 : 1000;
}

Test(async, callback_that_always_asks_for_more_does_not_keep_the_manager_alive) {
  atomic_int refused = 0;
  ASSERT_DOES(fcm_cleanup_file_async(world.manager, world.base, ask_for_more, &refused, NULL));
  ASSERT_DOES(fcm_destroy(world.manager));
  world.manager = NULL;
  cr_expect_eq(refused, 1);
}

/* ---- Cancelling -------------------------------------------------------------------------------------------------- */

Test(async, cancelled_request_does_nothing_and_is_told_once) {
  const char *path = library_tracked(&world, "base/file");
  struct told told = {0};
  fcm_request *request = NULL;
  close_gate();
  ASSERT_DOES(fcm_cleanup_file_async(world.manager, path, tell, &told, &request));
  ASSERT_DOES(fcm_request_cancel(request));
  EXPECT_FAILS(EALREADY, fcm_request_cancel(request));
  open_gate();
  cr_expect_eq(finish(request, NULL), ECANCELED);
  ASSERT_DOES(fcm_async_flush(world.manager));
  cr_expect_eq(told.calls, 1);
  cr_expect_eq(told.error, ECANCELED);
  cr_expect(library_exists(path));
}

Test(async, cancelled_request_is_told_next_of_all) {
  int places[3];
  fcm_request *last = NULL;
  close_gate();
  for (int i = 0; i < 3; i++)
    ASSERT_DOES(fcm_cleanup_file_async(world.manager, world.base, take_place, &places[i], i == 2 ? &last : NULL));
  ASSERT_DOES(fcm_request_cancel(last));
  open_gate();
  ASSERT_DOES(fcm_async_flush(world.manager));
  fcm_request_free(last);
  cr_expect_eq(places[2], 0);
  cr_expect_eq(places[0], 1);
  cr_expect_eq(places[1], 2);
}

Test(async, request_under_way_or_done_cannot_be_cancelled) {
  fcm_request *request = NULL;
  ASSERT_DOES(sem_init(&gate, 0, 0));
  ASSERT_DOES(sem_init(&gate_reached, 0, 0));
  ASSERT_DOES(fcm_cleanup_file_async(world.manager, library_path(&world, "base/x"), stand_at_gate, NULL, &request));
  while (sem_wait(&gate_reached) != 0) continue;
  EXPECT_FAILS(EALREADY, fcm_request_cancel(request));
  EXPECT_FAILS(ETIMEDOUT, fcm_request_wait(request, 0, NULL, NULL));
  EXPECT_FAILS(ETIMEDOUT, fcm_request_wait(request, 20, NULL, NULL));
  EXPECT_FAILS(EINVAL, fcm_request_wait(request, -1, NULL, NULL));
  open_gate();
  ASSERT_DOES(fcm_request_wait(request, FCM_SECONDS(60), NULL, NULL));
  EXPECT_FAILS(EALREADY, fcm_request_cancel(request));
  fcm_request_free(request);
}

enum { RACERS = 200 };
static struct told racer_told[RACERS];
static fcm_request *racers[RACERS];
static atomic_int racer_next;
static int racer_cancelled[RACERS];

static void *cancel_racers(void *unused) {
  (void)unused;
  for (int i = 0; i < RACERS; i++) {
    while (atomic_load(&racer_next) <= i) sched_yield();
    racer_cancelled[i] = fcm_request_cancel(racers[i]) == 0;
  }
  return NULL;
}

/* Whatever the order: told once, and removed exactly when it was not cancelled. */
Test(async, race_of_cancelling_with_the_work_has_one_winner) {
  for (int round = 0; round < rounds(); round++) {
    again(RACERS, 2, round % 2);
    memset(racer_told, 0, sizeof racer_told);
    atomic_store(&racer_next, 0);
    char name[32];
    for (int i = 0; i < RACERS; i++) {
      (void)snprintf(name, sizeof name, "base/%d", i);
      (void)library_tracked(&world, name);
    }
    pthread_t canceller;
    ASSERT_DOES(pthread_create(&canceller, NULL, cancel_racers, NULL));
    for (int i = 0; i < RACERS; i++) {
      (void)snprintf(name, sizeof name, "base/%d", i);
      ASSERT_DOES(fcm_cleanup_file_async(world.manager, library_path(&world, name), tell, &racer_told[i], &racers[i]));
      atomic_store(&racer_next, i + 1);
    }
    ASSERT_DOES(pthread_join(canceller, NULL));
    ASSERT_DOES(fcm_async_flush(world.manager));
    (void)fcm_async_dispatch(world.manager);
    for (int i = 0; i < RACERS; i++) {
      (void)snprintf(name, sizeof name, "base/%d", i);
      const bool stays = library_exists(library_path(&world, name));
      cr_assert_eq(racer_told[i].calls, 1);
      cr_assert_eq(racer_told[i].error, racer_cancelled[i] ? ECANCELED : 0);
      cr_assert_eq(stays, racer_cancelled[i]);
      cr_assert_eq(finish(racers[i], NULL), racer_told[i].error);
    }
  }
}

/* ---- Scopes ------------------------------------------------------------------------------------------------------ */

static const struct scope_case {
  unsigned flags;
  enum fcm_outcome outcome;
  bool cancel;
  bool stays;
} scope_cases[] = {
    {0, FCM_SUCCEEDED, false, false},
    {0, FCM_FAILED, false, false},
    {FCM_KEEP_ON_ERROR, FCM_SUCCEEDED, false, false},
    {FCM_KEEP_ON_ERROR, FCM_FAILED, false, true},
    /* The task model of the original: cancelled is governed by cleanup_on_error. */
    {0, FCM_CANCELLED, false, false},
    {FCM_KEEP_ON_ERROR, FCM_CANCELLED, false, true},
    {0, FCM_SUCCEEDED, true, false},
    {FCM_KEEP_ON_ERROR, FCM_SUCCEEDED, true, true},
};

Test(async, scope_ends_off_the_callers_thread_also_when_it_is_cancelled) {
  for (size_t i = 0; i < sizeof scope_cases / sizeof scope_cases[0]; i++) {
    const struct scope_case *c = &scope_cases[i];
    const char *path = library_path(&world, "base/file");
    struct told told = {0};
    fcm_request *request = NULL;
    fcm_scope *scope = fcm_scoped_file(world.manager, path, c->flags);
    cr_assert_not_null(scope);
    library_write(path, "text");
    close_gate();
    ASSERT_DOES(fcm_scope_exit_async(scope, c->outcome, tell, &told, &request));
    if (c->cancel) ASSERT_DOES(fcm_request_cancel(request));
    cr_expect(library_exists(path), "case %zu: removed by the caller's thread", i);
    open_gate();
    cr_expect_eq(finish(request, NULL), c->cancel ? ECANCELED : 0, "case %zu", i);
    cr_expect_eq(told.calls, 1);
    cr_expect_not(pthread_equal(told.thread, pthread_self()));
    cr_expect_eq(library_exists(path), c->stays, "case %zu", i);
    cr_expect_eq(told.result.removed_count, !c->stays, "case %zu", i);
    bool tracked = true;
    ASSERT_DOES(fcm_is_tracked(world.manager, path, &tracked));
    cr_expect_not(tracked, "case %zu", i);
    if (c->stays) cr_expect_eq(unlink(path), 0);
  }
}

/* ---- Loops ------------------------------------------------------------------------------------------------------- */

static bool is_readable(int fd, int timeout_ms) {
  struct pollfd one = {.fd = fd, .events = POLLIN};
  return poll(&one, 1, timeout_ms) == 1;
}

Test(async, callbacks_by_dispatch_run_in_the_loop_that_polls) {
  again(1024, 2, true);
  enum { COUNT = 50 };
  struct told told[COUNT];
  memset(told, 0, sizeof told);
  const int fd = fcm_async_fd(world.manager);
  cr_assert_geq(fd, 0);
  cr_expect_eq(fcm_async_fd(world.manager), fd);
  cr_expect_not(is_readable(fd, 0));
  for (int i = 0; i < COUNT; i++)
    ASSERT_DOES(fcm_cleanup_file_async(world.manager, library_path(&world, "base/x"), tell, &told[i], NULL));
  int dispatched = 0;
  while (dispatched < COUNT) {
    cr_assert(is_readable(fd, 60000), "%d of %d", dispatched, COUNT);
    dispatched += fcm_async_dispatch(world.manager);
  }
  cr_expect_eq(dispatched, COUNT);
  for (int i = 0; i < COUNT; i++) {
    cr_expect_eq(told[i].calls, 1);
    cr_expect(pthread_equal(told[i].thread, pthread_self()));
  }
  (void)fcm_async_dispatch(world.manager);
  cr_expect_not(is_readable(fd, 0));
}

Test(async, descriptor_asked_for_late_tells_of_what_was_completed_before) {
  again(1024, 1, true);
  struct told told = {0};
  ASSERT_DOES(fcm_cleanup_file_async(world.manager, library_path(&world, "base/x"), tell, &told, NULL));
  ASSERT_DOES(fcm_async_flush(world.manager));
  cr_expect_eq(told.calls, 0);
  const int fd = fcm_async_fd(world.manager);
  cr_expect(is_readable(fd, 0));
  cr_expect_eq(fcm_async_dispatch(world.manager), 1);
  cr_expect_eq(told.calls, 1);
  cr_expect_not(is_readable(fd, 0));
  ASSERT_DOES(fcm_cleanup_file_async(world.manager, library_path(&world, "base/x"), NULL, NULL, NULL));
  cr_expect(is_readable(fd, 60000), "a request without a callback is not told by the descriptor");
  cr_expect_eq(fcm_async_dispatch(world.manager), 0);
}

Test(async, without_a_descriptor_to_be_had_the_rest_works) {
  struct rlimit before;
  cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
  const struct rlimit none = {0, before.rlim_max};
  const char *path = library_tracked(&world, "base/file");
  struct told told = {0};
  fcm_request *request = NULL;
  cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_FAILS(EMFILE, fcm_async_fd(world.manager));
  ASSERT_DOES(fcm_cleanup_file_async(world.manager, path, tell, &told, &request));
  const int error = finish(request, NULL);
  cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
  cr_expect_eq(told.calls, 1);
  cr_expect_eq(told.error, error);
  cr_expect_eq(error == 0, !library_exists(path), "told %d", error);
  cr_expect_geq(fcm_async_fd(world.manager), 0);
}

static void dispatch_again(void *context, int error, const struct fcm_result *result) {
  struct told *told = context;
  (void)error, (void)result;
  told->calls++;
  cr_expect_geq(fcm_async_dispatch(world.manager), 0);
  if (told->calls < 3) ASSERT_DOES(fcm_cleanup_file_async(world.manager, world.base, dispatch_again, told, NULL));
  ASSERT_DOES(fcm_async_flush(world.manager));
}

Test(async, callback_in_the_loop_may_ask_dispatch_and_flush) {
  again(4, 1, true);
  struct told told = {0};
  ASSERT_DOES(fcm_cleanup_file_async(world.manager, world.base, dispatch_again, &told, NULL));
  while (told.calls < 3) {
    cr_assert(is_readable(fcm_async_fd(world.manager), 60000));
    (void)fcm_async_dispatch(world.manager);
  }
}

/* ---- The end, and fork ------------------------------------------------------------------------------------------- */

Test(async, destroying_finishes_what_is_queued_and_tells_everybody) {
  for (int by_dispatch = 0; by_dispatch < 2; by_dispatch++) {
    enum { COUNT = 20 };
    struct told told[COUNT];
    fcm_request *requests[COUNT];
    char name[32];
    memset(told, 0, sizeof told);
    again(64, 2, by_dispatch);
    for (int i = 0; i < COUNT; i++) {
      (void)snprintf(name, sizeof name, "base/%d", i);
      /* Not tracked: gone only if its request was done. */
      library_write(library_path(&world, name), "");
      ASSERT_DOES(fcm_cleanup_file_async(world.manager, library_path(&world, name), tell, &told[i], &requests[i]));
    }
    ASSERT_DOES(fcm_destroy(world.manager));
    world.manager = NULL;
    for (int i = 0; i < COUNT; i++) {
      (void)snprintf(name, sizeof name, "base/%d", i);
      cr_expect_eq(told[i].calls, 1);
      cr_expect_not(library_exists(library_path(&world, name)));
      EXPECT_FAILS(EALREADY, fcm_request_cancel(requests[i]));
      cr_expect_eq(finish(requests[i], NULL), 0);
    }
    library_world_create(&world);
  }
}

static int failures_in_child(fcm_request *request, fcm_scope *scope) {
  const char *path = library_path(&world, "base/x");
  int failures = fcm_cleanup_file_async(world.manager, path, NULL, NULL, NULL) != -1 || errno != EPERM;
  failures += fcm_cleanup_all_tracked_async(world.manager, NULL, NULL, NULL) != -1 || errno != EPERM;
  failures += fcm_scope_exit_async(scope, FCM_SUCCEEDED, NULL, NULL, NULL) != -1 || errno != EPERM;
  failures += fcm_request_cancel(request) != -1 || errno != EPERM;
  failures += fcm_request_wait(request, FCM_FOREVER, NULL, NULL) != -1 || errno != EPERM;
  failures += fcm_async_fd(world.manager) != -1 || errno != EPERM;
  failures += fcm_async_flush(world.manager) != -1 || errno != EPERM;
  failures += fcm_async_dispatch(world.manager) != -1 || errno != EPERM;
  failures += fcm_scope_exit(scope, FCM_SUCCEEDED) != -1 || errno != EPERM;
  failures += fcm_destroy(world.manager) != 0;
  int error = 0;
  failures += fcm_request_wait(request, FCM_FOREVER, &error, NULL) != 0 || error != ECANCELED;
  fcm_request_free(request);
  return failures;
}

static int status_of(pid_t child) {
  int status = -1;
  cr_assert_eq(waitpid(child, &status, 0), child);
  return status;
}

Test(async, fork_child_has_no_part_in_what_is_queued) {
  const char *path = library_path(&world, "base/file");
  struct told told = {0};
  fcm_request *request = NULL;
  library_write(path, "text");
  fcm_scope *scope = fcm_scoped_file(world.manager, library_path(&world, "base/scope"), 0);
  close_gate();
  ASSERT_DOES(fcm_cleanup_file_async(world.manager, path, tell, &told, &request));
  const pid_t child = fork();
  if (child == 0) _exit(failures_in_child(request, scope));
  const int status = status_of(child);
  cr_expect_eq(status, 0, "status %x", (unsigned)status);
  cr_expect(library_exists(path));
  open_gate();
  cr_expect_eq(finish(request, NULL), 0);
  cr_expect_eq(told.calls, 1);
  cr_expect_not(library_exists(path));
  ASSERT_DOES(fcm_scope_exit(scope, FCM_SUCCEEDED));
}

#if !defined(__SANITIZE_THREAD__) /* it ends a child of threads that starts threads of its own */
/* In the child. */
static int adopt_and_work(const char *path) {
  struct told told = {0};
  fcm_request *request = NULL;
  int failures = 0;
  while (fcm_adopt(world.manager) != 0) {
    if (errno != EBUSY) return 100;
    (void)poll(NULL, 0, 5);
  }
  const int fd = fcm_async_fd(world.manager);
  failures += fd < 0;
  failures += is_readable(fd, 0);
  failures += fcm_cleanup_file_async(world.manager, path, tell, &told, &request) != 0;
  failures += fcm_request_wait(request, FCM_FOREVER, NULL, NULL) != 0;
  failures += told.calls != 1 || told.error != 0 || access(path, F_OK) == 0;
  failures += !is_readable(fd, 0);
  fcm_request_free(request);
  failures += fcm_destroy(world.manager) != 0;
  return failures;
}

Test(async, child_that_adopts_the_manager_starts_anew) {
  const char *path = library_tracked(&world, "base/file");
  struct told told = {0};
  ASSERT_DOES(fcm_cleanup_file_async(world.manager, library_path(&world, "base/x"), tell, &told, NULL));
  ASSERT_DOES(fcm_async_flush(world.manager));
  cr_assert_geq(fcm_async_fd(world.manager), 0);
  const pid_t child = fork();
  if (child == 0) _exit(adopt_and_work(path));
  ASSERT_DOES(fcm_abandon(world.manager));
  EXPECT_FAILS(EPERM, fcm_cleanup_file_async(world.manager, path, NULL, NULL, NULL));
  const int status = status_of(child);
  cr_expect_eq(status, 0, "status %x", (unsigned)status);
}
#endif

/* Requests, cancels, dispatches and forks of many threads at once; the sanitizers look on. */
static atomic_bool storm_over;
static atomic_ulong storm_told;

static void count_storm(void *context, int error, const struct fcm_result *result) {
  (void)context, (void)error, (void)result;
  atomic_fetch_add(&storm_told, 1);
}

static void *storm(void *argument) {
  const unsigned long self = (unsigned long)argument;
  unsigned long *accepted = calloc(1, sizeof *accepted);
  char path[PATH_MAX];
  for (unsigned i = 0; i < 200u * (unsigned)rounds(); i++) {
    fcm_request *request = NULL;
    (void)snprintf(path, sizeof path, "%s/base/%lu-%u", world.root, self, i % 8);
    if (i % 3 == 0) (void)fcm_track_file(world.manager, path);
    if (fcm_cleanup_file_async(world.manager, path, count_storm, NULL, &request) != 0) continue;
    ++*accepted;
    if (i % 5 == 0) (void)fcm_request_cancel(request);
    if (i % 7 == 0) (void)fcm_request_wait(request, 1, NULL, NULL);
    if (i % 50 == 0) (void)fcm_async_flush(world.manager);
    fcm_request_free(request);
  }
  return accepted;
}

static void *dispatch_until_over(void *unused) {
  (void)unused;
  while (!atomic_load(&storm_over)) {
    (void)is_readable(fcm_async_fd(world.manager), 1);
    (void)fcm_async_dispatch(world.manager);
  }
  return NULL;
}

Test(async, many_threads_lose_no_callback) {
  enum { THREADS = 6 };
  for (int by_dispatch = 0; by_dispatch < 2; by_dispatch++) {
    again(16, 3, by_dispatch);
    atomic_store(&storm_over, false);
    atomic_store(&storm_told, 0);
    pthread_t threads[THREADS], loop;
    ASSERT_DOES(pthread_create(&loop, NULL, dispatch_until_over, NULL));
    for (unsigned long i = 0; i < THREADS; i++) ASSERT_DOES(pthread_create(&threads[i], NULL, storm, (void *)i));
    for (int i = 0; i < 5; i++) {
      const pid_t child = fork();
      if (child == 0) _exit(fcm_destroy(world.manager) != 0);
      cr_expect_eq(status_of(child), 0);
    }
    unsigned long accepted = 0;
    for (int i = 0; i < THREADS; i++) {
      void *result;
      ASSERT_DOES(pthread_join(threads[i], &result));
      accepted += *(unsigned long *)result;
      free(result);
    }
    atomic_store(&storm_over, true);
    ASSERT_DOES(pthread_join(loop, NULL));
    ASSERT_DOES(fcm_async_flush(world.manager));
    (void)fcm_async_dispatch(world.manager);
    cr_expect_eq(storm_told, accepted);
    cr_expect_gt(accepted, 0);
  }
}
