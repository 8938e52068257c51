/*
 * Stands between a process and its disk (LD_PRELOAD, Linux only), for files below DISK_ROOT.
 * DISK_LOG: a file that gets every change, in order, so that powercut.ts can rebuild what a disk may hold after a power cut at any place of it.
 *   Records: char op; int32 name bytes; int64 inode, offset, data bytes; name; data. Packed, little endian. Ops:
 *   W write, T truncate to offset, S sync of a file, D sync of a folder, C new name, R rename (old NUL new), U name removed, A what was written to stdout.
 * DISK_FAULT: a file of three bytes, read at every call: which calls fail (1 write, 2 sync, 4 open, 8 read, 16 truncate, 32 rename and remove),
 *   with which errno, and on which files (0 all, 1 the -wal, 2 the store's file).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, OPEN = 4, READ = 8, CUT = 16, NAME = 32 };
static int log_fd = -1;
static const volatile unsigned char *fault;
static const char *root;
static size_t root_bytes;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("DISK_LOG");
  root = getenv("DISK_ROOT");
  root_bytes = root ? strlen(root) : 0;
  if (path) log_fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0600);
  path = getenv("DISK_FAULT");
  if (path) {
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
    void *found = mmap(0, 3, PROT_READ, MAP_SHARED, fd, 0);
    if (found != MAP_FAILED) fault = found;
    syscall(SYS_close, fd);
  }
}
/* The name below the root, or 0. */
static const char *below(const char *path) {
  if (!root || strncmp(path, root, root_bytes) || (path[root_bytes] != '/' && path[root_bytes])) return 0;
  const char *name = path + root_bytes + (path[root_bytes] == '/');
  size_t bytes = strlen(name);
  return bytes > 4 && !strcmp(name + bytes - 4, "-shm") ? 0 : name;
}
static const char *name_of(int fd, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  int bytes = syscall(SYS_readlinkat, AT_FDCWD, link, path, 1023);
  if (bytes <= 0) return 0;
  path[bytes] = 0;
  return below(path);
}
static int fails(const char *name, int what) {
  if (!name || !fault || !(fault[0] & what)) return 0;
  size_t bytes = strlen(name);
  int wal = bytes > 4 && !strcmp(name + bytes - 4, "-wal");
  int store = bytes >= 7 && !strcmp(name + bytes - 7, ".sqlite");
  if ((fault[2] == 1 && !wal) || (fault[2] == 2 && !store)) return 0;
  errno = fault[1];
  return 1;
}
static int64_t inode(int fd) { struct stat found; return fstat(fd, &found) ? 0 : (int64_t)found.st_ino; }
static void record(char op, const char *name, size_t name_bytes, int64_t ino, int64_t offset, const void *data, int64_t bytes) {
  if (log_fd < 0) return;
  struct { char op; int32_t name; int64_t ino, offset, bytes; } __attribute__((packed)) head = { op, (int32_t)name_bytes, ino, offset, bytes };
  int saved = errno;
  struct iovec parts[3] = { { &head, sizeof head }, { (void *)name, name_bytes }, { (void *)data, (size_t)bytes } };
  syscall(SYS_writev, log_fd, parts, 3);
  errno = saved;
}
#define RECORD(op, name, ino, offset, data, bytes) record(op, name, strlen(name), ino, offset, data, bytes)

ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t offset) {
  char path[1024];
  const char *name = name_of(fd, path);
  if (fails(name, WRITE)) return -1;
  ssize_t done = syscall(SYS_pwrite64, fd, data, bytes, offset);
  if (done > 0 && name) RECORD('W', name, inode(fd), offset, data, done);
  return done;
}
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) { return pwrite64(fd, data, bytes, offset); }
ssize_t write(int fd, const void *data, size_t bytes) {
  char path[1024];
  const char *name = fd == 1 ? 0 : name_of(fd, path);
  if (fails(name, WRITE)) return -1;
  off_t at = name ? syscall(SYS_lseek, fd, 0, SEEK_CUR) : 0;
  ssize_t done = syscall(SYS_write, fd, data, bytes);
  if (done > 0 && fd == 1) RECORD('A', "", 0, 0, data, done);
  else if (done > 0 && name) RECORD('W', name, inode(fd), at, data, done);
  return done;
}
static int sync_of(int fd, long call) {
  char path[1024];
  const char *name = name_of(fd, path);
  if (fails(name, SYNC)) return -1;
  int done = syscall(call, fd);
  struct stat found;
  if (!done && name && !fstat(fd, &found)) RECORD(S_ISDIR(found.st_mode) ? 'D' : 'S', name, (int64_t)found.st_ino, 0, 0, 0);
  return done;
}
int fsync(int fd) { return sync_of(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_of(fd, SYS_fdatasync); }
int ftruncate64(int fd, off_t bytes) {
  char path[1024];
  const char *name = name_of(fd, path);
  if (fails(name, CUT)) return -1;
  int done = syscall(SYS_ftruncate, fd, bytes);
  if (!done && name) RECORD('T', name, inode(fd), bytes, 0, 0);
  return done;
}
int ftruncate(int fd, off_t bytes) { return ftruncate64(fd, bytes); }
static int open_at(int folder, const char *path, int flags, mode_t mode) {
  const char *name = below(path);
  if (fails(name, OPEN)) return -1;
  int had = name && (flags & O_CREAT) && !syscall(SYS_faccessat, folder, path, F_OK);
  int fd = syscall(SYS_openat, folder, path, flags, mode);
  if (fd >= 0 && name && (flags & O_CREAT) && !had) RECORD('C', name, inode(fd), 0, 0, 0);
  else if (fd >= 0 && name && (flags & O_TRUNC)) RECORD('T', name, inode(fd), 0, 0, 0);
  return fd;
}
#define MODE mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
int open(const char *path, int flags, ...) { MODE return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return open_at(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE return open_at(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE return open_at(folder, path, flags, mode); }
ssize_t pread64(int fd, void *data, size_t bytes, off_t offset) {
  char path[1024];
  if (fault && fails(name_of(fd, path), READ)) return -1;
  return syscall(SYS_pread64, fd, data, bytes, offset);
}
ssize_t pread(int fd, void *data, size_t bytes, off_t offset) { return pread64(fd, data, bytes, offset); }
int unlink(const char *path) {
  const char *name = below(path);
  if (fails(name, NAME)) return -1;
  int done = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  if (!done && name) RECORD('U', name, 0, 0, 0, 0);
  return done;
}
int remove(const char *path) {
  struct stat found;
  return !lstat(path, &found) && S_ISDIR(found.st_mode) ? rmdir(path) : unlink(path);
}
int rename(const char *from, const char *to) {
  const char *old = below(from), *fresh = below(to);
  if (fails(fresh, NAME)) return -1;
  int done = syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
  if (!done && old && fresh) {
    char both[2048];
    size_t a = strlen(old), b = strlen(fresh);
    memcpy(both, old, a + 1);
    memcpy(both + a + 1, fresh, b);
    record('R', both, a + 1 + b, 0, 0, 0, 0);
  }
  return done;
}
