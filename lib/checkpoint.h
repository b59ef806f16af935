/* checkpoint: making what a journal says short, so that it stays bounded however long its session lives.
 *
 * Responsible for: deciding up to which cell everything is settled (the cover), writing what is known there as records
 * (snapshot.h), moving the head by an anchor, and punching out what lies before it. Must never: cover a record that is
 * not complete while its writer may still complete it, or let a kill at any point lose a record: until the anchor
 * stands the old head is in force and the new records are without effect; once it stands the old ones are superfluous,
 * punched out or not.
 *
 * The bound: a checkpoint is made when more than FC_CHECKPOINT_CELLS cells, and more than twice what the last one took
 * (but 64 MiB at most), have been written since. A name that is tracked takes three cells (192 bytes) and a cell more
 * for each 56 bytes of its path beyond the first 56, in the journal and once more while the next checkpoint is written.
 * Where the file system cannot punch holes none is made.
 */
#ifndef FC_CHECKPOINT_H
#define FC_CHECKPOINT_H

#include "session.h"

#define FC_CHECKPOINT_CELLS (1u << 16) /* 4 MiB */

/* What one sweeper remembers between two tries. All zero at first. */
struct fc_checkpoint_memory {
  uint32_t last_cells; /* that the last checkpoint took */
};

/* True when enough has been written since the last one. A few loads. */
bool fc_checkpoint_is_due(const struct fc_head_words *words, const struct fc_checkpoint_memory *memory);

/* Makes one for the living session whose file is open as fd (O_RDWR). Waits for a pass that is under way, until the
 * deadline. Returns 0; -EAGAIN when nothing could be covered now; or -errno. Nothing from the heap, no errno. */
int fc_checkpoint_make(int fd, const struct fc_session_header *header, struct fc_checkpoint_memory *memory,
                       int64_t deadline_ns);

/* Punches out what lies before the head: what a checkpoint that was killed has left. For the end of a session. */
void fc_checkpoint_finish(int fd, const struct fc_session_header *header);

#endif
