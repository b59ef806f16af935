/* stats_file: where the statistics of a session go that are wanted for its report alone.
 *
 * Responsible for: a private directory outside the base, which is gone when the report has been told. Must never: be
 * in the program's way: nothing of it stands in the base or in the environment.
 */
#ifndef FC_STATS_FILE_H
#define FC_STATS_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Makes the directory, and puts the name of a file in it that is not there yet into out. base: as given. False: no
 * place could be had. */
bool fc_stats_file_make(const char *base, char *out, size_t size);

/* Removes both. */
void fc_stats_file_remove(const char *file);

#endif
