/* Hosts that were built with a sanitizer: as they do alone, and without a word about us. Their run-times stand between
 * every program and libc, and look at what we do as if it were the program's. */
#include <criterion/criterion.h>

#include "../harness/harness.h"

TestSuite(sanitized_hosts, .fini = fct_teardown, .timeout = 200);

/* One that starts it and sees its statuses, and is then it. */
#define ALL_ENDS "%1$s base return; echo $?; %1$s base _exit; echo $?; exec %1$s base exec"

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static const char *build(const char *compiler, const char *flags) {
  fct_need(compiler);
  struct fct_world *world = fct_world_new();
  const struct fct_result built =
      FCT_EXECUTE(world, .limit_s = 120,
                  .script = fct_format("%s -O1 -g -w %s -o host " FC_SOURCE_DIR "/tests/probes/threads.c -pthread",
                                       compiler, flags));
  if (built.status != 0) cr_skip("%s %s does not work here: %s", compiler, flags, built.err);
  const struct fct_result plain = FCT_EXECUTE(world, .script = "./host base return");
  if (plain.status != 3) cr_skip("what %s %s has built does not run here: %s", compiler, flags, plain.err);
  return fct_path(world, "host");
}

static void is_as_alone(const char *compiler, const char *flags) {
  FCT_LEAVES_NOTHING(.script = fct_format(ALL_ENDS, build(compiler, flags)));
}

Test(sanitized_hosts, gcc_address) { is_as_alone("gcc", "-fsanitize=address"); }
Test(sanitized_hosts, gcc_address_in_the_program) { is_as_alone("gcc", "-fsanitize=address -static-libasan"); }
Test(sanitized_hosts, gcc_thread) { is_as_alone("gcc", "-fsanitize=thread"); }
Test(sanitized_hosts, gcc_undefined) { is_as_alone("gcc", "-fsanitize=undefined"); }
Test(sanitized_hosts, gcc_leak) { is_as_alone("gcc", "-fsanitize=leak"); }
Test(sanitized_hosts, clang_address) { is_as_alone("clang", "-fsanitize=address,undefined"); }
Test(sanitized_hosts, clang_thread) { is_as_alone("clang", "-fsanitize=thread"); }
Test(sanitized_hosts, clang_memory) { is_as_alone("clang", "-fsanitize=memory"); }

/* As a library it is in the same place as gcc's. */
Test(sanitized_hosts, clang_address_as_a_library) {
  is_as_alone("clang", "-fsanitize=address -shared-libasan "
                       "-Wl,-rpath,$(dirname $(clang -print-file-name=libclang_rt.asan-$(uname -m).so))");
}

Test(sanitized_hosts, the_users_options_go_before_ours) {
  const char *host = build("gcc", "-fsanitize=address");
  struct fct_world *world = fct_world_new();
  const struct fct_result result =
      FCT_EXECUTE(world, .mode = FCT_BARE, .env = FCT_LIST("ASAN_OPTIONS=verify_asan_link_order=1"),
                  .script = fct_format("%s base return; echo $?", host));
  cr_expect_str_eq(result.out, "1\n", "%s%s", result.out, result.err);
}
