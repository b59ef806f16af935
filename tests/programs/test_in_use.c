/* What anybody has open is not swept, however old it is; when it is released it is. Nor is what cannot be asked. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../harness/harness.h"
#include "../harness/harness_live.h"
#include "lease.h"

TestSuite(in_use, .fini = fct_teardown, .timeout = 120);

#define NOBODY 65534
#define OVERLAYFS_MAGIC 0x794c7630
#define OLD_AT_ONCE FCT_LIST("PERIODIC=0", "TTL=1us")

static void pause_ms(long ms) {
  struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
  nanosleep(&span, NULL);
}

static struct fct_job *start_holder(const struct fct_world *world, const char *how) {
  struct fct_job *job = FCT_START(world, .mode = FCT_PLAIN,
                                  .argv = FCT_LIST(FC_BUILD_DIR "/probes/holder", how, fct_path(world, "base/f"),
                                                   fct_path(world, "held"), fct_path(world, "release")));
  cr_assert(fct_wait_exists(world, "held"), "%s: the holder did not start", how);
  return job;
}

static void stop_holder(const struct fct_world *world, struct fct_job *job) {
  fct_write(world, "release", "");
  cr_assert_eq(fct_finish(job).status, 0);
  unlink(fct_path(world, "release"));
  unlink(fct_path(world, "held"));
}

#define COPY_OF_THE_HOLDER "cp $PROBES/holder base/f"

/* By the session's own process or by a stranger: the kernel's answer is the same, so strangers ask here. */
static void expect_spared_until_released(const char *how) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = fct_hold(world, FCT_BARE, OLD_AT_ONCE, COPY_OF_THE_HOLDER);
  struct fct_job *holder = start_holder(world, how);
  struct fct_live *live = fct_live_open(world);
  pause_ms(5);
  for (int i = 0; i < 5; i++) {
    const struct fc_sweep_result result = fct_pass(live);
    cr_expect_eq(result.reaped.in_use, 1, "%s: %llu in use", how, result.reaped.in_use);
    cr_expect(fct_exists(world, "base/f"), "%s: swept when it was in use", how);
    cr_expect_leq(result.next_due_ns, fc_journal_now(), "%s: nobody will look at it again soon", how);
  }
  stop_holder(world, holder);
  cr_expect_eq(fct_pass(live).reaped.files, 1, "%s: not swept when it was released", how);
  fct_release(world, job);
  fct_assert_base_empty(world, how);
}

Test(in_use, open_for_reading_is_spared) { expect_spared_until_released("read"); }
Test(in_use, open_for_writing_is_spared) { expect_spared_until_released("write"); }
Test(in_use, mapped_with_its_descriptor_closed_is_spared) {
  struct statfs fs;
  const struct fct_world *world = fct_world_new();
  cr_assert_eq(statfs(world->base, &fs), 0, "%s", strerror(errno));
  if (fs.f_type == OVERLAYFS_MAGIC) cr_skip("a lease on overlayfs does not tell who only has a file mapped");
  expect_spared_until_released("map");
}
Test(in_use, executed_is_spared) { expect_spared_until_released("exec"); }
Test(in_use, on_its_way_through_a_socket_is_spared) { expect_spared_until_released("socket"); }
Test(in_use, inherited_by_a_child_is_spared) { expect_spared_until_released("child"); }

Test(in_use, an_o_path_descriptor_is_no_use) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job = fct_hold(world, FCT_BARE, OLD_AT_ONCE, "echo f > base/f");
  struct fct_job *holder = start_holder(world, "path");
  struct fct_live *live = fct_live_open(world);
  pause_ms(5);
  cr_expect_eq(fct_pass(live).reaped.files, 1);
  stop_holder(world, holder);
  fct_release(world, job);
}

Test(in_use, open_in_the_session_itself_is_spared_by_its_own_sweeper) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job =
        fct_hold(world, *mode, FCT_LIST("TTL=1s", "INTERVAL=1s"),
                 "exec 5> base/out 6< /dev/null; echo in > base/in; exec 6< base/in; echo x > base/x");
    cr_expect(fct_wait_gone(world, "base/x"), "%s: nothing is swept", fct_mode_name(*mode));
    pause_ms(2500);
    cr_expect(fct_exists(world, "base/out"), "%s: open for writing and gone", fct_mode_name(*mode));
    cr_expect(fct_exists(world, "base/in"), "%s: open for reading and gone", fct_mode_name(*mode));
    fct_release(world, job);
    fct_assert_base_empty(world, fct_mode_name(*mode));
  }
}

Test(in_use, ignore_sweeps_what_is_open) {
  struct fct_world *world = fct_world_new();
  struct fct_job *job =
      fct_hold(world, FCT_BARE, FCT_LIST("PERIODIC=0", "TTL=1us", "IN_USE=ignore"), "echo f > base/f");
  struct fct_job *holder = start_holder(world, "read");
  struct fct_live *live = fct_live_open(world);
  pause_ms(5);
  cr_expect_eq(fct_pass(live).reaped.files, 1);
  stop_holder(world, holder);
  fct_release(world, job);
}

/* ---- of which nothing is known ---- */

static void expect_spared_unasked(uid_t uid, const char *script, const char *why) {
  struct fct_world *world = fct_world_new();
  if (uid) fct_world_give(world, uid);
  struct fct_job *job = FCT_START(world, .mode = FCT_BARE, .uid = uid, .script = script,
                                  .env = FCT_LIST("FILECLEANUP_TTL=1s", "FILECLEANUP_INTERVAL=1s"));
  cr_assert(fct_wait_exists(world, "ready"), "%s", why);
  cr_expect(fct_wait_gone(world, "base/other"), "%s: nothing is swept", why);
  pause_ms(1500);
  cr_expect(fct_exists(world, "base/f"), "%s: swept although nothing was known of its use", why);
  fct_write(world, "go", "");
  cr_expect_eq(fct_finish(job).status, 0);
  fct_assert_base_empty(world, why); /* at the end nobody can use it any more */
}

Test(in_use, what_its_owner_must_not_read_is_spared) {
  fct_need_root();
  fct_need_build_for(NOBODY);
  expect_spared_unasked(
      NOBODY, "echo f > base/f; chmod 0 base/f; echo o > base/other; : > ready; $PROBES/await go; :", "mode 000");
}

/* A worker that has become somebody else sweeps what the master made. */
Test(in_use, what_another_user_owns_is_spared) {
  fct_need_root();
  fct_need("setpriv");
  fct_need_build_for(NOBODY);
  struct fct_world *world = fct_world_new();
  cr_assert(chmod(world->base, 01777) == 0);
  struct fct_job *job =
      fct_hold(world, FCT_BARE, OLD_AT_ONCE, "echo f > base/f; echo o > base/other; chown 65534 base/f");
  struct fct_live *live = fct_live_open(world);
  pause_ms(5);
  const pid_t child = fork();
  if (child == 0) { /* the test as that user: it owns f, and not other */
    if (setgid(NOBODY) || setuid(NOBODY)) _exit(9);
    struct fc_lease lease;
    const int dirfd = open(world->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const enum fc_lease_answer own = fc_lease_take(&lease, dirfd, "f");
    fc_lease_drop(&lease);
    const enum fc_lease_answer other = fc_lease_take(&lease, dirfd, "other");
    fc_lease_drop(&lease);
    _exit(own == FC_LEASE_FREE && other == FC_LEASE_UNKNOWN ? 0 : 1);
  }
  int status = -1;
  cr_assert(waitpid(child, &status, 0) == child);
  cr_expect_eq(status, 0, "a lease on a stranger's file: %d", status);
  cr_expect_eq(fct_pass(live).reaped.files, 2, "root may ask for every file");
  fct_release(world, job);
}

/* A file system without leases must say so. */
Test(in_use, an_open_file_is_free_on_no_file_system) {
  fct_need_mounts();
  struct fct_world *world = fct_world_new();
  static const char *const kinds[] = {"ramfs", "tmpfs", "overlay"};
  unsigned asked = 0, without = 0;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    const char *lower = fct_path(world, "lower"), *upper = fct_path(world, "upper"), *work = fct_path(world, "work");
    mkdir(lower, 0755), mkdir(upper, 0755), mkdir(work, 0755);
    const char *options =
        strcmp(kinds[i], "overlay") == 0 ? fct_format("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work) : "";
    if (mount("none", world->base, kinds[i], 0, options) != 0) continue;
    asked++;
    const int dirfd = open(world->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fct_write(world, "base/f", "f\n");
    const int held = open(fct_path(world, "base/f"), O_RDONLY | O_CLOEXEC);
    struct fc_lease lease;
    const enum fc_lease_answer answer = fc_lease_take(&lease, dirfd, "f");
    cr_expect_neq(answer, FC_LEASE_FREE, "%s: an open file is free", kinds[i]);
    fc_lease_drop(&lease);
    without += answer == FC_LEASE_UNKNOWN;
    close(held);
    close(dirfd);
    cr_expect_eq(umount2(world->base, MNT_DETACH), 0, "%s", strerror(errno));
  }
  if (asked == 0) cr_skip("no file system can be mounted here");
  fprintf(stderr, "in use: %u file systems asked, %u of them without leases\n", asked, without);
}
