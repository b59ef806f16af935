/* coverage: can the shim reach a program at all?
 *
 * Responsible for: finding the executable as exec will, following #! to the interpreter, and reading from its ELF
 * headers, mode and capabilities whether LD_PRELOAD has any effect on it. Must never: refuse a program, or run one.
 */
#ifndef FC_COVERAGE_H
#define FC_COVERAGE_H

#include <limits.h>
#include <stdbool.h>

enum fc_coverage_kind {
  FC_COVERED, /* or not to be told: the file cannot be read, is no ELF file, or is not found */
  FC_COVERAGE_STATIC,
  FC_COVERAGE_GO,
  FC_COVERAGE_MACHINE, /* other word size or machine than the shim */
  FC_COVERAGE_LIBC,    /* another C library's loader */
  FC_COVERAGE_SECURE   /* changes its user, group or capabilities: the loader ignores LD_PRELOAD */
};

struct fc_coverage {
  enum fc_coverage_kind kind;
  bool asan;           /* linked to the shared run-time of AddressSanitizer, which wants to come first */
  char path[PATH_MAX]; /* what was looked at in the end: the program, or the interpreter of a script */
};

/* Looks at program, a name as for execvp, and compares it with the shim's own file. */
void fc_coverage_look(struct fc_coverage *coverage, const char *program, const char *shim);

/* One line on stderr when the program is not covered: which, why, what then happens, what helps. */
void fc_coverage_warn(const struct fc_coverage *coverage, const char *program);

/* False where preloading the shim would only do harm: the loader complains, or refuses to start the program. */
bool fc_coverage_may_preload(const struct fc_coverage *coverage);

/* Tells AddressSanitizer that it need not be the first library; a setting of the user's stays. 0 or -errno. */
int fc_coverage_allow_asan(void);

#endif
