/* cleaning: removing names of the set, one after the other, through the reaper.
 *
 * Responsible for: whose turn it is, the name in hand, choosing by age, and counting. Must never: let one name that
 * cannot be removed stop the others, or hold a turn for longer than some files.
 */
#ifndef FC_CLEANING_H
#define FC_CLEANING_H

#include "owner.h"

/* Around removals: waits for the turn. The reaper is the caller's in between. No other lock may be held. */
int fc_cleaning_begin(fcm_manager *manager);
void fc_cleaning_end(fcm_manager *manager);

/* Removes what stands at rel, and untracks it; in turn. What is tracked must be the object that was; a directory goes
 * with all that is in it when it is a tracked tree, or `whole`. Returns as fc_reaper_ask. */
int fc_cleaning_remove(fcm_manager *manager, const char *rel, bool whole);

/* Removes all that is tracked, and forgets what has not come: the manager ends. */
void fc_cleaning_last(fcm_manager *manager);

/* The name is in hand, or not any more; in turn. While it is, nobody else changes what is known of it. */
void fc_cleaning_take(fcm_manager *manager, const char *rel, bool tree);
void fc_cleaning_leave(fcm_manager *manager);

#endif
