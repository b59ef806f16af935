/* snapshot: a registry as records, and back.
 *
 * Responsible for: writing all that the ownership rules still need to know into a journal (a checkpoint's body), and
 * restoring it record by record. Must never: lose a word that spares a name: what is left out is only what can make no
 * difference any more.
 *
 * Left out: names at which nothing of anybody's is known to stand, removed again by who made them; processes that have
 * ended and have made nothing that is still tracked (a tracked name whose creator has moved data since is written as
 * untracked, which it will stay); captures. Of nameless objects the newest FC_SNAPSHOT_INODES are kept: an older one
 * that gets a name after all leaks.
 */
#ifndef FC_SNAPSHOT_H
#define FC_SNAPSHOT_H

#include "registry.h"
#include "replay.h"

#define FC_SNAPSHOT_INODES 1024u

/* At most so many cells are written for it. */
uint32_t fc_snapshot_cells(struct fc_registry *registry);

/* Appends the registry as records of this generation, CK_BEGIN to CK_END. *first gets the cell of CK_BEGIN. Returns 0,
 * or -ENOSPC when the journal has no room; what has been written then is without effect. path: FC_REPLAY_PATH_MAX bytes
 * of scratch. */
int fc_snapshot_write(struct fc_registry *registry, struct fc_journal *journal, uint32_t generation, char *path,
                      uint32_t *first);

/* Applies one of these records to an empty registry that has seen those before it. */
void fc_snapshot_restore(struct fc_registry *registry, const struct fc_replayed *record);

#endif
