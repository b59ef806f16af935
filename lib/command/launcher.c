#include "launcher.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base.h"
#include "config.h"
#include "departure.h"
#include "guardian.h"
#include "message.h"
#include "orphan.h"
#include "session.h"

extern char **environ;

#define SHIM_NAME "libfilecleanup_preload.so"
#define TOKEN_BYTES 8192

/* Options that stand for a variable of the same meaning: the variable is set, and the environment then parsed once. */
static const struct {
  const char *option;
  const char *variable;
  const char *argument;
} variables[] = {
    {"base", "FILECLEANUP_BASE_DIR", "DIR"},
    {"ttl", "FILECLEANUP_TTL", "SPAN"},
    {"interval", "FILECLEANUP_INTERVAL", "SPAN"},
    {"age-by", "FILECLEANUP_AGE_BY", "newest|mtime"},
    {"periodic", "FILECLEANUP_PERIODIC", "BOOL"},
    {"on-startup", "FILECLEANUP_ON_STARTUP", "BOOL"},
    {"on-exit", "FILECLEANUP_ON_EXIT", "delete|keep|keep-on-failure|report"},
    {"scope", "FILECLEANUP_SCOPE", "session|leader|process"},
    {"keep", "FILECLEANUP_KEEP", "GLOB"},
    {"dirs", "FILECLEANUP_DIRS", "empty|keep|recursive"},
    {"in-use", "FILECLEANUP_IN_USE", "skip|ignore"},
    {"max-bytes", "FILECLEANUP_MAX_BYTES", "SIZE"},
    {"max-files", "FILECLEANUP_MAX_FILES", "COUNT"},
    {"state-dir", "FILECLEANUP_STATE_DIR", "DIR"},
    {"track", "FILECLEANUP_TRACK", "own|all"},
    {"trust-base", "FILECLEANUP_TRUST_BASE", "BOOL"},
    {"exit-budget", "FILECLEANUP_EXIT_BUDGET", "SPAN"},
    {"log", "FILECLEANUP_LOG", "off|error|warn|info|debug"},
    {"log-file", "FILECLEANUP_LOG_FILE", "FILE|syslog"},
    {"stats", "FILECLEANUP_STATS", "FILE"},
};
#define VARIABLES (sizeof variables / sizeof *variables)

enum { OPTION_WAIT = 256, OPTION_NO_GUARDIAN, OPTION_TMPDIR, OPTION_HELP, OPTION_VERSION, OPTION_VARIABLE = 512 };

struct launch {
  bool wait;
  bool guardian;
  bool tmpdir;
  bool base_made; /* a private directory of ours */
  char base[PATH_MAX];
  char keep[FC_KEEP_MAX];
};

static void usage(FILE *out) {
  (void)fputs("Usage: filecleanup-run [OPTION]... [--] PROGRAM [ARG]...\n"
              "Run PROGRAM so that what it and its children create under a directory is removed when the last of them\n"
              "has ended, by exit, crash or kill. What was there before is never touched.\n\n"
              "  --base=DIR          the directory (made when missing); without it a private one under\n"
              "                      ${TMPDIR:-/tmp}, and --tmpdir is implied\n"
              "  --tmpdir            set TMPDIR to the base for PROGRAM\n"
              "  --wait              stay until the cleanup is complete, children in the background included\n"
              "  --no-guardian       no helper process: what is killed is cleaned up by the next start\n",
              out);
  for (size_t i = 1; i < VARIABLES; i++)
    (void)fprintf(out, "  --%s=%s\n                      %s\n", variables[i].option, variables[i].argument,
                  variables[i].variable);
  (void)fputs("  --help, --version\n\n"
              "Exit status: that of PROGRAM; 125 when filecleanup-run itself fails, 126 when PROGRAM cannot be run,\n"
              "127 when it is not found. --keep may be given several times.\n",
              out);
}

static int fail(const char *what, const char *why) {
  (void)fprintf(stderr, "filecleanup-run: %s: %s\n", what, why);
  return FC_EXIT_FAILURE;
}

/* Reads options into launch and the environment. Returns the index of PROGRAM, 0 to end with status 0, or -1. */
static int parse_options(struct launch *launch, int argc, char **argv) {
  struct option options[VARIABLES + 6];
  memset(options, 0, sizeof options);
  size_t n = 0;
  for (; n < VARIABLES; n++)
    options[n] = (struct option){variables[n].option, required_argument, NULL, OPTION_VARIABLE + (int)n};
  options[n++] = (struct option){"wait", no_argument, NULL, OPTION_WAIT};
  options[n++] = (struct option){"no-guardian", no_argument, NULL, OPTION_NO_GUARDIAN};
  options[n++] = (struct option){"tmpdir", no_argument, NULL, OPTION_TMPDIR};
  options[n++] = (struct option){"help", no_argument, NULL, OPTION_HELP};
  options[n++] = (struct option){"version", no_argument, NULL, OPTION_VERSION};
  static char name[] = "filecleanup-run"; /* what getopt puts before its messages */
  argv[0] = name;
  int c;
  while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
    switch (c) {
    case OPTION_WAIT:
      launch->wait = true;
      break;
    case OPTION_NO_GUARDIAN:
      launch->guardian = false;
      break;
    case OPTION_TMPDIR:
      launch->tmpdir = true;
      break;
    case 'h':
    case OPTION_HELP:
      usage(stdout);
      return 0;
    case OPTION_VERSION:
      (void)printf("filecleanup %s\n", FC_VERSION);
      return 0;
    case '?':
      (void)fputs("Try 'filecleanup-run --help' for more information.\n", stderr);
      return -1;
    default: {
      const char *variable = variables[c - OPTION_VARIABLE].variable;
      const char *value = optarg;
      if (strcmp(variable, "FILECLEANUP_KEEP") == 0) {
        const size_t used = strlen(launch->keep);
        if (used + strlen(optarg) + 2 > sizeof launch->keep) {
          (void)fail("--keep", "too many patterns");
          return -1;
        }
        (void)snprintf(launch->keep + used, sizeof launch->keep - used, "%s%s", used ? ":" : "", optarg);
        value = launch->keep;
      }
      if (setenv(variable, value, 1) != 0) {
        (void)fail(variable, strerror(errno));
        return -1;
      }
    }
    }
  }
  if (optind >= argc) {
    (void)fputs("filecleanup-run: no PROGRAM given\nTry 'filecleanup-run --help' for more information.\n", stderr);
    return -1;
  }
  return optind;
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

static void look_at_state(const struct fc_session *session, bool reap) {
  char dir[PATH_MAX];
  const char *name;
  const int dirfd = open_state(session, dir, sizeof dir, &name);
  if (dirfd < 0) return;
  (void)fc_orphan_scan(dirfd, dir, session->header->id, reap, FC_INFINITY_NS, warn, NULL);
  (void)close(dirfd);
}

static int become(char **argv) {
  (void)execvp(argv[0], argv);
  const int error = errno;
  (void)fprintf(stderr, "filecleanup-run: %s: %s\n", argv[0], strerror(error));
  return error == ENOENT ? FC_EXIT_NOT_FOUND : FC_EXIT_NOT_EXECUTABLE;
}

static pid_t waited_for;

static void forward(int number) {
  if (waited_for > 0) (void)kill(waited_for, number);
}

/* --wait: the program is a child, which gets the signals that are sent to us; we end as it ended. */
static int run_and_wait(struct fc_session *session, char **argv) {
  static const int forwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH};
  sigset_t all;
  sigset_t before;
  (void)sigfillset(&all);
  (void)sigprocmask(SIG_SETMASK, &all, &before);
  waited_for = fork();
  if (waited_for < 0) return fail("fork", strerror(errno));
  if (waited_for == 0) {
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    int64_t record;
    (void)fc_session_hand_over(session, (uint32_t)getpid(), &record);
    const int status = become(argv);
    fc_departure(session);
    _exit(status);
  }
  struct sigaction action = {.sa_handler = forward, .sa_flags = SA_RESTART};
  for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++) {
    struct sigaction old;
    if (sigaction(forwarded[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
      (void)sigaction(forwarded[i], &action, NULL);
  }
  (void)sigprocmask(SIG_SETMASK, &before, NULL);
  int status;
  while (waitpid(waited_for, &status, 0) < 0 && errno == EINTR) continue;
  waited_for = 0;
  if (WIFEXITED(status)) {
    /* The leader of the session is this process; how it ends is how the program ended. A signal leaves no record. */
    const struct fc_record end = {.type = FC_REC_END,
                                  .pid = (uint32_t)getpid(),
                                  .extra = (uint16_t)WEXITSTATUS(status),
                                  .time_ns = fc_journal_now()};
    (void)fc_journal_append(&session->journal, &end); /* lost: it reads as failure, and failure keeps */
  }
  if (fc_departure_has_scope(session, (uint32_t)getpid())) fc_departure_scope(session, (uint32_t)getpid());
  /* Complete is complete: no budget here. The exclusive lock is free only when nobody of the session lives. */
  fc_session_unlock(session);
  while (__atomic_load_n(&session->journal.words->done, __ATOMIC_ACQUIRE) == 0) {
    const int fd = fc_session_reopen(session);
    if (fd < 0) break;
    if (fc_session_probe(fd, FC_BYTE_GUARDIAN) == F_UNLCK) {
      char dir[PATH_MAX];
      const char *name;
      const int dirfd = open_state(session, dir, sizeof dir, &name);
      if (dirfd >= 0) {
        (void)fc_departure_try(dirfd, name, fd, session->header, FC_INFINITY_NS);
        (void)close(dirfd);
      }
    }
    (void)close(fd);
    (void)fc_sys_futex(&session->journal.words->done, FC_FUTEX_WAIT, 0, 50);
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  const int number = WTERMSIG(status);
  (void)signal(number, SIG_DFL);
  sigset_t one;
  (void)sigemptyset(&one);
  (void)sigaddset(&one, number);
  (void)sigprocmask(SIG_UNBLOCK, &one, NULL);
  (void)raise(number);
  return 128 + number;
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

static void unmake_private_base(const struct launch *launch) {
  if (launch->base_made) (void)rmdir(launch->base);
}

/* What the program and its children read: absolute names, and the token of the session. */
static int set_environment(const struct launch *launch, const struct fc_session *session, const char *shim) {
  char token[TOKEN_BYTES];
  if (fc_session_token(session, token, sizeof token) == 0) return -ENAMETOOLONG;
  const char *outer = getenv("FILECLEANUP_SESSION");
  char *list = NULL;
  if (outer && outer[0]) {
    if (asprintf(&list, "%s,%s", token, outer) < 0) return -ENOMEM;
  }
  int rc = setenv("FILECLEANUP_SESSION", list ? list : token, 1);
  free(list);
  if (rc == 0) rc = setenv("FILECLEANUP_BASE_DIR", fc_session_base(session), 1);
  if (rc == 0 && launch->tmpdir) rc = setenv("TMPDIR", fc_session_base(session), 1);
  if (rc != 0) return -errno;
  return preload(shim);
}

static int launch_program(struct launch *launch, const struct fc_config *config, char **argv) {
  static struct fc_session session;
  char message[FC_MESSAGE_MAX];
  char self[PATH_MAX];
  char shim[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  self[n > 0 ? n : 0] = '\0';
  if (!find_shim(shim, sizeof shim)) {
    unmake_private_base(launch);
    return fail(SHIM_NAME, "not found beside the command or where it was installed");
  }
  if (fc_session_establish(&session, config, launch->base_made ? 1 : 0, environ, self, message, sizeof message) != 0) {
    (void)fprintf(stderr, "%s\n", message);
    unmake_private_base(launch);
    return become(argv);
  }
  int rc = set_environment(launch, &session, shim);
  if (rc < 0) {
    fc_departure(&session);
    return fail("cannot prepare the environment", strerror(-rc));
  }
  look_at_state(&session, !launch->guardian && config->policy.on_startup);
  if (launch->guardian) {
    rc = fc_guardian_start(&session);
    if (rc < 0)
      (void)fprintf(stderr, "filecleanup-run: no guardian (%s): what is killed is cleaned up by the next start\n",
                    strerror(-rc));
  }
  if (launch->wait || getpid() == 1) return run_and_wait(&session, argv);
  int64_t record;
  const int fd = fc_session_hand_over(&session, (uint32_t)getpid(), &record);
  const int status = become(argv);
  fc_session_exec_failed(&session, fd, record);
  fc_departure(&session);
  return status;
}

int fc_launcher_main(int argc, char **argv) {
  static struct launch launch = {.guardian = true};
  static struct fc_config config;
  const int first = parse_options(&launch, argc, argv);
  if (first <= 0) return first == 0 ? 0 : FC_EXIT_FAILURE;
  char **const program = argv + first;
  char message[FC_MESSAGE_MAX];
  const char *base = getenv("FILECLEANUP_BASE_DIR");
  const char *disabled = getenv("FILECLEANUP_DISABLE");
  if (disabled && disabled[0] && strcmp(disabled, "0") != 0) return become(program);
  if (!base || !base[0]) {
    launch.tmpdir = true;
    const int rc = make_private_base(&launch);
    if (rc != 0) return rc;
  }
  if (fc_config_parse(&config, environ, message, sizeof message) != 0) {
    (void)fprintf(stderr, "%s\n", message);
    unmake_private_base(&launch);
    return become(program);
  }
  return launch_program(&launch, &config, program);
}
