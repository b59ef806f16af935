/* harness: the rows of the attack table. See harness_row.h. */
#include "harness_row.h"

#include <stdio.h>

void fct_row(const char *kind, const char *name, const struct fct_count *counts, const char *why) {
  char line[1024];
  unsigned long long last = 0;
  int length = snprintf(line, sizeof line, "%s: %s:", kind, name);
  for (const struct fct_count *count = counts; count->of && length < (int)sizeof line; count++) {
    length += snprintf(line + length, sizeof line - (size_t)length, "%s %s %llu", count == counts ? "" : ",", count->of,
                       count->number);
    last = count->number;
  }
  if (why && last && length < (int)sizeof line)
    (void)snprintf(line + length, sizeof line - (size_t)length, " (%s)", why); /* a reason: cut if long */
  fprintf(stderr, "%s\n", line);
}
