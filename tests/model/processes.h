/* processes: the real processes of a run: started, spoken to, seen dying.
 *
 * Responsible for: workers, their sockets and pidfds, guardians, and never waiting without a limit. Must never: know
 * what an action means.
 *
 * The driver is a child subreaper: whatever a list leaves behind becomes its child, so the end of a guardian is seen
 * through its pidfd, and nothing survives a run.
 */
#ifndef MODEL_PROCESSES_H
#define MODEL_PROCESSES_H

#include "actions.h"
#include "tree.h"

#include <sys/types.h>

enum engine {
  ENGINE_BARE,     /* LD_PRELOAD and the environment */
  ENGINE_GUARDIAN, /* filecleanup run */
  /* Without the shim, for --self-check: */
  ENGINE_PLAIN, /* nobody cleans: is the model right about files at all? */
  ENGINE_NAIVE, /* delete by name what was created */
  ENGINE_MUTANT /* the model's rules but one */
};

enum { STUCK_MS = 10000, ROOT_SIZE = 64 };

struct worker {
  pid_t pid;
  int pidfd; /* -1: not running */
  int socket;
};

struct crew {
  char root[ROOT_SIZE];
  const char *build; /* where the command, the shim and the probes are */
  enum engine engine;
  struct policy policy;
  int listener;
  struct worker workers[PROCESSES_MAX];
  struct worker guardians[SESSIONS_MAX];
};

bool crew_open(struct crew *crew, const char *root, const char *build, enum engine engine, const struct policy *policy);
void crew_close(struct crew *crew); /* kills what is left, but for the outsider, who serves the next list too */

/* Starts a worker: `session` -1 is the outsider. False: said in outcome. */
bool crew_start(struct crew *crew, int number, int session, struct outcome *outcome);
bool crew_meet_nested(struct crew *crew, int number, int session, struct outcome *outcome); /* and its guardian */
bool crew_meet(struct crew *crew, int number, struct outcome *outcome); /* takes the hello of a new process or image */

/* A pass of the sweeper over each live session, in a process of its own; kill_us >= 0: which is killed so late. */
bool crew_sweep(struct crew *crew, long kill_us, struct outcome *outcome);
/* Each live session's journal is made short, in a process of its own; kill_us as above. */
bool crew_checkpoint(struct crew *crew, long kill_us, struct outcome *outcome);
bool crew_sweep_command(struct crew *crew, struct outcome *outcome); /* filecleanup sweep */
/* `filecleanup VERB PATH`, of a path below the root as it is called on disk. */
bool crew_command(struct crew *crew, const char *verb, const char *path, struct outcome *outcome);
/* `filecleanup end` of a named session; held: a process of it lives. */
bool crew_end(struct crew *crew, int session, bool held, struct outcome *outcome);

bool crew_tell(struct crew *crew, int number, const char *line);
/* The answer: `error` 0 or errno, `made` the name that was made. */
bool crew_hear(struct crew *crew, int number, int *error, char made[64], struct outcome *outcome);

bool crew_see_death(struct crew *crew, int number, struct outcome *outcome);
void crew_kill(struct crew *crew, int number);
bool crew_has_guardian(const struct crew *crew, int session);
void crew_kill_guardian(struct crew *crew, int session);
bool crew_see_guardian_end(struct crew *crew, int session, struct outcome *outcome);

bool crew_next_start(struct crew *crew, struct outcome *outcome); /* a program that does nothing, under the shim */

#endif
