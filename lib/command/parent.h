/* parent: `filecleanup run --wait`, and always as PID 1.
 *
 * Responsible for: running the program as a child that gets the signals sent to us, waiting until the cleanup is
 * complete, and ending as the program ended. Must never: let the terminal's signals reach the program twice, or go on
 * after a signal when the program has ended.
 */
#ifndef FC_PARENT_H
#define FC_PARENT_H

#include "session.h"

/* What the caller does in the child: hand the session over and exec. Returns an exit status when that failed. */
typedef int (*fc_parent_become)(struct fc_session *session, char **argv);

/* What is asked for at the end. */
struct fc_parent_wants {
  int leak_status;           /* the exit status when the program succeeded and tracked names still existed; 0 = none */
  bool report;               /* tell on stderr what the session's statistics say */
  const char *private_stats; /* the file that they are in, when it is to go then; or "" */
};

/* Returns the exit status; a signal that ended the program ends this process too. */
int fc_parent_run(struct fc_session *session, char **argv, fc_parent_become become,
                  const struct fc_parent_wants *wants);

#endif
