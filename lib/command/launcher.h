/* launcher: `filecleanup run`, which is what filecleanup-run becomes.
 *
 * Responsible for: options, making and locking the session, starting the guardian, and becoming the program by exec:
 * same pid, same signals, same exit status. Must never: leave anything behind when it fails, or stay in the way of the
 * program.
 */
#ifndef FC_LAUNCHER_H
#define FC_LAUNCHER_H

#include <stddef.h>

#define FC_EXIT_FAILURE 125 /* as env(1): our own failure, the program cannot be run, it is not found */
#define FC_EXIT_NOT_EXECUTABLE 126
#define FC_EXIT_NOT_FOUND 127

/* An option of `run` that stands for a variable. */
struct fc_launcher_option {
  const char *option;
  const char *variable;
  const char *argument;
};

/* The index-th of them, --base first; NULL behind the last. */
const struct fc_launcher_option *fc_launcher_option(size_t index);

/* argv[0] is "run". Returns an exit status when the program was not, or is no longer, run. */
int fc_launcher_main(int argc, char **argv);

#endif
