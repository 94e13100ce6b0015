// Records in order what a process does to the files below a folder: LD_PRELOAD puts it before the C library.
// A call is made and recorded under one lock, so the log tells which of two came first. Syncs that are not recorded (msync, sync_file_range) count as
// none, and writes that are not recorded (by a mapping) show in the end, when the file is not what the log says.
#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPENED = 'O', CLOSED = 'C', WRITTEN = 'W', GROWN = 'G', CUT = 'T', SYNCED = 'S', RENAMED = 'R', REMOVED = 'U' };

// What stands before each record's bytes. `at` is a place in the file, a length of it, or the flags that it was opened with.
struct head {
    uint32_t what;
    int32_t fd;
    uint64_t at;
    uint64_t length;
};

#define DESCRIPTORS 1024

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static char is_recorded[DESCRIPTORS];

// The function of this name that would have been called without us.
static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

#define REAL(type, name, ...)                                                                                                              \
    type (*real_##name)(__VA_ARGS__);                                                                                                      \
    *(void **)&real_##name = real(#name)

static void put(const void *bytes, size_t length)
{
    REAL(ssize_t, write, int, const void *, size_t);
    for (const char *rest = bytes; length > 0;) {
        ssize_t written = real_write(log_fd, rest, length);
        if (written <= 0)
            abort();
        rest += written;
        length -= (size_t)written;
    }
}

static void record(int what, int fd, uint64_t at, const void *bytes, size_t length)
{
    struct head head = {(uint32_t)what, fd, at, length};
    put(&head, sizeof head);
    put(bytes, length);
}

static int records(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS && is_recorded[fd];
}

__attribute__((constructor)) static void begin(void)
{
    REAL(int, open, const char *, int, ...);
    log_fd = real_open(getenv("CSW_RECORDING"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0)
        abort();
}

// The part of a path below the folder that is recorded, or NULL.
static const char *below(const char *path)
{
    const char *folder = getenv("CSW_RECORDED");
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && path[length] == '/' ? path + length + 1 : NULL;
}

static int opened(int fd, const char *path, int flags)
{
    const char *name = below(path);
    if (name && fd >= DESCRIPTORS)
        abort();
    if (name && fd >= 0) {
        is_recorded[fd] = 1;
        record(OPENED, fd, (uint64_t)flags, name, strlen(name));
        if (flags & O_TRUNC)
            record(CUT, fd, 0, "", 0);
    }
    return fd;
}

static mode_t mode_of(int flags, va_list arguments)
{
    return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(arguments, int) : 0;
}

#define OPEN(name)                                                                                                                         \
    int name(const char *path, int flags, ...)                                                                                             \
    {                                                                                                                                      \
        REAL(int, name, const char *, int, ...);                                                                                           \
        va_list arguments;                                                                                                                 \
        va_start(arguments, flags);                                                                                                        \
        mode_t mode = mode_of(flags, arguments);                                                                                           \
        va_end(arguments);                                                                                                                 \
        pthread_mutex_lock(&lock);                                                                                                         \
        int fd = opened(real_##name(path, flags, mode), path, flags);                                                                      \
        pthread_mutex_unlock(&lock);                                                                                                       \
        return fd;                                                                                                                         \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                                                                       \
    int name(int folder, const char *path, int flags, ...)                                                                                 \
    {                                                                                                                                      \
        REAL(int, name, int, const char *, int, ...);                                                                                      \
        va_list arguments;                                                                                                                 \
        va_start(arguments, flags);                                                                                                        \
        mode_t mode = mode_of(flags, arguments);                                                                                           \
        va_end(arguments);                                                                                                                 \
        pthread_mutex_lock(&lock);                                                                                                         \
        int fd = opened(real_##name(folder, path, flags, mode), path, flags);                                                              \
        pthread_mutex_unlock(&lock);                                                                                                       \
        return fd;                                                                                                                         \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd)
{
    REAL(int, close, int);
    pthread_mutex_lock(&lock);
    if (records(fd)) {
        is_recorded[fd] = 0;
        record(CLOSED, fd, 0, "", 0);
    }
    int result = real_close(fd);
    pthread_mutex_unlock(&lock);
    return result;
}

// Writes and records what was written, at a place or (below 0) where the file stands.
static ssize_t written(int fd, const struct iovec *parts, int count, off_t at)
{
    REAL(ssize_t, writev, int, const struct iovec *, int);
    REAL(ssize_t, pwritev, int, const struct iovec *, int, off_t);
    if (!records(fd))
        return at < 0 ? real_writev(fd, parts, count) : real_pwritev(fd, parts, count, at);
    pthread_mutex_lock(&lock);
    off_t from = at < 0 ? lseek(fd, 0, SEEK_CUR) : at;
    ssize_t length = at < 0 ? real_writev(fd, parts, count) : real_pwritev(fd, parts, count, at);
    if (length > 0) {
        struct head head = {WRITTEN, fd, (uint64_t)from, (uint64_t)length};
        put(&head, sizeof head);
        size_t left = (size_t)length;
        for (int part = 0; part < count && left > 0; part++) {
            size_t taken = parts[part].iov_len < left ? parts[part].iov_len : left;
            put(parts[part].iov_base, taken);
            left -= taken;
        }
    }
    pthread_mutex_unlock(&lock);
    return length;
}

static ssize_t written_whole(int fd, const void *bytes, size_t length, off_t at)
{
    struct iovec part;
    memcpy(&part.iov_base, &bytes, sizeof bytes);
    part.iov_len = length;
    return written(fd, &part, 1, at);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    return written_whole(fd, bytes, length, -1);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return written(fd, parts, count, -1);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at)
{
    return written_whole(fd, bytes, length, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at)
{
    return written_whole(fd, bytes, length, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    return written(fd, parts, count, at);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at)
{
    return written(fd, parts, count, at);
}

// Defines a call about one descriptor, which is recorded when it has succeeded.
#define CALL(name, what, at, parameters, arguments)                                                                                        \
    int name parameters                                                                                                                    \
    {                                                                                                                                      \
        int(*real_call) parameters;                                                                                                        \
        *(void **)&real_call = real(#name);                                                                                                \
        pthread_mutex_lock(&lock);                                                                                                         \
        int result = real_call arguments;                                                                                                  \
        if (result == 0 && records(fd))                                                                                                    \
            record(what, fd, (uint64_t)(at), "", 0);                                                                                       \
        pthread_mutex_unlock(&lock);                                                                                                       \
        return result;                                                                                                                     \
    }
CALL(fsync, SYNCED, 0, (int fd), (fd))
CALL(fdatasync, SYNCED, 0, (int fd), (fd))
CALL(ftruncate, CUT, length, (int fd, off_t length), (fd, length))
CALL(ftruncate64, CUT, length, (int fd, off64_t length), (fd, length))
CALL(fallocate, GROWN, from + length, (int fd, int mode, off_t from, off_t length), (fd, mode, from, length))
CALL(fallocate64, GROWN, from + length, (int fd, int mode, off64_t from, off64_t length), (fd, mode, from, length))
CALL(posix_fallocate, GROWN, from + length, (int fd, off_t from, off_t length), (fd, from, length))
CALL(posix_fallocate64, GROWN, from + length, (int fd, off64_t from, off64_t length), (fd, from, length))

int rename(const char *from, const char *to)
{
    REAL(int, rename, const char *, const char *);
    char names[2 * PATH_MAX];
    pthread_mutex_lock(&lock);
    int result = real_rename(from, to);
    if (result == 0 && below(from) && below(to)) {
        int length = snprintf(names, sizeof names, "%s\n%s", below(from), below(to));
        record(RENAMED, -1, 0, names, (size_t)length);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int unlink(const char *path)
{
    REAL(int, unlink, const char *);
    pthread_mutex_lock(&lock);
    int result = real_unlink(path);
    if (result == 0 && below(path))
        record(REMOVED, -1, 0, below(path), strlen(below(path)));
    pthread_mutex_unlock(&lock);
    return result;
}
