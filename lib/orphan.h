/* orphan: sessions whose processes are all gone but whose tracked names are not.
 *
 * Responsible for: looking through the state directory of one base, telling the dead from the living and from what is
 * not a session at all, and having the dead reaped by their own policy. Must never: create anything while probing, or
 * take a lock that it cannot read for a dead one.
 */
#ifndef FC_ORPHAN_H
#define FC_ORPHAN_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#include "session.h"

/* True when nobody of the open session file's session can be alive: its lock is free, and this is the boot of boot_id
 * (known_boot: it could be read) or a file system that no other machine shares. */
bool fc_orphan_is_dead(int fd, const struct fc_session_header *header, const uint8_t boot_id[16], bool known_boot);

/* Called with one line for each file that is not what it claims to be. */
typedef void (*fc_orphan_warn)(void *context, const char *line);

/* Looks at every file of the state directory dirfd (path dir, for messages) but that of the session own_id. reap: dead
 * sessions are reaped until deadline_ns (CLOCK_BOOTTIME). Returns how many dead sessions were found. */
unsigned fc_orphan_scan(int dirfd, const char *dir, const char *own_id, bool reap, int64_t deadline_ns,
                        fc_orphan_warn warn, void *context);

#endif
