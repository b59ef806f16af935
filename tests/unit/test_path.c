/* path: the lexical classification of names. */
#include "path.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const char *classify(const char *base, const char *head, const char *tail) {
  static char out[256];
  const struct fc_name name = {head, head ? strlen(head) : 0, tail, strlen(tail)};
  struct fc_name relative;
  if (!fc_path_beneath(base, strlen(base), &name, &relative)) return NULL;
  (void)snprintf(out, sizeof out, "%.*s%s%.*s", (int)relative.head_len, relative.head_len ? relative.head : "",
                 relative.head_len && relative.tail_len ? "/" : "", (int)relative.tail_len, relative.tail);
  return fc_path_normalize(out) ? out : "";
}

static void inside(const char *base, const char *head, const char *tail, const char *expected) {
  const char *got = classify(base, head, tail);
  cr_expect(got && strcmp(got, expected) == 0, "%s | %s beneath %s: got %s, expected %s", head ? head : "", tail, base,
            got ? got : "outside", expected);
}

static void outside(const char *base, const char *head, const char *tail) {
  const char *got = classify(base, head, tail);
  cr_expect_null(got, "%s | %s beneath %s: got %s", head ? head : "", tail, base, got ? got : "");
}

Test(path, absolute_names_beneath_the_base_are_inside) {
  inside("/b/ase", NULL, "/b/ase/f", "f");
  inside("/b/ase", NULL, "/b/ase/d/f", "d/f");
  inside("/b/ase", NULL, "//b//ase///f", "f");
  inside("/b/ase", NULL, "/b/./ase/./f", "f");
  inside("/b/ase", NULL, "/b/x/../ase/f", "f");
  inside("/b/ase", NULL, "/b/ase/../ase/f", "f");
  inside("/b/ase", NULL, "/b/ase/d/", "d");
  inside("/b/ase", NULL, "/b/ase/d/../f", "f");
  inside("/b/ase", NULL, "/../b/ase/f", "f");
  inside("/b/ase", NULL, "/b/ase/.hidden", ".hidden");
  inside("/b/ase", NULL, "/b/ase/..f", "..f");
}

Test(path, everything_else_is_outside) {
  outside("/b/ase", NULL, "/b/ase");
  outside("/b/ase", NULL, "/b/ase/");
  outside("/b/ase", NULL, "/b/ase/.");
  outside("/b/ase", NULL, "/b/asexy/f");
  outside("/b/ase", NULL, "/b/as/f");
  outside("/b/ase", NULL, "/b/ase/../f");
  outside("/b/ase", NULL, "/b/ase/d/../../f");
  outside("/b/ase", NULL, "/x/b/ase/f");
  outside("/b/ase", NULL, "f");
  outside("/b/ase", NULL, "");
}

Test(path, relative_names_are_joined_to_their_directory) {
  inside("/b/ase", "/b/ase", "f", "f");
  inside("/b/ase", "/b/ase/d", "f", "d/f");
  inside("/b/ase", "/b/ase/d", "../f", "f");
  inside("/b/ase", "/b", "ase/f", "f");
  inside("/b/ase", "/", "b/ase/f", "f");
  inside("/b/ase", "/b/x", "../ase/f", "f");
  inside("/b/ase", "/b/ase/d/e", "../../g/./f", "g/f");
  outside("/b/ase", "/b/ase", "..");
  outside("/b/ase", "/b/ase", ".");
  outside("/b/ase", "/b/ase/d", "../../f");
  outside("/b/ase", "/b", "f");
  outside("/b/ase", "/b/asex", "f");
  outside("/b/ase", "/", "f");
}

Test(path, normalizing_never_climbs_above_its_start) {
  char up[] = "../f";
  char out[] = "a/../../f";
  char same[] = "a/./b//c/";
  cr_expect_eq(fc_path_normalize(up), 0);
  cr_expect_eq(fc_path_normalize(out), 0);
  cr_expect_eq(fc_path_normalize(same), 5);
  cr_expect_str_eq(same, "a/b/c");
}
