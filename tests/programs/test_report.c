/* What a session has done, told from its statistics: right for people, exact for programs, safe whatever the file
 * holds.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../harness/harness.h"

static void init(void) { fct_need("jq"); }
TestSuite(report, .init = init, .fini = fct_teardown, .timeout = 120);

static const char good[] =
    "{\"schema\":1,\"version\":\"0.1.0\",\"session\":\"59374e2196e60d3d\",\"name\":\"\",\"base\":\"/home/me/temp\","
    "\"started\":\"2026-11-23T20:01:05Z\",\"started_s\":1795464065,\"ended\":\"2026-11-23T20:03:35Z\",\"ended_s\":"
    "1795464215,\"seconds\":150.345,\"policy\":{\"on_exit\":\"delete\",\"scope\":\"session\",\"dirs\":\"empty\"},"
    "\"outcome\":\"removed\",\"leader\":{\"pid\":4711,\"status\":0},\"created\":{\"files\":1234,\"dirs\":42},"
    "\"program\":{\"removed\":1000,\"renamed_out\":3},\"swept\":{\"files\":12,\"bytes\":3400000},\"deleted\":{\"files\":"
    "219,\"dirs\":40,\"unseen\":0,\"bytes\":4567890},\"stayed\":{\"kept\":2,\"in_use\":1,\"replaced\":0,\"handed_over\":"
    "0,\"failed\":0},\"names\":[{\"path\":\"out/result.csv\",\"why\":\"kept\"},{\"path\":\"out/b\",\"why\":\"kept\"},"
    "{\"path\":\"run/\\ufffd.sock\",\"path_bytes\":\"run/%FF.sock\",\"why\":\"in_use\"}],\"leaked\":259,"
    "\"unseen_members\":1,\"unseen_names\":2,\"peak\":{\"files\":800,\"bytes\":1048576,\"at_s\":75.5},\"footprint\":["
    "[0.0,0,0],[37.5,400,524288],[75.5,800,1048576],[112.5,100,131072],[150.0,0,0]],\"programs\":[{\"program\":\"cc1\","
    "\"created\":900},{\"program\":\"as\",\"created\":300},{\"program\":\"sh\",\"created\":34}]}\n";

static const char good_text[] = "/home/me/temp  (session 59374e2196e60d3d)\n"
                                "  ran      2026-11-23 20:01:05, 2min 30s, process 4711, exit status 0\n"
                                "  end      cleaned up\n"
                                "  made     1234 files, 42 directories\n"
                                "  program  removed 1000 itself, renamed 3 out of the base\n"
                                "  swept    12 files, 3.2 MiB, while it ran\n"
                                "  deleted  219 files, 40 directories, 4.4 MiB, at the end\n"
                                "  stayed   3: 2 kept, 1 in use\n"
                                "  leaked   259 names were still there when the last process had ended\n"
                                "  unseen   1 process without the shim, 2 names that no hook saw\n"
                                "  peak     800 files, 1.0 MiB, after 1min 16s\n"
                                "\n"
                                "  bytes                   -----------------################________________\n"
                                "  files                   -----------------################________________\n"
                                "           0                                                       2min 30s\n"
                                "\n"
                                "  made by         900  cc1\n"
                                "                  300  as\n"
                                "                   34  sh\n"
                                "\n"
                                "  stays    kept         out/result.csv\n"
                                "           kept         out/b\n"
                                "           in use       run/\\xff.sock\n";

static struct fct_result run(const struct fct_world *world, const char *script) {
  return FCT_EXECUTE(world, .script = script);
}

static struct fct_world *world_with(const char *statistics) {
  struct fct_world *world = fct_world_new();
  fct_write(world, "stats", statistics);
  return world;
}

/* ---- for people ---- */

Test(report, the_readable_form_tells_all_of_it) {
  struct fct_world *world = world_with(good);
  struct fct_result result = run(world, "TZ=UTC $FC_COMMAND report stats");
  cr_expect_eq(result.status, 0);
  cr_expect_str_eq(result.err, "", "%s", result.err);
  cr_expect_str_eq(result.out, good_text, "%s", result.out);
}

Test(report, blocks_are_drawn_where_they_can_be_shown) {
  struct fct_world *world = world_with(good);
  struct fct_result result = run(world, "LC_ALL=C.UTF-8 $FC_COMMAND report stats");
  cr_expect(strstr(result.out, "▄▄▄") && strstr(result.out, "███▁▁"), "%s", result.out);
}

Test(report, what_did_not_happen_is_not_told_at_length) {
  struct fct_world *world = world_with(good);
  struct fct_result result =
      run(world, "jq '.swept.files=0|.program={removed:0,renamed_out:0}|.stayed|=map_values(0)|.names=[]|.peak=null|"
                 ".footprint=[]|.programs=[]|.unseen_members=0|.unseen_names=0|.started=null|.started_s=null|"
                 ".leader.status=null|.name=\"build\"' stats > short; $FC_COMMAND report short");
  cr_expect_str_eq(result.out,
                   "/home/me/temp  (session 59374e2196e60d3d, build)\n"
                   "  ran      2min 30s, process 4711, no exit status\n"
                   "  end      cleaned up\n"
                   "  made     1234 files, 42 directories\n"
                   "  deleted  219 files, 40 directories, 4.4 MiB, at the end\n"
                   "  stayed   nothing\n"
                   "  leaked   259 names were still there when the last process had ended\n",
                   "%s", result.out);
}

Test(report, long_lists_are_cut_and_say_so) {
  struct fct_world *world = world_with(good);
  struct fct_result result = run(
      world, "jq '.names=[range(150)|{path:\"n\\(.)\",why:\"kept\"}]|.stayed.kept=1000|.programs=[range(20)|"
             "{program:\"p\\(.)\",created:1}]' stats > long\n"
             "$FC_COMMAND report long | grep -E 'and [0-9]+ more' | tr -s ' '; $FC_COMMAND report -v long | grep -c "
             "' n[0-9]'; $FC_COMMAND report -q long | grep -c ' n[0-9]'");
  cr_expect_str_eq(result.out, " and 15 more\n and 961 more\n150\n0\n", "%s", result.out);
}

/* All that is a name there, with all that a terminal or a browser might obey. */
static const char hostile[] =
    "jq '.base=\"/t/<script>alert(1)</script>\\u001b[31m&\\\"x'\\'''\\''\\n\\u0085\\u202e\\ufffe]]>\"|"
    ".names[0].path=\"<img src=x onerror=alert(2)>--><!--\"|.names[1].path=\"]]>&amp;</td>\\r\\t\"|"
    ".programs[0].program=\"</style><b>\\u007f\"|.session=\"<i>\"|.name=\"\\u001b]0;x\\u0007\"|.version=\"<u>\"' stats > "
    "hostile\n";

Test(report, nothing_in_a_name_reaches_the_terminal) {
  struct fct_world *world = world_with(good);
  struct fct_result result = run(world, fct_format("%s$FC_COMMAND report hostile", hostile));
  cr_expect_eq(result.status, 0, "%s", result.err);
  for (const char *p = result.out; *p; p++)
    cr_expect((unsigned char)*p >= 0x20 || *p == '\n', "byte %02x", (unsigned char)*p);
  cr_expect(!strstr(result.out, "\xc2\x85") && strstr(result.out, "\\x1b[31m"), "%s", result.out);
}

Test(report, it_fits_a_terminal) {
  struct fct_world *world = world_with(good);
  struct fct_result result =
      run(world, "jq '[paths(type==\"number\")|select(.[0]|test(\"_s$|schema|seconds|leader|footprint\")|not)|"
                 "select(.[1]!=\"at_s\")] as $p|reduce $p[] as $x (.;setpath($x;9999999999))' stats > large\n"
                 "$FC_COMMAND report large > out || exit; $FC_COMMAND report --help >> out; grep -E '.{81}' out");
  cr_expect_str_eq(result.out, "", "%s", result.out);
  cr_expect_eq(result.status, 1, "%s", result.err);
}

/* ---- for programs ---- */

Test(report, the_copy_for_programs_is_the_same) {
  struct fct_world *world = world_with(good);
  struct fct_result result =
      run(world, "jq '.later={\"more\":[1,2.5,null]}' stats > later\n"
                 "for file in stats later; do $FC_COMMAND report --json $file > copy || echo $?\n"
                 "jq . $file > a; jq . copy > b; diff a b; done; $FC_COMMAND report --json - < stats | diff copy - | "
                 "grep -c later; grep seconds copy");
  cr_expect_str_eq(result.out, "1\n  \"seconds\": 150.345,\n", "%s", result.out);
}

/* ---- files that are something else ---- */

static void expect_refused(const struct fct_world *world, const char *make, const char *told) {
  struct fct_result result = run(world, fct_format("%s; for form in '' --json '--html page'; do\n"
                                                   "$FC_COMMAND report $form bad; echo $?; done; ls page 2> /dev/null",
                                                   make));
  cr_expect_str_eq(result.out, "65\n65\n65\n", "%s: %s%s", make, result.out, result.err);
  const char *line = strchr(result.err, '\n');
  cr_expect(line && strncmp(result.err, "filecleanup: bad: ", 18) == 0, "%s: %s", make, result.err);
  cr_expect(strstr(result.err, told) && strstr(result.err, told) < line, "%s: %s", make, result.err);
  cr_expect_eq(strlen(result.err), (size_t)(line + 1 - result.err) * 3, "%s: %s", make, result.err);
}

Test(report, what_is_no_statistics_is_refused) {
  struct fct_world *world = world_with(good);
  expect_refused(world, ": > bad", "not JSON");
  expect_refused(world, "echo hello > bad", "not JSON: line 1, column");
  expect_refused(world, "head -c 500 stats > bad", "not JSON");
  expect_refused(world, "cat stats stats > bad", "not JSON");
  expect_refused(world, "head -c 100000 /dev/urandom > bad", "not JSON");
  expect_refused(world, "head -c 20000000 /dev/zero > bad", "too large");
  expect_refused(world, "head -c 100000 /dev/zero | tr '\\0' '[' > bad", "not JSON");
  expect_refused(world, "sed 's/\"leaked\":259/\"leaked\":259,\"leaked\":0/' stats > bad", "not JSON");
  expect_refused(world, "sed 's/out.b/\\\\u0000/' stats > bad", "not JSON");
  expect_refused(world, "printf '[1,2]' > bad", "not the statistics of a session");
  expect_refused(world, "echo '{}' > bad", "not the statistics of a session");
  expect_refused(world, "$FC_COMMAND status --json > bad", "not the statistics of a session");
  expect_refused(world, "jq '.schema=2' stats > bad", "its schema is 2");
}

Test(report, every_member_is_checked) {
  struct fct_world *world = world_with(good);
  static const char *const edits[][2] = {
      {"del(.base)", "'base' is missing"},
      {".base=7", "'base' is not a text"},
      {".started_s=1", "'started' and 'started_s' differ"},
      {".started=null", "'started' and 'started_s' differ"},
      {".ended_s=\"x\"", "'ended' is not a time"},
      {".ended_s=-1", "'ended' is not a time"},
      {".seconds=-1", "'seconds' is not a number of seconds"},
      {".seconds=1e300", "'seconds' is not a number of seconds"},
      {".seconds=\"1\"", "'seconds' is not a number of seconds"},
      {".policy=[]", "'policy' is not an object"},
      {".policy.on_exit=\"explode\"", "'policy.on_exit' is none of the words"},
      {".policy.scope=null", "'policy.scope' is not a text"},
      {".outcome=\"gone\"", "'outcome' is none of the words"},
      {".leader.status=256", "'leader.status'"},
      {".leader.status=\"0\"", "'leader.status'"},
      {".leader.pid=-1", "'leader.pid' is not a count"},
      {".created.files=1.5", "'created.files' is not a count"},
      {"del(.created.dirs)", "'created.dirs' is missing"},
      {".deleted.bytes=-1", "'deleted.bytes' is not a count"},
      {".swept=null", "'swept' is not an object"},
      {".stayed.failed=\"x\"", "'stayed.failed' is not a count"},
      {".names={}", "'names' is not a list"},
      {".names=[range(10001)|{path:\"x\",why:\"kept\"}]", "'names' is longer than 10000"},
      {".names[0]=1", "'names' does not hold objects"},
      {".names[1].why=\"\"", "'names.why' is none of the words"},
      {".names[2].path_bytes=\"run/%FG.sock\"", "'names.path_bytes' is not encoded"},
      {".names[2].path_bytes=\"run/%00.sock\"", "'names.path_bytes' is not encoded"},
      {".names[2].path_bytes=\"other\"", "'names.path' and 'names.path_bytes' differ"},
      {".names[2].path_bytes=7", "'names.path_bytes' is not encoded"},
      {".leaked=null", "'leaked' is not a count"},
      {".peak=3", "'peak' is neither an object nor null"},
      {".peak.at_s=null", "'peak.at_s' is not a number of seconds"},
      {"del(.peak)", "'peak' is missing"},
      {".footprint[1]=[1,2]", "'footprint' does not hold lists of three"},
      {".footprint[1]=7", "'footprint' does not hold lists of three"},
      {".footprint[2][0]=1", "'footprint' is not in the order of time"},
      {".footprint[2][1]=-1", "a number in 'footprint' is not a count"},
      {".programs[0].created=true", "'programs.created' is not a count"},
      {".programs[0]|=del(.program)", "'programs.program' is missing"},
  };
  for (size_t i = 0; i < sizeof edits / sizeof *edits; i++)
    expect_refused(world, fct_format("jq '%s' stats > bad", edits[i][0]), edits[i][1]);
}

Test(report, what_cannot_be_read_or_written_is_status_1) {
  struct fct_world *world = world_with(good);
  struct fct_result result =
      run(world, "$FC_COMMAND report nothing; echo $?; $FC_COMMAND report .; echo $?\n"
                 "$FC_COMMAND report stats --html no/page; echo $?; $FC_COMMAND report stats > /dev/full; echo $?\n"
                 "$FC_COMMAND report stats --html /dev/full; echo $?; $FC_COMMAND report stats stats; echo $?\n"
                 "$FC_COMMAND report; echo $?");
  cr_expect_str_eq(result.out, "1\n1\n1\n1\n1\n2\n2\n", "%s%s", result.out, result.err);
}

/* ---- the page ---- */

Test(report, the_page_is_well_formed_and_needs_nothing_else) {
  fct_need("xmllint");
  struct fct_world *world = world_with(good);
  struct fct_result result =
      run(world, fct_format("%sfor file in stats hostile; do $FC_COMMAND report $file --html page || echo $?\n"
                            "xmllint --noout page 2>&1; sed 's/<bdi>.*//' page | grep -niE "
                            "'https?://|src=|href=|url\\(|@import|<script|<link|<iframe|<object| on[a-z]+='; done\n"
                            "$FC_COMMAND report --html - stats | grep -c '</html>'",
                            hostile));
  cr_expect_str_eq(result.out, "1\n", "%s%s", result.out, result.err);
}

Test(report, a_name_on_the_page_is_text_and_nothing_else) {
  fct_need("python3");
  struct fct_world *world = world_with(good);
  fct_write(
      world, "look.py",
      "import sys\n"
      "from html.parser import HTMLParser\n"
      "class Page(HTMLParser):\n"
      "    tags, text = set(), ''\n"
      "    def handle_starttag(self, tag, attrs): self.tags.add(tag)\n"
      "    def handle_data(self, data): self.text += data\n"
      "p = Page(convert_charrefs=True); p.feed(open('page', encoding='utf-8').read()); p.close()\n"
      "known = set('html head meta title style body main h1 h2 p bdi time dl div dt dd svg desc text line path '\n"
      "            'circle table caption thead tbody tr th td footer'.split())\n"
      "print(sorted(p.tags - known), p.text.count('<script>alert(1)</script>'),\n"
      "      '<img src=x onerror=alert(2)>--><!--' in p.text, ']]>&amp;</td>' in p.text, '</style><b>' in p.text)\n");
  struct fct_result result =
      run(world, fct_format("%s$FC_COMMAND report hostile --html page; python3 look.py", hostile));
  cr_expect_str_eq(result.out, "[] 2 True True True\n", "%s%s", result.out, result.err);
}

Test(report, the_page_can_be_read_aloud) {
  fct_need("xmllint");
  struct fct_world *world = world_with(good);
  struct fct_result result =
      run(world, "$FC_COMMAND report stats --html page; ask() { xmllint --xpath \"$1\" page; }\n"
                 "ask 'count(//th[not(@scope)]) + count(//table[not(caption)])'\n"
                 "ask 'string(//svg/title)'; ask 'string(//svg/desc)'; ask 'string(//html/@lang)'\n"
                 "ask 'string(//svg/@role)'");
  cr_expect_str_eq(
      result.out,
      "0\nWhat the session held over time\n"
      "Two charts over the time since the start. Bytes: at most 1.0 MiB after 1min 16s. Files: at most 800 "
      "files after 1min 16s. The session took 2min 30s.\nen\nimg\n",
      "%s", result.out);
}

/* The words at the axes of the chart, without those between. */
static const char *ticks_of(const struct fct_world *world, const char *edit) {
  struct fct_result result =
      run(world, fct_format("jq '%s' stats > edited; $FC_COMMAND report edited --html page || exit\n"
                            "grep -o 'class=\"tick\"[^<]*' page | sed 's/.*>//' | tr '\\n' ' '",
                            edit));
  return result.out;
}

Test(report, the_axes_have_round_numbers_with_units) {
  struct fct_world *world = world_with(good);
  const char *said = ticks_of(world, ".");
  cr_expect_str_eq(said,
                   "0 B 256 KiB 512 KiB 768 KiB 1 MiB 0 200 400 600 800 0 30 s 60 s 90 s 120 s 150 s time since the "
                   "start ",
                   "%s", said);
  said = ticks_of(world, ".seconds=0.4|.footprint=[[0,0,0],[0.2,1,1],[0.4,3,5]]");
  cr_expect_str_eq(
      said, "0 B 2 B 4 B 6 B 0 1 2 3 0 0.05 s 0.1 s 0.15 s 0.2 s 0.25 s 0.3 s 0.35 s 0.4 s time since the start ", "%s",
      said);
  said = ticks_of(world, ".seconds=200000|.footprint=[[0,0,0],[100000,4000000,4611686018427387904]]");
  cr_expect_str_eq(
      said,
      "0 B 1 EiB 2 EiB 3 EiB 4 EiB 0 1 million 2 million 3 million 4 million 0 12 h 24 h 36 h 48 h time since the start ",
      "%s", said);
  said = ticks_of(world, ".seconds=0|.footprint=[[0,0,0],[0,0,0]]");
  cr_expect(strncmp(said, "0 B 1 B 0 1 0 ", 14) == 0, "%s", said);
}

/* The page as a browser shows it: two schemes of colours, wide and narrow. */
Test(report, a_browser_shows_the_page) {
  const char *browser = fct_which("chromium") ? "chromium" : fct_which("chromium-browser");
  if (!browser) cr_skip("chromium is not installed");
  fct_need("convert");
  struct fct_world *world = world_with(good);
  struct fct_result result = FCT_EXECUTE(
      world, .limit_s = 100,
      .script = fct_format(
          "$FC_COMMAND report stats --html page.html || exit\n"
          "shoot() { timeout 40 %s --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars "
          "--user-data-dir=$HOME/browser --blink-settings=preferredColorScheme=$2 --window-size=$3 "
          "--screenshot=$PWD/$1.png file://$PWD/page.html > $1.log 2>&1 < /dev/null || { tail -3 $1.log >&2; exit 9; }; }\n"
          "shoot light 1 900,1400; shoot dark 0 900,1400\n"
          "for i in light dark; do convert $i.png -format '%%[fx:mean>0.5] %%[fx:standard_deviation>0.02] ' info:\n"
          "  convert $i.png -unique-colors -format '%%[fx:w>100]\\n' info:; done",
          browser));
  if (result.status == 9) cr_skip("the browser does not start here: %s", result.err);
  cr_expect_str_eq(result.out, "1 1 1\n0 1 1\n", "%s%s", result.out, result.err);
}

/* ---- filecleanup-run --report ---- */

static struct fct_result report_of(const struct fct_world *world, const char *const *options, const char *script) {
  return FCT_EXECUTE(world, .mode = FCT_RUN, .options = options, .script = script,
                     .env = FCT_LIST(fct_format("XDG_RUNTIME_DIR=%s", world->home)));
}

static void expect_nothing_private_left(const struct fct_world *world) {
  cr_expect_str_eq(run(world, "ls -A $HOME").out, "");
}

Test(report, a_run_tells_what_it_did_and_is_otherwise_the_same) {
  struct fct_world *world = fct_world_new();
  struct fct_result result =
      report_of(world, FCT_LIST("--report", "--keep", "*.log"),
                "echo out; mkdir base/d; echo x > base/d/f; echo y > base/a.log; rm base/d/f; echo "
                "z > base/d/g; echo ${FILECLEANUP_STATS-unset}; exit 3");
  cr_expect_eq(result.status, 3);
  cr_expect_str_eq(result.out, "out\nunset\n", "%s", result.out);
  for (const char *const *line =
           FCT_LIST("<root>/world/base  (session ", ", exit status 3\n", "  end      cleaned up\n",
                    "  made     3 files, 1 directory\n", "  program  removed 1 itself\n",
                    "  deleted  1 file, 1 directory, 2 B, at the end\n", "  stayed   1: 1 kept\n",
                    "  stays    kept         a.log\n");
       *line; line++)
    cr_expect(strstr(result.err, *line), "%s: %s", *line, result.err);
  expect_nothing_private_left(world);
}

Test(report, the_report_waits_for_children_in_the_background) {
  struct fct_world *world = fct_world_new();
  struct fct_result result =
      report_of(world, FCT_LIST("--report"), "(sleep 0.3; echo x > base/late) & echo y > base/f");
  cr_expect_eq(result.status, 0);
  cr_expect(strstr(result.err, "made     2 files"), "%s", result.err);
  fct_assert_base_empty(world, "after the report");
}

Test(report, a_run_without_a_guardian_tells_the_same) {
  struct fct_world *world = fct_world_new();
  struct fct_result result = report_of(world, FCT_LIST("--report", "--no-guardian"), "echo y > base/f");
  cr_expect_eq(result.status, 0);
  cr_expect(strstr(result.err, "deleted  1 file, 0 directories, 2 B"), "%s", result.err);
  expect_nothing_private_left(world);
}

Test(report, a_killed_program_is_told_and_its_signal_handed_on) {
  struct fct_world *world = fct_world_new();
  struct fct_result result = report_of(world, FCT_LIST("--report"), "echo y > base/f; kill -9 $$");
  cr_expect_eq(result.status, 137, "%d", result.status);
  cr_expect(strstr(result.err, "no exit status") && strstr(result.err, "deleted  1 file"), "%s", result.err);
  expect_nothing_private_left(world);
}

Test(report, a_leak_is_told_and_reported) {
  struct fct_world *world = fct_world_new();
  struct fct_result result = report_of(world, FCT_LIST("--report", "--fail-on-leak=7"), "echo y > base/f");
  cr_expect_eq(result.status, 7);
  cr_expect(strstr(result.err, "leaked   1 name was") && strstr(result.err, "left 1 name under"), "%s", result.err);
  result = report_of(world, FCT_LIST("--report", "--fail-on-leak=7"), "echo y > base/f; rm base/f");
  cr_expect_eq(result.status, 0);
  cr_expect(strstr(result.err, "leaked   0 names were"), "%s", result.err);
}

Test(report, a_report_file_is_the_statistics) {
  struct fct_world *world = fct_world_new();
  struct fct_result result = report_of(world, FCT_LIST("--report=st"), "echo y > base/f");
  cr_expect(strstr(result.err, "made     1 file"), "%s", result.err);
  struct fct_result again = run(world, "jq -c '[.schema, .outcome, .created.files]' st; $FC_COMMAND report st");
  cr_expect(strncmp(again.out, "[1,\"removed\",1]\n", 16) == 0, "%s", again.out);
  cr_expect_str_eq(again.out + 16, result.err, "%s", again.out);
  expect_nothing_private_left(world);
}

Test(report, a_variable_says_where_the_statistics_go_too) {
  struct fct_world *world = fct_world_new();
  struct fct_result result = FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--report"),
                                         .script = "echo y > base/f", .env = FCT_LIST("FILECLEANUP_STATS=st"));
  cr_expect(strstr(result.err, "made     1 file"), "%s", result.err);
  cr_expect(fct_exists(world, "st"));
}

Test(report, statistics_of_another_session_are_not_told_as_this_ones) {
  struct fct_world *world = world_with(good);
  cr_assert_eq(run(world, "mkfifo pipe; ln -s stats link; rm -f dir; mkdir dir").status, 0);
  struct fct_result result = report_of(world, FCT_LIST("--report=dir"), "echo y > base/f; exit 4");
  cr_expect_eq(result.status, 4);
  cr_expect(strstr(result.err, "filecleanup-run: no report: "), "%s", result.err);
  fct_assert_base_empty(world, "without a report");
}

Test(report, a_named_session_has_no_report_at_the_end_of_a_command) {
  struct fct_world *world = fct_world_new();
  struct fct_result result = report_of(world, FCT_LIST("--report", "--session", "n"), "echo ran");
  cr_expect_eq(result.status, 125);
  cr_expect_str_eq(result.out, "");
  cr_expect(strstr(result.err, "--report: a named session"), "%s", result.err);
}

Test(report, a_base_that_is_refused_leaves_no_private_place) {
  struct fct_world *world = fct_world_new();
  struct fct_result result =
      FCT_EXECUTE(world, .mode = FCT_RUN, .base = "/usr", .options = FCT_LIST("--report"), .script = "echo ran; exit 5",
                  .env = FCT_LIST(fct_format("XDG_RUNTIME_DIR=%s", world->home)));
  cr_expect_eq(result.status, 5);
  cr_expect_str_eq(result.out, "ran\n");
  expect_nothing_private_left(world);
}

Test(report, the_private_place_is_never_in_the_base) {
  struct fct_world *world = fct_world_new();
  struct fct_result result =
      FCT_EXECUTE(world, .mode = FCT_RUN, .options = FCT_LIST("--report"), .script = "ls -A base",
                  .env = FCT_LIST(fct_format("XDG_RUNTIME_DIR=%s", world->base)));
  cr_expect_str_eq(result.out, "", "%s", result.out);
  cr_expect(strstr(result.err, "made     0 files"), "%s", result.err);
}
