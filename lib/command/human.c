#include "human.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "json.h"
#include "verb.h"

#define WIDTH_DEFAULT 80
#define WIDTH_MIN 40
#define NS_PER_S INT64_C(1000000000)

static FILE *used; /* NULL = stdout */
static int coloured = -1;

void fc_human_use(FILE *stream) {
  used = stream;
  coloured = -1;
}

static FILE *stream(void) { return used ? used : stdout; }

const char *fc_human_size(uint64_t bytes, char out[FC_HUMAN_BYTES]) {
  static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) {
    (void)snprintf(out, FC_HUMAN_BYTES, "%u B", (unsigned)bytes);
    return out;
  }
  size_t unit = 0;
  double value = (double)bytes / 1024;
  /* What would be shown as 1024.0 is shown in the next unit. */
  for (; value >= 1023.95 && unit + 1 < sizeof units / sizeof *units; unit++) value /= 1024;
  (void)snprintf(out, FC_HUMAN_BYTES, "%.1f %s", value, units[unit]);
  return out;
}

struct unit {
  int64_t seconds;
  const char *name;
};

const char *fc_human_age(int64_t seconds, char out[FC_HUMAN_BYTES]) {
  static const struct unit units[] = {{365 * 86400, "years"}, {86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
  if (seconds < 1) {
    (void)snprintf(out, FC_HUMAN_BYTES, "now");
    return out;
  }
  const struct unit *unit = units;
  while (seconds < unit->seconds) unit++;
  const int64_t count = seconds / unit->seconds;
  const bool one_year = unit == units && count == 1;
  (void)snprintf(out, FC_HUMAN_BYTES, "%lld %s", (long long)count, one_year ? "year" : unit->name);
  return out;
}

const char *fc_human_span(int64_t ns, char out[FC_HUMAN_BYTES]) {
  static const struct unit units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}};
  if (ns == FC_INFINITY_NS) {
    (void)snprintf(out, FC_HUMAN_BYTES, "infinity");
    return out;
  }
  int64_t rest = ns / NS_PER_S;
  size_t at = 0;
  out[0] = '\0';
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (rest < units[i].seconds) continue;
    const int n = snprintf(out + at, FC_HUMAN_BYTES - at, "%s%lld%s", at ? " " : "",
                           (long long)(rest / units[i].seconds), units[i].name);
    at += (size_t)n;
    rest %= units[i].seconds;
    if (at + 16 > FC_HUMAN_BYTES) return out; /* spans of many years: nobody misses their seconds */
  }
  const int64_t ms = ns % NS_PER_S / 1000000;
  if (ms)
    (void)snprintf(out + at, FC_HUMAN_BYTES - at, "%s%lld.%03lds", at ? " " : "", (long long)rest, (long)ms);
  else if (rest || !at)
    (void)snprintf(out + at, FC_HUMAN_BYTES - at, "%s%llds", at ? " " : "", (long long)rest);
  return out;
}

const char *fc_human_time(int64_t seconds, char out[FC_HUMAN_BYTES]) {
  const time_t when = (time_t)seconds;
  struct tm parts;
  if (!localtime_r(&when, &parts) || strftime(out, FC_HUMAN_BYTES, "%Y-%m-%d %H:%M:%S", &parts) == 0)
    (void)snprintf(out, FC_HUMAN_BYTES, "?");
  return out;
}

const char *fc_human_count(uint64_t count, const char *singular, const char *plural, char out[FC_HUMAN_BYTES]) {
  (void)snprintf(out, FC_HUMAN_BYTES, "%llu %s", (unsigned long long)count, count == 1 ? singular : plural);
  return out;
}

char *fc_human_name(const char *name) {
  char *const out = fc_verb_alloc(4 * strlen(name) + 1);
  char *to = out;
  for (const char *p = name; *p;) {
    const size_t len = fc_json_utf8(p);
    const unsigned char c = (unsigned char)*p;
    /* C1 controls, as U+0080 to U+009F, move cursors too. */
    const bool c1 = len == 2 && c == 0xc2 && (unsigned char)p[1] < 0xa0;
    if (c == '\n' || c == '\t' || c == '\\') {
      *to++ = '\\';
      *to++ = c == '\n' ? 'n' : c == '\t' ? 't' : '\\';
      p++;
    } else if (len == 0 || c < 0x20 || c == 0x7f || c1) {
      for (size_t i = 0; i < (c1 ? 2 : 1); i++) to += sprintf(to, "\\x%02x", (unsigned char)*p++);
    } else {
      memcpy(to, p, len);
      to += len;
      p += len;
    }
  }
  *to = '\0';
  return out;
}

size_t fc_human_columns(const char *text) {
  size_t columns = 0;
  for (; *text; text++) columns += ((unsigned char)*text & 0xc0) != 0x80;
  return columns;
}

size_t fc_human_width(void) {
  struct winsize size;
  if (isatty(fileno(stream())) && ioctl(fileno(stream()), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    return size.ws_col < WIDTH_MIN ? WIDTH_MIN : size.ws_col;
  return WIDTH_DEFAULT;
}

void fc_human_wrap(const char *text, size_t at, size_t indent, size_t width) {
  bool first = true;
  while (*text) {
    const size_t len = strcspn(text, " ");
    char *word = fc_verb_copy(text, len);
    const size_t columns = fc_human_columns(word);
    if (!first && at + 1 + columns > width) {
      (void)fprintf(stream(), "\n%*s", (int)indent, "");
      at = indent;
    } else if (!first) {
      (void)fputc(' ', stream());
      at++;
    }
    (void)fputs(word, stream());
    free(word);
    at += columns;
    first = false;
    text += len;
    while (*text == ' ') text++;
  }
  (void)fputc('\n', stream());
}

static bool has_colour(void) {
  if (coloured < 0) {
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    coloured = isatty(fileno(stream())) && !(no && no[0]) && term && term[0] && strcmp(term, "dumb") != 0;
  }
  return coloured > 0;
}

const char *fc_human_colour(enum fc_colour colour) {
  static const char *const sequences[] = {[FC_COLOUR_GOOD] = "\033[32m",
                                          [FC_COLOUR_NOTE] = "\033[33m",
                                          [FC_COLOUR_BAD] = "\033[31m",
                                          [FC_COLOUR_HEAD] = "\033[1m",
                                          [FC_COLOUR_DIM] = "\033[2m"};
  return has_colour() ? sequences[colour] : "";
}

const char *fc_human_plain(void) { return has_colour() ? "\033[0m" : ""; }
