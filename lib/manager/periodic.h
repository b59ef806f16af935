/* periodic: the thread that cleans up every interval.
 *
 * Responsible for: starting it once, and its end. Must never: decide what is old.
 */
#ifndef FC_PERIODIC_H
#define FC_PERIODIC_H

#include "owner.h"

int fc_periodic_init(struct fc_periodic *periodic);
/* Ends the thread, whoever owns the manager by now. 0 or -EDEADLK: it is the caller. */
int fc_periodic_halt(struct fc_periodic *periodic);

#endif
