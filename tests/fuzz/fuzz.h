/* fuzz: what the fuzz targets share.
 *
 * Responsible for: saying which invariant an input has violated, and a scratch directory of this process alone. Must
 * never: go on after a violation.
 *
 * A target is fuzz_NAME.c: LLVMFuzzerTestOneInput for libFuzzer (scripts/fuzz), its corpus is corpus/NAME. "It does not
 * crash" is the least that a target asks; each header says what else must hold.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                                             \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      (void)fprintf(stderr, "%s:%d: violated: %s\n", __FILE__, __LINE__, #condition);                                  \
      abort();                                                                                                         \
    }                                                                                                                  \
  } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A directory in /dev/shm (or /tmp) that is gone when the process ends, made at the first call. */
const char *fuzz_scratch(void);

/* Takes one byte; 0 when there is none any more. */
static inline uint8_t fuzz_take(const uint8_t **data, size_t *size) {
  if (*size == 0) return 0;
  (*size)--;
  return *(*data)++;
}

#endif
