/* A session that lives, seen from outside: passes of the sweeper by hand, one at a time and as many as a test wants.
 *
 * The host runs with FILECLEANUP_PERIODIC=0 then, so that nobody else sweeps. */
#ifndef FCT_HARNESS_LIVE_H
#define FCT_HARNESS_LIVE_H

#include "harness.h"
#include "sweeper.h"

struct fct_live {
  int dirfd;
  int fd;
  char name[64];
  struct fc_session_header header;
};

/* The one session of this world, which must live. Fails the test otherwise. */
struct fct_live *fct_live_open(const struct fct_world *world);

/* A job whose shell runs script, says `ready` and waits for `go`; returned when it is ready. policy: "NAME=value" of
 * FILECLEANUP_*, without that prefix. */
struct fct_job *fct_hold(const struct fct_world *world, enum fct_mode mode, const char *const *policy,
                         const char *script);

/* Lets it go on, and expects it to end with 0 and silently. */
void fct_release(const struct fct_world *world, struct fct_job *job);

/* One pass by TTL and caps. The test fails when it fails. */
struct fc_sweep_result fct_pass(struct fct_live *live);

/* One pass of any kind; returns what fc_sweeper_pass does. */
int fct_pass_as(struct fct_live *live, struct fc_sweep sweep, struct fc_sweep_result *result);

/* Words of the session file as they are now. */
struct fc_head_words fct_live_words(const struct fct_live *live);

/* The number of threads of a process, 0 when it is gone. */
unsigned fct_threads(pid_t pid);

/* Skips the test unless it may mount; what it mounts is seen by it and its programs alone, and gone with it. */
void fct_need_mounts(void);

/* What the base of the world holds, counted without "." and "..". */
size_t fct_count(const struct fct_world *world, const char *relative);

#endif
