/* harness: the user's things, a host, and the judgement. See harness_scene.h. */
#include "harness_scene.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness_internal.h"
#include "harness_tree.h"

/* A file x of the user's stands in each of these directories, alone. */
static const char *const places[] = {"u-remade", "u-moved", "u-left", "u-source",
                                     "u-over",   "u-saved", "u-at",   "u-by-a-link"};
/* And in these too; its data may move. */
static const char *const data[] = {"removed", "emptied",  "opened",   "truncated", "shortened",
                                   "written", "streamed", "reopened", "replaced",  "exchanged"};

/* ---- laying out ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st;
  (void)type;
  if (ftw->level > 0) cr_assert(remove(path) == 0, "%s: %s", path, strerror(errno));
  return 0;
}

static void empty(const char *directory) {
  cr_assert(nftw(directory, remove_entry, 16, FTW_PHYS | FTW_DEPTH) == 0, "%s: %s", directory, strerror(errno));
}

static void make_directory(const struct fct_world *world, const char *relative) {
  cr_assert(mkdir(fct_path(world, relative), 0755) == 0, "%s: %s", relative, strerror(errno));
}

void fct_scene_lay(struct fct_scene *scene) {
  const struct fct_world *world = scene->world;
  empty(world->dir);
  empty(world->state);
  static const char *const directories[] = {"base",        "outside",          "base/u-ground",
                                            "base/u-into", "base/u-directory", "base/u-directory/d"};
  for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) make_directory(world, directories[i]);
  fct_write(world, "base/u-untouched", "untouched\n");
  fct_write(world, "base/u-ground/u-first", "here first\n");
  fct_write(world, "outside/u-in", "from outside\n");
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    make_directory(world, fct_format("base/%s", places[i]));
    fct_write(world, fct_format("base/%s/x", places[i]), fct_format("%s\n", places[i]));
  }
  for (size_t i = 0; i < sizeof data / sizeof *data; i++) {
    make_directory(world, fct_format("base/u-%s", data[i]));
    fct_write(world, fct_format("base/u-%s/x", data[i]), fct_format("data: %s\n", data[i]));
  }
  cr_assert(symlink("../base", fct_path(world, "outside/u-way")) == 0, "symlink: %s", strerror(errno));
  struct stat st;
  cr_assert(stat(fct_path(world, "base/u-untouched"), &st) == 0);
  scene->untouched = st.st_ino;
}

/* ---- the plain runs ---- */

static struct fct_deal nothing(void *context, const struct fct_call *call) {
  (void)context;
  (void)call;
  return (struct fct_deal){.last = true};
}

static void play_plain(struct fct_scene *scene, int steps) {
  const struct fct_world *world = scene->world;
  struct fct_trace trace = {.world = world, .run = {.mode = FCT_PLAIN, .env = scene->env}, .at_entry = nothing};
  trace.run.argv =
      steps < 0 ? scene->argv
                : FCT_LIST(FCT_WORKLOAD, world->base, fct_path(world, "outside"), scene->end, fct_format("%d", steps));
  fct_scene_lay(scene);
  fct_trace_run(&trace);
  if (steps < 0) {
    scene->status = trace.status;
    scene->out = trace.out;
    scene->steps = fct_scene_steps_in(trace.out);
    return;
  }
  scene->at[steps] = fct_tree_of(world->dir);
}

struct fct_scene *fct_scene_new(const char *end, bool every_step, bool all) {
  struct fct_scene *scene = fct_alloc(sizeof *scene);
  const struct fct_world *world = fct_world_new();
  scene->world = world;
  scene->end = end;
  const char **argv = fct_alloc(5 * sizeof *argv);
  argv[0] = FCT_WORKLOAD;
  argv[1] = world->base;
  argv[2] = fct_path(world, "outside");
  argv[3] = end;
  scene->argv = argv;
  static const char *const own[] = {"FILECLEANUP_KEEP=u-kept", NULL};
  static const char *const everything[] = {"FILECLEANUP_TRACK=all", "FILECLEANUP_KEEP=u-kept:u-ground/*", NULL};
  scene->env = all ? everything : own;
  umask(022);
  play_plain(scene, -1);
  cr_assert_gt(scene->steps, 50, "the host made %d steps only: %s", scene->steps, scene->out);
  scene->at = fct_alloc(((size_t)scene->steps + 1) * sizeof *scene->at);
  scene->at[scene->steps] = fct_tree_of(world->dir);
  for (int i = 1; every_step && i < scene->steps; i++) play_plain(scene, i);
  fct_scene_lay(scene);
  scene->at[0] = fct_tree_of(world->dir);
  return scene;
}

struct fct_result fct_scene_play(struct fct_scene *scene, enum fct_mode mode) {
  return FCT_EXECUTE(scene->world, .mode = mode, .argv = scene->argv, .env = scene->env);
}

int fct_scene_steps_in(const char *out) {
  int most = 0;
  for (const char *line = out; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
    const int number = atoi(line);
    if (number > most) most = number;
  }
  return most;
}

/* ---- the judgement ---- */

static bool is_own(const char *name) {
  return strncmp(name, "tmp-", 4) == 0 || strstr(name, "/tmp-") || strstr(name, "/.filecleanup");
}

/* Copies, and what manager_workload promises: judged apart. */
static bool is_copy(const char *name) { return strncmp(name, "base/c-", 7) == 0 || strstr(name, "/m-"); }

/* The first difference of what is the user's. */
static const char *difference(const struct fct_tree *should, const struct fct_tree *is) {
  for (size_t i = 0; i < should->count; i++) {
    const struct fct_entry *const e = &should->entries[i];
    if (is_own(e->name) || is_copy(e->name)) continue;
    const struct fct_entry *const found = fct_tree_find(is, e->name);
    if (!found) return fct_format("%s is gone", e->name);
    if (!fct_entry_same(e, found, true))
      return fct_format("%s is %s instead of %s", e->name, fct_entry_show(found), fct_entry_show(e));
  }
  for (size_t i = 0; i < is->count; i++) {
    const char *const name = is->entries[i].name;
    if (!is_own(name) && !is_copy(name) && !fct_tree_find(should, name)) return fct_format("%s has appeared", name);
  }
  return NULL;
}

static bool stands_as_ever(const struct fct_scene *scene, const char *name, const struct fct_entry *is) {
  for (int i = 0; i <= scene->steps; i++) {
    const struct fct_entry *const was = scene->at[i] ? fct_tree_find(scene->at[i], name) : NULL;
    if (scene->at[i] && (was && is ? fct_entry_same(was, is, true) : was == is)) return true;
  }
  return false;
}

static const char *mixed_difference(const struct fct_scene *scene, const struct fct_tree *is) {
  for (int i = 0; i <= scene->steps; i++) {
    for (size_t k = 0; scene->at[i] && k < scene->at[i]->count; k++) {
      const char *const name = scene->at[i]->entries[k].name;
      if (is_own(name) || is_copy(name)) continue;
      if (!stands_as_ever(scene, name, fct_tree_find(is, name))) return fct_format("%s never was so", name);
    }
  }
  for (size_t k = 0; k < is->count; k++) {
    const char *const name = is->entries[k].name;
    if (!is_own(name) && !is_copy(name) && !stands_as_ever(scene, name, &is->entries[k]))
      return fct_format("%s never was there so", name);
  }
  return NULL;
}

static const char *lost_data(const struct fct_tree *is) {
  for (size_t i = 0; i < sizeof data / sizeof *data; i++) {
    const char *const text = fct_format("data: %s\\n", data[i]);
    bool found = false;
    for (size_t k = 0; k < is->count && !found; k++)
      found = is->entries[k].head && strcmp(is->entries[k].head, text) == 0;
    if (!found) return fct_format("`%s` stands nowhere any more", text);
  }
  return NULL;
}

const char *fct_scene_wrong(const struct fct_scene *scene, int low, int high, bool mixed) {
  const struct fct_tree *const is = fct_tree_of(scene->world->dir);
  const struct fct_entry *const untouched = fct_tree_find(is, "base/u-untouched");
  if (untouched && untouched->ino != scene->untouched) return "base/u-untouched is another file";
  const char *wrong = NULL;
  if (mixed) {
    wrong = mixed_difference(scene, is);
  } else {
    for (int i = high < scene->steps ? high : scene->steps; i >= low; i--) {
      if (!scene->at[i]) continue;
      wrong = difference(scene->at[i], is);
      if (!wrong) break;
    }
  }
  return wrong ? wrong : lost_data(is);
}

const char *fct_scene_broken_promise(const struct fct_scene *scene, const char *out) {
  static const char word[] = "promised ";
  for (const char *line = out; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
    if (strncmp(line, word, sizeof word - 1) != 0) continue;
    line += sizeof word - 1;
    const char *const name = fct_format("%.*s", (int)strcspn(line, "\n"), line);
    const char *const text = fct_read(scene->world, name);
    if (!text || strcmp(text, "promised\n") != 0) return fct_format("%s was promised, and is not there", name);
  }
  return NULL;
}

/* What is in a directory keeps it. */
static bool is_kept_by_another(const struct fct_tree *is, const char *name) {
  const size_t len = strlen(name);
  for (size_t i = 0; i < is->count; i++)
    if (is_own(is->entries[i].name) && strncmp(is->entries[i].name, name, len) == 0 && is->entries[i].name[len] == '/')
      return true;
  return false;
}

unsigned fct_scene_leaks(const struct fct_scene *scene, const char **shown) {
  const struct fct_tree *const is = fct_tree_of(scene->world->dir);
  unsigned leaks = 0;
  if (shown) *shown = "";
  for (size_t i = 0; i < is->count; i++) {
    if (!is_own(is->entries[i].name) || is_kept_by_another(is, is->entries[i].name)) continue;
    leaks++;
    if (shown) *shown = fct_format("%s %s", *shown, is->entries[i].name);
  }
  return leaks;
}
