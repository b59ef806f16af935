/* message: one line of text, put together in a buffer of the caller's.
 *
 * Responsible for: lines that name a variable, its value and what is accepted, cut to the buffer, always terminated,
 * and without anything that could move a terminal's cursor. Must never: allocate, use stdio or write anywhere; it runs
 * in the constructor of the shim.
 */
#ifndef FC_MESSAGE_H
#define FC_MESSAGE_H

#include <stddef.h>

/* No message of ours is longer, even when every byte of a quoted value is shown escaped. */
#define FC_MESSAGE_MAX 1280
/* A message quotes at most so many bytes of a value: the rest of a 100 KiB list tells nobody anything. */
#define FC_MESSAGE_QUOTED_MAX 200

#define FC_MESSAGE_CONSEQUENCE "; nothing will be deleted"

struct fc_message {
  char *at;
  char *end; /* where the final NUL may stand at the latest */
};

/* Begins an empty line in buffer. A size of 0 is allowed: then nothing is ever stored. */
struct fc_message fc_message_start(char *buffer, size_t size);

/* Append one character, a text as it is, a value in quotes with control characters as \xNN. What does not fit is cut.
 */
void fc_message_char(struct fc_message *line, char c);
void fc_message_text(struct fc_message *line, const char *text);
void fc_message_quoted(struct fc_message *line, const char *value);

/* Writes `filecleanup: VARIABLE="VALUE": REASON; nothing will be deleted`. Returns -1, what its caller returns too. */
int fc_message_refuse(char *buffer, size_t size, const char *variable, const char *value, const char *reason);

#endif
