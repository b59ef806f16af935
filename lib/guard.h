/* guard: starting the guardian of a session, from the launcher or from a host's constructor.
 *
 * Responsible for: a process that is nobody's child, holds nothing of the host (no fd, no terminal, no directory), and
 * is ready before the start returns. Must never: let wait() or SIGCHLD in the host tell of it, or use anything but
 * system calls in the children, which share a host's state.
 */
#ifndef FC_GUARD_H
#define FC_GUARD_H

#include "session.h"

/* argv[0] of a guardian: `fc-guardian BASE SESSION-FILE`, by which people and ps know it. */
#define FC_GUARDIAN_NAME "fc-guardian"
#define FC_GUARD_READY_FD 3 /* where a guardian writes one byte when it is ready */

/* Starts the program `command` as the guardian of session, and waits until it is ready. As PID 1 or child subreaper an
 * orphaned guardian would come back to us as a stranger among the host's children: then `instead` is called in a child
 * that wait() does not know, and must not return; NULL: -ECHILD. Returns 0 or -errno. */
int fc_guard_start(const struct fc_session *session, const char *command, void (*instead)(char **argv));

#endif
