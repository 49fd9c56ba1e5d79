/*
 * index/build.c: CREATE INDEX.
 *
 * A sample of random blocks of the table gives the centres.  Then the whole
 * table is scanned, by several processes if the planner thinks it worth while,
 * each of which sorts what it sees into runs; the leader merges the runs and
 * writes the index once, in the order it will be read.
 */
#include "postgres.h"

#include "index/search.h"
#include "index/sort.h"
#include "index/storage.h"

#include <math.h>

#include "access/parallel.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xloginsert.h"
#include "catalog/index.h"
#include "catalog/pg_proc.h"
#include "commands/progress.h"
#include "core/random.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "pgstat.h"
#include "storage/spin.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/sampling.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#define KEY_SHARED			UINT64CONST(0x584D000000000001)
#define KEY_SCAN			UINT64CONST(0x584D000000000002)
#define KEY_CENTRES			UINT64CONST(0x584D000000000003)
#define KEY_QUERY			UINT64CONST(0x584D000000000004)
#define KEY_WAL_USAGE		UINT64CONST(0x584D000000000005)
#define KEY_BUFFER_USAGE	UINT64CONST(0x584D000000000006)

/* Blocks read to learn how many codes there are on a block. */
#define PILOT_BLOCKS 16

/* What a parallel build shares; fixed but for what the mutex protects. */
typedef struct BuildShared
{
	Oid			heap;
	Oid			index;
	bool		concurrent;
	XmhashRowFormat format;
	int			centres;
	Size		memory;			/* of each participant */
	SharedFileSet files;
	slock_t		mutex;
	double		heap_rows;
	double		index_rows;
	bool		broken_hot_chain;
} BuildShared;

/* The leader's side of it. */
typedef struct BuildTeam
{
	ParallelContext *context;
	BuildShared *shared;
	ParallelTableScanDesc scan;
	Snapshot	snapshot;
	WalUsage   *wal_usage;
	BufferUsage *buffer_usage;
} BuildTeam;

/* One participant's scan. */
typedef struct BuildState
{
	Relation	index;
	XmhashRowFormat format;		/* bits 0: no code seen yet */
	uint64	   *code;			/* scratch */
	double		rows;
	XmhashSorter *sorter;
} BuildState;

/* A random sample of codes; seen may be more than was kept. */
typedef struct Sample
{
	Relation	index;
	XmhashRowFormat format;
	uint64	   *code;			/* [count × words] */
	uint64	   *scratch;
	double		seen;
	uint32		count;
	uint32		wanted;
	uint64		random;
} Sample;

extern XMHASH_EXPORT void xmhash_build_worker(dsm_segment *segment, shm_toc *toc);

/* ---------- Progress ---------- */

char *
xmhash_build_phase_name(int64 phase)
{
	switch (phase)
	{
		case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE:
			return "initializing";
		case XMHASH_PHASE_SAMPLING:
			return "sampling";
		case XMHASH_PHASE_SCANNING:
			return "scanning table";
		case XMHASH_PHASE_SORTING:
			return "sorting";
		case XMHASH_PHASE_WRITING:
			return "merging and writing";
		default:
			return NULL;
	}
}

/* ---------- Codes ---------- */

/*
 * Copy a value's words out, and see that all codes have one length: the first
 * one fixes it unless the column does.
 */
static void
build_take_code(Relation index, Datum value, XmhashRowFormat *format, uint64 **words)
{
	BitcodeRef ref = bitcode_checked_ref(value);

	if (format->bits == 0)
		xmhash_format_set_bits(format, ref.bits);
	if (ref.bits != format->bits)
		xmhash_wrong_length(index, ref.bits, format->bits);
	if (*words == NULL)
		*words = palloc(HAMMING_WORDS(ref.bits) * sizeof(uint64));
	for (int w = 0; w < HAMMING_WORDS(ref.bits); w++)
		(*words)[w] = bitcode_ref_word(&ref, w);
	bitcode_ref_release(&ref, value);
}

/* ---------- The sample ---------- */

static void
build_sample_row(Relation index, ItemPointer tid, Datum *values, bool *isnull,
				 bool alive, void *context)
{
	Sample	   *sample = context;
	Size		size;
	uint64		place;

	if (isnull[0])
		return;
	build_take_code(index, values[0], &sample->format, &sample->scratch);
	sample->seen++;
	if (sample->wanted == 0)
		return;
	size = sample->format.words * sizeof(uint64);
	if (sample->count < sample->wanted)
		place = sample->count++;
	else
	{
		/* Reservoir sampling: every row seen is kept with equal probability. */
		place = random_next(&sample->random) % (uint64) sample->seen;
		if (place >= sample->wanted)
			return;
	}
	memcpy((char *) sample->code + place * size, sample->scratch, size);
}

/* Look at so many random blocks, in block order. */
static void
build_sample_blocks(Relation heap, Relation index, IndexInfo *info, Sample *sample,
					BlockNumber blocks, BlockNumber count, uint32 seed)
{
	BlockSamplerData sampler;

	BlockSampler_Init(&sampler, blocks, Min(count, INT_MAX), seed);
	while (BlockSampler_HasMore(&sampler))
	{
		CHECK_FOR_INTERRUPTS();
		table_index_build_range_scan(heap, index, info, false, false, false,
									 BlockSampler_Next(&sampler), 1,
									 build_sample_row, sample, NULL);
	}
}

/*
 * Sample the table: a few blocks tell how many codes there are, and so how
 * many of them are wanted; then as many blocks as that takes.  Returns the
 * estimated number of codes.
 */
static double
build_take_sample(Relation heap, Relation index, IndexInfo *info, Sample *sample)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(heap);
	BlockNumber pilot = PILOT_BLOCKS;
	double		density;
	double		wanted_blocks;

	if (blocks == 0)
		return 0;
	for (;; pilot *= 16)
	{
		pilot = Min(pilot, blocks);
		build_sample_blocks(heap, index, info, sample, blocks, pilot, 1);
		if (sample->seen > 0 || pilot == blocks)
			break;
	}
	if (sample->seen == 0)
		return 0;
	density = sample->seen / pilot;
	sample->wanted = xmhash_sample_rows(&sample->format, density * blocks);
	if (sample->wanted > 0)
	{
		sample->code = MemoryContextAllocHuge(CurrentMemoryContext,
											  (Size) sample->wanted * sample->format.words * sizeof(uint64));
		sample->seen = 0;
		/* A fifth more than should do, for blocks with fewer rows. */
		wanted_blocks = ceil(1.2 * sample->wanted / density);
		build_sample_blocks(heap, index, info, sample, blocks,
							wanted_blocks < blocks ? (BlockNumber) wanted_blocks : blocks, 2);
	}
	return density * blocks;
}

/* ---------- The scan ---------- */

static void
build_row(Relation index, ItemPointer tid, Datum *values, bool *isnull,
		  bool alive, void *context)
{
	BuildState *state = context;
	int64		keys[XMHASH_MAX_COLUMNS];

	state->rows++;
	xmhash_row_keys(index, values, isnull, keys);
	if (isnull[0])
	{
		xmhash_sorter_add_null(state->sorter, keys, tid);
		return;
	}
	if (state->format.bits == 0)
	{
		/* The sample had no code at all: this is the first. */
		build_take_code(index, values[0], &state->format, &state->code);
		xmhash_sorter_set_bits(state->sorter, state->format.bits);
	}
	else
		build_take_code(index, values[0], &state->format, &state->code);
	xmhash_sorter_add(state->sorter, state->code, keys, tid, 1);
}

/* ---------- Working together ---------- */

/* Set up the shared state.  False: there is no shared memory for it. */
static bool
build_share_state(BuildTeam *team, Relation heap, Relation index, IndexInfo *info,
				  const XmhashSorter *sorter, const XmhashRowFormat *format)
{
	ParallelContext *context = team->context;
	int			centres;
	const uint64 *centre = xmhash_sorter_centres(sorter, &centres);
	Size		centre_size = (Size) centres * format->words * sizeof(uint64);
	Size		scan_size;
	Size		query_size = debug_query_string ? strlen(debug_query_string) + 1 : 1;
	char	   *query;

	team->snapshot = info->ii_Concurrent ? RegisterSnapshot(GetTransactionSnapshot()) : SnapshotAny;
	scan_size = table_parallelscan_estimate(heap, team->snapshot);
	shm_toc_estimate_chunk(&context->estimator, sizeof(BuildShared));
	shm_toc_estimate_chunk(&context->estimator, scan_size);
	shm_toc_estimate_chunk(&context->estimator, Max(centre_size, 1));
	shm_toc_estimate_chunk(&context->estimator, query_size);
	shm_toc_estimate_chunk(&context->estimator, mul_size(sizeof(WalUsage), context->nworkers));
	shm_toc_estimate_chunk(&context->estimator, mul_size(sizeof(BufferUsage), context->nworkers));
	shm_toc_estimate_keys(&context->estimator, 6);
	InitializeParallelDSM(context);
	if (context->seg == NULL)
		return false;

	team->shared = shm_toc_allocate(context->toc, sizeof(BuildShared));
	memset(team->shared, 0, sizeof(BuildShared));
	team->shared->heap = RelationGetRelid(heap);
	team->shared->index = RelationGetRelid(index);
	team->shared->concurrent = info->ii_Concurrent;
	team->shared->format = *format;
	team->shared->centres = centres;
	team->shared->memory = (Size) maintenance_work_mem * 1024 / (context->nworkers + 1);
	SpinLockInit(&team->shared->mutex);
	SharedFileSetInit(&team->shared->files, context->seg);
	shm_toc_insert(context->toc, KEY_SHARED, team->shared);

	team->scan = shm_toc_allocate(context->toc, scan_size);
	table_parallelscan_initialize(heap, team->scan, team->snapshot);
	shm_toc_insert(context->toc, KEY_SCAN, team->scan);
	shm_toc_insert(context->toc, KEY_CENTRES,
				   memcpy(shm_toc_allocate(context->toc, Max(centre_size, 1)), centre, centre_size));
	query = shm_toc_allocate(context->toc, query_size);
	memcpy(query, debug_query_string ? debug_query_string : "", query_size);
	shm_toc_insert(context->toc, KEY_QUERY, query);
	team->wal_usage = shm_toc_allocate(context->toc, mul_size(sizeof(WalUsage), context->nworkers));
	shm_toc_insert(context->toc, KEY_WAL_USAGE, team->wal_usage);
	team->buffer_usage = shm_toc_allocate(context->toc, mul_size(sizeof(BufferUsage), context->nworkers));
	shm_toc_insert(context->toc, KEY_BUFFER_USAGE, team->buffer_usage);
	return true;
}

static void
build_dismiss_workers(BuildTeam *team)
{
	if (!team->context)
		return;
	DestroyParallelContext(team->context);
	if (team->snapshot && IsMVCCSnapshot(team->snapshot))
		UnregisterSnapshot(team->snapshot);
	ExitParallelMode();
	team->context = NULL;
}

/*
 * The library's name for helpers is the one by which core has found the
 * handler: on a path of its own (dynamic_library_path), or wherever it is.
 */
static char *
build_library_name(Relation index)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(index->rd_amhandler));
	bool		isnull = true;
	Datum		name = (Datum) 0;
	char	   *result;

	if (HeapTupleIsValid(tuple))
		name = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_probin, &isnull);
	if (isnull)
		elog(ERROR, "the handler of index \"%s\" has no library", RelationGetRelationName(index));
	result = TextDatumGetCString(name);
	ReleaseSysCache(tuple);
	return result;
}

/* Launch helpers, if the planner wants any and there are any free. */
static void
build_launch_workers(BuildTeam *team, Relation heap, Relation index, IndexInfo *info,
					 const XmhashSorter *sorter, const XmhashRowFormat *format)
{
	int			workers = format->bits > 0 ? index_build_workers(heap, index, info) : 0;

	memset(team, 0, sizeof(BuildTeam));
	if (workers == 0)
		return;
	EnterParallelMode();
	team->context = CreateParallelContext(build_library_name(index), "xmhash_build_worker", workers);
	if (!build_share_state(team, heap, index, info, sorter, format))
	{
		build_dismiss_workers(team);
		return;
	}
	LaunchParallelWorkers(team->context);
	if (team->context->nworkers_launched == 0)
		build_dismiss_workers(team);
}

/* Wait for the helpers and take over their runs; their errors are raised here. */
static double
build_collect_results(BuildTeam *team, IndexInfo *info, BuildState *state)
{
	WaitForParallelWorkersToFinish(team->context);
	for (int i = 0; i < team->context->nworkers_launched; i++)
	{
		InstrAccumParallelQuery(&team->buffer_usage[i], &team->wal_usage[i]);
		xmhash_sorter_import(state->sorter, &team->shared->files, i);
	}
	if (team->shared->broken_hot_chain)
		info->ii_BrokenHotChain = true;
	state->rows += team->shared->index_rows;
	return team->shared->heap_rows;
}

/* What a helper runs. */
void
xmhash_build_worker(dsm_segment *segment, shm_toc *toc)
{
	BuildShared *shared = shm_toc_lookup(toc, KEY_SHARED, false);
	ParallelTableScanDesc parallel_scan = shm_toc_lookup(toc, KEY_SCAN, false);
	WalUsage   *wal_usage = shm_toc_lookup(toc, KEY_WAL_USAGE, false);
	BufferUsage *buffer_usage = shm_toc_lookup(toc, KEY_BUFFER_USAGE, false);
	LOCKMODE	heap_lock = shared->concurrent ? ShareUpdateExclusiveLock : ShareLock;
	LOCKMODE	index_lock = shared->concurrent ? RowExclusiveLock : AccessExclusiveLock;
	Relation	heap;
	IndexInfo  *info;
	BuildState	state = {NULL};
	double		heap_rows;

	debug_query_string = shm_toc_lookup(toc, KEY_QUERY, false);
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
	heap = table_open(shared->heap, heap_lock);
	state.index = index_open(shared->index, index_lock);
	state.format = shared->format;
	SharedFileSetAttach(&shared->files, segment);
	InstrStartParallelQuery();
	state.sorter = xmhash_sorter_begin_shared(&shared->format, shm_toc_lookup(toc, KEY_CENTRES, false),
											  shared->centres, shared->memory,
											  &shared->files, ParallelWorkerNumber);
	xmhash_sorter_set_bands(state.sorter, xmhash_bands_option(state.index));
	info = BuildIndexInfo(state.index);
	info->ii_Concurrent = shared->concurrent;
	heap_rows = table_index_build_scan(heap, state.index, info, true, false, build_row, &state,
									   join_parallel_scan(heap, parallel_scan));
	xmhash_sorter_export(state.sorter);
	InstrEndParallelQuery(&buffer_usage[ParallelWorkerNumber], &wal_usage[ParallelWorkerNumber]);

	SpinLockAcquire(&shared->mutex);
	shared->heap_rows += heap_rows;
	shared->index_rows += state.rows;
	shared->broken_hot_chain |= info->ii_BrokenHotChain;
	SpinLockRelease(&shared->mutex);

	xmhash_sorter_end(state.sorter);
	index_close(state.index, index_lock);
	table_close(heap, heap_lock);
}

/* ---------- CREATE INDEX ---------- */

/*
 * Write the last pages, the catalogue and the meta page, and log the whole file.
 * As in core's builds nothing was logged before: the file goes away with the
 * transaction if that fails.  writer NULL: there was no row; bits 0: no code.
 */
static void
build_finish(Relation index, XmhashWriter *writer, int bits)
{
	XmhashSegment segment;
	XmhashChange change = {.role = XMHASH_WRITER_BUILD};
	XmhashExtent *extent;
	GenericXLogState *state;
	Buffer		buffer;
	Page		page;
	XmhashMeta *meta;

	if (writer != NULL)
	{
		xmhash_writer_finish(writer, &segment, &extent);
		change.add = &segment;
		change.add_extent = extent;
	}
	buffer = xmhash_meta_buffer(index, BUFFER_LOCK_EXCLUSIVE);
	state = GenericXLogStart(index);
	page = GenericXLogRegisterBuffer(state, buffer, 0);
	meta = XmhashPageMeta(page);
	if (writer != NULL)
		meta->next_segment = segment.id + 1;
	if (bits != 0)
		meta->bits = bits;
	meta->end = RelationGetNumberOfBlocks(index);
	xmhash_meta_log(state, page);
	UnlockReleaseBuffer(buffer);

	if (writer != NULL)
		xmhash_commit(index, &change);
	if (RelationNeedsWAL(index))
		log_newpage_range(index, MAIN_FORKNUM, 0, RelationGetNumberOfBlocks(index), true);
}

IndexBuildResult *
xmhash_build(Relation heap, Relation index, IndexInfo *info)
{
	IndexBuildResult *result = palloc0(sizeof(IndexBuildResult));
	Sample		sample = {.index = index};
	BuildState	state = {.index = index};
	BuildTeam	team;
	XmhashWriter *writer = NULL;
	double		expected;

	if (RelationGetNumberOfBlocks(index) != 0)
		elog(ERROR, "index \"%s\" already contains data", RelationGetRelationName(index));
	xmhash_build_start(index);

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, XMHASH_PHASE_SAMPLING);
	xmhash_row_format(index, xmhash_declared_bits(index), &sample.format);
	expected = build_take_sample(heap, index, info, &sample);
	state.format = sample.format;
	state.sorter = xmhash_sorter_begin(&sample.format, sample.code, sample.count, expected,
									   (Size) maintenance_work_mem * 1024);
	xmhash_sorter_set_bands(state.sorter, xmhash_bands_option(index));
	if (sample.code)
		pfree(sample.code);

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, XMHASH_PHASE_SCANNING);
	build_launch_workers(&team, heap, index, info, state.sorter, &state.format);
	if (team.context)
		xmhash_sorter_set_memory(state.sorter, team.shared->memory);
	result->heap_tuples =
		table_index_build_scan(heap, index, info, true, true, build_row, &state,
							   team.context ? join_parallel_scan(heap, team.scan) : NULL);
	if (team.context)
		result->heap_tuples += build_collect_results(&team, info, &state);

	if (state.rows > 0)
		writer = xmhash_sorter_write(state.sorter, index, XMHASH_WRITER_BUILD);
	build_finish(index, writer, state.format.bits);
	xmhash_sorter_end(state.sorter);
	build_dismiss_workers(&team);
	result->index_tuples = state.rows;
	return result;
}
