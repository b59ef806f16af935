#include "report_text.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "message.h"
#include "verb.h"

#define LABEL_COLUMNS 9
#define TEXT_BYTES 256 /* five numbers, and a word for each */
#define SPARK_COLUMNS 64
#define SPARK_LEVELS 8
#define PROGRAMS_SHOWN 5
#define NAMES_SHOWN_AT_END 10 /* of a run, between other things on a terminal */

const char *fc_report_text_outcome(const struct fc_report_input *in) {
  static const struct {
    const char *outcome;
    const char *text;
  } rows[] = {{"removed", "cleaned up"},
              {"kept", "kept, as its policy says"},
              {"damaged", "damaged or incomplete: nothing was deleted at its end"},
              {"deferred", "not all could be done: the next start or sweep goes on"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (strcmp(rows[i].outcome, in->outcome) == 0) return rows[i].text;
  return in->outcome;
}

const char *fc_report_text_seconds(double seconds, char out[FC_HUMAN_BYTES]) {
  if (seconds <= 0)
    (void)snprintf(out, FC_HUMAN_BYTES, "less than 1 s");
  else if (seconds < 0.9995)
    (void)snprintf(out, FC_HUMAN_BYTES, "%.0f ms", seconds * 1000);
  else if (seconds < 59.95)
    (void)snprintf(out, FC_HUMAN_BYTES, "%.1f s", seconds);
  else
    (void)fc_human_span((int64_t)(seconds + 0.5) * INT64_C(1000000000), out);
  return out;
}

static void label(FILE *out, const char *text) {
  (void)fprintf(out, "  %s%-*s%s", fc_human_colour(FC_COLOUR_DIM), LABEL_COLUMNS, text, fc_human_plain());
}

/* One row of the sparkline: the greatest value in each column's time; in between the last one goes on. */
static void print_spark(const struct fc_report_input *in, FILE *out, bool bytes, const char *const *levels) {
  const double end =
      in->seconds > in->footprint[in->samples - 1].at_s ? in->seconds : in->footprint[in->samples - 1].at_s;
  uint64_t columns[SPARK_COLUMNS];
  uint64_t most = 0;
  uint64_t last = 0;
  size_t next = 0;
  for (size_t i = 0; i < SPARK_COLUMNS; i++) {
    const double until = end * (double)(i + 1) / SPARK_COLUMNS;
    columns[i] = last;
    for (; next < in->samples && (in->footprint[next].at_s < until || i == SPARK_COLUMNS - 1); next++) {
      last = bytes ? in->footprint[next].bytes : in->footprint[next].files;
      if (last > columns[i]) columns[i] = last;
    }
    if (columns[i] > most) most = columns[i];
  }
  label(out, bytes ? "bytes" : "files");
  for (size_t i = 0; i < SPARK_COLUMNS; i++) {
    /* Rounded up: what is not nothing is seen. */
    const double part = most ? (double)columns[i] / (double)most * SPARK_LEVELS : 0;
    size_t level = (size_t)part;
    if ((double)level < part) level++;
    (void)fputs(level ? levels[level - 1] : " ", out);
  }
  (void)fputc('\n', out);
}

static void print_sparks(const struct fc_report_input *in, FILE *out) {
  static const char *const blocks[SPARK_LEVELS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  static const char *const ascii[SPARK_LEVELS] = {"_", ".", ":", "-", "=", "+", "*", "#"};
  if (in->samples < 2) return;
  (void)setlocale(LC_CTYPE, "");
  const char *const *levels = strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? blocks : ascii;
  char end[FC_HUMAN_BYTES];
  const double last = in->footprint[in->samples - 1].at_s;
  (void)fputc('\n', out);
  print_spark(in, out, true, levels);
  print_spark(in, out, false, levels);
  label(out, "");
  (void)fprintf(out, "%s0%*s%s\n", fc_human_colour(FC_COLOUR_DIM), SPARK_COLUMNS - 1,
                fc_report_text_seconds(in->seconds > last ? in->seconds : last, end), fc_human_plain());
}

static void print_head(const struct fc_report_input *in, FILE *out) {
  char *base = fc_human_name(in->base);
  char *session = fc_human_name(in->session);
  char *name = fc_human_name(in->name);
  char length[FC_HUMAN_BYTES];
  char begin[FC_HUMAN_BYTES];
  (void)fprintf(out, "%s%s%s  (session %s%s%s)\n", fc_human_colour(FC_COLOUR_HEAD), base, fc_human_plain(), session,
                name[0] ? ", " : "", name);
  label(out, "ran");
  if (in->started_s != FC_JSON_NEVER) (void)fprintf(out, "%s, ", fc_human_time(in->started_s, begin));
  (void)fprintf(out, "%s, process %llu", fc_report_text_seconds(in->seconds, length),
                (unsigned long long)in->leader_pid);
  if (in->leader_status >= 0)
    (void)fprintf(out, ", exit status %d\n", in->leader_status);
  else
    (void)fputs(", no exit status\n", out);
  label(out, "end");
  const bool well = strcmp(in->outcome, "removed") == 0;
  const bool bad = strcmp(in->outcome, "damaged") == 0;
  (void)fprintf(out, "%s%s%s\n",
                fc_human_colour(well  ? FC_COLOUR_GOOD
                                : bad ? FC_COLOUR_BAD
                                      : FC_COLOUR_NOTE),
                fc_report_text_outcome(in), fc_human_plain());
  free(base);
  free(session);
  free(name);
}

/* Text that may be longer than a line, behind a label. */
static void print_wrapped(FILE *out, const char *title, const char *text) {
  label(out, title);
  fc_human_wrap(text, LABEL_COLUMNS + 2, LABEL_COLUMNS + 2, fc_human_width());
}

static void print_stayed(const struct fc_report_input *in, FILE *out) {
  char text[TEXT_BYTES] = "nothing";
  const uint64_t total = fc_report_stayed_total(in);
  int at = total ? snprintf(text, sizeof text, "%llu: ", (unsigned long long)total) : 0;
  for (size_t i = 0, told = 0; i < FC_REPORT_WHYS; i++) {
    if (!in->stayed[i]) continue;
    at += snprintf(text + at, sizeof text - (size_t)at, "%s%llu %s", told++ ? ", " : "",
                   (unsigned long long)in->stayed[i], fc_report_why_name((enum fc_report_why)i));
  }
  print_wrapped(out, "stayed", text);
}

static void print_counts(const struct fc_report_input *in, FILE *out) {
  char files[FC_HUMAN_BYTES];
  char dirs[FC_HUMAN_BYTES];
  char size[FC_HUMAN_BYTES];
  label(out, "made");
  (void)fprintf(out, "%s, %s\n", fc_human_count(in->created_files, "file", "files", files),
                fc_human_count(in->created_dirs, "directory", "directories", dirs));
  if (in->program_removed || in->program_renamed_out) {
    label(out, "program");
    (void)fprintf(out, "removed %llu itself", (unsigned long long)in->program_removed);
    if (in->program_renamed_out)
      (void)fprintf(out, ", renamed %llu out of the base", (unsigned long long)in->program_renamed_out);
    (void)fputc('\n', out);
  }
  if (in->swept_files) {
    label(out, "swept");
    (void)fprintf(out, "%s, %s, while it ran\n", fc_human_count(in->swept_files, "file", "files", files),
                  fc_human_size(in->swept_bytes, size));
  }
  label(out, "deleted");
  (void)fprintf(out, "%s, %s, %s, at the end\n", fc_human_count(in->deleted_files, "file", "files", files),
                fc_human_count(in->deleted_dirs, "directory", "directories", dirs),
                fc_human_size(in->deleted_bytes, size));
  if (in->deleted_unseen) {
    label(out, "");
    (void)fprintf(out, "and %llu that no hook saw, in directories of the session\n",
                  (unsigned long long)in->deleted_unseen);
  }
  print_stayed(in, out);
  label(out, "leaked");
  (void)fprintf(out, "%s still there when the last process had ended\n",
                fc_human_count(in->leaked, "name was", "names were", files));
  if (in->unseen_members || in->unseen_names) {
    char text[TEXT_BYTES];
    (void)snprintf(text, sizeof text, "%s without the shim, %s that no hook saw",
                   fc_human_count(in->unseen_members, "process", "processes", files),
                   fc_human_count(in->unseen_names, "name", "names", dirs));
    print_wrapped(out, "unseen", text);
  }
  if (!in->has_peak || in->peak.files + in->peak.bytes == 0) return; /* over before it was measured */
  char when[FC_HUMAN_BYTES];
  label(out, "peak");
  (void)fprintf(out, "%s, %s, after %s\n", fc_human_count(in->peak.files, "file", "files", files),
                fc_human_size(in->peak.bytes, size), fc_report_text_seconds(in->peak.at_s, when));
}

static void print_programs(const struct fc_report_input *in, FILE *out) {
  for (size_t i = 0; i < in->program_count && i < PROGRAMS_SHOWN; i++) {
    char *program = fc_human_name(in->programs[i].program);
    if (i == 0) (void)fputs("\n", out);
    label(out, i == 0 ? "made by" : "");
    (void)fprintf(out, "%10llu  %s\n", (unsigned long long)in->programs[i].created, program[0] ? program : "?");
    free(program);
  }
  if (in->program_count > PROGRAMS_SHOWN) {
    label(out, "");
    (void)fprintf(out, "%10s  and %zu more\n", "", in->program_count - PROGRAMS_SHOWN);
  }
}

static void print_names(const struct fc_report_input *in, FILE *out, size_t most) {
  const size_t shown = in->name_count < most ? in->name_count : most;
  const uint64_t total = fc_report_stayed_total(in);
  for (size_t i = 0; i < shown; i++) {
    char *path = fc_human_name(in->names[i].path);
    if (i == 0) (void)fputs("\n", out);
    label(out, i == 0 ? "stays" : "");
    (void)fprintf(out, "%s%-11s%s  %s\n", fc_human_colour(FC_COLOUR_NOTE), fc_report_why_name(in->names[i].why),
                  fc_human_plain(), path);
    free(path);
  }
  if (shown && total > shown) {
    label(out, "");
    (void)fprintf(out, "%-11s  and %llu more\n", "", (unsigned long long)(total - shown));
  }
}

void fc_report_text_print(const struct fc_report_input *in, FILE *out, size_t names) {
  print_head(in, out);
  print_counts(in, out);
  print_sparks(in, out);
  print_programs(in, out);
  print_names(in, out, names);
}

void fc_report_text_tell(const char *file, const char *session) {
  struct fc_report_input input;
  char message[FC_MESSAGE_MAX];
  const int rc = fc_report_input_read(&input, file, message, sizeof message);
  if (rc == FC_EXIT_DONE && strcmp(input.session, session) != 0)
    (void)snprintf(message, sizeof message, "they are those of another session");
  if (rc == FC_EXIT_DONE && strcmp(input.session, session) == 0) {
    fc_human_use(stderr);
    fc_report_text_print(&input, stderr, NAMES_SHOWN_AT_END);
  } else {
    (void)fprintf(stderr, "filecleanup-run: no report: the statistics of the session cannot be read: %s\n", message);
  }
  fc_report_input_free(&input);
}
