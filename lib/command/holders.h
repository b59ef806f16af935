/* holders: the processes that keep a session alive.
 *
 * Responsible for: finding those that have the session's file mapped or open, in /proc, to tell people. Must never: be
 * what decides whether a session lives: the lock does, and it also knows processes that /proc does not show.
 */
#ifndef FC_HOLDERS_H
#define FC_HOLDERS_H

#include <stddef.h>
#include <sys/types.h>

#include "session.h"

struct fc_holder {
  pid_t pid;
  char program[32];
};

/* Stores up to max of them. Returns how many were found. The calling process is left out. */
size_t fc_holders_find(const struct fc_session_header *header, struct fc_holder *holders, size_t max);

#endif
