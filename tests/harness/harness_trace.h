/* A run under the eyes of the test: every system call of a program and of all that it starts, and whose it is.
 *
 * The calls of the shim are made from its own code (lib/sys.h), so that the instruction pointer tells them from the
 * host's, which are libc's; those that hooks make through libc are told by their arguments. In the command (launcher,
 * guardian, verbs) all are ours but the loader's, in a program of the library those of its own code.
 *
 * At the entry of a call the test may let it fail, or let it be done and look as if it had failed, or kill. x86-64. */
#ifndef FCT_HARNESS_TRACE_H
#define FCT_HARNESS_TRACE_H

#include <stdint.h>

#include "harness.h"

enum fct_whose {
  FCT_OTHERS, /* the host's, the loader's */
  FCT_SHIMS,  /* made by the shim */
  FCT_PROBES, /* the shim's through libc: O_EXCL or RENAME_NOREPLACE before the host's own call; a thread of its own */
  FCT_COMMANDS, /* made by the command */
  FCT_PROGRAMS, /* made by the code of a program named manager_*, which here is that of the library linked into it */
  FCT_WHOSE_COUNT
};

struct fct_call {
  pid_t pid;        /* the thread */
  pid_t process;    /* and its process */
  unsigned ordinal; /* of the thread: 0 is the first of the run, others in the order in which they began */
  unsigned number;  /* of the call in its thread, from 1 */
  unsigned kind;    /* the same among those with this nr and this whose */
  enum fct_whose whose;
  uint64_t nr;
  uint64_t args[6];
};

enum fct_deed {
  FCT_LET,
  FCT_FAIL,         /* the call is not made; error is its result */
  FCT_DO_AND_FAIL,  /* the call is made; when it succeeds, error is its result all the same */
  FCT_KILL,         /* SIGKILL to its process, the call is not made */
  FCT_STEP_AND_KILL /* the call is made; then so many instructions, and SIGKILL */
};

struct fct_deal {
  enum fct_deed deed;
  int error;
  unsigned steps;
  bool last; /* no more calls are shown: the rest runs at full speed */
};

struct fct_trace {
  const struct fct_world *world;
  struct fct_run run;
  struct fct_deal (*at_entry)(void *context, const struct fct_call *call);
  void *context;

  /* What came of it. */
  bool hung;  /* all were killed after run.limit_s */
  int status; /* of the first process, as a shell says it */
  const char *out;
  const char *err;
  unsigned steps; /* that were made before a kill */
};

/* Runs until no process of it is left, guardians included. Skips the test where that cannot be done. */
void fct_trace_run(struct fct_trace *trace);

const char *fct_call_name(uint64_t nr);

#endif
