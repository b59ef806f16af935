/* Renames by others: the directory that is being emptied goes out of the base, the user's files take the places of
 * tracked names, editors save, programs that no hook sees rename. (Exchanges: test_exchange.c.)
 *
 * FC_ATTACK_LONG=1: 20,000 moves during sweeps instead of 1,000, and 3,000 sessions that end instead of 60. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../harness/harness_attack.h"

TestSuite(renames, .fini = fct_teardown, .timeout = 290);

#define NAMES_MAX 64
#define SETTLE_MS 10000 /* what was captured when its directory went is given back: a moment later */

/* ---- a directory that goes out of the base while it is emptied ---- */

struct mover {
  const char *inside;
  const char *outside;
  bool leaves_it; /* each time under another name */
};

struct listing {
  char names[NAMES_MAX][32];
  int count;
};

static void list(const char *directory, struct listing *listing) {
  listing->count = 0;
  DIR *stream = opendir(directory);
  for (struct dirent *entry; stream && (entry = readdir(stream));)
    if (entry->d_name[0] != '.' && listing->count < NAMES_MAX)
      snprintf(listing->names[listing->count++], 32, "%.31s", entry->d_name);
  if (stream) closedir(stream);
}

static bool comes_to_be(const char *directory, const char *name) {
  char path[PATH_MAX + 64];
  struct stat st;
  snprintf(path, sizeof path, "%s/%s", directory, name);
  for (int i = 0; i < SETTLE_MS; i++) {
    if (lstat(path, &st) == 0) return true;
    usleep(1000);
  }
  fprintf(stderr, "lost: %s\n", path);
  return false;
}

/* Whatever stands in it when it is outside is the mover's. Ends the attack with a status when something goes. */
static bool move_out(void *context, uint64_t number) {
  const struct mover *mover = context;
  char outside[PATH_MAX - 64];
  struct listing listing;
  snprintf(outside, sizeof outside, "%s%s%llu", mover->outside, mover->leaves_it ? "-" : "",
           mover->leaves_it ? (unsigned long long)number : 0);
  usleep((useconds_t)(rand() % 1500));
  if (rename(mover->inside, outside) != 0) return false;
  list(outside, &listing);
  usleep(500);
  for (int i = 0; i < listing.count; i++)
    if (!comes_to_be(outside, listing.names[i])) _exit(3);
  if (!mover->leaves_it && rename(outside, mover->inside) != 0) {
    /* The program has made it anew meanwhile: then it stays outside under a name of its own. */
    char stays[PATH_MAX + 32];
    snprintf(stays, sizeof stays, "%s-stays-%llu", outside, (unsigned long long)number);
    if (rename(outside, stays) != 0) _exit(4);
  }
  return listing.count > 0;
}

Test(renames, the_directory_goes_out_of_the_base_during_sweeps) {
  struct fct_world *world = fct_world_new();
  cr_assert_eq(mkdir(fct_path(world, "out"), 0755), 0);
  struct mover mover = {fct_path(world, "base/d"), fct_path(world, "out/d"), false};
  struct fct_job *job = fct_refill(world, FCT_BARE);
  struct fct_attacker *attacker = fct_attack(move_out, &mover, 0);
  fct_sweep_under_attack(world, attacker, fct_rounds_wanted(1000, 20000));
  const uint64_t rounds = fct_attack_end(attacker);
  fct_refill_end(world, job);
  fct_attack_row("directory moved out of the base while a pass empties it", rounds, 0, fct_count(world, "base"),
                 "moved in again by another, or put back beside");
}

Test(renames, the_directory_goes_out_of_the_base_while_sessions_end) {
  struct fct_world *world = fct_world_new();
  cr_assert_eq(mkdir(fct_path(world, "out"), 0755), 0);
  struct mover mover = {fct_path(world, "base/d"), fct_path(world, "out/d"), true};
  const uint64_t sessions = fct_rounds_wanted(60, 3000);
  uint64_t rounds = 0, leaks = 0;
  for (uint64_t i = 0; i < sessions; i++) {
    struct fct_job *job = fct_hold(world, i % 4 ? FCT_BARE : FCT_RUN, FCT_LIST("PERIODIC=0"),
                                   "mkdir base/d; i=0; while [ $i -lt 60 ]; do echo s > base/d/f$i; i=$((i+1)); done");
    srand((unsigned)i);
    struct fct_attacker *attacker = fct_attack(move_out, &mover, 0);
    fct_release(world, job);
    cr_assert(fct_wait_no_guardian(world));
    while (fct_exists(world, "base/d")) usleep(1000); /* it comes before or after the end */
    rounds += fct_attack_end(attacker);
    leaks += fct_count(world, "base");
    FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = "rm -rf out/* base/*");
  }
  cr_expect_gt(rounds, 0, "it was never in time");
  fct_attack_row("directory moved out of the base while an end empties it", rounds, 0, leaks,
                 "given back to the base, when the place had gone");
}

/* ---- the user's files on tracked names ---- */

#define VICTIM_COUNT 8

struct placer {
  const char *home[VICTIM_COUNT];
  const char *place[VICTIM_COUNT];
  const char *beside[VICTIM_COUNT];
};

/* Onto the tracked name and, from wherever it is then, home again. */
static bool place_and_fetch(void *context, uint64_t number) {
  const struct placer *p = context;
  const int i = (int)(number % VICTIM_COUNT);
  if (rename(p->home[i], p->place[i]) != 0) return false;
  if (number % 2) usleep((useconds_t)(rand() % 400));
  for (int tries = 0; tries < SETTLE_MS; tries++) {
    if (rename(p->place[i], p->home[i]) == 0) return true;
    for (int n = 1; n < 4; n++) {
      char beside[PATH_MAX + 16];
      snprintf(beside, sizeof beside, "%s%d", p->beside[i], n);
      if (rename(beside, p->home[i]) == 0) return true;
    }
    usleep(1000);
  }
  fprintf(stderr, "lost: %s\n", p->home[i]);
  _exit(3);
}

Test(renames, the_users_file_takes_a_tracked_name_during_sweeps) {
  struct fct_world *world = fct_world_new();
  struct placer placer;
  cr_assert_eq(mkdir(fct_path(world, "home"), 0755), 0);
  for (int i = 0; i < VICTIM_COUNT; i++) {
    fct_write(world, fct_format("home/v%d", i), fct_format("the user's %d\n", i));
    placer.home[i] = fct_path(world, fct_format("home/v%d", i));
    placer.place[i] = fct_path(world, fct_format("base/d/g%d", i));
    placer.beside[i] = fct_path(world, fct_format("base/d/g%d.filecleanup-restored.", i));
  }
  const struct fct_victims *victims = fct_victims_of(fct_path(world, "home"));
  /* Nobody else uses these names, so that what is fetched from there can only be the victim, or a file of the
   * session's that went home in its stead, which the victims' contents would tell. */
  struct fct_job *job = fct_hold(world, FCT_BARE, FCT_LIST("PERIODIC=0", "TTL=1us", "DIRS=keep"),
                                 "mkdir base/d; for i in 0 1 2 3 4 5 6 7; do echo s > base/d/g$i; done");
  struct fct_live *live = fct_live_open(world);
  struct fct_attacker *attacker = fct_attack(place_and_fetch, &placer, 0);
  const uint64_t wanted = fct_rounds_wanted(3000, 20000);
  while (fct_attack_rounds(attacker) < wanted) {
    struct fc_sweep_result result;
    cr_assert_eq(fct_pass_as(live, (struct fc_sweep){.what = FC_SWEEP_EXPIRED}, &result), 0);
  }
  const uint64_t rounds = fct_attack_end(attacker);
  fct_release(world, job);
  fct_attack_row("user's file renamed over a tracked name during sweeps", rounds, fct_victims_lost(victims),
                 fct_count(world, "base/d"), NULL);
}

Test(renames, the_users_file_takes_a_tracked_name_before_the_end) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    FCT_EXECUTE(world, .mode = FCT_PLAIN,
                .script = "mkdir home; for i in 1 2 3; do echo v$i > home/v$i; done; "
                          "mkdir home/dir; echo v > home/dir/f");
    const struct fct_victims *victims = fct_victims_of(world->dir);
    struct fct_job *job = fct_hold(world, *mode, FCT_LIST("PERIODIC=0"),
                                   "echo s > base/f; mkdir base/d base/dir; echo s > base/d/f; echo s > base/dir/f");
    FCT_EXECUTE(world, .mode = FCT_PLAIN,
                .script = "mv -f home/v1 base/f; mv -f home/v2 base/d/f; mv -f home/v3 base/d/new; mv base/dir "
                          "../old; mv home/dir base/dir; rm -r ../old");
    fct_release(world, job);
    cr_expect(fct_wait_no_guardian(world));
    fct_attack_row(fct_format("user's files and directory in the places of tracked ones, %s", fct_mode_name(*mode)), 5,
                   fct_victims_lost(victims), 1, "the directory that holds the user's file now");
  }
}

/* Somebody rebuilds the base with what he wants to keep of it. */
Test(renames, what_is_moved_into_a_base_that_was_made_anew_stays) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job =
        fct_hold(world, *mode, FCT_LIST("PERIODIC=0"), "echo s > base/f; mkdir base/d; echo s > base/d/f");
    FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = "mv base aside; mkdir base; mv aside/f aside/d base");
    const struct fct_victims *victims = fct_victims_of(world->base);
    fct_release(world, job);
    cr_expect(fct_wait_no_guardian(world));
    fct_attack_row(fct_format("base made anew, with what was in the old one, %s", fct_mode_name(*mode)), 1,
                   fct_victims_lost(victims), 0, NULL);
  }
}

/* ---- editors of outsiders ---- */

Test(renames, what_an_outsider_saves_by_rename_is_his) {
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    struct fct_job *job = fct_hold(world, *mode, FCT_LIST("PERIODIC=0", "TTL=1us"),
                                   "for i in sed perl mv; do echo temporary > base/$i; done; echo t > base/other");
    const struct fct_result edited = FCT_EXECUTE(
        world, .mode = FCT_PLAIN,
        .script = "sed -i s/temporary/wanted/ base/sed\n"
                  "if command -v perl > /dev/null; then perl -pi -e s/temporary/wanted/ base/perl; fi\n"
                  "sed s/temporary/wanted/ base/mv > new; mv -f new base/mv; ls base | grep -v other | tr '\\n' ' '");
    struct fct_live *live = fct_live_open(world);
    (void)fct_pass(live);
    unsigned long long lost = 0;
    cr_expect(!fct_exists(world, "base/other"), "nothing was swept");
    for (int when = 0; when < 2; when++) {
      static const char *const editors[] = {"sed", "perl", "mv"};
      for (size_t i = 0; i < 3; i++) {
        if (i == 1 && !fct_which(editors[i])) continue;
        const char *text = fct_read(world, fct_format("base/%s", editors[i]));
        if (!text || strcmp(text, "wanted\n") != 0) {
          fprintf(stderr, "lost: what %s has saved\n", editors[i]);
          lost++;
        }
      }
      if (when == 0) fct_release(world, job);
      cr_expect(fct_wait_no_guardian(world));
    }
    fct_attack_row(fct_format("sed -i, perl -i and mv by an outsider, %s", fct_mode_name(*mode)), 3, lost, 0, NULL);
    cr_expect_eq(edited.status, 0, "%s", edited.err);
  }
}

/* ---- renames that no hook sees ---- */

#define RAW "$PROBES/rawfs "

Test(renames, unseen_onto_a_tracked_name) {
  FCT_USER_DATA_WHOLE(.setup = "echo mine > base/u", .survive = FCT_LIST("base/t"),
                      .script = "echo t > base/t; " RAW "rename base/u base/t");
}
Test(renames, unseen_into_a_directory_of_ours) {
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/u; echo mine > base/u/f", .survive = FCT_LIST("base/d/u/f", "base/d/f"),
                      .script = "mkdir base/d; echo t > base/d/f; " RAW "unlink base/d/f , link base/u/f base/d/f , "
                                "rename base/u base/d/u");
}
Test(renames, unseen_a_directory_of_the_users_in_the_place_of_ours) {
  FCT_USER_DATA_WHOLE(.setup = "mkdir base/u; echo mine > base/u/f", .survive = FCT_LIST("base/d/f"),
                      .script = "mkdir base/d; echo t > base/d/f; " RAW "rename base/d base/e , rename base/u base/d");
}
Test(renames, unseen_ours_onto_the_users_and_the_users_onto_ours) {
  FCT_USER_DATA_WHOLE(.setup = "echo one > base/u; echo two > base/v", .survive = FCT_LIST("base/s", "base/t"),
                      .script = "echo t > base/t; echo s > base/s; " RAW
                                "rename base/t base/x , rename base/u base/t , rename base/v base/s");
}
