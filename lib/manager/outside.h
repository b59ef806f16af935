/* outside: what others have written into the journal of a manager that lives: `filecleanup keep` and `untrack`, and
 * sessions that hand a directory over at their end.
 *
 * Responsible for: finding their records, and remembering which names must be left alone. Must never: forget one as
 * long as the manager lives, but for a name that is tracked again after an `untrack`.
 */
#ifndef FC_OUTSIDE_H
#define FC_OUTSIDE_H

#include "owner.h"

struct fc_outside {
  struct fc_outside *next;
  enum fc_record_type type; /* KEEP, UNTRACK, ADOPT */
  unsigned flags;
  struct fc_identity identity;
  char path[];
};

/* Reads what has come since; locked. Costs a load when nothing has. */
void fc_outside_read(fcm_manager *manager);

/* True when somebody has told us to leave rel alone, or a directory above it. Takes `lock`. For the reaper. */
bool fc_outside_spares(void *manager, const char *rel);

/* The owner tracks rel again: an earlier `untrack` of it counts no more. Locked. */
void fc_outside_track(fcm_manager *manager, const char *rel);

void fc_outside_free(fcm_manager *manager);

/* Takes `lock`, waits until rel is not in hand (NULL: none in particular), and reads what others have recorded. */
void fc_outside_lock(fcm_manager *manager, const char *rel);
void fc_outside_unlock(fcm_manager *manager);

#endif
