/* lease: does anybody have this file open?
 *
 * Responsible for: asking the kernel by a write lease, which it refuses exactly when somebody else has the file open,
 * mapped or executes it (O_PATH does not count; overlayfs misses who only maps), and which tells afterwards whether
 * somebody came meanwhile. Must never: let the break signal reach the host, or keep an opener waiting for longer than
 * one removal: while the lease is held, openers wait.
 *
 * Leases are for regular files of one's own (or CAP_LEASE), and not on every file system: then nothing is known, and a
 * file of which nothing is known is in use.
 */
#ifndef FC_LEASE_H
#define FC_LEASE_H

#include <stdbool.h>

struct fc_lease {
  int fd; /* -1 = none */
};

enum fc_lease_answer {
  FC_LEASE_FREE,   /* nobody has it open; the lease is held */
  FC_LEASE_IN_USE, /* somebody has */
  FC_LEASE_UNKNOWN /* no leases here, or not for us: counts as in use */
};

/* Asks about the regular file leaf of dirfd. Allocates nothing, touches no errno. The break signal goes to the calling
 * thread, as SIGURG; a thread of a host must have it blocked. */
enum fc_lease_answer fc_lease_take(struct fc_lease *lease, int dirfd, const char *leaf);

/* True while nobody has asked for the file since it was taken; always true without a lease. */
bool fc_lease_is_whole(const struct fc_lease *lease);

/* Gives it back, when it is held, and takes the break signal, should there be one, away again. */
void fc_lease_drop(struct fc_lease *lease);

#endif
