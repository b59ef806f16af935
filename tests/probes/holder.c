/* holder HOW FILE READY GO: keeps FILE in use until GO exists; makes READY when it does. It never opens FILE to create.
 *
 * HOW: read, write, map (mapped shared, the descriptor closed), exec (FILE is executed; it must be a copy of this
 * program), socket (passed over a Unix socket, and closed by the sender before it is received), child (a fork child
 * holds it, the parent has closed it), path (O_PATH, which is no use of the file). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEP_MS 2
#define LIMIT_MS 30000

static int tell_and_wait(const char *ready, const char *go) {
  const int fd = open(ready, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  if (fd < 0 || close(fd)) return 90;
  for (int waited = 0; access(go, F_OK); waited += STEP_MS) {
    if (waited > LIMIT_MS) return 91;
    nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
  }
  return 0;
}

/* One end of a socket pair holds the file in its queue; nobody has a descriptor of it. */
static int send_and_close(int fd) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) return 1;
  char byte = 'x';
  struct iovec data = {&byte, 1};
  union {
    char space[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control = {{0}};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return sendmsg(pair[0], &message, 0) != 1 || close(fd);
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  const char *how = argv[1], *file = argv[2], *ready = argv[3], *go = argv[4];
  if (strcmp(how, "exec") == 0) {
    execl(file, file, "wait", file, ready, go, (char *)NULL);
    return 92;
  }
  if (strcmp(how, "wait") == 0) return tell_and_wait(ready, go);
  const int flags = strcmp(how, "write") == 0 ? O_WRONLY | O_APPEND : strcmp(how, "path") == 0 ? O_PATH : O_RDONLY;
  const int fd = open(file, flags | O_CLOEXEC);
  if (fd < 0) return 93;
  if (strcmp(how, "map") == 0) {
    if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED || close(fd)) return 94;
  } else if (strcmp(how, "socket") == 0) {
    if (send_and_close(fd)) return 95;
  } else if (strcmp(how, "child") == 0) {
    const pid_t child = fork();
    if (child == 0) _exit(tell_and_wait(ready, go));
    close(fd);
    int status;
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : 96;
  }
  return tell_and_wait(ready, go);
}
