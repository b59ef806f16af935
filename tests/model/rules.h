/* rules: who owns which name. The model proper, written from the design alone.
 *
 * Responsible for: what each action means for ownership (N1 to N5, renames, links, sessions), and which names must be
 * gone when a session has ended. Must never: share a line with the product, or look at the real file system.
 *
 * Where the design leaves both outcomes open, the answer is MAYBE. Everything is computed with three values, so that
 * one doubtful name makes doubtful only what hangs on it; MAYBE is counted and printed, and should stay rare.
 */
#ifndef MODEL_RULES_H
#define MODEL_RULES_H

#include "actions.h"
#include "world.h"

enum sure { NO, MAYBE, YES };

/* "This session made this object at this name." Holds only while the name still means the object. */
struct claim {
  int session;
  int process; /* that created it; -1: handed over by another session */
  int born;    /* the model's clock at creation; a rename does not change it */
  int object;
  enum sure sure;
  char path[PATH_SIZE];
};

/* N1: the name is the user's until the session ends. What is made below it meanwhile is doubtful. */
struct reserve {
  int session;
  enum sure sure;
  char path[PATH_SIZE];
};

/* A session opened this existing object with O_CREAT under this name. */
struct use {
  int session;
  int object;
  int at;   /* the model's clock */
  bool odd; /* doubtful: through a symbolic link, without O_CREAT, in vain, or the name has been moved since */
  char path[PATH_SIZE];
};

/* N3: data of the user's has moved out of this top-level directory. */
struct moved_out {
  int session;
  enum sure sure;
  char top[PATH_SIZE];
};

struct session {
  bool started, live, orphan;
  bool deferred;     /* it has ended, and is not gone: nobody can tell it anything */
  bool ended;        /* a named one: somebody has said so */
  int leader;        /* the process that began it */
  int outer;         /* 1 + the session that it was begun in; 0: none */
  bool failed;       /* the leader has not ended by itself with status 0 (so far) */
  int cleared;       /* clock of the last N2 event; what was born up to it is no longer tracked in users' directories */
  int maybe_cleared; /* the same for doubtful events */
};

struct process {
  bool live;
  int session;   /* -1: the outsider */
  int held;      /* 1 + a nameless object that it can name; 0: none */
  int open;      /* 1 + the one that it has open, named or not; of an ended process: had open */
  int held_at;   /* the model's clock at its creation */
  bool held_odd; /* made in a directory that a link led to */
};

/* Somebody asked from outside: what is here, and what will be, is the user's for this session. */
struct asked {
  int session;
  enum sure sure; /* MAYBE once the name has been moved */
  char path[PATH_SIZE];
};

enum { CLAIMS_MAX = 400, RESERVES_MAX = 600, USES_MAX = 600, MOVED_MAX = 400, ASKED_MAX = 60 };

/* For --self-check: the model with one rule left out, to see that its absence is noticed. */
enum rule {
  RULE_NONE,
  RULE_N1,
  RULE_N2,
  RULE_N2_PROCESS, /* what the process created so far */
  RULE_N2_DIR,     /* what the session created in the directory */
  RULE_N2_ABOVE,   /* and in those above it */
  RULE_N2_MOVE,    /* what was made before is not taken on to another name */
  RULE_N3,
  RULE_N3_FRESH, /* in users' directories only what was created after the last N2 event */
  RULE_N4,
  RULE_N5,
  RULE_IDENTITY,
  RULE_HAND_OVER,
  RULE_TMPFILE,         /* N2 for an object that has no name yet */
  RULE_ON_EXIT_KEEP,    /* ON_EXIT=keep and report */
  RULE_ON_EXIT_FAILURE, /* ON_EXIT=keep-on-failure */
  RULE_DIRS_KEEP,
  RULE_RECURSIVE_BORN, /* DIRS=recursive: not what was born before the directory */
  RULE_KEEP_GLOB,
  RULE_KEEP_COMPANION, /* N4 beside what a glob keeps */
  RULE_KEEP,           /* filecleanup keep */
  RULE_UNTRACK,        /* filecleanup untrack */
  RULE_NAMED,          /* a named session goes on without processes */
  RULE_SWEEP_LINKS,    /* a sweep takes regular files only */
  RULE_SWEEP_OPEN,     /* and nothing that is open */
  RULE_SWEEP_USED,     /* and nothing that a neighbour uses */
  RULE_SWEEP_PUT_BACK, /* what a killed pass has taken by mistake comes back */
  RULE_CLEANUP_REPORT, /* filecleanup sweep obeys ON_EXIT=report */
  RULE_CHECKPOINT,     /* what was known before a checkpoint is known after it */
  RULE_CHECKPOINT_CUT, /* also when it was killed */
  RULE_SCOPE_OWN,      /* SCOPE=process: only what that process has made */
  RULE_SCOPE_LEADER,   /* SCOPE=leader: not at the end of another process */
  RULE_NESTED,         /* the end of a nested session is not that of the one around it */
  RULE_COUNT
};

struct model {
  enum rule without; /* RULE_NONE but in a stand-in */
  struct policy policy;
  struct world world;
  struct asked asked[ASKED_MAX];
  int asked_count;
  struct session sessions[SESSIONS_MAX];
  struct moved_out moved[MOVED_MAX];
  int moved_count;
  struct process processes[PROCESSES_MAX];
  struct claim claims[CLAIMS_MAX];
  int claim_count;
  struct reserve reserves[RESERVES_MAX];
  int reserve_count;
  struct use uses[USES_MAX];
  int use_count;
  int makers[OBJECTS_MAX];    /* 1 + the session that made the object; 0: the outsider */
  bool unseen[OBJECTS_MAX];   /* no hook knows one of its names: made through a dangling link, or named by another than
                                 its maker's session */
  bool nameless[OBJECTS_MAX]; /* made by O_TMPFILE: its session knows it under whatever name */
  int clock;
  bool leaked[OBJECTS_MAX]; /* had to go once and did not, after a kill inside an action; may go any time, or stay */
  bool pass_killed;         /* by the last action */
  /* The outcome of model_reap, until the next one: */
  struct name gone[NAMES_MAX]; /* taken out of the world: must be gone */
  int gone_count;
  char may[NAMES_MAX][PATH_SIZE]; /* still in the world: may be gone */
  int may_count;
};

void model_start(struct model *m, const struct policy *policy);

/* Can this action happen at all now (its process lives, its session is not there yet, ...)? Lists from which actions
 * were taken out stay lists: what cannot happen is left out. */
bool model_can(const struct model *m, const struct action *action);

/* Does the action: 0 or the errno that the program must see. */
int model_apply(struct model *m, const struct action *action);

bool model_is_empty(const struct model *m, int session);     /* no process of it is left */
bool model_session_over(const struct model *m, int session); /* started, empty, and not going on for its name */
bool model_other_lives(const struct model *m, int session);

/* The session's end: takes out of the world what must be gone, and names what may be. */
void model_reap(struct model *m, int session);

/* A pass of the sweeper over each live session, to which everything is old: as model_reap. killed: one that was killed
 * before, whose captures have made files young. */
void model_sweep(struct model *m, bool killed);

/* Can the process end now? Not as the last one of its own session when another one is nested in that: both would end at
 * once, each beside the other. */
bool model_can_end(const struct model *m, int process);

/* A process has ended by itself, and its session goes on: what goes by SCOPE. */
void model_scope_ends(struct model *m, int session, int process);

/* For model_apply only: what a successful action of `process` means. Called before the world changes, but created and
 * linked after. Paths are resolved. `proof` is less than YES where the model is not sure of the event itself. */
void rules_created(struct model *m, int process, const char *path, enum sure proof);
void rules_removed(struct model *m, int process, const char *path, enum sure proof);
void rules_truncated(struct model *m, int process, const char *path, enum sure proof);
void rules_used(struct model *m, int process, const char *path, bool odd);
void rules_linked(struct model *m, int process, const char *from, const char *to, enum sure proof);
void rules_renamed(struct model *m, int process, const char *from, const char *to, enum sure proof);
void rules_exchanged(struct model *m, int process, const char *a, const char *b, enum sure proof);
void rules_link_held(struct model *m, int process, const char *to, enum sure proof); /* a nameless object's name */
void rules_asked(struct model *m, const char *path, bool keep);      /* filecleanup keep, untrack; by anybody */
void rules_moved(struct model *m, const char *from, const char *to); /* by anybody */

/* Shared by rules.c and reap.c. */
enum sure sure_not(enum sure a);
enum sure sure_and(enum sure a, enum sure b);
enum sure sure_or(enum sure a, enum sure b);
enum sure rules_tracked(const struct model *m, int session, const char *path); /* the object at this name is its own */
bool rules_leaked(const struct model *m, const char *path);                    /* tracked all the same, or not */
/* Has the session moved the user's data out of this top-level directory? */
enum sure rules_moved_out(const struct model *m, int session, const char *top);
enum sure rules_reserved(const struct model *m, int session, const char *path);
bool claim_holds(const struct model *m, const struct claim *claim);
void claim_add(struct model *m, int session, int process, const char *path, enum sure sure);
void claim_drop(struct model *m, int session, const char *path);

#endif
