/* main: the command `filecleanup`, a table of verbs. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "end.h"
#include "guardian.h"
#include "launcher.h"
#include "verb.h"

static const struct fc_verb verb_run = {
    .name = "run",
    .summary = "Run a program with automatic cleanup (filecleanup-run)",
    .main = fc_launcher_main,
};

static const struct fc_verb verb_end = {
    .name = "end",
    .summary = "End a named or kept session",
    .main = fc_end_main,
};

/* In the order in which people need them. */
static const struct fc_verb *const verbs[] = {
    &verb_run,        &fc_verb_status, &fc_verb_list,   &fc_verb_explain, &fc_verb_sweep, &fc_verb_keep,
    &fc_verb_untrack, &verb_end,       &fc_verb_report, &fc_verb_check,   &fc_verb_hooks,
};
#define VERBS (sizeof verbs / sizeof *verbs)

static void usage(FILE *out) {
  (void)fputs("Usage: filecleanup VERB [OPTION]...\n\n", out);
  for (size_t i = 0; i < VERBS; i++) (void)fprintf(out, "  %-9s %s\n", verbs[i]->name, verbs[i]->summary);
  (void)fputs("\n  --help, --version; 'filecleanup VERB --help' for one verb\n\n"
              "Exit status: 0 done, 1 something failed, 2 usage, 65 bad configuration,\n"
              "75 busy, 77 the base is refused; of run: that of the program.\n",
              out);
}

/* A file that we open must never be what stdout writes to. The program of `run` gets what we got. */
static void fill_standard_descriptors(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) _exit(FC_EXIT_SOME_FAILED);
}

int main(int argc, char **argv) {
  if (argc > 0 && strcmp(argv[0], FC_GUARDIAN_NAME) == 0) return fc_guardian_main(argc, argv);
  const char *name = argc > 1 ? argv[1] : "";
  for (size_t i = 0; i < VERBS; i++) {
    const struct fc_verb *verb = verbs[i];
    if (strcmp(name, verb->name) != 0) continue;
    if (verb != &verb_run) fill_standard_descriptors();
    return verb->main ? verb->main(argc - 1, argv + 1) : fc_verb_main(verb, argc - 1, argv + 1);
  }
  if (strcmp(name, "--version") == 0) {
    (void)printf("filecleanup %s\n", FC_VERSION);
    return fc_verb_finish(FC_EXIT_DONE);
  }
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
    usage(stdout);
    return fc_verb_finish(FC_EXIT_DONE);
  }
  if (name[0])
    (void)fprintf(stderr, "filecleanup: no verb '%s'\nTry 'filecleanup --help' for more information.\n", name);
  else
    usage(stderr);
  return FC_EXIT_USAGE;
}
