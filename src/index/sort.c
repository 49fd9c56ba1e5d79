/*
 * index/sort.c: sorting rows into centre order, for builds, flushes and merges.
 *
 * Centre order is by (nearest centre, place by the distance to it, code, tid).  It
 * puts codes that are near each other on the same page, so that the spans of the
 * directory are narrow.
 *
 * Rows are added to one array until the memory is used up.  Then they are sorted
 * (index/sort_memory.c) and written as a run to a temporary file
 * (index/sort_files.c).  At the end the runs are merged.  In a parallel build each
 * participant makes its runs, in files that the leader opens.
 */
#include "postgres.h"

#include "core/search.h"
#include "index/search.h"
#include "index/sort.h"

#include "commands/progress.h"
#include "lib/binaryheap.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "server/core_env.h"
#include "storage/itemptr.h"
#include "utils/memutils.h"

/* ---------- Beginning ---------- */

static double
sort_pages(const XmhashRowFormat *format, double rows)
{
	return rows / xmhash_page_rows(format, XMHASH_PAGE_DATA);
}

uint32
xmhash_sample_rows(const XmhashRowFormat *format, double rows)
{
	int			wanted = centres_wanted(sort_pages(format, rows), format->bits);

	return wanted == 0 ? 0 : centres_sample_size(wanted, format->bits);
}

static XmhashSorter *
sort_create(const XmhashRowFormat *format, Size memory)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash sorter",
												  ALLOCSET_DEFAULT_SIZES);
	XmhashSorter *sorter = MemoryContextAllocZero(context, sizeof(XmhashSorter));

	sorter->context = context;
	sorter->memory = memory;
	sorter->format = *format;
	xmhash_sorter_set_bits(sorter, format->bits);
	return sorter;
}

void
xmhash_sorter_set_bits(XmhashSorter *sorter, int bits)
{
	xmhash_format_set_bits(&sorter->format, bits);
	sorter->row_size = SORT_ROW_SIZE(sorter->format.words, sorter->format.columns);
	xmhash_sorter_set_memory(sorter, sorter->memory);
}

void
xmhash_sorter_set_memory(XmhashSorter *sorter, Size memory)
{
	/* A row, its place in two orders, and a key when all codes are equal. */
	Size		each = sorter->row_size + 2 * sizeof(uint32) + sizeof(SortKey);

	Assert(sorter->total == 0);
	sorter->memory = memory;
	sorter->max_rows = Min(Max(memory / each, 1024), PG_UINT32_MAX / 4);
}

/* Some codes of the sample stand for queries. */
static void
sort_choose_probes(XmhashSorter *sorter, const uint64 *sample, uint32 samples)
{
	ReachProbes *probes = &sorter->probes;
	int			words = sorter->format.words;

	probes->bits = sorter->format.bits;
	probes->words = words;
	probes->probes = reach_probes_wanted(probes->bits, samples);
	probes->code = MemoryContextAlloc(sorter->context, probes->probes * words * sizeof(uint64));
	probes->distances = MemoryContextAlloc(sorter->context, (probes->probes + HAMMING_SLACK) * sizeof(uint16));
	probes->histogram = MemoryContextAllocZero(sorter->context,
											   (Size) probes->probes * (probes->bits + 1) * sizeof(uint32));
	for (int i = 0; i < probes->probes; i++)
		memcpy(probes->code + (Size) i * words, sample + (Size) reach_probe_place(probes, i, samples) * words,
			   words * sizeof(uint64));
}

XmhashSorter *
xmhash_sorter_begin(const XmhashRowFormat *format, const uint64 *sample, uint32 sample_rows, double rows, Size memory)
{
	XmhashSorter *sorter = sort_create(format, memory);
	int			wanted = centres_wanted(sort_pages(format, rows), format->bits);

	if (wanted > 0 && sample_rows > 0)
	{
		MemoryContext work = AllocSetContextCreate(sorter->context, "xmhash centres",
												   ALLOCSET_DEFAULT_SIZES);
		CoreEnv		env = core_env(work);

		sorter->centre = MemoryContextAllocHuge(sorter->context,
												(Size) wanted * sorter->format.words * sizeof(uint64));
		sorter->centres = centres_find(&env, format->bits, sample, sample_rows, wanted,
									   XMHASH_MAGIC, sorter->centre);
		MemoryContextDelete(work);
		sort_choose_probes(sorter, sample, sample_rows);
	}
	return sorter;
}

XmhashSorter *
xmhash_sorter_begin_shared(const XmhashRowFormat *format, const uint64 *centre, int centres,
						   Size memory, SharedFileSet *files, int participant)
{
	XmhashSorter *sorter = sort_create(format, memory);
	Size		size = (Size) centres * sorter->format.words * sizeof(uint64);

	sorter->centres = centres;
	sorter->centre = MemoryContextAllocHuge(sorter->context, Max(size, 1));
	memcpy(sorter->centre, centre, size);
	sorter->shared = files;
	sorter->participant = participant;
	return sorter;
}

const uint64 *
xmhash_sorter_centres(const XmhashSorter *sorter, int *count)
{
	*count = sorter->centres;
	return sorter->centre;
}

/* ---------- Adding ---------- */

static void
sort_ensure_capacity(XmhashSorter *sorter)
{
	if (sorter->count < sorter->capacity)
		return;
	if (sorter->capacity == sorter->max_rows)
	{
		sort_spill(sorter);
		return;
	}
	/* Grow by doubling: a flush of a few thousand rows takes no more than that. */
	sorter->capacity = sorter->capacity ? (uint32) Min((uint64) sorter->capacity * 2, sorter->max_rows) :
		Min(1024, sorter->max_rows);
	if (sorter->rows)
		sorter->rows = repalloc_huge(sorter->rows, sorter->capacity * sorter->row_size);
	else
		sorter->rows = MemoryContextAllocHuge(sorter->context, sorter->capacity * sorter->row_size);
}

void
xmhash_sorter_set_bands(XmhashSorter *sorter, int bands)
{
	Assert(sorter->total == 0);
	sorter->bands = sorter->centres > 0 ? Min(bands, sorter->format.bits) : 0;
}

static void
sort_add_row(XmhashSorter *sorter, uint32 run, uint32 centre, uint16 place, const uint64 *code,
			 const int64 *keys, const ItemPointerData *tid)
{
	SortRow    *row;

	sort_ensure_capacity(sorter);
	row = sort_row_at(sorter, sorter->count++);
	row->centre = centre;
	row->place = place;
	row->tid = *tid;
	row->run = run;
	memcpy(SORT_ROW_CODE(row), code, sorter->format.words * sizeof(uint64));
	memcpy(SORT_ROW_KEYS(row, sorter->format.words), keys, sorter->format.columns * sizeof(int64));
}

void
xmhash_sorter_add(XmhashSorter *sorter, const uint64 *codes, const int64 *keys, const ItemPointerData *tids,
				  int count)
{
	for (int i = 0; i < count; i++)
	{
		const uint64 *code = codes + (Size) i * sorter->format.words;
		const int64 *key = keys + (Size) i * sorter->format.columns;
		uint16		distance = 0;
		uint32		centre = sorter->centres == 0 ? 0 :
		hamming_kernels->nearest(code, sorter->centre, sorter->format.words, sorter->centres, &distance);

		sort_add_row(sorter, 0, centre, centre_place(centre, distance, sorter->format.bits), code, key,
						 &tids[i]);
		for (int band = 0; band < sorter->bands; band++)
			sort_add_row(sorter, 1 + band, band_value(code, sorter->format.bits, sorter->bands, band), 0, code, key,
						 &tids[i]);
	}
	sorter->total += (uint64) count * (1 + sorter->bands);
}

void
xmhash_sorter_add_null(XmhashSorter *sorter, const int64 *keys, ItemPointer tid)
{
	if (!sorter->own.nulls)
	{
		MemoryContext old = MemoryContextSwitchTo(sorter->context);

		sorter->own.nulls = sort_create_file(sorter, "nulls");
		MemoryContextSwitchTo(old);
	}
	BufFileWrite(sorter->own.nulls, tid, sizeof(ItemPointerData));
	BufFileWrite(sorter->own.nulls, unconstify(int64 *, keys), sorter->format.columns * sizeof(int64));
	sorter->own.null_count++;
	sorter->nulls++;
}

/* ---------- Writing ---------- */

/* binaryheap keeps the largest on top: the order is turned around. */
static int
sort_compare_readers(Datum a, Datum b, void *context)
{
	XmhashSorter *sorter = context;

	return sort_compare_rows(sort_reader_row(sorter, &sorter->reader[DatumGetInt32(b)]),
							 sort_reader_row(sorter, &sorter->reader[DatumGetInt32(a)]), sorter->format.words);
}

static void
sort_write_row(const XmhashSorter *sorter, XmhashWriter *writer, SortRow *row, uint64 number)
{
	const int64 *keys = SORT_ROW_KEYS(row, sorter->format.words);

	if (row->run == 0)
		xmhash_writer_add(writer, row->centre, centre_place(row->centre, row->place, sorter->format.bits), SORT_ROW_CODE(row),
						  keys, &row->tid);
	else
		xmhash_writer_add_to_band(writer, row->run - 1, row->centre, SORT_ROW_CODE(row),
						  keys, &row->tid);
	if (sorter->reports && number % 4096 == 0)
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, number);
}

static void
sort_write_merged(XmhashSorter *sorter, XmhashWriter *writer)
{
	int			runs = sorter->own.runs;
	binaryheap *heap;
	uint64		written = 0;

	for (int i = 0; i < sorter->imported; i++)
		runs += sorter->import[i].runs;
	if (sorter->rows)
		pfree(sorter->rows);
	sorter->rows = NULL;
	sorter->reader = palloc(Max(runs, 1) * sizeof(RunReader));
	sorter->reader_rows = Max(sorter->memory / Max(runs, 1) / sorter->row_size, 64);
	sorter->reader_rows = Min(sorter->reader_rows, 65536);
	sort_open_readers(sorter, &sorter->own);
	for (int i = 0; i < sorter->imported; i++)
		sort_open_readers(sorter, &sorter->import[i]);

	heap = binaryheap_allocate(Max(runs, 1), sort_compare_readers, sorter);
	for (int r = 0; r < sorter->readers; r++)
		if (sort_reader_row(sorter, &sorter->reader[r]))
			binaryheap_add_unordered(heap, Int32GetDatum(r));
	binaryheap_build(heap);
	while (!binaryheap_empty(heap))
	{
		RunReader  *reader = &sorter->reader[DatumGetInt32(binaryheap_first(heap))];

		CHECK_FOR_INTERRUPTS();
		sort_write_row(sorter, writer, sort_reader_row(sorter, reader), ++written);
		reader->next++;
		if (sort_reader_row(sorter, reader))
			binaryheap_replace_first(heap, binaryheap_first(heap));
		else
			binaryheap_remove_first(heap);
	}
	binaryheap_free(heap);
}

static void
sort_write_nulls(const XmhashSorter *sorter, XmhashWriter *writer, SortFile *file)
{
	if (!file->nulls)
		return;
	if (BufFileSeek(file->nulls, 0, 0, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not seek in a temporary file of an index build")));
	for (uint64 i = 0; i < file->null_count; i++)
	{
		ItemPointerData tid;
		int64		keys[XMHASH_MAX_COLUMNS];

		CHECK_FOR_INTERRUPTS();
		BufFileReadExact(file->nulls, &tid, sizeof(tid));
		BufFileReadExact(file->nulls, keys, sorter->format.columns * sizeof(int64));
		xmhash_writer_add_null(writer, keys, &tid);
	}
}

XmhashWriter *
xmhash_sorter_write(XmhashSorter *sorter, Relation index, XmhashWriterRole role)
{
	XmhashWriter *writer;
	MemoryContext old = MemoryContextSwitchTo(sorter->context);
	bool		in_memory = sorter->own.runs == 0 && sorter->imported == 0;

	sorter->reports = role == XMHASH_WRITER_BUILD;
	if (sorter->reports)
		pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, XMHASH_PHASE_SORTING);
	if (in_memory)
		sort_rows(sorter);
	else if (sorter->count > 0)
		sort_spill(sorter);
	if (sorter->reports)
	{
		pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, XMHASH_PHASE_WRITING);
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, sorter->total);
	}
	MemoryContextSwitchTo(old);

	writer = xmhash_writer_begin(index, role, &sorter->format, sorter->centre, sorter->centres, sorter->bands,
								 sorter->total / (1 + sorter->bands), sorter->nulls);
	if (sorter->probes.probes > 0)
		xmhash_writer_set_probes(writer, &sorter->probes);
	MemoryContextSwitchTo(sorter->context);
	if (in_memory)
		for (uint32 i = 0; i < sorter->count; i++)
		{
			CHECK_FOR_INTERRUPTS();
			sort_write_row(sorter, writer, sort_row_at(sorter, sorter->order[i]), i + 1);
		}
	else
		sort_write_merged(sorter, writer);
	sort_write_nulls(sorter, writer, &sorter->own);
	for (int i = 0; i < sorter->imported; i++)
		sort_write_nulls(sorter, writer, &sorter->import[i]);
	MemoryContextSwitchTo(old);
	return writer;
}

void
xmhash_sorter_end(XmhashSorter *sorter)
{
	if (sorter->own.rows)
		BufFileClose(sorter->own.rows);
	if (sorter->own.nulls)
		BufFileClose(sorter->own.nulls);
	for (int i = 0; i < sorter->imported; i++)
	{
		if (sorter->import[i].rows)
			BufFileClose(sorter->import[i].rows);
		if (sorter->import[i].nulls)
			BufFileClose(sorter->import[i].nulls);
	}
	MemoryContextDelete(sorter->context);
}
