/* What the shim binds by itself must be what the loader would have bound. */
#include <criterion/criterion.h>
#include <dlfcn.h>

#include "../../shim/symbol.h"

TestSuite(symbol, .timeout = 60);

static const char *const hooked[] = {
#define FC_HOOKS_BOUND_ONLY 1
#define FC_HOOK(name, returns, arguments, what) #name,
#include "hooks.def"
#undef FC_HOOK
};

Test(symbol, every_hooked_function_is_found_where_the_loader_finds_it) {
  cr_assert(fc_symbol_prepare());
  for (size_t i = 0; i < sizeof hooked / sizeof hooked[0]; i++) {
    void *const expected = dlsym(RTLD_NEXT, hooked[i]);
    cr_assert_not_null(expected, "this libc has no %s", hooked[i]);
    cr_expect_eq(fc_symbol_find(hooked[i]), expected, "%s", hooked[i]);
  }
}

/* Before 2.34 glibc had no dlsym of its own. */
Test(symbol, without_the_loader_every_hooked_function_is_found_too) {
  for (size_t i = 0; i < sizeof hooked / sizeof hooked[0]; i++)
    cr_expect_eq(fc_symbol_search(hooked[i]), dlsym(RTLD_NEXT, hooked[i]), "%s", hooked[i]);
  cr_expect_null(fc_symbol_search("a_function_that_no_library_has"));
}

/* Nor had it shm_open, whose library a module of Python's loads late and for itself: the hook, which was called all the
 * same, jumped to NULL. */
Test(symbol, what_a_library_has_that_was_loaded_late_is_found) {
  static const char name[] = "_nss_compat_getpwnam_r";
  cr_assert_null(fc_symbol_ask(RTLD_NEXT, name), "this test's libc has it from the start");
  void *const library = dlopen("libnss_compat.so.2", RTLD_NOW | RTLD_LOCAL);
  if (!library) cr_skip_test("no libnss_compat here: %s", dlerror());
  void *const expected = dlsym(library, name);
  cr_assert_not_null(expected);
  cr_expect_eq(fc_symbol_ask(RTLD_NEXT, name), expected);
  cr_expect_eq(fc_symbol_search(name), expected);
}

Test(symbol, what_is_not_there_is_not_found) {
  cr_assert(fc_symbol_prepare());
  cr_assert_null(fc_symbol_find("a_function_that_no_library_has"));
}

/* Older versions of a name are for the programs that were linked with them. */
Test(symbol, of_several_versions_the_default_is_found) {
  cr_assert(fc_symbol_prepare());
  void *const expected = dlsym(RTLD_NEXT, "regexec"); /* in glibc for x86-64 and i386 of two versions */
  cr_assert_not_null(expected);
  cr_assert_eq(fc_symbol_find("regexec"), expected);
}

/* Its symbol is the resolver's: to take it for the function would call the wrong code. */
Test(symbol, a_function_that_needs_a_resolver_is_left_to_the_loader) {
  cr_assert(fc_symbol_prepare());
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  cr_skip_test("a sanitizer stands between us and dlsym, whose RTLD_NEXT is then what is behind the sanitizer");
#endif
  static const char *const resolved[] = {"memcpy", "memset", "strlen", "strchr", "strcmp", "time", "gettimeofday"};
  for (size_t i = 0; i < sizeof resolved / sizeof resolved[0]; i++) {
    void *const found = fc_symbol_find(resolved[i]);
    cr_expect(found == NULL || found == dlsym(RTLD_NEXT, resolved[i]), "%s", resolved[i]);
  }
}
