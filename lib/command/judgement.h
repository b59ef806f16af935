/* judgement: what the reaper would do with one name, and by which rule, without doing anything.
 *
 * Responsible for: asking the rules in the reaper's order (reaper.c, empty_place to is_needed), and keeping the reason
 * that the reaper only counts. Must never: change, capture or lease anything; a name may be another a moment later.
 */
#ifndef FC_JUDGEMENT_H
#define FC_JUDGEMENT_H

#include "ground.h"
#include "state.h"
#include "survey.h"

enum fc_reason {
  FC_REASON_CREATED,    /* the session made it, and no rule spares it */
  FC_REASON_BASE,       /* the base itself */
  FC_REASON_TOLD,       /* the program itself has said that it is temporary (the library) */
  FC_REASON_QUARANTINE, /* where the reaper takes names to before it deletes them */
  FC_REASON_UNSEEN,     /* made by what no hook saw, below a directory of the session's, and DIRS=recursive */
  FC_REASON_NO_RECORD,  /* existed before, or its creation was not seen */
  FC_REASON_GONE,       /* nothing has the name now */
  FC_REASON_RESERVED,   /* N1: the user had something here, which the session took away */
  FC_REASON_REPLACES,   /* N1: took the place of something of the user's */
  FC_REASON_DATA_MOVED, /* N2 */
  FC_REASON_GROUND,     /* N3: in a directory of the user's */
  FC_REASON_COMPANION,  /* N4 */
  FC_REASON_LINK,       /* N5 */
  FC_REASON_MOVED_IN,   /* N6 */
  FC_REASON_RENAMED_IN, /* came from outside the base by a rename */
  FC_REASON_ASKED,      /* somebody asked for it to be kept, or not to be tracked */
  FC_REASON_USERS,      /* the user's, renamed to here by the session */
  FC_REASON_REPLACED,   /* somebody else put another object there */
  FC_REASON_UNPROVEN,   /* the file system tells no object from the next */
  FC_REASON_DEVICE,     /* device nodes are never deleted */
  FC_REASON_KEEP,       /* a glob of KEEP; detail is the glob */
  FC_REASON_DIRS_KEEP,  /* a directory, and DIRS=keep */
  FC_REASON_NOT_EMPTY,  /* a directory that holds something now */
  FC_REASON_NEIGHBOUR,  /* a live session of the same base uses it, and gets it */
  FC_REASON_FAILED,     /* could not be looked at; detail says why */
};

struct fc_judgement {
  enum fc_reason reason;
  bool tracked; /* by the records and the rules, it is the session's to delete; KEEP, use and policy come after that */
  bool exists;
  struct statx st;            /* when it exists */
  const struct fc_node *node; /* what the records know, or NULL */
  const char *detail;         /* or NULL. Lives as long as the judge */
};

/* One session in front of its base. */
struct fc_judge {
  struct fc_found *found;
  int base_fd; /* -1 = the base is gone */
  int error;   /* why, an errno */
  int dirfd;   /* the state directory, for the neighbours */
  bool blind;  /* a neighbour could not be read */
  struct fc_ground ground;
  struct fc_neighbours neighbours;
  struct fc_session_header *one_glob;
  struct fc_node *place; /* the directory in hand */
  int place_fd;
  struct fc_identity place_identity;
  char *buffer;
  char *text; /* of detail */
};

/* found has been replayed. */
void fc_judge_begin(struct fc_judge *judge, struct fc_found *found);
void fc_judge_end(struct fc_judge *judge);

/* node's path relative to the base is path. */
void fc_judge_node(struct fc_judge *judge, struct fc_node *node, const char *path, struct fc_judgement *out);

/* The same for any path beneath the base, "" = the base itself. */
void fc_judge_path(struct fc_judge *judge, const char *path, struct fc_judgement *out);

/* "created", "no-record" ...; "N1" to "N6" or NULL; and a sentence. */
const char *fc_reason_name(enum fc_reason reason);
const char *fc_reason_rule(enum fc_reason reason);
const char *fc_reason_text(enum fc_reason reason);

/* Would what was judged so be deleted, by the state and the policy of the session? And when: a phrase. */
bool fc_judgement_deletes(const struct fc_found *found, const struct fc_judgement *judgement);
const char *fc_judgement_when(const struct fc_found *found, const struct fc_judgement *judgement);

#endif
