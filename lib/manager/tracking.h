/* tracking: what the owner says of names: that they are to be removed in time, or are not.
 *
 * Responsible for: what a path means beneath the base, and adding, with the room that this needs. Must never: look at
 * the file system but at the one object that is to be tracked.
 *
 * Paths called `rel` are tidied and relative to the base. What says "locked" is for a caller that holds `lock`.
 */
#ifndef FC_TRACKING_H
#define FC_TRACKING_H

#include "entry.h"

/* Writes what path means beneath the base to rel (PATH_MAX bytes). 0 or -errno: -ENAMETOOLONG, -EXDEV, -ENOENT (no
 * working directory). */
int fc_tracking_relative(const fcm_manager *manager, const char *path, char *rel);

/* Adds, or binds anew; locked. 0; -ENOSPC, -ENOMEM. May give the lock up for a moment, to make room. */
int fc_tracking_add(fcm_manager *manager, const struct fc_tracking *what);

/* Nothing is tracked, and nothing has been handed over by other sessions. */
bool fc_tracking_is_empty(fcm_manager *manager);

/* The table, empty before, from the journal, in a process that has taken the manager over. 0 or -errno. */
int fc_tracking_rebuild(fcm_manager *manager);

#endif
