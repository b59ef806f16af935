/* report_page: what a session did, as one HTML page that needs nothing else.
 *
 * Responsible for: a page that is also well-formed XML, reads well in light and dark, on paper and aloud. Must never:
 * let a byte of a name be anything but text, or refer to anything outside the page.
 */
#ifndef FC_REPORT_PAGE_H
#define FC_REPORT_PAGE_H

#include <stdio.h>

#include "report_input.h"

void fc_report_page_print(const struct fc_report_input *input, FILE *out);

/* The footprint over time, as an SVG element (report_chart.c). */
void fc_report_chart_print(const struct fc_report_input *input, FILE *out);

#endif
