/* quarantine: where a name is taken to before it is deleted.
 *
 * Responsible for: the private 0700 directory <base>/.filecleanup-<session id>, which stands only while something is
 * being captured; moving a name into a slot and back out of it. Must never: delete, or overwrite anything on the way
 * back.
 */
#ifndef FC_QUARANTINE_H
#define FC_QUARANTINE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "session.h"

#define FC_QUARANTINE_PREFIX ".filecleanup-"
#define FC_SLOT_NAME_BYTES 12

struct fc_quarantine {
  int base_fd; /* not owned */
  int fd;      /* owned; -1 = not there (yet) */
  char name[48];
};

void fc_quarantine_begin(struct fc_quarantine *quarantine, int base_fd, const char *id);

/* Something was left there, or somebody works in it; true also when that cannot be told. */
bool fc_quarantine_stands(const struct fc_session_header *header);

/* Opens the directory; make: creates it when missing. Returns 0, -ENOENT, or -errno (-EPERM: it is not a private
 * directory of ours). */
int fc_quarantine_open(struct fc_quarantine *quarantine, bool make);

/* Removes the directory when it is empty, and closes. Returns 0 when it is gone, or -errno. */
int fc_quarantine_end(struct fc_quarantine *quarantine);

void fc_quarantine_slot_name(uint32_t slot, char out[FC_SLOT_NAME_BYTES]);
/* Reads a slot's name; false when it is none. */
bool fc_quarantine_slot_number(const char *name, uint32_t *slot);

/* Moves leaf of the directory dirfd into the slot. Returns 0 or -errno. */
int fc_quarantine_take(struct fc_quarantine *quarantine, int dirfd, const char *leaf, const char *slot);

/* Moves the slot back to leaf in dirfd, or beside it when the name is taken; *where (NAME_MAX + 1 bytes) gets the name
 * that it has now. Returns 0 or -errno; then it stays in its slot. */
int fc_quarantine_give_back(struct fc_quarantine *quarantine, const char *slot, int dirfd, const char *leaf,
                            char *where);

#endif
