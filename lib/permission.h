/* permission: directories of ours that were made unwritable or unreadable.
 *
 * Responsible for: giving the owner u+rwx on them when the end of a session is refused otherwise, and their mode back
 * to those that stay. Must never: touch a directory that is not the very one that the session made, or follow a link.
 */
#ifndef FC_PERMISSION_H
#define FC_PERMISSION_H

#include "ground.h"

struct fc_opened;

/* Parents first. path: FC_REPLAY_PATH_MAX bytes of scratch. NULL when there was nothing to change. */
struct fc_opened *fc_permission_open_up(struct fc_ground *ground, char *path);

/* What is gone by now is passed by. */
void fc_permission_restore(const struct fc_ground *ground, const struct fc_opened *opened, char *path);

#endif
