/* test_config: what the environment may say, and what is said about what it may not. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "message.h"

#define MINUTE_NS INT64_C(60000000000)
#define HOUR_NS (60 * MINUTE_NS)
#define DAY_NS (24 * HOUR_NS)

static struct fc_config config;
static char message[FC_MESSAGE_MAX];

static int parse(const char *const *envp) {
  return fc_config_parse(&config, (char *const *)envp, message, sizeof message);
}
#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void accept_variable(const char *variable, const char *value) {
  char entry[PATH_MAX * 2];
  snprintf(entry, sizeof entry, "FILECLEANUP_%s=%s", variable, value);
  cr_expect_eq(PARSE(entry), 0, "%s was refused: %s", entry, message);
  cr_expect_str_empty(message);
}

/* Also: the message names variable, value and `accepted`, says what follows, and is one line. */
static void refuse_variable(const char *variable, const char *value, const char *accepted) {
  char entry[PATH_MAX * 2];
  char named[PATH_MAX * 2];
  snprintf(entry, sizeof entry, "FILECLEANUP_%s=%s", variable, value);
  snprintf(named, sizeof named, "filecleanup: FILECLEANUP_%s=\"%s\": ", variable, value);
  cr_expect_eq(PARSE(entry), -1, "%s was accepted", entry);
  cr_expect(strncmp(message, named, strlen(named)) == 0, "%s does not begin with %s", message, named);
  cr_expect(strstr(message, accepted) != NULL, "%s does not name %s", message, accepted);
  cr_expect(strstr(message, "; nothing will be deleted") != NULL, "%s", message);
  cr_expect(strchr(message, '\n') == NULL);
}

Test(config, an_empty_environment_gives_the_documented_defaults) {
  const char *const none[] = {NULL};
  cr_assert_eq(parse(none), 0);
  cr_expect(!config.disabled);
  cr_expect(!config.has_base);
  cr_expect_str_empty(config.base);
  cr_expect_str_empty(config.state_dir);
  cr_expect_null(config.session);
  cr_expect_eq(config.policy.ttl_ns, 24 * HOUR_NS);
  cr_expect_eq(config.policy.interval_ns, 30 * MINUTE_NS);
  cr_expect_eq(config.policy.exit_budget_ns, INT64_C(5000000000));
  cr_expect_eq(config.policy.max_bytes, FC_INFINITY_COUNT);
  cr_expect_eq(config.policy.max_files, FC_INFINITY_COUNT);
  cr_expect_eq(config.policy.on_exit, FC_ON_EXIT_DELETE);
  cr_expect_eq(config.policy.scope, FC_SCOPE_SESSION);
  cr_expect_eq(config.policy.dirs, FC_DIRS_EMPTY);
  cr_expect_eq(config.policy.in_use, FC_IN_USE_SKIP);
  cr_expect_eq(config.policy.age_by, FC_AGE_BY_NEWEST);
  cr_expect_eq(config.policy.track, FC_TRACK_OWN);
  cr_expect_eq(config.policy.log_level, FC_LOG_WARN);
  cr_expect_eq(config.policy.periodic, 1);
  cr_expect_eq(config.policy.on_startup, 1);
  cr_expect_eq(config.policy.trust_base, 0);
  cr_expect_eq(config.policy.guardian, 0);
  cr_expect_str_empty(config.policy.keep);
  cr_expect_str_empty(config.policy.log_file);
  cr_expect_str_empty(config.policy.stats_file);
}

Test(config, no_environment_at_all_is_an_empty_one) {
  cr_assert_eq(parse(NULL), 0);
  cr_expect(!config.has_base);
}

Test(config, every_variable_reaches_its_field) {
  cr_assert_eq(PARSE("FILECLEANUP_BASE_DIR=/tmp/base", "FILECLEANUP_TTL=2h 30min", "FILECLEANUP_INTERVAL=90",
                     "FILECLEANUP_AGE_BY=mtime", "FILECLEANUP_PERIODIC=no", "FILECLEANUP_ON_STARTUP=off",
                     "FILECLEANUP_ON_EXIT=keep-on-failure", "FILECLEANUP_SCOPE=leader", "FILECLEANUP_KEEP=*.log:out/*",
                     "FILECLEANUP_DIRS=recursive", "FILECLEANUP_IN_USE=ignore", "FILECLEANUP_MAX_BYTES=3M",
                     "FILECLEANUP_MAX_FILES=12", "FILECLEANUP_STATE_DIR=/tmp/state", "FILECLEANUP_TRACK=all",
                     "FILECLEANUP_TRUST_BASE=true", "FILECLEANUP_GUARDIAN=1", "FILECLEANUP_EXIT_BUDGET=250ms",
                     "FILECLEANUP_LOG=debug", "FILECLEANUP_LOG_FILE=/tmp/log", "FILECLEANUP_STATS=/tmp/stats",
                     "FILECLEANUP_SESSION=/tmp/session"),
               0, "%s", message);
  cr_expect(config.has_base);
  cr_expect_str_eq(config.base, "/tmp/base");
  cr_expect_eq(config.policy.ttl_ns, 2 * HOUR_NS + 30 * MINUTE_NS);
  cr_expect_eq(config.policy.interval_ns, INT64_C(90000000000));
  cr_expect_eq(config.policy.age_by, FC_AGE_BY_MTIME);
  cr_expect_eq(config.policy.periodic, 0);
  cr_expect_eq(config.policy.on_startup, 0);
  cr_expect_eq(config.policy.on_exit, FC_ON_EXIT_KEEP_ON_FAILURE);
  cr_expect_eq(config.policy.scope, FC_SCOPE_LEADER);
  cr_expect_str_eq(config.policy.keep, "*.log:out/*");
  cr_expect_eq(config.policy.dirs, FC_DIRS_RECURSIVE);
  cr_expect_eq(config.policy.in_use, FC_IN_USE_IGNORE);
  cr_expect_eq(config.policy.max_bytes, 3u << 20);
  cr_expect_eq(config.policy.max_files, 12);
  cr_expect_str_eq(config.state_dir, "/tmp/state");
  cr_expect_eq(config.policy.track, FC_TRACK_ALL);
  cr_expect_eq(config.policy.trust_base, 1);
  cr_expect_eq(config.policy.guardian, 1);
  cr_expect_eq(config.policy.exit_budget_ns, INT64_C(250000000));
  cr_expect_eq(config.policy.log_level, FC_LOG_DEBUG);
  cr_expect_str_eq(config.policy.log_file, "/tmp/log");
  cr_expect_str_eq(config.policy.stats_file, "/tmp/stats");
  cr_expect_str_eq(config.session, "/tmp/session");
}

Test(config, each_word_of_a_choice_gives_its_value) {
  static const struct {
    const char *entry;
    size_t offset;
    uint32_t value;
  } table[] = {
      {"FILECLEANUP_ON_EXIT=delete", offsetof(struct fc_policy, on_exit), FC_ON_EXIT_DELETE},
      {"FILECLEANUP_ON_EXIT=keep", offsetof(struct fc_policy, on_exit), FC_ON_EXIT_KEEP},
      {"FILECLEANUP_ON_EXIT=keep-on-failure", offsetof(struct fc_policy, on_exit), FC_ON_EXIT_KEEP_ON_FAILURE},
      {"FILECLEANUP_ON_EXIT=report", offsetof(struct fc_policy, on_exit), FC_ON_EXIT_REPORT},
      {"FILECLEANUP_SCOPE=session", offsetof(struct fc_policy, scope), FC_SCOPE_SESSION},
      {"FILECLEANUP_SCOPE=leader", offsetof(struct fc_policy, scope), FC_SCOPE_LEADER},
      {"FILECLEANUP_SCOPE=process", offsetof(struct fc_policy, scope), FC_SCOPE_PROCESS},
      {"FILECLEANUP_DIRS=keep", offsetof(struct fc_policy, dirs), FC_DIRS_KEEP},
      {"FILECLEANUP_DIRS=empty", offsetof(struct fc_policy, dirs), FC_DIRS_EMPTY},
      {"FILECLEANUP_DIRS=recursive", offsetof(struct fc_policy, dirs), FC_DIRS_RECURSIVE},
      {"FILECLEANUP_IN_USE=skip", offsetof(struct fc_policy, in_use), FC_IN_USE_SKIP},
      {"FILECLEANUP_IN_USE=ignore", offsetof(struct fc_policy, in_use), FC_IN_USE_IGNORE},
      {"FILECLEANUP_AGE_BY=newest", offsetof(struct fc_policy, age_by), FC_AGE_BY_NEWEST},
      {"FILECLEANUP_AGE_BY=mtime", offsetof(struct fc_policy, age_by), FC_AGE_BY_MTIME},
      {"FILECLEANUP_TRACK=own", offsetof(struct fc_policy, track), FC_TRACK_OWN},
      {"FILECLEANUP_TRACK=all", offsetof(struct fc_policy, track), FC_TRACK_ALL},
      {"FILECLEANUP_LOG=off", offsetof(struct fc_policy, log_level), FC_LOG_OFF},
      {"FILECLEANUP_LOG=error", offsetof(struct fc_policy, log_level), FC_LOG_ERROR},
      {"FILECLEANUP_LOG=warn", offsetof(struct fc_policy, log_level), FC_LOG_WARN},
      {"FILECLEANUP_LOG=info", offsetof(struct fc_policy, log_level), FC_LOG_INFO},
      {"FILECLEANUP_LOG=debug", offsetof(struct fc_policy, log_level), FC_LOG_DEBUG},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    uint32_t got = UINT32_MAX;
    cr_expect_eq(PARSE(table[i].entry), 0, "%s: %s", table[i].entry, message);
    memcpy(&got, (const char *)&config.policy + table[i].offset, sizeof got);
    cr_expect_eq(got, table[i].value, "%s gave %u", table[i].entry, got);
  }
}

Test(config, spans_are_read_as_systemd_reads_them) {
  static const struct {
    const char *text;
    int64_t ns;
  } table[] = {
      {"0", 0},
      {"90", INT64_C(90000000000)},
      {"1us", 1000},
      {"1usec", 1000},
      {"1\xc2\xb5s", 1000},
      {"1\xce\xbcs", 1000},
      {"1ms", 1000000},
      {"1msec", 1000000},
      {"1s", 1000000000},
      {"1sec", 1000000000},
      {"1second", 1000000000},
      {"2seconds", 2000000000},
      {"1m", MINUTE_NS},
      {"1min", MINUTE_NS},
      {"1minute", MINUTE_NS},
      {"2minutes", 2 * MINUTE_NS},
      {"1h", HOUR_NS},
      {"1hr", HOUR_NS},
      {"1hour", HOUR_NS},
      {"24h", DAY_NS},
      {"2hours", 2 * HOUR_NS},
      {"1d", DAY_NS},
      {"1day", DAY_NS},
      {"2 days", 2 * DAY_NS},
      {"1w", 7 * DAY_NS},
      {"1week", 7 * DAY_NS},
      {"2weeks", 14 * DAY_NS},
      {"1month", INT64_C(2629800000000000)},
      {"2months", 2 * INT64_C(2629800000000000)},
      {"1y", INT64_C(31557600000000000)},
      {"1year", INT64_C(31557600000000000)},
      {"2years", 2 * INT64_C(31557600000000000)},
      {"2h 30min", 2 * HOUR_NS + 30 * MINUTE_NS},
      {"2h30min", 2 * HOUR_NS + 30 * MINUTE_NS},
      {"30min 2h", 2 * HOUR_NS + 30 * MINUTE_NS},
      {" 2 h\t", 2 * HOUR_NS},
      {"300ms20s 5day", 5 * DAY_NS + INT64_C(20300000000)},
      {"1.5h", 90 * MINUTE_NS},
      {"0.001s", 1000000},
      {"0.25y", INT64_C(31557600000000000) / 4},
      {"1.00000000000000000001s", 1000000000},
      {"292y", 292 * INT64_C(31557600000000000)},
      {"9223372036s", INT64_C(9223372036000000000)},
      {"infinity", FC_INFINITY_NS},
      {" infinity ", FC_INFINITY_NS},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    int64_t ns = -1;
    cr_expect_eq(fc_config_parse_span(table[i].text, &ns), 0, "\"%s\" was refused", table[i].text);
    cr_expect_eq(ns, table[i].ns, "\"%s\" gave %lld", table[i].text, (long long)ns);
  }
}

static const char *const bad_spans[] = {"",
                                        " ",
                                        "h",
                                        "M",
                                        "5M",
                                        "2h 5M",
                                        "-1",
                                        "-5min",
                                        "+5",
                                        "5x",
                                        "5 x",
                                        "24H",
                                        "5Min",
                                        "5minz",
                                        "2h 30",
                                        "30 2h",
                                        "1,5h",
                                        "1.h",
                                        ".5h",
                                        "1..5h",
                                        "0x10",
                                        "1e3",
                                        "infinity1",
                                        "Infinity",
                                        "1h infinity",
                                        "infinity 1h",
                                        "293y",
                                        "9223372037",
                                        "18446744073709551616",
                                        "99999999999999999999999",
                                        "5h;",
                                        "5h\\n",
                                        "never",
                                        "off",
                                        "2h-30min",
                                        "9223372036.9s"};

Test(config, a_span_that_could_mean_something_else_is_refused) {
  for (size_t i = 0; i < sizeof bad_spans / sizeof *bad_spans; i++) {
    int64_t ns = 17;
    cr_expect_eq(fc_config_parse_span(bad_spans[i], &ns), -1, "\"%s\" gave %lld", bad_spans[i], (long long)ns);
    cr_expect_eq(ns, 17, "\"%s\" was refused, but stored", bad_spans[i]);
  }
}

Test(config, sizes_take_powers_of_1024) {
  static const struct {
    const char *text;
    uint64_t size;
  } table[] = {{"0", 0},
               {"1", 1},
               {"007", 7},
               {"1K", 1024},
               {"512M", UINT64_C(512) << 20},
               {"10G", UINT64_C(10) << 30},
               {"3T", UINT64_C(3) << 40},
               {"16777215T", UINT64_C(16777215) << 40},
               {"18446744073709551614", UINT64_MAX - 1},
               {"infinity", FC_INFINITY_COUNT}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    uint64_t size = 17;
    cr_expect_eq(fc_config_parse_size(table[i].text, &size), 0, "\"%s\" was refused", table[i].text);
    cr_expect_eq(size, table[i].size, "\"%s\" gave %llu", table[i].text, (unsigned long long)size);
  }
}

Test(config, a_malformed_or_overflowing_size_is_refused) {
  static const char *const table[] = {"",          " ",
                                      "K",         "-1",
                                      "+1",        "1k",
                                      "1m",        "1 K",
                                      "1KB",       "1Ki",
                                      "1P",        "1.5G",
                                      "16777216T", "18446744073709551615",
                                      " 1",        "1 ",
                                      "1KM",       "0x1",
                                      "Infinity",  "18446744073709551616"};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    uint64_t size = 17;
    cr_expect_eq(fc_config_parse_size(table[i], &size), -1, "\"%s\" gave %llu", table[i], (unsigned long long)size);
    cr_expect_eq(size, 17, "\"%s\" was refused, but stored", table[i]);
  }
}

Test(config, booleans_are_read_in_any_case_and_nothing_else_is) {
  static const char *const yes[] = {"1", "yes", "true", "on", "YES", "True", "oN"};
  static const char *const no[] = {"0", "no", "false", "off", "NO", "False", "oFF"};
  static const char *const neither[] = {"", " ", "2", "10", "y", "n", "t", "enable", "yes ", " no", "-1", "nope"};
  bool on = false;
  for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
    cr_expect(fc_config_parse_bool(yes[i], &on) == 0 && on, "%s", yes[i]);
  for (size_t i = 0; i < sizeof no / sizeof *no; i++)
    cr_expect(fc_config_parse_bool(no[i], &on) == 0 && !on, "%s", no[i]);
  for (size_t i = 0; i < sizeof neither / sizeof *neither; i++)
    cr_expect_eq(fc_config_parse_bool(neither[i], &on), -1, "%s", neither[i]);
}

Test(config, a_refused_value_is_named_with_its_variable_and_what_is_accepted) {
  static const struct {
    const char *variable;
    const char *value;
    const char *accepted;
  } table[] = {
      {"TTL", "0", "0 would delete at once; use a span like 24h, or infinity for off"},
      {"TTL", "0h", "infinity for off"},
      {"TTL", "0.0000000001s", "infinity for off"},
      {"TTL", "5M", "2h 30min"},
      {"TTL", "", "24h"},
      {"INTERVAL", "0", "30min"},
      {"INTERVAL", "1us", "1ms"},
      {"INTERVAL", "soon", "30min"},
      {"INTERVAL", "", "30min"},
      {"EXIT_BUDGET", "-1s", "5s"},
      {"EXIT_BUDGET", "", "5s"},
      {"AGE_BY", "ctime", "newest or mtime"},
      {"AGE_BY", "", "newest or mtime"},
      {"PERIODIC", "maybe", "1, yes, true or on, or 0, no, false or off"},
      {"PERIODIC", "", "yes"},
      {"ON_STARTUP", "2", "yes"},
      {"TRUST_BASE", "y", "yes"},
      {"GUARDIAN", "always", "yes"},
      {"ON_EXIT", "remove", "delete, keep, keep-on-failure or report"},
      {"ON_EXIT", "Delete", "delete, keep, keep-on-failure or report"},
      {"ON_EXIT", "delete ", "delete, keep, keep-on-failure or report"},
      {"ON_EXIT", "", "delete, keep, keep-on-failure or report"},
      {"SCOPE", "global", "session, leader or process"},
      {"DIRS", "all", "keep, empty or recursive"},
      {"IN_USE", "1", "skip or ignore"},
      {"TRACK", "none", "own or all"},
      {"MAX_BYTES", "1GB", "512M"},
      {"MAX_BYTES", "0", "infinity"},
      {"MAX_BYTES", "", "512M"},
      {"MAX_FILES", "many", "10000"},
      {"MAX_FILES", "0K", "infinity"},
      {"LOG", "verbose", "off, error, warn, info or debug"},
      {"LOG", "4", "off, error, warn, info or debug"},
      {"LOG_FILE", "/var/log/", "file"},
      {"STATS", "out/", "file"},
      {"KEEP", "/tmp/base/*.log", "relative to the base"},
      {"KEEP", "*.c:/x", "relative to the base"},
      {"KEEP", "../x", "relative to the base"},
      {"KEEP", "a/../b", "relative to the base"},
      {"KEEP", "a//b", "relative to the base"},
      {"KEEP", "..", "relative to the base"},
      {"SESSION", "name:", "letters"},
      {"SESSION", "name:a/b", "letters"},
      {"SESSION", "name:..", "letters"},
      {"SESSION", "name:a b", "letters"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    refuse_variable(table[i].variable, table[i].value, table[i].accepted);
}

Test(config, no_variable_takes_a_bad_span_that_the_parser_refuses) {
  for (size_t i = 0; i < sizeof bad_spans / sizeof *bad_spans; i++) {
    if (strpbrk(bad_spans[i], "\\") != NULL) continue; /* shown escaped: has a test of its own */
    refuse_variable("TTL", bad_spans[i], "24h");
    refuse_variable("INTERVAL", bad_spans[i], "30min");
    refuse_variable("EXIT_BUDGET", bad_spans[i], "5s");
  }
}

Test(config, infinity_turns_off_what_has_a_limit) {
  cr_assert_eq(PARSE("FILECLEANUP_TTL=infinity", "FILECLEANUP_INTERVAL=infinity", "FILECLEANUP_EXIT_BUDGET=infinity",
                     "FILECLEANUP_MAX_BYTES=infinity", "FILECLEANUP_MAX_FILES=infinity"),
               0, "%s", message);
  cr_expect_eq(config.policy.ttl_ns, FC_INFINITY_NS);
  cr_expect_eq(config.policy.interval_ns, FC_INFINITY_NS);
  cr_expect_eq(config.policy.exit_budget_ns, FC_INFINITY_NS);
  cr_expect_eq(config.policy.max_bytes, FC_INFINITY_COUNT);
  cr_expect_eq(config.policy.max_files, FC_INFINITY_COUNT);
}

Test(config, an_exit_budget_of_0_means_no_delay_and_is_accepted) {
  cr_assert_eq(PARSE("FILECLEANUP_EXIT_BUDGET=0"), 0, "%s", message);
  cr_expect_eq(config.policy.exit_budget_ns, 0);
}

Test(config, of_two_entries_the_first_counts_as_for_getenv) {
  cr_assert_eq(PARSE("FILECLEANUP_TTL=1h", "FILECLEANUP_TTL=nonsense"), 0, "%s", message);
  cr_expect_eq(config.policy.ttl_ns, HOUR_NS);
}

Test(config, what_only_resembles_a_variable_is_not_read) {
  cr_assert_eq(PARSE("FILECLEANUP_TTLS=0", "XFILECLEANUP_TTL=0", "filecleanup_ttl=0", "FILECLEANUP_TTL",
                     "FILECLEANUP_TT=0", "FILECLEANUP_=0", "TTL=0"),
               0, "%s", message);
  cr_expect_eq(config.policy.ttl_ns, 24 * HOUR_NS);
}

Test(config, disable_is_looked_at_first_and_stops_all_else) {
  static const char *const on[] = {"FILECLEANUP_DISABLE=1", "FILECLEANUP_DISABLE=no", "FILECLEANUP_DISABLE=00",
                                   "FILECLEANUP_DISABLE= "};
  for (size_t i = 0; i < sizeof on / sizeof *on; i++) {
    cr_expect_eq(PARSE("FILECLEANUP_TTL=nonsense", "FILECLEANUP_BASE_DIR=/tmp/x", on[i]), 0);
    cr_expect(config.disabled, "%s", on[i]);
    cr_expect(!config.has_base);
  }
  cr_expect_eq(PARSE("FILECLEANUP_DISABLE="), 0);
  cr_expect(!config.disabled);
  cr_expect_eq(PARSE("FILECLEANUP_DISABLE=0"), 0);
  cr_expect(!config.disabled);
}

Test(config, an_empty_base_is_no_base) {
  cr_assert_eq(PARSE("FILECLEANUP_BASE_DIR="), 0);
  cr_expect(!config.has_base);
}

Test(config, an_empty_list_file_or_session_is_none) {
  cr_assert_eq(PARSE("FILECLEANUP_KEEP=", "FILECLEANUP_LOG_FILE=", "FILECLEANUP_STATS=", "FILECLEANUP_STATE_DIR=",
                     "FILECLEANUP_SESSION="),
               0, "%s", message);
  cr_expect_str_empty(config.policy.keep);
  cr_expect_str_empty(config.policy.log_file);
  cr_expect_str_empty(config.policy.stats_file);
  cr_expect_str_empty(config.state_dir);
  cr_expect_null(config.session);
}

Test(config, a_relative_name_is_made_absolute_against_the_working_directory) {
  char expected[PATH_MAX];
  cr_assert_eq(chdir("/usr/share"), 0);
  cr_assert_eq(PARSE("FILECLEANUP_BASE_DIR=./temp", "FILECLEANUP_STATE_DIR=state//x/", "FILECLEANUP_LOG_FILE=a/../log",
                     "FILECLEANUP_STATS=stats"),
               0, "%s", message);
  snprintf(expected, sizeof expected, "%s", "/usr/share/temp");
  cr_expect_str_eq(config.base, expected);
  cr_expect_str_eq(config.state_dir, "/usr/share/state/x");
  /* What ".." means is known only to who follows the links before it. */
  cr_expect_str_eq(config.policy.log_file, "/usr/share/a/../log");
  cr_expect_str_eq(config.policy.stats_file, "/usr/share/stats");
}

Test(config, a_relative_name_in_the_root_gets_one_slash) {
  cr_assert_eq(chdir("/"), 0);
  cr_assert_eq(PARSE("FILECLEANUP_BASE_DIR=x"), 0);
  cr_expect_str_eq(config.base, "/x");
  cr_assert_eq(PARSE("FILECLEANUP_BASE_DIR=."), 0);
  cr_expect_str_eq(config.base, "/");
}

Test(config, an_absolute_name_loses_only_what_means_nothing) {
  cr_assert_eq(PARSE("FILECLEANUP_BASE_DIR=//tmp/./a//..b/.c/../d/"), 0);
  cr_expect_str_eq(config.base, "/tmp/a/..b/.c/../d");
  cr_assert_eq(PARSE("FILECLEANUP_BASE_DIR=///"), 0);
  cr_expect_str_eq(config.base, "/");
}

Test(config, a_relative_name_in_a_deleted_directory_is_refused) {
  char directory[] = "/tmp/fc-config-XXXXXX";
  cr_assert_not_null(mkdtemp(directory));
  cr_assert_eq(chdir(directory), 0);
  cr_assert_eq(rmdir(directory), 0);
  refuse_variable("BASE_DIR", "temp", "use an absolute name");
}

Test(config, names_and_lists_are_taken_up_to_their_limit_and_refused_beyond) {
  static char entry[2 * PATH_MAX];
  static const struct {
    const char *variable;
    const char *first;
    size_t limit;
  } table[] = {
      {"BASE_DIR", "/", PATH_MAX}, {"STATE_DIR", "/", PATH_MAX}, {"LOG_FILE", "/", FC_FILE_MAX},
      {"STATS", "/", FC_FILE_MAX}, {"KEEP", "", FC_KEEP_MAX},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    int start = snprintf(entry, sizeof entry, "FILECLEANUP_%s=%s", table[i].variable, table[i].first);
    size_t fill = table[i].limit - 1 - strlen(table[i].first);
    memset(entry + start, 'x', fill);
    entry[(size_t)start + fill] = '\0';
    cr_expect_eq(PARSE(entry), 0, "%s: %s", table[i].variable, message);
    entry[(size_t)start + fill] = 'x';
    entry[(size_t)start + fill + 1] = '\0';
    cr_expect_eq(PARSE(entry), -1, "%s", table[i].variable);
    cr_expect(strstr(message, table[i].variable) != NULL && strstr(message, "too long") != NULL, "%s", message);
    cr_expect(strstr(message, "xxx...\"") != NULL, "a long value is cut: %s", message);
  }
}

Test(config, keep_globs_lose_what_would_stop_them_from_matching) {
  cr_assert_eq(PARSE("FILECLEANUP_KEEP=::./a:.//b/:c//::./:*.[ch]:.hidden:..x/y"), 0, "%s", message);
  cr_expect_str_eq(config.policy.keep, "a:b:c:*.[ch]:.hidden:..x/y");
}

Test(config, a_keep_glob_that_ends_in_a_backslash_is_refused_since_a_colon_cannot_be_quoted) {
  cr_expect_eq(PARSE("FILECLEANUP_KEEP=a\\:b"), -1);
  cr_expect(strstr(message, "FILECLEANUP_KEEP=\"a\\\\:b\"") != NULL, "%s", message);
  accept_variable("KEEP", "a\\\\:b\\*");
}

Test(config, the_log_goes_to_syslog_or_stays_in_the_journal_on_request) {
  cr_assert_eq(PARSE("FILECLEANUP_LOG_FILE=syslog"), 0);
  cr_expect_str_eq(config.policy.log_file, "syslog");
  cr_assert_eq(PARSE("FILECLEANUP_LOG_FILE=journal"), 0);
  cr_expect_str_empty(config.policy.log_file);
}

Test(config, a_session_is_handed_on_as_it_stands_in_the_environment) {
  static const char *const entries[] = {"FILECLEANUP_SESSION=name:build-1.2_x", "FILECLEANUP_SESSION=/a/b:/c"};
  for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
    cr_expect_eq(PARSE(entries[i]), 0, "%s", message);
    cr_expect_eq(config.session, entries[i] + strlen("FILECLEANUP_SESSION="));
  }
}

Test(config, a_session_name_has_64_characters_at_most) {
  char value[5 + 65 + 1] = "name:";
  memset(value + 5, 'x', 65);
  refuse_variable("SESSION", value, "64");
  value[5 + 64] = '\0';
  accept_variable("SESSION", value);
}

Test(config, a_message_shows_control_characters_and_quotes_escaped) {
  cr_assert_eq(PARSE("FILECLEANUP_TTL=a\n\"b\"\\\x1b[31m"), -1);
  cr_expect(strstr(message, "FILECLEANUP_TTL=\"a\\x0a\\\"b\\\"\\\\\\x1b[31m\": ") != NULL, "%s", message);
}

Test(config, a_message_never_leaves_its_buffer) {
  static const char *const envp[] = {"FILECLEANUP_TTL=nonsense", NULL};
  for (size_t size = 0; size < 64; size++) {
    char buffer[65];
    memset(buffer, '#', sizeof buffer);
    cr_expect_eq(fc_config_parse(&config, (char *const *)envp, buffer, size), -1);
    cr_expect_eq(buffer[size], '#');
    if (size > 0) cr_expect_eq(strlen(buffer), size - 1);
  }
}
