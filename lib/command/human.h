/* human: numbers, ages and names as people read them, on a terminal of 80 columns.
 *
 * Responsible for: sizes, ages, points in time, names without anything that could move a cursor, wrapping, and colours
 * (only on a terminal, and not with NO_COLOR). Must never: change a name that a program reads (that is json.h, or -0).
 */
#ifndef FC_HUMAN_H
#define FC_HUMAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FC_HUMAN_BYTES 32 /* what any size, age, span or time of the functions below needs */

/* "0 B", "999 B", "1.0 KiB", "1.2 MiB". */
const char *fc_human_size(uint64_t bytes, char out[FC_HUMAN_BYTES]);

/* "now" (less than a second, or in the future), "45 s", "3 min", "2 h", "5 d", "3 years": the largest unit alone,
 * rounded down. */
const char *fc_human_age(int64_t seconds, char out[FC_HUMAN_BYTES]);

/* A span as FILECLEANUP_* variables take it: "1d 2h", "30min", "5s", "1.5s", "infinity". */
const char *fc_human_span(int64_t ns, char out[FC_HUMAN_BYTES]);

/* Local time, "2026-11-23 20:01:05". */
const char *fc_human_time(int64_t seconds, char out[FC_HUMAN_BYTES]);

/* "12 files", "1 file". */
const char *fc_human_count(uint64_t count, const char *singular, const char *plural, char out[FC_HUMAN_BYTES]);

/* name with control characters, backslashes and bytes that are not UTF-8 as \n, \t, \\ and \xNN. Owned by the caller
 * (free). */
char *fc_human_name(const char *name);

/* How many columns text takes; and how many the terminal has (80 when stdout is none). */
size_t fc_human_columns(const char *text);
size_t fc_human_width(void);

/* Prints text at the present column `at`, breaking at spaces before `width`, the lines after the first indented by
 * `indent` columns; ends the line. */
void fc_human_wrap(const char *text, size_t at, size_t indent, size_t width);

/* Which stream width, wrapped text and colours are for; stdout until then. */
void fc_human_use(FILE *stream);

enum fc_colour { FC_COLOUR_GOOD, FC_COLOUR_NOTE, FC_COLOUR_BAD, FC_COLOUR_HEAD, FC_COLOUR_DIM };

/* The escape sequences, or "" where there is to be no colour. */
const char *fc_human_colour(enum fc_colour colour);
const char *fc_human_plain(void);

#endif
