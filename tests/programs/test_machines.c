/* Programs for other machines, in one session with those for this one: of 32 bits, in the three sizes that off_t and
 * time_t have there, and for aarch64 under qemu. The shim for each stands where the loader's own word for the library
 * directory ($LIB) finds it. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../harness/harness.h"

TestSuite(machines, .fini = fct_teardown, .timeout = 200);

#define SHIM "filecleanup/libfilecleanup_preload.so"
#define PROBE_SOURCES FC_SOURCE_DIR "/tests/probes/"
/* The quotes keep the shell from $LIB. */
#define PRELOAD "LD_PRELOAD=$PWD/usr/'$LIB'/" SHIM
#define BASE "FILECLEANUP_BASE_DIR=$BASE"

struct machine {
  const char *shim; /* the name of its build */
  const char *compile;
  const char *with;    /* before a program, in a script: with the shim */
  const char *library; /* what its loader takes $LIB for on Debian */
};
static const struct machine of_32bit = {"32bit", "gcc -m32", "env " PRELOAD " " BASE " ", "lib32"};
/* In the guest only: qemu itself would see, by the functions that it calls for the guest, each of its steps twice. */
static const struct machine of_aarch64 = {"aarch64", "clang --target=aarch64-linux-gnu -fuse-ld=lld",
                                          "-E " PRELOAD " -E " BASE " ", "lib/aarch64-linux-gnu"};

static const char *shim_for(const struct machine *machine) {
  return fct_format(FC_BUILD_DIR "/shims/%s/libfilecleanup_preload.so", machine->shim);
}

static void need(const struct machine *machine) {
  if (access(shim_for(machine), R_OK))
    cr_skip("no shim for %s was built, since %s does not work here", machine->shim, machine->compile);
  if (machine == &of_aarch64) fct_need("qemu-aarch64");
}

/* usr/$LIB/filecleanup for both machines, and those probes for the other one that the script names as ./PROBE. */
static struct fct_world *world_for(const struct machine *machine, const char *flags, const char *script) {
  need(machine);
  struct fct_world *world = fct_world_new();
  static const char *const probes[] = {"names", "die", "linger", "rawcall"};
  const char *wanted = "";
  for (size_t i = 0; i < sizeof probes / sizeof *probes; i++)
    if (strstr(script, fct_format("./%s", probes[i]))) wanted = fct_format("%s %s", wanted, probes[i]);
  const struct fct_result made =
      FCT_EXECUTE(world, .script = fct_format("set -e\n"
                                              "for lib in %1$s lib64 lib/$(gcc -dumpmachine); do\n"
                                              "  mkdir -p usr/$lib/filecleanup\n"
                                              "  case $lib in %1$s) from=%2$s ;; *) from=" FC_BUILD_DIR
                                              "/libfilecleanup_preload.so ;; esac\n"
                                              "  ln -s $from usr/$lib/filecleanup\n"
                                              "done\n"
                                              "for p in %5$s; do\n"
                                              "  %3$s %4$s -D_GNU_SOURCE -w -o $p " PROBE_SOURCES "$p.c\n"
                                              "done\n",
                                              machine->library, shim_for(machine), machine->compile, flags, wanted));
  cr_assert_eq(made.status, 0, "%s%s", made.out, made.err);
  return world;
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"

/* The script, in which %s stands before what is started with the shim, must do with it what it does without, and leave
 * nothing but the names in stay. */
static void expect_alike(const struct machine *machine, const char *flags, const char *setup, const char *script,
                         const char *stay) {
  struct fct_world *world = world_for(machine, flags, script);
  const char *const before = fct_format("set -e; rm -rf base state/*; mkdir base; %s\n", setup);
  cr_assert_eq(FCT_EXECUTE(world, .script = before).status, 0);
  const struct fct_result plain = FCT_EXECUTE(world, .script = fct_format(script, ""));
  cr_assert_neq(FCT_EXECUTE(world, .script = "ls -A base | grep -q .").status, 1, "the plain run leaves nothing");
  cr_assert_eq(FCT_EXECUTE(world, .script = before).status, 0);
  const struct fct_result with = FCT_EXECUTE(world, .script = fct_format(script, machine->with));
  cr_expect_eq(with.status, plain.status, "%d instead of %d: %s", with.status, plain.status, with.err);
  cr_expect_str_eq(with.out, plain.out, "%s\ninstead of\n%s", with.out, plain.out);
  cr_expect_str_eq(with.err, plain.err, "%s\ninstead of\n%s", with.err, plain.err);
  const char *left = FCT_EXECUTE(world, .script = "cd base && find . -type f | sort | xargs -r grep -H .").out;
  cr_expect_str_eq(left, stay, "left: %s", left);
}

/* ---- 32 bits ---- */

#define LFS "-D_FILE_OFFSET_BITS=64"
#define TIME64 LFS " -D_TIME_BITS=64"

static void names_are_gone(const char *flags) { expect_alike(&of_32bit, flags, "", "%s./names base/x", ""); }

Test(machines, names_made_by_a_32_bit_program_are_gone) { names_are_gone(""); }
Test(machines, names_made_by_a_32_bit_program_with_large_files_are_gone) { names_are_gone(LFS); }
Test(machines, names_made_by_a_32_bit_program_with_64_bit_time_are_gone) { names_are_gone(TIME64); }

/* nftw and fts change the directory inside libc: what is removed there by its leaf is the user's, and so is what is
 * made in its place. With 64-bit times they are functions of other names. */
static void what_was_walked_over_is_the_users(const char *flags) {
  expect_alike(&of_32bit, flags, "mkdir base/walked; : > base/walked/again", "%s./names base",
               "./walked/again:text\n./walked/in-fts:text\n./walked/in-nftw:text\n");
}
Test(machines, what_a_32_bit_walk_replaces_is_the_users) { what_was_walked_over_is_the_users(""); }
Test(machines, what_a_32_bit_walk_with_large_files_replaces_is_the_users) { what_was_walked_over_is_the_users(LFS); }
Test(machines, what_a_32_bit_walk_with_64_bit_time_replaces_is_the_users) { what_was_walked_over_is_the_users(TIME64); }

Test(machines, calls_by_number_of_a_32_bit_program_are_seen) {
  expect_alike(&of_32bit, "", ": > base/f",
               "%s./rawcall creat base/a =0644 , mkdir base/d =0755 , rename base/a base/d/b , openat2 =cwd base/c "
               "how:0101:0644 , openat =cwd base/e =0101 =0644 , +write text , ftruncate =3 =2 , unlink base/f , creat "
               "base/f =0644 , +write mine , +socket , bind @ un:base/s , fork , mkdirat =cwd base/g =0755",
               "./f:mine\n");
}

/* One session: one record for all, and what one word size has made is not taken while the other lives. */
static void in_one_session(const char *first, const char *second) {
  expect_alike(
      &of_32bit, "", "",
      fct_format("%%s%1$s base/a %2$s base/b %1$s base/c %2$s base/d sh -c 'ls base; set -- ../state/*/session-*; "
                 "[ ! -e \"$1\" ] || echo $# >> sessions; exit 5'; status=$?; [ $(cat sessions 2>/dev/null || "
                 "echo 1) = 1 ] || echo several sessions; exit $status",
                 first, second),
      "");
}
Test(machines, a_64_bit_program_becomes_a_32_bit_one_and_back) { in_one_session("$PROBES/names", "./names"); }
Test(machines, a_32_bit_program_becomes_a_64_bit_one_and_back) { in_one_session("./names", "$PROBES/names"); }

/* The one that outlives the other finds its file, and takes it when it ends. */
static void outlives(const char *parent, const char *child) {
  struct fct_world *world = world_for(&of_32bit, "", "./linger");
  struct fct_job *job =
      FCT_START(world, .script = fct_format("LINGER_EXEC=$PWD/%s exec %s%s exec $BASE $PWD/go $PWD/result", child,
                                            of_32bit.with, parent));
  const struct fct_result result = fct_finish(job);
  cr_expect_eq(result.status, 0, "%s", result.err);
  cr_expect(fct_exists(world, "base/needed"), "taken from under the child");
  fct_write(world, "go", "");
  cr_assert(fct_wait_no_members(world));
  cr_expect_str_eq(fct_read(world, "result"), "kept\n", "%s", fct_read(world, "result"));
  fct_assert_base_empty(world, "after the child");
}
Test(machines, a_32_bit_child_outlives_its_64_bit_parent) { outlives("$PROBES/linger", "linger"); }
Test(machines, a_64_bit_child_outlives_its_32_bit_parent) {
  outlives("./linger", "../../../.." FC_BUILD_DIR "/probes/linger");
}

/* ---- kills ---- */

/* With the shim where %s stands. */
static void killed(const struct machine *machine, const char *victim, const char *next) {
  struct fct_world *world = world_for(machine, "", fct_format("%s %s", victim, next));
  const struct fct_result result = FCT_EXECUTE(world, .script = fct_format(victim, machine->with));
  cr_expect_eq(result.status, 128 + SIGKILL, "%d %s", result.status, result.err);
  cr_expect(fct_exists(world, "base/by-open"), "who cleaned up?");
  const struct fct_result after = FCT_EXECUTE(world, .script = fct_format(next, machine->with));
  cr_expect_str_eq(after.err, "", "%s", after.err);
  fct_assert_base_empty(world, "after the next start");
}
Test(machines, what_a_killed_32_bit_program_left_is_removed_by_the_next_64_bit_one) {
  killed(&of_32bit, "exec %s./die base 9", "%strue");
}
Test(machines, what_a_killed_64_bit_program_left_is_removed_by_the_next_32_bit_one) {
  killed(&of_32bit, "exec %s$PROBES/die base 9", "%s./rawcall getppid");
}

/* ---- aarch64 ---- */

#define QEMU "qemu-aarch64 -L /usr/aarch64-linux-gnu "

Test(machines, names_made_by_an_aarch64_program_are_gone) {
  expect_alike(&of_aarch64, "", "", QEMU "%s./names base/x", "");
}

Test(machines, calls_by_number_of_an_aarch64_program_are_seen) {
  expect_alike(&of_aarch64, "", ": > base/f",
               QEMU
               "%s./rawcall mkdirat =cwd base/d =0755 , openat2 =cwd base/c how:0101:0644 , openat =cwd base/e "
               "=0101 =0644 , +write text , ftruncate =3 =2 , renameat2 =cwd base/e =cwd base/d/b =0 , unlinkat =cwd "
               "base/f =0 , openat =cwd base/f =0101 =0644 , +write mine , clone =17 , mkdirat =cwd base/g =0755",
               "./f:mine\n");
}

Test(machines, an_aarch64_program_and_those_of_this_machine_share_a_session) {
  expect_alike(&of_aarch64, "", "", QEMU "%s./names base/a $PROBES/names base/b sh -c 'ls base; exit 5'", "");
}

Test(machines, what_a_killed_aarch64_program_left_is_removed_by_the_next) {
  killed(&of_aarch64, "exec " QEMU "%s./die base 9", QEMU "%s./rawcall getppid");
}

Test(machines, an_aarch64_program_ends_in_every_way) {
  static const char *const ways[] = {"return", "exit", "_exit", "_Exit", "quick_exit", "status=7"};
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
    expect_alike(&of_aarch64, "", "", fct_format(QEMU "%%s./die base %s", ways[i]), "");
}

/* ---- what an older libc must have ---- */

/* glibc 2.31 is the oldest that is served: whoever loads a shim with a later symbol is told so by the loader, and runs
 * without it. */
static void expect_no_later_than(const char *shim, unsigned minor) {
  fct_need("readelf");
  struct fct_world *world = fct_world_new();
  const struct fct_result wanted = FCT_EXECUTE(
      world,
      .script = fct_format("readelf -V -W %s | sed -n 's/.*Name: \\(GLIBC_[A-Z0-9_.]*\\).*/\\1/p' | sort -u", shim));
  unsigned count = 0;
  const char *at = wanted.out;
  for (unsigned major, needed; *at; at = strchr(at, '\n') + 1, count++) {
    cr_assert_eq(sscanf(at, "GLIBC_%u.%u", &major, &needed), 2, "%s needs a libc with %s", shim, at);
    cr_expect(major == 2 && needed <= minor, "%s needs glibc %u.%u", shim, major, needed);
  }
  cr_assert(count > 0, "no versions in %s: %s", shim, wanted.err);
}

Test(machines, the_shim_is_loaded_by_glibc_2_31) {
  expect_no_later_than(FC_BUILD_DIR "/libfilecleanup_preload.so", 31);
  static const struct machine *const others[] = {&of_32bit, &of_aarch64};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (access(shim_for(others[i]), R_OK) == 0) expect_no_later_than(shim_for(others[i]), 31);
}
