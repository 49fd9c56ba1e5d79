/*
 * model/memory.c: how much memory there is, long copies, numbers in text, and settings.
 */
#include "model/model.h"

#include <limits.h>
#include <math.h>
#include <unistd.h>

#include "access/xact.h"
#include "common/shortest_dec.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/fd.h"
#include "utils/float.h"
#include "utils/guc.h"

#define COPIED_AT_ONCE ((size_t) 16 * 1024 * 1024)

int			xmhash_train_work_mem;
int			xmhash_train_max_memory;
int			xmhash_model_cache;
bool		xmhash_progress;

/* A long copy, in parts, so that it can be interrupted. */
void
model_copy_floats(float *to, const float *from, size_t count)
{
	const size_t some = COPIED_AT_ONCE / sizeof(float);
	size_t		at;

	for (at = 0; at < count; at += some)
	{
		CHECK_FOR_INTERRUPTS();
		memcpy(to + at, from + at, Min(count - at, some) * sizeof(float));
	}
}

/* Must this procedure not commit?  In a subtransaction it cannot, whatever it is told. */
bool
model_call_is_atomic(FunctionCallInfo fcinfo)
{
	return fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		((CallContext *) fcinfo->context)->atomic || IsSubTransaction();
}

/* A finite number in full, whatever extra_float_digits says: it is read again. */
void
model_append_number(StringInfo text, double number)
{
	char		digits[DOUBLE_SHORTEST_DECIMAL_LEN];

	double_to_shortest_decimal_buf(number, digits);
	appendStringInfoString(text, digits);
}

/* The number that a file holds, or begins some line of a file; or none. */
static double
read_number(const char *path, const char *label)
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
model_memory_available(void)
{
	long		pages = sysconf(_SC_PHYS_PAGES);
	long		page_size = sysconf(_SC_PAGESIZE);
	double		available = get_float8_infinity();
	double		container;

	if (pages > 0 && page_size > 0)
		available = (double) pages * page_size;
	available = Min(available, 1024 * read_number("/proc/meminfo", "MemAvailable:"));
	container = read_number("/sys/fs/cgroup/memory.max", "");
	if (!isinf(container))
		available = Min(available, Max(0, container - read_number("/sys/fs/cgroup/memory.current", "")));
	if (xmhash_train_max_memory > 0)
		available = Min(available, xmhash_train_max_memory * 1024.0);
	return available;
}

/*
 * What is stored in few bytes, because it compresses well or its numbers are
 * narrow, may be large: whoever uses the model is not to be killed for it.
 */
void
model_check_memory(const char *model, double bytes)
{
	if (bytes > MODEL_PART_BYTES && bytes > model_memory_available())
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("model \"%s\" needs %.1f MB of memory, but %.1f MB are available",
						model, bytes / (1024 * 1024), model_memory_available() / (1024 * 1024))));
}

void
model_init(void)
{
	model_blas_init();
	DefineCustomIntVariable("xmhash.train_work_mem",
							"Sets the memory for training rows, beyond which they go to a temporary file.",
							NULL,
							&xmhash_train_work_mem, 256 * 1024, 64, MAX_KILOBYTES,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("xmhash.train_max_memory",
							"Sets the most memory that networks, optimizer and batches of a training may take.",
							"Zero means what the machine has available when the training starts.",
							&xmhash_train_max_memory, 0, 0, MAX_KILOBYTES,
							PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("xmhash.model_cache",
							"Sets the memory for the decoded models that a session keeps.",
							"The model last used is kept whatever its size.",
							&xmhash_model_cache, 64 * 1024, 0, MAX_KILOBYTES,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomBoolVariable("xmhash.progress",
							 "Reports the progress of training and of encoding tables to the client.",
							 NULL,
							 &xmhash_progress, true,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	model_cache_init();
}
