/* standing: the directories in which processes stand, as their working or root directory.
 *
 * Responsible for: asking /proc once for a pass over a living session, whose empty old directories may be somebody's
 * place all the same. Must never: be taken for complete: processes of other users cannot be asked, and a directory that
 * is only held open is not found.
 */
#ifndef FC_STANDING_H
#define FC_STANDING_H

#include <stdbool.h>

#include "arena.h"
#include "identity.h"

struct fc_standing {
  struct fc_standing_place *places;
  size_t count;
  size_t room;
  bool read;
  uint32_t but; /* this process is leaving: where it stands does not matter; 0 = none */
};

/* True when some process stands in the directory (or that cannot be found out). Reads /proc at the first question. */
bool fc_standing_in(struct fc_standing *standing, struct fc_arena *arena, const struct statx *directory);

#endif
