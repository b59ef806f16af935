#include "verb.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launcher.h"
#include "message.h"

extern char **environ;

#define OPTIONS_MAX 64
enum {
  OPTION_BASE = 256,
  OPTION_STATE_DIR,
  OPTION_JSON,
  OPTION_SESSION,
  OPTION_PROBE_BASE,
  OPTION_HTML,
  OPTION_VARIABLE = 512
};

_Noreturn void fc_verb_no_memory(void) {
  (void)fputs("filecleanup: out of memory\n", stderr);
  exit(FC_EXIT_SOME_FAILED);
}

void *fc_verb_alloc(size_t size) {
  void *memory = calloc(1, size ? size : 1);
  if (!memory) fc_verb_no_memory();
  return memory;
}

char *fc_verb_copy(const char *text, size_t len) {
  char *copy = fc_verb_alloc(len + 1);
  memcpy(copy, text, len);
  return copy;
}

char *fc_verb_join(const char *a, const char *b) {
  char *joined = fc_verb_alloc(strlen(a) + strlen(b) + 1);
  memcpy(joined, a, strlen(a));
  memcpy(joined + strlen(a), b, strlen(b));
  return joined;
}

void fc_verb_say(const char *format, ...) {
  va_list args;
  (void)fflush(stdout);
  (void)fputs("filecleanup: ", stderr);
  va_start(args, format);
  (void)vfprintf(stderr, format, args);
  va_end(args);
  (void)fputc('\n', stderr);
}

int fc_verb_finish(int status) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return status;
  fc_verb_say("cannot write the answer: %s", strerror(errno));
  return status == FC_EXIT_DONE ? FC_EXIT_SOME_FAILED : status;
}

static void help(const struct fc_verb *verb) {
  static const struct {
    unsigned option;
    const char *text;
  } lines[] = {
      {FC_OPTION_BASE, "      --base=DIR       only this base (default: FILECLEANUP_BASE_DIR, else all)\n"
                       "      --state-dir=DIR  where sessions are recorded (FILECLEANUP_STATE_DIR)\n"},
      {FC_OPTION_SESSION, "      --session=ID     only this session; the beginning of its id is enough\n"},
      {FC_OPTION_WATCH, "  -w, --watch          again every two seconds, until interrupted\n"},
      {FC_OPTION_PROBE_BASE, "      --probe-base     try out the base's file system too, with files that are\n"
                             "                       removed at once\n"},
      {FC_OPTION_DRY_RUN, "  -n, --dry-run        say what would be done, and do nothing\n"},
      {FC_OPTION_JSON, "      --json           for programs\n"},
      {FC_OPTION_HTML, "      --html=FILE      a page for a browser ('-' = stdout)\n"},
      {FC_OPTION_NULL, "  -0, --null           names only, as they are, each followed by a NUL\n"},
      {FC_OPTION_VERBOSE, "  -v, --verbose        say more\n"
                          "  -q, --quiet          say less\n"},
  };
  (void)printf("Usage: filecleanup %s [OPTION]...%s\n%s.\n\n%s\n", verb->name, verb->operands, verb->summary,
               verb->help);
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
    if (verb->options & lines[i].option) (void)fputs(lines[i].text, stdout);
  (void)puts("  -h, --help");
  if (verb->options & FC_OPTION_VARIABLES) {
    (void)puts("\nAs for 'filecleanup run', each of these stands for a variable:");
    const struct fc_launcher_option *o;
    for (size_t i = 0; (o = fc_launcher_option(i)) != NULL; i++)
      if (strcmp(o->option, "base") != 0 && strcmp(o->option, "state-dir") != 0) /* told above */
        (void)printf("      --%s=%s\n", o->option, o->argument);
  }
}

static int usage_error(const struct fc_verb *verb) {
  (void)fprintf(stderr, "Try 'filecleanup %s --help' for more information.\n", verb->name);
  return FC_EXIT_USAGE;
}

/* What stands for a variable goes where the configuration is read from. */
static void set_variable(struct fc_verb_options *options, const char *variable, const char *value) {
  static const char *given[OPTIONS_MAX];
  size_t n = 0;
  while (given[n] && strcmp(given[n], variable) != 0) n++;
  char *joined = NULL;
  if (given[n] && strcmp(variable, "FILECLEANUP_KEEP") == 0) { /* repeatable */
    char *before = fc_verb_join(getenv(variable), ":");
    joined = fc_verb_join(before, value);
    free(before);
  }
  given[n] = variable;
  options->given = given;
  if (setenv(variable, joined ? joined : value, 1) != 0) fc_verb_no_memory();
  free(joined);
}

static size_t collect(const struct fc_verb *verb, struct option *list) {
  size_t n = 0;
  const unsigned takes = verb->options;
  list[n++] = (struct option){"help", no_argument, NULL, 'h'};
  if (takes & FC_OPTION_JSON) list[n++] = (struct option){"json", no_argument, NULL, OPTION_JSON};
  if (takes & FC_OPTION_VERBOSE) list[n++] = (struct option){"verbose", no_argument, NULL, 'v'};
  if (takes & FC_OPTION_VERBOSE) list[n++] = (struct option){"quiet", no_argument, NULL, 'q'};
  if (takes & FC_OPTION_DRY_RUN) list[n++] = (struct option){"dry-run", no_argument, NULL, 'n'};
  if (takes & FC_OPTION_NULL) list[n++] = (struct option){"null", no_argument, NULL, '0'};
  if (takes & FC_OPTION_WATCH) list[n++] = (struct option){"watch", no_argument, NULL, 'w'};
  if (takes & FC_OPTION_PROBE_BASE) list[n++] = (struct option){"probe-base", no_argument, NULL, OPTION_PROBE_BASE};
  if (takes & FC_OPTION_HTML) list[n++] = (struct option){"html", required_argument, NULL, OPTION_HTML};
  if (takes & FC_OPTION_SESSION) list[n++] = (struct option){"session", required_argument, NULL, OPTION_SESSION};
  if (takes & FC_OPTION_VARIABLES) {
    const struct fc_launcher_option *o;
    for (size_t i = 0; n + 1 < OPTIONS_MAX && (o = fc_launcher_option(i)) != NULL; i++)
      list[n++] = (struct option){o->option, required_argument, NULL, OPTION_VARIABLE + (int)i};
  } else if (takes & FC_OPTION_BASE) {
    list[n++] = (struct option){"base", required_argument, NULL, OPTION_BASE};
    list[n++] = (struct option){"state-dir", required_argument, NULL, OPTION_STATE_DIR};
  }
  return n;
}

static void collect_short(unsigned takes, char *out) {
  *out++ = 'h';
  if (takes & FC_OPTION_VERBOSE) *out++ = 'v', *out++ = 'q';
  if (takes & FC_OPTION_NULL) *out++ = '0';
  if (takes & FC_OPTION_DRY_RUN) *out++ = 'n';
  if (takes & FC_OPTION_WATCH) *out++ = 'w';
  *out = '\0';
}

/* An option of its own outdoes a variable that asks for nothing to be done at all. */
static int read_config(struct fc_verb_options *options) {
  size_t count = 0;
  while (environ[count]) count++;
  char **const kept = fc_verb_alloc((count + 1) * sizeof *kept);
  size_t n = 0;
  for (size_t i = 0; i < count; i++)
    if (strncmp(environ[i], "FILECLEANUP_DISABLE=", sizeof "FILECLEANUP_DISABLE=" - 1) != 0) kept[n++] = environ[i];
  char message[FC_MESSAGE_MAX];
  const int rc = fc_config_parse(&options->config, kept, message, sizeof message);
  free(kept);
  if (rc == 0) return FC_EXIT_DONE;
  /* "; nothing will be deleted" is what it means for a program that runs. */
  char *end = strstr(message, FC_MESSAGE_CONSEQUENCE);
  if (end && end[sizeof FC_MESSAGE_CONSEQUENCE - 1] == '\0') *end = '\0';
  (void)fprintf(stderr, "%s\n", message);
  return FC_EXIT_BAD_CONFIG;
}

int fc_verb_main(const struct fc_verb *verb, int argc, char **argv) {
  static struct fc_verb_options options;
  static char name[64];
  static const char *const none[] = {NULL};
  struct option list[OPTIONS_MAX] = {0};
  char letters[16];
  (void)collect(verb, list);
  collect_short(verb->options, letters);
  (void)snprintf(name, sizeof name, "filecleanup %s", verb->name);
  argv[0] = name; /* what getopt puts before its messages */
  options.given = none;
  int c;
  while ((c = getopt_long(argc, argv, letters, list, NULL)) != -1) {
    switch (c) {
    case 'h':
      help(verb);
      return fc_verb_finish(FC_EXIT_DONE);
    case 'v':
      options.verbose++;
      break;
    case 'q':
      options.quiet = true;
      break;
    case '0':
      options.null = true;
      break;
    case 'n':
      options.dry_run = true;
      break;
    case 'w':
      options.watch = true;
      break;
    case OPTION_JSON:
      options.json = true;
      break;
    case OPTION_PROBE_BASE:
      options.probe_base = true;
      break;
    case OPTION_HTML:
      options.html = optarg;
      break;
    case OPTION_SESSION:
      options.session = optarg;
      break;
    case OPTION_BASE:
      set_variable(&options, "FILECLEANUP_BASE_DIR", optarg);
      break;
    case OPTION_STATE_DIR:
      set_variable(&options, "FILECLEANUP_STATE_DIR", optarg);
      break;
    case '?':
      return usage_error(verb);
    default:
      set_variable(&options, fc_launcher_option((size_t)(c - OPTION_VARIABLE))->variable, optarg);
    }
  }
  if (optind < argc && !verb->operands[0]) {
    fc_verb_say("%s takes no operand: '%s'", verb->name, argv[optind]);
    return usage_error(verb);
  }
  if (optind == argc && verb->operands[0]) {
    fc_verb_say("%s needs%s", verb->name, verb->operands);
    return usage_error(verb);
  }
  if (options.json && options.null) {
    fc_verb_say("--json and --null are two forms of one answer: give one of them");
    return usage_error(verb);
  }
  options.operands = argv + optind;
  const int bad = read_config(&options);
  if (bad) return bad;
  return fc_verb_finish(verb->run(verb, &options));
}
