/*
 * Makes the Nth file operation below one folder fail, or silently do nothing, in a process started with LD_PRELOAD.
 *
 * FAULT_FOLDER is the folder; FAULT_CONTROL is a file of sizeof(struct control) bytes that the test writes and reads while the process runs.
 * What a power cut or a failing drive does to fsync cannot be had from a healthy one; this stands between the program and libc.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum operation { FSYNC = 1, WRITE = 2, OPEN = 4, RENAME = 8, READ = 16 };
enum manner { ONCE = 0, STICKY = 1, SKIP = 2 };

struct control {
  int32_t armed;      /* 0: everything passes and nothing is counted */
  int32_t operations; /* which kinds are counted, a sum of enum operation */
  int32_t nth;        /* the first that fails, from 1 */
  int32_t error;      /* errno */
  int32_t manner;
  int32_t count;      /* matching operations since it was armed */
  int32_t hits;       /* of these, how many failed or were left out */
  int32_t again;      /* fsyncs of what had failed to sync before and was not written since: their success would mean nothing */
  char match[100];    /* a part of the path, or with a $ at its end the end of the path; empty: all below the folder */
  char which[100];    /* the end of the path of the last of `again` */
};

static struct control *control;
static char folder[4096];
static size_t folder_length;

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("FAULT_CONTROL"), *below = getenv("FAULT_FOLDER");
  if (!path || !below || strlen(below) >= sizeof folder) return;
  strcpy(folder, below);
  folder_length = strlen(folder);
  int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
  int file = real_open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  void *shared = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (shared != MAP_FAILED) control = shared;
}

static int matches(const char *path) {
  size_t length = strlen(control->match), whole = strlen(path);
  if (length == 0 || control->match[length - 1] != '$') return strstr(path, control->match) != NULL;
  return whole >= length - 1 && strncmp(path + whole - (length - 1), control->match, length - 1) == 0;
}

/* What to do now: -1 pass, 0 leave it out, else the errno to fail with. */
static int verdict(int operation, const char *path) {
  if (!control || !__atomic_load_n(&control->armed, __ATOMIC_ACQUIRE) || !(control->operations & operation)) return -1;
  if (strncmp(path, folder, folder_length) != 0) return -1;
  if (!matches(path)) return -1;
  int mine = __atomic_add_fetch(&control->count, 1, __ATOMIC_ACQ_REL);
  if (control->manner == ONCE ? mine != control->nth : mine < control->nth) return -1;
  __atomic_add_fetch(&control->hits, 1, __ATOMIC_ACQ_REL);
  return control->manner == SKIP ? 0 : control->error;
}

/* What failed to sync and was not written since. A few at a time: the next fault comes after a success. */
static char failed[16][512];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int is_failed(const char *path, int forget) {
  int found = 0;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < 16; i++)
    if (strcmp(failed[i], path) == 0) {
      found = 1;
      if (forget) failed[i][0] = 0;
    }
  pthread_mutex_unlock(&lock);
  return found;
}
static void remember(const char *path) {
  static int next;
  pthread_mutex_lock(&lock);
  if (strlen(path) < sizeof failed[0]) strcpy(failed[next++ % 16], path);
  pthread_mutex_unlock(&lock);
}
static int path_of(int file, char *path, size_t size) {
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", file);
  int before = errno;
  ssize_t length = readlink(name, path, size - 1);
  errno = before;
  if (length < 0) return 0;
  path[length] = 0;
  return 1;
}
static void written(int file) {
  char path[4096];
  if (control && path_of(file, path, sizeof path)) is_failed(path, 1);
}
/* A new name was written to its folder. */
static void named(const char *path) {
  char above[4096];
  if (!control || strlen(path) >= sizeof above) return;
  strcpy(above, path);
  char *slash = strrchr(above, '/');
  if (!slash) return;
  *slash = 0;
  is_failed(above, 1);
}
static int synced(int file, int judged) {
  char path[4096];
  if (!control || !path_of(file, path, sizeof path)) return judged;
  /* SQLite syncs its log before each checkpoint too, when nothing was written to it since a commit that was synced: its own rules hold there. */
  if (strstr(path, ".db")) return judged;
  if (judged > 0) remember(path);
  else if (is_failed(path, 0)) {
    size_t length = strlen(path), shown = sizeof control->which - 1;
    strcpy(control->which, length > shown ? path + length - shown : path);
    __atomic_add_fetch(&control->again, 1, __ATOMIC_ACQ_REL);
  }
  return judged;
}

static int verdict_of(int operation, int file) {
  char path[4096];
  if (!control || !control->armed || !path_of(file, path, sizeof path)) return -1;
  return verdict(operation, path);
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define JUDGE(decision, done)            \
  do {                                   \
    int judged = decision;               \
    if (judged == 0) return done;        \
    if (judged > 0) {                    \
      errno = judged;                    \
      return -1;                         \
    }                                    \
  } while (0)

int fsync(int file) {
  REAL(fsync);
  JUDGE(synced(file, verdict_of(FSYNC, file)), 0);
  return real(file);
}
int fdatasync(int file) {
  REAL(fdatasync);
  JUDGE(synced(file, verdict_of(FSYNC, file)), 0);
  return real(file);
}

#define PASS_BYTES(operation, name, type)                                 \
  ssize_t name(int file, type bytes, size_t length) {                     \
    REAL(name);                                                           \
    JUDGE(verdict_of(operation, file), (ssize_t)length);                  \
    if (operation == WRITE) written(file);                                \
    return real(file, bytes, length);                                     \
  }
PASS_BYTES(WRITE, write, const void *)
PASS_BYTES(READ, read, void *)

#define PASS_BYTES_AT(operation, name, type, offset)                      \
  ssize_t name(int file, type bytes, size_t length, offset at) {          \
    REAL(name);                                                           \
    JUDGE(verdict_of(operation, file), (ssize_t)length);                  \
    if (operation == WRITE) written(file);                                \
    return real(file, bytes, length, at);                                 \
  }
PASS_BYTES_AT(WRITE, pwrite, const void *, off_t)
PASS_BYTES_AT(WRITE, pwrite64, const void *, off64_t)
PASS_BYTES_AT(READ, pread, void *, off_t)
PASS_BYTES_AT(READ, pread64, void *, off64_t)

static ssize_t sum(const struct iovec *pieces, int count) {
  ssize_t all = 0;
  for (int i = 0; i < count; i++) all += (ssize_t)pieces[i].iov_len;
  return all;
}

#define PASS_PIECES(operation, name)                                      \
  ssize_t name(int file, const struct iovec *pieces, int count) {         \
    REAL(name);                                                           \
    JUDGE(verdict_of(operation, file), sum(pieces, count));               \
    if (operation == WRITE) written(file);                                \
    return real(file, pieces, count);                                     \
  }
PASS_PIECES(WRITE, writev)
PASS_PIECES(READ, readv)

#define PASS_PIECES_AT(operation, name, offset)                           \
  ssize_t name(int file, const struct iovec *pieces, int count, offset at) { \
    REAL(name);                                                           \
    JUDGE(verdict_of(operation, file), sum(pieces, count));               \
    if (operation == WRITE) written(file);                                \
    return real(file, pieces, count, at);                                 \
  }
PASS_PIECES_AT(WRITE, pwritev, off_t)
PASS_PIECES_AT(WRITE, pwritev64, off64_t)
PASS_PIECES_AT(READ, preadv, off_t)
PASS_PIECES_AT(READ, preadv64, off64_t)

/* A file that is cut or made longer takes room as well. */
int ftruncate(int file, off_t length) {
  REAL(ftruncate);
  JUDGE(verdict_of(WRITE, file), 0);
  return real(file, length);
}
int ftruncate64(int file, off64_t length) {
  REAL(ftruncate64);
  JUDGE(verdict_of(WRITE, file), 0);
  return real(file, length);
}

#define PASS_OPEN(name)                                                   \
  int name(const char *path, int flags, ...) {                            \
    REAL(name);                                                           \
    va_list more;                                                         \
    va_start(more, flags);                                                \
    mode_t mode = va_arg(more, mode_t);                                   \
    va_end(more);                                                         \
    JUDGE(verdict(OPEN, path), -1);                                       \
    int file = real(path, flags, mode);                                   \
    if (file >= 0 && (flags & O_CREAT)) named(path);                      \
    return file;                                                          \
  }
PASS_OPEN(open)
PASS_OPEN(open64)

/* A new folder is an open for us: the disk is asked for a new name. */
int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  JUDGE(verdict(OPEN, path), 0);
  int made = real(path, mode);
  if (made == 0) named(path);
  return made;
}

int rename(const char *from, const char *to) {
  REAL(rename);
  JUDGE(verdict(RENAME, to), 0);
  int done = real(from, to);
  if (done == 0) named(to);
  return done;
}
int link(const char *from, const char *to) {
  REAL(link);
  JUDGE(verdict(RENAME, to), 0);
  int done = real(from, to);
  if (done == 0) named(to);
  return done;
}

/* To take a name away is to write to its folder as well. */
int unlink(const char *path) {
  REAL(unlink);
  int done = real(path);
  if (done == 0) named(path);
  return done;
}
int rmdir(const char *path) {
  REAL(rmdir);
  int done = real(path);
  if (done == 0) named(path);
  return done;
}
