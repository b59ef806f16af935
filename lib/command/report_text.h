/* report_text: what a session did, for people, on 80 columns; and the phrases that the page shares with it.
 *
 * Responsible for: the words. Must never: print a name that could move a cursor.
 */
#ifndef FC_REPORT_TEXT_H
#define FC_REPORT_TEXT_H

#include <stdio.h>

#include "human.h"
#include "report_input.h"

/* out is the stream that fc_human_use was given, or stdout. At most `names` names that stayed are listed. */
void fc_report_text_print(const struct fc_report_input *input, FILE *out, size_t names);

/* The end of `filecleanup run --report`: the statistics in file, when they are those of the session with this id. */
void fc_report_text_tell(const char *file, const char *session);

/* What became of the session: a phrase. */
const char *fc_report_text_outcome(const struct fc_report_input *input);

/* "12 ms", "3.4 s", "1h 2min". */
const char *fc_report_text_seconds(double seconds, char out[FC_HUMAN_BYTES]);

#endif
