/* report: `filecleanup report FILE`, the statistics of a session (FILECLEANUP_STATS) for people, for programs, and as a
 * page.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "report_input.h"
#include "report_page.h"
#include "report_text.h"
#include "verb.h"

#define NAMES_SHOWN 40
#define REAL_DIGITS 15 /* 12.345 stays 12.345 */

static bool write_page(const struct fc_report_input *input, const char *file) {
  const bool to_stdout = strcmp(file, "-") == 0;
  FILE *out = to_stdout ? stdout : fopen(file, "we");
  bool fine = out != NULL;
  if (fine) {
    fc_report_page_print(input, out);
    fine = fflush(out) == 0 && !ferror(out);
  }
  const int error = errno;
  if (out && !to_stdout && fclose(out) != 0) fine = false;
  if (!fine) {
    char *shown = fc_human_name(file);
    fc_verb_say("%s: %s", shown, strerror(error));
    free(shown);
  }
  return fine;
}

static int run(const struct fc_verb *verb, const struct fc_verb_options *options) {
  const char *file = options->operands[0];
  if (options->operands[1]) {
    fc_verb_say("%s takes one FILE", verb->name);
    return FC_EXIT_USAGE;
  }
  struct fc_report_input input;
  char message[FC_MESSAGE_MAX];
  int status = fc_report_input_read(&input, file, message, sizeof message);
  if (status != FC_EXIT_DONE) {
    char *shown = fc_human_name(strcmp(file, "-") == 0 ? "stdin" : file);
    fc_verb_say("%s: %s", shown, message);
    free(shown);
    fc_report_input_free(&input);
    return status;
  }
  if (options->html && !write_page(&input, options->html)) status = FC_EXIT_SOME_FAILED;
  if (options->json) {
    if (json_dumpf(input.root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(REAL_DIGITS)) != 0)
      status = FC_EXIT_SOME_FAILED;
    (void)putchar('\n');
  } else if (!options->html) {
    fc_report_text_print(&input, stdout, options->quiet ? 0 : options->verbose ? SIZE_MAX : NAMES_SHOWN);
  }
  fc_report_input_free(&input);
  return status;
}

const struct fc_verb fc_verb_report = {
    .name = "report",
    .summary = "What a session did: its statistics, readable or as a page",
    .operands = " FILE",
    .help = "Shows the JSON object that a session has left in FILE at its end (option --stats\n"
            "of 'filecleanup run', or FILECLEANUP_STATS); '-' is standard input. What was\n"
            "made, deleted and left, and why, the peak, and who made most. With --json a\n"
            "checked copy, with --html a page that needs nothing else. Status 65: FILE is\n"
            "something else, or damaged.\n",
    .options = FC_OPTION_JSON | FC_OPTION_VERBOSE | FC_OPTION_HTML,
    .run = run,
};
