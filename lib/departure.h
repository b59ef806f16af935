/* departure: a member leaves, and the last one out reaps.
 *
 * Responsible for: giving the membership up, finding out whether anybody is left, waiting for the guardian or the
 * process that reaps, and reaping oneself when nobody else will. Must never: delay an exit by more than the policy's
 * budget. Called once per process, with all signals blocked, on a stack of at least 64 KiB; touches neither errno nor
 * the heap.
 */
#ifndef FC_DEPARTURE_H
#define FC_DEPARTURE_H

#include "session.h"

/* True when this process, whose id is pid, is the leader, not one that has its number in another pid namespace. */
bool fc_departure_is_leader(const struct fc_session *session, uint32_t pid);

/* True when the session's scope gives this process something to remove now, while others of it may live on: what it has
 * made itself (process), or everything (leader). */
bool fc_departure_has_scope(const struct fc_session *session, uint32_t pid);

/* Removes it, before the lock is given up; waits for another sweep within the exit budget. What is in use stays until
 * the end of the session. */
void fc_departure_scope(const struct fc_session *session, uint32_t pid);

/* The quick half, for every process: gives the lock up and looks whether others live. Returns an fd for
 * fc_departure_finish, or -1 when there is nothing left to do here. Small frame. */
int fc_departure_begin(struct fc_session *session);

/* The slow half, for a process that saw nobody else: waits for whoever reaps, or reaps. Closes fd. */
void fc_departure_finish(struct fc_session *session, int fd);

/* Both. */
void fc_departure(struct fc_session *session);

/* Takes the exclusive lock on the open session file `name` of dirfd without waiting, makes sure that the name still
 * means this file, and reaps. For orphans and departures. */
enum fc_departure_answer {
  FC_DEPARTURE_HELD,  /* somebody else has the lock */
  FC_DEPARTURE_TRIED, /* what could be done now is done */
  FC_DEPARTURE_SOON   /* in a moment, a second at most (FC_END_SOON) */
};
enum fc_departure_answer fc_departure_try(int dirfd, const char *name, int fd, const struct fc_session_header *header,
                                          int64_t deadline_ns);

#endif
