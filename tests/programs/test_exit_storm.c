/* All processes of a session end at once: whoever is the last cleans up completely, and a process that is just joining
 * is never cleaned under. The work is done by the probe exit_storm, which looks at the base in the moment when the last
 * process is gone.
 *
 * FC_EXIT_STORM_ROUNDS says how many rounds each test makes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/harness.h"

#define ROUNDS_DEFAULT "200"
#define ROUNDS_KILLED_DEFAULT "60"
#define PROCESSES "200"
#define LIMIT_S 280

TestSuite(exit_storm, .fini = fct_teardown, .timeout = 300);

/* On a memory file system when there is one at hand: a journaled one takes most of the time for making the files. */
static void storms(const char *mode, const char *killed, const char *rounds) {
  const char *asked = getenv("FC_EXIT_STORM_ROUNDS");
  struct fct_world *world = fct_world_new();
  char place[sizeof world->root + 16];
  char state[sizeof place + 32];
  snprintf(place, sizeof place, "%s", world->other[0] ? world->other : world->root);
  snprintf(state, sizeof state, "EXIT_STORM_STATE=%s/storm-state", place);
  strcat(place, "/storm");
  const struct fct_result result = FCT_EXECUTE(
      world, .mode = FCT_PLAIN, .limit_s = LIMIT_S, .env = FCT_LIST(state),
      .argv = FCT_LIST(FC_BUILD_DIR "/probes/exit_storm", "drive", mode, FC_BUILD_DIR "/libfilecleanup_preload.so",
                       FC_BUILD_DIR "/filecleanup", place, asked && *asked ? asked : rounds, PROCESSES, killed));
  fprintf(stderr, "%s: %s", mode, result.out);
  cr_assert_eq(result.status, 0, "%s, killed %s: %d\n%s%s", mode, killed, result.status, result.out, result.err);
}

Test(exit_storm, ld_preload_the_last_of_two_hundred_cleans_up_before_it_is_gone) {
  storms("bare", "none", ROUNDS_DEFAULT);
}

Test(exit_storm, launcher_the_last_of_two_hundred_is_not_gone_before_all_is_clean) {
  storms("run", "none", ROUNDS_DEFAULT);
}

Test(exit_storm, ld_preload_the_next_start_cleans_up_when_half_of_them_are_killed) {
  storms("bare", "half", ROUNDS_KILLED_DEFAULT);
}

Test(exit_storm, launcher_the_guardian_cleans_up_when_half_of_them_are_killed) {
  storms("run", "half", ROUNDS_KILLED_DEFAULT);
}

Test(exit_storm, launcher_the_guardian_cleans_up_when_all_of_them_are_killed) {
  storms("run", "all", ROUNDS_KILLED_DEFAULT);
}
