/* harness: attackers and victims. See harness_attack.h. */
#include "harness_attack.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness_internal.h"
#include "harness_tree.h"

uint64_t fct_rounds_wanted(uint64_t ci, uint64_t all) {
  const char *asked = getenv("FC_ATTACK_LONG");
  return asked && *asked && strcmp(asked, "0") != 0 ? all : ci;
}

/* ---- attackers ---- */

struct shared {
  atomic_int stop;
  atomic_ullong rounds;
};

struct fct_attacker {
  pid_t pid;
  struct shared *shared;
};

struct fct_attacker *fct_attack(bool (*round)(void *, uint64_t), void *context, uid_t uid) {
  struct fct_attacker *attacker = fct_alloc(sizeof *attacker);
  attacker->shared = mmap(NULL, sizeof *attacker->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  cr_assert(attacker->shared != MAP_FAILED, "mmap: %s", strerror(errno));
  struct shared *const shared = attacker->shared;
  const pid_t test = getpid();
  attacker->pid = fork();
  cr_assert(attacker->pid >= 0, "fork: %s", strerror(errno));
  if (attacker->pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != test) _exit(1);
    if (uid && (setgroups(0, NULL) || setgid((gid_t)uid) || setuid(uid))) _exit(2);
    for (uint64_t number = 0; !atomic_load(&shared->stop); number++)
      if (round(context, number)) atomic_fetch_add(&shared->rounds, 1);
    _exit(0);
  }
  return attacker;
}

uint64_t fct_attack_rounds(const struct fct_attacker *attacker) {
  siginfo_t ended = {0};
  /* Whoever waits for more rounds would wait for ever. Its status stays for fct_attack_end(). */
  cr_assert(waitid(P_PID, (id_t)attacker->pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == 0,
            "the attacker has ended by itself: %d", ended.si_status);
  return atomic_load(&attacker->shared->rounds);
}

uint64_t fct_attack_end(struct fct_attacker *attacker) {
  int status;
  atomic_store(&attacker->shared->stop, 1);
  cr_assert(waitpid(attacker->pid, &status, 0) == attacker->pid, "waitpid: %s", strerror(errno));
  cr_assert_eq(status, 0, "the attacker ended with %#x", status);
  const uint64_t rounds = atomic_load(&attacker->shared->rounds);
  munmap(attacker->shared, sizeof *attacker->shared);
  return rounds;
}

/* ---- a host to attack ---- */

static const char refill_script[] =
    ": > ready\n"
    "set -C\n" /* it overwrites nothing of somebody else's */
    "while [ ! -e stop ]; do\n"
    "  [ -d base/a/b/c ] || mkdir -p base/a/b/c\n"
    "  [ -d base/d ] || mkdir base/d\n"
    "  for i in 0 1 2 3 4 5 6 7; do\n"
    "    for d in base base/d base/a/b/c; do [ -e $d/f$i ] || echo session > $d/f$i; done\n"
    "  done\n"
    "done 2> /dev/null\n"
    "exit 0\n";

struct fct_job *fct_refill(const struct fct_world *world, enum fct_mode mode) {
  (void)unlink(fct_path(world, "stop"));
  struct fct_job *job = FCT_START(world, .mode = mode, .env = FCT_LIST("FILECLEANUP_PERIODIC=0", "FILECLEANUP_TTL=1us"),
                                  .script = refill_script, .limit_s = 280);
  cr_assert(fct_wait_exists(world, "ready"), "the host did not get ready");
  (void)unlink(fct_path(world, "ready"));
  return job;
}

void fct_refill_end(const struct fct_world *world, struct fct_job *job) {
  fct_write(world, "stop", "");
  const struct fct_result result = fct_finish(job);
  (void)unlink(fct_path(world, "stop"));
  cr_expect_eq(result.status, 0, "the program was disturbed: status %d %s", result.status, result.err);
  cr_expect_str_eq(result.err, "");
}

uint64_t fct_sweep_under_attack(const struct fct_world *world, const struct fct_attacker *attacker, uint64_t rounds) {
  struct fct_live *live = fct_live_open(world);
  unsigned long long removed = 0;
  uint64_t passes = 0;
  for (; fct_attack_rounds(attacker) < rounds || removed == 0; passes++) {
    struct fc_sweep_result result;
    (void)fct_pass_as(live, (struct fc_sweep){.what = FC_SWEEP_EXPIRED}, &result); /* the base may be away just now */
    removed += result.reaped.files;
  }
  fprintf(stderr, "swept %llu files in %llu passes\n", removed, (unsigned long long)passes);
  close(live->fd);
  close(live->dirfd);
  return passes;
}

/* ---- victims ---- */

struct fct_victims {
  const char *directory;
  const struct fct_tree *tree;
};

struct fct_victims *fct_victims_of(const char *directory) {
  struct fct_victims *victims = fct_alloc(sizeof *victims);
  *victims = (struct fct_victims){directory, fct_tree_of(directory)};
  return victims;
}

static bool is_there(const struct fct_tree *now, const struct fct_entry *victim) {
  for (size_t i = 0; i < now->count; i++)
    if (now->entries[i].ino == victim->ino && fct_entry_same(&now->entries[i], victim, true)) return true;
  return false;
}

unsigned long long fct_victims_lost(const struct fct_victims *victims) {
  const struct fct_tree *now = fct_tree_of(victims->directory);
  unsigned long long lost = 0;
  for (size_t i = 0; i < victims->tree->count; i++) {
    const struct fct_entry *victim = &victims->tree->entries[i];
    const struct fct_entry *same_name = fct_tree_find(now, victim->name);
    if (same_name && same_name->ino == victim->ino && fct_entry_same(same_name, victim, true)) continue;
    if (is_there(now, victim)) continue;
    lost++;
    fprintf(stderr, "lost: %s/%s\n", victims->directory, fct_entry_show(victim));
  }
  return lost;
}

/* ---- rows ---- */

void fct_attack_row(const char *attack, uint64_t rounds, unsigned long long wrong, unsigned long long leaks,
                    const char *why) {
  FCT_ROW("attack", attack, why, {"rounds", rounds}, {"wrong deletions", wrong}, {"leaks", leaks});
  cr_expect_eq(wrong, 0, "%s: %llu wrong deletions", attack, wrong);
  if (!why) cr_expect_eq(leaks, 0, "%s: %llu names stay", attack, leaks);
}

void fct_faults_row(const char *where, uint64_t injected, unsigned long long differences, unsigned long long wrong,
                    unsigned long long leaks, const char *why) {
  FCT_ROW("faults", where, why, {"faults injected", injected}, {"host differences", differences},
          {"wrong deletions", wrong}, {"leaks", leaks});
  cr_expect_eq(differences, 0, "%s: the host noticed %llu faults", where, differences);
  cr_expect_eq(wrong, 0, "%s: %llu wrong deletions", where, wrong);
  if (!why) cr_expect_eq(leaks, 0, "%s: %llu names stay", where, leaks);
}

void fct_kill_points_row(const char *where, uint64_t tried, unsigned long long violations,
                         unsigned long long instant_leaks) {
  FCT_ROW("kill points", where, "made in the very instant of the kill, or before one inside a removal of the user's",
          {"kill points tried", tried}, {"violations", violations}, {"instant leaks", instant_leaks});
  cr_expect_eq(violations, 0, "%s: %llu kill points failed", where, violations);
}

/* ---- file systems ---- */

void fct_mount_image(const struct fct_world *world, const char *make, unsigned megabytes, const char *options,
                     const char *directory) {
  const char *image = fct_format("%s/image-%s", world->root, strrchr(directory, '/') + 1);
  const char *script = fct_format("truncate -s %uM '%s' && %s '%s' >/dev/null && mount -o loop%s%s '%s' '%s'",
                                  megabytes, image, make, image, *options ? "," : "", options, image, directory);
  const struct fct_result made = FCT_EXECUTE(world, .mode = FCT_PLAIN, .script = script);
  if (made.status != 0) cr_skip("%s: cannot be mounted here: %s", make, made.err);
}
