/* footprint: how much of a session's own stands in the base, over time.
 *
 * Responsible for: measuring it once, and keeping a bounded number of measurements. Must never: be taken inside a host:
 * it looks at every tracked file.
 */
#ifndef FC_FOOTPRINT_H
#define FC_FOOTPRINT_H

#include "session.h"

#define FC_FOOTPRINT_MAX 400u /* when they are full, every other one is dropped */

struct fc_sample {
  int64_t since_ns; /* the session's start, or when the measuring began */
  uint64_t files;
  uint64_t bytes;
};

struct fc_footprint {
  int64_t start_ns; /* CLOCK_BOOTTIME */
  unsigned count;
  struct fc_sample peak;
  struct fc_sample samples[FC_FOOTPRINT_MAX];
};

/* Measures the session whose file is open as fd. 0 or -errno. Allocates nothing from the heap. */
int fc_footprint_take(struct fc_footprint *footprint, int fd, const struct fc_session_header *header);

#endif
