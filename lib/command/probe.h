/* probe: what this kernel and a directory's file system can do for us.
 *
 * Responsible for: trying each thing that the engine builds on in the way in which the engine uses it, and saying what
 * follows for the user. Must never: touch a file that it did not make, or leave one behind.
 */
#ifndef FC_PROBE_H
#define FC_PROBE_H

#include <stdbool.h>
#include <stddef.h>

enum fc_probe_result { FC_PROBE_YES, FC_PROBE_NO, FC_PROBE_UNKNOWN };

struct fc_probe {
  const char *name;
  enum fc_probe_result result;
  char detail[96];     /* what was seen, "" = nothing more */
  const char *follows; /* for the user, one line; static */
};

#define FC_PROBES_MAX 16

struct fc_probes {
  struct fc_probe list[FC_PROBES_MAX];
  size_t count;
};

enum fc_probe_means {
  FC_PROBE_LOOK,     /* change nothing */
  FC_PROBE_NAMELESS, /* files without a name only (O_TMPFILE) */
  FC_PROBE_NAMES     /* a private directory, removed at once */
};

/* Of the kernel alone. */
void fc_probe_kernel(struct fc_probes *probes);

/* Of the directory open as dirfd (O_PATH is enough for LOOK). holds_state: it is one for session files, else a base. */
void fc_probe_directory(struct fc_probes *probes, int dirfd, bool holds_state, enum fc_probe_means means);

/* True unless a probe says that nothing can be tracked there. */
bool fc_probe_is_usable(const struct fc_probes *probes);

const char *fc_probe_result_name(enum fc_probe_result result);

#endif
