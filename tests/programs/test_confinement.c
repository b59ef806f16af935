/* Programs in a smaller world than ours: a chroot with next to nothing in it, a container's root on overlayfs, a user
 * namespace, bubblewrap. What does not hold there is said; what is not ours stays everywhere. */
#include <criterion/criterion.h>
#include <string.h>

#include "../harness/harness.h"
#include "../harness/harness_live.h"

TestSuite(confinement, .fini = fct_teardown, .timeout = 200);

#define NOBODY 65534
#define SHIM FC_BUILD_DIR "/libfilecleanup_preload.so"
#define BARE "env LD_PRELOAD=" SHIM " FILECLEANUP_BASE_DIR=$BASE "

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

/* lower/: a shell, a few commands, the libraries, the shim, the command, and a base with a file of the user's. */
static const char image[] =
    "set -e; mkdir -p lower/tmp/base lower/proc lower/dev lower/var/tmp lower/root\n"
    "for p in sh ls cat env mkdir; do p=$(command -v $p); mkdir -p lower/bin; cp -L $p lower/bin; echo $p; done > programs\n"
    "cp " SHIM " $FC_COMMAND lower\n"
    "for l in $(ldd $(cat programs) $FC_COMMAND | grep -o '/[^ :]*' | sort -u); do mkdir -p lower${l%/*}; cp -nL $l "
    "lower$l; done\n"
    "echo user > lower/tmp/base/user; echo old > lower/tmp/base/other\n";

/* JAIL WITH SCRIPT: in the jail, with the shim when asked. */
static const char enter[] =
    "enter() {\n"
    "  jail=$1 how=$2; shift 2\n"
    "  case $how in\n"
    "    plain) set -- /bin/sh -c \"$1\" ;;\n"
    "    bare) set -- LD_PRELOAD=/libfilecleanup_preload.so FILECLEANUP_BASE_DIR=/tmp/base /bin/sh -c \"$1\" ;;\n"
    "    run) set -- /filecleanup run --base /tmp/base -- /bin/sh -c \"$1\" ;;\n"
    "  esac\n"
    "  chroot $jail /bin/env -i PATH=/bin \"$@\"\n"
    "}\n";

static const char *const ways[] = {"bare", "run"};

static struct fct_world *world_with_image(void) {
  fct_need_mounts();
  struct fct_world *world = fct_world_new();
  const struct fct_result made = FCT_EXECUTE(world, .script = image);
  cr_assert_eq(made.status, 0, "%s%s", made.out, made.err);
  return world;
}

/* A container: the image below, a layer of its own above; nothing outside overlayfs but /proc and /dev. */
#define CONTAINER                                                                                                      \
  "mount -t tmpfs none layers && mkdir layers/upper layers/work && mount -t overlay -o "                               \
  "lowerdir=lower,upperdir=layers/upper,workdir=layers/work none root && mount -t proc none root/proc && "             \
  "mount -t tmpfs none root/dev && mkdir root/dev/shm || exit 77\n"

static struct fct_result in_container(const struct fct_world *world, const char *script) {
  const struct fct_result result =
      FCT_EXECUTE(world, .script = fct_format("%smkdir -p layers root; " CONTAINER "%s", enter, script));
  FCT_EXECUTE(world, .script = "umount -R root layers");
  if (result.status == 77) cr_skip("no overlayfs to be mounted here: %s", result.err);
  return result;
}

/* Its base comes from the image: the first name that is made there gives the directory another birth time. */
Test(confinement, in_a_container_what_was_made_is_gone) {
  struct fct_world *world = world_with_image();
  static const char work[] = "'cd /tmp/base; echo x > x; mkdir d; (echo y > d/y); cat x d/y; ls; exit 3'; echo $?\n";
  const struct fct_result plain = in_container(world, fct_format("enter root plain %s", work));
  cr_assert_str_eq(plain.out, "x\ny\nd\nother\nuser\nx\n3\n", "%s%s", plain.out, plain.err);
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    const struct fct_result with =
        in_container(world, fct_format("enter root %s %s ls root/tmp/base; cat root/tmp/base/*", ways[i], work));
    cr_expect_str_eq(with.out, fct_format("%sother\nuser\nold\nuser\n", plain.out), "%s: %s", ways[i], with.out);
    cr_expect_str_eq(with.err, plain.err, "%s: %s", ways[i], with.err);
  }
}

Test(confinement, in_a_container_what_is_the_users_stays) {
  struct fct_world *world = world_with_image();
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    const struct fct_result with = in_container(
        world,
        fct_format("enter root %s 'cd /tmp/base; echo new > n; env ls > /dev/null 2>&1; echo more >> user; echo new "
                   "> other'; cat root/tmp/base/user root/tmp/base/other",
                   ways[i]));
    cr_expect_str_eq(with.out, "user\nmore\nnew\n", "%s: %s", ways[i], with.out);
  }
}

Test(confinement, in_a_container_the_next_start_removes_what_a_kill_left) {
  struct fct_world *world = world_with_image();
  const struct fct_result with =
      in_container(world, "enter root bare 'echo x > /tmp/base/x; kill -9 $$' 2> /dev/null; echo $?; ls root/tmp/base\n"
                          "enter root bare 'ls /tmp/base'");
  cr_expect_str_eq(with.out, "137\nother\nuser\nx\nother\nuser\n", "%s%s", with.out, with.err);
}

/* No /dev/shm: no place keeps the lock. It is said, once for a program, and nothing is deleted. */
Test(confinement, in_a_container_without_a_place_for_records_nothing_is_deleted) {
  struct fct_world *world = world_with_image();
  const struct fct_result with =
      in_container(world, "umount root/dev; enter root bare 'exec > /tmp/base/x; echo x'; echo $?; ls root/tmp/base\n"
                          "enter root run 'echo y > /tmp/base/y' ; echo $?; ls root/tmp/base");
  cr_expect(strstr(with.err, "nothing will be tracked or deleted"), "%s", with.err);
  cr_expect(strstr(with.out, "other\nuser\nx\n"), "%s", with.out);
}

/* A jail with no /proc: whose directory the base is cannot be told there. */
Test(confinement, in_a_jail_without_proc_nothing_is_deleted) {
  struct fct_world *world = world_with_image();
  const struct fct_result bare =
      FCT_EXECUTE(world, .script = fct_format("%senter lower bare 'echo x > /tmp/base/x; exit 3'", enter));
  cr_expect_eq(bare.status, 3);
  cr_expect(strstr(bare.err, "/proc") && strstr(bare.err, "nothing will be tracked or deleted"), "%s", bare.err);
  cr_expect(fct_exists(world, "lower/tmp/base/x"));
}

/* No /dev either: the guardian does without. */
Test(confinement, in_a_jail_without_devices_the_guardian_cleans_up) {
  struct fct_world *world = world_with_image();
  const struct fct_result run = FCT_EXECUTE(
      world, .script = fct_format(
                 "%smount -t proc none lower/proc; enter lower run 'echo x > /tmp/base/x; kill -9 $$'; echo $?; n=0\n"
                 "while [ -e lower/tmp/base/x ] && [ $n -lt 500 ]; do sleep 0.02; n=$((n+1)); done; "
                 "ls lower/tmp/base; umount lower/proc",
                 enter));
  cr_expect_str_eq(run.out, "137\nother\nuser\n", "%s%s", run.out, run.err);
}

/* ---- namespaces ---- */

/* The script, in which %s stands for a start, in worlds of nobody's; alike with and without. */
static void expect_alike_as_nobody(const char *script) {
  fct_need_root();
  fct_need_build_for(NOBODY);
  const char *const starts[] = {"", BARE, "$FC_COMMAND run --base $BASE -- ",
                                "$FC_COMMAND run --base $BASE --wait -- "};
  struct fct_result plain = {0};
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
    struct fct_world *world = fct_world_new();
    fct_world_give(world, NOBODY);
    const struct fct_result result = FCT_EXECUTE(world, .uid = NOBODY, .script = fct_format(script, starts[i]));
    if (i == 0) plain = result;
    if (i == 0 && result.status != 5) cr_skip("this cannot be done here: %s", result.err);
    cr_expect_eq(result.status, plain.status, "%s: %d %s", starts[i], result.status, result.err);
    cr_expect_str_eq(result.out, plain.out, "%s: %s", starts[i], result.out);
    cr_expect_str_eq(result.err, plain.err, "%s: %s", starts[i], result.err);
    cr_assert(fct_wait_no_members(world) && fct_wait_no_guardian(world)); /* bwrap's own process 1 may be the last */
    if (i > 0) fct_assert_base_empty(world, starts[i]);
  }
}

#define MAKES "sh -c 'id -u; cd base; echo x > x; mkdir d; (echo y > d/y); ls; exit 5'"

Test(confinement, around_a_user_namespace) { expect_alike_as_nobody("%sunshare -Urm " MAKES); }
Test(confinement, in_a_user_namespace) { expect_alike_as_nobody("unshare -Urm %s" MAKES); }

#define BWRAP                                                                                                          \
  "bwrap --ro-bind / / --bind $PWD $PWD --bind $FILECLEANUP_STATE_DIR $FILECLEANUP_STATE_DIR --dev /dev --proc /proc --unshare-all "

Test(confinement, in_bubblewrap) {
  fct_need("bwrap");
  expect_alike_as_nobody(BWRAP "%s" MAKES);
}

Test(confinement, around_bubblewrap) {
  fct_need("bwrap");
  expect_alike_as_nobody("%s" BWRAP MAKES);
}
