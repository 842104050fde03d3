#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "scenario.h"

/* call NUMBER [ARGUMENT…]: a system call by its number; prints what came of it. */
int main(int argc, char **argv)
{
	long args[4] = { 0 };

	for (int i = 2; i < argc && i < 6; i++)
		args[i - 2] = strtol(argv[i], NULL, 0);
	errno = 0;
	printf("%ld\n", syscall(argc > 1 ? atoi(argv[1]) : -1, args[0], args[1], args[2], args[3]));
	return 0;
}
