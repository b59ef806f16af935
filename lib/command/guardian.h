/* guardian: a small process, asleep on the session lock, that finishes the job when the program cannot.
 *
 * Responsible for: starting itself beside the program without being noticed (nobody's child, no fd, own session),
 * removing what orphans left, sleeping until the last member is gone, reaping. Must never: hold anything in the base
 * while idle, keep a descriptor of the host, or wake up without need.
 */
#ifndef FC_GUARDIAN_H
#define FC_GUARDIAN_H

#include "guard.h"

/* Starts the guardian of session and waits until it is ready. Returns 0 or -errno. */
int fc_guardian_start(const struct fc_session *session);

/* What the command does when it finds itself called FC_GUARDIAN_NAME. Returns an exit status. */
int fc_guardian_main(int argc, char **argv);

#endif
