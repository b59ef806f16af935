/* Shell completion: what the shells offer at a place of a command line is what the command takes there. */
#include <criterion/criterion.h>
#include <string.h>

#include "../harness/harness.h"

TestSuite(completion, .fini = fct_teardown, .timeout = 120);

/* Each shell gets a function or program `offers WORD...`: what is offered for the last word, one to a line, sorted. */

static const char in_bash[] =
    "PATH=" FC_BUILD_DIR ":$PATH\n"
    ". " FC_BUILD_DIR "/completion/filecleanup.bash\n"
    "offers() {\n"
    "  local COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1)) COMP_LINE=\"$*\" COMP_POINT COMPREPLY=()\n"
    "  COMP_POINT=${#COMP_LINE}\n"
    "  set -- $(complete -p \"$1\")\n" /* complete -F FUNCTION COMMAND */
    "  \"$3\"\n"
    "  printf '%s\\n' \"${COMPREPLY[@]}\" | sort -u\n"
    "}\n";

static const char in_fish[] = "set PATH " FC_BUILD_DIR " $PATH\n"
                              "source " FC_BUILD_DIR "/completion/filecleanup.fish\n"
                              "function offers\n"
                              "  complete -C (string join ' ' -- $argv) | string replace -r '\\t.*' '' | sort -u\n"
                              "end\n";

/* A terminal with zsh at it, whose compadd notes what it adds. */
static const char in_zsh[] =
    "zmodload zsh/zpty\n"
    "path=(" FC_BUILD_DIR " $path)\n"
    "mkdir -p functions; cp " FC_BUILD_DIR "/completion/filecleanup.zsh functions/_filecleanup\n"
    "cat > rc <<'END'\n"
    "PROMPT=; fpath=($PWD/functions $fpath)\n"
    "autoload -U compinit; compinit -u -d $PWD/dump\n"
    "compadd() {\n"
    "  if [[ ${@[1,(i)(-|--)]} != *-[OAD]* ]]; then\n"
    "    local -a __found; builtin compadd -A __found \"$@\"; print -rl -- $__found >> found\n"
    "  fi\n"
    "  builtin compadd \"$@\"\n"
    "}\n"
    "finish() { mv found done }\n"
    "comppostfuncs=(finish); setopt no_list_beep\n"
    "zstyle ':completion:*' verbose no\n"
    ": > ready\n"
    "END\n"
    "offers() {\n"
    "  local waited=0\n"
    "  rm -f found done ready; : > found\n"
    "  zpty z TERM=dumb zsh -f -i\n"
    "  zpty -w z 'source rc'\n"
    "  until [[ -e ready ]] || (( waited++ > 1000 )); do sleep 0.02; done\n"
    "  zpty -w -n z \"${(j: :)@}\"$'\\t'\n"
    "  until [[ -e done ]] || (( waited++ > 1000 )); do sleep 0.02; done\n"
    "  zpty -d z\n"
    "  [[ -e done ]] && sed 's/ *$//; /^$/d' done | sort -u\n"
    "}\n";

static const struct {
  const char *shell;
  const char *prelude;
} shells[] = {{"bash", in_bash}, {"zsh", in_zsh}, {"fish", in_fish}};
enum { BASH, ZSH, FISH };

static struct fct_result ask(unsigned shell, const struct fct_world *world, const char *script) {
  const char *path = fct_which(shells[shell].shell);
  return FCT_EXECUTE(world, .script = fct_format("%s%s", shells[shell].prelude, script), .shell = path);
}

static void expect_offers(unsigned shell, const struct fct_world *world, const char *line, const char *offered) {
  struct fct_result result = ask(shell, world, fct_format("offers %s\n", line));
  cr_expect_str_eq(result.err, "", "%s, %s: %s", shells[shell].shell, line, result.err);
  cr_expect_str_eq(result.out, offered, "%s, %s:\n%sinstead of\n%s", shells[shell].shell, line, result.out, offered);
}

static const struct fct_world *world_with_files(void) {
  const struct fct_world *world = fct_world_new();
  fct_write(world, "plain-file", "");
  struct fct_result made = FCT_EXECUTE(world, .script = "mkdir plain-dir");
  cr_assert_eq(made.status, 0);
  return world;
}

static void expect_in_all_shells(unsigned shell) {
  fct_need(shells[shell].shell);
  const struct fct_world *world = world_with_files();
  expect_offers(shell, world, "filecleanup st", "status\n");
  expect_offers(shell, world, "filecleanup explain plain-f", "plain-file\n");
  expect_offers(shell, world, "filecleanup list --nu", "--null\n");
  expect_offers(shell, world, "filecleanup-run --no-g", "--no-guardian\n");
  expect_offers(shell, world, "filecleanup run --no-g", "--no-guardian\n");
  expect_offers(shell, world, "filecleanup-run --dirs rec", "recursive\n");
  /* A named session by its name. */
  struct fct_result named =
      FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--session", "nightly"), .script = ":");
  cr_assert_eq(named.status, 0, "%s", named.err);
  expect_offers(shell, world, "filecleanup end ni", "nightly\n");
  expect_offers(shell, world, "filecleanup-run --session ni", "nightly\n");
  struct fct_result ended = FCT_EXECUTE(world, .script = "$FC_COMMAND end --base base -q nightly");
  cr_assert_eq(ended.status, 0, "%s", ended.err);
}

Test(completion, bash_offers_what_the_command_takes) { expect_in_all_shells(BASH); }
Test(completion, zsh_offers_what_the_command_takes) { expect_in_all_shells(ZSH); }
Test(completion, fish_offers_what_the_command_takes) { expect_in_all_shells(FISH); }

Test(completion, bash_takes_the_equals_sign_for_a_word_and_for_a_part_of_one) {
  fct_need("bash");
  const struct fct_world *world = world_with_files();
  expect_offers(BASH, world, "filecleanup-run --on-exit = k", "keep\nkeep-on-failure\n");
  expect_offers(BASH, world, "filecleanup-run --on-exit k", "keep\nkeep-on-failure\n");
  expect_offers(BASH, world, "filecleanup-run --on-exit =", "delete\nkeep\nkeep-on-failure\nreport\n");
  expect_offers(BASH, world, "filecleanup-run --on-exit=k", "--on-exit=keep\n--on-exit=keep-on-failure\n");
  expect_offers(BASH, world, "filecleanup run --base = plain", "plain-dir\n");
  expect_offers(BASH, world, "filecleanup run --log-file plain", "plain-dir\nplain-file\n");
}

Test(completion, bash_completes_the_program_and_leaves_its_arguments_to_itself) {
  fct_need("bash");
  const struct fct_world *world = world_with_files();
  expect_offers(BASH, world, "filecleanup-run --wait -- basenam", "basename\n");
  expect_offers(BASH, world, "filecleanup-run --ttl 5 basenam", "basename\n");
  expect_offers(BASH, world, "filecleanup-run --ttl = 5 cat plain-f", "plain-file\n");
  struct fct_result result =
      ask(BASH, world,
          "_command_offset() { echo \"from word $1\"; }\n"
          "offers filecleanup-run --ttl = 5 --wait -- git --ve; offers filecleanup run --fail-on-leak git --ve");
  cr_expect_str_eq(result.out, "from word 6\n\nfrom word 3\n\n", "%s", result.out);
}

Test(completion, every_verb_and_every_option_is_offered_by_bash) {
  fct_need("bash");
  const struct fct_world *world = fct_world_new();
  struct fct_result result =
      ask(BASH, world,
          "verbs=$($FC_COMMAND --help | sed -nE 's/^  ([a-z]+) +[A-Z].*/\\1/p')\n"
          "test $(wc -w <<< \"$verbs\") -ge 7 || echo 'too few verbs'\n"
          "diff <(printf '%s\\n' $verbs --help --version | sort) <(offers filecleanup '')\n"
          "for v in $verbs; do\n"
          "  diff <($FC_COMMAND $v --help | grep -oE '^ +(-[a-z0-9], )?--[a-z-]+' | grep -oE -e '--[a-z-]+' | sort -u)"
          " <(offers filecleanup $v -- | tr -d = | sort)\n"
          "done\n");
  cr_expect_str_eq(result.err, "", "%s", result.err);
  cr_expect_str_eq(result.out, "", "%s", result.out);
}
