#include "report_input.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "verb.h"

#define FILE_BYTES_MAX (16u << 20)
#define SCHEMA 1
#define SAMPLES_MAX 10000 /* far more than are written */
#define NAMES_MAX 10000
#define PROGRAMS_MAX 1000
#define SECONDS_MAX 3.2e9              /* a hundred years */
#define TIME_MAX INT64_C(253402300799) /* the end of the year 9999 */
#define STATUS_MAX 255

static const char *const stayed_keys[FC_REPORT_WHYS] = {"kept", "in_use", "replaced", "handed_over", "failed"};

/* What is being checked. The first thing that is wrong stays. */
struct check {
  char *message;
  size_t size;
  bool wrong;
};

static void complain(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void complain(struct check *c, const char *format, ...) {
  if (c->wrong) return;
  c->wrong = true;
  va_list args;
  va_start(args, format);
  (void)vsnprintf(c->message, c->size, format, args);
  va_end(args);
}

/* where: the object's own name with a dot behind it, or "". */
static json_t *member(struct check *c, json_t *object, const char *where, const char *key) {
  json_t *value = json_object_get(object, key);
  if (!value) complain(c, "'%s%s' is missing", where, key);
  return value;
}

static json_t *object_of(struct check *c, json_t *parent, const char *key) {
  json_t *value = member(c, parent, "", key);
  if (value && !json_is_object(value)) complain(c, "'%s' is not an object", key);
  return value;
}

static uint64_t count_of(struct check *c, json_t *object, const char *where, const char *key) {
  json_t *value = member(c, object, where, key);
  const json_int_t number = json_integer_value(value);
  if (value && (!json_is_integer(value) || number < 0)) complain(c, "'%s%s' is not a count", where, key);
  return number < 0 ? 0 : (uint64_t)number;
}

static double seconds_in(struct check *c, const json_t *value, const char *what) {
  const double number = json_number_value(value);
  const bool fine = value && json_is_number(value) && isfinite(number) && number >= 0 && number <= SECONDS_MAX;
  if (!fine) complain(c, "'%s' is not a number of seconds", what);
  return fine ? number : 0;
}

static const char *text_of(struct check *c, json_t *object, const char *where, const char *key) {
  json_t *value = member(c, object, where, key);
  if (value && !json_is_string(value)) complain(c, "'%s%s' is not a text", where, key);
  const char *text = json_string_value(value);
  return text ? text : "";
}

/* One of the words, which end with NULL. */
static const char *word_of(struct check *c, json_t *object, const char *where, const char *key,
                           const char *const *words) {
  const char *text = text_of(c, object, where, key);
  for (const char *const *word = words; *word; word++)
    if (strcmp(*word, text) == 0) return *word;
  complain(c, "'%s%s' is none of the words that it can be", where, key);
  return "";
}

static int hex(char digit) {
  static const char digits[] = "0123456789ABCDEF";
  const char *at = digit ? strchr(digits, digit) : NULL;
  return at ? (int)(at - digits) : -1;
}

/* NULL when it is not well encoded. */
static char *percent_decoded(const char *text) {
  char *const out = fc_verb_alloc(strlen(text) + 1);
  char *to = out;
  for (const char *p = text; *p; p++) {
    const int high = *p == '%' ? hex(p[1]) : 0;
    const int low = *p == '%' && high >= 0 ? hex(p[2]) : 0;
    if (high < 0 || low < 0 || (*p == '%' && high + low == 0)) {
      free(out);
      return NULL;
    }
    *to++ = *p == '%' ? (char)(high * 16 + low) : *p;
    p += *p == '%' ? 2 : 0;
  }
  return out;
}

/* NAME: the very bytes (free), which must be what both of its members say. */
static char *name_of(struct check *c, json_t *object, const char *where, const char *key) {
  const char *text = text_of(c, object, where, key);
  char *second = fc_verb_join(key, "_bytes");
  json_t *encoded = json_object_get(object, second);
  char *bytes = NULL;
  if (json_is_string(encoded)) bytes = percent_decoded(json_string_value(encoded));
  if (encoded && !bytes) complain(c, "'%s%s' is not encoded as it should be", where, second);
  if (bytes) {
    json_t *same = json_object();
    if (!same) fc_verb_no_memory();
    fc_json_name(same, key, bytes);
    if (!json_equal(json_object_get(same, key), json_object_get(object, key)))
      complain(c, "'%s%s' and '%s%s' differ", where, key, where, second);
    json_decref(same);
  } else {
    bytes = fc_verb_copy(text, strlen(text));
  }
  free(second);
  return bytes;
}

/* TIME: both members, or both null. */
static int64_t time_of(struct check *c, json_t *object, const char *key) {
  char *second = fc_verb_join(key, "_s");
  json_t *text = member(c, object, "", key);
  json_t *number = member(c, object, "", second);
  int64_t result = FC_JSON_NEVER;
  if (json_is_integer(number) && json_integer_value(number) >= 0 && json_integer_value(number) <= TIME_MAX) {
    result = json_integer_value(number);
    json_t *same = json_object();
    if (!same) fc_verb_no_memory();
    fc_json_time(same, key, result);
    if (!json_equal(json_object_get(same, key), text)) complain(c, "'%s' and '%s' differ", key, second);
    json_decref(same);
  } else if (!json_is_null(text) || !json_is_null(number)) {
    complain(c, "'%s' is not a time", key);
  }
  free(second);
  return result;
}

static size_t array_of(struct check *c, json_t *root, const char *key, size_t max, json_t **out) {
  *out = member(c, root, "", key);
  if (*out && !json_is_array(*out)) complain(c, "'%s' is not a list", key);
  const size_t count = json_array_size(*out);
  if (count > max) complain(c, "'%s' is longer than %zu", key, max);
  return c->wrong ? 0 : count;
}

static uint64_t sample_count(struct check *c, json_t *sample, size_t index) {
  json_t *value = json_array_get(sample, index);
  if (!json_is_integer(value) || json_integer_value(value) < 0) complain(c, "a number in 'footprint' is not a count");
  return c->wrong ? 0 : (uint64_t)json_integer_value(value);
}

static void check_footprint(struct check *c, struct fc_report_input *in) {
  json_t *list;
  const size_t count = array_of(c, in->root, "footprint", SAMPLES_MAX, &list);
  in->footprint = fc_verb_alloc(count * sizeof *in->footprint);
  for (; in->samples < count && !c->wrong; in->samples++) {
    json_t *sample = json_array_get(list, in->samples);
    if (json_array_size(sample) != 3) complain(c, "'footprint' does not hold lists of three numbers");
    struct fc_report_sample *out = &in->footprint[in->samples];
    out->at_s = seconds_in(c, json_array_get(sample, 0), "footprint");
    out->files = sample_count(c, sample, 1);
    out->bytes = sample_count(c, sample, 2);
    if (in->samples && out->at_s < out[-1].at_s) complain(c, "'footprint' is not in the order of time");
  }
}

static void check_names(struct check *c, struct fc_report_input *in) {
  static const char *const words[] = {"kept", "in_use", "replaced", "handed_over", "failed", NULL};
  json_t *list;
  const size_t count = array_of(c, in->root, "names", NAMES_MAX, &list);
  in->names = fc_verb_alloc(count * sizeof *in->names);
  for (; in->name_count < count && !c->wrong; in->name_count++) {
    json_t *one = json_array_get(list, in->name_count);
    if (!json_is_object(one)) complain(c, "'names' does not hold objects");
    struct fc_report_name *out = &in->names[in->name_count];
    out->path = name_of(c, one, "names.", "path");
    const char *why = word_of(c, one, "names.", "why", words);
    while (out->why < FC_WHY_FAILED && strcmp(why, stayed_keys[out->why]) != 0) out->why++;
  }
}

static void check_programs(struct check *c, struct fc_report_input *in) {
  json_t *list;
  const size_t count = array_of(c, in->root, "programs", PROGRAMS_MAX, &list);
  in->programs = fc_verb_alloc(count * sizeof *in->programs);
  for (; in->program_count < count && !c->wrong; in->program_count++) {
    json_t *one = json_array_get(list, in->program_count);
    if (!json_is_object(one)) complain(c, "'programs' does not hold objects");
    struct fc_report_program *out = &in->programs[in->program_count];
    out->program = name_of(c, one, "programs.", "program");
    out->created = count_of(c, one, "programs.", "created");
  }
}

static void check_peak(struct check *c, struct fc_report_input *in) {
  json_t *peak = member(c, in->root, "", "peak");
  if (!peak || json_is_null(peak)) return;
  if (!json_is_object(peak)) complain(c, "'peak' is neither an object nor null");
  in->has_peak = true;
  in->peak.files = count_of(c, peak, "peak.", "files");
  in->peak.bytes = count_of(c, peak, "peak.", "bytes");
  in->peak.at_s = seconds_in(c, member(c, peak, "peak.", "at_s"), "peak.at_s");
}

static void check_leader(struct check *c, struct fc_report_input *in) {
  json_t *leader = object_of(c, in->root, "leader");
  json_t *status = member(c, leader, "leader.", "status");
  in->leader_pid = count_of(c, leader, "leader.", "pid");
  const json_int_t number = json_integer_value(status);
  in->leader_status = -1;
  if (status && !json_is_null(status) && (!json_is_integer(status) || number < 0 || number > STATUS_MAX))
    complain(c, "'leader.status' is neither an exit status nor null");
  else if (json_is_integer(status))
    in->leader_status = (int)number;
}

static void check_counts(struct check *c, struct fc_report_input *in) {
  const struct {
    const char *object;
    const char *key;
    uint64_t *to;
  } rows[] = {{"created", "files", &in->created_files},     {"created", "dirs", &in->created_dirs},
              {"program", "removed", &in->program_removed}, {"program", "renamed_out", &in->program_renamed_out},
              {"swept", "files", &in->swept_files},         {"swept", "bytes", &in->swept_bytes},
              {"deleted", "files", &in->deleted_files},     {"deleted", "dirs", &in->deleted_dirs},
              {"deleted", "unseen", &in->deleted_unseen},   {"deleted", "bytes", &in->deleted_bytes}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char where[16];
    (void)snprintf(where, sizeof where, "%s.", rows[i].object);
    *rows[i].to = count_of(c, object_of(c, in->root, rows[i].object), where, rows[i].key);
  }
  json_t *stayed = object_of(c, in->root, "stayed");
  for (size_t i = 0; i < FC_REPORT_WHYS; i++) in->stayed[i] = count_of(c, stayed, "stayed.", stayed_keys[i]);
  in->leaked = count_of(c, in->root, "", "leaked");
  in->unseen_members = count_of(c, in->root, "", "unseen_members");
  in->unseen_names = count_of(c, in->root, "", "unseen_names");
}

static void check_all(struct check *c, struct fc_report_input *in) {
  static const char *const outcomes[] = {"removed", "kept", "damaged", "deferred", NULL};
  static const char *const on_exit[] = {"delete", "keep", "keep-on-failure", "report", NULL};
  static const char *const scopes[] = {"session", "leader", "process", NULL};
  static const char *const dirs[] = {"empty", "keep", "recursive", NULL};
  json_t *root = in->root;
  json_t *schema = json_object_get(root, "schema");
  if (!json_is_object(root) || !json_is_integer(schema)) {
    complain(c, "not the statistics of a session (FILECLEANUP_STATS)");
    return;
  }
  if (json_integer_value(schema) != SCHEMA) {
    complain(c, "its schema is %lld, and this version knows %d", (long long)json_integer_value(schema), SCHEMA);
    return;
  }
  if (!json_object_get(root, "session") || !json_object_get(root, "outcome")) {
    complain(c, "not the statistics of a session (FILECLEANUP_STATS)");
    return;
  }
  in->version = text_of(c, root, "", "version");
  in->session = text_of(c, root, "", "session");
  in->name = text_of(c, root, "", "name");
  in->base = name_of(c, root, "", "base");
  in->started_s = time_of(c, root, "started");
  in->ended_s = time_of(c, root, "ended");
  in->seconds = seconds_in(c, member(c, root, "", "seconds"), "seconds");
  json_t *policy = object_of(c, root, "policy");
  in->on_exit = word_of(c, policy, "policy.", "on_exit", on_exit);
  in->scope = word_of(c, policy, "policy.", "scope", scopes);
  in->dirs = word_of(c, policy, "policy.", "dirs", dirs);
  in->outcome = word_of(c, root, "", "outcome", outcomes);
  check_leader(c, in);
  check_counts(c, in);
  check_names(c, in);
  check_peak(c, in);
  check_footprint(c, in);
  check_programs(c, in);
}

/* The whole file (free), or NULL with an errno; EFBIG when it is larger than any that we write. */
static char *slurp(const char *file, size_t *size) {
  FILE *in = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
  if (!in) return NULL;
  char *text = fc_verb_alloc(FILE_BYTES_MAX + 1);
  *size = fread(text, 1, FILE_BYTES_MAX + 1, in);
  const int error = ferror(in) ? errno : *size > FILE_BYTES_MAX ? EFBIG : 0;
  if (in != stdin) (void)fclose(in);
  if (error) {
    free(text);
    text = NULL;
    errno = error;
  }
  return text;
}

int fc_report_input_read(struct fc_report_input *input, const char *file, char *message, size_t message_size) {
  memset(input, 0, sizeof *input);
  size_t size = 0;
  char *text = slurp(file, &size);
  if (!text) {
    (void)snprintf(message, message_size, "%s", strerror(errno));
    return errno == EFBIG ? FC_EXIT_BAD_CONFIG : FC_EXIT_SOME_FAILED;
  }
  json_error_t error;
  struct check check = {message, message_size, false};
  input->root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  free(text);
  if (!input->root)
    complain(&check, "not JSON: line %d, column %d", error.line, error.column);
  else
    check_all(&check, input);
  return check.wrong ? FC_EXIT_BAD_CONFIG : FC_EXIT_DONE;
}

void fc_report_input_free(struct fc_report_input *input) {
  for (size_t i = 0; i < input->name_count; i++) free(input->names[i].path);
  for (size_t i = 0; i < input->program_count; i++) free(input->programs[i].program);
  free(input->names);
  free(input->programs);
  free(input->footprint);
  free(input->base);
  json_decref(input->root);
  memset(input, 0, sizeof *input);
}

const char *fc_report_why_name(enum fc_report_why why) {
  static const char *const names[FC_REPORT_WHYS] = {"kept", "in use", "replaced", "handed over", "failed"};
  return names[why];
}

uint64_t fc_report_stayed_total(const struct fc_report_input *input) {
  uint64_t total = 0;
  for (size_t i = 0; i < FC_REPORT_WHYS; i++)
    total = total > UINT64_MAX - input->stayed[i] ? UINT64_MAX : total + input->stayed[i];
  return total;
}
