/* filtered: a process whose host has installed a seccomp filter that would end it for our system calls.
 *
 * Responsible for: noticing the installation, preparing while system calls can still be made, and what is told to the
 * images that such a process becomes, which inherit the filter. Must never: lose a removal of the user's silently.
 *
 * From then on this process and its fork children make exactly the system calls of the plain run. Nothing can be looked
 * at any more, so
 *   - what is created is not tracked;
 *   - a removal, rename or truncation is recorded as one of something of the user's, in pages of the journal that were
 *     made present before; when these are used up, or the name cannot be made out (relative to a directory that was
 *     changed to since, through a descriptor, or perhaps through a link), the session proves nothing any more;
 *   - its end is that of a killed process: the guardian or the next start cleans up;
 *   - an image that it becomes, or starts, stays inert, and counts as a member that no hook is in.
 * Not for a filter that lets all of our calls pass or refuses them with an errno (lib/seccomp.h): hooks go on there.
 *
 * A filter for all threads is not installed before every hook that had begun to ask something has come to its end
 * (FC_ASKING, member.h); those that begin later see that they may not.
 *
 * A vfork child that installs a filter shares its parent's memory: what is set here for it is taken back when it
 * becomes another program or ends, and its parent, asleep, never acts on it.
 */
#ifndef FC_FILTERED_H
#define FC_FILTERED_H

#include <stddef.h>
#include <sys/types.h>

#include "member.h"

/* The value of FILECLEANUP_SESSION in images that inherit the filter. */
#define FC_FILTERED_TOKEN "filtered"

/* Right before the host's call that installs a filter. mode: SECCOMP_MODE_*; program: its struct sock_fprog;
 * everybody: it is for all threads. Returns what fc_filtered_end wants, after the call. */
bool fc_filtered_begin(unsigned long mode, const void *program, bool everybody);
void fc_filtered_end(bool begun, bool installed);

/* fork has returned child in a filtered process: it is protected as an unseen member, since it cannot ask for its own
 * pid. */
void fc_filtered_child(pid_t child);

/* Right before a filtered process becomes another program: EXEC is recorded. When the call has failed, it is taken
 * back. */
struct fc_filtered_exec {
  int64_t record[FC_NEST_MAX];
  uint32_t kind;
};
void fc_filtered_becoming(struct fc_filtered_exec *exec);
void fc_filtered_stays(const struct fc_filtered_exec *exec);

/* A filtered process ends: true when that is all there is to do. */
bool fc_filtered_ending(void);

/* How many pointers a copy of environment takes that tells the new image; 0 = none is needed. And the copy. */
size_t fc_filtered_room(char *const *environment);
char *const *fc_filtered_tell(char *const *environment, char **copy);

#endif
