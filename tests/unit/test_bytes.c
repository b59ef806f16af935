/* The shim's own mem and str functions must answer as libc's do. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define memmove own_memmove
#define memcpy own_memcpy
#define memset own_memset
#define memcmp own_memcmp
#define memchr own_memchr
#define strnlen own_strnlen
#define strlen own_strlen
#define strncmp own_strncmp
#define strcmp own_strcmp
#define strchr own_strchr
#define strrchr own_strrchr
#define strspn own_strspn
#define strcspn own_strcspn
#define strstr own_strstr
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#include "../../shim/bytes.c"
#undef memmove
#undef memcpy
#undef memset
#undef memcmp
#undef memchr
#undef strnlen
#undef strlen
#undef strncmp
#undef strcmp
#undef strchr
#undef strrchr
#undef strspn
#undef strcspn
#undef strstr

TestSuite(bytes, .timeout = 60);

#define ROOM 64
#define ROUNDS 20000

static int sign(int n) { return (n > 0) - (n < 0); }

/* Few letters, so that much is equal. */
static void fill(char *s, size_t len) {
  for (size_t i = 0; i < len; i++) s[i] = "ab/\xff"[rand() % 4];
  s[len] = '\0';
}

static size_t upto(size_t max) { return (size_t)rand() % (max + 1); }

Test(bytes, strings_are_searched_and_compared_as_by_libc) {
  for (int i = 0; i < ROUNDS; i++) {
    char a[ROOM], b[ROOM], set[4];
    fill(a, upto(20));
    fill(b, upto(20));
    fill(set, upto(3));
    const size_t max = upto(24);
    const int c = "ab/\xff\0z"[rand() % 6];
    cr_assert_eq(own_strlen(a), strlen(a));
    cr_assert_eq(own_strnlen(a, max), strnlen(a, max));
    cr_assert_eq(sign(own_strcmp(a, b)), sign(strcmp(a, b)), "%s %s", a, b);
    cr_assert_eq(sign(own_strncmp(a, b, max)), sign(strncmp(a, b, max)), "%s %s %zu", a, b, max);
    cr_assert_eq(own_strchr(a, c), strchr(a, c), "%s %d", a, c);
    cr_assert_eq(own_strrchr(a, c), strrchr(a, c), "%s %d", a, c);
    cr_assert_eq(own_strspn(a, set), strspn(a, set), "%s %s", a, set);
    cr_assert_eq(own_strcspn(a, set), strcspn(a, set), "%s %s", a, set);
    cr_assert_eq(own_strstr(a, set), strstr(a, set), "%s %s", a, set);
  }
}

Test(bytes, memory_is_copied_compared_and_searched_as_by_libc) {
  for (int i = 0; i < ROUNDS; i++) {
    char a[ROOM + 1], b[ROOM + 1], c[ROOM + 1];
    fill(a, ROOM);
    memcpy(b, a, sizeof a);
    memcpy(c, a, sizeof a);
    const size_t size = upto(ROOM / 2), to = upto(ROOM / 2), from = upto(ROOM / 2);
    cr_assert_eq(own_memmove(b + to, b + from, size), b + to);
    memmove(c + to, c + from, size);
    cr_assert_arr_eq(b, c, ROOM, "%zu bytes from %zu to %zu", size, from, to);
    cr_assert_eq(sign(own_memcmp(a + to, b + to, size)), sign(memcmp(a + to, b + to, size)));
    cr_assert_eq(own_memchr(a + to, '/', size), memchr(a + to, '/', size));
    cr_assert_eq(own_memcpy(b, a + to, size), b);
    memcpy(c, a + to, size);
    cr_assert_arr_eq(b, c, ROOM);
    cr_assert_eq(own_memset(b + to, 0x1fe, size), b + to);
    memset(c + to, 0x1fe, size);
    cr_assert_arr_eq(b, c, ROOM);
  }
}

/* What lies behind the end may not be there. */
Test(bytes, nothing_is_read_past_the_end) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *const pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  cr_assert(pages != MAP_FAILED && mprotect(pages + page, page, PROT_NONE) == 0);
  for (size_t len = 0; len < 20; len++) {
    char *const s = pages + page - len - 1;
    memset(s, 'x', len);
    s[len] = '\0';
    cr_assert_eq(own_strlen(s), len);
    cr_assert_eq(own_strcmp(s, s), 0);
    cr_assert_null(own_strchr(s, 'y'));
    cr_assert_null(own_strstr(s, "xy"));
    cr_assert_eq(own_memcmp(s, s, len + 1), 0);
    cr_assert_null(own_memchr(s, 'y', len + 1));
    own_memmove(s, s + 1, len);
  }
}
