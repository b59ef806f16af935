/* harness: the two questions, "does it leave nothing?" and "is the user's data whole?". See harness.h. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "harness.h"
#include "harness_internal.h"
#include "harness_tree.h"

/* Made after the script, by other processes, in a directory of their own: nothing that the script does to the user's
 * files can make it the user's, so it is there afterwards exactly if nothing was cleaned up. The script's own status
 * stays the status of the whole. */
#define CANARY ".fc-canary"
#define WITH_CANARY "(%s\n)\nstatus=$?\nmkdir base/" CANARY " && touch base/" CANARY "/x || exit 99\nexit $status\n"

/* One world, what stood there before and after, and what the program said. */
struct story {
  const struct fct_world *world;
  enum fct_mode mode;
  const struct fct_tree *before;
  const struct fct_tree *after;
  struct fct_result result;
  const char *verified;
};

static void await_cleanup_after_kill(const struct story *story, uid_t uid) {
  /* Whoever starts next cleans up, if it is the same user. */
  if (story->mode == FCT_BARE) FCT_EXECUTE(story->world, .mode = FCT_BARE, .uid = uid, .argv = FCT_LIST("true"));
  if (story->mode == FCT_RUN) cr_assert(fct_wait_no_guardian(story->world), "the guardian is still there after 10 s");
}

static struct story tell(const struct fct_case *what, enum fct_mode mode, bool canary) {
  struct story story = {.world = fct_world_new(), .mode = mode};
  const struct fct_world *world = story.world;
  if (what->uid) fct_world_give(world, what->uid);
  if (what->setup) {
    struct fct_result setup = FCT_EXECUTE(world, .uid = what->uid, .script = fct_format("set -e\n%s", what->setup));
    cr_assert_eq(setup.status, 0, "the set-up failed: status %d\n%s", setup.status, setup.err);
  }
  story.before = fct_tree_of(world->dir);
  const char *script = what->script && canary ? fct_format(WITH_CANARY, what->script) : what->script;
  story.result = FCT_EXECUTE(world, .mode = mode, .script = script, .shell = what->shell, .argv = what->argv,
                             .env = what->env, .options = what->options, .uid = what->uid);
  if (what->lingers) cr_assert(fct_wait_no_members(world) && fct_wait_no_guardian(world), "it does not end");
  if (what->killed) await_cleanup_after_kill(&story, what->uid);
  story.after = fct_tree_of(world->dir);
  if (what->verify) {
    struct fct_result verified = FCT_EXECUTE(world, .uid = what->uid, .script = what->verify);
    story.verified = fct_format("status %d\n%s%s", verified.status, verified.out, verified.err);
  }
  return story;
}

static void expect_same_output(const struct story *plain, const struct story *with) {
  const char *mode = fct_mode_name(with->mode);
  const struct fct_result *a = &plain->result, *b = &with->result;
  cr_expect_eq(a->status, b->status, "%s: exit status %d, plain %d\nstderr: %s", mode, b->status, a->status, b->err);
  cr_expect(strcmp(a->out, b->out) == 0, "%s: stdout differs\nplain: %s\nhere:  %s", mode, a->out, b->out);
  cr_expect(strcmp(a->err, b->err) == 0, "%s: stderr differs\nplain: %s\nhere:  %s", mode, a->err, b->err);
}

static bool in_base(const char *name) { return strncmp(name, "base/", 5) == 0; }

/* The part of a tree inside the base, or the part outside. */
static const struct fct_tree *part_of(const struct fct_tree *tree, bool inside) {
  struct fct_tree *part = fct_alloc(sizeof *part);
  part->entries = fct_alloc((tree->count + 1) * sizeof *part->entries);
  for (size_t i = 0; i < tree->count; i++) {
    if (in_base(tree->entries[i].name) == inside) part->entries[part->count++] = tree->entries[i];
  }
  return part;
}

void fct_leaves_nothing(const struct fct_case *what) {
  struct story plain = tell(what, FCT_PLAIN, false);
  cr_assert(fct_tree_diff(part_of(plain.before, true), part_of(plain.after, true), NULL),
            "the plain run leaves nothing in the base: this test proves nothing\nstatus %d\nstdout: %s\nstderr: %s",
            plain.result.status, plain.result.out, plain.result.err);
  const bool proves = fct_proves(plain.world);
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct story with = tell(what, *mode, false);
    expect_same_output(&plain, &with);
    if (!proves) continue;
    const char *left = fct_tree_diff(part_of(with.before, true), part_of(with.after, true), NULL);
    cr_expect(!left, "%s: the base is not what it was before:\n%s", fct_mode_name(*mode), left);
    const char *outside = fct_tree_diff(part_of(plain.after, false), part_of(with.after, false), what->vary);
    cr_expect(!outside, "%s: outside the base it is not as after the plain run:\n%s", fct_mode_name(*mode), outside);
    cr_expect(fct_exists(with.world, "base"), "%s: the base itself is gone", fct_mode_name(*mode));
  }
  if (!proves) cr_skip("nothing proves here what a file is, so nothing is deleted");
}

static void expect_as_plain(const struct fct_case *what, const struct story *plain, const struct story *with,
                            const char *name) {
  const struct fct_entry *want = fct_tree_find(plain->after, name);
  const struct fct_entry *was = fct_tree_find(plain->before, name);
  /* What the script leaves alone is compared with what stood in the same world: an archive that the set-up makes holds
   * times, and so differs from world to world. */
  if (want && was && fct_entry_same(was, want, true)) want = fct_tree_find(with->before, name);
  const struct fct_entry *have = fct_tree_find(with->after, name);
  const char *mode = fct_mode_name(with->mode);
  if (!want) {
    cr_expect(!have, "%s: %s is there, but not after the plain run", mode, name);
  } else if (!have) {
    cr_expect(false, "%s: LOST %s (%s)", mode, name, fct_entry_show(want));
  } else {
    cr_expect(fct_entry_same(want, have, !fct_name_matches(name, what->vary)), "%s: %s is %s, should be %s", mode, name,
              fct_entry_show(have), fct_entry_show(want));
  }
}

static bool same_time(const struct fct_entry *a, const struct fct_entry *b) {
  return a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/* Where times are whole seconds, what was written twice in one of them looks untouched, in one run and not in another.
 */
static bool has_coarse_times(const struct fct_world *world) {
  struct stat st;
  return stat(world->base, &st) == 0 && st.st_ctim.tv_nsec == 0;
}

/* A file that the script neither wrote to nor replaced must not look as if somebody had. */
static void expect_time_untouched(const struct story *plain, const struct story *with, const char *name) {
  const struct fct_entry *p0 = fct_tree_find(plain->before, name), *p1 = fct_tree_find(plain->after, name);
  const struct fct_entry *w0 = fct_tree_find(with->before, name), *w1 = fct_tree_find(with->after, name);
  if (!p0 || !p1 || !w0 || !w1 || !S_ISREG(p0->mode) || has_coarse_times(with->world)) return;
  if (p0->ino != p1->ino || !same_time(p0, p1) || !fct_entry_same(p0, p1, true)) return;
  /* A FUSE server may give a file another inode number each time that it is looked up. */
  const bool same_inode = w0->ino == w1->ino || !fct_proves(with->world);
  cr_expect(same_inode && same_time(w0, w1), "%s: %s is another file, or its time has changed",
            fct_mode_name(with->mode), name);
}

static void expect_made(const struct story *plain, const char *const *names) {
  for (size_t i = 0; names && names[i]; i++) {
    cr_assert(fct_tree_find(plain->after, names[i]), "the plain run does not make %s\nstatus %d\n%s", names[i],
              plain->result.status, plain->result.err);
  }
}

void fct_user_data_whole(const struct fct_case *what) {
  const char *const *gone = what->gone ? what->gone : FCT_LIST("base/" CANARY);
  bool canary = !what->gone;
  cr_assert(!canary || (what->script && !what->killed), "a killed program must say what of its own must be gone");
  struct story plain = tell(what, FCT_PLAIN, canary);
  expect_made(&plain, what->survive);
  expect_made(&plain, gone);
  for (const enum fct_mode *mode = fct_modes(); *mode; mode++) {
    struct story with = tell(what, *mode, canary);
    expect_same_output(&plain, &with);
    for (size_t i = 0; i < plain.before->count; i++) {
      expect_as_plain(what, &plain, &with, plain.before->entries[i].name);
      expect_time_untouched(&plain, &with, plain.before->entries[i].name);
    }
    for (size_t i = 0; what->survive && what->survive[i]; i++) expect_as_plain(what, &plain, &with, what->survive[i]);
    if (what->verify) {
      cr_expect(strcmp(plain.verified, with.verified) == 0,
                "%s: what is checked afterwards differs\nplain: %s\nhere:  %s", fct_mode_name(*mode), plain.verified,
                with.verified);
    }
    for (size_t i = 0; gone[i]; i++) {
      const bool there = fct_tree_find(with.after, gone[i]) != NULL;
      if (fct_proves(with.world))
        cr_expect(!there, "%s: %s was not cleaned up, so that nothing was lost means nothing", fct_mode_name(*mode),
                  gone[i]);
      else
        cr_expect(there, "%s: %s is gone, and nothing proved here what it was", fct_mode_name(*mode), gone[i]);
    }
  }
}
