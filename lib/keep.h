/* keep: the names that a session's KEEP spares.
 *
 * Responsible for: one question, asked of a path and the globs of a policy. Must never: look at a file system; say no
 * when it cannot tell.
 */
#ifndef FC_KEEP_H
#define FC_KEEP_H

#include "session.h"

/* A glob matches path or one of the directories above it. */
bool fc_keep_names(const struct fc_session_header *header, const char *path);

#endif
