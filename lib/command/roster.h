/* roster: the processes of a session, as far as its records and /proc tell.
 *
 * Responsible for: which program a process was when it made something, and who of them is alive: members, their
 * descendants, the guardian. Must never: ask for more than has to be. To read /proc/PID/stat, maps or cmdline holds on
 * to the memory of that process for a moment, and the lock lives in there: should the process end just then, it would
 * look alive for that moment. So only processes that the records name are asked, and only when they started.
 */
#ifndef FC_ROSTER_H
#define FC_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "replay.h"
#include "session.h"

#define FC_PROGRAM_BYTES 256

struct fc_roster_entry;

struct fc_roster {
  struct fc_roster_entry *entries; /* by pid */
  struct fc_roster_entry *untimed;
  bool other_boot; /* nobody of it lives, whatever has these pids now */
  int64_t last_ns; /* time of the record before the one in hand */
};

struct fc_roster_process {
  uint32_t pid;
  char program[FC_PROGRAM_BYTES]; /* "" = not known */
  bool alive;
};

void fc_roster_begin(struct fc_roster *roster, const struct fc_session_header *header, bool other_boot);

/* Takes one record into account, in the order of the journal. */
void fc_roster_note(struct fc_roster *roster, const struct fc_replayed *record);

/* The process that pid was when it wrote the record with this sequence. What a checkpoint has made short is named as
 * what it is now, when it lives. */
void fc_roster_process_at(const struct fc_roster *roster, uint32_t pid, uint64_t sequence,
                          struct fc_roster_process *out);

/* Whether pid, named by the records, is still that process; fills out. */
void fc_roster_ask(const struct fc_roster *roster, uint32_t pid, struct fc_roster_process *out);

/* The members that are alive, and their descendants, sorted by pid. *list is the caller's (free). Returns how many. A
 * process that was forked, has written nothing and has lost its parent is not found. */
size_t fc_roster_alive(const struct fc_roster *roster, struct fc_roster_process **list);

void fc_roster_free(struct fc_roster *roster);

/* The processes that have the object open, as their working directory, root or program: all that this user may ask,
 * but this one. *out is the caller's (free). name narrows the search to a guardian's process name, or is NULL. */
size_t fc_roster_users(uint64_t ino, uint32_t dev_major, uint32_t dev_minor, const char *name,
                       struct fc_roster_process **out);

#endif
