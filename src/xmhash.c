/*
 * xmhash.c: module load, and every setting.
 */
#include "xmhash.h"

#include "utils/guc.h"

#include "bitcode/bitcode.h"
#include "core/hamming.h"
#include "core/threads.h"

/* Before PostgreSQL 16 the macro does not export the function it defines. */
extern XMHASH_EXPORT const Pg_magic_struct *PG_MAGIC_FUNCTION_NAME(void);

#ifdef PG_MODULE_MAGIC_EXT
PG_MODULE_MAGIC_EXT(.name = "xmhash", .version = "1.0");
#else
PG_MODULE_MAGIC;
#endif

static const struct config_enum_entry output_options[] = {
	{"binary", BITCODE_OUTPUT_BINARY, false},
	{"hex", BITCODE_OUTPUT_HEX, false},
	{NULL, 0, false}
};

static const struct
{
	const char *name;
	const char *description;
	const char *detail;
	int		   *variable;
	int			value;			/* by default */
	int			minimum;
	int			maximum;
	GucContext	context;
	int			flags;
}			integers[] = {
	{"xmhash.pending_list_limit",
		"Sets the size beyond which the pending list of an xmhash index is flushed.",
		"Every query reads the whole pending list; every flush costs the inserter a pause.",
	&xmhash_pending_list_limit, 512, 8, MAX_KILOBYTES, PGC_USERSET, GUC_UNIT_KB},
	{"xmhash.threads",
		"Sets the number of threads for matrix products in a session.",
		"Zero means the processors that the server may use, at most max_parallel_maintenance_workers + 1.",
	&xmhash_threads, 0, 0, THREADS_MAX, PGC_USERSET, 0},
	{"xmhash.max_threads",
		"Sets the most threads that a session can have for matrix products.",
		"Zero means the processors that the server may use.",
	&xmhash_max_threads, 0, 0, THREADS_MAX, PGC_SUSET, 0},
	{"xmhash.train_work_mem",
		"Sets the memory for training rows, beyond which they go to a temporary file.", NULL,
	&xmhash_train_work_mem, 256 * 1024, 64, MAX_KILOBYTES, PGC_USERSET, GUC_UNIT_KB},
	{"xmhash.train_max_memory",
		"Sets the most memory that networks, optimizer and batches of a training may take.",
		"Zero means what the machine has available when the training starts.",
	&xmhash_train_max_memory, 0, 0, MAX_KILOBYTES, PGC_SUSET, GUC_UNIT_KB},
	{"xmhash.model_cache",
		"Sets the memory for the decoded models that a session keeps.",
		"The model last used is kept whatever its size.",
	&xmhash_model_cache, 64 * 1024, 0, MAX_KILOBYTES, PGC_USERSET, GUC_UNIT_KB},
};

static void
define_settings(void)
{
	int			i;

	for (i = 0; i < (int) lengthof(integers); i++)
		DefineCustomIntVariable(integers[i].name, integers[i].description, integers[i].detail, integers[i].variable,
								integers[i].value, integers[i].minimum, integers[i].maximum,
								integers[i].context, integers[i].flags, NULL, NULL, NULL);
	DefineCustomBoolVariable("xmhash.progress",
							 "Reports the progress of training, of encoding tables and of looking for groups to the client.", NULL,
							 &xmhash_progress, true, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("xmhash.blas_library",
							   "Sets the path of the OpenBLAS library.",
							   "If empty, it is looked for under the names it has on usual platforms. A session loads it once, when it first needs it.",
							   &xmhash_blas_library, "", PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("xmhash.bitcode_output",
							 "Sets the text format of bitcode values.",
							 "A hexadecimal digit stands for 4 bits: codes whose length is no multiple of 4 are shown in binary.",
							 &xmhash_bitcode_output, BITCODE_OUTPUT_BINARY, output_options,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("xmhash");
}

extern XMHASH_EXPORT void _PG_init(void);

void
_PG_init(void)
{
	hamming_init();
	define_settings();
	index_init();
	model_cache_init();
}
