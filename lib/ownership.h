/* ownership: whose name is it. Created is necessary, not sufficient.
 *
 * Taken literally, "delete what the program created" loses the user's data in 18 of 30 ordinary programs that work on a
 * base that holds the user's files. The rules, and where each of them lives:
 *
 *   N1 reserved names   A name whose untracked object the session removed or renamed away or onto is the user's until
 *                       the session ends: what is created or renamed there is not tracked.      ownership.c, reserve()
 *   N2 moved data       When a process removes an untracked non-empty regular file, or truncates or overwrites one,
 * what the process had created so far becomes untracked, and so does what the session had created so far directly in
 * that file's directory and in the directories above it.      ownership.c, data_moved() N3 own ground       A name is
 * deleted only in the base itself, in a tracked directory on own ground, or in a directory of the user's whose whole
 * top-level subtree holds nothing but tracked names, and then only what was created after the session last moved data
 * (N2).           ground.c N4 companions       X-journal, X-wal, .X.swp, #X#
 * ... stay beside an untracked X.             ground.c N5 links            A new hard link is tracked only if the
 * session created the inode.        ownership.c, linked() N6 moved in         A process that removed a name outside the
 * base has moved in what is older than its birth. ground.c
 *
 * N2 and N3 go further than DESIGN 4.2 says, each because of a counter-example that loses data: `cp log log.1; : > log`
 * (truncation), `tar czf logs.tgz logs && rm -rf logs` (the directories above), `git tag v1` in a repository without
 * tags (refs/tags holds nothing but the new tag, which is the user's all the same).
 *
 * Responsible for: applying one record to the registry, and saying what a node is worth by the records alone. Must
 * never: touch the file system. Names are compared lexically; the parent's inode, which destructive records carry,
 * makes N1 and N2 hold also for names reached through symbolic links.
 */
#ifndef FC_OWNERSHIP_H
#define FC_OWNERSHIP_H

#include "registry.h"
#include "replay.h"

/* Applies one record. */
void fc_ownership_apply(struct fc_registry *registry, const struct fc_replayed *record);

/* True when the session created what stands at node, as far as the records and N1, N2 and N5 go. */
bool fc_ownership_tracked(struct fc_registry *registry, const struct fc_node *node);

/* The same, and no directory above it stands where something of the user's stood (N1). */
bool fc_ownership_stands(struct fc_registry *registry, const struct fc_node *node);

/* The same for the name `leaf` of the directory with this inode: N1 and N2 by inode instead of by name. */
bool fc_ownership_holds_in(struct fc_registry *registry, const struct fc_node *node, const struct fc_identity *parent,
                           const char *leaf);

/* A process that was killed inside system() may have a child that has left its memory, and with that the lock, and has
 * not arrived yet: half a millisecond on an idle machine. After this time it has arrived, or never will. */
#define FC_START_NS INT64_C(1000000000)

/* How many processes were seen to exec, or to start a child, and the new image has not been seen to arrive. *alive: how
 * many of these live by pid and start time (they had no fd to hold the lock with). *arriving: how many children may
 * still be on their way, since who was starting them was killed a moment ago. */
unsigned fc_ownership_unseen(struct fc_registry *registry, unsigned *alive, unsigned *arriving);

#endif
