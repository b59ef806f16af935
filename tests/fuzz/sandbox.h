/* sandbox: a base, a state directory and a real session, for targets that look at files.
 *
 * Responsible for: a session that this process has made and left, whose header is the pattern of all that follows; and
 * a session file made anew from it.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include "fuzz.h"
#include "session.h"

struct sandbox {
  char base[128];
  char out[128];   /* beside the base */
  char state[128]; /* the directory of the session file */
  char name[64];   /* of the session file */
  int base_fd, out_fd, state_fd;
  struct fc_session_header header; /* as it was made: valid */
  uint64_t file_bytes;
};

struct sandbox *sandbox(void);

/* Removes the session file, makes it anew from header (whose file_ino is set) and returns it open. */
int sandbox_file(struct sandbox *box, struct fc_session_header *header);

#endif
