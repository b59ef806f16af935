/* harness: the memory and the end of a test. See harness.h. */
#include "harness.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness_internal.h"

static void **blocks;
static size_t block_count;
static size_t block_room;

static void remember(void *block) {
  cr_assert(block, "out of memory");
  if (block_count == block_room) {
    block_room = block_room ? block_room * 2 : 256;
    blocks = realloc(blocks, block_room * sizeof *blocks);
    cr_assert(blocks, "out of memory");
  }
  blocks[block_count++] = block;
}

void *fct_alloc(size_t size) {
  void *block = calloc(1, size);
  remember(block);
  return block;
}

char *fct_format(const char *format, ...) {
  va_list args;
  va_start(args, format);
  char *text = NULL;
  int length = vasprintf(&text, format, args);
  va_end(args);
  cr_assert(length >= 0, "out of memory");
  remember(text);
  return text;
}

void fct_text_add(struct fct_text *text, const char *data, size_t length) {
  if (text->length + length + 1 > text->room) {
    size_t room = (text->length + length + 1) * 2;
    char *grown = fct_alloc(room);
    if (text->length) memcpy(grown, text->text, text->length);
    text->text = grown;
    text->room = room;
  }
  if (length) memcpy(text->text + text->length, data, length);
  text->length += length;
  text->text[text->length] = '\0';
}

void fct_text_print(struct fct_text *text, const char *format, ...) {
  va_list args;
  va_start(args, format);
  char *line = NULL;
  int length = vasprintf(&line, format, args);
  va_end(args);
  cr_assert(length >= 0, "out of memory");
  fct_text_add(text, line, (size_t)length);
  free(line);
}

char *fct_slurp(const char *path, size_t *length) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return NULL;
  struct fct_text text = {0};
  fct_text_add(&text, "", 0);
  char buffer[65536];
  ssize_t got;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) fct_text_add(&text, buffer, (size_t)got);
  close(fd);
  if (got < 0) return NULL;
  if (length) *length = text.length;
  return text.text;
}

void fct_teardown(void) {
  fct_worlds_remove();
  for (size_t i = 0; i < block_count; i++) free(blocks[i]);
  free(blocks);
  blocks = NULL;
  block_count = block_room = 0;
}
