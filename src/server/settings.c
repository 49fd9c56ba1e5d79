/*
 * server/settings.c: what the settings are at the moment.
 *
 * Every room may look at them, so they stand below all.  Their names, ranges and
 * defaults are the table in xmhash.c, which includes what the rooms say.
 */
#include "xmhash.h"

int			xmhash_bitcode_output;
int			xmhash_pending_list_limit;
int			xmhash_threads;
int			xmhash_max_threads;
char	   *xmhash_blas_library;
int			xmhash_train_work_mem;
int			xmhash_train_max_memory;
int			xmhash_model_cache;
bool		xmhash_progress;
