/*
 * xmhash.h: what every server-side file of the module shares.
 */
#ifndef XMHASH_H
#define XMHASH_H

#include "postgres.h"

#include "fmgr.h"

#include "pg_compat.h"

/*
 * The module is compiled with hidden visibility, so that no symbol of ours
 * meets a namesake in another module of the same backend.  Before PostgreSQL
 * 16, PG_FUNCTION_INFO_V1 does not export what it declares: this one does.
 * Nor may a function be inlined into code that JIT compiles, which could not
 * resolve the hidden symbols it refers to.
 */
#define XMHASH_EXPORT __attribute__((visibility("default")))
#define XMHASH_FUNCTION(name) \
	extern XMHASH_EXPORT pg_noinline Datum name(PG_FUNCTION_ARGS); \
	extern XMHASH_EXPORT const Pg_finfo_record *pg_finfo_##name(void); \
	PG_FUNCTION_INFO_V1(name)

/* Settings, by the table in xmhash.c (server/settings.c): memory in kB. */
extern int	xmhash_bitcode_output;
extern int	xmhash_pending_list_limit;
extern int	xmhash_threads;
extern int	xmhash_max_threads;
extern char *xmhash_blas_library;
extern int	xmhash_train_work_mem;
extern int	xmhash_train_max_memory;
extern int	xmhash_model_cache;
extern bool xmhash_progress;

/* What is registered once, at module load. */
extern void index_init(void);
extern void model_cache_init(void);

#endif							/* XMHASH_H */
