/* Somebody swaps the user's files with tracked ones (RENAME_EXCHANGE) while they are deleted. Between a check and an
 * unlink there is always room for that: check-then-unlink loses a victim in about 5,000 swaps. Capture, verify, delete
 * must lose none.
 *
 * FC_EXCHANGE_ROUNDS says how many swaps each test waits for. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../harness/harness_attack.h"

#define PROBE FC_BUILD_DIR "/probes/exchange_attacker"
#define ROUNDS_DEFAULT 20000
#define SESSIONS_MIN 250
#define MANAGERS_MIN 50
#define MANAGERS_MET 5
#define MANAGERS_WAIT_S 15
#define SESSIONS_MAX 20000
#define MEETINGS_WANTED 30
#define MEETINGS_WAIT_S 40
#define LIMIT_S 120

TestSuite(exchange, .fini = fct_teardown, .timeout = 300);

/* As in tests/probes/exchange_attacker.c. */
struct counters {
  uint64_t exchanges;
  uint64_t displaced;
  uint64_t unlinked;
};

static const struct counters *attach(const struct fct_world *world) {
  cr_assert(fct_wait_exists(world, "counters"), "the attacker does not start");
  const int fd = open(fct_path(world, "counters"), O_RDONLY | O_CLOEXEC);
  cr_assert(fd >= 0, "counters");
  /* The attacker sets the size first of all; a page that is not there yet would be a SIGBUS. */
  while (lseek(fd, 0, SEEK_END) < (off_t)sizeof(struct counters)) usleep(1000);
  const struct counters *counters = mmap(NULL, sizeof *counters, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  cr_assert(counters != MAP_FAILED, "mmap");
  return counters;
}

/* Many short sessions that create files and directories and end, until there were enough swaps: so they fall into the
 * exits. Returns how many files the sessions created. */
static long sessions_that_end(const struct fct_world *world, enum fct_mode mode, const struct counters *counters,
                              uint64_t rounds, int *sessions) {
  long created = 0;
  const time_t from = time(NULL);
  for (*sessions = 0;; ++*sessions) {
    /* Most swaps fall between two looks of the reaper; a test with few others would say little. */
    const bool met = counters->displaced >= MEETINGS_WANTED || time(NULL) > from + MEETINGS_WAIT_S;
    if (*sessions >= SESSIONS_MIN && counters->exchanges >= rounds && met) break;
    cr_assert(*sessions < SESSIONS_MAX && time(NULL) < from + LIMIT_S, "only %llu swaps in %d sessions",
              (unsigned long long)counters->exchanges, *sessions);
    char number[16];
    snprintf(number, sizeof number, "%d", *sessions);
    const struct fct_result result =
        FCT_EXECUTE(world, .mode = mode, .argv = FCT_LIST(PROBE, "session", world->base, number));
    cr_assert_eq(result.status, 0, "session %d: %d %s", *sessions, result.status, result.err);
    created += strtol(result.out, NULL, 10);
  }
  return created;
}

/* The same with owners of managers, who ask for each name themselves and for all of them. */
static pid_t attacker_pid;

static long managers_that_end(const struct fct_world *world, enum fct_mode mode, const struct counters *counters,
                              uint64_t rounds, int *sessions) {
  long created = 0;
  const time_t from = time(NULL);
  (void)mode;
  for (*sessions = 0;; ++*sessions) {
    const bool met = counters->displaced >= MANAGERS_MET || time(NULL) > from + MANAGERS_WAIT_S;
    if (*sessions >= MANAGERS_MIN && counters->exchanges >= rounds && met) break;
    cr_assert(*sessions < SESSIONS_MAX && time(NULL) < from + LIMIT_S, "only %llu swaps in %d sessions",
              (unsigned long long)counters->exchanges, *sessions);
    const char *argv[] = {FC_BUILD_DIR "/probes/manager_host", "exchange", world->base, fct_format("%d", *sessions),
                          fct_format("%d", (int)attacker_pid), NULL};
    const struct fct_result result = FCT_EXECUTE(world, .argv = argv);
    cr_assert_eq(result.status, 0, "session %d: %d %s", *sessions, result.status, result.err);
    created += strtol(result.out, NULL, 10);
  }
  return created;
}

static void attack(enum fct_mode mode, const char *how,
                   long (*sessions_of)(const struct fct_world *, enum fct_mode, const struct counters *, uint64_t,
                                       int *)) {
  const char *asked = getenv("FC_EXCHANGE_ROUNDS");
  const uint64_t rounds = asked && *asked ? strtoull(asked, NULL, 10) : ROUNDS_DEFAULT;
  struct fct_world *world = fct_world_new();
  cr_assert_eq(FCT_EXECUTE(world, .argv = FCT_LIST(PROBE, "victims", world->base)).status, 0, "victims");
  struct fct_job *attacker = FCT_START(
      world, .limit_s = LIMIT_S, .argv = FCT_LIST(PROBE, "attack", world->base, fct_path(world, "counters"), how));
  const struct counters *counters = attach(world);
  attacker_pid = fct_job_pid(attacker);
  int sessions = 0;
  const long created = sessions_of(world, mode, counters, rounds, &sessions);
  kill(fct_job_pid(attacker), SIGTERM);
  const struct fct_result ended = fct_finish(attacker);
  cr_assert_eq(ended.status, 0, "the attacker failed: %d %s", ended.status, ended.err);
  fct_next_start(world, mode); /* recovery is the ordinary path */
  cr_assert(fct_wait_no_guardian(world), "a guardian does not end");

  const struct fct_result count = FCT_EXECUTE(world, .argv = FCT_LIST(PROBE, "count", world->base));
  int victims = 0, lost = -1, elsewhere = 0;
  long remaining = 0;
  cr_assert_eq(
      sscanf(count.out, "victims %d lost %d elsewhere %d session_files %ld", &victims, &lost, &elsewhere, &remaining),
      4, "count: %s%s", count.out, count.err);
  const long deleted = created - (long)counters->unlinked - remaining;
  fprintf(stderr,
          "%s: %llu swaps in %d sessions, %llu victims met the reaper, %d lost; of %ld files of the sessions %ld were "
          "genuinely deleted, %ld stay, %llu the attacker removed\n",
          fct_mode_name(mode), (unsigned long long)counters->exchanges, sessions,
          (unsigned long long)counters->displaced, lost, created, deleted, remaining,
          (unsigned long long)counters->unlinked);
  fct_attack_row(fct_format("swapped with victims (RENAME_EXCHANGE) while %s end, %s",
                            sessions_of == managers_that_end ? "managers" : "sessions", fct_mode_name(mode)),
                 counters->exchanges, (unsigned long long)lost, (unsigned long long)remaining,
                 "the attacker had them elsewhere at the end");
  cr_assert_eq(lost, 0, "%d of %d victims lost:\n%s%s", lost, victims, count.err, ended.err);
  cr_assert_gt(deleted, 0, "nothing was deleted, so nothing was proven");
  const struct fct_result quarantines =
      FCT_EXECUTE(world, .script = "find \"$BASE\" -name '.filecleanup*' ! -name '*.filecleanup-restored.*' | grep .");
  cr_assert_neq(quarantines.status, 0, "quarantines stay:\n%s", quarantines.out);
}

Test(exchange, no_victim_is_lost_while_ld_preload_sessions_end) { attack(FCT_BARE, NULL, sessions_that_end); }

Test(exchange, no_victim_is_lost_while_guardians_clean_up) { attack(FCT_RUN, NULL, sessions_that_end); }

Test(exchange, no_victim_is_lost_while_owners_of_managers_remove) { attack(FCT_BARE, NULL, managers_that_end); }

/* Somebody who stands in a directory of the session (a shell, a file manager) still reaches into it by its descriptor
 * when the reaper has taken it away whole, and there is a check before an unlink in it. Known: about 1 victim in 30
 * that meet the reaper so is lost. Not part of the ordinary run until the reaper closes this. */
Test(exchange, no_victim_is_lost_in_directories_that_somebody_holds_open) {
  if (!getenv("FC_EXCHANGE_HELD")) cr_skip("a known limit; FC_EXCHANGE_HELD=1 measures it");
  attack(FCT_BARE, "held", sessions_that_end);
}

/* Live sweeps get their own function beside sessions_that_end when there is a sweeper: one long session with a short
 * TTL and interval that goes on creating while the attacker swaps. */
