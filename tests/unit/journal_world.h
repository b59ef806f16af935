/* A session in a directory of its own, written and read in this process: for tests of journal, replay and ownership. */
#ifndef JOURNAL_WORLD_H
#define JOURNAL_WORLD_H

#include <stdbool.h>

#include "ownership.h"
#include "session.h"

struct journal_world {
  char dir[64];
  struct fc_session session;
};

void journal_world_begin(struct journal_world *world);
void journal_world_end(struct journal_world *world);

/* An open fd of the session file. */
int journal_world_fd(const struct journal_world *world);

/* Replays into registry; the result of fc_ownership_replay. The caller frees the registry. */
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

bool world_tracked(struct fc_registry *registry, const char *path);
struct fc_identity world_identity(unsigned ino);

#endif
