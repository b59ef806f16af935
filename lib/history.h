/* history: a whole journal, read into a registry.
 *
 * Responsible for: giving each record to whom it concerns: a checkpoint's to snapshot.h, which restores, every other to
 * ownership.h, which judges. Must never: decide anything itself.
 */
#ifndef FC_HISTORY_H
#define FC_HISTORY_H

#include "registry.h"
#include "replay.h"

/* Applies one record. */
void fc_history_apply(struct fc_registry *registry, const struct fc_replayed *record);

/* Applies what the replay still gives. Returns 0; -EBADMSG when the journal is damaged; -EAGAIN when a checkpoint of a
 * living session has overtaken the reader, who begins anew; -ENOMEM; or -errno. */
int fc_history_replay(struct fc_registry *registry, struct fc_replay *replay);

#endif
