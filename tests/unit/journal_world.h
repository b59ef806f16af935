/* A session in a directory of its own, written and read in this process: for tests of journal, replay and ownership. */
#ifndef JOURNAL_WORLD_H
#define JOURNAL_WORLD_H

#include <stdbool.h>

#include "ownership.h"
#include "session.h"

#define WORLD_DEAD_PID 0x7ffffff0u /* beyond every kernel's largest */

struct journal_world {
  char dir[64];
  struct fc_session session;
};

void journal_world_begin(struct journal_world *world);
/* With a ring of so many cells: a small one is full, and wraps, soon. */
void journal_world_begin_small(struct journal_world *world, uint32_t cells);

/* Empties the journal; it goes on at cell `start`, as if checkpoints had covered everything before it. */
void journal_world_restart(struct journal_world *world, uint32_t start);
void journal_world_end(struct journal_world *world);

/* An open fd of the session file. */
int journal_world_fd(const struct journal_world *world);

/* Replays into registry; the result of fc_history_replay. The caller frees the registry. */
int journal_world_replay(const struct journal_world *world, int fd, struct fc_registry *registry);

/* Records, with made-up identities: inode `ino`, born in second `ino`. */
int64_t world_create(struct journal_world *world, unsigned pid, const char *path, unsigned ino, bool is_dir);
/* An unlink of an object of the user's (or unknown: has_data < 0). Completed as done unless pending. */
void world_unlink_user(struct journal_world *world, unsigned pid, const char *path, int has_data, bool pending);
void world_unlink_own(struct journal_world *world, unsigned pid, const char *path, unsigned ino);
/* ino: what stands at `from`. */
void world_rename_new(struct journal_world *world, unsigned pid, const char *from, unsigned ino, const char *to);
/* Onto an object with inode `target_ino`, 0 = one that nobody knows. */
void world_rename_onto(struct journal_world *world, unsigned pid, const char *from, unsigned ino, const char *to,
                       unsigned target_ino);

/* Makes a checkpoint, whatever has been written since the last one. The result of fc_checkpoint_make. What was reserved
 * before the call and not written counts as stuck. */
int world_checkpoint(struct journal_world *world);

/* So many cells of records that leave nothing behind. */
void world_churn(struct journal_world *world, uint32_t cells);

bool world_tracked(struct fc_registry *registry, const char *path);
struct fc_identity world_identity(unsigned ino);

#endif
