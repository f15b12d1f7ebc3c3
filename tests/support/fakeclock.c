/* A clock of the day for tests that is wrong by what a file says: seconds, a long long. The other clocks are true.
 *
 * FAKECLOCK names the file. It is mapped once, before main, so that a sandbox later does not matter. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const volatile long long *wrong_by;
static int (*true_clock)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("FAKECLOCK");
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *map = MAP_FAILED;

	true_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	if (file >= 0) {
		map = mmap(NULL, sizeof(*wrong_by), PROT_READ, MAP_SHARED, file, 0);
		close(file);
	}
	if (map != MAP_FAILED)
		wrong_by = map;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	int result = true_clock(clock, time);

	if (result == 0 && clock == CLOCK_REALTIME && wrong_by)
		time->tv_sec += (time_t)*wrong_by;
	return result;
}
