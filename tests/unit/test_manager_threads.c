/* Sixteen threads on one manager: tracking, untracking, cleaning and sweeping, with forks in the middle. At the end
 * each name is accounted for: nothing is lost, nothing is counted twice, nothing is removed that was taken back.
 *
 * FC_MANAGER_SECONDS says how long (default 3; the full form is 60). */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "manager_world.h"

#define THREADS 16u
#define SECONDS_DEFAULT 3
#define OWN_NAMES 32u /* of each thread, in use again and again */

TestSuite(manager_threads, .init = world_begin, .fini = world_end, .timeout = 300);

static fcm_manager *manager;
static int stop;
static uint64_t made;       /* files that came to be */
static uint64_t removed;    /* by the word of a call that removes */
static uint64_t taken_back; /* untracked before they were removed, then unlinked by the thread */
static uint64_t vanished;   /* untrack said ENOENT: a pass has removed it */
static uint64_t child_failed;

static void add(uint64_t *counter, uint64_t n) { (void)__atomic_fetch_add(counter, n, __ATOMIC_RELAXED); }

struct worker {
  pthread_t thread;
  unsigned number;
  unsigned seed;
  const char *wrong;
  int error;
};

static unsigned draw(struct worker *w, unsigned below) {
  w->seed = w->seed * 1103515245u + 12345u;
  return w->seed / 65536u % below;
}

static bool create(const char *path) {
  const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  (void)close(fd);
  add(&made, 1);
  return true;
}

/* A file of this thread's: it is tracked, and then taken back, removed, or left to the others. */
static const char *one_round(struct worker *w) {
  char path[PATH_MAX];
  const char *where[] = {"", "d/", "d/e/"};
  (void)snprintf(path, sizeof path, "%s/%st%u-%u", world_base, where[draw(w, 3)], w->number, draw(w, OWN_NAMES));
  /* One that a round before has left to the others. */
  bool tracked;
  if (fcm_is_tracked(manager, path, &tracked) < 0) return "is_tracked";
  if (tracked) return NULL;
  if (draw(w, 2)) { /* expected, or existing */
    if (fcm_track_file(manager, path) < 0) return "track what is to come";
    if (!create(path)) return "create what is to come";
  } else {
    if (!create(path)) return "create";
    if (fcm_track_file(manager, path) < 0) return "track";
  }
  bool gone;
  switch (draw(w, 4)) {
  case 0:
    if (fcm_untrack_file(manager, path) == 0) {
      if (unlink(path) < 0) return "what was taken back has been removed";
      add(&taken_back, 1);
    } else if (errno == ENOENT) {
      add(&vanished, 1);
      if (stands(path)) return "it stands, but was not tracked any more";
    } else {
      return "untrack";
    }
    return NULL;
  case 1:
    if (fcm_cleanup_file(manager, path, &gone) < 0) return "cleanup_file";
    add(&removed, gone);
    return NULL;
  default:
    return NULL;
  }
}

static void *work(void *context) {
  struct worker *w = context;
  while (!w->wrong && !__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) w->wrong = one_round(w);
  w->error = errno;
  return NULL;
}

static void *sweep(void *context) {
  struct worker *w = context;
  while (!w->wrong && !__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
    struct fcm_result result;
    struct fcm_stats stats;
    const int rc = draw(w, 3) ? fcm_cleanup_old_files(manager, draw(w, 2) ? 0 : 5, &result)
                              : fcm_cleanup_all_tracked(manager, &result);
    if (rc < 0) w->wrong = "cleanup";
    if (result.errors || result.spared) w->wrong = "errors";
    add(&removed, result.removed_count);
    if (fcm_get_stats(manager, &stats) < 0) w->wrong = "stats";
  }
  return NULL;
}

/* A child in the middle of everything: it is refused, at once, and its end changes nothing. */
static void *fork_often(void *context) {
  struct worker *w = context;
  while (!w->wrong && !__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
    const pid_t child = fork();
    if (child == 0) {
      const bool refused = fcm_track_file(manager, "/x") < 0 && errno == EPERM &&
                           fcm_cleanup_all_tracked(manager, NULL) < 0 && errno == EPERM && fcm_adopt(manager) < 0 &&
                           errno == EBUSY;
      _exit(refused ? 0 : 1);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) add(&child_failed, 1);
    usleep(2000);
  }
  return NULL;
}

Test(manager_threads, sixteen_threads_and_forks_lose_nothing_and_count_nothing_twice) {
  const char *text = getenv("FC_MANAGER_SECONDS");
  const int seconds = text ? atoi(text) : SECONDS_DEFAULT;
  struct worker workers[THREADS] = {0};
  manager = world_manager();
  cr_assert_eq(mkdir(in_base("d"), 0700), 0);
  cr_assert_eq(mkdir(in_base("d/e"), 0700), 0);
  for (unsigned i = 0; i < THREADS; i++) {
    workers[i].number = i;
    workers[i].seed = i + 1;
    void *(*const kind)(void *) = i == 0 ? fork_often : i < 4 ? sweep : work;
    cr_assert_eq(pthread_create(&workers[i].thread, NULL, kind, &workers[i]), 0);
  }
  for (int i = 0; i < seconds * 10; i++) usleep(100000);
  __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
  for (unsigned i = 0; i < THREADS; i++) cr_assert_eq(pthread_join(workers[i].thread, NULL), 0);
  for (unsigned i = 0; i < THREADS; i++)
    cr_assert(!workers[i].wrong, "thread %u: %s (%s)", i, workers[i].wrong, strerror(workers[i].error));
  cr_assert_eq(child_failed, 0);
  struct fcm_result result;
  cr_assert_eq(fcm_cleanup_all_tracked(manager, &result), 0);
  cr_assert_eq(result.tracked_files_remaining, 0);
  cr_assert_eq(made, removed + taken_back + result.removed_count,
               "%lu made, %lu removed, %lu taken back, %lu at the end", (unsigned long)made, (unsigned long)removed,
               (unsigned long)taken_back, (unsigned long)result.removed_count);
  cr_assert_gt(made, 100, "too few files for the test to say anything");
  cr_assert_eq(entries_in(in_base("d/e")), 0);
  cr_assert_eq(entries_in(in_base("d")), 1);
  cr_assert_eq(entries_in(world_base), 1);
  cr_assert_eq(fcm_destroy(manager), 0);
}

/* ---- given up while others are at work ---- */

#define MANY 20000
#define ROUNDS 60

static void *clean_all(void *context) {
  (void)context;
  (void)fcm_cleanup_all_tracked(manager, NULL);
  return NULL;
}

/* The child that adopts it may untrack something the next moment. */
Test(manager_threads, abandoning_waits_for_the_pass_under_way) {
  char name[32];
  pthread_t thread;
  manager = world_manager();
  for (int i = 0; i < MANY; i++) {
    (void)snprintf(name, sizeof name, "f%d", i);
    write_file(in_base(name), "x");
    cr_assert_eq(fcm_track_file(manager, in_base(name)), 0);
  }
  cr_assert_eq(pthread_create(&thread, NULL, clean_all, NULL), 0);
  while (stands(in_base("f0"))) usleep(100);
  cr_assert_eq(fcm_abandon(manager), 0);
  const unsigned left = entries_in(world_base);
  cr_assert_eq(pthread_join(thread, NULL), 0);
  cr_assert_eq(entries_in(world_base), left, "the pass went on behind fcm_abandon");
  cr_assert_eq(fcm_adopt(manager), 0);
  cr_assert_eq(fcm_destroy(manager), 0);
}

/* Whatever a thread is in the middle of when the manager is given up is done, or refused. */
static void *ask_on(void *context) {
  struct worker *w = context;
  while (!w->wrong && !__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
    fcm_request *request = NULL;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/a%u-%u", world_base, w->number, draw(w, OWN_NAMES));
    errno = 0;
    int rc = 0;
    switch (draw(w, 5)) {
    case 0:
      rc = fcm_track_file(manager, path);
      break;
    case 1:
      rc = fcm_async_flush(manager);
      break;
    case 2:
      rc = fcm_start_periodic_cleanup(manager);
      break;
    case 3:
      rc = fcm_async_fd(manager) < 0 ? -1 : 0;
      break;
    default:
      rc = fcm_cleanup_file_async(manager, path, NULL, NULL, &request);
      if (rc == 0) rc = fcm_request_wait(request, FCM_FOREVER, NULL, NULL);
      fcm_request_free(request);
    }
    w->error = errno;
    if (rc < 0 && errno != EPERM && errno != ECANCELED && errno != EAGAIN) w->wrong = "another error";
  }
  return NULL;
}

Test(manager_threads, giving_it_up_and_taking_it_back_among_threads_that_use_it) {
  struct worker workers[4] = {0};
  manager = world_manager();
  for (unsigned i = 0; i < 4; i++) {
    workers[i].number = i;
    workers[i].seed = i + 1;
    cr_assert_eq(pthread_create(&workers[i].thread, NULL, ask_on, &workers[i]), 0);
  }
  for (int i = 0; i < ROUNDS; i++) {
    usleep(500);
    cr_assert_eq(fcm_abandon(manager), 0, "%s", strerror(errno));
    cr_assert_eq(fcm_adopt(manager), 0, "%s", strerror(errno));
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
  for (unsigned i = 0; i < 4; i++) cr_assert_eq(pthread_join(workers[i].thread, NULL), 0);
  for (unsigned i = 0; i < 4; i++)
    cr_assert(!workers[i].wrong, "%s (%s)", workers[i].wrong, strerror(workers[i].error));
  cr_assert_eq(fcm_destroy(manager), 0);
}

/* The child has taken a word back meanwhile. */
Test(manager_threads, who_takes_it_back_knows_what_the_other_process_has_done) {
  int status;
  manager = world_manager();
  write_file(in_base("f"), "x");
  write_file(in_base("g"), "x");
  cr_assert_eq(fcm_track_file(manager, in_base("f")), 0);
  cr_assert_eq(fcm_track_file(manager, in_base("g")), 0);
  cr_assert_eq(fcm_abandon(manager), 0);
  const pid_t child = fork();
  if (child == 0)
    _exit(fcm_adopt(manager) == 0 && fcm_untrack_file(manager, in_base("f")) == 0 && fcm_abandon(manager) == 0 ? 0 : 1);
  cr_assert(waitpid(child, &status, 0) == child && status == 0);
  cr_assert_eq(fcm_adopt(manager), 0, "%s", strerror(errno));
  cr_expect(!is_tracked(manager, in_base("f")));
  cr_assert_eq(fcm_destroy(manager), 0);
  cr_assert(stands(in_base("f")) && !stands(in_base("g")));
}

/* ---- the journal moves under others ---- */

static void *look_on(void *context) {
  struct worker *w = context;
  bool tracked;
  char path[PATH_MAX];
  (void)snprintf(path, sizeof path, "%s/here", world_base);
  while (!w->wrong && !__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
    if (fcm_track_file(manager, path) < 0) w->wrong = "track";
    if (fcm_is_tracked(manager, path, &tracked) < 0 || !tracked) w->wrong = "not tracked";
    w->error = errno;
  }
  return NULL;
}

Test(manager_threads, paths_mean_the_same_while_the_journal_moves) {
  const struct rlimit small = {1 << 19, 1 << 19};
  struct worker w = {0};
  char name[32];
  cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
  (void)signal(SIGXFSZ, SIG_IGN);
  manager = world_manager();
  write_file(in_base("here"), "x");
  cr_assert_eq(pthread_create(&w.thread, NULL, look_on, &w), 0);
  char path[PATH_MAX];
  for (int i = 0; i < 40000; i++) {
    (void)snprintf(name, sizeof name, "churn%d", i);
    (void)snprintf(path, sizeof path, "%s/%s", world_base, name);
    cr_assert_eq(fcm_track_file(manager, path), 0, "%d: %s", i, strerror(errno));
    cr_assert_eq(fcm_untrack_file(manager, path), 0);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
  cr_assert_eq(pthread_join(w.thread, NULL), 0);
  cr_assert(!w.wrong, "%s (%s)", w.wrong, strerror(w.error));
  cr_assert_eq(fcm_destroy(manager), 0);
}
