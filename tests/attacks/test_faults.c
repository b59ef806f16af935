/* Every system call of ours fails, one at a time, with each error that it can plausibly have: a full disk, no
 * descriptors, no memory, a filter, an old kernel, a dying disk. The host must not notice, the user's things stand, and
 * what stays is counted.
 *
 * A first run of each scenario is only looked at (harness_trace.h): it tells which calls are ours. Then there is one
 * run for each call and error. After it the next start, without any fault, finds what it finds; what of the session's
 * own is there even then is a leak. Calls that change a name also fail after they have been done, as over a network.
 * And all calls of one kind fail, as under a kernel or a filter that does not have it.
 *
 * In an ordinary run every n-th of all that is tried, counted through: FC_FAULTS says how many for each scenario.
 * FC_ATTACK_LONG=1 tries all. FC_FAULTS_SHOW=1 names each fault after which something stayed,
 * FC_FAULTS_CALL=openat tries those of one call. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../harness/harness.h"
#include "../harness/harness_attack.h"
#include "../harness/harness_scene.h"

TestSuite(faults, .fini = fct_teardown, .timeout = 3600);

#define COMMAND FC_BUILD_DIR "/filecleanup"
#define FAILURES_SHOWN 12
#define POINTS_MAX 65536
#define ERRORS_MAX 16
#define SYS_STATMOUNT 457 /* younger than some headers */
#define EVERY 0           /* instead of the number of a call: all of its kind */

/* ---- what can fail, and how ---- */

#define ANY_DISK EIO, ENOMEM, ESTALE, EPERM, EACCES
#define ANY_CHANGE ANY_DISK, ENOSPC, EDQUOT, EROFS
static const struct {
  uint64_t nr;
  bool changes_names;
  int errors[ERRORS_MAX];
} plausible[] = {
    {SYS_open, false, {ANY_DISK, EMFILE, ENFILE, EINTR, EBUSY}},
    {SYS_openat, false, {ANY_DISK, EMFILE, ENFILE, EINTR, EBUSY, ENOSPC, EROFS, EDQUOT}},
    {SYS_openat2, false, {ANY_DISK, EMFILE, ENFILE, EINTR, ENOSYS, EXDEV, EAGAIN, EBUSY}},
    {SYS_close, false, {EIO, EINTR, ENOSPC, EDQUOT}},
    {SYS_statx, false, {ANY_DISK, ENOSYS, EINTR}},
    {SYS_newfstatat, false, {ANY_DISK, EINTR}},
    {SYS_fstatfs, false, {EIO, ENOSYS, EINTR, ESTALE}},
    {SYS_statfs, false, {EIO, ENOSYS, EINTR, ESTALE, EACCES}},
    {457 /* SYS_statmount, which older headers lack */, false, {ENOSYS, EPERM, ENOENT, EINVAL, EOVERFLOW}},
    {SYS_access, false, {ANY_DISK, EINTR}},
    {SYS_readlinkat, false, {ANY_DISK}},
    {SYS_readlink, false, {ANY_DISK}},
    {SYS_getcwd, false, {ENOMEM, EACCES, EIO}},
    {SYS_getdents64, false, {EIO, ENOMEM, EINTR, ESTALE, EACCES}},
    {SYS_name_to_handle_at, false, {EOPNOTSUPP, EPERM, ENOSYS, EIO, ESTALE, ENOMEM}},
    {SYS_ioctl, false, {ENOTTY, EPERM, EIO, ENOSYS}},
    {SYS_mkdirat, true, {ANY_CHANGE}},
    {SYS_mkdir, true, {ANY_CHANGE}},
    {SYS_linkat, true, {ANY_CHANGE, EXDEV, EMLINK, ENOENT}},
    {SYS_symlinkat, true, {ANY_CHANGE}},
    {SYS_renameat2, true, {ANY_CHANGE, ENOSYS, EINVAL, EXDEV, EBUSY}},
    {SYS_rename, true, {ANY_CHANGE, EXDEV, EBUSY}},
    {SYS_unlinkat, true, {ANY_DISK, EROFS, EBUSY}},
    {SYS_unlink, true, {ANY_DISK, EROFS, EBUSY}},
    {SYS_rmdir, true, {ANY_DISK, EROFS, EBUSY}},
    {SYS_fchmod, false, {ANY_DISK, EROFS}},
    {SYS_fchmodat, false, {ANY_DISK, EROFS}},
    {SYS_fchownat, false, {ANY_DISK, EROFS, EDQUOT}},
    {SYS_utimensat, false, {ANY_DISK, EROFS}},
    {SYS_ftruncate, false, {EIO, EINTR, ENOSPC, EDQUOT, EPERM, EFBIG}},
    {SYS_fallocate, false, {EIO, EINTR, ENOSPC, EDQUOT, EPERM, EOPNOTSUPP, ENOSYS}},
    {SYS_lseek, false, {ENXIO, EINVAL, EIO}},
    {SYS_read, false, {EIO, EINTR, ENOMEM, ESTALE}},
    {SYS_pread64, false, {EIO, EINTR, ENOMEM, ESTALE}},
    {SYS_write, false, {EIO, EINTR, ENOSPC, EDQUOT, ENOMEM, ESTALE, EPERM}},
    {SYS_pwrite64, false, {EIO, EINTR, ENOSPC, EDQUOT, ENOMEM, ESTALE, EPERM}},
    {SYS_fsync, false, {EIO, EINTR, ENOSPC, EDQUOT, EROFS}},
    {SYS_fcntl, false, {EINVAL, ENOLCK, EAGAIN, EINTR, EACCES, EPERM, EMFILE, EIO, ENOMEM}},
    {SYS_flock, false, {EINTR, ENOLCK, EWOULDBLOCK, ENOMEM}},
    {SYS_mmap, false, {ENOMEM, EACCES, EAGAIN, ENFILE, EPERM, ENODEV}},
    {SYS_mremap, false, {ENOMEM, EAGAIN}},
    {SYS_munmap, false, {ENOMEM}},
    {SYS_mprotect, false, {ENOMEM, EACCES}},
    {SYS_madvise, false, {EINVAL, ENOMEM, EFAULT, EIO, ENOSYS, EAGAIN}},
    {SYS_brk, false, {ENOMEM}},
    {SYS_memfd_create, false, {ENOSYS, EMFILE, ENFILE, ENOMEM}},
    {SYS_getrandom, false, {ENOSYS, EINTR, EAGAIN, EPERM}},
    {SYS_prlimit64, false, {EPERM, ENOSYS}},
    {SYS_prctl, false, {EPERM, EINVAL, ENOSYS}},
    {SYS_clone, false, {EAGAIN, ENOMEM, EPERM}},
    {SYS_clone3, false, {EAGAIN, ENOMEM, EPERM, ENOSYS}},
    {SYS_wait4, false, {EINTR, ECHILD}},
    {SYS_pipe2, false, {EMFILE, ENFILE, ENOMEM, ENOSYS}},
    {SYS_dup3, false, {EMFILE, EINTR, EBUSY}},
    {SYS_close_range, false, {ENOSYS, EPERM, ENOMEM}},
    {SYS_chdir, false, {ANY_DISK}},
    {SYS_setsid, false, {EPERM}},
    {SYS_futex, false, {EINTR, EAGAIN}},
    {SYS_poll, false, {EINTR, ENOMEM}},
    {SYS_ppoll, false, {EINTR, ENOMEM, ENOSYS}},
    {SYS_uname, false, {EPERM, ENOSYS}},
    {SYS_STATMOUNT, false, {ENOSYS, EPERM, ENOMEM, ENOENT}},
    {SYS_socket, false, {EMFILE, ENFILE, ENOMEM, EAFNOSUPPORT, EPERM}},
    {SYS_connect, false, {ECONNREFUSED, EINTR, EACCES, ENOENT}},
};

/* These cannot fail where a program runs at all, or their failure leaves nothing that one could do: the signal mask
 * that cannot be given back, the program that is not there. */
static const uint64_t unfailing[] = {SYS_getpid,          SYS_getppid,       SYS_gettid,
                                     SYS_geteuid,         SYS_getuid,        SYS_getegid,
                                     SYS_getgid,          SYS_umask,         SYS_exit,
                                     SYS_exit_group,      SYS_rt_sigreturn,  SYS_rt_sigprocmask,
                                     SYS_rt_sigaction,    SYS_clock_gettime, SYS_sched_yield,
                                     SYS_execve,          SYS_getpgid,       SYS_sysinfo,
                                     SYS_set_robust_list, SYS_rseq,          SYS_clock_nanosleep,
                                     SYS_set_tid_address};

static int row_of(uint64_t nr) {
  for (size_t i = 0; i < sizeof plausible / sizeof *plausible; i++)
    if (plausible[i].nr == nr) return (int)i;
  return -1;
}

static bool is_unfailing(const struct fct_call *call) {
  const uint64_t nr = call->nr;
  const int futex = (int)call->args[1] & FUTEX_CMD_MASK;
  if (nr == SYS_futex && futex != FUTEX_WAIT && futex != FUTEX_WAIT_BITSET) return true; /* a waking is never lost */
  for (size_t i = 0; i < sizeof unfailing / sizeof *unfailing; i++)
    if (unfailing[i] == nr) return true;
  return false;
}

/* What has an effect that its error does not take back: a closed descriptor is gone, whatever close() says. */
static bool is_done_anyway(uint64_t nr) { return nr == SYS_close; }

/* ---- a fault ---- */

struct fault {
  unsigned ordinal; /* of the thread; any when all calls of a kind fail */
  unsigned kind;    /* which of its calls with this nr and of this whose; EVERY */
  enum fct_whose whose;
  uint64_t nr;
  int error;
  enum fct_deed deed;
};

struct scenario {
  const char *name;
  const char *end; /* of the host */
  bool all;        /* TRACK=all */
  enum fct_mode mode;
  bool whose[FCT_WHOSE_COUNT];
  bool other_ordinals_only; /* not in the first thread, which is the host's own */
  bool killed_before;       /* the host is killed before, unseen; what is traced is this program: */
  const char *const *argv;
  int worst_status; /* of that program */
  bool manager;     /* a program of the library: it may be told of each error, and goes on */
};

struct search {
  const struct scenario *scenario;
  struct fct_scene *scene;
  const char *out; /* of the run without any fault */
  int status;
  struct fault *points;
  size_t count;
  /* While a fault is in work. */
  const struct fault *fault;
  unsigned hits;
};

static bool concerns(const struct search *s, const struct fct_call *call) {
  return s->scenario->whose[call->whose] && !(s->scenario->other_ordinals_only && call->ordinal == 0) &&
         !is_unfailing(call);
}

static void add_point(struct search *s, struct fault fault) {
  const char *const only = getenv("FC_FAULTS_CALL");
  if (only && strcmp(fct_call_name(fault.nr), only) != 0) return;
  cr_assert_lt(s->count, POINTS_MAX, "too many calls");
  s->points[s->count++] = fault;
}

static bool is_known(const struct search *s, const struct fct_call *call) {
  for (size_t i = 0; i < s->count; i++)
    if (s->points[i].kind == EVERY && s->points[i].nr == call->nr && s->points[i].whose == call->whose) return true;
  return false;
}

static struct fct_deal look(void *context, const struct fct_call *call) {
  struct search *const s = context;
  if (!concerns(s, call)) return (struct fct_deal){0};
  const int row = row_of(call->nr);
  cr_assert_geq(row, 0, "%s: %s is among our calls, and no error of it is known: add it to the table",
                s->scenario->name, fct_call_name(call->nr));
  struct fault fault = {.nr = call->nr, .whose = call->whose, .deed = FCT_FAIL};
  if (is_done_anyway(call->nr)) fault.deed = FCT_DO_AND_FAIL;
  const bool known = is_known(s, call);
  for (const int *error = plausible[row].errors; *error; error++) {
    fault.error = *error;
    fault.ordinal = call->ordinal;
    fault.kind = call->kind;
    add_point(s, fault);
    fault.kind = EVERY;
    fault.ordinal = 0;
    if (!known) add_point(s, fault);
  }
  /* A probe is the host's call: had that failed so, the host would have seen it. */
  if (!plausible[row].changes_names || call->whose == FCT_PROBES) return (struct fct_deal){0};
  fault.error = EIO;
  fault.deed = FCT_DO_AND_FAIL;
  fault.ordinal = call->ordinal;
  fault.kind = call->kind;
  add_point(s, fault);
  return (struct fct_deal){0};
}

static struct fct_deal strike(void *context, const struct fct_call *call) {
  struct search *const s = context;
  const struct fault *const f = s->fault;
  if (call->nr != f->nr || call->whose != f->whose || !concerns(s, call)) return (struct fct_deal){0};
  if (f->kind != EVERY && (call->kind != f->kind || call->ordinal != f->ordinal)) return (struct fct_deal){0};
  s->hits++;
  return (struct fct_deal){f->deed, f->error, 0, f->kind != EVERY};
}

static const char *show(const struct fault *f) {
  static const char *const whose[] = {"the host's", "the shim's", "a probing", "the command's", "the library's"};
  const char *const which = f->kind == EVERY ? "every" : fct_format("thread %u, number %u of", f->ordinal, f->kind);
  return fct_format("%s %s %s: %s%s", which, whose[f->whose], fct_call_name(f->nr), strerrorname_np(f->error),
                    f->deed == FCT_DO_AND_FAIL ? " although done" : "");
}

/* ---- a run ---- */

struct verdict {
  bool refused;        /* the launcher says that it cannot start the host (125), which has done nothing */
  const char *noticed; /* how the host notices */
  const char *wrong;   /* what is wrong with the user's things */
  unsigned leaks;
  const char *leaked;
};

static void play(struct search *s, struct fct_deal (*at_entry)(void *, const struct fct_call *), struct fct_trace *t) {
  const struct scenario *const what = s->scenario;
  fct_scene_lay(s->scene);
  if (what->killed_before) (void)fct_scene_play(s->scene, FCT_BARE);
  *t = (struct fct_trace){.world = s->scene->world,
                          .run = {.mode = what->mode,
                                  .argv = what->killed_before ? what->argv : s->scene->argv,
                                  .env = s->scene->env,
                                  .limit_s = 30},
                          .at_entry = at_entry,
                          .context = s};
  const char *const *const manager =
      FCT_LIST(FCT_MANAGER_WORKLOAD, s->scene->world->base, fct_path(s->scene->world, "outside"));
  if (what->manager) t->run.argv = manager;
  fct_trace_run(t);
}

static bool is_refused(const struct search *s, const struct fct_trace *t) {
  return s->scenario->mode == FCT_RUN && t->status == 125 && !t->out[0] &&
         strncmp(t->err, "filecleanup-run: ", 17) == 0;
}

static const char *compare_host(const struct search *s, const struct fct_trace *t) {
  const struct scenario *const what = s->scenario;
  if (t->hung) return "something hangs";
  if (what->killed_before && t->status >= 0 && t->status <= what->worst_status) return NULL;
  if (t->status != s->status) return fct_format("status %d instead of %d: %s", t->status, s->status, t->err);
  if (what->killed_before || what->manager || strcmp(t->out, s->out) == 0) return NULL;
  size_t at = 0, line = 0;
  for (; t->out[at] && t->out[at] == s->out[at]; at++)
    if (s->out[at] == '\n') line = at + 1;
  return fct_format("it tells `%.*s` instead of `%.*s`", (int)strcspn(t->out + line, "\n"), t->out + line,
                    (int)strcspn(s->out + line, "\n"), s->out + line);
}

static struct verdict judge(struct search *s, const struct fct_trace *t) {
  const bool refused = is_refused(s, t);
  const int all = refused || s->scenario->manager ? 0 : s->scene->steps;
  struct verdict verdict = {.refused = refused, .wrong = fct_scene_wrong(s->scene, all, all, false)};
  if (!refused) verdict.noticed = compare_host(s, t);
  (void)fct_next_start(s->scene->world, FCT_BARE);
  if (!verdict.wrong) verdict.wrong = fct_scene_wrong(s->scene, all, all, false);
  if (!verdict.wrong && s->scenario->manager) verdict.wrong = fct_scene_broken_promise(s->scene, t->out);
  verdict.leaks = fct_scene_leaks(s->scene, &verdict.leaked);
  return verdict;
}

static struct search *search_new(const struct scenario *scenario) {
  struct search *const s = calloc(1, sizeof *s);
  s->points = calloc(POINTS_MAX, sizeof *s->points);
  s->scenario = scenario;
  s->scene = fct_scene_new(scenario->end, false, scenario->all);
  s->status = scenario->killed_before || scenario->manager ? 0 : s->scene->status;
  s->out = scenario->killed_before ? "" : s->scene->out;
  struct fct_trace whole;
  play(s, look, &whole);
  const struct verdict verdict = judge(s, &whole);
  cr_assert_null(verdict.noticed, "%s: without any fault: %s", scenario->name, verdict.noticed);
  cr_assert_null(verdict.wrong, "%s: without any fault: %s", scenario->name, verdict.wrong);
  cr_assert_eq(verdict.leaks, 0, "%s: without any fault there stays:%s", scenario->name, verdict.leaked);
  return s;
}

static void search_free(struct search *s) {
  free(s->points);
  free(s);
}

static void inject(const struct scenario *scenario, size_t wanted) {
  struct search *const s = search_new(scenario);
  const char *const asked = getenv("FC_FAULTS");
  if (asked && atoi(asked) > 0) wanted = (size_t)atoi(asked);
  wanted = fct_rounds_wanted(wanted, s->count);
  const bool shows = getenv("FC_FAULTS_SHOW") != NULL;
  unsigned injected = 0, missed = 0, differences = 0, wrong = 0, leaking = 0, refused = 0, shown = 0;
  unsigned long leaks = 0;
  cr_assert_gt(s->count, 0, "%s: no call of ours was seen", scenario->name);
  if (wanted > s->count) wanted = s->count;
  for (size_t i = 0; i < wanted; i++) {
    s->fault = &s->points[i * s->count / wanted];
    s->hits = 0;
    struct fct_trace t;
    play(s, strike, &t);
    const struct verdict verdict = judge(s, &t);
    if (s->hits == 0) missed++;
    injected += s->hits > 0;
    differences += verdict.noticed != NULL;
    wrong += verdict.wrong != NULL;
    refused += verdict.refused;
    leaking += verdict.leaks > 0;
    leaks += verdict.leaks;
    if (verdict.leaks && shows) fprintf(stderr, "%s: %s: leaks%s\n", scenario->name, show(s->fault), verdict.leaked);
    if ((verdict.noticed || verdict.wrong) && shown++ < (shows ? POINTS_MAX : FAILURES_SHOWN))
      fprintf(stderr, "%s: %s: %s%s%s\n", scenario->name, show(s->fault), verdict.noticed ? verdict.noticed : "",
              verdict.noticed && verdict.wrong ? "; " : "", verdict.wrong ? verdict.wrong : "");
  }
  fct_faults_row(
      scenario->name, injected, differences, wrong, leaks,
      fct_format("after %u faults; %u did not come to it, %u starts were refused", leaking, missed, refused));
  cr_expect_gt(injected, wanted / 2, "most faults must come to it");
  search_free(s);
}

static const struct scenario bare = {
    .name = "host", .all = true, .end = "return", .mode = FCT_BARE, .whose = {[FCT_SHIMS] = true, [FCT_PROBES] = true}};
static const struct scenario under_run = {.name = "host and guardian",
                                          .end = "_exit",
                                          .mode = FCT_RUN,
                                          .whose = {[FCT_SHIMS] = true, [FCT_PROBES] = true, [FCT_COMMANDS] = true}};
static const struct scenario guardian = {.name = "guardian of a killed host",
                                         .end = "kill",
                                         .all = true,
                                         .mode = FCT_RUN,
                                         .whose = {[FCT_COMMANDS] = true},
                                         .other_ordinals_only = true};
static const struct scenario next_start = {.name = "next start",
                                           .end = "kill",
                                           .all = true,
                                           .mode = FCT_BARE,
                                           .whose = {[FCT_SHIMS] = true, [FCT_PROBES] = true},
                                           .killed_before = true,
                                           .argv = FCT_LIST("true")};
static const struct scenario sweep = {.name = "filecleanup sweep",
                                      .end = "kill",
                                      .mode = FCT_PLAIN,
                                      .whose = {[FCT_COMMANDS] = true},
                                      .killed_before = true,
                                      .argv = FCT_LIST(COMMAND, "sweep"),
                                      .worst_status = 1};
static const struct scenario manager = {.name = "library manager",
                                        .end = "return",
                                        .mode = FCT_PLAIN,
                                        .whose = {[FCT_PROGRAMS] = true, [FCT_PROBES] = true},
                                        .manager = true};

Test(faults, in_the_host) { inject(&bare, 200); }
Test(faults, under_run) { inject(&under_run, 150); }
Test(faults, in_the_guardian) { inject(&guardian, 100); }
Test(faults, in_the_next_start) { inject(&next_start, 120); }
Test(faults, in_a_sweep) { inject(&sweep, 100); }
Test(faults, in_a_manager) { inject(&manager, 100); }

/* ---- would it be noticed? ---- */

static struct fct_deal strike_the_host(void *context, const struct fct_call *call) {
  struct search *const s = context;
  if (call->whose != FCT_OTHERS || call->nr != SYS_mkdir || s->hits) return (struct fct_deal){0};
  s->hits++;
  return (struct fct_deal){FCT_FAIL, ENOSPC, 0, true};
}

Test(faults, a_fault_in_a_call_of_the_hosts_is_noticed) {
  struct search *const s = search_new(&bare);
  struct fct_trace t;
  play(s, strike_the_host, &t);
  cr_assert_eq(s->hits, 1);
  const struct verdict verdict = judge(s, &t);
  cr_expect(verdict.noticed, "the host cannot make a directory, and nobody sees it");
  cr_expect(verdict.wrong, "the user's directory is missing, and nobody sees it");
  search_free(s);
}

static void expect_wrong(struct search *s, const char *what) {
  const int all = s->scene->steps;
  cr_expect(fct_scene_wrong(s->scene, all, all, false), "%s, and nobody sees it", what);
}

Test(faults, a_wrong_deletion_is_noticed) {
  struct search *const s = search_new(&bare);
  static const char *const victims[] = {"base/u-untouched",    "base/u-remade/x",       "base/u-saved/x",
                                        "base/u-ground/u-new", "base/u-linked",         "base/c-removed/copy",
                                        "base/c-emptied/copy", "base/c-exchanged/copy", "outside/u-out"};
  for (size_t i = 0; i < sizeof victims / sizeof *victims; i++) {
    fct_scene_lay(s->scene);
    (void)fct_scene_play(s->scene, FCT_BARE);
    cr_assert_null(fct_scene_wrong(s->scene, s->scene->steps, s->scene->steps, false));
    cr_assert(unlink(fct_path(s->scene->world, victims[i])) == 0, "%s: %s", victims[i], strerror(errno));
    expect_wrong(s, fct_format("%s is deleted", victims[i]));
  }
  fct_scene_lay(s->scene);
  (void)fct_scene_play(s->scene, FCT_BARE);
  fct_write(s->scene->world, "base/u-saved/x", "the user's, damaged\n");
  expect_wrong(s, "a file is damaged");
  fct_scene_lay(s->scene);
  (void)fct_scene_play(s->scene, FCT_PLAIN);
  cr_expect_gt(fct_scene_leaks(s->scene, NULL), 10, "nothing is deleted, and no leak is seen");
  search_free(s);
}
