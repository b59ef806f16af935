/* leaving: the end of this process's membership.
 *
 * Responsible for: its order: the sweeping thread stops, scopes are swept, the lock is given up, and the last one out
 * reaps; all on a stack of its own. Must never: act in a vfork child, or twice.
 */
#ifndef FC_LEAVING_H
#define FC_LEAVING_H

#include <stdbool.h>

/* Leaves every session, once per process: the lock is given up, and the last one out reaps. All signals are blocked
 * meanwhile, on a stack of its own; they stay blocked when it took long, or when the process ends_now. */
void fc_leaving(bool ends_now);

#endif
