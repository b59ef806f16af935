/* Other preloads, before the shim and behind it: allocators, and libraries that stand between programs and libc as the
 * shim does. The programs do what they do with the other one alone. */
#include <criterion/criterion.h>
#include <string.h>

#include "../harness/harness.h"

TestSuite(stacking, .fini = fct_teardown, .timeout = 200);

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

#define NOBODY 65534
#define SHIM FC_BUILD_DIR "/libfilecleanup_preload.so"

/* The file of a library of Debian's, or a skip. */
static const char *library(const char *name) {
  struct fct_world *world = fct_world_new();
  const struct fct_result found =
      FCT_EXECUTE(world, .script = fct_format("printf %%s \"$(ls -d /usr/lib/$(gcc -dumpmachine)/%s)\"", name));
  if (!found.out[0]) cr_skip("%s is not installed", name);
  return found.out;
}

/* How a program is started; %s is the other library. */
static const char *const starts[] = {
    "env FILECLEANUP_BASE_DIR=$BASE LD_PRELOAD=%s:" SHIM " ",
    "env FILECLEANUP_BASE_DIR=$BASE LD_PRELOAD=" SHIM ":%s ",
    "env LD_PRELOAD=%s $FC_COMMAND run --base $BASE -- ",
};
#define STARTS (sizeof starts / sizeof *starts)

/* The script, in which %1$s stands before a program, in a world of its own for each start. */
static void expect_alike(const char *other, const char *const *env, const char *script) {
  struct fct_world *plain_world = fct_world_new();
  const struct fct_result plain = FCT_EXECUTE(
      plain_world, .env = env, .script = fct_format(script, fct_format("env LD_PRELOAD=%s ", other)), .limit_s = 120);
  cr_assert_neq(FCT_EXECUTE(plain_world, .script = "ls -A base | grep -q .").status, 1, "the plain run leaves nothing");
  for (size_t i = 0; i < STARTS; i++) {
    struct fct_world *world = fct_world_new();
    const struct fct_result with =
        FCT_EXECUTE(world, .env = env, .script = fct_format(script, fct_format(starts[i], other)), .limit_s = 120);
    cr_expect_eq(with.status, plain.status, "%s: %d instead of %d", starts[i], with.status, plain.status);
    cr_expect_str_eq(with.out, plain.out, "%s: %s\ninstead of\n%s", starts[i], with.out, plain.out);
    cr_expect_str_eq(with.err, plain.err, "%s: %s\ninstead of\n%s", starts[i], with.err, plain.err);
    fct_assert_base_empty(world, starts[i]);
  }
}

/* Threads that allocate while they make names; every function that makes one; a shell and its programs. */
static void works_with(const char *name, const char *const *env) {
  expect_alike(
      library(name), env,
      "exec %1$ssh -c 'mkdir base/t; $PROBES/threads base/t return; echo $?; $PROBES/names base/x; echo $?; cd base; "
      "seq 1000 | sort -r > s; (echo a; cat s) | head -n 2 > h; mv h i; ls; exec $PROBES/die . _exit'");
}

Test(stacking, jemalloc) { works_with("libjemalloc.so.2", NULL); }
Test(stacking, tcmalloc) { works_with("libtcmalloc_minimal.so.4", NULL); }
Test(stacking, mimalloc) { works_with("libmimalloc.so.2", NULL); }
Test(stacking, eatmydata) { works_with("libeatmydata.so", NULL); }
Test(stacking, faketime_in_the_future) { works_with("faketime/libfaketime.so.1", FCT_LIST("FAKETIME=+400d")); }
Test(stacking, faketime_that_stands_still) {
  works_with("faketime/libfaketime.so.1", FCT_LIST("FAKETIME=2001-02-03 04:05:06"));
}

/* ---- no faked clock ages anything ---- */

/* Two sweeps, an hour too early, while the program has a file of its first moments. The one that waits is not faked. */
static void is_not_swept_early(const char *faketime, const char *age_by) {
  const char *const other = library("faketime/libfaketime.so.1");
  const char *script = fct_format(
      "export FAKETIME='%s' FILECLEANUP_AGE_BY=%s FILECLEANUP_INTERVAL=1 FILECLEANUP_TTL=1h\n", faketime, age_by);
  for (size_t i = 0; i < STARTS; i++)
    script = fct_format(
        "%smkdir base%zu; (BASE=${BASE}%zu; %ssh -c 'touch base%zu/young; env -u LD_PRELOAD sleep 2.3; ls base%zu') &\n",
        script, i, i, fct_format(starts[i], other), i, i);
  struct fct_world *world = fct_world_new();
  const struct fct_result result = FCT_EXECUTE(world, .script = fct_format("%swait", script));
  cr_expect_str_eq(result.out, "young\nyoung\nyoung\n", "%s%s", result.out, result.err);
  cr_expect_str_eq(FCT_EXECUTE(world, .script = "ls base0 base1 base2").out, "base0:\n\nbase1:\n\nbase2:\n");
}
Test(stacking, a_clock_in_the_future_ages_nothing) { is_not_swept_early("+400d", "newest"); }
Test(stacking, a_clock_in_the_future_ages_nothing_by_mtime) { is_not_swept_early("+400d", "mtime"); }
Test(stacking, a_clock_in_the_past_ages_nothing) { is_not_swept_early("-400d", "newest"); }
Test(stacking, a_clock_in_the_past_ages_nothing_by_mtime) { is_not_swept_early("-400d", "mtime"); }
Test(stacking, a_clock_that_runs_ages_nothing) { is_not_swept_early("+0 x50000", "newest"); }

/* ---- fakeroot ---- */

#define AS_ROOT                                                                                                                \
  "sh -c 'id -u; cd base; echo x > f; chown 0:7 f; stat -c %%u:%%g f; mkdir d; cp -p f d; mknod n b 7 0; stat -c %%F n; ln f " \
  "l; tar cf a.tar f d n; rm -r d f; tar xf a.tar; stat -c %%u:%%g:%%F f n; mv l m; chmod 600 m; ls; exit 5'"

Test(stacking, fakeroot) {
  fct_need_root();
  fct_need("fakeroot");
  fct_need_build_for(NOBODY);
  const char *const with = "env FILECLEANUP_BASE_DIR=$BASE LD_PRELOAD=" SHIM;
  const char *const orders[] = {
      "fakeroot ",                      /* alone */
      fct_format("%s fakeroot ", with), /* before us, and we are in its own programs too */
      fct_format("fakeroot sh -c 'exec env FILECLEANUP_BASE_DIR=$BASE LD_PRELOAD=" SHIM ":$LD_PRELOAD \"$@\"' sh "),
      "$FC_COMMAND run --base base -- fakeroot ",
      "fakeroot $FC_COMMAND run --base base -- ",
  };
  struct fct_result alone = {0};
  for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
    struct fct_world *world = fct_world_new();
    fct_world_give(world, NOBODY);
    const struct fct_result result =
        FCT_EXECUTE(world, .uid = NOBODY, .limit_s = 120, .script = fct_format("%s" AS_ROOT, orders[i]));
    if (i == 0) {
      alone = result;
      cr_assert_eq(alone.status, 5, "%s%s", alone.out, alone.err);
      continue;
    }
    cr_expect_eq(result.status, alone.status, "%s: %d %s", orders[i], result.status, result.err);
    cr_expect_str_eq(result.out, alone.out, "%s: %s", orders[i], result.out);
    cr_expect_str_eq(result.err, alone.err, "%s: %s", orders[i], result.err);
    fct_wait_no_members(world);
    fct_wait_no_guardian(world);
    fct_assert_base_empty(world, orders[i]);
  }
}

/* ---- fakechroot ---- */

/* Names mean something else to those behind it: what it makes is elsewhere, and what lies at the outer name somebody
 * else's. */
Test(stacking, fakechroot_takes_nothing_that_only_has_the_same_name) {
  const char *const other = library("fakechroot/libfakechroot.so");
  for (size_t i = 0; i < STARTS - 1; i++) { /* the last one does not find the shim in the jail, and says so */
    struct fct_world *world = fct_world_new();
    const struct fct_result result = FCT_EXECUTE(
        world,
        .script = fct_format("mkdir -p jail$BASE; echo user > base/f; echo user > base/g\n"
                             "export FAKECHROOT_BASE=$PWD/jail FAKECHROOT_EXCLUDE_PATH=/bin:/usr:/lib:/lib64:/dev\n"
                             "%ssh -c 'echo x > $BASE/f; echo x > $BASE/new; rm -f $BASE/g; cat $BASE/f; exit 4'\n"
                             "echo $?; ls jail$BASE base; cat base/f base/g",
                             fct_format(starts[i], other)));
    cr_expect_str_eq(result.out, "x\n4\nbase:\nf\ng\n\njail<root>/world/base:\nf\nnew\nuser\nuser\n", "%s: %s%s",
                     starts[i], result.out, result.err);
  }
}
