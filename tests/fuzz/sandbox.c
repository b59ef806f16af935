#include "sandbox.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"
#include "cells.h"

struct sandbox *sandbox(void) {
  static struct sandbox box;
  static struct fc_session session;
  static struct fc_config config;
  static struct fc_base base;
  static char *const no_environment[] = {NULL};
  char message[1280];
  if (box.name[0]) return &box;
  (void)snprintf(box.base, sizeof box.base, "%s/base", fuzz_scratch());
  (void)snprintf(box.out, sizeof box.out, "%s/out", fuzz_scratch());
  REQUIRE(mkdir(box.base, 0755) == 0 && mkdir(box.out, 0755) == 0);
  fc_config_default(&config);
  config.policy.log_level = FC_LOG_OFF;
  (void)snprintf(config.base, sizeof config.base, "%s", box.base);
  (void)snprintf(config.state_dir, sizeof config.state_dir, "%s/state", fuzz_scratch());
  REQUIRE(fc_base_open(&base, &config, no_environment, NULL, message, sizeof message) == 0);
  struct rlimit before;
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const struct rlimit small = {FC_HEADER_BYTES + CELLS_CAPACITY * FC_CELL_BYTES, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0); /* how large a ring is made */
  REQUIRE(fc_session_create(&session, &config, &base, NULL, no_environment, message, sizeof message) == 0);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  memcpy(&box.header, session.header, sizeof box.header);
  REQUIRE(box.header.capacity == CELLS_CAPACITY);
  box.file_bytes = FC_HEADER_BYTES + (uint64_t)CELLS_CAPACITY * FC_CELL_BYTES;
  fc_session_unlock(&session);
  fc_journal_unmap(&session.journal);
  const char *leaf = fc_session_split(box.header.path, box.state, sizeof box.state);
  REQUIRE(leaf != NULL);
  (void)snprintf(box.name, sizeof box.name, "%s", leaf);
  box.base_fd = open(box.base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  box.out_fd = open(box.out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  box.state_fd = open(box.state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  REQUIRE(box.base_fd >= 0 && box.out_fd >= 0 && box.state_fd >= 0);
  return &box;
}

int sandbox_file(struct sandbox *box, struct fc_session_header *header) {
  struct stat st;
  (void)unlinkat(box->state_fd, box->name, 0); /* gone already: fine */
  const int fd = openat(box->state_fd, box->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  REQUIRE(fd >= 0 && fstat(fd, &st) == 0);
  header->file_ino = st.st_ino;
  header->check = fc_session_check(header);
  REQUIRE(ftruncate(fd, (off_t)box->file_bytes) == 0);
  REQUIRE(pwrite(fd, header, sizeof *header, 0) == (ssize_t)sizeof *header);
  return fd;
}
