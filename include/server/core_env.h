/*
 * server/core_env.h: the numeric core's environment in the server.
 */
#ifndef SERVER_CORE_ENV_H
#define SERVER_CORE_ENV_H

#include "postgres.h"

#include "core/env.h"

/* Memory that goes away with that context; interruption, and an end with the postmaster's. */
extern CoreEnv core_env(MemoryContext arena);

/* The same; the first that is asked for, up to so many bytes, lies together, on huge pages where there are any. */
extern CoreEnv core_env_in_block(MemoryContext context, size_t bytes);

/* A long copy, which can be interrupted. */
extern void core_env_copy_floats(float *to, const float *from, size_t count);

#endif							/* SERVER_CORE_ENV_H */
