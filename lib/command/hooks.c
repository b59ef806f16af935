/* hooks: the table of intercepted functions. */
#include <stdio.h>
#include <string.h>

#include "human.h"
#include "json.h"
#include "verb.h"

#define NAME_COLUMNS 19
#define DECISION_COLUMNS 6

static const struct {
  const char *name;
  const char *decision;
  const char *why;
} rows[] = {
#define FC_HOOK(name, returns, arguments, what) {#name, "hook", what},
#define FC_ALSO(name, what) {#name, "hook", what},
#define FC_LATER(name, why) {#name, "later", why},
#define FC_SKIP(name, why) {#name, "skip", why},
#include "hooks.def"
};
#define ROWS (sizeof rows / sizeof *rows)

static bool print_json(void) {
  json_t *root = fc_json_begin("hooks");
  json_t *list = json_array();
  for (size_t i = 0; i < ROWS; i++) {
    json_t *row = json_object();
    fc_json_text(row, "function", rows[i].name);
    fc_json_text(row, "decision", rows[i].decision);
    fc_json_text(row, "why", rows[i].why);
    fc_json_add(list, row);
  }
  fc_json_set(root, "hooks", list);
  return fc_json_end(root, false);
}

static int run(const struct fc_verb *verb, const struct fc_verb_options *options) {
  (void)verb;
  if (options->json) return print_json() ? FC_EXIT_DONE : FC_EXIT_SOME_FAILED;
  for (size_t i = 0; i < ROWS; i++) {
    if (options->quiet) {
      if (strcmp(rows[i].decision, "hook") == 0) (void)puts(rows[i].name);
      continue;
    }
    const enum fc_colour colour = strcmp(rows[i].decision, "hook") == 0 ? FC_COLOUR_GOOD : FC_COLOUR_DIM;
    (void)printf("%-*s %s%-*s%s ", NAME_COLUMNS, rows[i].name, fc_human_colour(colour), DECISION_COLUMNS,
                 rows[i].decision, fc_human_plain());
    const size_t indent = NAME_COLUMNS + DECISION_COLUMNS + 2;
    fc_human_wrap(rows[i].why, indent, indent, fc_human_width());
  }
  return FC_EXIT_DONE;
}

const struct fc_verb fc_verb_hooks = {
    .name = "hooks",
    .summary = "The table of intercepted functions",
    .operands = "",
    .help = "\"hook\" is intercepted, \"later\" is not yet, \"skip\" need not be. With -q only the\n"
            "names of what is intercepted.\n",
    .options = FC_OPTION_JSON | FC_OPTION_VERBOSE,
    .run = run,
};
