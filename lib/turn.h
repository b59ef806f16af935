/* turn: one at a time may remove names of a session or shorten its journal.
 *
 * Responsible for: a lock on a byte of the session file, held by the open file descriptor and gone with it. Must never:
 * be held between two passes. Looking needs no turn.
 */
#ifndef FC_TURN_H
#define FC_TURN_H

#include <stdbool.h>
#include <stdint.h>

/* Waits until deadline_ns (CLOCK_BOOTTIME, FC_INFINITY_NS = for ever); false when that has passed. */
bool fc_turn_take(int fd, int64_t deadline_ns);
void fc_turn_give(int fd);

#endif
