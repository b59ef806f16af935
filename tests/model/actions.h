/* actions: what the processes of a list do, one line each.
 *
 * Responsible for: the list of verbs, and the text form that a failure prints and --list-file reads back. Must never:
 * run anything, or know what an action does to the tree.
 *
 *   session PROCESS LETTER           PROCESS starts session LETTER (A to C) on the base
 *   fork PROCESS NEW                 and spawn PROCESS NEW: NEW joins PROCESS's session
 *   exec|exit|_exit|return|abort|kill PROCESS
 *   killguard 0 LETTER               the session's guardian is killed (nothing in bare mode)
 *   nextstart 0                      a program that does nothing is run under the shim
 *   sweep 0                          a pass of the sweeper over each live session (policy sweeps; TTL=1us)
 *   sweepkill 0                      the same, killed at some moment, and then a whole one
 *   checkpoint 0                     each live session's journal is made short; with !MICROSECONDS: that is killed
 *   cleanup 0                        filecleanup sweep: what is dead, and what is old of what lives
 *   nest PROCESS NEW LETTER          PROCESS runs `filecleanup run` on the same base: NEW is in a session in its own
 *   end 0 LETTER                     the command of that name (policy named)
 *   keep|untrack 0 r PATH            the command of that name, for each live session
 *   VERB PROCESS STYLE PATH [TEXT or OTHER PATH]
 *   ... !MICROSECONDS                PROCESS (of sweepkill: the pass) is killed so long after it was told to
 *
 * Process 0 is the outsider: a process without the shim. STYLE is how the path is given: r relative to the root of the
 * run, a absolute, d by directory file descriptor, c relative to the directory itself after chdir, f the same after
 * fchdir, s absolute and by syscall() instead of the libc function.
 *
 * A list may begin with what its sessions are told:
 *   policy ON_EXIT delete|keep|keep-on-failure|report, policy DIRS empty|keep|recursive, policy TRACK own|all,
 *   policy SCOPE session|leader|process, policy KEEP GLOB, policy sweeps on, policy named on (a session has its letter
 * as name: `session` joins it when it is there, and it goes on until `end`)
 */
#ifndef MODEL_ACTIONS_H
#define MODEL_ACTIONS_H

#include "world.h"

#include <stdio.h>

enum shape { SHAPE_PROCESS, SHAPE_PEER, SHAPE_SESSION, SHAPE_NEST, SHAPE_PATH, SHAPE_TEXT, SHAPE_TWO_PATHS };

enum verb {
  VERB_SESSION,
  VERB_FORK,
  VERB_SPAWN,
  VERB_EXEC,
  VERB_EXIT,
  VERB_UEXIT,
  VERB_RETURN,
  VERB_ABORT,
  VERB_KILL,
  VERB_KILLGUARD,
  VERB_NEXTSTART,
  VERB_END,
  VERB_SWEEP,
  VERB_SWEEPKILL,
  VERB_CHECKPOINT,
  VERB_CLEANUP,
  VERB_NEST,
  VERB_KEEP,
  VERB_UNTRACK,
  VERB_CREATE, /* O_CREAT|O_EXCL */
  VERB_OPEN,   /* O_CREAT|O_APPEND */
  VERB_TRUNC,  /* O_CREAT|O_TRUNC */
  VERB_CREAT,
  VERB_OTRUNC, /* O_TRUNC without O_CREAT */
  VERB_APPEND, /* O_APPEND without O_CREAT */
  VERB_FOPENW,
  VERB_FOPENA,
  VERB_FOPENX,
  VERB_MKSTEMP,
  VERB_MKDTEMP,
  VERB_MKDIR,
  VERB_RMDIR,
  VERB_UNLINK,
  VERB_REMOVE,
  VERB_SYMLINK, /* path, then the link's text */
  VERB_TMPFILE, /* a nameless file in the directory of path */
  VERB_LINKFD,  /* its (next) name */
  VERB_LINK,    /* existing path, then new path */
  VERB_RENAME,
  VERB_NOREPLACE,
  VERB_EXCHANGE,
  VERB_COUNT
};

enum { PROCESSES_MAX = 12, SESSIONS_MAX = 3, ACTIONS_MAX = 120 };

struct action {
  enum verb verb;
  int process;
  int peer;   /* the new process (SHAPE_PEER, SHAPE_NEST), the session's number (SHAPE_SESSION) */
  int nested; /* SHAPE_NEST: the session's number */
  char style;
  int dies_us; /* its process is killed so long after it was told; 0: it is not */
  char path[PATH_SIZE];
  char other[PATH_SIZE]; /* the second path; or the text to write, "-" for none */
};

/* What all sessions of a list are told; all zero is the default. */
enum on_exit { ON_EXIT_DELETE, ON_EXIT_KEEP, ON_EXIT_KEEP_ON_FAILURE, ON_EXIT_REPORT, ON_EXIT_COUNT };
enum scope { SCOPE_SESSION, SCOPE_LEADER, SCOPE_PROCESS, SCOPE_COUNT };
enum dirs { DIRS_EMPTY, DIRS_KEEP, DIRS_RECURSIVE, DIRS_COUNT };

struct policy {
  enum on_exit on_exit;
  enum dirs dirs;
  enum scope scope;
  bool track_all;
  bool sweeps; /* everything is old enough to be swept at once */
  bool named;
  char keep[32]; /* one glob, "" = none */
};

const char *on_exit_name(enum on_exit on_exit);
const char *dirs_name(enum dirs dirs);
const char *scope_name(enum scope scope);

enum runs_in { RUNS_IN_BOTH, RUNS_IN_BARE, RUNS_IN_GUARDIAN };

struct list {
  struct action actions[ACTIONS_MAX];
  int count;
  enum runs_in runs_in;
  struct policy policy;
};

const char *verb_name(enum verb verb);
enum shape verb_shape(enum verb verb);
bool verb_can_be_cut(enum verb verb); /* a kill inside it can be judged */
bool verb_is_death(enum verb verb);
bool verb_is_voluntary(enum verb verb); /* a death in which the process still runs code of ours */

void action_print(FILE *out, const struct action *action);
void list_print(FILE *out, const struct list *list);
bool list_read(FILE *in, struct list *list, char why[160]); /* false: `why` names the line that is no action */

/* A list made from a seed alone. */
void list_generate(struct list *list, unsigned long long seed, int length);

/* Some of its processes are to be killed inside an action, where the seed says. */
void list_add_kills(struct list *list, unsigned long long seed);
bool list_has_kills(const struct list *list);

#endif
