/* ending: what is done when the last process of a session is gone.
 *
 * Responsible for: the dead session's own policy, its state (REAPING, CLOSED), having the reaper delete what is
 * tracked, the base that was made for it, and the end of its file. Must never: act while anybody of the session may be
 * alive, or by any other policy than the session's own.
 */
#ifndef FC_ENDING_H
#define FC_ENDING_H

#include "reaper.h"

enum fc_end_outcome {
  FC_END_DONE,     /* the session and its file are gone */
  FC_END_CLOSED,   /* the policy, or damage, says to delete nothing: the file stays as CLOSED */
  FC_END_DEFERRED, /* something is left for the next try: budget, use, errors */
  FC_END_WAIT,     /* a process that was seen to exec lives and cannot hold the lock: nothing was touched */
  FC_END_SOON,     /* a child may still arrive whose parent was killed while it started it: a second at most */
  FC_END_DORMANT,  /* a named session that goes on without processes: nothing was touched */
  FC_END_FAILED    /* not possible now (no memory, no base, no permission); nothing was touched */
};

/* Both may be NULL. */
struct fc_end_options {
  const struct fc_reap_watch *watch;    /* told of each name */
  const struct fc_footprint *footprint; /* for the report */
};

/* Ends the session whose file is open as fd (O_RDWR) in the state directory dirfd under name, with the exclusive member
 * lock held on fd by the caller. header has been checked by fc_session_open_file or comes from a member. deadline_ns is
 * in CLOCK_BOOTTIME (FC_INFINITY_NS = none), options may be NULL. Allocates nothing from the heap, touches no errno.
 * The lock stays held. */
enum fc_end_outcome fc_ending_run(int dirfd, const char *name, int fd, const struct fc_session_header *header,
                                  int64_t deadline_ns, const struct fc_end_options *options,
                                  struct fc_reap_result *result);

#endif
