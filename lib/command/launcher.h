/* launcher: `filecleanup run`, which is what filecleanup-run becomes.
 *
 * Responsible for: options, making and locking the session, starting the guardian, and becoming the program by exec:
 * same pid, same signals, same exit status. Must never: leave anything behind when it fails, or stay in the way of the
 * program.
 */
#ifndef FC_LAUNCHER_H
#define FC_LAUNCHER_H

#define FC_EXIT_FAILURE 125 /* as env(1): our own failure, the program cannot be run, it is not found */
#define FC_EXIT_NOT_EXECUTABLE 126
#define FC_EXIT_NOT_FOUND 127

/* argv[0] is "run". Returns an exit status when the program was not, or is no longer, run. */
int fc_launcher_main(int argc, char **argv);

#endif
