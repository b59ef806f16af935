/* end: `filecleanup end NAME`, the end of a named session, or of one that was kept.
 *
 * Responsible for: finding the session of this user and base by name or id, marking it as ended, and having it reaped
 * by its own journal: now when nobody of it lives, else by its last process. Must never: delete by itself (the reaper
 * does), make anything, or touch a session whose journal proves nothing but to drop its record.
 */
#ifndef FC_END_H
#define FC_END_H

/* argv[0] is "end". Returns an exit status: 0 done, 1 not (wholly) done or no such session, 2 usage, 65 a value that
 * cannot be accepted, 75 somebody still uses it, 77 a base that is never accepted. */
int fc_end_main(int argc, char **argv);

#endif
