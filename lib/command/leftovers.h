/* leftovers: the tracked names of a session that still exist.
 *
 * Responsible for: replaying the journal of a session of which nobody writes any more, and comparing its names with
 * what stands in the base. Must never: change anything, or say that a name will be deleted: the reaper looks closer.
 */
#ifndef FC_LEFTOVERS_H
#define FC_LEFTOVERS_H

#include "session.h"

/* Called with each name, relative to the base. */
typedef void (*fc_leftover)(void *context, const char *path, bool is_dir);

/* Looks at the session whose file is open as fd. each may be NULL. Returns how many names there are, or -errno:
 * -EBADMSG when the journal proves nothing. */
long fc_leftovers_find(int fd, const struct fc_session_header *header, fc_leftover each, void *context);

#endif
