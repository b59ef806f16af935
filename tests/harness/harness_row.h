/* Rows: what a test of the dangers has shown, in the one form that scripts/attack-table collects.
 *
 *   attack: NAME: rounds N, wrong deletions N, leaks N (WHY)
 *   faults: NAME: faults injected N, host differences N, wrong deletions N, leaks N (WHY)
 *   kill points: NAME: kill points tried N, violations N, instant leaks N
 *   model: NAME: lists N, violations N, leaks N (WHY)
 *   fuzz: TARGET: executions N, crashes N
 *
 * Each is one line on stderr, written at once, so that tests which run side by side do not mix theirs. Responsible for:
 * the form. Must never: judge (harness_attack.h does), or need Criterion: the model prints rows too. */
#ifndef FCT_HARNESS_ROW_H
#define FCT_HARNESS_ROW_H

struct fct_count {
  const char *of; /* NULL ends the counts */
  unsigned long long number;
};

/* why: the reason for the last count when that is not 0; NULL: none. */
void fct_row(const char *kind, const char *name, const struct fct_count *counts, const char *why);
#define FCT_ROW(kind, name, why, ...) fct_row(kind, name, (const struct fct_count[]){__VA_ARGS__, {0}}, why)

#endif
