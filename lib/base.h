/* base: the directory under which names are tracked.
 *
 * Responsible for: making it (with parents) when it is missing, opening it, its canonical name and identity, what its
 * file system can prove, and removing it again when it was made for a session and is empty. Must never: follow what is
 * inside it.
 */
#ifndef FC_BASE_H
#define FC_BASE_H

#include <limits.h>
#include <stdbool.h>

#include "config.h"
#include "identity.h"

struct fc_base {
  int fd;           /* O_PATH | O_DIRECTORY | O_CLOEXEC, owned; -1 = closed */
  unsigned created; /* how many directories had to be made: the base, then its parents upwards */
  struct fc_identity identity;
  uint64_t fs_type; /* statfs f_type */
  uint64_t fs_id;   /* statfs f_fsid */
  bool with_handle; /* identities here need the file handle: the clock is coarse and inode numbers come back at once */
  char real[PATH_MAX];
};

/* Opens config->base, making it when missing, and checks it by fc_config_check_base. Returns 0, or -1 with one line in
 * message; then nothing that was made is left behind. Not for hooks (PATH_MAX buffers). */
int fc_base_open(struct fc_base *base, const struct fc_config *config, char *const *envp, const char *tool_path,
                 char *message, size_t message_size);

/* Opens an existing base by its canonical name and checks that it is still the same directory. Returns an fd (O_PATH,
 * owned by the caller) or -errno; -ESTALE when another directory has that name now. across_boot: device numbers may
 * have changed since; fs_id decides instead. */
int fc_base_reopen(const char *real, const struct fc_identity *identity, uint64_t fs_id, bool across_boot);

/* Removes the base and then its parents, `levels` in all, while they are empty and not older than since_s. */
void fc_base_remove(const char *real, unsigned levels, int64_t since_s);

/* True for file systems that exist on one machine only, where another boot id proves that a session is dead. */
bool fc_base_is_local(uint64_t fs_type);

/* Whether identities on the file system of such a type that holds fd need the file handle. Where that is false and
 * there are no birth times, nothing is proved. */
bool fc_base_wants_handle(int fd, uint64_t fs_type, bool has_birth_times);

/* True when nothing on such a file system survives a reboot (tmpfs, ramfs). */
bool fc_base_is_volatile(uint64_t fs_type);

#endif
