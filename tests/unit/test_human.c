/* human and json: numbers, ages and names as people and programs read them. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "human.h"
#include "json.h"
#include "policy.h"
#include "verb.h"

static char text[FC_HUMAN_BYTES];

Test(human, sizes_have_one_decimal_and_the_right_unit) {
  cr_expect_str_eq(fc_human_size(0, text), "0 B");
  cr_expect_str_eq(fc_human_size(1023, text), "1023 B");
  cr_expect_str_eq(fc_human_size(1024, text), "1.0 KiB");
  cr_expect_str_eq(fc_human_size(1258291, text), "1.2 MiB");
  cr_expect_str_eq(fc_human_size(1048575, text), "1.0 MiB", "1024.0 KiB is 1.0 MiB");
  cr_expect_str_eq(fc_human_size(UINT64_MAX, text), "16.0 EiB");
}

Test(human, ages_have_one_unit) {
  cr_expect_str_eq(fc_human_age(-5, text), "now");
  cr_expect_str_eq(fc_human_age(0, text), "now");
  cr_expect_str_eq(fc_human_age(59, text), "59 s");
  cr_expect_str_eq(fc_human_age(60, text), "1 min");
  cr_expect_str_eq(fc_human_age(3599, text), "59 min");
  cr_expect_str_eq(fc_human_age(86399, text), "23 h");
  cr_expect_str_eq(fc_human_age(86400 * 364, text), "364 d");
  cr_expect_str_eq(fc_human_age(86400 * 365, text), "1 year");
  cr_expect_str_eq(fc_human_age(86400 * 730, text), "2 years");
}

Test(human, a_span_is_what_a_variable_would_take) {
  static const char *const spans[] = {"1d", "30min", "5s", "1d 2h 3min 4s", "1.500s", "0s", "infinity", "0.001s"};
  for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
    int64_t ns = -1;
    int64_t again = -2;
    cr_assert_eq(fc_config_parse_span(spans[i], &ns), 0);
    cr_expect_str_eq(fc_human_span(ns, text), spans[i]);
    cr_expect_eq(fc_config_parse_span(text, &again), 0);
    cr_expect_eq(again, ns);
  }
  cr_expect_lt(strlen(fc_human_span(INT64_MAX - 1, text)), sizeof text);
}

static void expect_name(const char *name, const char *shown) {
  char *out = fc_human_name(name);
  cr_expect_str_eq(out, shown);
  free(out);
}

Test(human, a_name_cannot_move_the_cursor) {
  expect_name("plain name", "plain name");
  expect_name("a\nb\tc\\d", "a\\nb\\tc\\\\d");
  expect_name("\033[31m", "\\x1b[31m");
  expect_name("\xc2\x9b"
              "31m",
              "\\xc2\\x9b"
              "31m"); /* CSI in one character */
  expect_name("\xc3\xa9", "\xc3\xa9");
  expect_name("\xff", "\\xff");
  expect_name("\xc3", "\\xc3");
}

static char *dump(const char *name) {
  json_t *object = json_object();
  fc_json_name(object, "path", name);
  char *out = json_dumps(object, JSON_COMPACT);
  json_decref(object);
  return out;
}

static void expect_json(const char *name, const char *expected) {
  char *out = dump(name);
  cr_expect_str_eq(out, expected);
  free(out);
}

Test(json, a_name_is_exact) {
  expect_json("a/b", "{\"path\":\"a/b\"}");
  expect_json("\xc3\xa9\n", "{\"path\":\"\xc3\xa9\\n\"}");
  expect_json("a\xff b", "{\"path\":\"a\xef\xbf\xbd b\",\"path_bytes\":\"a%FF%20b\"}");
  expect_json("%\xff", "{\"path\":\"%\xef\xbf\xbd\",\"path_bytes\":\"%25%FF\"}");
  expect_json(NULL, "{\"path\":null}");
}

Test(json, what_is_no_utf_8_is_none) {
  cr_expect_eq(fc_json_utf8("\xc0\x80"), 0, "overlong");
  cr_expect_eq(fc_json_utf8("\xe0\x80\x80"), 0, "overlong");
  cr_expect_eq(fc_json_utf8("\xed\xa0\x80"), 0, "a surrogate");
  cr_expect_eq(fc_json_utf8("\xf4\x90\x80\x80"), 0, "beyond U+10FFFF");
  cr_expect_eq(fc_json_utf8("\xe2\x82"), 0, "cut off");
  cr_expect_eq(fc_json_utf8("\xe2\x82\xac"), 3);
  cr_expect_eq(fc_json_utf8("\xf0\x9f\x98\x80"), 4);
}

Test(json, a_time_is_a_text_and_a_number_or_null) {
  json_t *object = json_object();
  fc_json_time(object, "a", 0);
  fc_json_time(object, "b", FC_JSON_NEVER);
  char *out = json_dumps(object, JSON_COMPACT);
  cr_expect_str_eq(out, "{\"a\":\"1970-01-01T00:00:00Z\",\"a_s\":0,\"b\":null,\"b_s\":null}");
  free(out);
  json_decref(object);
}

Test(policy, every_value_is_what_its_variable_would_take) {
  static struct fc_config config;
  static struct fc_config again;
  static char message[1280];
  char *envp[] = {"FILECLEANUP_TTL=2h 30min",       "FILECLEANUP_MAX_BYTES=512M", "FILECLEANUP_MAX_FILES=1000",
                  "FILECLEANUP_KEEP=*.log:x/y",     "FILECLEANUP_ON_EXIT=report", "FILECLEANUP_DIRS=keep",
                  "FILECLEANUP_AGE_BY=mtime",       "FILECLEANUP_SCOPE=leader",   "FILECLEANUP_LOG=debug",
                  "FILECLEANUP_EXIT_BUDGET=1500ms", "FILECLEANUP_IN_USE=ignore",  "FILECLEANUP_TRACK=all",
                  "FILECLEANUP_STATS=/tmp/s",       "FILECLEANUP_PERIODIC=no",    NULL};
  static const char *const names[] = {"TTL",    "MAX_BYTES", "MAX_FILES", "KEEP",     "ON_EXIT",
                                      "DIRS",   "AGE_BY",    "SCOPE",     "LOG",      "EXIT_BUDGET",
                                      "IN_USE", "TRACK",     "STATS",     "PERIODIC", "INTERVAL"};
  cr_assert_eq(fc_config_parse(&config, envp, message, sizeof message), 0, "%s", message);
  char *written[sizeof names / sizeof *names + 1] = {NULL};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char *variable = fc_verb_join("FILECLEANUP_", names[i]);
    char *value = fc_policy_value(&config, variable);
    cr_assert_not_null(value);
    char *with_sign = fc_verb_join(variable, "=");
    written[i] = fc_verb_join(with_sign, value);
    free(with_sign);
    free(variable);
    free(value);
  }
  cr_assert_eq(fc_config_parse(&again, written, message, sizeof message), 0, "%s", message);
  cr_expect_eq(memcmp(&config.policy, &again.policy, sizeof config.policy), 0);
  for (size_t i = 0; written[i]; i++) free(written[i]);
}
