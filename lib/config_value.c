/* config_value: spans of time, sizes and booleans. See config.h; pure functions of a text. */
#include <string.h>

#include "config.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS (1000 * NS_PER_US)
#define NS_PER_S (1000 * NS_PER_MS)
#define NS_PER_MIN (60 * NS_PER_S)
#define NS_PER_H (60 * NS_PER_MIN)
#define NS_PER_DAY (24 * NS_PER_H)
#define NS_PER_WEEK (7 * NS_PER_DAY)
/* 30.44 and 365.25 days, as systemd.time(7). */
#define NS_PER_MONTH UINT64_C(2629800000000000)
#define NS_PER_YEAR UINT64_C(31557600000000000)

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static bool equal_ignoring_case(const char *a, const char *b) {
  while (*a != '\0' && lower(*a) == lower(*b)) {
    a++;
    b++;
  }
  return lower(*a) == lower(*b);
}

/* Unsigned throughout: clang calls a function of its run-time for signed 64-bit overflow on 32-bit machines. */
static int append_digit(uint64_t *number, char digit) {
  return __builtin_mul_overflow(*number, UINT64_C(10), number) ||
                 __builtin_add_overflow(*number, (uint64_t)(digit - '0'), number)
             ? -1
             : 0;
}

struct span_unit {
  char name[8]; /* in place: a pointer would be relocated in every process that starts */
  uint64_t ns;
};

/* systemd.time(7), but for "M": who writes it means minutes as often as months. */
static const struct span_unit *span_unit_find(const char *name, size_t length) {
  static const struct span_unit units[] = {
      {"us", NS_PER_US},       {"usec", NS_PER_US},      {"\xc2\xb5s", NS_PER_US}, {"\xce\xbcs", NS_PER_US},
      {"ms", NS_PER_MS},       {"msec", NS_PER_MS},      {"s", NS_PER_S},          {"sec", NS_PER_S},
      {"second", NS_PER_S},    {"seconds", NS_PER_S},    {"m", NS_PER_MIN},        {"min", NS_PER_MIN},
      {"minute", NS_PER_MIN},  {"minutes", NS_PER_MIN},  {"h", NS_PER_H},          {"hr", NS_PER_H},
      {"hour", NS_PER_H},      {"hours", NS_PER_H},      {"d", NS_PER_DAY},        {"day", NS_PER_DAY},
      {"days", NS_PER_DAY},    {"w", NS_PER_WEEK},       {"week", NS_PER_WEEK},    {"weeks", NS_PER_WEEK},
      {"month", NS_PER_MONTH}, {"months", NS_PER_MONTH}, {"y", NS_PER_YEAR},       {"year", NS_PER_YEAR},
      {"years", NS_PER_YEAR}};
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    if (strlen(units[i].name) == length && memcmp(units[i].name, name, length) == 0) return &units[i];
  return NULL;
}

/* One number of a span: whole part and, as systemd does, a decimal fraction. */
struct span_number {
  uint64_t whole;
  uint64_t fraction; /* in units of 1/scale */
  uint64_t scale;
};

/* More digits than these cannot change a span of nanoseconds that fits. */
#define FRACTION_SCALE_MAX UINT64_C(1000000000)

static int span_number_read(const char **text, struct span_number *out) {
  const char *p = *text;
  out->whole = 0;
  out->fraction = 0;
  out->scale = 1;
  if (!is_digit(*p)) return -1;
  for (; is_digit(*p); p++)
    if (append_digit(&out->whole, *p) != 0) return -1;
  if (*p == '.') {
    p++;
    if (!is_digit(*p)) return -1;
    for (; is_digit(*p); p++) {
      if (out->scale < FRACTION_SCALE_MAX) {
        out->fraction = out->fraction * 10 + (uint64_t)(*p - '0');
        out->scale *= 10;
      }
    }
  }
  *text = p;
  return 0;
}

/* fraction/scale of a unit, without leaving 64 bits: fraction < scale <= 10^9, but a year is 3 * 10^16 ns. */
static uint64_t span_fraction_ns(const struct span_number *number, uint64_t unit_ns) {
  uint64_t high = unit_ns / number->scale;
  uint64_t low = unit_ns % number->scale;
  return high * number->fraction + low * number->fraction / number->scale;
}

int fc_config_parse_span(const char *text, int64_t *out_ns) {
  const char *p = text;
  uint64_t total = 0;
  size_t parts = 0;
  while (is_space(*p)) p++;
  if (strncmp(p, "infinity", 8) == 0) {
    for (p += 8; is_space(*p); p++)
      ;
    if (*p != '\0') return -1;
    *out_ns = FC_INFINITY_NS;
    return 0;
  }
  for (; *p != '\0'; parts++) {
    struct span_number number;
    uint64_t unit_ns = NS_PER_S;
    uint64_t part;
    if (span_number_read(&p, &number) != 0) return -1;
    while (is_space(*p)) p++;
    const char *name = p;
    while (is_letter(*p) || (unsigned char)*p >= 0x80) p++;
    if (p > name) {
      const struct span_unit *unit = span_unit_find(name, (size_t)(p - name));
      if (unit == NULL) return -1;
      unit_ns = unit->ns;
    } else if (parts > 0 || *p != '\0') {
      /* "2h 30" may mean minutes as well as seconds: a bare number stands alone or not at all. */
      return -1;
    }
    if (__builtin_mul_overflow(number.whole, unit_ns, &part) ||
        __builtin_add_overflow(part, span_fraction_ns(&number, unit_ns), &part) ||
        __builtin_add_overflow(total, part, &total))
      return -1;
    while (is_space(*p)) p++;
  }
  if (parts == 0 || total >= (uint64_t)FC_INFINITY_NS) return -1;
  *out_ns = (int64_t)total;
  return 0;
}

int fc_config_parse_size(const char *text, uint64_t *out) {
  uint64_t size = 0;
  if (strcmp(text, "infinity") == 0) {
    *out = FC_INFINITY_COUNT;
    return 0;
  }
  const char *p = text;
  for (; is_digit(*p); p++)
    if (append_digit(&size, *p) != 0) return -1;
  if (p == text) return -1;
  if (*p != '\0') {
    static const char suffixes[] = "KMGT";
    const char *suffix = strchr(suffixes, *p);
    if (suffix == NULL || p[1] != '\0') return -1;
    if (__builtin_mul_overflow(size, UINT64_C(1) << (10 * (suffix - suffixes + 1)), &size)) return -1;
  }
  if (size == FC_INFINITY_COUNT) return -1;
  *out = size;
  return 0;
}

int fc_config_parse_bool(const char *text, bool *out) {
  static const char yes[][5] = {"1", "yes", "true", "on"};
  static const char no[][6] = {"0", "no", "false", "off"};
  for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
    if (equal_ignoring_case(text, yes[i])) {
      *out = true;
      return 0;
    }
    if (equal_ignoring_case(text, no[i])) {
      *out = false;
      return 0;
    }
  }
  return -1;
}
