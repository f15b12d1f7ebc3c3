/* A preloaded library that makes every sync cost 10 ms more, one at a time: a single flash device.
 *
 * cc -O2 -shared -fPIC -o slowsync.so slowsync.c -ldl -lpthread
 * LD_PRELOAD=./slowsync.so PROGRAM
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t in_process = PTHREAD_MUTEX_INITIALIZER;

/* Serial over all processes: a lock file named by SLOWSYNC_LOCK; else over this process's threads. */
static void pay(void)
{
    struct timespec ten_ms = {0, 10 * 1000 * 1000};
    const char *name = getenv("SLOWSYNC_LOCK");
    int lock = name ? open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;

    pthread_mutex_lock(&in_process);
    if (lock >= 0)
        flock(lock, LOCK_EX);
    nanosleep(&ten_ms, NULL);
    if (lock >= 0)
        close(lock);
    pthread_mutex_unlock(&in_process);
}

#define SLOW(NAME)                                                      \
    int NAME(int fd)                                                    \
    {                                                                   \
        static int (*real)(int);                                        \
        if (!real)                                                      \
            real = (int (*)(int))dlsym(RTLD_NEXT, #NAME);               \
        pay();                                                          \
        return real(fd);                                                \
    }

SLOW(fsync)
SLOW(fdatasync)
SLOW(syncfs)
