/* message: see message.h. */
#include "message.h"

struct fc_message fc_message_start(char *message, size_t message_size) {
  struct fc_message line = {message, message_size > 0 ? message + message_size - 1 : message};
  if (message_size > 0) *message = '\0';
  return line;
}

void fc_message_char(struct fc_message *line, char c) {
  if (line->at < line->end) {
    *line->at++ = c;
    *line->at = '\0';
  }
}

void fc_message_text(struct fc_message *line, const char *text) {
  for (; *text != '\0'; text++) fc_message_char(line, *text);
}

void fc_message_quoted(struct fc_message *line, const char *value) {
  static const char hex[] = "0123456789abcdef";
  size_t shown = 0;
  fc_message_char(line, '"');
  for (; *value != '\0'; value++) {
    unsigned char c = (unsigned char)*value;
    if (shown++ == FC_MESSAGE_QUOTED_MAX) {
      fc_message_text(line, "...");
      break;
    }
    if (c < 0x20 || c == 0x7f) {
      fc_message_text(line, "\\x");
      fc_message_char(line, hex[c >> 4]);
      fc_message_char(line, hex[c & 15]);
    } else {
      if (c == '"' || c == '\\') fc_message_char(line, '\\');
      fc_message_char(line, (char)c);
    }
  }
  fc_message_char(line, '"');
}

int fc_message_refuse(char *message, size_t message_size, const char *variable, const char *value, const char *reason) {
  struct fc_message line = fc_message_start(message, message_size);
  fc_message_text(&line, "filecleanup: ");
  fc_message_text(&line, variable);
  fc_message_char(&line, '=');
  fc_message_quoted(&line, value);
  fc_message_text(&line, ": ");
  fc_message_text(&line, reason);
  fc_message_text(&line, FC_MESSAGE_CONSEQUENCE);
  return -1;
}
