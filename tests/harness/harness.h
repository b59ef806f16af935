/* harness: run a real program in a small private world, with and without filecleanup, and compare.
 *
 * Responsible for: worlds (a directory with a base, a state directory and a home of their own), runs (a script or a
 * program under one of three modes, with captured output and a time limit), trees (what stood in a directory, and what
 * has changed), and the two questions that most tests ask: "does it leave nothing?", "is the user's data whole?".
 * Must never: touch anything outside the worlds that it made, or end a process that it did not start.
 *
 * Everything that functions here return lives until fct_teardown(), the .fini of every suite.
 *
 * Environment: FC_TEST_MODES=bare or =run restricts the comparisons to one mode; FC_TEST_KEEP=1 leaves the worlds.
 */
#ifndef FCT_HARNESS_H
#define FCT_HARNESS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum fct_mode {
  FCT_PLAIN, /* as if filecleanup did not exist */
  FCT_BARE,  /* LD_PRELOAD and FILECLEANUP_BASE_DIR in the environment */
  FCT_RUN    /* filecleanup run --base BASE -- PROGRAM */
};

/* A NULL-terminated list of strings in place. */
#define FCT_LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

char *fct_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- worlds ---- */

/* root/            private to one test
 * root/world/      dir: where programs start
 * root/world/base/ base
 * root/state/      state: FILECLEANUP_STATE_DIR of every run in this world
 * root/home/       home: HOME of every run
 * other            a directory on another file system, "" when this machine has none at hand; $OTHER in scripts */
struct fct_world {
  char root[256];
  char dir[PATH_MAX];
  char base[PATH_MAX];
  char state[PATH_MAX];
  char home[PATH_MAX];
  char other[256];
};

/* A world under ${TMPDIR:-/tmp}; the state directory is in /dev/shm when that is an overlay or FUSE. Fails the test
 * when it cannot be made. */
struct fct_world *fct_world_new(void);

/* Gives the world and all in it to uid, so that a run with .uid can work there. */
void fct_world_give(const struct fct_world *world, uid_t uid);

/* The absolute name of a path in the world's directory. */
const char *fct_path(const struct fct_world *world, const char *relative);

/* Whether the file system of the base can prove what a file is: by birth times, or by handles that are not made up by a
 * FUSE server. Where it cannot, nothing is deleted. */
bool fct_proves(const struct fct_world *world);

bool fct_exists(const struct fct_world *world, const char *relative);
void fct_write(const struct fct_world *world, const char *relative, const char *text);

/* The whole file as a string, NULL when it cannot be read. */
const char *fct_read(const struct fct_world *world, const char *relative);

/* The running processes that use this world, guardians left out. Returns how many were stored. */
size_t fct_members(const struct fct_world *world, pid_t *pids, size_t max);

/* The guardian of this world's base, or 0. */
pid_t fct_guardian(const struct fct_world *world);

/* SIGKILL to all members of the world, again until none is left, and to its guardian too when asked. */
void fct_kill_members(const struct fct_world *world);
void fct_kill_guardian(const struct fct_world *world);

/* Waits up to ten seconds until the condition holds. Only where the end is somebody else's work: after a kill, and for
 * processes that the test did not start itself. Returns whether it came true. */
bool fct_wait_exists(const struct fct_world *world, const char *relative);
bool fct_wait_gone(const struct fct_world *world, const char *relative);
bool fct_wait_no_members(const struct fct_world *world);
bool fct_wait_no_guardian(const struct fct_world *world);

/* ---- runs ---- */

struct fct_run {
  enum fct_mode mode;
  const char *script;         /* given to `shell -c`, or NULL */
  const char *shell;          /* default "/bin/sh" */
  const char *const *argv;    /* instead of a script; argv[0] is looked up in PATH */
  const char *const *env;     /* more "NAME=value" */
  const char *const *options; /* of filecleanup run */
  const char *base;           /* default: the base of the world */
  uid_t uid;                  /* 0: as the tests run */
  int limit_s;                /* default 60; then the process group is killed and the test fails */
  bool subreaper;             /* the program is its descendants' child subreaper */
};

struct fct_result {
  int status;      /* as a shell says it: the exit status, or 128 + the signal */
  const char *out; /* the world's own path in it is replaced by <root> */
  const char *err;
};

struct fct_job; /* a run that goes on */

/* Every run gets HOME, PATH, LC_ALL=C, FILECLEANUP_STATE_DIR, GIT_* identities and dates, and for scripts OTHER, BASE
 * (the base's absolute name), PROBES (the directory of the probes) and FC_COMMAND (the command). It starts in the
 * world's directory, in a session of its own, with no descriptor but 0, 1 and 2. */
struct fct_job *fct_start(const struct fct_world *world, const struct fct_run *run);
pid_t fct_job_pid(const struct fct_job *job);
struct fct_result fct_finish(struct fct_job *job);

/* SIGKILL to all processes of the run that have not left its group, and waits until they are dead. */
struct fct_result fct_kill_job(struct fct_job *job);

struct fct_result fct_execute(const struct fct_world *world, const struct fct_run *run);
#define FCT_EXECUTE(world, ...) fct_execute(world, &(struct fct_run){__VA_ARGS__})
#define FCT_START(world, ...) fct_start(world, &(struct fct_run){__VA_ARGS__})

/* A short program under the same mode on the same base: whoever starts next cleans up after the dead. */
struct fct_result fct_next_start(const struct fct_world *world, enum fct_mode mode);

const char *fct_mode_name(enum fct_mode mode);

/* The modes with filecleanup that this run of the tests looks at: `for (const enum fct_mode *m = fct_modes(); *m; m++)`
 */
const enum fct_mode *fct_modes(void);

/* The absolute path of a program, or NULL. */
const char *fct_which(const char *program);

/* Skips the test, with the reason printed, when a program is missing or the tests do not run as root. */
void fct_need(const char *program);
void fct_need_root(void);

/* Skips the test where the file system of the worlds has no birth times: DIRS=recursive is empty there. */
void fct_need_birth_times(void);

/* Skips the test unless an unprivileged user can reach what was built. */
void fct_need_build_for(uid_t uid);

/* ---- trees ---- */

struct fct_tree; /* names, types, modes, sizes, contents, link targets below a directory */

const struct fct_tree *fct_tree_of(const char *directory);

/* NULL when both are the same; else one line for each difference ("- name", "+ name", "~ name ..."). Names that match
 * one of the globs in vary (may be NULL) are compared by presence and type only. */
const char *fct_tree_diff(const struct fct_tree *before, const struct fct_tree *after, const char *const *vary);

/* Fails the test with a listing unless the base of the world holds nothing. */
void fct_assert_base_empty(const struct fct_world *world, const char *when);

/* ---- the two questions ---- */

struct fct_case {
  const char *setup;       /* run first, always plain: what the user had before */
  const char *script;      /* what is judged */
  const char *shell;       /* default "/bin/sh" */
  const char *const *argv; /* instead of script */
  const char *const *env;
  const char *const *options; /* of filecleanup run; give the same in env for bare mode */
  const char *const *survive; /* names that the script makes in the user's place and that must be there afterwards */
  const char *const
      *gone; /* names that the script makes and that must be gone; default: one is made after the script */
  const char *const *vary; /* globs: names whose contents differ from run to run */
  const char *verify;      /* a script, run plain afterwards, whose output must be that of the plain world */
  uid_t uid;               /* 0: as the tests run; else the world is given to it */
  bool lingers;            /* processes of the session outlive the program: they are waited for */
  bool killed;             /* ends by SIGKILL: the guardian cleans up in its own time, without one the next start */
};

/* Runs the script plain in one world, and in each mode in another: same stdout, stderr and exit status, and afterwards
 * the base is what it was before. Fails also when the plain run leaves nothing, as it would then prove nothing. Where
 * nothing proves what a file is, only the program's own results are compared, and the test is skipped. */
void fct_leaves_nothing(const struct fct_case *what);
#define FCT_LEAVES_NOTHING(...) fct_leaves_nothing(&(struct fct_case){__VA_ARGS__})

/* The same, but afterwards every name of the world that was there before, and every name in survive, is exactly what it
 * is after the plain run. What the session makes last, in a directory of its own, must be gone all the same, so a run
 * in which nothing was cleaned up fails too. A killed program makes such a name itself and lists it in gone. Where
 * nothing proves what a file is, it must stay. */
void fct_user_data_whole(const struct fct_case *what);
#define FCT_USER_DATA_WHOLE(...) fct_user_data_whole(&(struct fct_case){__VA_ARGS__})

/* ---- end ---- */

/* Kills what still runs in the worlds of this test, removes them, frees everything. */
void fct_teardown(void);

#endif
