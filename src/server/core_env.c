/*
 * server/core_env.c: what the numeric core asks of its environment, in the
 * server's terms.
 */
#include "postgres.h"

#include "server/core_env.h"

#include <sys/mman.h>

#include "miscadmin.h"
#include "storage/pmsignal.h"
#include "utils/memutils.h"

#define ALIGNMENT ((size_t) 64)
#define ZEROED_AT_ONCE ((size_t) 16 * 1024 * 1024)
#define HUGE_PAGE ((uintptr_t) 2 * 1024 * 1024)

/* One piece of memory that is handed out bit by bit; what does not fit in it is allocated alone. */
typedef struct CoreBlock
{
	MemoryContext context;
	char	   *next;
	size_t		rest;
} CoreBlock;

/*
 * Ask for huge pages, of those that lie wholly within: all of it is about to be
 * touched, and finding 4 kB at a time was a sixth of a short training's time.
 * Where there are none nothing changes.  Neighbours keep their pages; what malloc
 * puts there once this is freed may get huge pages too, which costs it nothing.
 */
static void
core_env_advise_huge_pages(char *memory, size_t bytes)
{
#ifdef MADV_HUGEPAGE
	uintptr_t	begin = TYPEALIGN(HUGE_PAGE, memory);
	uintptr_t	end = TYPEALIGN_DOWN(HUGE_PAGE, memory + bytes);

	if (begin < end)
		(void) madvise((void *) begin, end - begin, MADV_HUGEPAGE);
#endif
}

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

	core_env_advise_huge_pages(aligned, bytes);
	for (at = 0; at < bytes; at += ZEROED_AT_ONCE)
	{
		CHECK_FOR_INTERRUPTS();
		memset(aligned + at, 0, Min(bytes - at, ZEROED_AT_ONCE));
	}
	return aligned;
}

static void *
core_env_allocate_in_block(void *arena, size_t bytes)
{
	CoreBlock  *block = arena;
	char	   *memory = block->next;
	size_t		rounded = TYPEALIGN(ALIGNMENT, bytes);

	if (rounded > block->rest)
		return core_env_allocate(block->context, bytes);
	block->next += rounded;
	block->rest -= rounded;
	return memory;
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

CoreEnv
core_env_in_block(MemoryContext context, size_t bytes)
{
	CoreEnv		env = core_env(context);
	CoreBlock  *block = MemoryContextAlloc(context, sizeof(CoreBlock));

	block->context = context;
	block->rest = TYPEALIGN(ALIGNMENT, bytes);
	block->next = core_env_allocate(context, block->rest);
	env.allocate = core_env_allocate_in_block;
	env.arena = block;
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
