/* state: the directory where session files live.
 *
 * Responsible for: the list of places, making them 0700, checking owner and mode, and the subdirectory of one base.
 * Must never: use a directory that another user could write to or has made.
 *
 * Layout: <state>/<device>-<inode of the base>/session-<id>, numbers in hex.
 */
#ifndef FC_STATE_H
#define FC_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"
#include "identity.h"

#define FC_STATE_PLACES 4

/* The index-th place to try (0 ...) for the state directory, written to out. Returns false when there is none with that
 * index. A place can be "" when its variable is unset: try the next. With FILECLEANUP_STATE_DIR there is only that one.
 */
bool fc_state_place(unsigned index, const struct fc_config *config, char *const *envp, char *out, size_t size);

/* Opens the directory `name` of dirfd (AT_FDCWD: an absolute place), when it is ours alone. Returns an fd (as below) or
 * -errno: -EPERM when it is not. */
int fc_state_open_directory(int dirfd, const char *name);

/* The name of that subdirectory. */
void fc_state_leaf(const struct fc_identity *base, char *out, size_t size);

/* Opens the subdirectory of `place` for a base, and stores its path in out. make: create what is missing. Returns an fd
 * (O_RDONLY | O_DIRECTORY, owned) or -errno: -ENOENT nothing there, -EPERM a directory that is not ours or too open. */
int fc_state_open(const char *place, const struct fc_identity *base, bool make, char *out, size_t size);

#endif
