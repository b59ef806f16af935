/* C++: its library's ways to files and processes. */
#include <criterion/criterion.h>

#include "../harness/harness.h"

TestSuite(cpp, .fini = fct_teardown, .timeout = 200);

static const char in_cpp[] =
    "#include <cstdio>\n#include <cstdlib>\n#include <filesystem>\n#include <fstream>\n#include <iostream>\n"
    "#include <thread>\n#include <vector>\nnamespace fs = std::filesystem;\n"
    "struct AtEnd { ~AtEnd() { std::ofstream(\"by-destructor\") << 1; } } at_end;\n"
    "int main(int argc, char **argv) {\n"
    "  { std::ofstream f(\"ofstream\"); f << \"text\\n\"; }\n"
    "  { std::fstream f(\"fstream\", std::ios::in | std::ios::out | std::ios::trunc); f << 1; }\n"
    "  { std::ofstream f(\"ofstream\", std::ios::app); f << \"more\\n\"; }\n"
    "  std::ofstream none(\"missing/f\"); std::cout << none.good() << fs::file_size(\"ofstream\") << '\\n';\n"
    "  fs::create_directories(\"a/b/c\"); fs::create_directory(\"a/d\", \"a\"); fs::copy(\"ofstream\", \"a/copy\");\n"
    "  fs::create_symlink(\"copy\", \"a/link\"); fs::create_hard_link(\"a/copy\", \"a/hard\"); fs::resize_file(\"a/hard\", 3);\n"
    "  fs::copy(\"a\", \"copied\", fs::copy_options::recursive | fs::copy_options::copy_symlinks);\n"
    "  fs::rename(\"copied\", \"moved\"); fs::rename(\"a/copy\", \"a/b/moved\"); fs::remove(\"a/link\");\n"
    "  std::error_code e; fs::remove(\"a\", e); std::cout << e.message() << fs::remove_all(\"moved\") << '\\n';\n"
    "  fs::copy_file(\"ofstream\", \"a/b/moved\", fs::copy_options::overwrite_existing);\n"
    "  std::FILE *t = std::tmpfile(); std::fputs(\"x\", t); std::fclose(t);\n"
    "  std::vector<std::thread> all;\n"
    "  for (int i = 0; i < 4; i++) all.emplace_back([i] { for (int j = 0; j < 20; j++) {\n"
    "    auto n = \"t\" + std::to_string(i) + \"-\" + std::to_string(j); std::ofstream(n) << j; if (j % 2) fs::remove(n); } });\n"
    "  for (auto &t : all) t.join();\n"
    "  try { fs::rename(\"none\", \"other\"); } catch (const fs::filesystem_error &x) { std::cout << x.code().value() << '\\n'; }\n"
    "  int n = 0; for (auto &x : fs::recursive_directory_iterator(\".\")) n += x.exists(); std::cout << n << std::endl;\n"
    "  if (argc > 1) std::quick_exit(std::system(\"echo x > by-system; exit 6\") >> 8);\n"
    "  return 4;\n}\n";

Test(cpp, streams_and_file_systems) {
  fct_need("g++");
  struct fct_world *world = fct_world_new(); /* compiled once; the harness runs it in worlds of their own */
  fct_write(world, "source", in_cpp);
  const struct fct_result built =
      FCT_EXECUTE(world, .limit_s = 120, .script = "g++ -std=c++17 -x c++ -o program source -pthread");
  cr_assert_eq(built.status, 0, "%s", built.err);
  const char *program = fct_path(world, "program");
  FCT_LEAVES_NOTHING(.script =
                         fct_format("cd base; %s; echo $?; mkdir again; cd again; exec %s quickly", program, program));
}
