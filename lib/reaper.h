/* reaper: the one place that deletes.
 *
 * Responsible for: emptying a session whose processes are all gone: replay, recovery of an earlier try, decision,
 * capture, verification, deletion, and the end of the session's own file. Must never: delete what the journal does not
 * prove, what another session uses, or anything that it has not verified *after* taking it away from its name.
 *
 * One file:  statx, identity -> rules -> CAPTURE record -> rename into a private 0700 quarantine on the same file
 * system -> statx, identity -> unlink. What fails the second look is put back (RENAME_NOREPLACE; beside it as
 * NAME.filecleanup-restored.N when the name is taken). Looking only before the unlink lost 1 victim in 58 under attack.
 * A directory is captured when it is empty. It is not captured whole and emptied by its fd: whoever holds an fd or a
 * working directory in it still reaches it, and lost a file to a check-then-unlink there in 4 of 112 meetings.
 *
 * After a crash at any point: what was in the quarantine has a CAPTURE record; the next reaping verifies each slot
 * again, deletes it or puts it back. A slot without a record is given back, never deleted.
 */
#ifndef FC_REAPER_H
#define FC_REAPER_H

#include "log.h"
#include "session.h"

struct fc_reap_result {
  unsigned long long files;    /* deleted names that were not directories */
  unsigned long long dirs;     /* deleted directories */
  unsigned long long kept;     /* spared by KEEP, N4 or N6, or on the user's ground */
  unsigned long long replaced; /* another object had the name, or nothing proved its identity */
  unsigned long long restored; /* captured, found to be another object, put back */
  unsigned long long adopted;  /* handed to a live session */
  unsigned long long in_use;   /* left to the next try */
  unsigned long long failed;   /* errors other than absence */
};

enum fc_reap_outcome {
  FC_REAP_DONE,     /* the session and its file are gone */
  FC_REAP_CLOSED,   /* the policy, or damage, says to delete nothing: the file stays as CLOSED */
  FC_REAP_DEFERRED, /* something is left for the next try: budget, use, errors */
  FC_REAP_WAIT,     /* a process that was seen to exec lives and cannot hold the lock: nothing was touched */
  FC_REAP_FAILED    /* not possible now (no memory, no base, no permission); nothing was touched */
};

/* Reaps the session whose file is open as fd (O_RDWR) in the state directory dirfd under name, with the exclusive
 * member lock held on fd by the caller. header has been checked by fc_session_open_file or comes from a member.
 * deadline_ns is in CLOCK_BOOTTIME (FC_INFINITY_NS = none). Allocates nothing from the heap, touches no errno. The lock
 * stays held. */
enum fc_reap_outcome fc_reaper_run(int dirfd, const char *name, int fd, const struct fc_session_header *header,
                                   int64_t deadline_ns, struct fc_reap_result *result);

#endif
