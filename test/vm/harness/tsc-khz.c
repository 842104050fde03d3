/* The frequency of this machine's time stamp counter, in kHz, measured against the clock. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

static int64_t nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

int main(void)
{
	int64_t start = nanoseconds();
	uint64_t ticks = __rdtsc();

	while (nanoseconds() - start < 20000000)
		;
	ticks = __rdtsc() - ticks;
	printf("%llu\n", (unsigned long long)(ticks * 1000000 / (nanoseconds() - start)));
	return 0;
}
