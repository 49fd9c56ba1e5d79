/*
 * core/env.h: what the numeric core gets from outside: memory and interruption.
 * Numeric core: no PostgreSQL headers, so that test/unit builds it alone.
 */
#ifndef ENV_H
#define ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the core asks of its environment.  allocate() returns zeroed memory,
 * aligned to 64 bytes, that lives until the caller drops the whole arena: the
 * core never frees, so that an error thrown through it leaks nothing.
 * interrupt() is called at least every few dozen milliseconds of work and may
 * leave by longjmp.
 */
typedef struct CoreEnv
{
	void	   *(*allocate) (void *arena, size_t bytes);
	void	   *arena;
	void		(*interrupt) (void);
} CoreEnv;

/* Loops of ours look for interrupts after about this many floats, or multiplications. */
#define INTERRUPT_CHECK_FLOATS ((size_t) 1 << 20)
#define INTERRUPT_CHECK_PRODUCTS ((size_t) 1 << 24)

/*
 * Takes memory from the arena, or, without one, only adds up what would be
 * taken.
 */
typedef struct ArenaPlan
{
	const CoreEnv *env;			/* NULL: count only */
	size_t		bytes;
} ArenaPlan;

static inline void *
arena_reserve(ArenaPlan *plan, size_t count, size_t size)
{
	size_t		bytes = (count * size + 63) & ~(size_t) 63;

	plan->bytes += bytes;
	if (plan->env == NULL || bytes == 0)
		return NULL;
	return plan->env->allocate(plan->env->arena, bytes);
}

#endif							/* ENV_H */
