/* sweeper: a pass over a session that lives.
 *
 * Responsible for: choosing what may go while its processes are at work (what is older than the TTL, what exceeds the
 * caps, what an ended process or leader made), and having the reaper remove it. It is one engine for the thread in a
 * host, the guardian, the command, and the scopes. Must never: remove what is in use or too young, or run twice on one
 * session at once: a byte of its file is locked during a pass.
 *
 * Age. No step of any clock ages anything, and no clock that is faked in the host. By `newest` a file is as old as the
 * newest of its four times is ago, but not older than CLOCK_BOOTTIME says that its creation record is. By `mtime` it is
 * as old as its modification time is ago, but not older than the record plus what the modification time lies before the
 * birth time and the change time (`touch -d`): times of one file, whatever the clock says now.
 *
 * Regular files only, and directories of ours that are empty and whose own times, taken before anything was removed
 * from them, are old enough. Sockets, FIFOs, links and nodes wait for the end of the session.
 */
#ifndef FC_SWEEPER_H
#define FC_SWEEPER_H

#include "reaper.h"

enum fc_sweep_what {
  FC_SWEEP_EXPIRED, /* by TTL and caps */
  FC_SWEEP_PROCESS, /* all that `creator` has made: it ends (SCOPE=process); not what others have handed over */
  FC_SWEEP_LEADER   /* everything: the leader has ended (SCOPE=leader) */
};

struct fc_sweep {
  enum fc_sweep_what what;
  uint32_t creator;
  const struct fc_reap_watch *watch; /* may be NULL */
  bool dry;                          /* EXPIRED: count in `result` what would go, remove nothing */
};

struct fc_sweep_result {
  struct fc_reap_result reaped;
  unsigned long long tracked_files; /* that are left: names that are not directories */
  unsigned long long tracked_dirs;
  unsigned long long bytes; /* of tracked regular files that are left; only counted when a cap asks for it */
  int64_t next_due_ns;      /* CLOCK_BOOTTIME: nothing can expire before; FC_INFINITY_NS = never */
};

/* True when the policy of a session leaves a sweeper anything to do. */
bool fc_sweeper_is_wanted(const struct fc_policy *policy);

/* One pass over the session whose file is open as fd in the state directory dirfd. Waits for another one until the
 * deadline. Returns 0; -ESTALE when the session is not LIVE (any more); -EBADMSG when its journal proves nothing;
 * -EBUSY when something could not be read this time; -EINTR when it was stopped, or the deadline passed, before the
 * end; or -errno. Allocates nothing from the heap, touches no errno; needs 48 KiB of stack. All signals of the calling
 * thread must be blocked in a host. *stop (may be NULL) != 0 ends it behind the object in hand. */
int fc_sweeper_pass(int dirfd, int fd, const struct fc_session_header *header, const struct fc_sweep *sweep,
                    const uint32_t *stop, int64_t deadline_ns, struct fc_sweep_result *result);

#endif
