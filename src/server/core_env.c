/*
 * server/core_env.c: what the numeric core asks of its environment, in the
 * server's terms.
 */
#include "postgres.h"

#include "server/core_env.h"

#include "miscadmin.h"
#include "storage/pmsignal.h"
#include "utils/memutils.h"

#define ALIGNMENT 64
#define ZEROED_AT_ONCE ((size_t) 16 * 1024 * 1024)

/*
 * Zeroed, aligned memory that goes away with its context.  Zeroing is what
 * takes time, since it makes the kernel find the pages: a gigabyte half a
 * second, so it can be interrupted.
 */
static void *
core_env_allocate(void *arena, size_t bytes)
{
	char	   *memory = MemoryContextAllocExtended(arena, bytes + ALIGNMENT, MCXT_ALLOC_HUGE);
	char	   *aligned = (char *) TYPEALIGN(ALIGNMENT, memory);
	size_t		at;

	for (at = 0; at < bytes; at += ZEROED_AT_ONCE)
	{
		CHECK_FOR_INTERRUPTS();
		memset(aligned + at, 0, Min(bytes - at, ZEROED_AT_ONCE));
	}
	return aligned;
}

/*
 * Nothing in a long computation would notice that the postmaster is gone, and
 * a server cannot be started again before its last process has ended.
 */
static void
core_env_interrupt(void)
{
	CHECK_FOR_INTERRUPTS();
	if (IsUnderPostmaster && !PostmasterIsAlive())
		ereport(FATAL,
				(errcode(ERRCODE_ADMIN_SHUTDOWN),
				 errmsg("terminating connection due to unexpected postmaster exit")));
}

CoreEnv
core_env(MemoryContext arena)
{
	CoreEnv		env = {core_env_allocate, arena, core_env_interrupt};

	return env;
}

/* In parts, so that it can be interrupted. */
void
core_env_copy_floats(float *to, const float *from, size_t count)
{
	const size_t some = ZEROED_AT_ONCE / sizeof(float);
	size_t		at;

	for (at = 0; at < count; at += some)
	{
		CHECK_FOR_INTERRUPTS();
		memcpy(to + at, from + at, Min(count - at, some) * sizeof(float));
	}
}
