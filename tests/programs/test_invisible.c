/* A host that looks at itself sees what it would see without filecleanup, but for what README tells: LD_PRELOAD and
 * FILECLEANUP_* in its environment, our library and the session's file among its mappings, a larger table of
 * descriptors, the resources that the start of the guardian has used, and in bare mode the thread that sweeps, once
 * there is something to sweep. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../harness/harness.h"

TestSuite(invisible, .fini = fct_teardown, .timeout = 120);

#define PROBE FC_BUILD_DIR "/probes/lookaround"

static bool has(const char *line, size_t len, const char *part) { return memmem(line, len, part, strlen(part)); }

static bool is_told(const char *line, size_t len) {
  if (has(line, len, " variable LD_PRELOAD=") || has(line, len, " variable FILECLEANUP_")) return true;
  if (has(line, len, " mapping ")) return has(line, len, "/libfilecleanup_preload.so") || has(line, len, "/session-");
  /* The descriptor that holds the lock over an exec has a number near 1000: the kernel's table grows for it. And who
   * starts the guardian waits for it before he becomes the program. */
  return has(line, len, " status FDSize:") || has(line, len, " children's faults ");
}

/* Without the lines that may differ. */
static const char *without_told(const char *text) {
  char *kept = fct_format("%s", text);
  char *to = kept;
  for (const char *p = text; *p;) {
    const size_t len = strcspn(p, "\n") + (strchr(p, '\n') != NULL);
    if (!is_told(p, len)) {
      memcpy(to, p, len);
      to += len;
    }
    p += len;
  }
  *to = '\0';
  return kept;
}

static void alike(const char *script, const char *const *env, const char *const *options, uid_t uid) {
  struct fct_world *plain_world = fct_world_new();
  if (uid) fct_world_give(plain_world, uid);
  const struct fct_result plain = FCT_EXECUTE(plain_world, .script = script, .env = env, .uid = uid);
  cr_assert_eq(plain.status, 0, "plain: %d %s", plain.status, plain.err);
  cr_assert(strstr(plain.out, "start cwd ") && strstr(plain.out, "start status Threads:\t1"), "%s", plain.out);
  const char *expected = without_told(plain.out);
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    if (uid) fct_world_give(world, uid);
    const struct fct_result result =
        FCT_EXECUTE(world, .mode = *mode, .script = script, .env = env, .options = options, .uid = uid);
    cr_expect_eq(result.status, 0, "%s: %d %s", fct_mode_name(*mode), result.status, result.err);
    cr_expect(strstr(result.out, "libfilecleanup_preload.so"), "%s: the shim is not there", fct_mode_name(*mode));
    const char *seen = without_told(result.out);
    if (strcmp(seen, expected) == 0) continue;
    fct_write(world, "expected", expected);
    fct_write(world, "seen", seen);
    cr_expect(false, "%s: the host sees:\n%s", fct_mode_name(*mode),
              FCT_EXECUTE(world, .script = "diff expected seen").out);
  }
}

Test(invisible, a_program_sees_nothing_but_what_is_told) {
  alike("exec " PROBE, NULL, NULL, 0);
  alike(PROBE "; true", NULL, NULL, 0);
}

Test(invisible, nor_does_the_image_that_it_executes) { alike("exec " PROBE " again", NULL, NULL, 0); }

Test(invisible, nor_does_a_program_of_another_user) {
  fct_need_root();
  fct_need_build_for(65534);
  alike("exec " PROBE " again", NULL, NULL, 65534);
}

Test(invisible, nor_one_with_blocked_and_ignored_signals_few_descriptors_and_a_umask) {
  alike("trap '' HUP USR1; umask 077; ulimit -n 64; ulimit -c 0; exec 7< /dev/null; exec " PROBE " again", NULL, NULL,
        0);
}

Test(invisible, nor_one_that_keeps_its_files_on_failure) {
  alike("exec " PROBE " again", FCT_LIST("FILECLEANUP_ON_EXIT=keep-on-failure"),
        FCT_LIST("--on-exit", "keep-on-failure"), 0);
}

Test(invisible, only_the_thread_that_sweeps_is_seen_with_a_short_life_time) {
  struct fct_world *world = fct_world_new();
  const struct fct_result result =
      FCT_EXECUTE(world, .mode = FCT_BARE, .script = "exec " PROBE, .env = FCT_LIST("FILECLEANUP_TTL=1min"));
  cr_expect(strstr(result.out, "start status Threads:\t1\n"), "%s", result.out);
  cr_expect(strstr(result.out, "later status Threads:\t2\n"), "the thread is not there: %s", result.out);
  cr_expect(strstr(result.out, "child status Threads:\t1\n"), "a child has it too");
}
