#include "history.h"

#include "ownership.h"
#include "snapshot.h"

void fc_history_apply(struct fc_registry *r, const struct fc_replayed *rec) {
  if (rec->start.type >= FC_REC_CK_BEGIN && rec->start.type <= FC_REC_CK_END) {
    r->records++;
    fc_snapshot_restore(r, rec);
  } else {
    fc_ownership_apply(r, rec);
  }
}

int fc_history_replay(struct fc_registry *r, struct fc_replay *replay) {
  struct fc_replayed record;
  for (;;) {
    const enum fc_replay_step step = fc_replay_next(replay, &record);
    if (step == FC_REPLAY_DAMAGED) return replay->error ? replay->error : -EBADMSG;
    if (step == FC_REPLAY_OVERTAKEN) return -EAGAIN;
    if (step == FC_REPLAY_END) return r->failed ? -ENOMEM : 0;
    fc_history_apply(r, &record);
    if (r->failed) return -ENOMEM;
  }
}
