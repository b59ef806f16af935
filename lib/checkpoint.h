/* checkpoint: making what a journal says short, so that it stays bounded however long its session lives.
 *
 * Responsible for: deciding up to which cell everything is settled (the cover), writing what is known there as records
 * (snapshot.h), moving the head by an anchor, and punching out what lies before it. Must never: cover a record that is
 * not complete while its writer may still complete it, or let a kill at any point lose a record: until the anchor
 * stands the old head is in force and the new records are without effect; once it stands the old ones are superfluous,
 * punched out or not.
 *
 * One step covers a quarter of the ring at most, and punches out the quarter before its head: nobody writes there while
 * the session lives (journal.h), so no record of anybody's can be hit, and what a try that was killed has left goes
 * with the next one.
 *
 * Writers that are slow. A destructive record without result, whose process lives, is waited for, and covered as
 * pending only when the ring gets full (a call that a signal handler has left by longjmp never ends). Cells that were
 * reserved and not written are given up after STUCK_NS: that is safe at any time, since the writer knows (journal.h).
 *
 * The bound: a checkpoint is made when more than a stride of cells (64 Ki, or an eighth of a small ring), and more than
 * twice what the last one took (but a sixteenth of the ring at most), have been written since. A name that is tracked
 * takes three cells (192 bytes) and a cell more for each 56 bytes of its path beyond the first 56, in the journal and
 * once more while the next checkpoint is written: beyond some 700,000 of them (an eighth of the ring) none is made. So
 * do names of the user's that were removed, and names that were opened with O_CREAT while they existed, for ever. None
 * is made either where the file system cannot punch holes, in a ring of less than 256 KiB, and by a process of another
 * pid namespace than the leader's, to which living processes look dead.
 */
#ifndef FC_CHECKPOINT_H
#define FC_CHECKPOINT_H

#include "session.h"

#define FC_CHECKPOINT_CAPACITY_MIN (1u << 12)

/* What one sweeper remembers between two tries. All zero at first. */
struct fc_checkpoint_memory {
  uint32_t last_cells; /* that the last checkpoint took */
  uint32_t then_next;  /* the first free cell at an earlier try */
  int64_t then_ns;     /* when that was, CLOCK_BOOTTIME; 0 = there was none */
};

/* True when enough has been written since the last one. A few loads. */
bool fc_checkpoint_is_due(uint32_t capacity, const struct fc_head_words *words,
                          const struct fc_checkpoint_memory *memory);

/* Makes one for the living session whose file is open as fd (O_RDWR). Waits for a pass that is under way, until the
 * deadline. Returns 0; -EAGAIN when nothing could be covered now; -EBUSY when the quarantine must be emptied first (its
 * slots are told by records); -EOPNOTSUPP for a manager's; -ESTALE when the session does not live, -EBADMSG when it
 * proves nothing any more; or -errno. Nothing from the heap, no errno. */
int fc_checkpoint_make(int fd, const struct fc_session_header *header, struct fc_checkpoint_memory *memory,
                       int64_t deadline_ns);

/* Punches out what lies before the head: what a checkpoint that was killed has left. For the end of a session, in
 * turn. */
void fc_checkpoint_finish(int fd, const struct fc_session_header *header);

#endif
