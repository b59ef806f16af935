/* fuzz_path: the classifier of names and the normalizer, against a second opinion that splits into components.
 *
 * Input: a base, a head and a tail, with a NUL behind each. Base and head are made what the kernel would give.
 */
#include <stdbool.h>

#include "fuzz.h"
#include "path.h"

enum { TEXT = 512 };

/* Resolves text lexically behind what out holds ("" = the root). False when it climbs above the root: `.stays` then. */
static bool resolve(char *out, const char *text, bool root_holds) {
  bool fine = true;
  char copy[TEXT], *rest = NULL;
  (void)snprintf(copy, sizeof copy, "%s", text);
  for (char *part = strtok_r(copy, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
    if (strcmp(part, ".") == 0) continue;
    if (strcmp(part, "..") == 0) {
      char *slash = strrchr(out, '/');
      if (slash)
        *slash = '\0';
      else if (!root_holds)
        fine = false;
      continue;
    }
    strcat(out, "/");
    strcat(out, part);
  }
  return fine;
}

static void take_text(const uint8_t **data, size_t *size, char out[TEXT / 4]) {
  size_t n = 0;
  while (*size > 0) {
    const char c = (char)fuzz_take(data, size);
    if (c == '\0') break;
    if (n + 1 < TEXT / 4) out[n++] = c;
  }
  out[n] = '\0';
}

static void check_normalize(const char *text) {
  char tidy[TEXT], twice[TEXT], expected[2 * TEXT] = "";
  (void)snprintf(tidy, sizeof tidy, "%s", text);
  const bool inside = resolve(expected, text, false);
  const size_t len = fc_path_normalize(tidy);
  if (!inside || !expected[0]) {
    REQUIRE(len == 0);
    return;
  }
  REQUIRE(len == strlen(tidy) && strcmp(tidy, expected + 1) == 0);
  (void)snprintf(twice, sizeof twice, "%s", tidy);
  REQUIRE(fc_path_normalize(twice) == len && strcmp(twice, tidy) == 0);
}

static void check_beneath(const char *base, const char *head, const char *tail) {
  const struct fc_name name = {head[0] ? head : NULL, strlen(head), tail, strlen(tail)};
  struct fc_name relative;
  const bool beneath = fc_path_beneath(base, strlen(base), &name, &relative);
  char whole[TEXT] = "", real[2 * TEXT] = "", found[2 * TEXT];
  (void)snprintf(whole, sizeof whole, "%s/%s", head, tail);
  (void)resolve(real, whole, true);
  const size_t base_len = strlen(base);
  const bool expected = (head[0] || tail[0] == '/') && strncmp(real, base, base_len) == 0 && real[base_len] == '/';
  REQUIRE(beneath == expected);
  if (!beneath) return;
  (void)snprintf(found, sizeof found, "%.*s%s%.*s", (int)relative.head_len, relative.head ? relative.head : "",
                 relative.head_len && relative.tail_len ? "/" : "", (int)relative.tail_len, relative.tail);
  REQUIRE(fc_path_normalize(found) > 0);
  REQUIRE(strcmp(found, real + base_len + 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char base_text[TEXT / 4], head_text[TEXT / 4], tail[TEXT / 4], base[TEXT] = "", head[TEXT] = "";
  take_text(&data, &size, base_text);
  take_text(&data, &size, head_text);
  take_text(&data, &size, tail);
  check_normalize(base_text);
  check_normalize(tail);
  (void)resolve(base, base_text, true);
  (void)resolve(head, head_text, true);
  if (!base[0]) return 0; /* "/" is refused as a base */
  check_beneath(base, "", tail);
  if (head[0] && tail[0] != '/') {
    check_beneath(base, head, tail);
    char below[2 * TEXT]; /* most heads lie elsewhere */
    (void)snprintf(below, sizeof below, "%s%s", base, head);
    if (strlen(below) < TEXT / 2) check_beneath(base, below, tail);
    check_beneath(base, base, tail);
  }
  return 0;
}
