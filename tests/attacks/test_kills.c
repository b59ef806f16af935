/* SIGKILL at every system call of everybody: the host and its children in their hooks, at their start and at their end,
 * the launcher, the guardian, the next start while it recovers, `filecleanup sweep`; and at any instruction between two
 * calls. Then the next start. (test_kill_points.c has the reaper alone, with an outsider at work.)
 *
 * The host is the probe workload. However far it came, the user's things must stand as they do after so many steps of a
 * run without filecleanup, and nothing of the session's own may be left but the name that was being made in the instant
 * of the kill, which is counted. Whoever is killed inside a removal or a rename of the user's data leaves it open
 * whether that was done, so that what he had made before may be the only copy and stays (N2): that happens in few of
 * the points, and in no more than one of SPARED_ONE_OF.
 *
 * FC_KILLS says how many points each test tries; FC_ATTACK_LONG=1 tries all, and 5,000 instructions. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../harness/harness.h"
#include "../harness/harness_attack.h"
#include "../harness/harness_scene.h"

TestSuite(kills, .fini = fct_teardown, .timeout = 3600);

#define COMMAND FC_BUILD_DIR "/filecleanup"
#define FAILURES_SHOWN 12
#define POINTS_MAX 16384
#define STEPS_MAX 3000 /* instructions behind a call */
#define SPARED_ONE_OF 20

struct point {
  unsigned ordinal;
  unsigned number;
  uint64_t nr;
  unsigned steps; /* 0: the call itself is not made */
};

struct scenario {
  const char *name;
  const char *end;
  bool all; /* TRACK=all */
  enum fct_mode mode;
  bool killed_before;      /* the host, unseen; what is traced is this program: */
  const char *const *argv; /* or, with small_ring, a shell that starts filecleanup run */
  bool commands_only;      /* kills nobody but the command's processes */
  bool from_shim;          /* and nobody before the first call of the shim's */
  bool small_ring;
  bool manager; /* a program of the library, which does nothing to what was there before */
};

struct search {
  const struct scenario *scenario;
  struct fct_scene *scene;
  struct point *points;
  size_t count;
  unsigned checkpoints; /* holes that were punched */
  bool begun;
  const struct point *point; /* while it is tried */
  bool killed;
  bool is_leader;
};

static bool concerns(struct search *s, const struct fct_call *call) {
  const struct scenario *const what = s->scenario;
  s->begun |= call->whose == FCT_SHIMS;
  if (what->from_shim && !s->begun) return false;
  return !what->commands_only || call->whose == FCT_COMMANDS;
}

static struct fct_deal look(void *context, const struct fct_call *call) {
  struct search *const s = context;
  s->checkpoints += call->nr == SYS_fallocate && call->whose == FCT_COMMANDS;
  if (!concerns(s, call)) return (struct fct_deal){0};
  cr_assert_lt(s->count, POINTS_MAX, "too many calls");
  s->points[s->count++] = (struct point){call->ordinal, call->number, call->nr, 0};
  return (struct fct_deal){0};
}

static struct fct_deal strike(void *context, const struct fct_call *call) {
  struct search *const s = context;
  const struct point *const p = s->point;
  if (call->ordinal != p->ordinal || call->number != p->number) return (struct fct_deal){0};
  s->killed = true;
  return (struct fct_deal){p->steps ? FCT_STEP_AND_KILL : FCT_KILL, 0, p->steps, true};
}

static void play(struct search *s, struct fct_deal (*at_entry)(void *, const struct fct_call *), struct fct_trace *t) {
  const struct scenario *const what = s->scenario;
  const struct fct_world *const world = s->scene->world;
  fct_scene_lay(s->scene);
  if (what->killed_before) (void)fct_scene_play(s->scene, FCT_BARE);
  *t = (struct fct_trace){.world = world,
                          .run = {.mode = what->mode, .argv = s->scene->argv, .env = s->scene->env, .limit_s = 30},
                          .at_entry = at_entry,
                          .context = s};
  if (what->killed_before) t->run.argv = what->argv;
  /* A journal that is short of room from the beginning: the guardian makes checkpoints while the host churns. */
  const char *const *const churning =
      FCT_LIST("/bin/sh", "-c", "ulimit -f 600; exec \"$@\"", "sh", COMMAND, "run", "--base", world->base, "--",
               FCT_WORKLOAD, world->base, fct_path(world, "outside"), what->end, "-1", "300");
  if (what->small_ring) t->run.argv = churning;
  const char *const *const manager = FCT_LIST(FCT_MANAGER_WORKLOAD, world->base, fct_path(world, "outside"));
  if (what->manager) t->run.argv = manager;
  s->begun = false;
  s->killed = false;
  fct_trace_run(t);
}

struct verdict {
  const char *wrong;
  unsigned leaks;
  const char *leaked;
};

static struct verdict judge(struct search *s, const struct fct_trace *t) {
  struct verdict verdict = {NULL, 0, ""};
  const int all = s->scene->steps;
  const bool manager = s->scenario->manager;
  const int made = s->scenario->killed_before ? all : manager ? 0 : fct_scene_steps_in(t->out);
  /* When somebody else than the leader was killed, it went on. */
  const bool mixed = s->killed && s->point->ordinal != 0 && made < all && !manager;
  if (t->hung) verdict.wrong = "something hangs";
  if (!verdict.wrong) verdict.wrong = fct_scene_wrong(s->scene, made, manager ? made : made + 1, mixed);
  (void)fct_next_start(s->scene->world, FCT_BARE);
  if (!verdict.wrong) verdict.wrong = fct_scene_wrong(s->scene, made, manager ? made : made + 1, mixed);
  if (!verdict.wrong && manager) verdict.wrong = fct_scene_broken_promise(s->scene, t->out);
  verdict.leaks = fct_scene_leaks(s->scene, &verdict.leaked);
  return verdict;
}

static struct search *search_new(const struct scenario *scenario) {
  struct search *const s = calloc(1, sizeof *s);
  s->points = calloc(POINTS_MAX, sizeof *s->points);
  s->scenario = scenario;
  s->scene = fct_scene_new(scenario->end, !scenario->killed_before && !scenario->manager, scenario->all);
  struct fct_trace whole;
  play(s, look, &whole);
  const struct verdict verdict = judge(s, &whole);
  cr_assert_null(verdict.wrong, "%s: without any kill: %s", scenario->name, verdict.wrong);
  cr_assert_eq(verdict.leaks, 0, "%s: without any kill there stays:%s", scenario->name, verdict.leaked);
  cr_assert_gt(s->count, 20, "%s: too few calls", scenario->name);
  if (scenario->small_ring) cr_assert_gt(s->checkpoints, 0, "%s: no checkpoint was made", scenario->name);
  return s;
}

static size_t wanted_of(size_t ci, size_t all) {
  const char *const asked = getenv("FC_KILLS");
  const size_t wanted = asked && atoi(asked) > 0 ? (size_t)atoi(asked) : fct_rounds_wanted(ci, all);
  return wanted < all ? wanted : all;
}

/* One table row for the points that next() gives. */
static void kill_at(struct search *s, size_t wanted, struct point (*next)(struct search *, size_t, size_t)) {
  const char *const name = s->scenario->name;
  unsigned tried = 0, violations = 0, instant = 0, spared = 0, shown = 0;
  for (size_t i = 0; i < wanted; i++) {
    const struct point point = next(s, i, wanted);
    s->point = &point;
    struct fct_trace t;
    play(s, strike, &t);
    struct verdict verdict = judge(s, &t);
    tried += s->killed;
    instant += verdict.leaks;
    spared += verdict.leaks > 1;
    violations += verdict.wrong != NULL;
    if ((verdict.wrong || verdict.leaks) && shown++ < FAILURES_SHOWN)
      fprintf(stderr, "%s: thread %u, call %u (%s), %u instructions behind it, step %d: %s%s\n", name, point.ordinal,
              point.number, fct_call_name(point.nr), point.steps, fct_scene_steps_in(t.out),
              verdict.wrong       ? verdict.wrong
              : verdict.leaks > 1 ? "several names stay:"
                                  : "an instant leak:",
              verdict.leaked);
  }
  fct_kill_points_row(name, tried, violations, instant);
  cr_expect_leq(spared, 1 + tried / SPARED_ONE_OF, "%s: several names stay after %u of %u kills", name, spared, tried);
  cr_expect_gt(tried, wanted / 2, "most points must be reached");
  free(s->points);
  free(s);
}

static struct point evenly(struct search *s, size_t i, size_t wanted) { return s->points[i * s->count / wanted]; }

/* Anywhere behind any call, the same ones in every run. */
static struct point anywhere(struct search *s, size_t i, size_t wanted) {
  (void)wanted;
  uint64_t random = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
  random ^= random >> 29;
  random *= UINT64_C(0xbf58476d1ce4e5b9);
  random ^= random >> 32;
  struct point point = s->points[random % s->count];
  point.steps = 1 + (unsigned)((random >> 40) % STEPS_MAX);
  return point;
}

static void kill_everywhere(const struct scenario *scenario, size_t ci) {
  struct search *const s = search_new(scenario);
  kill_at(s, wanted_of(ci, s->count), evenly);
}

static const struct scenario bare = {.name = "host and children", .all = true, .end = "return", .mode = FCT_BARE};
static const struct scenario under_run = {.name = "launcher, host, guardian", .end = "_exit", .mode = FCT_RUN};
static const struct scenario guardian = {
    .name = "guardian of a killed host", .end = "kill", .mode = FCT_RUN, .commands_only = true};
static const struct scenario checkpoints = {
    .name = "guardian at its checkpoints", .end = "kill", .mode = FCT_PLAIN, .commands_only = true, .small_ring = true};
static const struct scenario next_start = {.name = "next start",
                                           .end = "kill",
                                           .mode = FCT_BARE,
                                           .all = true,
                                           .killed_before = true,
                                           .argv = FCT_LIST("true"),
                                           .from_shim = true};
static const struct scenario sweep = {.name = "filecleanup sweep",
                                      .end = "kill",
                                      .mode = FCT_PLAIN,
                                      .killed_before = true,
                                      .argv = FCT_LIST(COMMAND, "sweep"),
                                      .commands_only = true};
static const struct scenario manager = {.name = "library manager", .end = "return", .mode = FCT_PLAIN, .manager = true};
static const struct scenario instructions = {
    .name = "host at any instruction", .all = true, .end = "return", .mode = FCT_BARE, .from_shim = true};

Test(kills, of_a_host_and_its_children) { kill_everywhere(&bare, 100); }
Test(kills, of_launcher_host_and_guardian) { kill_everywhere(&under_run, 100); }
Test(kills, of_the_guardian_of_a_killed_host) { kill_everywhere(&guardian, 60); }
Test(kills, of_a_guardian_at_its_checkpoints) { kill_everywhere(&checkpoints, 40); }
Test(kills, of_the_next_start) { kill_everywhere(&next_start, 60); }
Test(kills, of_a_sweep) { kill_everywhere(&sweep, 60); }
Test(kills, of_a_manager) { kill_everywhere(&manager, 60); }
Test(kills, at_any_instruction) {
  struct search *const s = search_new(&instructions);
  kill_at(s, wanted_of(100, 5000), anywhere);
}
