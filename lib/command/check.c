/* check: the effective configuration, and what this kernel and the file systems support. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "human.h"
#include "json.h"
#include "launcher.h"
#include "message.h"
#include "policy.h"
#include "probe.h"
#include "state.h"
#include "verb.h"

extern char **environ;

#define NAME_COLUMNS 24
#define PROBE_COLUMNS 20
#define RESULT_COLUMNS 8
#define PLACES 3

struct place {
  char path[PATH_MAX];
  const char *what; /* "in use", "not there yet" ... */
  bool usable;
  bool probed;
  struct fc_probes probes;
};

struct answer {
  const struct fc_verb_options *options;
  bool base_exists;
  char base[PATH_MAX];
  char refused[FC_MESSAGE_MAX]; /* "" = accepted, or no base */
  struct fc_probes kernel;
  struct fc_probes of_base;
  struct place places[PLACES];
  size_t place_count;
  size_t chosen; /* place_count = none */
};

/* ---- the settings ---- */

static const char *origin_of(const struct fc_verb_options *options, const char *variable) {
  for (const char *const *given = options->given; *given; given++)
    if (strcmp(*given, variable) == 0) return "option";
  return getenv(variable) ? "environment" : "default";
}

/* Variables that have no option. */
static const char *const other_variables[] = {"FILECLEANUP_GUARDIAN", "FILECLEANUP_SESSION"};

static const char *variable_at(size_t i, const char **option) {
  size_t count = 0;
  while (fc_launcher_option(count)) count++;
  *option = NULL;
  if (i < count) {
    *option = fc_launcher_option(i)->option;
    return fc_launcher_option(i)->variable;
  }
  i -= count;
  return i < sizeof other_variables / sizeof *other_variables ? other_variables[i] : NULL;
}

static bool is_disabled(void) {
  const char *value = getenv("FILECLEANUP_DISABLE");
  return value && value[0] && strcmp(value, "0") != 0;
}

/* ---- the base ---- */

static void check_base(struct answer *a) {
  const struct fc_config *config = &a->options->config;
  if (!config->has_base) return;
  (void)snprintf(a->base, sizeof a->base, "%s", config->base);
  const int fd = open(config->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return;
  if (fd < 0) {
    (void)fc_message_refuse(a->refused, sizeof a->refused, "FILECLEANUP_BASE_DIR", config->base, strerror(errno));
    return;
  }
  a->base_exists = true;
  char link[32];
  char self[PATH_MAX];
  (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, a->base, sizeof a->base - 1);
  if (n > 0) a->base[n] = '\0';
  n = readlink("/proc/self/exe", self, sizeof self - 1);
  self[n > 0 ? n : 0] = '\0';
  if (fc_config_check_base(config, fd, a->base, environ, self, a->refused, sizeof a->refused) == 0)
    a->refused[0] = '\0';
  if (!a->refused[0]) {
    const int dirfd = a->options->probe_base ? open(a->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    fc_probe_directory(&a->of_base, dirfd >= 0 ? dirfd : fd, false, dirfd >= 0 ? FC_PROBE_NAMES : FC_PROBE_LOOK);
    if (dirfd >= 0) (void)close(dirfd);
  }
  (void)close(fd);
}

/* ---- the state directories ---- */

/* The nearest directory above that exists: where it would be made. */
static int open_above(const char *path) {
  char *work = fc_verb_copy(path, strlen(path));
  int fd = -1;
  for (char *slash; fd < 0 && (slash = strrchr(work, '/')) != NULL;) {
    *slash = '\0';
    fd = open(work[0] ? work : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT) break;
  }
  free(work);
  if (fd >= 0 && faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) == 0) return fd;
  if (fd >= 0) (void)close(fd);
  return -1;
}

static void check_place(struct place *place) {
  int fd = fc_state_open_directory(AT_FDCWD, place->path);
  const bool exists = fd >= 0;
  if (fd == -ENOENT) {
    fd = open_above(place->path);
    place->what = fd >= 0 ? "not there yet; it is made when needed" : "not there, and cannot be made";
  } else if (fd < 0) {
    place->what = fd == -EPERM ? "not a directory of yours alone (mode 0700)" : strerror(-fd);
  } else {
    place->what = "there";
  }
  if (fd < 0) return;
  fc_probe_directory(&place->probes, fd, true, exists ? FC_PROBE_NAMES : FC_PROBE_NAMELESS);
  place->probed = true;
  place->usable = fc_probe_is_usable(&place->probes);
  (void)close(fd);
}

static void check_places(struct answer *a) {
  char path[PATH_MAX];
  for (unsigned i = 0; fc_state_place(i, &a->options->config, environ, path, sizeof path); i++) {
    if (!path[0] || a->place_count == PLACES) continue;
    struct place *place = &a->places[a->place_count++];
    memcpy(place->path, path, sizeof place->path);
    check_place(place);
  }
  for (a->chosen = 0; a->chosen < a->place_count && !a->places[a->chosen].usable;) a->chosen++;
}

/* ---- for programs ---- */

static json_t *object(void) {
  json_t *made = json_object();
  if (!made) fc_verb_no_memory();
  return made;
}

static void probes_json(json_t *list, const char *subject, const char *path, const struct fc_probes *probes) {
  for (size_t i = 0; i < probes->count; i++) {
    const struct fc_probe *probe = &probes->list[i];
    json_t *row = object();
    fc_json_text(row, "subject", subject);
    fc_json_name(row, "path", path);
    fc_json_text(row, "probe", probe->name);
    fc_json_text(row, "result", fc_probe_result_name(probe->result));
    fc_json_text(row, "detail", probe->detail[0] ? probe->detail : NULL);
    fc_json_text(row, "follows", probe->follows);
    fc_json_add(list, row);
  }
}

static bool print_json(const struct answer *a) {
  json_t *root = fc_json_begin("check");
  json_t *settings = json_array();
  json_t *places = json_array();
  json_t *probes = json_array();
  fc_json_set(root, "ok", json_boolean(!a->refused[0] && a->chosen < a->place_count));
  fc_json_set(root, "disabled", json_boolean(is_disabled()));
  fc_json_name(root, "base", a->base[0] ? a->base : NULL);
  fc_json_set(root, "base_exists", a->base[0] ? json_boolean(a->base_exists) : NULL);
  fc_json_text(root, "refused", a->refused[0] ? a->refused : NULL);
  const char *option;
  const char *variable;
  for (size_t i = 0; (variable = variable_at(i, &option)) != NULL; i++) {
    char *value = fc_policy_value(&a->options->config, variable);
    json_t *row = object();
    fc_json_text(row, "name", variable);
    fc_json_text(row, "option", option);
    fc_json_name(row, "value", value && value[0] ? value : NULL);
    fc_json_text(row, "origin", origin_of(a->options, variable));
    fc_json_add(settings, row);
    free(value);
  }
  probes_json(probes, "kernel", NULL, &a->kernel);
  for (size_t i = 0; i < a->place_count; i++) {
    json_t *row = object();
    fc_json_name(row, "path", a->places[i].path);
    fc_json_text(row, "what", a->places[i].what);
    fc_json_set(row, "usable", json_boolean(a->places[i].usable));
    fc_json_set(row, "chosen", json_boolean(i == a->chosen));
    fc_json_add(places, row);
    probes_json(probes, "state", a->places[i].path, &a->places[i].probes);
  }
  probes_json(probes, "base", a->base, &a->of_base);
  fc_json_set(root, "settings", settings);
  fc_json_set(root, "state_dirs", places);
  fc_json_set(root, "probes", probes);
  return fc_json_end(root, false);
}

/* ---- for people ---- */

static void heading(const char *text) {
  (void)printf("%s%s%s\n", fc_human_colour(FC_COLOUR_HEAD), text, fc_human_plain());
}

static void print_settings(const struct answer *a) {
  const char *option;
  const char *variable;
  heading("Configuration");
  if (is_disabled()) (void)puts("  FILECLEANUP_DISABLE is set: programs run as if filecleanup did not exist");
  for (size_t i = 0; (variable = variable_at(i, &option)) != NULL; i++) {
    const char *origin = origin_of(a->options, variable);
    char *value = fc_policy_value(&a->options->config, variable);
    char *shown = fc_human_name(value && value[0] ? value : "-");
    const bool is_default = strcmp(origin, "default") == 0;
    (void)printf("  %-*s %s%-11s%s ", NAME_COLUMNS, variable,
                 fc_human_colour(is_default ? FC_COLOUR_DIM : FC_COLOUR_NOTE), origin, fc_human_plain());
    fc_human_wrap(shown, NAME_COLUMNS + 15, NAME_COLUMNS + 15, fc_human_width());
    free(shown);
    free(value);
  }
}

static enum fc_colour colour_of(enum fc_probe_result result) {
  return result == FC_PROBE_YES ? FC_COLOUR_GOOD : result == FC_PROBE_NO ? FC_COLOUR_NOTE : FC_COLOUR_DIM;
}

static void print_probes(const struct fc_probes *probes) {
  for (size_t i = 0; i < probes->count; i++) {
    const struct fc_probe *probe = &probes->list[i];
    char *text = NULL;
    if (asprintf(&text, "%s%s%s", probe->detail, probe->detail[0] ? ": " : "", probe->follows) < 0) fc_verb_no_memory();
    (void)printf("  %-*s %s%-*s%s ", PROBE_COLUMNS, probe->name, fc_human_colour(colour_of(probe->result)),
                 RESULT_COLUMNS, fc_probe_result_name(probe->result), fc_human_plain());
    const size_t indent = PROBE_COLUMNS + RESULT_COLUMNS + 4;
    fc_human_wrap(text, indent, indent, fc_human_width());
    free(text);
  }
}

static void print_base(const struct answer *a) {
  if (!a->base[0]) {
    (void)puts("\nno base is set: without one programs run as ever (FILECLEANUP_BASE_DIR, --base)");
    return;
  }
  char *base = fc_human_name(a->base);
  (void)printf("\n%sBase%s %s%s\n", fc_human_colour(FC_COLOUR_HEAD), fc_human_plain(), base,
               a->refused[0]     ? " (refused)"
               : !a->base_exists ? " (not there yet; it is made, and removed again when it is empty)"
                                 : "");
  free(base);
  print_probes(&a->of_base);
}

static void print_all(const struct answer *a) {
  print_settings(a);
  (void)putchar('\n');
  heading("Kernel");
  print_probes(&a->kernel);
  for (size_t i = 0; i < a->place_count; i++) {
    char *path = fc_human_name(a->places[i].path);
    (void)printf("\n%sState directory%s %s\n  %s%s\n", fc_human_colour(FC_COLOUR_HEAD), fc_human_plain(), path,
                 a->places[i].what, i == a->chosen ? "; sessions are recorded here" : "");
    print_probes(&a->places[i].probes);
    free(path);
  }
  print_base(a);
}

/* What is wrong, on stderr. */
static int complain(const struct answer *a) {
  if (a->chosen == a->place_count) fc_verb_say("no usable state directory: nothing can be tracked");
  if (!a->refused[0]) return a->chosen == a->place_count ? FC_EXIT_SOME_FAILED : FC_EXIT_DONE;
  (void)fflush(stdout);
  (void)fprintf(stderr, "%s\n", a->refused);
  return FC_EXIT_REFUSED;
}

static int run(const struct fc_verb *verb, const struct fc_verb_options *options) {
  (void)verb;
  struct answer *a = fc_verb_alloc(sizeof *a);
  a->options = options;
  fc_probe_kernel(&a->kernel);
  check_base(a);
  check_places(a);
  int rc = FC_EXIT_DONE;
  if (options->json)
    rc = print_json(a) ? FC_EXIT_DONE : FC_EXIT_SOME_FAILED;
  else if (!options->quiet)
    print_all(a);
  const int wrong = complain(a);
  free(a);
  return wrong ? wrong : rc;
}

const struct fc_verb fc_verb_check = {
    .name = "check",
    .summary = "The effective configuration, and what this machine supports",
    .operands = "",
    .help = "Shows each setting and where it comes from, tries out kernel, state directories\n"
            "and base, and says what follows. Leaves nothing behind. With -q only what is\n"
            "wrong. Status 65: a value cannot be accepted; 77: the base is refused; 1:\n"
            "nothing can be tracked, for want of a state directory.\n",
    .options = FC_OPTION_BASE | FC_OPTION_JSON | FC_OPTION_VERBOSE | FC_OPTION_PROBE_BASE | FC_OPTION_VARIABLES,
    .run = run,
};
