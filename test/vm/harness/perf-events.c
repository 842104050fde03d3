/*
 * Opens perf events as ordinary tools do — samples of processor 0 and of this process, a counter, and
 * a hardware breakpoint of this process —, says `ready`, and waits.
 */
#define _GNU_SOURCE
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int watched;

static int open_event(struct perf_event_attr *attr, pid_t pid, int cpu)
{
	attr->size = sizeof(*attr);
	return syscall(SYS_perf_event_open, attr, pid, cpu, -1, 0);
}

int main(void)
{
	struct perf_event_attr clock = { .type = PERF_TYPE_SOFTWARE, .sample_period = 100000000,
					 .config = PERF_COUNT_SW_CPU_CLOCK };
	struct perf_event_attr faults = { .type = PERF_TYPE_SOFTWARE,
					  .config = PERF_COUNT_SW_PAGE_FAULTS };
	struct perf_event_attr breakpoint = { .type = PERF_TYPE_BREAKPOINT, .sample_period = 1,
					      .bp_type = HW_BREAKPOINT_W, .exclude_kernel = 1,
					      .bp_len = HW_BREAKPOINT_LEN_4 };

	breakpoint.bp_addr = (unsigned long)&watched;
	if (open_event(&clock, -1, 0) < 0 || open_event(&clock, 0, -1) < 0 ||
	    open_event(&faults, 0, -1) < 0 || open_event(&breakpoint, 0, -1) < 0) {
		perror("perf_event_open");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}
