/* report: what a session has done, as one JSON object in the file that FILECLEANUP_STATS names.
 *
 * Responsible for: writing it at the end of the session, wherever that is run: in the guardian, or in a host, where
 * there is neither stdio nor a heap. Must never: be more than a reading of what the reaper has counted.
 *
 * Schema 1 (names as lib/command/json.h says; times UTC; what is not known is null):
 *   schema, version, session, name, base, started, started_s, ended, ended_s, seconds,
 *   policy {on_exit, scope, dirs}, outcome "removed" | "kept" | "damaged" | "deferred", leader {pid, status},
 *   created {files, dirs}, program {removed, renamed_out}: by the program itself, swept {files, bytes}: while it lived,
 *   deleted {files, dirs, unseen, bytes}: at the end, stayed {kept, in_use, replaced, handed_over, failed},
 *   names [{path, why}]: of these, at most FC_REPORT_NAMES, leaked: tracked names that still existed at the end,
 *   unseen_members, unseen_names: processes without the shim, and names that no hook saw,
 *   peak {files, bytes, at_s}, footprint [[seconds, files, bytes]]: by the guardian, programs [{program, created}].
 */
#ifndef FC_REPORT_H
#define FC_REPORT_H

#include "reaper.h"

#define FC_REPORT_NAMES 200u
#define FC_REPORT_PROGRAMS 20u

/* A name that has stayed, in the order in which they were looked at. */
struct fc_stayed {
  struct fc_stayed *next;
  const char *why;
  char path[];
};

struct fc_report {
  const char *outcome;
  const struct fc_footprint *footprint; /* NULL = nobody has measured it */
  unsigned unseen_members;
  unsigned stayed_count;
  struct fc_stayed *stayed;
  struct fc_stayed *last;
};

/* Remembers a name that stays, while there is room. Memory comes from the reaper's arena. */
void fc_report_stays(struct fc_report *report, struct fc_reaper *reaper, const char *path, const char *why);

/* Writes the object over what the file held before. False: it could not be written (which the log tells). */
bool fc_report_write(const struct fc_report *report, struct fc_reaper *reaper);

#endif
