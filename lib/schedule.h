/* schedule: when passes of the sweeper run.
 *
 * Responsible for: the loop of whoever sweeps a session from time to time (the guardian's thread, the thread in a
 * host): sleeping without waking up between passes, running a pass when something can have expired, when the leader has
 * ended, or when somebody asks. Must never: run while another sweeper has the role, or wake up for nothing.
 */
#ifndef FC_SCHEDULE_H
#define FC_SCHEDULE_H

#include "sweeper.h"

struct fc_schedule {
  int dirfd; /* the state directory; not owned */
  int fd;    /* the session file, opened for this alone; not owned */
  const struct fc_session_header *header;
  struct fc_head_words *words;
  uint32_t stop;         /* set by fc_schedule_stop */
  uint32_t leader_ended; /* set by who knows, then fc_journal_wake */
};

/* Takes the role, which the open file fd holds from then on. False: somebody else has it. */
bool fc_schedule_claim(int fd);

/* Runs passes until it is stopped or the session is no longer LIVE. All signals blocked; needs 64 KiB of stack. */
void fc_schedule_run(struct fc_schedule *schedule);

/* Async-signal-safe. The object in hand is finished first. */
void fc_schedule_stop(struct fc_schedule *schedule);

#endif
