/* survey: what sessions there are, and what state they are in, without changing anything.
 *
 * Responsible for: the state directories of this user, every session file in them (of one base or of all), their
 * verdicts, and replaying a journal into a registry. Must never: create, lock, repair or remove anything, or open a
 * file of a state directory by anything but fc_session_open_file.
 */
#ifndef FC_SURVEY_H
#define FC_SURVEY_H

#include <limits.h>
#include <stdbool.h>

#include "registry.h"
#include "roster.h"
#include "session.h"
#include "verb.h"

enum fc_found_state {
  FC_FOUND_LIVE,
  FC_FOUND_ENDING,  /* being reaped now */
  FC_FOUND_ORPHAN,  /* nobody of it lives; the next start reaps it */
  FC_FOUND_KEPT,    /* ended in keep or report: never touched again */
  FC_FOUND_DAMAGED, /* proves nothing: nothing of it is deleted */
  FC_FOUND_FOREIGN, /* not a private file of this user's */
  FC_FOUND_FUTURE,  /* of a later version */
  FC_FOUND_UNKNOWN  /* of another boot, on a file system that other machines share */
};

struct fc_found {
  struct fc_found *next;
  enum fc_found_state state;
  const char *detail;               /* one phrase more, or NULL */
  char id[64];                      /* by the file's name */
  char *dir;                        /* of the file */
  char *file;                       /* the whole path */
  int fd;                           /* owned; -1 = not a valid session */
  struct fc_session_header *header; /* NULL = not a valid session. A copy, as the words in it were */
  bool other_boot;
  bool replayed; /* registry and roster hold the journal */
  uint32_t torn;
  unsigned unseen;   /* processes that were seen to exec and not to arrive: without the shim, or not yet */
  uint64_t *adopted; /* sequences of ADOPT records, ascending */
  size_t adopted_count;
  size_t adopted_room;
  struct fc_registry registry;
  struct fc_roster roster;
};

struct fc_survey {
  struct fc_found *first; /* sorted by base, then age, then id; what is no session comes last */
  size_t count;
  bool has_base;       /* only one base was asked for */
  bool base_exists;    /* and is a directory now */
  char base[PATH_MAX]; /* its canonical name, or as given when it does not exist */
};

/* Looks at all sessions of the base of options (or of all), and replays those that can be. Places that cannot be used
 * are told on stderr. Returns an exit status: DONE, or REFUSED with a line when the base may not be looked at. */
int fc_survey_take(struct fc_survey *survey, const struct fc_verb_options *options);
void fc_survey_free(struct fc_survey *survey);

/* "live", "orphan" ...; what it means for people. */
const char *fc_survey_state_name(enum fc_found_state state);

/* The wall clock of a record's time, or FC_JSON_NEVER when it was written in another boot. */
int64_t fc_survey_wall_s(const struct fc_found *found, int64_t boottime_ns);

/* True when the record with this sequence handed a name over from another session (and no checkpoint has come since).
 */
bool fc_survey_is_adopted(const struct fc_found *found, uint64_t sequence);

/* True when somebody sweeps the session while it lives. */
bool fc_survey_has_sweeper(const struct fc_found *found);

/* The pid of the session's guardian, or 0. */
uint32_t fc_survey_guardian(const struct fc_found *found);

#endif
