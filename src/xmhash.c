/*
 * xmhash.c: module load.
 */
#include "xmhash.h"

#include "utils/guc.h"

#include "core/hamming.h"

/* Before PostgreSQL 16 the macro does not export the function it defines. */
extern XMHASH_EXPORT const Pg_magic_struct *PG_MAGIC_FUNCTION_NAME(void);

#ifdef PG_MODULE_MAGIC_EXT
PG_MODULE_MAGIC_EXT(.name = "xmhash", .version = "1.0");
#else
PG_MODULE_MAGIC;
#endif

extern XMHASH_EXPORT void _PG_init(void);

void
_PG_init(void)
{
	hamming_init();
	code_init();
	index_init();
	model_init();
	MarkGUCPrefixReserved("xmhash");
}
