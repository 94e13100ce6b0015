// Preloaded, makes calls on data.mdb fail: fail_calls says which, from which one on, how many, and with what error; UNSURE ones do their work and
// fail all the same, as a disk does that takes what it cannot keep.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITES = 1, SYNCS = 2, UNSURE = 4 };

static int kinds, before, left, with;

// Of the calls of these kinds, so many succeed first, and then so many fail.
void fail_calls(int of_kinds, int after, int count, int error)
{
    kinds = of_kinds, before = after, left = count, with = error;
}

static int is_data(int fd)
{
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    return length >= 8 && memcmp(path + length - 8, "data.mdb", 8) == 0;
}

static int fails(int kind, int fd)
{
    if (!(kinds & kind) || !is_data(fd))
        return 0;
    return before-- <= 0 && left-- > 0;
}

#define PASS(name, kind, result, parameters, arguments)          \
    result name parameters                                       \
    {                                                            \
        result(*next) parameters;                                \
        *(void **)&next = dlsym(RTLD_NEXT, #name);               \
        if (!fails(kind, fd))                                    \
            return next arguments;                               \
        if (kinds & UNSURE)                                      \
            (void)!next arguments;                               \
        errno = with;                                            \
        return -1;                                               \
    }

PASS(pwrite, WRITES, ssize_t, (int fd, const void *bytes, size_t length, off_t at), (fd, bytes, length, at))
PASS(pwrite64, WRITES, ssize_t, (int fd, const void *bytes, size_t length, off64_t at), (fd, bytes, length, at))
PASS(writev, WRITES, ssize_t, (int fd, const struct iovec *parts, int count), (fd, parts, count))
PASS(pwritev, WRITES, ssize_t, (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at))
PASS(fdatasync, SYNCS, int, (int fd), (fd))
PASS(fsync, SYNCS, int, (int fd), (fd))
