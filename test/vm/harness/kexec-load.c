/*
 * Loads the kernel in the file that it is given, as kexec -s does, and starts nothing; without a
 * file takes it back (kexec_file_load(2)).
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEXEC_FILE_UNLOAD 1
#define KEXEC_FILE_NO_INITRAMFS 4

int main(int argc, char **argv)
{
	int flags = argc > 1 ? KEXEC_FILE_NO_INITRAMFS : KEXEC_FILE_UNLOAD;
	int kernel = argc > 1 ? open(argv[1], O_RDONLY) : -1;

	if (syscall(SYS_kexec_file_load, kernel, -1, 1UL, "", flags) == 0)
		return 0;
	perror("kexec_file_load");
	return 1;
}
