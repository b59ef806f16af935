/* report_chart: bytes and files over time, one above the other, on one axis of time. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "report_page.h"
#include "report_text.h"

#define WIDTH 760
#define LEFT 84
#define RIGHT 24
#define PANEL_HEIGHT 150
#define PANEL_GAP 48
#define TOP 34
#define AXIS_HEIGHT 52
#define PLOT_WIDTH (WIDTH - LEFT - RIGHT)
#define HEIGHT (TOP + 2 * PANEL_HEIGHT + PANEL_GAP + AXIS_HEIGHT)
#define TIME_TICKS 8
#define BYTES_TICKS 4
#define FILES_TICKS 5

struct panel {
  const char *title;
  const char *css; /* a class */
  double top;
  bool bytes;
  double step; /* between two ticks */
  double most; /* at the top */
  uint64_t greatest;
  double greatest_at;
};

static double value_of(const struct panel *p, const struct fc_report_sample *s) {
  return (double)(p->bytes ? s->bytes : s->files);
}

static double y_of(const struct panel *p, double value) {
  return p->top + PANEL_HEIGHT - value / p->most * PANEL_HEIGHT;
}

static double x_of(double at, double end) { return LEFT + at / end * PLOT_WIDTH; }

/* 1, 2, 5 times a power of ten. */
static double decimal_step(double most, double ticks, double least) {
  static const double factors[] = {1, 2, 5};
  for (double power = least;; power *= 10)
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
      if (most <= factors[i] * power * ticks) return factors[i] * power;
}

static double binary_step(double most) {
  double step = 1;
  while (most > step * BYTES_TICKS) step *= 2;
  return step;
}

/* Seconds, minutes, hours, days as people count them. */
static double time_step(double end) {
  static const double steps[] = {1,   2,   5,    10,   15,   30,    60,    120,   300,
                                 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400};
  if (end <= steps[0] * TIME_TICKS) return decimal_step(end, TIME_TICKS, 0.001);
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
    if (end <= steps[i] * TIME_TICKS) return steps[i];
  return 86400 * decimal_step(end / 86400, TIME_TICKS, 1);
}

static void print_time(FILE *out, double at, double step) {
  if (at <= 0)
    (void)fputs("0", out);
  else if (step < 60)
    (void)fprintf(out, "%.4g s", at);
  else if (step < 3600)
    (void)fprintf(out, "%.4g min", at / 60);
  else if (step < 86400)
    (void)fprintf(out, "%.4g h", at / 3600);
  else
    (void)fprintf(out, "%.6g d", at / 86400);
}

static void print_value(FILE *out, bool bytes, double value) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  size_t unit = 0;
  if (!bytes && value >= 1e6) {
    (void)fprintf(out, "%.6g million", value / 1e6);
    return;
  }
  for (; bytes && value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++) value /= 1024;
  (void)fprintf(out, "%.6g%s%s", value, bytes ? " " : "", bytes ? units[unit] : "");
}

static void measure(struct panel *p, const struct fc_report_input *in) {
  for (size_t i = 0; i < in->samples; i++) {
    const uint64_t value = p->bytes ? in->footprint[i].bytes : in->footprint[i].files;
    if (value <= p->greatest && i > 0) continue;
    p->greatest = value;
    p->greatest_at = in->footprint[i].at_s;
  }
  const double greatest = p->greatest ? (double)p->greatest : 1;
  p->step = p->bytes ? binary_step(greatest) : decimal_step(greatest, FILES_TICKS, 1);
  p->most = ceil(greatest / p->step) * p->step;
}

static void print_grid(const struct panel *p, double end, FILE *out) {
  const double step = time_step(end);
  (void)fprintf(out, "<text class=\"name\" x=\"0\" y=\"%.0f\">%s</text>\n", p->top - 14, p->title);
  for (double v = 0; v <= p->most * 1.0001; v += p->step) {
    (void)fprintf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, WIDTH - RIGHT,
                  y_of(p, v), y_of(p, v));
    (void)fprintf(out, "<text class=\"tick\" text-anchor=\"end\" x=\"%d\" y=\"%.1f\">", LEFT - 8, y_of(p, v) + 4);
    print_value(out, p->bytes, v);
    (void)fputs("</text>\n", out);
  }
  for (unsigned i = 0; i * step <= end * 1.0001; i++)
    (void)fprintf(out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", x_of(i * step, end),
                  x_of(i * step, end), p->top, p->top + PANEL_HEIGHT);
}

/* A value holds until the next sample. */
static void print_steps(const struct panel *p, const struct fc_report_input *in, double end, FILE *out) {
  for (size_t i = 0; i < in->samples; i++) {
    const double x = x_of(in->footprint[i].at_s, end);
    const double y = y_of(p, value_of(p, &in->footprint[i]));
    if (i == 0)
      (void)fprintf(out, "M%.1f %.1f", x, y);
    else
      (void)fprintf(out, "H%.1fV%.1f", x, y);
  }
  (void)fprintf(out, "H%.1f", x_of(end, end));
}

static void print_panel(const struct panel *p, const struct fc_report_input *in, double end, FILE *out) {
  const double floor = p->top + PANEL_HEIGHT;
  print_grid(p, end, out);
  (void)fprintf(out, "<path class=\"area %s\" d=\"", p->css);
  print_steps(p, in, end, out);
  (void)fprintf(out, "V%.1fH%.1fZ\"/>\n<path class=\"line %s\" d=\"", floor, x_of(in->footprint[0].at_s, end), p->css);
  print_steps(p, in, end, out);
  (void)fprintf(out, "\"/>\n<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n", p->css,
                x_of(p->greatest_at, end), y_of(p, (double)p->greatest));
}

static void print_most(const struct panel *p, FILE *out) {
  char text[FC_HUMAN_BYTES];
  char when[FC_HUMAN_BYTES];
  if (p->bytes)
    (void)fc_human_size(p->greatest, text);
  else
    (void)fc_human_count(p->greatest, "file", "files", text);
  (void)fprintf(out, "%s after %s", text, fc_report_text_seconds(p->greatest_at, when));
}

void fc_report_chart_print(const struct fc_report_input *in, FILE *out) {
  struct panel panels[] = {
      {.title = "Bytes", .css = "bytes", .top = TOP, .bytes = true},
      {.title = "Files", .css = "files", .top = TOP + PANEL_HEIGHT + PANEL_GAP},
  };
  const double last = in->footprint[in->samples - 1].at_s;
  double end = in->seconds > last ? in->seconds : last;
  if (end < 0.001) end = 0.001;
  (void)fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"chart-title chart-text\">\n", WIDTH,
                HEIGHT);
  for (size_t i = 0; i < 2; i++) measure(&panels[i], in);
  (void)fputs("<title id=\"chart-title\">What the session held over time</title>\n<desc id=\"chart-text\">"
              "Two charts over the time since the start. Bytes: at most ",
              out);
  print_most(&panels[0], out);
  (void)fputs(". Files: at most ", out);
  print_most(&panels[1], out);
  char text[FC_HUMAN_BYTES];
  (void)fprintf(out, ". The session took %s.</desc>\n", fc_report_text_seconds(in->seconds, text));
  for (size_t i = 0; i < 2; i++) {
    (void)fprintf(out, "<text class=\"most\" text-anchor=\"end\" x=\"%d\" y=\"%.0f\">at most ", WIDTH - RIGHT,
                  panels[i].top - 14);
    print_most(&panels[i], out);
    (void)fputs("</text>\n", out);
    print_panel(&panels[i], in, end, out);
  }
  const double step = time_step(end);
  const double floor = panels[1].top + PANEL_HEIGHT;
  for (unsigned i = 0; i * step <= end * 1.0001; i++) {
    (void)fprintf(out, "<text class=\"tick\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.0f\">", x_of(i * step, end),
                  floor + 18);
    print_time(out, i * step, step);
    (void)fputs("</text>\n", out);
  }
  (void)fprintf(out, "<text class=\"tick\" text-anchor=\"middle\" x=\"%d\" y=\"%.0f\">time since the start</text>\n",
                LEFT + PLOT_WIDTH / 2, floor + 40);
  (void)fputs("</svg>\n", out);
}
