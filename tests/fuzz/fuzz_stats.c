/* fuzz_stats: any bytes as the statistics file that `filecleanup report` reads.
 *
 * What must hold: a refusal is one line and says why; what is accepted has words of the schema in every place, and is
 * shown as text without a control character and as a page in which no byte of a name is a tag.
 */
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "report_input.h"
#include "report_page.h"
#include "report_text.h"

static void is_plain_text(const char *text, size_t size) {
  for (size_t i = 0; i < size; i++) REQUIRE((unsigned char)text[i] >= ' ' || text[i] == '\n');
}

/* Tags begin with one of these; a name's '<' must have been escaped. */
static void has_known_tags(const char *page, size_t size) {
  REQUIRE(memchr(page, 0, size) == NULL);
  for (size_t i = 0; i + 1 < size; i++) {
    if (page[i] != '<') continue;
    static const char *const tags[] = {"script", "iframe", "img", "object", "embed", "a ", "link", "form", "fuzz"};
    for (size_t t = 0; t < sizeof tags / sizeof *tags; t++)
      REQUIRE(strncasecmp(page + i + 1, tags[t], strlen(tags[t])) != 0);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int fd = -1;
  static char name[64];
  if (fd < 0) {
    fd = memfd_create("stats", 0);
    REQUIRE(fd >= 0);
    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  }
  REQUIRE(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
  struct fc_report_input input;
  char message[256] = "";
  const int rc = fc_report_input_read(&input, name, message, sizeof message);
  if (rc != 0) {
    REQUIRE(message[0] && strlen(message) < sizeof message && !strchr(message, '\n'));
  } else {
    REQUIRE(input.base && input.session && input.on_exit && input.scope && input.dirs && input.outcome);
    REQUIRE(input.seconds >= 0 && input.samples <= 10000 && input.name_count <= 10000 && input.program_count <= 1000);
    REQUIRE(fc_report_stayed_total(&input) >= input.stayed[0]);
    for (size_t i = 0; i < input.name_count; i++)
      REQUIRE(input.names[i].path && fc_report_why_name(input.names[i].why));
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    fc_report_text_print(&input, out, 20);
    REQUIRE(fclose(out) == 0);
    is_plain_text(text, length);
    free(text);
    out = open_memstream(&text, &length);
    fc_report_page_print(&input, out);
    REQUIRE(fclose(out) == 0);
    has_known_tags(text, length);
    free(text);
  }
  fc_report_input_free(&input);
  return 0;
}
