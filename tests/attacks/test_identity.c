/* Identity: an outsider removes what the session made and makes another file of that name, on every file system that
 * can be mounted here. Some give the inode number back at once, some have no birth times, some prove nothing: then what
 * the session made stays too, rather than that one file of the outsider's goes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../harness/harness_attack.h"

TestSuite(identity, .fini = fct_teardown, .timeout = 200);

#define NAMES 120
#define TWINS 500
#define KEPT_TEXT "an outsider's\n"

/* Half of the names are made anew; the other half must go where the file system proves what they are. */
static void made_anew(const char *what, const struct fct_world *world, enum fct_mode mode, bool proves) {
  fct_write(world, "script.sh",
            fct_format("mkdir base/d; i=0; while [ $i -lt %d ]; do echo s > base/f$i; echo s > base/d/f$i; i=$((i+1)); "
                       "done; : > ready; $PROBES/await go",
                       NAMES));
  struct fct_job *job = FCT_START(world, .mode = mode, .argv = FCT_LIST("sh", "script.sh"),
                                  .env = FCT_LIST("FILECLEANUP_PERIODIC=0", "FILECLEANUP_TTL=1us"));
  cr_assert(fct_wait_exists(world, "ready"));
  unsigned reused = 0;
  for (int i = 0; i < NAMES; i += 2) {
    for (int below = 0; below < 2; below++) {
      const char *path = fct_path(world, fct_format(below ? "base/d/f%d" : "base/f%d", i));
      struct stat before, after;
      cr_assert(lstat(path, &before) == 0 && unlink(path) == 0, "%s: %s", path, strerror(errno));
      fct_write(world, fct_format(below ? "base/d/f%d" : "base/f%d", i), KEPT_TEXT);
      cr_assert(lstat(path, &after) == 0);
      reused += before.st_ino == after.st_ino;
    }
  }
  struct fct_live *live = fct_live_open(world);
  struct fc_sweep_result swept;
  (void)fct_pass_as(live, (struct fc_sweep){.what = FC_SWEEP_EXPIRED}, &swept);
  fct_write(world, "go", "");
  const struct fct_result result = fct_finish(job);
  cr_expect_eq(result.status, 0, "%s: %s", what, result.err);
  cr_expect_str_eq(result.err, "");
  cr_expect(fct_wait_no_guardian(world));
  unsigned long long lost = 0, leaks = 0;
  for (int i = 0; i < NAMES; i++) {
    for (int below = 0; below < 2; below++) {
      const char *name = fct_format(below ? "base/d/f%d" : "base/f%d", i);
      const char *text = fct_exists(world, name) ? fct_read(world, name) : NULL;
      if (i % 2 == 0)
        lost += !text || strcmp(text, KEPT_TEXT) != 0;
      else
        leaks += text != NULL;
    }
  }
  fct_attack_row(fct_format("made anew on %s, %u inodes reused, %s", what, reused, fct_mode_name(mode)), NAMES, lost,
                 leaks, proves ? NULL : "nothing proves what they are");
}

/* The next file of a name in the same tick of the clock: its identity must differ, or prove nothing. */
static void at_once(const char *what, const struct fct_world *world) {
  static char *const no_environment[] = {NULL};
  static struct fc_config config;
  static struct fc_base base;
  char message[1280];
  fc_config_default(&config);
  config.policy.trust_base = true;
  (void)snprintf(config.base, sizeof config.base, "%s", world->base);
  cr_assert_eq(fc_base_open(&base, &config, no_environment, NULL, message, sizeof message), 0, "%s", message);
  unsigned same = 0;
  for (int i = 0; i < TWINS; i++) {
    struct fc_identity identity[2];
    struct statx st;
    for (int k = 0; k < 2; k++) {
      const int fd = openat(base.fd, "twin", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
      cr_assert(fd >= 0 && fc_identity_take(fd, "", base.with_handle, &identity[k], &st) == 0);
      cr_assert(close(fd) == 0 && unlinkat(base.fd, "twin", 0) == 0);
    }
    same += fc_identity_proves(&identity[0]) && fc_identity_equal(&identity[0], &identity[1]);
  }
  fct_attack_row(fct_format("made anew at once on %s", what), TWINS, same, 0, NULL);
  (void)close(base.fd);
}

static void on_image(const char *what, const char *make, unsigned megabytes, const char *options, bool proves) {
  fct_need_mounts();
  fct_need(strtok(fct_format("%s", make), " "));
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    fct_mount_image(world, make, megabytes, options, world->base);
    at_once(what, world);
    made_anew(what, world, *mode, proves);
    cr_expect_eq(umount2(world->base, MNT_DETACH), 0, "%s", strerror(errno));
  }
}

static void on_mount(const char *what, const char *script, bool proves) {
  fct_need_mounts();
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    const struct fct_result made = FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = script);
    if (made.status != 0) cr_skip("%s: cannot be mounted here: %s", what, made.err);
    at_once(what, world);
    made_anew(what, world, *mode, proves);
    cr_expect_eq(umount2(world->base, MNT_DETACH), 0, "%s", strerror(errno));
  }
}

/* scripts/matrix runs it on one file system after the other. */
Test(identity, where_the_tests_run) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    made_anew("the file system of the tests", world, *mode, fct_proves(world));
  }
}

Test(identity, on_ext4) { on_image("ext4", "mkfs.ext4 -q", 16, "", true); }

/* Without birth times, as where they are too coarse to tell: the inode's generation alone tells. */
Test(identity, on_ext4_without_birth_times) {
  on_image("ext4 with 128-byte inodes", "mkfs.ext4 -q -I 128", 16, "", true);
}
Test(identity, on_ext3) { on_image("ext3", "mkfs.ext3 -q", 16, "", true); }
Test(identity, on_ext2) { on_image("ext2", "mkfs.ext2 -q -I 128", 16, "", true); }
Test(identity, on_xfs) { on_image("xfs", "mkfs.xfs -q", 320, "", true); }
Test(identity, on_btrfs) { on_image("btrfs", "mkfs.btrfs -q", 128, "", true); }
Test(identity, on_tmpfs) { on_mount("tmpfs", "mount -t tmpfs none base", true); }
Test(identity, on_ramfs) { on_mount("ramfs", "mount -t ramfs none base", false); }
Test(identity, on_overlayfs) {
  on_mount("overlayfs",
           "mkdir store && mount -t tmpfs none store && mkdir store/l store/u store/w && mount -t overlay overlay -o "
           "lowerdir=store/l,upperdir=store/u,workdir=store/w base",
           true);
}
Test(identity, on_fuse_overlayfs) {
  fct_need("fuse-overlayfs");
  on_mount("fuse-overlayfs", "mkdir l u w && fuse-overlayfs -o lowerdir=l,upperdir=u,workdir=w base", false);
}
Test(identity, on_bindfs) {
  fct_need("bindfs");
  on_mount("bindfs", "mkdir below && bindfs below base", false);
}
