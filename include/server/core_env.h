/*
 * server/core_env.h: the numeric core's environment in the server.
 */
#ifndef SERVER_CORE_ENV_H
#define SERVER_CORE_ENV_H

#include "postgres.h"

#include "core/numeric.h"

/* Memory of that context, and interruption as everywhere in the server. */
extern CoreEnv xmhash_core_env(MemoryContext context);

#endif							/* SERVER_CORE_ENV_H */
