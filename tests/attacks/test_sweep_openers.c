/* Who opens a file just when it is swept gets it whole or gets ENOENT; he is never killed, never kept waiting for long,
 * and what is spared was never away from its name.
 *
 * FC_SWEEP_PASSES: how many passes the absence is looked for in (default 10,000). FC_SWEEP_SECONDS: how long openers
 * race (default 5). */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../harness/harness_attack.h"

TestSuite(sweep_openers, .fini = fct_teardown, .timeout = 280);

#define OPENERS 8
#define NAMES 24
#define BUCKETS 32 /* of powers of two of a microsecond */
#define LEASE_BREAK_S 45

struct shared {
  atomic_int stop;
  atomic_long opened, absent, unlinked, wrong, changed, errors;
  atomic_long took[BUCKETS];
  atomic_long longest_us;
};

static struct shared *share(void) {
  struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  cr_assert(shared != MAP_FAILED, "mmap: %s", strerror(errno));
  return shared;
}

static int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static long setting(const char *name, long otherwise) {
  const char *asked = getenv(name);
  return asked && atol(asked) > 0 ? atol(asked) : otherwise;
}

/* ---- absence ---- */

static _Noreturn void look_for_absence(const char *const *paths, struct shared *shared) {
  while (!atomic_load(&shared->stop)) {
    for (int i = 0; paths[i]; i++) {
      const int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
      atomic_fetch_add(fd >= 0 ? &shared->opened : errno == ENOENT ? &shared->absent : &shared->errors, 1);
      if (fd >= 0) close(fd);
    }
  }
  _exit(0);
}

Test(sweep_openers, what_is_spared_is_never_absent_from_its_name) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "base/not-ours", "the user's\n");
  struct fct_job *job = fct_hold(
      world, FCT_BARE, FCT_LIST("PERIODIC=0", "TTL=1us", "KEEP=*.keep"),
      "echo u > base/in-use; echo y > base/young; touch -d '2 days' base/young; echo k > base/a.keep; echo r > "
      "base/replaced; mkdir base/d; echo u > base/d/in-use; echo o > base/old; exec 5< base/in-use 6>> base/d/in-use");
  fct_write(world, "theirs", "an outsider's\n");
  cr_assert(rename(fct_path(world, "theirs"), fct_path(world, "base/replaced")) == 0);
  struct fct_live *live = fct_live_open(world);
  const char *const paths[] = {fct_path(world, "base/not-ours"),
                               fct_path(world, "base/in-use"),
                               fct_path(world, "base/young"),
                               fct_path(world, "base/a.keep"),
                               fct_path(world, "base/replaced"),
                               fct_path(world, "base/d/in-use"),
                               NULL};
  struct shared *shared = share();
  pid_t readers[2];
  for (int i = 0; i < 2; i++) {
    readers[i] = fork();
    cr_assert(readers[i] >= 0);
    if (readers[i] == 0) look_for_absence(paths, shared);
  }
  const long passes = setting("FC_SWEEP_PASSES", 10000);
  unsigned long long removed = 0;
  for (long i = 0; i < passes; i++) removed += fct_pass(live).reaped.files;
  atomic_store(&shared->stop, 1);
  for (int i = 0; i < 2; i++) {
    int status;
    cr_expect(waitpid(readers[i], &status, 0) == readers[i] && status == 0, "a reader ended with %#x", status);
  }
  fct_attack_row("opened in a loop while passes spare it: always there", (uint64_t)passes,
                 (unsigned long long)atomic_load(&shared->absent), 0, NULL);
  cr_expect_eq(removed, 1, "%llu files were removed, one was old", removed);
  cr_expect_eq(atomic_load(&shared->absent), 0);
  cr_expect_eq(atomic_load(&shared->errors), 0);
  cr_expect_gt(atomic_load(&shared->opened), passes / 10, "nobody looked");
  fct_release(world, job);
}

/* ---- the race ---- */

static void note_time(struct shared *shared, int64_t us) {
  int bucket = 0;
  while (bucket < BUCKETS - 1 && us >> bucket) bucket++;
  atomic_fetch_add(&shared->took[bucket], 1);
  long longest = atomic_load(&shared->longest_us);
  while (us > longest && !atomic_compare_exchange_weak(&shared->longest_us, &longest, (long)us)) continue;
}

/* Only what refill writes, or not all of it yet. */
static bool is_right(int fd, int number) {
  char expected[32], text[64];
  const int len = snprintf(expected, sizeof expected, "o%d\n", number);
  const ssize_t got = pread(fd, text, sizeof text, 0);
  return got >= 0 && got <= len && memcmp(text, expected, (size_t)got) == 0;
}

static _Noreturn void open_in_a_loop(const char *base, unsigned seed, struct shared *shared) {
  sigset_t all; /* as the test had it when it began: what kills must kill */
  sigemptyset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  while (!atomic_load(&shared->stop)) {
    seed = seed * 1103515245u + 12345u;
    const int number = (int)(seed >> 16) % NAMES;
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/o%d", base, number);
    const int64_t before = now_us();
    const int fd = open(path, (seed & 0x8000 ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd < 0) {
      atomic_fetch_add(errno == ENOENT ? &shared->absent : &shared->errors, 1);
      continue;
    }
    note_time(shared, now_us() - before);
    atomic_fetch_add(&shared->opened, 1);
    struct stat first, last;
    const bool stats = fstat(fd, &first) == 0;
    if (!is_right(fd, number)) atomic_fetch_add(&shared->wrong, 1);
    if ((seed >> 8) % 8 == 0) usleep(500);
    if (!stats || fstat(fd, &last) != 0 || last.st_nlink != first.st_nlink) atomic_fetch_add(&shared->changed, 1);
    if (stats && first.st_nlink == 0) atomic_fetch_add(&shared->unlinked, 1);
    close(fd);
  }
  _exit(0);
}

Test(sweep_openers, who_opens_what_is_being_swept_is_neither_killed_nor_kept_waiting) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = FCT_START(
      world, .mode = FCT_BARE, .env = FCT_LIST("FILECLEANUP_PERIODIC=0", "FILECLEANUP_TTL=1us"),
      .argv = FCT_LIST(FC_BUILD_DIR "/probes/refill", world->base, fct_format("%d", NAMES), fct_path(world, "stop")));
  cr_assert(fct_wait_exists(world, "base/o0"));
  struct shared *shared = share();
  pid_t openers[OPENERS];
  for (unsigned i = 0; i < OPENERS; i++) {
    openers[i] = fork();
    cr_assert(openers[i] >= 0);
    if (openers[i] == 0) open_in_a_loop(world->base, i, shared);
  }
  struct fct_live *live = fct_live_open(world);
  unsigned long long removed = 0, spared = 0, back = 0, passes = 0;
  const int64_t end = now_us() + setting("FC_SWEEP_SECONDS", 5) * 1000000;
  while (now_us() < end) {
    const struct fc_sweep_result result = fct_pass(live);
    removed += result.reaped.files;
    spared += result.reaped.in_use;
    back += result.reaped.restored;
    passes++;
  }
  atomic_store(&shared->stop, 1);
  for (int i = 0; i < OPENERS; i++) {
    int status;
    cr_expect(waitpid(openers[i], &status, 0) == openers[i] && status == 0, "an opener ended with %#x", status);
  }
  const long opened = atomic_load(&shared->opened);
  long sum = 0, median_us = 0;
  for (int i = 0; i < BUCKETS && sum * 2 <= opened; i++) {
    sum += atomic_load(&shared->took[i]);
    median_us = 1L << i;
  }
  fprintf(stderr,
          "openers: %llu passes removed %llu, found %llu in use, put %llu back; %ld opens took at most %ld us (half of "
          "them less than %ld us); %ld found nothing, %ld opened what was gone already\n",
          passes, removed, spared, back, opened, atomic_load(&shared->longest_us), median_us,
          atomic_load(&shared->absent), atomic_load(&shared->unlinked));
  fct_attack_row("opened at random while it is swept", (uint64_t)opened,
                 (unsigned long long)atomic_load(&shared->changed), 0, NULL);
  cr_expect_gt(removed, 0, "nothing was swept");
  cr_expect_gt(spared, 0, "nothing was in use");
  cr_expect_eq(atomic_load(&shared->errors), 0, "%ld opens failed otherwise", atomic_load(&shared->errors));
  cr_expect_eq(atomic_load(&shared->wrong), 0, "%ld opens got something else", atomic_load(&shared->wrong));
  cr_expect_eq(atomic_load(&shared->changed), 0, "%ld files were removed while they were open",
               atomic_load(&shared->changed));
  cr_expect_lt(atomic_load(&shared->longest_us), LEASE_BREAK_S * 1000000L,
               "an opener waited for the kernel's patience");
  cr_expect_lt(atomic_load(&shared->unlinked), opened / 100 + 10);
  fct_write(world, "stop", "");
  cr_expect_eq(fct_finish(job).status, 0);
  /* What was put back when its name had been made anew stays beside it: nobody knows any more whose it is. */
  DIR *stream = opendir(world->base);
  unsigned beside = 0;
  for (struct dirent *entry; stream && (entry = readdir(stream));) {
    if (entry->d_name[0] == '.') continue;
    beside++;
    cr_expect(strstr(entry->d_name, ".filecleanup-restored."), "%s is left", entry->d_name);
  }
  if (stream) closedir(stream);
  cr_expect_leq(beside, back, "%u names are left and %llu were put back", beside, back);
}
