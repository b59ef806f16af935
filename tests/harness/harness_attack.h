/* Attacks: somebody else at work while a session lives, sweeps and ends, and what became of the user's things.
 *
 * An attacker is a process of the test's own, which no hook sees: an outsider. Victims are what stood in a directory
 * before; whatever is done with the names around them, each must afterwards be somewhere below that directory: the same
 * inode with the same contents.
 *
 * FC_ATTACK_LONG=1 asks for the long forms: the rounds that each test names in its call of fct_rounds_wanted(). */
#ifndef FCT_HARNESS_ATTACK_H
#define FCT_HARNESS_ATTACK_H

#include <stdint.h>

#include "harness.h"
#include "harness_live.h"
#include "harness_row.h"

/* How often: ci in an ordinary run, all with FC_ATTACK_LONG=1. */
uint64_t fct_rounds_wanted(uint64_t ci, uint64_t all);

/* Calls round again and again, in a process of its own, as uid (0: as the tests run). The number that it is given
 * counts from 0. A round that returns false has failed and is not counted. */
struct fct_attacker;
struct fct_attacker *fct_attack(bool (*round)(void *context, uint64_t number), void *context, uid_t uid);
uint64_t fct_attack_rounds(const struct fct_attacker *attacker);

/* Lets the round in hand come to its end. Returns how many there were. */
uint64_t fct_attack_end(struct fct_attacker *attacker);

/* A program that goes on making what others take away, until it is told to end: base/f0 to f7, base/d/f0 to f7 and
 * base/a/b/c/f0 to f7, one by one and the directories too. With PERIODIC=0 and a TTL of nothing: passes are the test's.
 */
struct fct_job *fct_refill(const struct fct_world *world, enum fct_mode mode);

/* Ends it, and expects status 0 and silence. */
void fct_refill_end(const struct fct_world *world, struct fct_job *job);

/* So many passes over it while an attacker is at work, and on until there were so many rounds and something was swept.
 * The live one is looked for anew when there is another. Returns how many passes there were. */
uint64_t fct_sweep_under_attack(const struct fct_world *world, const struct fct_attacker *attacker, uint64_t rounds);

/* What stands below the directory now is the user's. */
struct fct_victims;
struct fct_victims *fct_victims_of(const char *directory);

/* How many of them are gone or have changed; each is named on stderr. */
unsigned long long fct_victims_lost(const struct fct_victims *victims);

/* Rows of the table (harness_row.h). The test fails when something was deleted wrongly. leaks: names of the session
 * that stay, for the reason in why (NULL: none may stay). */
void fct_attack_row(const char *attack, uint64_t rounds, unsigned long long wrong, unsigned long long leaks,
                    const char *why);

/* The same, and it fails when the program came to see one of the faults. */
void fct_faults_row(const char *where, uint64_t injected, unsigned long long differences, unsigned long long wrong,
                    unsigned long long leaks, const char *why);

/* And when a kill did harm. instant_leaks: names that were made in the very instant of the kill. */
void fct_kill_points_row(const char *where, uint64_t tried, unsigned long long violations,
                         unsigned long long instant_leaks);

/* Mounts a fresh file system made by `make` (a command that is given the image's name) of so many megabytes on a
 * directory of the world. The test is skipped, with the reason, when that cannot be done here. */
void fct_mount_image(const struct fct_world *world, const char *make, unsigned megabytes, const char *options,
                     const char *directory);

#endif
