/* skips: says of each test that was skipped why, as a line on stderr and in the file that FC_SKIPS_FILE names.
 *
 * Criterion keeps the reason to itself unless it is verbose, and ctest shows no output of what has passed: a test that
 * was skipped everywhere would look like one that has passed. Linked into all test programs; scripts/test prints the
 * file before ctest's summary.
 */
#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 512 /* one write: several programs append to the file at once */

ReportHook(POST_TEST)(struct criterion_test_stats *stats) {
  if (stats->test_status != CR_STATUS_SKIPPED || !stats->message)
    return; /* left out by a filter: no message of its own */
  char line[LINE_MAX_BYTES];
  int length =
      snprintf(line, sizeof line - 1, "skipped: %s/%s: %s", stats->test->category, stats->test->name, stats->message);
  if (length < 0) return;
  if (length > (int)sizeof line - 2) length = (int)sizeof line - 2;
  for (int i = 0; i < length; i++)
    if (line[i] == '\n' || line[i] == '\r') line[i] = ' '; /* what a command said may have several lines */
  while (line[length - 1] == ' ') length--;
  line[length++] = '\n';
  line[length] = '\0';
  fputs(line, stderr);
  const char *file = getenv("FC_SKIPS_FILE");
  const int fd = file && *file ? open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
  if (fd < 0) return;
  if (write(fd, line, (size_t)length) != length) fprintf(stderr, "skips: %s cannot be written\n", file);
  close(fd);
}
