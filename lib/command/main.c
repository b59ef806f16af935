/* main: the command `filecleanup`. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "end.h"
#include "guardian.h"
#include "launcher.h"

#define EXIT_USAGE 2

struct hook_row {
  const char *name;
  const char *decision;
  const char *why;
};

static const struct hook_row hooks[] = {
#define FC_HOOK(name, returns, arguments, what) {#name, "hook", what},
#define FC_ALSO(name, what) {#name, "hook", what},
#define FC_LATER(name, why) {#name, "later", why},
#define FC_SKIP(name, why) {#name, "skip", why},
#include "hooks.def"
};

static int print_hooks(void) {
  for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++)
    (void)printf("%-20s %-6s %s\n", hooks[i].name, hooks[i].decision, hooks[i].why);
  return ferror(stdout) || fflush(stdout) != 0;
}

static void usage(FILE *out) {
  (void)fputs("Usage: filecleanup VERB [OPTION]...\n\n"
              "  run     run a program with automatic cleanup (filecleanup-run); see 'filecleanup run --help'\n"
              "  end     end a named or kept session; see 'filecleanup end --help'\n"
              "  hooks   the table of intercepted functions\n"
              "  --help, --version\n",
              out);
}

int main(int argc, char **argv) {
  if (argc > 0 && strcmp(argv[0], FC_GUARDIAN_NAME) == 0) return fc_guardian_main(argc, argv);
  const char *verb = argc > 1 ? argv[1] : "";
  if (strcmp(verb, "run") == 0) return fc_launcher_main(argc - 1, argv + 1);
  if (strcmp(verb, "end") == 0) return fc_end_main(argc - 1, argv + 1);
  if (strcmp(verb, "hooks") == 0) return print_hooks();
  if (strcmp(verb, "--version") == 0) {
    (void)printf("filecleanup %s\n", FC_VERSION);
    return 0;
  }
  if (strcmp(verb, "--help") == 0) {
    usage(stdout);
    return 0;
  }
  usage(stderr);
  return EXIT_USAGE;
}
