/* named: sessions that several commands share one after the other (`--session NAME`, FILECLEANUP_SESSION=name:NAME).
 *
 * Responsible for: finding the session of a user, a base and a name, so that exactly one is made however many commands
 * start at once; and saying whether it goes on although no process of it lives. Must never: end one.
 *
 * Such a session stays LIVE when its last process has gone: nobody reaps it, other sessions go on treating it as a
 * neighbour, and no guardian is started for it. It is over when `filecleanup end` has set words->ended, when nobody has
 * joined or left it for longer than its TTL, or after a reboot; from then on it is an orphan like any other. So a kill
 * of its last process after its end is cleaned up by the next start, not at once.
 *
 * Find-or-make is made atomic by an exclusive flock on the base's state directory, held until its fd is closed. It says
 * nothing about life and death (session.h), so mixing it with the other kind of lock does no harm.
 */
#ifndef FC_NAMED_H
#define FC_NAMED_H

#include "session.h"

#define FC_ENDED 1u      /* to be reaped by its policy when nobody of it lives */
#define FC_ENDED_KEPT 2u /* and what its policy has kept is to be deleted too */

/* So long a manager's session that its owner has given up waits for the child that adopts it. */
#define FC_ABANDONED_S 60u

/* True when it has a name and nobody has ended it: its last process leaves without reaping. For members. */
bool fc_named_goes_on(const struct fc_session_header *header);

/* The same for somebody who finds it without processes: also of this boot, and used within its TTL; or a manager's,
 * given up a moment ago. words may be a copy or the mapping. */
bool fc_named_is_dormant(const struct fc_session_header *header, const struct fc_head_words *words);

/* Takes the lock of the state directory dirfd, for as long as that is open; waits some seconds at most. 0 or -errno:
 * -EBUSY. */
int fc_named_lock(int dirfd);

/* Takes the lock, and joins the session `name` of the state directory whose base is called `base`. Returns 0, -ENOENT
 * when there is none, or -errno. */
int fc_named_find(struct fc_session *session, int dirfd, const char *name, const char *base);

/* When envp asks for a policy that differs from that of the session found: one line in message, and true. */
bool fc_named_differs(const struct fc_session *session, const struct fc_config *config, char *const *envp,
                      char *message, size_t message_size);

#endif
