/* Mounts: what is mounted below a directory of the session's is somebody else's, whenever it comes and goes; what is
 * unmounted or made read-only under a session stays; and a file system that does not answer keeps no program waiting.
 *
 * All of it happens in a mount namespace of the test's own. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../harness/harness_attack.h"

TestSuite(mounts, .fini = fct_teardown, .timeout = 200);

/* The same names as what the session makes. */
#define VICTIMS                                                                                                        \
  "mkdir -p victims/d/e; for i in 0 1 2 3 4 5 6 7; do echo v$i > victims/d/f$i; echo w$i > victims/d/e/f$i; done"
#define MAKE "mkdir -p base/d/e; for i in 0 1 2 3 4 5 6 7; do echo s$i > base/d/f$i; echo t$i > base/d/e/f$i; done"

static struct fct_world *world_with_victims(void) {
  fct_need_mounts();
  struct fct_world *world = fct_world_new();
  const struct fct_result made = FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = VICTIMS);
  cr_assert_eq(made.status, 0, "%s", made.err);
  return world;
}

static void bind_over(const struct fct_world *world, const char *what, const char *where) {
  if (mount(fct_path(world, what), fct_path(world, where), NULL, MS_BIND, NULL) != 0)
    cr_skip("nothing can be mounted here: %s", strerror(errno));
}

static void unmount(const struct fct_world *world, const char *where) {
  cr_expect_eq(umount2(fct_path(world, where), MNT_DETACH), 0, "%s: %s", where, strerror(errno));
}

/* ---- mounted before the end ---- */

static void mounted_over(const char *attack, const char *mount_script) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = world_with_victims();
    const struct fct_victims *victims = fct_victims_of(fct_path(world, "victims"));
    struct fct_job *job = fct_hold(world, *mode, FCT_LIST("PERIODIC=0", "TTL=1us", "DIRS=recursive"), MAKE);
    const struct fct_result mounted = FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = mount_script);
    if (mounted.status != 0) cr_skip("%s: cannot be mounted here: %s", attack, mounted.err);
    const struct fct_victims *inside = fct_victims_of(fct_path(world, "base/d"));
    struct fct_live *live = fct_live_open(world);
    fct_pass(live);
    fct_release(world, job);
    cr_expect(fct_wait_no_guardian(world));
    const unsigned long long lost = fct_victims_lost(inside);
    unmount(world, "base/d");
    const struct fct_result left = FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = "find base | wc -l");
    fct_attack_row(fct_format("%s, %s", attack, fct_mode_name(*mode)), 1, lost + fct_victims_lost(victims),
                   strtoull(left.out, NULL, 10) - 1, "what the mount hides cannot be reached");
  }
}

Test(mounts, a_bind_mount_of_the_same_file_system_over_a_directory_of_ours) {
  mounted_over("bind mount over a tracked directory", "mount --bind victims/d base/d");
}
Test(mounts, a_tmpfs_over_a_directory_of_ours) {
  mounted_over("tmpfs over a tracked directory", "mount -t tmpfs none base/d && cp -a victims/d/. base/d");
}
Test(mounts, a_fuse_file_system_over_a_directory_of_ours) {
  fct_need("bindfs");
  mounted_over("FUSE (bindfs) over a tracked directory", "bindfs -o nonempty victims/d base/d");
}
Test(mounts, a_fuse_overlay_over_a_directory_of_ours) {
  fct_need("fuse-overlayfs");
  mounted_over("fuse-overlayfs over a tracked directory",
               "mkdir up work && fuse-overlayfs -o lowerdir=victims/d,upperdir=up,workdir=work base/d");
}

/* The very object that the session made, mounted over itself: identity alone would not tell. */
Test(mounts, a_directory_of_ours_mounted_over_itself) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = world_with_victims();
    struct fct_job *job =
        fct_hold(world, *mode, FCT_LIST(fct_format("LOG_FILE=%s", fct_path(world, "log")), "TRACK=all"), MAKE);
    bind_over(world, "base/d/e", "base/d/e");
    const struct fct_victims *inside = fct_victims_of(fct_path(world, "base/d/e"));
    fct_release(world, job);
    cr_expect(fct_wait_no_guardian(world));
    const unsigned long long lost = fct_victims_lost(inside);
    unmount(world, "base/d/e");
    const char *log = fct_read(world, "log"); /* nothing in it was even tried */
    cr_expect(!log || !strstr(log, "base/d/e/"), "%s", log);
    fct_attack_row(fct_format("tracked directory mounted over itself, %s", fct_mode_name(*mode)), 1, lost, 10,
                   "a mount is never entered");
  }
}

/* ---- mounted while a pass or an end is at work ---- */

struct over {
  const char *victims;
  const char *place;
  const char *victim_file;
  const char *file;
};

static bool mount_and_unmount(void *context, uint64_t number) {
  const struct over *over = context;
  const bool on_file = number % 4 == 0;
  const char *what = on_file ? over->victim_file : over->victims;
  const char *where = on_file ? over->file : over->place;
  if (mount(what, where, NULL, MS_BIND, NULL) != 0) return false;
  if (number % 3 == 0) usleep((useconds_t)(number % 512));
  return umount2(where, MNT_DETACH) == 0;
}

static struct over over_of(const struct fct_world *world) {
  return (struct over){fct_path(world, "victims/d"), fct_path(world, "base/d"), fct_path(world, "victims/d/f0"),
                       fct_path(world, "base/f0")};
}

Test(mounts, mounted_in_a_loop_while_sessions_end) {
  struct fct_world *world = world_with_victims();
  const struct fct_victims *victims = fct_victims_of(fct_path(world, "victims"));
  struct over over = over_of(world);
  struct fct_attacker *attacker = fct_attack(mount_and_unmount, &over, 0);
  const uint64_t sessions = fct_rounds_wanted(60, 2000);
  unsigned long long leaks = 0;
  for (uint64_t i = 0; i < sessions; i++) {
    /* The program makes files in whatever is mounted: these stay. It overwrites nothing (set -C). */
    const struct fct_result result = FCT_EXECUTE(
        world, .mode = i % 4 ? FCT_BARE : FCT_RUN,
        .script =
            "set -C; echo s > base/f0; mkdir base/d; i=0; while [ $i -lt 20 ]; do echo s$i > base/d/s$i; i=$((i+1)); "
            "done 2> /dev/null; exit 0");
    cr_assert_eq(result.status, 0, "%d %s", result.status, result.err);
    cr_assert(fct_wait_no_guardian(world));
    leaks += fct_count(world, "base") > 0;
    FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = "rm -f victims/d/s* base/d/s*; rm -f base/f0; rmdir base/d; :");
  }
  const uint64_t rounds = fct_attack_end(attacker);
  while (umount2(over.place, MNT_DETACH) == 0 || umount2(over.file, MNT_DETACH) == 0) continue;
  cr_expect_gt(rounds, sessions / 2, "nothing was mounted");
  fct_attack_row("bind mounts come and go while sessions end", rounds, fct_victims_lost(victims), leaks,
                 "a mount point can be neither entered nor renamed");
}

Test(mounts, mounted_in_a_loop_during_sweeps) {
  struct fct_world *world = world_with_victims();
  const struct fct_victims *victims = fct_victims_of(fct_path(world, "victims"));
  struct over over = over_of(world);
  struct fct_job *job = fct_refill(world, FCT_BARE);
  struct fct_attacker *attacker = fct_attack(mount_and_unmount, &over, 0);
  fct_sweep_under_attack(world, attacker, fct_rounds_wanted(2000, 20000));
  const uint64_t rounds = fct_attack_end(attacker);
  while (umount2(over.place, MNT_DETACH) == 0 || umount2(over.file, MNT_DETACH) == 0) continue;
  fct_refill_end(world, job);
  fct_attack_row("bind mounts come and go during sweeps", rounds, fct_victims_lost(victims), fct_count(world, "base"),
                 "a mount point can be neither entered nor renamed");
}

/* ---- taken away ---- */

Test(mounts, made_read_only_under_us) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = world_with_victims();
    fct_mount_image(world, "mkfs.ext4 -q", 16, "", world->base);
    fct_write(world, "base/users", "mine\n");
    const struct fct_victims *victims = fct_victims_of(world->base);
    struct fct_job *job = fct_hold(world, *mode, NULL, MAKE);
    cr_assert_eq(mount(NULL, world->base, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0, "%s", strerror(errno));
    fct_release(world, job);
    cr_expect(fct_wait_no_guardian(world));
    const unsigned long long leaks = fct_count(world, "base/d") + fct_count(world, "base/d/e") - 1;
    cr_assert_eq(mount(NULL, world->base, NULL, MS_REMOUNT, NULL), 0, "%s", strerror(errno));
    fct_attack_row(fct_format("read-only remount, %s", fct_mode_name(*mode)), 1, fct_victims_lost(victims), leaks,
                   "gone with the next start");
    fct_next_start(world, *mode);
    cr_expect(fct_wait_no_guardian(world));
    cr_expect(!fct_exists(world, "base/d"), "%s: the next start does not make up for it", fct_mode_name(*mode));
    cr_expect_eq(fct_victims_lost(victims), 0);
    unmount(world, "base");
  }
}

/* What then stands at the base's name has the same names in it. */
Test(mounts, unmounted_under_us) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = world_with_victims();
    FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = "cp -a victims/d base");
    const struct fct_victims *victims = fct_victims_of(world->base);
    fct_mount_image(world, "mkfs.ext4 -q", 16, "", world->base);
    struct fct_job *job = fct_hold(world, *mode, FCT_LIST("PERIODIC=0", "TTL=1us"), MAKE);
    struct fct_live *live = fct_live_open(world);
    cr_assert_eq(umount2(world->base, MNT_DETACH), 0, "%s", strerror(errno));
    struct fc_sweep_result result;
    (void)fct_pass_as(live, (struct fc_sweep){.what = FC_SWEEP_EXPIRED}, &result);
    fct_release(world, job);
    cr_expect(fct_wait_no_guardian(world));
    fct_attack_row(fct_format("lazy unmount of the base, %s", fct_mode_name(*mode)), 1, fct_victims_lost(victims), 18,
                   "they went with the disk");
  }
}

/* ---- a FUSE server that does not answer any more ---- */

static pid_t serve(const struct fct_world *world, const char *what, const char *where) {
  const pid_t server = fork();
  cr_assert(server >= 0);
  if (server == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl(fct_which("bindfs"), "bindfs", "-f", "-o", "nonempty,attr_timeout=0,entry_timeout=0", fct_path(world, what),
          fct_path(world, where), (char *)NULL);
    _exit(127);
  }
  struct stat above, here;
  cr_assert(stat(fct_path(world, what), &above) == 0);
  for (int i = 0; i < 1000; i++) {
    if (stat(fct_path(world, where), &here) == 0 && here.st_dev != above.st_dev) return server;
    usleep(10000);
  }
  kill(server, SIGKILL);
  waitpid(server, NULL, 0);
  cr_skip("bindfs cannot mount here");
  return -1;
}

/* In a process of its own, which may hang. */
static bool pass_ends(const struct fct_world *world) {
  struct fct_live *live = fct_live_open(world);
  const pid_t child = fork();
  cr_assert(child >= 0);
  if (child == 0) {
    struct fc_sweep_result result;
    (void)fct_pass_as(live, (struct fc_sweep){.what = FC_SWEEP_EXPIRED}, &result);
    _exit(0);
  }
  for (int i = 0; i < 2000; i++) {
    if (waitpid(child, NULL, WNOHANG) == child) return true;
    usleep(10000);
  }
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  return false;
}

/* The program waits for nothing that does not answer: neither a pass nor its end hangs, however dead the server is.
 * (The limit of the run is where this test fails: without the server's answer nothing ever came to an end.) */
static void dead_server(const char *attack, const char *where) {
  fct_need("bindfs");
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = world_with_victims();
    const struct fct_victims *victims = fct_victims_of(fct_path(world, "victims"));
    fct_write(world, "script.sh", MAKE "; mkdir base/d/m; : > ready; $PROBES/await go");
    struct fct_job *job = FCT_START(world, .mode = *mode, .limit_s = 30, .argv = FCT_LIST("sh", "script.sh"),
                                    .env = FCT_LIST("FILECLEANUP_EXIT_BUDGET=1s", "FILECLEANUP_DIRS=recursive",
                                                    "FILECLEANUP_PERIODIC=0", "FILECLEANUP_TTL=1us"));
    cr_assert(fct_wait_exists(world, "ready"));
    const pid_t server = serve(world, "victims/d", where);
    cr_assert(kill(server, SIGSTOP) == 0);
    const bool passed = pass_ends(world);
    fct_write(world, "go", "");
    const struct fct_result result = fct_finish(job);
    const pid_t guardian = fct_guardian(world);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    (void)umount2(fct_path(world, where), MNT_DETACH);
    cr_expect(passed, "%s: a pass hangs", fct_mode_name(*mode));
    cr_expect_eq(result.status, 0, "%s: status %d %s", fct_mode_name(*mode), result.status, result.err);
    cr_expect_str_eq(result.err, "");
    if (guardian) cr_expect(fct_wait_no_guardian(world), "%s: the guardian hangs", fct_mode_name(*mode));
    const struct fct_result left = FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = "find base | wc -l");
    fct_attack_row(fct_format("%s, %s", attack, fct_mode_name(*mode)), 1, fct_victims_lost(victims),
                   strtoull(left.out, NULL, 10) - 1, "the mount point, and what the mount hides");
  }
}

Test(mounts, a_dead_fuse_server_at_a_name_of_ours_keeps_nobody_waiting) {
  dead_server("dead FUSE server at a tracked name", "base/d/m");
}
Test(mounts, a_dead_fuse_server_over_a_directory_with_our_files_keeps_nobody_waiting) {
  dead_server("dead FUSE server over a tracked directory", "base/d");
}
Test(mounts, a_dead_fuse_server_over_the_base_keeps_nobody_waiting) {
  dead_server("dead FUSE server over the base", "base");
}
