/* compact: the set moved to a new journal, when the old one is full of what counts no more.
 *
 * Responsible for: a new session with a record for each name that is tracked, and the end of the old one, so that a
 * kill at any point leaves each name on record in one of them or in both; in the instant between the two neither proves
 * anything, and all stays. Must never: lose what others have written into the old one meanwhile.
 *
 * The bound: a journal has 2^24 cells (fewer under RLIMIT_FSIZE), of which the owner uses half: one for each record and
 * one for each 56 bytes of its path. When they are used up and at most three quarters of them still count, the set is
 * moved; else nothing more can be tracked (ENOSPC): some three million names of up to 56 bytes beneath the base.
 */
#ifndef FC_COMPACT_H
#define FC_COMPACT_H

#include "owner.h"

/* Makes sure that so many cells can be written; locked. When that needs a new journal the lock is given up for a
 * moment, and rel is not in hand afterwards; rel NULL: not now. 0, or -errno: -ENOSPC. */
int fc_compact_reserve(fcm_manager *manager, unsigned cells, const char *rel);

#endif
