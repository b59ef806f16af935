/* options: what a manager is made from.
 *
 * Responsible for: options of any size that is known, and the configuration that follows from them. Must never: read
 * the environment but where fcm_options_from_environment asks for it.
 */
#ifndef FC_OPTIONS_H
#define FC_OPTIONS_H

#include "owner.h"

/* Copies *options, whatever its size, over the defaults. False: its size is unknown. */
bool fc_options_read(struct fcm_options *out, const struct fcm_options *options);

/* What the session is made from. 0, or -1 with one line in message. */
int fc_options_config(const struct fcm_options *options, struct fc_config *config, char *message, size_t message_size);

#endif
