/* What the parts of the harness share with each other and with no test. */
#ifndef FCT_HARNESS_INTERNAL_H
#define FCT_HARNESS_INTERNAL_H

#include <stddef.h>

#include "harness.h"

/* Memory that lives until fct_teardown(). Never NULL: the test fails instead. */
void *fct_alloc(size_t size);

/* A string that grows; text is always terminated. */
struct fct_text {
  char *text;
  size_t length;
  size_t room;
};
void fct_text_add(struct fct_text *text, const char *data, size_t length);
void fct_text_print(struct fct_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What a program is started with, as harness.h says of every run. */
const char **fct_arguments_of(const struct fct_run *run, const char *base);
char **fct_environment_of(const struct fct_world *world, const struct fct_run *run, const char *base);

/* The whole file, terminated, with its length; NULL when it cannot be read. */
char *fct_slurp(const char *path, size_t *length);

/* Waits until no process of the group lives; fails the test after ten seconds. */
void fct_wait_group_dead(pid_t group);

/* Kills what still runs in the worlds of this test and removes them. */
void fct_worlds_remove(void);

#endif
