/* self_check: is the judge any good?
 *
 * Responsible for: three proofs, with real processes but without the shim. The model knows what the kernel does to
 * files and which errno it gives (nobody cleans); a cleaner that deletes by name is found guilty; and each ownership
 * rule is needed: a cleaner that follows all but that one is found guilty too. A judge that never says "guilty" would
 * be worth nothing.
 */
#ifndef MODEL_SELF_CHECK_H
#define MODEL_SELF_CHECK_H

#include "driver.h"

struct self_check {
  const struct settings *settings;
  unsigned long long first_seed;
  long lists;
  int actions;
  char *const *files; /* the fixed lists, for rules whose absence shows in few random ones */
  int file_count;
  int job, jobs; /* of them each takes its share of the lists, and of the rules */
};

bool self_check(const struct self_check *check);

#endif
