#include "coverage.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SCRIPTS_MAX 3       /* an interpreter that is a script itself, and env */
#define HEADERS_MAX 128     /* program headers that are looked at */
#define NOTES_MAX 65536     /* bytes of one segment of notes, and of the dynamic section */
#define NEEDED_NAME_MAX 256 /* bytes of the name of a needed library */
#define GO_BUILD_ID 4       /* the type of the note by which Go's linker marks what it has made */
#define ASAN_VARIABLE "ASAN_OPTIONS"
#define ASAN_OPTION "verify_asan_link_order"

#if defined(__LP64__)
typedef Elf64_Ehdr elf_header;
typedef Elf64_Phdr elf_segment;
typedef Elf64_Dyn elf_dynamic;
typedef Elf64_Nhdr elf_note;
typedef Elf64_Addr elf_address;
#else
typedef Elf32_Ehdr elf_header;
typedef Elf32_Phdr elf_segment;
typedef Elf32_Dyn elf_dynamic;
typedef Elf32_Nhdr elf_note;
typedef Elf32_Addr elf_address;
#endif

struct image {
  int fd;
  elf_header header;
  elf_segment segments[HEADERS_MAX];
  size_t count;
};

static bool read_at(int fd, void *out, size_t size, off_t offset) {
  return pread(fd, out, size, offset) == (ssize_t)size;
}

/* The file that execvp would take; false when there is none. */
static bool find_program(const char *program, char *out, size_t size) {
  if (strchr(program, '/')) return snprintf(out, size, "%s", program) < (int)size;
  const char *path = getenv("PATH");
  if (!path) path = "/bin:/usr/bin";
  for (const char *at = path;; at++) {
    const size_t len = strcspn(at, ":");
    const int n = len ? snprintf(out, size, "%.*s/%s", (int)len, at, program) : snprintf(out, size, "./%s", program);
    struct stat st;
    if (n > 0 && (size_t)n < size && stat(out, &st) == 0 && S_ISREG(st.st_mode) && access(out, X_OK) == 0) return true;
    at += len;
    if (*at == '\0') return false;
  }
}

/* Reads `#! INTERPRETER [ARGUMENT]` of the open file; of `env NAME` it is NAME that counts. */
static bool interpreter_of(int fd, char *out, size_t size) {
  char line[512];
  const ssize_t n = pread(fd, line, sizeof line - 1, 0);
  if (n < 3 || line[0] != '#' || line[1] != '!') return false;
  line[n] = '\0';
  line[strcspn(line, "\n")] = '\0';
  char *rest = line + 2;
  const char *word = strtok_r(rest, " \t", &rest);
  if (!word) return false;
  const char *slash = strrchr(word, '/');
  if (slash && strcmp(slash, "/env") == 0) {
    const char *argument;
    while ((argument = strtok_r(rest, " \t", &rest)))
      if (argument[0] != '-' && !strchr(argument, '=')) return find_program(argument, out, size);
  }
  return snprintf(out, size, "%s", word) < (int)size;
}

/* What exec will look at in the end, in path; a set-user-ID script is only a script. */
static bool resolve(const char *program, char *path, size_t size) {
  if (!find_program(program, path, size)) return false;
  for (int i = 0; i < SCRIPTS_MAX; i++) {
    char next[PATH_MAX];
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return false; /* opening a device may do something */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return true; /* executable but not readable: its mode still tells something */
    const bool script = interpreter_of(fd, next, sizeof next);
    (void)close(fd);
    if (!script) return true;
    if (snprintf(path, size, "%s", next) >= (int)size) return false;
  }
  return false;
}

/* Would exec change user, group or capabilities (AT_SECURE)? */
static bool gains_rights(const char *path) {
  struct stat st;
  struct statvfs fs;
  if (stat(path, &st) != 0 || statvfs(path, &fs) != 0 || (fs.f_flag & ST_NOSUID)) return false;
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) return false;
  if ((st.st_mode & S_ISUID) && st.st_uid != getuid()) return true;
  if ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) && st.st_gid != getgid()) return true;
  return getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0;
}

static bool open_image(struct image *image, const char *path) {
  image->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (image->fd < 0) return false;
  if (read_at(image->fd, &image->header, sizeof image->header, 0) &&
      memcmp(image->header.e_ident, ELFMAG, SELFMAG) == 0)
    return true;
  (void)close(image->fd);
  return false;
}

static bool read_segments(struct image *image) {
  image->count = image->header.e_phnum < HEADERS_MAX ? image->header.e_phnum : HEADERS_MAX;
  return image->header.e_phentsize == sizeof *image->segments &&
         read_at(image->fd, image->segments, image->count * sizeof *image->segments, (off_t)image->header.e_phoff);
}

static const elf_segment *segment(const struct image *image, uint32_t type) {
  for (size_t i = 0; i < image->count; i++)
    if (image->segments[i].p_type == type) return &image->segments[i];
  return NULL;
}

static bool notes_say_go(const struct image *image, const elf_segment *notes) {
  if (notes->p_filesz > NOTES_MAX) return false;
  char *const bytes = malloc(notes->p_filesz + 1);
  bool go = false;
  if (bytes && read_at(image->fd, bytes, notes->p_filesz, (off_t)notes->p_offset)) {
    for (size_t at = 0; at + sizeof(elf_note) <= notes->p_filesz;) {
      elf_note note;
      memcpy(&note, bytes + at, sizeof note);
      at += sizeof note;
      if (note.n_namesz > notes->p_filesz || note.n_descsz > notes->p_filesz) break;
      if (note.n_type == GO_BUILD_ID && note.n_namesz == 4 && at + 4 <= notes->p_filesz &&
          memcmp(bytes + at, "Go\0", 4) == 0)
        go = true;
      at += (note.n_namesz + 3u) / 4 * 4 + (note.n_descsz + 3u) / 4 * 4;
    }
  }
  free(bytes);
  return go;
}

static bool is_go(const struct image *image) {
  for (size_t i = 0; i < image->count; i++)
    if (image->segments[i].p_type == PT_NOTE && notes_say_go(image, &image->segments[i])) return true;
  return false;
}

/* Where an address of the image stands in the file, or -1. */
static off_t offset_of(const struct image *image, elf_address address) {
  for (size_t i = 0; i < image->count; i++) {
    const elf_segment *const s = &image->segments[i];
    if (s->p_type == PT_LOAD && address >= s->p_vaddr && address - s->p_vaddr < s->p_filesz)
      return (off_t)(s->p_offset + (address - s->p_vaddr));
  }
  return -1;
}

static bool is_asan(const char *library) {
  return strncmp(library, "libasan.so", 10) == 0 || strncmp(library, "libclang_rt.asan", 16) == 0;
}

static bool needs_asan(const struct image *image) {
  const elf_segment *const dynamic = segment(image, PT_DYNAMIC);
  if (!dynamic || dynamic->p_filesz > NOTES_MAX) return false;
  elf_dynamic *const list = malloc(dynamic->p_filesz + 1);
  bool found = false;
  if (list && read_at(image->fd, list, dynamic->p_filesz, (off_t)dynamic->p_offset)) {
    const size_t count = dynamic->p_filesz / sizeof *list;
    off_t strings = -1;
    for (size_t i = 0; i < count && list[i].d_tag != DT_NULL; i++)
      if (list[i].d_tag == DT_STRTAB) strings = offset_of(image, list[i].d_un.d_ptr);
    for (size_t i = 0; strings >= 0 && i < count && list[i].d_tag != DT_NULL; i++) {
      char name[NEEDED_NAME_MAX] = "";
      if (list[i].d_tag == DT_NEEDED &&
          pread(image->fd, name, sizeof name - 1, strings + (off_t)list[i].d_un.d_val) > 0)
        found |= is_asan(name);
    }
  }
  free(list);
  return found;
}

/* The loader itself, called with a program as argument, has no loader. */
static bool is_loader(const char *path) {
  const char *slash = strrchr(path, '/');
  const char *leaf = slash ? slash + 1 : path;
  return strncmp(leaf, "ld-linux", 8) == 0 || strncmp(leaf, "ld-2.", 5) == 0 || strcmp(leaf, "ld.so") == 0;
}

static bool has_other_libc(const struct image *image, const elf_segment *loader) {
  char name[PATH_MAX] = "";
  if (loader->p_filesz >= sizeof name || !read_at(image->fd, name, loader->p_filesz, (off_t)loader->p_offset))
    return false;
#if defined(__GLIBC__)
  return strstr(name, "/ld-musl") != NULL;
#else
  return strstr(name, "/ld-linux") != NULL;
#endif
}

static enum fc_coverage_kind judge(struct image *image, const struct image *shim, const char *path, bool *asan) {
  if (image->header.e_ident[EI_CLASS] != shim->header.e_ident[EI_CLASS] ||
      image->header.e_ident[EI_DATA] != shim->header.e_ident[EI_DATA] ||
      image->header.e_machine != shim->header.e_machine)
    return FC_COVERAGE_MACHINE;
  if (!read_segments(image)) return FC_COVERED;
  if (is_go(image)) return FC_COVERAGE_GO;
  const elf_segment *const loader = segment(image, PT_INTERP);
  if (!loader) return is_loader(path) ? FC_COVERED : FC_COVERAGE_STATIC;
  if (has_other_libc(image, loader)) return FC_COVERAGE_LIBC;
  *asan = needs_asan(image);
  return FC_COVERED;
}

void fc_coverage_look(struct fc_coverage *coverage, const char *program, const char *shim) {
  static struct image image;
  static struct image own;
  memset(coverage, 0, sizeof *coverage);
  if (!resolve(program, coverage->path, sizeof coverage->path)) return;
  if (open_image(&own, shim)) {
    if (open_image(&image, coverage->path)) {
      coverage->kind = judge(&image, &own, coverage->path, &coverage->asan);
      (void)close(image.fd);
    }
    (void)close(own.fd);
  }
  if (coverage->kind == FC_COVERED && gains_rights(coverage->path)) coverage->kind = FC_COVERAGE_SECURE;
}

void fc_coverage_warn(const struct fc_coverage *coverage, const char *program) {
#define STAYS "what it creates stays (it counts as unseen)"
  static const char *const why[] = {
      [FC_COVERAGE_STATIC] = "is statically linked, so that no library can be put before its own: " STAYS
                             ", what dynamic programs create that it starts is removed; link it dynamically",
      [FC_COVERAGE_GO] = "is a Go program, which makes system calls without libc: " STAYS
                         ", what dynamic programs create that it starts is removed; let it remove its files itself",
      [FC_COVERAGE_MACHINE] = "is made for another machine or word size than this filecleanup: " STAYS
                              ", and so does what it starts; use a filecleanup that was built like it",
      [FC_COVERAGE_LIBC] = "uses another C library than this filecleanup: " STAYS
                           ", and so does what it starts; use a filecleanup that was built with that library",
      [FC_COVERAGE_SECURE] = "changes its user, group or capabilities, so that the loader ignores LD_PRELOAD: " STAYS
                             "; run filecleanup-run with those rights instead",
  };
  if (!why[coverage->kind]) return;
  const char *slash = strrchr(program, '/');
  const char *path_slash = strrchr(coverage->path, '/');
  const bool itself = strcmp(slash ? slash + 1 : program, path_slash ? path_slash + 1 : coverage->path) == 0;
  (void)fprintf(stderr, "filecleanup-run: warning: %s%s%s%s %s\n", program, itself ? "" : " (run by ",
                itself ? "" : coverage->path, itself ? "" : ")", why[coverage->kind]);
}

bool fc_coverage_may_preload(const struct fc_coverage *coverage) {
  return coverage->kind != FC_COVERAGE_MACHINE && coverage->kind != FC_COVERAGE_LIBC;
}

int fc_coverage_allow_asan(void) {
  const char *before = getenv(ASAN_VARIABLE);
  if (before && strstr(before, ASAN_OPTION)) return 0;
  char *joined = NULL;
  if (asprintf(&joined, "%s%s" ASAN_OPTION "=0", before ? before : "", before && before[0] ? ":" : "") < 0)
    return -ENOMEM;
  const int rc = setenv(ASAN_VARIABLE, joined, 1) == 0 ? 0 : -errno;
  free(joined);
  return rc;
}
