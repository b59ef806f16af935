/* What `cmake --install` makes works where it was put, and where it was moved to. */
#include <criterion/criterion.h>
#include <string.h>

#include "../harness/harness.h"

TestSuite(install, .fini = fct_teardown, .timeout = 280);

#define QUIETLY " > log 2>&1 || cat log\n"

/* A tree in $PWD/tree, made for another place. */
static const char staged[] =
    "DESTDIR=$PWD/stage cmake --install " FC_BUILD_DIR " --prefix /opt/fc" QUIETLY "mv stage/opt/fc 'tree'\n";

static void expect_output(const struct fct_world *world, const char *script, const char *out) {
  struct fct_result result = FCT_EXECUTE(world, .script = script, .limit_s = 250);
  cr_expect_str_eq(result.err, "", "%s", result.err);
  cr_expect_str_eq(result.out, out, "%s", result.out);
}

Test(install, moved_tree_is_found_from_path_by_link_and_by_name) {
  fct_need("cmake");
  const struct fct_world *world = fct_world_new();
  expect_output(world,
                fct_format("%s"
                           "PATH=$PWD/tree/bin:$PATH\n"
                           "judge='touch base/a; ls base; echo ${LD_PRELOAD#'$PWD'}'\n"
                           "filecleanup-run --base base -- sh -c \"$judge\"; ls base\n"
                           "mkdir links; ln -s ../tree/bin/filecleanup-run links/fcr\n"
                           "links/fcr --base base -- sh -c \"$judge\"; ls base\n"
                           "mv tree elsewhere; PATH=$PWD/elsewhere/bin:$PATH\n"
                           "filecleanup run --base base -- sh -c \"$judge\"; ls base\n"
                           "filecleanup --version | cut -d' ' -f1\n",
                           staged),
                "a\n/tree/lib/filecleanup/libfilecleanup_preload.so\n"
                "a\n/tree/lib/filecleanup/libfilecleanup_preload.so\n"
                "a\n/elsewhere/lib/filecleanup/libfilecleanup_preload.so\n"
                "filecleanup\n");
}

Test(install, tree_for_usr_is_reached_by_the_loaders_word_for_the_library_directory) {
  fct_need("cmake");
  const struct fct_world *world = fct_world_new();
  /* GNUInstallDirs takes the machine's own library directory for this prefix only. */
  expect_output(
      world,
      "cmake -S " FC_SOURCE_DIR " -B made -DCMAKE_BUILD_TYPE=Debug -DFILECLEANUP_TESTS=OFF "
      "-DCMAKE_INSTALL_PREFIX=/usr" QUIETLY "cmake --build made -j 2" QUIETLY
      "DESTDIR=$PWD/stage cmake --install made" QUIETLY "rm -rf made; mv stage/usr tree\n"
      "export FILECLEANUP_BASE_DIR=$BASE\n"
      "LD_PRELOAD=$PWD'/tree/$LIB/filecleanup/libfilecleanup_preload.so' sh -c 'touch base/a; ls base'; ls base\n"
      "tree/bin/filecleanup-run -- sh -c 'touch base/b; ls base'; ls base\n"
      /* The shim finds the command, which becomes the guardian. */
      "FILECLEANUP_GUARDIAN=1 LD_PRELOAD=$PWD'/tree/$LIB/filecleanup/libfilecleanup_preload.so' "
      "sh -c 'touch base/c; ls base; kill -9 $$' 2> killed\n"
      "until ! test -e base/c; do sleep 0.05; done\n"
      "grep -v Killed killed\n",
      "a\nb\nc\n");
}

Test(install, everything_has_its_place) {
  fct_need("cmake");
  const struct fct_world *world = fct_world_new();
  expect_output(world, fct_format("%scd tree; find . -type f | LC_ALL=C sort", staged),
                "./bin/filecleanup\n"
                "./bin/filecleanup-run\n"
                "./include/filecleanup.h\n"
                "./lib/cmake/filecleanup/filecleanupConfig.cmake\n"
                "./lib/cmake/filecleanup/filecleanupConfigVersion.cmake\n"
                "./lib/cmake/filecleanup/filecleanupTargets-release.cmake\n"
                "./lib/cmake/filecleanup/filecleanupTargets.cmake\n"
                "./lib/filecleanup/libfilecleanup_preload.so\n"
                "./lib/libfilecleanup.a\n"
                "./lib/libfilecleanup.so.0.1.0\n"
                "./lib/pkgconfig/filecleanup.pc\n"
                "./lib/systemd/user/filecleanup-sweep.service\n"
                "./lib/systemd/user/filecleanup-sweep.timer\n"
                "./lib/tmpfiles.d/filecleanup.conf\n"
                "./share/bash-completion/completions/filecleanup\n"
                "./share/bash-completion/completions/filecleanup-run\n"
                "./share/doc/filecleanup/CHANGELOG.md\n"
                "./share/doc/filecleanup/README.md\n"
                "./share/doc/filecleanup/examples/cplusplus.cpp\n"
                "./share/doc/filecleanup/examples/filecleanup.logrotate\n"
                "./share/doc/filecleanup/examples/libuv_loop.c\n"
                "./share/doc/filecleanup/examples/life_cycle.c\n"
                "./share/doc/filecleanup/examples/poll_loop.c\n"
                "./share/doc/filecleanup/examples/request_directory.c\n"
                "./share/doc/filecleanup/examples/scoped_file.c\n"
                "./share/doc/filecleanup/examples/selective_preservation.c\n"
                "./share/fish/vendor_completions.d/filecleanup-run.fish\n"
                "./share/fish/vendor_completions.d/filecleanup.fish\n"
                "./share/man/man1/filecleanup-run.1\n"
                "./share/man/man1/filecleanup.1\n"
                "./share/man/man3/libfilecleanup.3\n"
                "./share/man/man7/filecleanup.7\n"
                "./share/zsh/site-functions/_filecleanup\n");
}
