#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "verb.h"

#define SCHEMA 1
#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

size_t fc_json_utf8(const char *text) {
  const unsigned char *p = (const unsigned char *)text;
  if (p[0] < 0x80) return p[0] ? 1 : 0;
  const size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
  if (p[0] < 0xc2 || p[0] > 0xf4) return 0;
  for (size_t i = 1; i < len; i++)
    if ((p[i] & 0xc0) != 0x80) return 0; /* also at the final NUL */
  const bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
  const bool surrogate = p[0] == 0xed && p[1] >= 0xa0;
  const bool beyond = p[0] == 0xf4 && p[1] >= 0x90;
  return overlong || surrogate || beyond ? 0 : len;
}

void fc_json_set(json_t *object, const char *key, json_t *value) {
  if (json_object_set_new(object, key, value ? value : json_null()) != 0) fc_verb_no_memory();
}

void fc_json_add(json_t *array, json_t *value) {
  if (json_array_append_new(array, value) != 0) fc_verb_no_memory();
}

/* Text of our own is ASCII, but may quote a name. */
static char *as_utf8(const char *bytes, bool *changed) {
  char *const out = fc_verb_alloc(3 * strlen(bytes) + 1);
  char *to = out;
  *changed = false;
  while (*bytes) {
    const size_t len = fc_json_utf8(bytes);
    const char *from = len ? bytes : REPLACEMENT;
    const size_t n = len ? len : sizeof REPLACEMENT - 1;
    memcpy(to, from, n);
    to += n;
    bytes += len ? len : 1;
    *changed |= len == 0;
  }
  *to = '\0';
  return out;
}

void fc_json_text(json_t *object, const char *key, const char *text) {
  bool changed;
  char *utf8 = text ? as_utf8(text, &changed) : NULL;
  fc_json_set(object, key, utf8 ? json_string(utf8) : NULL);
  free(utf8);
}

void fc_json_number(json_t *object, const char *key, int64_t number) { fc_json_set(object, key, json_integer(number)); }

static bool stands_for_itself(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("/._-~", c));
}

static char *percent_encoded(const char *bytes) {
  char *const out = fc_verb_alloc(3 * strlen(bytes) + 1);
  char *to = out;
  for (; *bytes; bytes++) {
    if (stands_for_itself(*bytes))
      *to++ = *bytes;
    else
      to += sprintf(to, "%%%02X", (unsigned char)*bytes);
  }
  *to = '\0';
  return out;
}

void fc_json_name(json_t *object, const char *key, const char *bytes) {
  bool changed = false;
  char *utf8 = bytes ? as_utf8(bytes, &changed) : NULL;
  fc_json_set(object, key, utf8 ? json_string(utf8) : NULL);
  if (changed) {
    char *second = fc_verb_join(key, "_bytes");
    char *encoded = percent_encoded(bytes);
    fc_json_set(object, second, json_string(encoded));
    free(encoded);
    free(second);
  }
  free(utf8);
}

void fc_json_time(json_t *object, const char *key, int64_t seconds) {
  char text[32];
  char *second = fc_verb_join(key, "_s");
  const time_t when = (time_t)seconds;
  struct tm parts;
  const bool known = seconds != FC_JSON_NEVER && gmtime_r(&when, &parts) &&
                     strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0;
  fc_json_set(object, key, known ? json_string(text) : NULL);
  fc_json_set(object, second, known ? json_integer(seconds) : NULL);
  free(second);
}

json_t *fc_json_begin(const char *verb) {
  json_t *root = json_object();
  if (!root) fc_verb_no_memory();
  fc_json_number(root, "schema", SCHEMA);
  fc_json_text(root, "version", FC_VERSION);
  fc_json_text(root, "verb", verb);
  fc_json_time(root, "time", (int64_t)time(NULL));
  return root;
}

bool fc_json_end(json_t *root, bool compact) {
  const bool fine = json_dumpf(root, stdout, compact ? JSON_COMPACT : JSON_INDENT(2)) == 0 && putchar('\n') != EOF &&
                    fflush(stdout) == 0;
  json_decref(root);
  return fine;
}
