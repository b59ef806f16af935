/* What no hook can see is a number: names that are made by io_uring, by system calls without libc as a Go program makes
 * them, and by static programs, stay, and the session's report counts them; below directories of ours DIRS=recursive
 * removes them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../harness/harness.h"

TestSuite(unseen, .fini = fct_teardown, .timeout = 120);

/* A second, since that is how exactly a session knows when it began: what is older counts as seen. */
static void let_a_second_pass(void) { nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 50000000}, NULL); }

static struct fct_world *world_with_static_rawfs(void) {
  fct_need("gcc");
  struct fct_world *world = fct_world_new();
  const struct fct_result built =
      FCT_EXECUTE(world, .script = "gcc -static -D_GNU_SOURCE -o static-rawfs " FC_SOURCE_DIR "/tests/probes/rawfs.c");
  if (built.status != 0) cr_skip("there is no static libc: %s", built.err);
  return world;
}

static void need_uring(const struct fct_world *world) {
  const struct fct_result can = FCT_EXECUTE(world, .script = "$PROBES/uring $HOME/try");
  if (can.status == 77) cr_skip("no io_uring here: %s", can.err);
  cr_assert_str_eq(can.out, "made\n", "%s", can.out);
}

/* The number of a field of the statistics. */
static long number_in(const char *statistics, const char *field) {
  const char *at = statistics ? strstr(statistics, fct_format("\"%s\":", field)) : NULL;
  long n = -1;
  cr_assert(at && sscanf(strchr(at, ':'), ":%ld", &n) == 1, "no %s in %s", field, statistics);
  return n;
}

/* The script makes base/seen, directory base/d, and with `make` (which prints nothing) base/1, base/2 and base/d/3. */
static void expect_counted(struct fct_world *world, const char *make, long members) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    FCT_EXECUTE(world, .script = "rm -rf base stats; mkdir base; echo user > base/before");
    let_a_second_pass();
    const struct fct_result result = FCT_EXECUTE(
        world, .mode = *mode, .env = FCT_LIST(fct_format("FILECLEANUP_STATS=%s/stats", world->dir)),
        .script = fct_format("mkdir base/d; echo x > base/seen; %s base/1 base/2 base/d/3 > /dev/null", make));
    cr_expect_eq(result.status, 0, "%s: %s", fct_mode_name(*mode), result.err);
    cr_assert(fct_wait_no_members(world) && fct_wait_no_guardian(world));
    const char *statistics = fct_read(world, "stats");
    cr_expect_eq(number_in(statistics, "unseen_names"), 3, "%s: %s", fct_mode_name(*mode), statistics);
    cr_expect_eq(number_in(statistics, "unseen_members"), members, "%s: %s", fct_mode_name(*mode), statistics);
    const char *left = FCT_EXECUTE(world, .script = "cd base; find . -type f | sort | tr '\\n' ' '").out;
    cr_expect_str_eq(left, "./1 ./2 ./before ./d/3 ", "%s: %s", fct_mode_name(*mode), left);
  }
}

/* rawfs takes its operations one by one. */
#define BY_RAWFS(rawfs) "f() { for n; do " rawfs " create $n x; done; }; f"

Test(unseen, names_made_by_io_uring_are_counted_and_stay) {
  struct fct_world *world = fct_world_new();
  need_uring(world);
  expect_counted(world, "$PROBES/uring", 0);
}

Test(unseen, names_made_by_system_calls_without_libc_are_counted_and_stay) {
  expect_counted(fct_world_new(), BY_RAWFS("$PROBES/rawfs"), 0);
}

Test(unseen, names_made_by_a_static_program_are_counted_and_stay) {
  expect_counted(world_with_static_rawfs(), BY_RAWFS("./static-rawfs"), 3);
}

Test(unseen, the_report_tells_the_number) {
  struct fct_world *world = world_with_static_rawfs();
  let_a_second_pass();
  const struct fct_result result = FCT_EXECUTE(
      world, .mode = FCT_RUN, .options = FCT_LIST("--report"),
      .script = "echo x > base/seen; ./static-rawfs create base/1 x , create base/2 x; $PROBES/rawfs create base/3 x");
  cr_expect(strstr(result.err, "1 process without the shim, 3 names that no hook saw"), "%s", result.err);
}

Test(unseen, without_such_names_the_number_is_nought) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    fct_write(world, "base/before", "user\n");
    let_a_second_pass();
    FCT_EXECUTE(world, .mode = *mode, .env = FCT_LIST(fct_format("FILECLEANUP_STATS=%s/stats", world->dir)),
                .script = "exec $PROBES/names base/x > /dev/null");
    cr_assert(fct_wait_no_guardian(world));
    cr_expect_eq(number_in(fct_read(world, "stats"), "unseen_names"), 0, "%s", fct_read(world, "stats"));
    cr_expect_eq(number_in(fct_read(world, "stats"), "unseen_members"), 0, "%s", fct_read(world, "stats"));
  }
}

Test(unseen, recursive_removes_what_io_uring_made_below_a_directory_of_ours) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    need_uring(world);
    FCT_EXECUTE(world, .mode = *mode, .env = FCT_LIST("FILECLEANUP_DIRS=recursive"),
                .script = "mkdir base/d; exec $PROBES/uring base/beside base/d/below");
    cr_assert(fct_wait_no_guardian(world));
    const char *left = FCT_EXECUTE(world, .script = "ls base").out;
    cr_expect_str_eq(left, "beside\n", "%s: %s", fct_mode_name(*mode), left);
  }
}
