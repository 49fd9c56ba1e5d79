/*
 * index/handler.c: the access method's entry: what it can do, and by which
 * functions.
 */
#include "postgres.h"

#include "index/index.h"

#include "commands/vacuum.h"

XMHASH_FUNCTION(xmhash_handler);

Datum
xmhash_handler(PG_FUNCTION_ARGS)
{
	static const IndexAmRoutine am = {
		.type = T_IndexAmRoutine,
		.amstrategies = XMHASH_STRATEGIES,
		.amsupport = XMHASH_PROCS,
		.amcanorderbyop = true,
		.amcanmulticol = true,	/* a code and filter columns */
		.amoptionalkey = true,	/* NULLs are indexed, so a scan may have no key */
		.amsearcharray = true,
		.amsearchnulls = true,
		.amusemaintenanceworkmem = true,
		INDEX_AM_BUILDS_IN_PARALLEL
		/* Cleanup merges with all of maintenance_work_mem, so the leader does it. */
		.amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL,
		.amkeytype = InvalidOid,

		.ambuild = xmhash_build,
		.ambuildempty = xmhash_build_empty,
		.aminsert = xmhash_insert,
		.ambulkdelete = xmhash_bulk_delete,
		.amvacuumcleanup = xmhash_vacuum_cleanup,
		.amcostestimate = xmhash_cost_estimate,
		.amoptions = xmhash_options,
		.ambuildphasename = xmhash_build_phase_name,
		.amvalidate = xmhash_validate,
		.ambeginscan = xmhash_begin_scan,
		.amrescan = xmhash_rescan,
		.amgettuple = xmhash_get_tuple,
		.amgetbitmap = xmhash_get_bitmap,
		.amendscan = xmhash_end_scan,
	};

	PG_RETURN_INDEX_AM_ROUTINE(am);
}
