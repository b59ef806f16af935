/* What a call means does not change: each returns what it returns without filecleanup, with the same errno, and leaves
 * the same behind; and at the end only what was the user's stands there. The calls are those of probes/semantics.c. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"

TestSuite(semantics, .fini = fct_teardown, .timeout = 120);

#define PROBE(name) "\"$PROBES/semantics\" " name

#define LEAVES_NOTHING(name) FCT_LEAVES_NOTHING(.argv = FCT_LIST(FC_BUILD_DIR "/probes/semantics", name))

Test(semantics, nameless_files_and_their_links) { LEAVES_NOTHING("nameless"); }
Test(semantics, names_of_descriptors_and_of_the_working_directory) { LEAVES_NOTHING("descriptors"); }
Test(semantics, renames_of_every_kind) { LEAVES_NOTHING("renaming"); }
Test(semantics, a_directory_with_a_thousand_children_is_renamed) { LEAVES_NOTHING("thousand"); }
Test(semantics, slashes_dots_and_links_in_names) { LEAVES_NOTHING("slashes"); }
Test(semantics, names_that_are_no_text_and_the_longest) { LEAVES_NOTHING("spelling"); }
Test(semantics, names_relative_to_directories_that_change) { LEAVES_NOTHING("directories"); }
Test(semantics, modes_and_the_mask) { LEAVES_NOTHING("modes"); }
Test(semantics, flags_of_open) { LEAVES_NOTHING("flags"); }
Test(semantics, a_thread_is_cancelled_inside_a_call) { LEAVES_NOTHING("cancelling"); }
Test(semantics, a_signal_interrupts_the_opening_of_a_fifo) { LEAVES_NOTHING("interrupted"); }
Test(semantics, leases_on_what_is_opened) { LEAVES_NOTHING("leases"); }

/* One letter more moves the others: libc looks at seven, behind the comma of ,ccs= too, where b and e mean something.
 */
Test(semantics, modes_of_streams) { LEAVES_NOTHING("streams"); }

Test(semantics, devices_and_whiteouts_are_never_removed) {
  fct_need_root();
  FCT_USER_DATA_WHOLE(.script = PROBE("devices"),
                      .survive = FCT_LIST("base/a", "base/b", "base/block", "base/character"));
}

Test(semantics, an_exchange_with_what_is_the_users) {
  FCT_USER_DATA_WHOLE(.setup = "echo mine >base/mine; mkdir base/dir; echo mine >base/dir/mine",
                      .script = PROBE("exchange_with_user"),
                      .survive = FCT_LIST("base/new", "base/made", "base/made/mine"));
}

/* What is made through a link of the user's is not known to be new. */
Test(semantics, links_of_the_user_that_lead_nowhere) {
  FCT_USER_DATA_WHOLE(.setup = "ln -s missing base/link; ln -s ../outside base/away", .script = PROBE("dangling"),
                      .survive = FCT_LIST("base/missing", "outside"));
}

Test(semantics, directories_with_default_access_lists) {
  fct_need("setfacl");
  struct fct_world *world = fct_world_new();
  const struct fct_result tried = FCT_EXECUTE(world, .script = "setfacl -d -m u:65534:rwx base");
  if (tried.status != 0) cr_skip_test("no access lists on this file system: %s", tried.err);
  FCT_LEAVES_NOTHING(.setup = "setfacl -d -m u:65534:rwx,g:65534:r,m::rwx,o::- base; setfacl -m u:65534:r base",
                     .script = PROBE("modes") " && getfacl -Rp base");
}

/* Names that are longer than any name can be are found, but cannot be recorded: what has them stays. */
Test(semantics, directories_deeper_than_names_can_say) {
  struct fct_world *plain = fct_world_new();
  const char *const *argv = FCT_LIST(FC_BUILD_DIR "/probes/semantics", "deep");
  const struct fct_result expected = FCT_EXECUTE(plain, .argv = argv);
  cr_assert(strstr(expected.out, "relative"));
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    const struct fct_result result = FCT_EXECUTE(world, .mode = *mode, .argv = argv);
    cr_expect_str_eq(result.out, expected.out, "%s", fct_mode_name(*mode));
    cr_expect_str_eq(result.err, expected.err, "%s", fct_mode_name(*mode));
    cr_expect_eq(result.status, expected.status);
    cr_expect_not(fct_exists(world, "base/shallow"), "%s", fct_mode_name(*mode));
  }
}

/* Where fs.protected_regular and its kin are on, the kernel refuses more, and O_CREAT | O_EXCL is asked another
 * question than O_CREAT; where they are off, the same calls must be the same all the more. */
Test(semantics, what_others_own_in_directories_of_everybody) {
  fct_need_root();
  fct_need_build_for(65534);
  for (const char *const *name = FCT_LIST("regular", "fifos", "hardlinks"); *name; name++) {
    char value[16] = "unknown\n";
    FILE *file = fopen(fct_format("/proc/sys/fs/protected_%s", *name), "r");
    if (file && !fgets(value, sizeof value, file)) value[0] = '\0';
    if (file) fclose(file);
    fprintf(stderr, "fs.protected_%s = %s", *name, value);
  }
  FCT_USER_DATA_WHOLE(.setup =
                          "chmod 755 . base; mkdir base/sticky base/plain base/closed\n"
                          "chmod 1777 base/sticky; chmod 777 base/plain; chmod 700 base/closed\n"
                          "echo root >base/file; echo root >base/sticky/file; echo root >base/plain/file\n"
                          "echo root >base/sticky/closed; mkfifo base/sticky/fifo; ln -s ../file base/sticky/link\n"
                          "chmod 666 base/file base/*/file base/sticky/fifo; chmod 600 base/sticky/closed\n"
                          "chown 12345 base/sticky/f*",
                      .script = PROBE("sticky"), .survive = FCT_LIST("base/sticky/renamed", "base/sticky/linked"));
}
