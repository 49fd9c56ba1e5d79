/*
 * pg_compat.h: what differs between the versions of PostgreSQL, 15 to 19.
 *
 * The only file that looks at PG_VERSION_NUM.  Where a newer version spells
 * the same thing in another way, older ones are given the new spelling;
 * everything else is a macro or function that says what it does.
 */
#ifndef PG_COMPAT_H
#define PG_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "xmhash needs PostgreSQL 15 or newer"
#endif

/* ---------- New spellings for old versions ---------- */

#if PG_VERSION_NUM >= 160000
#include "varatt.h"				/* was part of postgres.h */
#endif

/* Since 18 in front of a declaration, where pg_attribute_noreturn() was behind it. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn __attribute__((noreturn))
#endif

#if PG_VERSION_NUM < 160000
#include "storage/buffile.h"

static inline void
BufFileReadExact(BufFile *file, void *target, size_t size)
{
	size_t		got = BufFileRead(file, target, size);

	if (got != size)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read a temporary file: read only %zu of %zu bytes", got, size)));
}
#endif

/* A descriptor made column by column has to be completed since 19. */
#if PG_VERSION_NUM < 190000
#define TupleDescFinalize(descriptor) ((void) 0)
#endif

/* ---------- Errors ---------- */

/* Soft errors exist since 16; before, every error is raised. */
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#define soft_ereport(escontext, ...) errsave(escontext, __VA_ARGS__)
#else
#define soft_ereport(escontext, ...) ereport(ERROR, __VA_ARGS__)
#endif

/* ---------- Access control ---------- */

#if PG_VERSION_NUM >= 160000
#define relation_ownercheck(oid, role) object_ownercheck(RelationRelationId, oid, role)
#else
#define relation_ownercheck(oid, role) pg_class_ownercheck(oid, role)
#endif

/*
 * Since 17, in code that the owner of a table has written names mean what
 * pg_catalog says; core's REINDEX and amcheck leave the caller's path before.
 */
#if PG_VERSION_NUM < 170000
#define RestrictSearchPath() ((void) 0)
#endif

/* ---------- Sorting ---------- */

/* The next datum of a sort of values that are passed by value. */
#if PG_VERSION_NUM >= 160000
#define tuplesort_next_value(sort, value, isnull) tuplesort_getdatum(sort, true, false, value, isnull, NULL)
#else
#define tuplesort_next_value(sort, value, isnull) tuplesort_getdatum(sort, true, value, isnull, NULL)
#endif

/* ---------- Buffers and VACUUM ---------- */

/* What names a relation's files, as ReadRecentBuffer() wants it. */
#if PG_VERSION_NUM >= 160000
#define relation_locator(relation) ((relation)->rd_locator)
#else
#define relation_locator(relation) ((relation)->rd_node)
#endif

/* Is a page as it was read from disk sound?  Says nothing of what it finds. */
#if PG_VERSION_NUM >= 180000
#define page_verifies(page, block) PageIsVerified(page, block, 0, NULL)
#else
#define page_verifies(page, block) PageIsVerifiedExtended(page, block, 0)
#endif

/* Memory for direct I/O; before 16 there was none. */
#if PG_VERSION_NUM < 160000
#define PGIOAlignedBlock PGAlignedBlock
#endif

/* Sleeps only where VACUUM's cost delay is active; else looks for interrupts. */
#if PG_VERSION_NUM >= 180000
#define xmhash_delay_point() vacuum_delay_point(false)
#else
#define xmhash_delay_point() vacuum_delay_point()
#endif

/*
 * Up to 16, old_snapshot_threshold lets VACUUM remove rows that an old
 * snapshot still sees: then whoever searches by it has to be told.
 */
#if PG_VERSION_NUM < 170000
#define snapshots_expire() (old_snapshot_threshold >= 0)
#define check_snapshot_expired(snapshot, relation, buffer) \
	TestForOldSnapshot(snapshot, relation, BufferGetPage(buffer))
#else
#define snapshots_expire() false
#define check_snapshot_expired(snapshot, relation, buffer) ((void) 0)
#endif

/*
 * Is GenericXLog's record, a private format of core's, known to be what
 * index/insert.c makes by hand?  test/t/119_index_wal.pl has replayed it on
 * these versions; elsewhere the documented calls make it.
 */
#ifndef GENERIC_XLOG_FORMAT_KNOWN
#if PG_VERSION_NUM / 10000 == 15 || (PG_VERSION_NUM / 10000 >= 17 && PG_VERSION_NUM / 10000 <= 19)
#define GENERIC_XLOG_FORMAT_KNOWN true
#else
#define GENERIC_XLOG_FORMAT_KNOWN false
#endif
#endif

/* ---------- Index access methods ---------- */

/* An index method's handler returns a constant since 19; before, a copy that core frees. */
#if PG_VERSION_NUM >= 190000
#define PG_RETURN_INDEX_AM_ROUTINE(routine) PG_RETURN_POINTER(&(routine))
#else
#define PG_RETURN_INDEX_AM_ROUTINE(routine) \
	PG_RETURN_POINTER(memcpy(palloc(sizeof(IndexAmRoutine)), &(routine), sizeof(IndexAmRoutine)))
#endif

/*
 * How many helpers a build is to have.  Since 17 core plans that for every
 * index method that says it can use them; before, for btrees only.
 */
#if PG_VERSION_NUM >= 170000
#define INDEX_AM_BUILDS_IN_PARALLEL .amcanbuildparallel = true,
#define index_build_workers(heap, index, info) ((info)->ii_ParallelWorkers)
#else
#define INDEX_AM_BUILDS_IN_PARALLEL
#define index_build_workers(heap, index, info) \
	(IsNormalProcessingMode() && !IsInParallelMode() ? \
	 plan_create_index_workers(RelationGetRelid(heap), RelationGetRelid(index)) : 0)
#endif

/*
 * Up to 16 the planner has no paths with an order for scans with = ANY (…) on
 * another column than the first.
 */
#define PLANNER_LEAVES_OUT_ARRAYS (PG_VERSION_NUM < 170000)

/* Join a parallel scan of the whole table. */
#if PG_VERSION_NUM >= 190000
#define join_parallel_scan(relation, scan) table_beginscan_parallel(relation, scan, SO_NONE)
#else
#define join_parallel_scan(relation, scan) table_beginscan_parallel(relation, scan)
#endif

/* EXPLAIN ANALYZE counts the searches of an index scan since 18. */
#if PG_VERSION_NUM >= 180000
#define count_index_search(scan) \
	do { if ((scan)->instrument) (scan)->instrument->nsearches++; } while (0)
#else
#define count_index_search(scan) ((void) 0)
#endif

#endif							/* PG_COMPAT_H */
