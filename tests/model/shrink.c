/* shrink: the smallest list that still fails in the same way (ddmin), by running real processes again. */
#include "driver.h"

#include <string.h>
#include <time.h>

enum { SHRINK_SECONDS = 60, KILL_TRIES = 40 };

static bool still_fails(const struct list *list, enum engine engine, const struct settings *settings,
                        enum fault fault) {
  struct outcome outcome = {0};
  const int tries = list_has_kills(list) ? KILL_TRIES : 1; /* a kill falls elsewhere each time */
  for (int i = 0; i < tries && outcome.fault != fault; i++) driver_run(list, engine, settings, &outcome);
  return outcome.fault == fault;
}

static void without(const struct list *list, int from, int count, struct list *out) {
  *out = *list;
  memmove(&out->actions[from], &out->actions[from + count],
          (size_t)(list->count - from - count) * sizeof *out->actions);
  out->count -= count;
}

void shrink(struct list *list, enum engine engine, const struct settings *settings, const struct outcome *outcome) {
  static struct list shorter;
  struct settings quiet = *settings;
  quiet.verbose = false;
  const time_t until = time(NULL) + SHRINK_SECONDS;
  int piece = list->count / 2;
  while (piece > 0 && time(NULL) < until) {
    bool any = false;
    for (int from = list->count - piece; from >= 0 && time(NULL) < until; from -= piece) {
      without(list, from, piece, &shorter);
      if (still_fails(&shorter, engine, &quiet, outcome->fault)) {
        *list = shorter;
        any = true;
        if (from + piece > list->count) from = list->count; /* the loop takes a piece off */
      }
    }
    if (piece == 1 && !any) break;
    piece = piece > 1 ? piece / 2 : 1;
  }
}
