/* Over a cap the oldest go first, never what is in use, and no more than it takes. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../harness/harness.h"
#include "../harness/harness_live.h"

TestSuite(caps, .fini = fct_teardown, .timeout = 120);

#define MIB (1024 * 1024)

static void pause_ms(long ms) {
  struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
  nanosleep(&span, NULL);
}

static long bytes_in(const char *directory) {
  long bytes = 0;
  DIR *stream = opendir(directory);
  if (!stream) return 0;
  for (struct dirent *entry; (entry = readdir(stream));) {
    struct stat st;
    if (fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
      bytes += st.st_size;
  }
  closedir(stream);
  return bytes;
}

#define TEN_FILES "for i in 0 1 2 3 4 5 6 7 8 9; do head -c 1048576 /dev/zero > base/f$i; sleep 0.02; done"

/* What is there after one pass, as "0123456789" without those that are gone. */
static const char *left_of(const struct fct_world *world) {
  char *left = fct_format("%s", "0123456789");
  size_t n = 0;
  for (int i = 0; i < 10; i++)
    if (fct_exists(world, fct_format("base/f%d", i))) left[n++] = (char)('0' + i);
  left[n] = '\0';
  return left;
}

static void expect_left(const char *const *policy, const char *script, const char *expected) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = fct_hold(world, FCT_BARE, policy, script);
  struct fct_live *live = fct_live_open(world);
  fct_pass(live);
  cr_expect_str_eq(left_of(world), expected);
  fct_pass(live);
  cr_expect_str_eq(left_of(world), expected);
  fct_release(world, job);
}

Test(caps, over_a_cap_of_bytes_the_oldest_go) {
  expect_left(FCT_LIST("PERIODIC=0", "MAX_BYTES=4M"), TEN_FILES, "6789");
}
Test(caps, over_a_cap_of_files_the_oldest_go) { expect_left(FCT_LIST("PERIODIC=0", "MAX_FILES=3"), TEN_FILES, "789"); }
Test(caps, a_cap_counts_without_a_ttl) {
  expect_left(FCT_LIST("PERIODIC=0", "MAX_FILES=3", "TTL=infinity"), TEN_FILES, "789");
}
Test(caps, at_the_cap_nothing_goes) {
  expect_left(FCT_LIST("PERIODIC=0", "MAX_BYTES=10M", "MAX_FILES=10"), TEN_FILES, "0123456789");
}
Test(caps, what_is_in_use_is_passed_over_for_the_next_oldest) {
  expect_left(FCT_LIST("PERIODIC=0", "MAX_FILES=3"), TEN_FILES "; exec 5< base/f0 6>> base/f2", "029");
}
/* Reading makes a file young. */
Test(caps, what_was_read_lately_goes_later) {
  expect_left(FCT_LIST("PERIODIC=0", "MAX_FILES=3"), TEN_FILES "; sleep 0.1; touch -a base/f1", "189");
}
/* It is not the session's to remove, so it does not count: else everything else would always go. */
Test(caps, what_is_to_be_kept_does_not_count) {
  expect_left(FCT_LIST("PERIODIC=0", "MAX_FILES=3", "KEEP=f[01234]"), TEN_FILES, "01234789");
}
Test(caps, report_removes_nothing_for_a_cap) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = fct_hold(world, FCT_BARE, FCT_LIST("INTERVAL=1s", "MAX_FILES=3", "ON_EXIT=report"), TEN_FILES);
  pause_ms(2200);
  cr_expect_str_eq(left_of(world), "0123456789");
  fct_release(world, job);
}

/* 200 MB in files of 1 MB: what stands there is at most the cap and what one interval has written. */
Test(caps, a_flood_of_files_stays_below_the_cap_and_one_intervals_writing) {
  fct_need("python3");
  const char *flood = "import os,sys,time\n"
                      "held=open('base/held','wb'); held.write(b'h'*1048576); held.flush()\n"
                      "for i in range(200):\n"
                      "  with open('base/f%d'%i,'wb') as f: f.write(b'x'*1048576)\n"
                      "  time.sleep(0.03)\n"
                      "held.seek(0); held.write(b'H'); held.flush()\n"
                      "print(os.fstat(held.fileno()).st_nlink)\n";
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job =
        FCT_START(world, .mode = *mode, .argv = FCT_LIST("python3", "-c", flood), .limit_s = 90,
                  .env = FCT_LIST("FILECLEANUP_MAX_BYTES=20M", "FILECLEANUP_INTERVAL=1s", "FILECLEANUP_TTL=infinity"));
    long most = 0;
    cr_assert(fct_wait_exists(world, "base/f0"));
    while (!fct_exists(world, "base/f199")) {
      const long now = bytes_in(world->base);
      if (now > most) most = now;
      pause_ms(20);
    }
    const long most_in_an_interval = 1000 / 30 + 1;
    const struct fct_result result = fct_finish(job);
    cr_expect_eq(result.status, 0, "%s", result.err);
    cr_expect_str_eq(result.out, "1\n", "%s: what was held open has lost its name", fct_mode_name(*mode));
    fprintf(stderr, "caps: %s: at most %ld MiB of 200 stood there, the cap is 20\n", fct_mode_name(*mode), most / MIB);
    /* Twice: a pass takes its time on a busy machine. */
    cr_expect_lt(most / MIB, 20 + 1 + 2 * most_in_an_interval, "%s: %ld MiB", fct_mode_name(*mode), most / MIB);
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}
