#include "report_page.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "report_text.h"

#define DIGITS_MAX 40

static const char style[] =
    ":root{color-scheme:light dark;--paper:#ffffff;--card:#f5f6f8;--ink:#1b1f24;--dim:#5b6570;--rule:#d9dee4;"
    "--bytes:#0b62c4;--files:#b3470a;--good:#1a7f37;--note:#8a5a00;--bad:#c0232c}\n"
    "@media (prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1d2228;--ink:#e6e9ed;--dim:#9aa5b1;"
    "--rule:#343b44;--bytes:#6cb0ff;--files:#ffa266;--good:#57c776;--note:#e0b04a;--bad:#ff7b7b}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\n"
    "main{max-width:52rem;margin:0 auto;padding:2rem 1.25rem 3rem}\n"
    "h1{font-size:1.5rem;line-height:1.25;margin:0 0 .25rem;overflow-wrap:anywhere}\n"
    "h2{font-size:1.1rem;margin:2.25rem 0 .75rem}\n"
    "p{margin:.25rem 0}.dim,footer{color:var(--dim)}\n"
    ".outcome{font-weight:600}.good{color:var(--good)}.note{color:var(--note)}.bad{color:var(--bad)}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem;margin:1.5rem 0 0;"
    "padding:0}\n"
    ".cards div{background:var(--card);border-radius:.5rem;padding:.7rem .9rem}\n"
    ".cards dt{color:var(--dim);font-size:.875rem}.cards dd{margin:0}\n"
    ".cards .big{font-size:1.5rem;font-weight:600;line-height:1.3;font-variant-numeric:tabular-nums}\n"
    ".cards .more{color:var(--dim);font-size:.875rem}\n"
    "table{border-collapse:collapse;width:100%}caption{position:absolute;clip-path:inset(50%);width:1px;height:1px;"
    "overflow:hidden;white-space:nowrap}\n"
    "th,td{text-align:left;vertical-align:top;padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--rule);"
    "overflow-wrap:anywhere}\n"
    "thead th{color:var(--dim);font-weight:500;font-size:.875rem}tbody th{font-weight:400}td:nth-child(2):last-child{width:50%}\n"
    ".number{text-align:right;padding-right:0;font-variant-numeric:tabular-nums;white-space:nowrap}\n"
    ".why{width:8rem;white-space:nowrap}.path{font:.9em/1.5 ui-monospace,monospace}\n"
    "svg{display:block;width:100%;height:auto}svg text{fill:var(--dim);font:13px system-ui,sans-serif}\n"
    "svg .name{fill:var(--ink);font-weight:600;font-size:14px}.grid{stroke:var(--rule);stroke-width:1}\n"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round}.area{opacity:.18}\n"
    ".line.bytes{stroke:var(--bytes)}.area.bytes,.dot.bytes{fill:var(--bytes)}\n"
    ".line.files{stroke:var(--files)}.area.files,.dot.files{fill:var(--files)}\n"
    "@media (max-width:36rem){svg text,svg .name{font-size:18px}}\n"
    "footer{margin-top:2.5rem;font-size:.875rem}\n"
    "@media print{main{max-width:none;padding:0}.cards div{border:1px solid var(--rule)}}\n";

/* Text of an element or of an attribute in double quotes. Two characters are no characters of XML. */
static void print_text(FILE *out, const char *text) {
  for (const char *p = text; *p; p++) {
    switch (*p) {
    case '&':
      (void)fputs("&amp;", out);
      break;
    case '<':
      (void)fputs("&lt;", out);
      break;
    case '>':
      (void)fputs("&gt;", out);
      break;
    case '"':
      (void)fputs("&quot;", out);
      break;
    case '\'':
      (void)fputs("&#39;", out);
      break;
    default:
      if (strncmp(p, "\xef\xbf\xbe", 3) == 0 || strncmp(p, "\xef\xbf\xbf", 3) == 0) {
        (void)fprintf(out, "\\xef\\xbf\\x%02x", (unsigned char)p[2]);
        p += 2;
      } else {
        (void)fputc(*p, out);
      }
    }
  }
}

/* A name may turn the direction of what stands around it. */
static void print_name(FILE *out, const char *bytes) {
  char *shown = fc_human_name(bytes);
  (void)fputs("<bdi>", out);
  print_text(out, shown);
  (void)fputs("</bdi>", out);
  free(shown);
}

/* 1234567 as 1 234 567, by spaces that do not break. */
static const char *grouped(uint64_t number, char out[DIGITS_MAX * 3]) {
  char digits[DIGITS_MAX];
  const int count = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
  char *to = out;
  for (int i = 0; i < count; i++) {
    if (i && (count - i) % 3 == 0 && count > 4) {
      memcpy(to, "\xe2\x80\xaf", 3);
      to += 3;
    }
    *to++ = digits[i];
  }
  *to = '\0';
  return out;
}

static void print_count(FILE *out, uint64_t count, const char *singular, const char *plural) {
  char digits[DIGITS_MAX * 3];
  (void)fprintf(out, "%s %s", grouped(count, digits), count == 1 ? singular : plural);
}

static void print_files_dirs(FILE *out, uint64_t files, uint64_t dirs) {
  print_count(out, files, "file", "files");
  (void)fputs(", ", out);
  print_count(out, dirs, "directory", "directories");
}

static void begin_card(FILE *out, const char *title, uint64_t number) {
  char digits[DIGITS_MAX * 3];
  (void)fprintf(out, "<div><dt>%s</dt><dd class=\"big\">%s</dd><dd class=\"more\">", title, grouped(number, digits));
}

static void end_card(FILE *out) { (void)fputs("</dd></div>\n", out); }

static void print_cards(const struct fc_report_input *in, FILE *out) {
  char size[FC_HUMAN_BYTES];
  (void)fputs("<dl class=\"cards\">\n", out);
  begin_card(out, "Made", in->created_files);
  (void)fprintf(out, "%s, ", in->created_files == 1 ? "file" : "files");
  print_count(out, in->created_dirs, "directory", "directories");
  end_card(out);
  begin_card(out, "Removed", in->program_removed);
  (void)fputs("by the program itself", out);
  end_card(out);
  if (in->swept_files) {
    begin_card(out, "Swept", in->swept_files);
    (void)fprintf(out, "%s, while it ran", fc_human_size(in->swept_bytes, size));
    end_card(out);
  }
  begin_card(out, "Deleted", in->deleted_files);
  (void)fprintf(out, "%s, at the end", fc_human_size(in->deleted_bytes, size));
  end_card(out);
  begin_card(out, "Stayed", fc_report_stayed_total(in));
  (void)fputs(fc_report_stayed_total(in) ? "see below" : "nothing left behind", out);
  end_card(out);
  (void)fputs("</dl>\n", out);
}

static void begin_table(FILE *out, const char *title, const char *first, const char *second, const char *kind) {
  (void)fprintf(out,
                "<h2>%s</h2>\n<table><caption>%s</caption>\n<thead><tr><th scope=\"col\"%s>%s</th>"
                "<th scope=\"col\"%s>%s</th></tr></thead>\n<tbody>\n",
                title, title, strcmp(kind, "path") == 0 ? " class=\"why\"" : "", first,
                strcmp(kind, "number") == 0 ? " class=\"number\"" : "", second);
}

static void end_table(FILE *out) { (void)fputs("</tbody></table>\n", out); }

static void begin_row(FILE *out, const char *title) { (void)fprintf(out, "<tr><th scope=\"row\">%s</th><td>", title); }

static void end_row(FILE *out) { (void)fputs("</td></tr>\n", out); }

static void print_summary(const struct fc_report_input *in, FILE *out) {
  char text[FC_HUMAN_BYTES];
  begin_table(out, "Summary", "What", "How much", "");
  begin_row(out, "Made");
  print_files_dirs(out, in->created_files, in->created_dirs);
  end_row(out);
  begin_row(out, "Removed by the program itself");
  print_count(out, in->program_removed, "name", "names");
  end_row(out);
  begin_row(out, "Renamed out of the base");
  print_count(out, in->program_renamed_out, "name", "names");
  end_row(out);
  begin_row(out, "Swept while it ran");
  print_count(out, in->swept_files, "file", "files");
  (void)fprintf(out, ", %s", fc_human_size(in->swept_bytes, text));
  end_row(out);
  begin_row(out, "Deleted at the end");
  print_files_dirs(out, in->deleted_files, in->deleted_dirs);
  (void)fprintf(out, ", %s", fc_human_size(in->deleted_bytes, text));
  end_row(out);
  if (in->deleted_unseen) {
    begin_row(out, "And in its directories, seen by no hook");
    print_count(out, in->deleted_unseen, "name", "names");
    end_row(out);
  }
  begin_row(out, "Still there when the last process had ended");
  print_count(out, in->leaked, "name", "names");
  end_row(out);
  if (in->unseen_members || in->unseen_names) {
    begin_row(out, "Without the shim");
    print_count(out, in->unseen_members, "process", "processes");
    (void)fputs(", ", out);
    print_count(out, in->unseen_names, "name that no hook saw", "names that no hook saw");
    end_row(out);
  }
  if (in->has_peak && in->peak.files + in->peak.bytes > 0) {
    begin_row(out, "Peak");
    print_count(out, in->peak.files, "file", "files");
    (void)fprintf(out, ", %s, ", fc_human_size(in->peak.bytes, text));
    (void)fprintf(out, "after %s", fc_report_text_seconds(in->peak.at_s, text));
    end_row(out);
  }
  end_table(out);
}

static void print_stayed(const struct fc_report_input *in, FILE *out) {
  static const char *const because[FC_REPORT_WHYS] = {
      "a pattern, a rule or the policy keeps it", "somebody had it open", "something else had taken its place",
      "another session that lives uses it: it goes with that one", "it could not be removed"};
  char digits[DIGITS_MAX * 3];
  const uint64_t total = fc_report_stayed_total(in);
  if (!total) return;
  (void)fputs("<h2>What stayed, and why</h2>\n<table><caption>Reasons why names stayed</caption>\n<thead><tr>"
              "<th scope=\"col\" class=\"why\">Why</th><th scope=\"col\">That is</th>"
              "<th scope=\"col\" class=\"number\">Names</th></tr></thead>\n<tbody>\n",
              out);
  for (size_t i = 0; i < FC_REPORT_WHYS; i++)
    if (in->stayed[i])
      (void)fprintf(out, "<tr><th scope=\"row\">%s</th><td>%s</td><td class=\"number\">%s</td></tr>\n",
                    fc_report_why_name((enum fc_report_why)i), because[i], grouped(in->stayed[i], digits));
  end_table(out);
  if (!in->name_count) return;
  begin_table(out, "Names that stayed", "Why", "Name", "path");
  for (size_t i = 0; i < in->name_count; i++) {
    (void)fprintf(out, "<tr><td>%s</td><th scope=\"row\" class=\"path\">", fc_report_why_name(in->names[i].why));
    print_name(out, in->names[i].path);
    (void)fputs("</th></tr>\n", out);
  }
  end_table(out);
  if (total > in->name_count)
    (void)fprintf(out, "<p class=\"dim\">and %s more</p>\n", grouped(total - in->name_count, digits));
}

static void print_programs(const struct fc_report_input *in, FILE *out) {
  char digits[DIGITS_MAX * 3];
  if (!in->program_count) return;
  begin_table(out, "Who made most", "Program", "Names made", "number");
  for (size_t i = 0; i < in->program_count; i++) {
    (void)fputs("<tr><th scope=\"row\" class=\"path\">", out);
    print_name(out, in->programs[i].program[0] ? in->programs[i].program : "?");
    (void)fprintf(out, "</th><td class=\"number\">%s</td></tr>\n", grouped(in->programs[i].created, digits));
  }
  end_table(out);
}

static void print_policy(const struct fc_report_input *in, FILE *out) {
  const struct {
    const char *setting;
    const char *value;
  } rows[] = {{"on-exit", in->on_exit}, {"scope", in->scope}, {"dirs", in->dirs}};
  begin_table(out, "Policy", "Setting", "Value", "");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    begin_row(out, rows[i].setting);
    print_text(out, rows[i].value);
    end_row(out);
  }
  end_table(out);
}

static void print_time(FILE *out, int64_t seconds) {
  json_t *time = json_object();
  char text[FC_HUMAN_BYTES];
  fc_json_time(time, "at", seconds);
  (void)fprintf(out, "<time datetime=\"%s\">%s</time>, ", json_string_value(json_object_get(time, "at")),
                fc_human_time(seconds, text));
  json_decref(time);
}

static void print_head(const struct fc_report_input *in, FILE *out) {
  const bool well = strcmp(in->outcome, "removed") == 0;
  const bool bad = strcmp(in->outcome, "damaged") == 0;
  char text[FC_HUMAN_BYTES];
  (void)fputs("<h1>", out);
  print_name(out, in->base);
  (void)fprintf(out, "</h1>\n<p class=\"outcome %s\">%s</p>\n<p class=\"dim\">",
                well  ? "good"
                : bad ? "bad"
                      : "note",
                fc_report_text_outcome(in));
  if (in->started_s != FC_JSON_NEVER) print_time(out, in->started_s);
  (void)fprintf(out, "ran %s, process %llu, ", fc_report_text_seconds(in->seconds, text),
                (unsigned long long)in->leader_pid);
  if (in->leader_status >= 0)
    (void)fprintf(out, "exit status %d", in->leader_status);
  else
    (void)fputs("no exit status", out);
  (void)fputs("</p>\n<p class=\"dim\">session ", out);
  print_name(out, in->session);
  if (in->name[0]) {
    (void)fputs(", named ", out);
    print_name(out, in->name);
  }
  (void)fputs("</p>\n", out);
}

void fc_report_page_print(const struct fc_report_input *in, FILE *out) {
  (void)fprintf(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                     "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                     "style-src 'unsafe-inline'\"/>\n<title>filecleanup: ");
  char *base = fc_human_name(in->base);
  print_text(out, base);
  free(base);
  (void)fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n", style);
  print_head(in, out);
  print_cards(in, out);
  (void)fputs("<h2>Footprint</h2>\n", out);
  if (in->samples > 1)
    fc_report_chart_print(in, out);
  else
    (void)fputs("<p class=\"dim\">It was not measured: it was over too soon, or it had no guardian.</p>\n", out);
  print_summary(in, out);
  print_stayed(in, out);
  print_programs(in, out);
  print_policy(in, out);
  (void)fputs("<footer><p>filecleanup ", out);
  print_text(out, in->version);
  (void)fputs("</p></footer>\n</main>\n</body>\n</html>\n", out);
}
