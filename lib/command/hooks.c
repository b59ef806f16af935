/* hooks: the table of intercepted functions. */
#include <stdio.h>
#include <string.h>

#include "human.h"
#include "json.h"
#include "verb.h"

#define NAME_COLUMNS 19
#define DECISION_COLUMNS 6

#define GROUP_INDENT 2

static const struct {
  const char *names; /* one, or those of a group with spaces between them */
  const char *decision;
  const char *why;
} rows[] = {
#define FC_HOOKS_OF_ALL_MACHINES 1
#define FC_HOOK(name, returns, arguments, what) {#name, "hook", what},
#define FC_ALSO(name, what) {#name, "hook", what},
#define FC_SKIP(name, why) {#name, "skip", why},
#define FC_SKIPS(why, names) {names, "skip", why},
#include "hooks.def"
};
#define ROWS (sizeof rows / sizeof *rows)

static bool is_hook(size_t i) { return strcmp(rows[i].decision, "hook") == 0; }
static bool is_group(size_t i) { return strchr(rows[i].names, ' ') != NULL; }

/* One row for each function of row i. */
static void add_rows(json_t *list, size_t i) {
  for (const char *name = rows[i].names; *name;) {
    const size_t len = strcspn(name, " ");
    json_t *row = json_object();
    fc_json_add(list, row);
    if (json_object_set_new(row, "function", json_stringn(name, len)) != 0) return; /* told by fc_json_end */
    fc_json_text(row, "decision", rows[i].decision);
    fc_json_text(row, "why", rows[i].why);
    name += len + (name[len] == ' ');
  }
}

static bool print_json(void) {
  json_t *root = fc_json_begin("hooks");
  json_t *list = json_array();
  for (size_t i = 0; i < ROWS; i++) add_rows(list, i);
  fc_json_set(root, "hooks", list);
  return fc_json_end(root, false);
}

static void print_row(size_t i) {
  (void)printf("%-*s %s%-*s%s ", NAME_COLUMNS, rows[i].names,
               fc_human_colour(is_hook(i) ? FC_COLOUR_GOOD : FC_COLOUR_DIM), DECISION_COLUMNS, rows[i].decision,
               fc_human_plain());
  const size_t indent = NAME_COLUMNS + DECISION_COLUMNS + 2;
  const size_t longer = strlen(rows[i].names) > NAME_COLUMNS ? strlen(rows[i].names) - NAME_COLUMNS : 0;
  fc_human_wrap(rows[i].why, indent + longer, indent, fc_human_width());
}

static void print_group(size_t i) {
  (void)printf("\n%s%s%s ", fc_human_colour(FC_COLOUR_DIM), rows[i].decision, fc_human_plain());
  fc_human_wrap(rows[i].why, strlen(rows[i].decision) + 1, GROUP_INDENT, fc_human_width());
  (void)printf("%*s", GROUP_INDENT, "");
  fc_human_wrap(rows[i].names, GROUP_INDENT, GROUP_INDENT, fc_human_width());
}

static int run(const struct fc_verb *verb, const struct fc_verb_options *options) {
  (void)verb;
  if (options->json) return print_json() ? FC_EXIT_DONE : FC_EXIT_SOME_FAILED;
  for (size_t i = 0; i < ROWS; i++) {
    if (options->quiet && is_hook(i)) (void)puts(rows[i].names);
    if (!options->quiet && !is_group(i)) print_row(i);
  }
  for (size_t i = 0; i < ROWS; i++)
    if (!options->quiet && is_group(i)) print_group(i);
  return FC_EXIT_DONE;
}

const struct fc_verb fc_verb_hooks = {
    .name = "hooks",
    .summary = "The table of intercepted functions",
    .operands = "",
    .help = "\"hook\" is intercepted, \"skip\" is not, with the reason; groups come last.\n"
            "What can only open to read is not listed. With -q only the names of what is\n"
            "intercepted.\n",
    .options = FC_OPTION_JSON | FC_OPTION_VERBOSE,
    .run = run,
};
