/*
 * server/memory.c: how much memory there is.
 */
#include "xmhash.h"

#include "server/memory.h"

#include <math.h>
#include <unistd.h>

#include "storage/fd.h"
#include "utils/float.h"

/* The number that a file holds, or begins some line of a file; or none. */
static double
memory_read_number(const char *path, const char *label)
{
	FILE	   *file = AllocateFile(path, "r");
	char		line[256];
	double		number = get_float8_infinity();

	if (file == NULL)
		return number;
	while (fgets(line, sizeof(line), file) != NULL)
	{
		if (strncmp(line, label, strlen(label)) == 0)
		{
			char	   *start = line + strlen(label);
			char	   *end;
			double		found = strtod(start, &end);

			if (end != start && found >= 0)
				number = found;
			break;
		}
	}
	FreeFile(file);
	return number;
}

/*
 * Bytes that can be had now without anybody being killed for it: what the
 * machine has and, where the kernel tells, what it could free, and what is
 * left of this container's share.  And no more than the setting allows.
 */
double
memory_available(void)
{
	long		pages = sysconf(_SC_PHYS_PAGES);
	long		page_size = sysconf(_SC_PAGESIZE);
	double		available = get_float8_infinity();
	double		container;

	if (pages > 0 && page_size > 0)
		available = (double) pages * page_size;
	available = Min(available, 1024 * memory_read_number("/proc/meminfo", "MemAvailable:"));
	container = memory_read_number("/sys/fs/cgroup/memory.max", "");
	if (!isinf(container))
		available = Min(available, Max(0, container - memory_read_number("/sys/fs/cgroup/memory.current", "")));
	if (xmhash_train_max_memory > 0)
		available = Min(available, xmhash_train_max_memory * 1024.0);
	return available;
}
