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

void fc_departure(struct fc_session *session);

/* Takes the exclusive lock on the open session file `name` of dirfd without waiting, makes sure that the name still
 * means this file, and reaps. Returns true when it got the lock. For orphans and departures. */
bool fc_departure_try(int dirfd, const char *name, int fd, const struct fc_session_header *header, int64_t deadline_ns);

#endif
