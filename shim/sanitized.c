/* sanitized: hosts that were built with AddressSanitizer and load its run-time as a library (gcc's way): it ends a
 * process in which it does not come first among the libraries, and before it stands every preload.
 *
 * It asks this function for its options, then reads those of the user's, which go before, as a function of this name in
 * the host itself does. Responsible for: switching that one check off. Must never: depend on anything of ours, since it
 * runs before our constructor.
 */
#include "real.h"

const char *__asan_default_options(void);
FC_EXPORT const char *__asan_default_options(void) { return "verify_asan_link_order=0"; }
