/* unseen: names that appeared beneath the base during the session and that no hook has seen: made by static programs,
 * by a system call that is not hooked, or in the instant of a kill.
 *
 * Responsible for: finding them, telling them from what was there before, counting them, and (DIRS=recursive) naming
 * those that lie below a directory of ours. Must never: change anything, or name what the journal has ever spoken of.
 *
 * A name is taken for made during the session when it was born no earlier than the directory of ours that holds it (or
 * the session itself, for counting; or, where the owner asked for a tree, than he did), belongs to the session's user,
 * and lies on the base's mount. Without birth times nothing is.
 */
#ifndef FC_UNSEEN_H
#define FC_UNSEEN_H

#include "registry.h"
#include "session.h"

/* Called for each, children first. dirfd holds leaf; path is beneath the base. */
typedef void (*fc_unseen_visit)(void *context, int dirfd, const char *path, const char *leaf);

/* What lies unseen below the directory `top` of ours, open as fd, whose path is given. Nothing when data of the user's
 * has moved since the directory was made: it may be there. What was born after until_ns (CLOCK_REALTIME) is another's.
 */
void fc_unseen_below(struct fc_registry *registry, struct fc_node *top, int fd, const char *path, uint32_t uid,
                     int64_t until_ns, fc_unseen_visit visit, void *context);

/* The same for the whole base, wherever the names lie, until deadline_ns (CLOCK_BOOTTIME). since_s: when the session
 * began (CLOCK_REALTIME). Directories that hold others are counted too. */
void fc_unseen_in_base(struct fc_registry *registry, int base_fd, const struct fc_session_header *header,
                       int64_t deadline_ns, fc_unseen_visit visit, void *context);

#endif
