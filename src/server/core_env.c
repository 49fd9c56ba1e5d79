/*
 * server/core_env.c: what the numeric core asks of its environment, in the
 * server's terms.
 */
#include "postgres.h"

#include "server/core_env.h"

#include "miscadmin.h"

static void *
core_allocate(void *arena, size_t bytes)
{
	char	   *memory = MemoryContextAllocExtended(arena, bytes + 64,
													MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	return (void *) TYPEALIGN(64, memory);
}

static void
core_interrupt(void)
{
	CHECK_FOR_INTERRUPTS();
}

CoreEnv
xmhash_core_env(MemoryContext context)
{
	CoreEnv env = {core_allocate, context, core_interrupt};

	return env;
}
