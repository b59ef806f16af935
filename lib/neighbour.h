/* neighbour: the other sessions of the same base: those that are alive while one of them is reaped, and those that are
 * over and still on record, since they were kept or nobody has made up for their end.
 *
 * Responsible for: finding them, replaying what they have written so far, answering whether they use or track a name,
 * and handing a name over to one of them. Must never: change anything of theirs but by an ADOPT record.
 */
#ifndef FC_NEIGHBOUR_H
#define FC_NEIGHBOUR_H

#include "registry.h"
#include "replay.h"
#include "session.h"

struct fc_neighbour {
  struct fc_neighbour *next;
  int fd;
  struct fc_session_header *header;
  struct fc_registry registry;
  struct fc_replay replay;
  struct fc_journal journal;
};

/* A session that is not LIVE any more, and never is again: its file is not opened for each name anew. */
struct fc_ended {
  struct fc_ended *next;
  char id[24];
};

struct fc_neighbours {
  struct fc_neighbour *first;
  struct fc_neighbour *silent; /* on record, but not alive; read when somebody asks for them */
  uint32_t readings;           /* how often the directory has been read; silent as of silent_reading */
  uint32_t silent_reading;
  struct fc_ended *ended;
  int64_t changed_s; /* the state directory's change time when it was last read */
  uint32_t changed_ns;
  bool read;
  char *buffer; /* for reading the directory */
  struct fc_session_header *header;
};

/* Brings the list up to date: sessions that have been published or have ended, and what they have written. Cheap when
 * nothing has changed (one statx). Memory comes from arena. False when one could not be read: then it may use anything.
 */
bool fc_neighbours_refresh(struct fc_neighbours *neighbours, int dirfd, const char *own_id, struct fc_arena *arena);

/* Reads those that are over and on record, after a refresh. False when one cannot be read: it may know of any name. */
bool fc_neighbours_read_silent(struct fc_neighbours *neighbours, int dirfd, const char *own_id, struct fc_arena *arena);

/* Whose is a name that no record of ours speaks of? */
enum fc_neighbour_word {
  FC_NEIGHBOUR_NONE = 0,
  FC_NEIGHBOUR_KNOWS, /* one that is alive or was kept has made something at or below path, or is to keep it */
  FC_NEIGHBOUR_ENDS,  /* one that is over has, and its end may remove it yet */
};
enum fc_neighbour_word fc_neighbours_know(const struct fc_neighbours *neighbours, const char *path);

/* The neighbour that has USED path, or NULL. */
struct fc_neighbour *fc_neighbour_using(struct fc_neighbour *list, const char *path);

/* True when one of them has moved data of the user's since it first opened path, perhaps into that very name: N2
 * between sessions. */
bool fc_neighbours_moved_data_to(struct fc_neighbour *list, const char *path);

/* The neighbour that has made something at or below path, or NULL. */
struct fc_neighbour *fc_neighbour_below(struct fc_neighbour *list, const char *path);

/* True when one of them tracks this path with this inode, and has moved no data since (N3). */
bool fc_neighbour_tracks(struct fc_neighbour *list, const char *path, uint64_t ino);

/* Hands path over. Returns false when the neighbour could not take it any more. */
bool fc_neighbour_adopt(struct fc_neighbour *neighbour, const char *path, const struct fc_identity *identity,
                        bool is_dir);

void fc_neighbours_free(struct fc_neighbours *neighbours);

#endif
