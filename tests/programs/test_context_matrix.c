/* Every hook, called in every place that a program can call it from: the same results, the same errno, the same use of
 * the heap and the same directory as without filecleanup, and no name of the user's is lost afterwards. The rows are in
 * tests/probes/contexts.c. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../harness/harness.h"

TestSuite(context_matrix, .fini = fct_teardown, .timeout = 120);

#define PROBE FC_BUILD_DIR "/probes/contexts"
#define LIBRARY FC_BUILD_DIR "/probes/contexts_library.so"

/* How much more of a stack, which may be a signal handler's, a hook takes than the plain call does. */
#define STACK_MORE 1536

/* The next line of *text, NULL at the end. */
static const char *line_of(const char **text) {
  if (!**text) return NULL;
  const size_t len = strcspn(*text, "\n");
  const char *line = fct_format("%.*s", (int)len, *text);
  *text += len + ((*text)[len] == '\n');
  return line;
}

static bool starts(const char *text, const char *prefix) { return strncmp(text, prefix, strlen(prefix)) == 0; }

/* fopen asks libc a second time where the file exists already or cannot be made, so libc allocates a second stream. */
static const char *without_heap(const char *line) {
  char *copy = fct_format("%s", line);
  for (char *heap = copy; (heap = strstr(heap, "heap=")); heap += 5) heap[5] = '?';
  return copy;
}

static bool is_same(const char *row, const char *plain, const char *line) {
  if (strcmp(plain, line) == 0) return true;
  const bool opens_twice = starts(row, "fopen") || starts(row, "_IO_fopen") || strstr(row, "setmntent");
  return opens_twice && strcmp(without_heap(plain), without_heap(line)) == 0;
}

static bool ends_with(const char *text, const char *end) {
  const size_t a = strlen(text), b = strlen(end);
  return a >= b && strcmp(text + a - b, end) == 0;
}

/* The user's: what was prepared, and what became of it by a rename. */
static bool is_users(const char *name) {
  static const char *const leaves[] = {"/old", "/other", "/in", "/dir", "/empty"};
  for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++)
    if (ends_with(name, leaves[i])) return true;
  return strstr(name, "rename") && ends_with(name, "/new");
}

static void expect_users_whole(const struct fct_world *plain, const struct fct_world *world, const char *where) {
  const char *diff = fct_tree_diff(fct_tree_of(plain->base), fct_tree_of(world->base), NULL);
  if (!diff) return;
  for (const char *line; (line = line_of(&diff));) {
    char *name = fct_format("%s", line + (strlen(line) > 2 ? 2 : 0));
    name[strcspn(name, " ")] = '\0';
    if (line[0] != '+') cr_expect(!is_users(name), "%s: LOST: %s", where, line);
  }
}

static struct fct_result run(struct fct_world *world, enum fct_mode mode, const char *context, const char *file) {
  const bool is_program = starts(context, "constructor") || starts(context, "destructor") || starts(context, "atexit");
  const bool first = strcmp(context, "constructor-after") == 0;
  const bool with_library = is_program && strcmp(context, "atexit") != 0 && strcmp(context, "destructor") != 0;
  const char *script = fct_format("exec " PROBE " run %s base %s", context, file);
  if (is_program) script = fct_format("export CONTEXTS_BASE=base CONTEXTS_WHEN=%s; exec " PROBE " wait", context);
  if (with_library)
    script = fct_format("export LD_PRELOAD=%s; %s", first ? LIBRARY ":$LD_PRELOAD" : "$LD_PRELOAD:" LIBRARY, script);
  const struct fct_result made = FCT_EXECUTE(world, .script = fct_format(PROBE " prepare base %s", context));
  cr_assert_eq(made.status, 0, "%d %s", made.status, made.err);
  return FCT_EXECUTE(world, .mode = mode, .script = script, .env = FCT_LIST("LD_BIND_NOW=1"));
}

/* Compares line by line. Returns how many calls were made. */
static unsigned compare(const char *plain, const char *out, const char *where) {
  unsigned calls = 0;
  for (const char *expected; (expected = line_of(&plain));) {
    const char *line = line_of(&out);
    cr_assert(line, "%s: ended before: %s", where, expected);
    const char *row = strchr(expected, ' ');
    cr_expect(is_same(row ? row + 1 : "", expected, line), "%s:\n  plain  %s\n  ours   %s", where, expected, line);
    if (!strstr(expected, ": not meant: ")) calls += strstr(expected, "bad=none") ? 1 : 2;
  }
  cr_expect(!*out, "%s: more than the plain run: %s", where, out);
  return calls;
}

static void alike_with(const char *context, const char *plain_file, const char *file,
                       const char *(*prepare)(const struct fct_world *, const char *)) {
  struct fct_world *plain_world = fct_world_new();
  struct fct_result plain = run(plain_world, FCT_PLAIN, context, plain_file);
  cr_assert_eq(plain.status, 0, "plain: %d %s", plain.status, plain.err);
  cr_assert_gt(strlen(plain.out), 1000, "plain: %s %s", plain.out, plain.err);
  const char *given = prepare ? prepare(plain_world, plain.out) : NULL;
  if (prepare && strcmp(context, "altstack") == 0) {
    char *cut = fct_format("%s", plain.out);
    char *to = cut;
    for (const char *text = plain.out, *line; (line = line_of(&text));) {
      const char *stack = strstr(line, " stack=");
      to += sprintf(to, "%.*s\n", (int)(stack ? stack - line : (long)strlen(line)), line);
    }
    plain.out = cut;
  }
  unsigned calls = 0;
  for (const char *text = plain.out, *line; (line = line_of(&text));)
    if (strstr(line, ": not meant: ")) printf("  %s\n", line);
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct fct_world *world = fct_world_new();
    const char *where = fct_format("%s, %s", context, fct_mode_name(*mode));
    if (given) {
      const struct fct_result copied = FCT_EXECUTE(world, .script = fct_format("cp '%s' '%s'", given, file));
      cr_assert_eq(copied.status, 0, "%s", copied.err);
    }
    const struct fct_result result = run(world, *mode, context, file);
    cr_expect_eq(result.status, 0, "%s: %d %s", where, result.status, result.err);
    cr_expect_str_eq(result.err, plain.err, "%s: %s instead of %s", where, result.err, plain.err);
    calls += compare(plain.out, result.out, where);
    cr_expect(fct_wait_no_members(world));
    expect_users_whole(plain_world, world, where);
  }
  printf("context %s: %u calls, each as in the plain run\n", context, calls);
}

static void alike(const char *context) { alike_with(context, "", "", NULL); }

Test(context_matrix, every_hook_has_a_row) {
  struct fct_world *world = fct_world_new();
  const struct fct_result listed = FCT_EXECUTE(world, .script = PROBE " list");
  static const char *const hooks[] = {
#define FC_HOOK(name, returns, arguments, what) #name,
#define FC_ALSO(name, what) #name,
#define FC_LATER(name, why)
#define FC_SKIP(name, why)
#define FC_SKIPS(why, names)
#include "hooks.def"
#undef FC_HOOK
#undef FC_ALSO
#undef FC_LATER
#undef FC_SKIP
  };
  const size_t count = sizeof hooks / sizeof *hooks;
  const char *all = fct_format("\n%s", listed.out);
  for (size_t i = 0; i < count; i++)
    cr_expect(strstr(all, fct_format("\n%s\n", hooks[i])), "no row for %s in tests/probes/contexts.c", hooks[i]);
  for (const char *text = listed.out, *line; (line = line_of(&text));)
    if (line[0] == ' ') printf("%s\n", line);
  printf("%zu hooks\n", count);
}

/* Else the other tests would compare one failure with another. */
Test(context_matrix, every_row_succeeds_and_fails_in_the_plain_run) {
  fct_need_root();
  const struct fct_result plain = run(fct_world_new(), FCT_PLAIN, "main", "");
  const char *text = plain.out;
  for (const char *line; (line = line_of(&text));) {
    cr_expect(!strstr(line, "good=-"), "does not succeed: %s", line);
    cr_expect(!strstr(line, "bad=0"), "does not fail: %s", line);
    cr_expect(!strstr(line, "bad=ended"), "does not return: %s", line);
  }
}

Test(context_matrix, main) { alike("main"); }
Test(context_matrix, thread) { alike("thread"); }
Test(context_matrix, fork_child) { alike("fork"); }
Test(context_matrix, vfork_child) { alike("vfork"); }
Test(context_matrix, constructor_before_ours) { alike("constructor-before"); }
Test(context_matrix, constructor_after_ours) { alike("constructor-after"); }
Test(context_matrix, destructor_before_ours) { alike("destructor"); }
Test(context_matrix, destructor_after_ours) { alike("destructor-after"); }
Test(context_matrix, atexit_handler) { alike("atexit"); }
Test(context_matrix, eight_descriptors) { alike("nofile"); }
Test(context_matrix, little_address_space) { alike("as"); }

Test(context_matrix, after_chroot) {
  fct_need_root();
  alike("chroot");
}

Test(context_matrix, after_setuid) {
  fct_need_root();
  alike("setuid");
}

/* The plain run says how much of the stack each row used, and the other one gets so much more. */
static const char *sizes(const struct fct_world *world, const char *out) {
  char *text = fct_format("%s", out);
  char *to = text;
  *to = '\0';
  for (const char *line; (line = line_of(&out));) {
    const char *stack = strstr(line, " stack=");
    cr_assert(stack, "no figure: %s", line);
    to += sprintf(to, "%ld\n", strtol(stack + strlen(" stack="), NULL, 10) + STACK_MORE);
  }
  fct_write(world, "sizes", text);
  return fct_path(world, "sizes");
}

Test(context_matrix, signal_handler_on_a_stack_just_large_enough) { alike_with("altstack", "", "sizes", sizes); }

/* The plain run notes the system calls that each row makes; in the other one any other is the end of the process. And
 * what both list is the same, call by call. */
static const char *calls(const struct fct_world *world, const char *out) {
  (void)out;
  return fct_path(world, "calls");
}

Test(context_matrix, under_a_filter_that_kills) { alike_with("seccomp", "", "calls", calls); }
