#include "options.h"

#include "launcher.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRY_HELP "Try 'filecleanup-run --help' for more information.\n"
#define HELP_COLUMN 24 /* where the meanings begin */
#define STATUS_MAX 255

enum { WAIT = 256, NO_GUARDIAN, TMPDIR, SESSION, FAIL_ON_LEAK, REPORT, HELP, VERSION, VARIABLE = 512 };

/* One row for each option. variable: set to the argument, and the environment is then parsed as if the user had set it.
 * heading: begins a group of the help text. */
static const struct {
  const char *option;
  const char *argument; /* NULL = none, "[...]" = may be left out */
  int code;
  const char *variable;
  const char *heading;
  const char *meaning; /* one line, or several; what stands in brackets is the default */
} rows[] = {
    {"base", "DIR", VARIABLE, "FILECLEANUP_BASE_DIR",
     "Where:", "the directory, made when missing [a private one under\n${TMPDIR:-/tmp}; then --tmpdir is implied]"},
    {"tmpdir", NULL, TMPDIR, NULL, NULL, "set TMPDIR to the base for PROGRAM"},
    {"trust-base", "BOOL", VARIABLE, "FILECLEANUP_TRUST_BASE", NULL,
     "accept the working directory, a repository, or what\ncontains your home as base [0]"},
    {"state-dir", "DIR", VARIABLE, "FILECLEANUP_STATE_DIR", NULL,
     "where sessions are recorded [~/.local/state/filecleanup\nor the first of some others that works]"},

    {"on-exit", "WHAT", VARIABLE, "FILECLEANUP_ON_EXIT",
     "What is deleted:", "delete, keep, keep-on-failure, or report [delete]"},
    {"keep", "GLOB", VARIABLE, "FILECLEANUP_KEEP", NULL,
     "never delete what matches, relative to the base; may be\ngiven several times"},
    {"dirs", "WHAT", VARIABLE, "FILECLEANUP_DIRS", NULL,
     "directories of PROGRAM: remove when empty, keep, or\nrecursive [empty]"},
    {"track", "WHAT", VARIABLE, "FILECLEANUP_TRACK", NULL,
     "own: not in your directories that hold other things;\nall: there too [own]"},
    {"in-use", "WHAT", VARIABLE, "FILECLEANUP_IN_USE", NULL, "skip what others have open, or ignore that [skip]"},

    {"on-startup", "BOOL", VARIABLE, "FILECLEANUP_ON_STARTUP",
     "When:", "first remove what dead sessions of this base left [1]"},
    {"scope", "WHAT", VARIABLE, "FILECLEANUP_SCOPE", NULL,
     "at the end of the whole session, of the leader, or of\neach process [session]"},
    {"exit-budget", "SPAN", VARIABLE, "FILECLEANUP_EXIT_BUDGET", NULL, "the most that cleanup may delay an exit [5s]"},
    {"periodic", "BOOL", VARIABLE, "FILECLEANUP_PERIODIC", NULL, "also sweep while PROGRAM runs [1]"},
    {"ttl", "SPAN", VARIABLE, "FILECLEANUP_TTL", NULL,
     "sweep what is older, like 2h 30min; infinity = never;\nof a named session: its life without use [24h]"},
    {"age-by", "WHAT", VARIABLE, "FILECLEANUP_AGE_BY", NULL, "newest of all times, or mtime [newest]"},
    {"interval", "SPAN", VARIABLE, "FILECLEANUP_INTERVAL", NULL, "time between two sweeps [30min]"},
    {"max-bytes", "SIZE", VARIABLE, "FILECLEANUP_MAX_BYTES", NULL, "sweep the oldest beyond it, like 512M [infinity]"},
    {"max-files", "COUNT", VARIABLE, "FILECLEANUP_MAX_FILES", NULL, "the same for their number [infinity]"},

    {"session", "NAME", SESSION, NULL,
     "Processes:", "share the session NAME of this base with other commands,\nuntil 'filecleanup end NAME' or its TTL"},
    {"wait", NULL, WAIT, NULL, NULL, "stay until the cleanup is complete, children in the\nbackground included"},
    {"fail-on-leak", "[CODE]", FAIL_ON_LEAK, NULL, NULL,
     "exit CODE when PROGRAM succeeds but leaves something to\ndelete; implies --wait [99]"},
    {"no-guardian", NULL, NO_GUARDIAN, NULL, NULL,
     "no helper process: what is killed is cleaned up by the\nnext start"},

    {"log", "LEVEL", VARIABLE, "FILECLEANUP_LOG", "Messages:", "off, error, warn, info or debug [warn]"},
    {"log-file", "FILE", VARIABLE, "FILECLEANUP_LOG_FILE", NULL, "where to, or syslog [beside the session's record]"},
    {"stats", "FILE", VARIABLE, "FILECLEANUP_STATS", NULL, "gets one JSON object at the end"},
    {"report", "[FILE]", REPORT, NULL, NULL,
     "tell at the end, on stderr, what was made, deleted and\nleft; implies --wait; with FILE as --stats=FILE too"},
    {"help", NULL, HELP, NULL, NULL, "this text"},
    {"version", NULL, VERSION, NULL, NULL, "the version"},
};
#define ROWS (sizeof rows / sizeof *rows)

static void print_row(size_t i) {
  if (rows[i].heading) (void)printf("\n%s\n", rows[i].heading);
  int column = printf("  --%s", rows[i].option);
  if (rows[i].argument && rows[i].argument[0] == '[')
    column += printf("[=%s", rows[i].argument + 1);
  else if (rows[i].argument)
    column += printf("=%s", rows[i].argument);
  for (const char *line = rows[i].meaning; line;) {
    const size_t len = strcspn(line, "\n");
    (void)printf("%*s%.*s\n", HELP_COLUMN - column, "", (int)len, line);
    column = 0;
    line = line[len] ? line + len + 1 : NULL;
  }
}

static void usage(void) {
  (void)fputs("Usage: filecleanup-run [OPTION]... [--] PROGRAM [ARG]...\n"
              "Run PROGRAM so that what it and its children create under a directory is removed\n"
              "when the last of them has ended, by exit, crash or kill. What was there before\n"
              "is never touched.\n",
              stdout);
  for (size_t i = 0; i < ROWS; i++) print_row(i);
  (void)fputs("\n"
              "--some-name=VALUE can also be set as FILECLEANUP_SOME_NAME=VALUE, --base as\n"
              "FILECLEANUP_BASE_DIR, --session=NAME as FILECLEANUP_SESSION=name:NAME; and\n"
              "FILECLEANUP_DISABLE=1 turns everything off. Default values stand in brackets.\n"
              "\n"
              "Exit status: that of PROGRAM; CODE of --fail-on-leak; 125 when filecleanup-run\n"
              "itself fails, 126 when PROGRAM cannot be run, 127 when it is not found.\n",
              stdout);
}

static int complain(const char *what, const char *why) {
  (void)fprintf(stderr, "filecleanup-run: %s: %s\n" TRY_HELP, what, why);
  return -1;
}

static int set_leak_status(struct fc_options *options, const char *text) {
  options->wait = true;
  options->leak_status = FC_LEAK_STATUS;
  if (!text) return 0;
  char *end;
  errno = 0;
  const long status = strtol(text, &end, 10);
  if (errno || end == text || *end || status < 1 || status > STATUS_MAX)
    return complain("--fail-on-leak", "CODE must be a number from 1 to 255");
  options->leak_status = (int)status;
  return 0;
}

static int set_variable(struct fc_options *options, const char *variable, const char *value) {
  if (strcmp(variable, "FILECLEANUP_KEEP") == 0) {
    const size_t used = strlen(options->keep);
    if (used + strlen(value) + 2 > sizeof options->keep) return complain("--keep", "too many patterns");
    (void)snprintf(options->keep + used, sizeof options->keep - used, "%s%s", used ? ":" : "", value);
    value = options->keep;
  }
  return setenv(variable, value, 1) == 0 ? 0 : complain(variable, strerror(errno));
}

int fc_options_parse(struct fc_options *options, int argc, char **argv) {
  static char name[] = "filecleanup-run"; /* what getopt puts before its messages */
  struct option list[ROWS + 1];
  memset(list, 0, sizeof list);
  for (size_t i = 0; i < ROWS; i++) {
    const char *const argument = rows[i].argument;
    const int has = !argument ? no_argument : argument[0] == '[' ? optional_argument : required_argument;
    list[i] = (struct option){rows[i].option, has, NULL, rows[i].code == VARIABLE ? VARIABLE + (int)i : rows[i].code};
  }
  argv[0] = name;
  int c;
  while ((c = getopt_long(argc, argv, "+h", list, NULL)) != -1) {
    int rc = 0;
    switch (c) {
    case WAIT:
      options->wait = true;
      break;
    case NO_GUARDIAN:
      options->guardian = false;
      break;
    case TMPDIR:
      options->tmpdir = true;
      break;
    case SESSION:
      options->session = optarg;
      break;
    case FAIL_ON_LEAK:
      rc = set_leak_status(options, optarg);
      break;
    case REPORT:
      options->report = options->wait = true;
      if (optarg) rc = set_variable(options, "FILECLEANUP_STATS", optarg);
      break;
    case 'h':
    case HELP:
      usage();
      return 0;
    case VERSION:
      (void)printf("filecleanup %s\n", FC_VERSION);
      return 0;
    case '?':
      (void)fputs(TRY_HELP, stderr);
      return -1;
    default:
      rc = set_variable(options, rows[c - VARIABLE].variable, optarg);
    }
    if (rc != 0) return -1;
  }
  if (optind < argc) return optind;
  (void)fputs("filecleanup-run: no PROGRAM given\n" TRY_HELP, stderr);
  return -1;
}

const struct fc_launcher_option *fc_launcher_option(size_t index) {
  static struct fc_launcher_option list[sizeof rows / sizeof *rows];
  static size_t count;
  for (size_t i = 0, end = count ? 0 : sizeof rows / sizeof *rows; i < end; i++)
    if (rows[i].variable)
      list[count++] = (struct fc_launcher_option){rows[i].option, rows[i].variable, rows[i].argument};
  return index < count ? &list[index] : NULL;
}
