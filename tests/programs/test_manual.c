/* The manual pages say what the command says: the same options, verbs, variables and words, no more and no fewer. */
#include <criterion/criterion.h>
#include <string.h>

#include "../harness/harness.h"

TestSuite(manual, .fini = fct_teardown, .timeout = 120);

/* What both sides of a comparison are written with. Lists are one word to a line, sorted.
 *   items PAGE SECTION    the .It lines of a section
 *   options               the options on standard input, where mdoc or a help text names them, as --name
 *   same WHAT             says how the files `help` and `page` differ */
static const char helpers[] = "man=" FC_SOURCE_DIR "/scripts/packaging/man\n"
                              "section() { sed -n \"/^\\.Sh $2\\$/,/^\\.Sh /p\" \"$man/$1\"; }\n"
                              "items() { section \"$1\" \"$2\" | grep '^\\.It'; }\n"
                              "page_options() { grep -oE '(Fl|[|]) -[a-z-]+' | sed 's/.* /-/'; }\n"
                              "help_options() { grep -oE '^ +(-[a-z0-9], )?--[a-z-]+' | grep -oE -e '--[a-z-]+'; }\n"
                              "same() {\n"
                              "  comm -23 help page | sed \"s/^/$1: not in the page: /\"\n"
                              "  comm -13 help page | sed \"s/^/$1: only in the page: /\"\n"
                              "  uniq -d page | sed \"s/^/$1: twice in the page: /\"\n"
                              "  test \"$(wc -l < help)\" -ge \"$2\" || echo \"$1: less than $2 found\"\n"
                              "}\n";

static void expect_silence(const char *script) {
  const struct fct_world *world = fct_world_new();
  struct fct_result result = FCT_EXECUTE(world, .script = fct_format("%s%s", helpers, script));
  cr_expect_str_eq(result.err, "", "%s", result.err);
  cr_expect_str_eq(result.out, "", "%s", result.out);
}

Test(manual, each_option_of_run_stands_once_in_filecleanup_run_1_and_no_other) {
  expect_silence("$FC_COMMAND run --help | help_options | sort > help\n"
                 "items filecleanup-run.1 OPTIONS | page_options | sort > page\n"
                 "same run 25\n");
}

Test(manual, each_word_that_an_option_accepts_stands_in_its_item) {
  expect_silence(
      "$FC_COMMAND run --help | sed -nE 's/^ +--([a-z-]+)=(WHAT|LEVEL) .*/\\1/p' > words\n"
      "test $(wc -l < words) -ge 7 || echo too few options\n"
      "while read -r o; do\n"
      "  $FC_COMMAND check --$o='?' 2>&1 | sed 's/.*; use //; s/, / /g; s/ or / /g' | tr ' ' '\\n' > accepted\n"
      "  test $(wc -l < accepted) -ge 2 || echo \"--$o: what is accepted is not told\"\n"
      "  section filecleanup-run.1 OPTIONS | sed -n \"/^\\.It Fl -$o /,/^\\.It/p\" | sed '1d;$d' |\n"
      "    grep '^\\.Cm' | tr ' ' '\\n' > item\n"
      "  while read -r w; do grep -qxF -e \"$w\" item || echo \"--$o: $w is not in the page\"; done < accepted\n"
      "done < words\n");
}

Test(manual, each_verb_and_each_of_its_options_stands_in_filecleanup_1_and_no_other) {
  expect_silence("$FC_COMMAND --help | sed -nE 's/^  ([a-z]+) +[A-Z].*/\\1/p' | sort > help\n"
                 "items filecleanup.1 VERBS | sed -n 's/^\\.It Cm //p' | sort > page\n"
                 "same verbs 7\n"
                 "cp help verbs; cp page all; : > all\n"
                 "while read -r v; do\n"
                 "  test $v = run && continue\n"
                 /* What a verb takes of run is described there. */
                 "  $FC_COMMAND $v --help | sed \"/^As for 'filecleanup run'/,\\$d\" | help_options | sort > help\n"
                 "  cat help >> all\n"
                 "  section filecleanup.1 SYNOPSIS | sed -n \"/^\\.Cm $v\\$/,/^\\.Nm/p\" | page_options > page\n"
                 "  if $FC_COMMAND $v --help | grep -qE '^ +(-h, )?--help'; then echo --help >> page; fi\n"
                 "  sort page > sorted; mv sorted page\n"
                 "  same $v 2\n"
                 "done < verbs\n"
                 "{ cat all; echo --version; } | sort -u > help\n"
                 "items filecleanup.1 OPTIONS | page_options | sort > page\n"
                 "same options 10\n");
}

Test(manual, no_help_text_tells_of_an_option_twice) {
  expect_silence("for v in $($FC_COMMAND --help | sed -nE 's/^  ([a-z]+) +[A-Z].*/\\1/p'); do\n"
                 "  $FC_COMMAND $v --help | help_options | sort | uniq -d | sed \"s/^/$v: /\"\n"
                 "done\n");
}

Test(manual, short_letters_stand_beside_their_long_options) {
  expect_silence("for v in $($FC_COMMAND --help | sed -nE 's/^  ([a-z]+) +[A-Z].*/\\1/p'); do\n"
                 "  $FC_COMMAND $v --help | sed -nE 's/^ +-([a-z0-9]), --([a-z-]+).*/\\.It Fl \\1 , Fl -\\2/p'\n"
                 "done | sort -u > help\n"
                 "items filecleanup.1 OPTIONS | grep -E '^\\.It Fl [a-z0-9] ' | sort > page\n"
                 "same letters 4\n");
}

Test(manual, each_variable_that_is_read_stands_once_in_filecleanup_7_and_no_other) {
  expect_silence("sed -nE 's/^  X\\(([A-Z_]+), set_.*/FILECLEANUP_\\1/p' " FC_SOURCE_DIR "/lib/config.c | sort > help\n"
                 "items filecleanup.7 ENVIRONMENT | sed -n 's/^\\.It Ev //p' | sort > page\n"
                 "same variables 23\n"
                 /* The command lists them too, but for the one that makes it say nothing else. */
                 "$FC_COMMAND check | grep -oE '^  FILECLEANUP_[A-Z_]+' | tr -d ' ' | sort > page\n"
                 "echo FILECLEANUP_DISABLE >> page; sort -o page page\n"
                 "same check 23\n");
}

Test(manual, readme_names_each_variable_and_each_verb) {
  expect_silence("sed -nE 's/^  X\\(([A-Z_]+), set_.*/FILECLEANUP_\\1/p' " FC_SOURCE_DIR "/lib/config.c > help\n"
                 "while read -r v; do grep -qF \"\\`$v\" " FC_SOURCE_DIR "/README.md || echo \"$v\"; done < help\n"
                 "for v in $($FC_COMMAND --help | sed -nE 's/^  ([a-z]+) +[A-Z].*/\\1/p'); do\n"
                 "  grep -qE \"\\`(filecleanup )?$v\" " FC_SOURCE_DIR "/README.md || echo \"$v\"\n"
                 "done\n");
}

/* The members of real answers; a time's second form is told once for all. */
Test(manual, each_member_of_json_stands_in_its_page_and_no_other) {
  fct_need("jq");
  expect_silence(
      "members() { jq -r '[paths | map(select(type == \"string\")) | .[-1]] | unique[]'; }\n"
      "words() { section \"$1\" \"$2\" | grep -E '^\\.(It )?Cm|P[qo] Cm' | sed 's/Ns .*No objects with//; s/^\\.It//' |\n"
      "  grep -oE '[a-z_]{2,}' | sort -u > page; }\n"
      "$FC_COMMAND run --base base --keep x --stats stats -- sh -c '\n"
      "  echo > base/f; echo > base/x\n"
      "  for v in status list \"explain base/f\" \"sweep -n\" \"keep -n base/f\" \"untrack -n base/f\" check hooks; do\n"
      "    $FC_COMMAND $v --json; done > answers'\n"
      "members < answers | sort -u > all; sed 's/_s$//' all | sort | uniq -d | sed 's/$/_s/' > times\n"
      "{ comm -23 all times; echo time_s; echo bytes; } | sort -u > help\n"
      /* Verbs are the items of this list; words that are told as values are not set as members. */
      "words filecleanup.1 JSON\n"
      "{ comm -23 page help; echo; } | grep -vxE 'status|list|explain|sweep|keep|untrack|check|hooks|' > extra\n"
      "sed 's/^/only in the page: /' extra; comm -13 page help | grep -vx bytes | sed 's/^/not in the page: /'\n"
      "members < stats | sort -u > all; sed 's/_s$//' all | sort | uniq -d | sed 's/$/_s/' > times\n"
      "comm -23 all times > help; test $(wc -l < help) -gt 30 || echo too few members\n"
      "words filecleanup.7 REPORT; comm -13 page help | sed 's/^/not in REPORT: /'\n"
      "comm -23 page help | grep -vE '^(it|at|peak|at_s|damaged|deferred|recursive)$' | sed 's/^/only in REPORT: /'\n"
      "true\n");
}

Test(manual, pages_have_no_warnings) {
  fct_need("mandoc");
  expect_silence("mandoc -T lint -W warning $man/*.[137]");
}
