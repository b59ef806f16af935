#include "launcher.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base.h"
#include "beneath.h"
#include "config.h"
#include "coverage.h"
#include "departure.h"
#include "guardian.h"
#include "message.h"
#include "named.h"
#include "options.h"
#include "orphan.h"
#include "parent.h"
#include "quarantine.h"
#include "session.h"
#include "stats_file.h"

extern char **environ;

#define SHIM_NAME "libfilecleanup_preload.so"
#define ENTRIES_MAX 10000 /* as many are counted in a base; more are more than anybody wants to wait for */

struct launch {
  struct fc_options options;
  bool base_made; /* a private directory of ours */
  char base[PATH_MAX];
  char stats[FC_FILE_MAX]; /* a private file of ours, "" = none */
  char *outer;             /* FILECLEANUP_SESSION as it came, when it lists the sessions that we are in; NULL = none */
  struct fc_coverage coverage;
};

static int fail(const char *what, const char *why) {
  (void)fprintf(stderr, "filecleanup-run: %s: %s\n", what, why);
  return FC_EXIT_FAILURE;
}

/* The shim's path: beside the command in a build tree, else where it was installed. */
static bool find_shim(char *out, size_t size) {
  char self[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) return false;
  self[n] = '\0';
  char *slash = strrchr(self, '/');
  *slash = '\0';
  const int len = snprintf(out, size, "%s/%s", self, SHIM_NAME);
  if (len > 0 && (size_t)len < size && access(out, R_OK) == 0) return true;
  char relative[2 * PATH_MAX];
  (void)snprintf(relative, sizeof relative, "%s/%s", self, FC_SHIM_RELPATH);
  char *real = realpath(relative, NULL);
  if (!real) return false;
  (void)snprintf(out, size, "%s", real);
  free(real);
  return true;
}

/* Appends the shim, so that a sanitizer's run-time that must come first stays first. */
static int preload(const char *shim) {
  if (strpbrk(shim, " :")) return -EINVAL; /* LD_PRELOAD has no way to write these */
  const char *before = getenv("LD_PRELOAD");
  if (!before || !before[0]) return setenv("LD_PRELOAD", shim, 1) == 0 ? 0 : -errno;
  if (strstr(before, shim)) return 0;
  char *joined = NULL;
  if (asprintf(&joined, "%s:%s", before, shim) < 0) return -ENOMEM;
  const int rc = setenv("LD_PRELOAD", joined, 1) == 0 ? 0 : -errno;
  free(joined);
  return rc;
}

static void warn(void *context, const char *line) {
  (void)context;
  (void)fprintf(stderr, "%s\n", line);
}

/* Opens the state directory of session. Returns an fd or -1, and the session file's name in *name. */
static int open_state(const struct fc_session *session, char *dir, size_t size, const char **name) {
  *name = fc_session_split(fc_session_path(session), dir, size);
  return *name ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

/* Without a guardian orphans are our business, within the budget, as they are a guardian's. */
static void look_at_state(const struct fc_session *session, bool reap) {
  char dir[PATH_MAX];
  const char *name;
  const int dirfd = open_state(session, dir, sizeof dir, &name);
  if (dirfd < 0) return;
  (void)fc_orphan_scan(dirfd, dir, session->header->id, reap,
                       fc_journal_deadline(session->header->policy.exit_budget_ns), warn, NULL);
  (void)close(dirfd);
}

static int become(char **argv) {
  (void)execvp(argv[0], argv);
  const int error = errno;
  (void)fprintf(stderr, "filecleanup-run: %s: %s\n", argv[0], strerror(error));
  return error == ENOENT ? FC_EXIT_NOT_FOUND : FC_EXIT_NOT_EXECUTABLE;
}

/* In this process, or in the child of --wait. */
static int become_member(struct fc_session *session, char **argv) {
  int64_t record;
  const int fd = fc_session_hand_over(session, (uint32_t)getpid(), &record);
  const int status = become(argv);
  fc_session_exec_failed(session, fd, record);
  fc_departure(session);
  return status;
}

/* People who point the base at a directory of theirs by mistake should see it. A session that was found has made some
 * of them itself. */
static void say_entries(const struct fc_session *session) {
  static char buffer[FC_LIST_BYTES];
  if (session->found || !isatty(STDERR_FILENO)) return;
  const int base = open(fc_session_base(session), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (base < 0) return;
  struct fc_list list;
  struct fc_entry entry;
  unsigned count = 0;
  fc_list_begin(&list, base, buffer);
  while (count <= ENTRIES_MAX && fc_list_next(&list, &entry) == 1)
    if (strncmp(entry.name, FC_QUARANTINE_PREFIX, sizeof FC_QUARANTINE_PREFIX - 1) != 0) count++;
  (void)close(base);
  if (count == 0) return;
  const bool more = count > ENTRIES_MAX;
  (void)fprintf(stderr, "filecleanup-run: %s already holds %u%s %s; what is there stays\n", fc_session_base(session),
                more ? ENTRIES_MAX : count, more ? "+" : "", count == 1 ? "entry" : "entries");
}

/* A private directory when no base is given. */
static int make_private_base(struct launch *launch) {
  const char *parent = getenv("TMPDIR");
  if (!parent || !parent[0]) parent = "/tmp";
  const int n = snprintf(launch->base, sizeof launch->base, "%s/filecleanup-XXXXXX", parent);
  if (n < 0 || (size_t)n >= sizeof launch->base || !mkdtemp(launch->base))
    return fail(parent, n < 0 || (size_t)n >= sizeof launch->base ? "too long" : strerror(errno));
  launch->base_made = true;
  return setenv("FILECLEANUP_BASE_DIR", launch->base, 1) == 0 ? 0 : fail("FILECLEANUP_BASE_DIR", strerror(errno));
}

/* For --report alone, when nobody has asked for the file. */
static void make_private_stats(struct launch *launch, struct fc_config *config) {
  if (!launch->options.report || config->policy.stats_file[0]) return;
  if (fc_stats_file_make(config->base, launch->stats, sizeof launch->stats)) {
    memcpy(config->policy.stats_file, launch->stats, sizeof launch->stats);
    return;
  }
  launch->stats[0] = '\0';
  launch->options.report = false;
  (void)fputs("filecleanup-run: no report: no private directory can be made for it\n", stderr);
}

static void unmake_private_places(const struct launch *launch) {
  if (launch->stats[0]) fc_stats_file_remove(launch->stats);
  if (launch->base_made) (void)rmdir(launch->base);
}

/* What the program and its children read: absolute names, and the token of the session. */
static int set_environment(const struct launch *launch, const struct fc_session *session, const char *shim) {
  char token[FC_TOKEN_BYTES];
  if (fc_session_token(session, token, sizeof token) == 0) return -ENAMETOOLONG;
  char *list = NULL;
  if (launch->outer && asprintf(&list, "%s,%s", token, launch->outer) < 0) return -ENOMEM;
  int rc = setenv("FILECLEANUP_SESSION", list ? list : token, 1);
  free(list);
  if (rc == 0) rc = setenv("FILECLEANUP_BASE_DIR", fc_session_base(session), 1);
  if (rc == 0 && launch->options.tmpdir) rc = setenv("TMPDIR", fc_session_base(session), 1);
  if (rc != 0) return -errno;
  if (launch->coverage.asan) rc = fc_coverage_allow_asan();
  return rc == 0 && fc_coverage_may_preload(&launch->coverage) ? preload(shim) : rc;
}

/* The program runs as if we were not there. */
static int become_uncovered(const struct launch *launch, const char *why, char **argv) {
  (void)fprintf(stderr, "%s\n", why);
  unmake_private_places(launch);
  if (launch->options.session)
    (void)(launch->outer ? setenv("FILECLEANUP_SESSION", launch->outer, 1) : unsetenv("FILECLEANUP_SESSION"));
  return become(argv);
}

static int launch_program(struct launch *launch, struct fc_config *config, char **argv) {
  static struct fc_session session;
  char message[FC_MESSAGE_MAX];
  char self[PATH_MAX];
  char shim[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  self[n > 0 ? n : 0] = '\0';
  make_private_stats(launch, config);
  if (!find_shim(shim, sizeof shim)) {
    unmake_private_places(launch);
    return fail(SHIM_NAME, "not found beside the command or where it was installed");
  }
  if (fc_session_establish(&session, config, launch->base_made ? 1 : 0, fc_named_find, environ, self, message,
                           sizeof message) != 0)
    return become_uncovered(launch, message, argv);
  fc_coverage_look(&launch->coverage, argv[0], shim);
  int rc = set_environment(launch, &session, shim);
  if (rc < 0) {
    fc_departure(&session);
    unmake_private_places(launch);
    return fail("cannot prepare the environment", strerror(-rc));
  }
  const bool guardian = launch->options.guardian && !fc_config_session_name(config);
  look_at_state(&session, !guardian && config->policy.on_startup);
  if (guardian) {
    rc = fc_guardian_start(&session);
    if (rc < 0)
      (void)fprintf(stderr, "filecleanup-run: no guardian (%s): what is killed is cleaned up by the next start\n",
                    strerror(-rc));
  }
  if (config->policy.log_level >= FC_LOG_WARN) {
    if (session.found && fc_named_differs(&session, config, environ, message, sizeof message))
      (void)fprintf(stderr, "%s\n", message);
    say_entries(&session);
    fc_coverage_warn(&launch->coverage, argv[0]);
  }
  if (launch->options.wait || getpid() == 1)
    return fc_parent_run(&session, argv, become_member,
                         &(struct fc_parent_wants){launch->options.leak_status, launch->options.report, launch->stats});
  return become_member(&session, argv);
}

/* Puts the name where it is parsed, and what stood there aside. */
static int take_session_name(struct launch *launch) {
  const char *before = getenv("FILECLEANUP_SESSION");
  if (before && before[0] && strncmp(before, FC_SESSION_NAME_PREFIX, sizeof FC_SESSION_NAME_PREFIX - 1) != 0) {
    launch->outer = strdup(before);
    if (!launch->outer) return -ENOMEM;
  }
  if (!launch->options.session) return 0;
  char *value = NULL;
  if (asprintf(&value, FC_SESSION_NAME_PREFIX "%s", launch->options.session) < 0) return -ENOMEM;
  const int rc = setenv("FILECLEANUP_SESSION", value, 1) == 0 ? 0 : -errno;
  free(value);
  return rc;
}

int fc_launcher_main(int argc, char **argv) {
  static struct launch launch = {.options = {.guardian = true}};
  static struct fc_config config;
  const int first = fc_options_parse(&launch.options, argc, argv);
  if (first <= 0) return first == 0 ? 0 : FC_EXIT_FAILURE;
  char **const program = argv + first;
  char message[FC_MESSAGE_MAX];
  const char *base = getenv("FILECLEANUP_BASE_DIR");
  const char *disabled = getenv("FILECLEANUP_DISABLE");
  if (disabled && disabled[0] && strcmp(disabled, "0") != 0) return become(program);
  int rc = take_session_name(&launch);
  if (rc < 0) return fail("FILECLEANUP_SESSION", strerror(-rc));
  if (fc_config_parse(&config, environ, message, sizeof message) != 0)
    return become_uncovered(&launch, message, program);
  const bool named = fc_config_session_name(&config) != NULL;
  if (named && launch.options.report) return fail("--report", "a named session has not ended when PROGRAM has");
  if (named && launch.options.leak_status)
    return fail("--fail-on-leak", "a named session has not ended when PROGRAM has");
  if (!base || !base[0]) {
    if (named) return fail("--session", "give the base too (--base DIR), so that others find it");
    launch.options.tmpdir = true;
    rc = make_private_base(&launch);
    if (rc != 0) return rc;
    if (fc_config_parse(&config, environ, message, sizeof message) != 0)
      return become_uncovered(&launch, message, program);
  }
  return launch_program(&launch, &config, program);
}
