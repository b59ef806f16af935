/* A scene: what the user has, a host that works with it (the probe workload), and what must stand afterwards.
 *
 * What must stand is not written down but found: the tree that the host leaves after each of its steps when filecleanup
 * does not exist. */
#ifndef FCT_HARNESS_SCENE_H
#define FCT_HARNESS_SCENE_H

#include "harness.h"
#include "harness_trace.h"

#define FCT_WORKLOAD FC_BUILD_DIR "/probes/workload"
#define FCT_MANAGER_WORKLOAD FC_BUILD_DIR "/probes/manager_workload" /* which does nothing to the user's things */

struct fct_scene {
  const struct fct_world *world;
  const char *end;            /* of the host, as it is told: return, _exit or kill */
  const char *const *argv;    /* the host */
  const char *const *env;     /* the policy of its session */
  int steps;                  /* that it makes */
  const struct fct_tree **at; /* what stands after so many of them; but for the last only when asked for */
  int status;                 /* of the plain run */
  const char *out;
  ino_t untouched; /* of a file that nothing touches */
};

/* Makes a world and runs the host in it plain: once, or with every_step once for each of its steps. all: the session is
 * one with TRACK=all. With TRACK=own much more is spared, and that something was missed hardly shows. */
struct fct_scene *fct_scene_new(const char *end, bool every_step, bool all);

/* Everything as it was before, nothing of ours left. */
void fct_scene_lay(struct fct_scene *scene);

/* The host in this mode, looked at by nobody. */
struct fct_result fct_scene_play(struct fct_scene *scene, enum fct_mode mode);

/* NULL, or what is wrong with the user's things when the host has made at least `low` and at most `high` steps. When it
 * has left out some (a process of it was killed, and another went on) `mixed` asks only that each of them stands as
 * after one of the steps. The data of copies must stand somewhere in any case. */
const char *fct_scene_wrong(const struct fct_scene *scene, int low, int high, bool mixed);

/* How many names of the session's own are there, and what else of ours stands in the base; not the directories that
 * only what is in them keeps. */
unsigned fct_scene_leaks(const struct fct_scene *scene, const char **shown);

/* NULL, or which file is not there although the program has told `promised PATH`. */
const char *fct_scene_broken_promise(const struct fct_scene *scene, const char *out);

/* How many steps a host has told of. */
int fct_scene_steps_in(const char *out);

#endif
