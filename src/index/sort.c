/*
 * index/sort.c: sorting rows into centre order, for builds, flushes and merges.
 *
 * Centre order is that of (nearest centre, place by the distance to it, code,
 * tid): it puts codes that are near each other on the same page, within distances
 * that a directory entry can state tightly.  Codes equal in the first two come in
 * an arbitrary but fixed order, equal codes together.
 *
 * Rows are taken into one array until the memory is used up, put in order by
 * two counting sorts (places, then centres, both small numbers) and a
 * comparison sort of what is left equal, and written as a run to a temporary
 * file.  At the end the runs are merged.  In a parallel build each participant
 * makes its runs, in files that the leader opens.
 */
#include "postgres.h"

#include "index/search.h"

#include "commands/progress.h"
#include "lib/binaryheap.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/itemptr.h"
#include "utils/memutils.h"

/* A row to be sorted; its code follows. */
typedef struct SortRow
{
	uint32		centre;			/* in a band's run its value */
	uint16		place;			/* centre_place(); in a band's run 0 */
	ItemPointerData tid;
	uint32		run;			/* 0: base, 1 + band */
} SortRow;

StaticAssertDecl(sizeof(SortRow) == 16, "codes stay aligned behind a SortRow");

#define SORT_ROW_SIZE(words) (sizeof(SortRow) + (words) * sizeof(uint64))
#define SORT_ROW_CODE(row) ((uint64 *) ((char *) (row) + sizeof(SortRow)))

/* What the comparison sort moves: the code's first word decides nearly always. */
typedef struct SortKey
{
	uint64		head;
	uint32		position;
} SortKey;

/* A sorted run in a file. */
typedef struct SortRun
{
	int32		fileno;
	int32		unused;
	int64		offset;
	uint64		rows;
} SortRun;

typedef struct SortFile
{
	BufFile    *rows;			/* NULL: no run */
	BufFile    *nulls;			/* ItemPointerData after ItemPointerData */
	int			runs;
	int			run_capacity;
	SortRun    *run;
	uint64		null_count;
} SortFile;

/* Reads a run through a buffer of its own. */
typedef struct RunReader
{
	BufFile    *file;
	SortRun		run;			/* what is not in the buffer yet */
	char	   *buffer;
	uint32		filled;
	uint32		next;
} RunReader;

struct XmhashSorter
{
	MemoryContext context;
	int			bits;
	int			words;
	Size		row_size;
	Size		memory;
	int			bands;			/* each row comes again for every band */
	int			centres;
	uint64	   *centre;			/* [centres × words] */

	char	   *rows;			/* [count], room for most */
	uint32		count;
	uint32		capacity;
	uint32		most;
	uint32	   *order;			/* [count]: after sort_rows() */

	uint64		total;			/* rows in memory and in all files */
	uint64		nulls;
	SortFile	own;
	int			imported;
	SortFile   *import;

	bool		reports;		/* progress, of CREATE INDEX */
	SharedFileSet *shared;		/* where own files lie; NULL: private */
	int			participant;

	int			readers;
	RunReader  *reader;
	uint32		reader_rows;	/* a reader's buffer holds */
};

/* ---------- The core's surroundings ---------- */

static void *
core_allocate(void *arena, size_t bytes)
{
	char	   *memory = MemoryContextAllocExtended(arena, bytes + 64,
													MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	return (void *) TYPEALIGN(64, memory);
}

static void *
core_reallocate(void *arena, void *old, size_t bytes)
{
	return old ? repalloc_huge(old, bytes) : MemoryContextAllocHuge(arena, bytes);
}

static void
core_interrupt(void)
{
	CHECK_FOR_INTERRUPTS();
}

CoreEnv
xmhash_core_env(MemoryContext context)
{
	CoreEnv env = {core_allocate, context, core_interrupt};

	return env;
}

SearchMemory
xmhash_search_memory(MemoryContext context)
{
	SearchMemory memory = {core_reallocate, context};

	return memory;
}

/* ---------- Beginning ---------- */

static double
pages_of(int bits, double rows)
{
	return rows / XMHASH_DATA_CAPACITY(HAMMING_WORDS(bits));
}

uint32
xmhash_sample_rows(int bits, double rows)
{
	int			wanted = centres_wanted(pages_of(bits, rows), bits);

	return wanted == 0 ? 0 : centres_sample_size(wanted, bits);
}

static XmhashSorter *
sorter_create(int bits, Size memory)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash sorter",
												  ALLOCSET_DEFAULT_SIZES);
	XmhashSorter *sorter = MemoryContextAllocZero(context, sizeof(XmhashSorter));

	sorter->context = context;
	sorter->memory = memory;
	xmhash_sorter_set_bits(sorter, bits);
	return sorter;
}

void
xmhash_sorter_set_bits(XmhashSorter *sorter, int bits)
{
	sorter->bits = bits;
	sorter->words = HAMMING_WORDS(bits);
	sorter->row_size = SORT_ROW_SIZE(sorter->words);
	xmhash_sorter_set_memory(sorter, sorter->memory);
}

void
xmhash_sorter_set_memory(XmhashSorter *sorter, Size memory)
{
	/* A row, its place in two orders, and a key when all codes are equal. */
	Size		each = sorter->row_size + 2 * sizeof(uint32) + sizeof(SortKey);

	Assert(sorter->total == 0);
	sorter->memory = memory;
	sorter->most = Min(Max(memory / each, 1024), PG_UINT32_MAX / 4);
}

XmhashSorter *
xmhash_sorter_begin(int bits, const uint64 *sample, uint32 sample_rows, double rows, Size memory)
{
	XmhashSorter *sorter = sorter_create(bits, memory);
	int			wanted = centres_wanted(pages_of(bits, rows), bits);

	if (wanted > 0 && sample_rows > 0)
	{
		MemoryContext work = AllocSetContextCreate(sorter->context, "xmhash centres",
												   ALLOCSET_DEFAULT_SIZES);
		CoreEnv env = xmhash_core_env(work);

		sorter->centre = MemoryContextAllocHuge(sorter->context,
												(Size) wanted * sorter->words * sizeof(uint64));
		sorter->centres = centres_find(&env, bits, sample, sample_rows, wanted,
									   XMHASH_MAGIC, sorter->centre);
		MemoryContextDelete(work);
	}
	return sorter;
}

XmhashSorter *
xmhash_sorter_begin_shared(int bits, const uint64 *centre, int centres,
						   Size memory, SharedFileSet *files, int participant)
{
	XmhashSorter *sorter = sorter_create(bits, memory);
	Size		size = (Size) centres * sorter->words * sizeof(uint64);

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

/* ---------- Sorting what is in memory ---------- */

static inline SortRow *
row_at(const XmhashSorter *sorter, uint32 position)
{
	return (SortRow *) (sorter->rows + position * sorter->row_size);
}

static int
compare_codes(const uint64 *a, const uint64 *b, int words)
{
	for (int w = 0; w < words; w++)
		if (a[w] != b[w])
			return a[w] < b[w] ? -1 : 1;
	return 0;
}

/* Centre order; band runs after it, in the order of their values. */
static int
compare_rows(const SortRow *a, const SortRow *b, int words)
{
	int			result;

	if (a->run != b->run)
		return a->run < b->run ? -1 : 1;
	if (a->centre != b->centre)
		return a->centre < b->centre ? -1 : 1;
	if (a->place != b->place)
		return a->place < b->place ? -1 : 1;
	result = compare_codes(SORT_ROW_CODE(a), SORT_ROW_CODE(b), words);
	if (result != 0)
		return result;
	return ItemPointerCompare(unconstify(ItemPointerData *, &a->tid),
							  unconstify(ItemPointerData *, &b->tid));
}

static int
compare_keys(const void *a, const void *b, void *context)
{
	const SortKey *x = a;
	const SortKey *y = b;
	const XmhashSorter *sorter = context;

	if (x->head != y->head)
		return x->head < y->head ? -1 : 1;
	return compare_rows(row_at(sorter, x->position), row_at(sorter, y->position), sorter->words);
}

typedef enum RowNumber
{
	BY_PLACE,
	BY_CENTRE,
	BY_RUN
} RowNumber;

/* A stable counting sort of order[] into target[] by a small number of the row. */
static void
counting_sort(const XmhashSorter *sorter, RowNumber by, int values,
			  const uint32 *order, uint32 *target)
{
	uint32	   *start = palloc0(((Size) values + 1) * sizeof(uint32));

#define VALUE(position) \
	(by == BY_CENTRE ? row_at(sorter, position)->centre : \
	 by == BY_PLACE ? row_at(sorter, position)->place : row_at(sorter, position)->run)
	for (uint32 i = 0; i < sorter->count; i++)
		start[VALUE(i) + 1]++;
	for (int v = 0; v < values; v++)
		start[v + 1] += start[v];
	for (uint32 i = 0; i < sorter->count; i++)
		target[start[VALUE(order[i])]++] = order[i];
#undef VALUE
	pfree(start);
}

/* Put in order the rows order[first … end - 1], equal in centre and place. */
static void
sort_group(XmhashSorter *sorter, uint32 *order, uint32 first, uint32 end,
		   SortKey **keys, uint32 *key_capacity)
{
	uint32		count = end - first;

	if (count > *key_capacity)
	{
		if (*keys)
			pfree(*keys);
		*key_capacity = Min(sorter->count, Max(count, 2 * *key_capacity));
		*keys = MemoryContextAllocHuge(sorter->context, *key_capacity * sizeof(SortKey));
	}
	for (uint32 i = 0; i < count; i++)
	{
		(*keys)[i].position = order[first + i];
		(*keys)[i].head = SORT_ROW_CODE(row_at(sorter, order[first + i]))[0];
	}
	qsort_arg(*keys, count, sizeof(SortKey), compare_keys, sorter);
	for (uint32 i = 0; i < count; i++)
		order[first + i] = (*keys)[i].position;
}

static void
sort_rows(XmhashSorter *sorter)
{
	uint32	   *order = MemoryContextAllocHuge(sorter->context,
											   Max(sorter->count, 1) * sizeof(uint32));
	uint32	   *other = MemoryContextAllocHuge(sorter->context,
											   Max(sorter->count, 1) * sizeof(uint32));
	SortKey    *keys = NULL;
	uint32		key_capacity = 0;
	uint32		first = 0;

	for (uint32 i = 0; i < sorter->count; i++)
		other[i] = i;
	counting_sort(sorter, BY_PLACE, sorter->bits + 1, other, order);
	counting_sort(sorter, BY_CENTRE, sorter->bands > 0 ? Max(sorter->centres, 65536) : Max(sorter->centres, 1),
				  order, other);
	if (sorter->bands > 0)
	{
		uint32	   *swap = order;

		counting_sort(sorter, BY_RUN, sorter->bands + 1, other, order);
		order = other;
		other = swap;
	}
	for (uint32 i = 1; i <= sorter->count; i++)
	{
		const SortRow *head = row_at(sorter, other[first]);
		const SortRow *row = i < sorter->count ? row_at(sorter, other[i]) : NULL;

		if (row && row->run == head->run && row->centre == head->centre && row->place == head->place)
			continue;
		CHECK_FOR_INTERRUPTS();
		if (i - first > 1)
			sort_group(sorter, other, first, i, &keys, &key_capacity);
		first = i;
	}
	if (keys)
		pfree(keys);
	pfree(order);
	sorter->order = other;
}

/* ---------- Runs in files ---------- */

static BufFile *
create_file(XmhashSorter *sorter, const char *kind)
{
	char		name[MAXPGPATH];

	if (!sorter->shared)
		return BufFileCreateTemp(false);
	snprintf(name, sizeof(name), "%s%d", kind, sorter->participant);
	return BufFileCreateFileSet(&sorter->shared->fs, name);
}

/* Sort the rows in memory and write them as a run. */
static void
spill(XmhashSorter *sorter)
{
	MemoryContext old = MemoryContextSwitchTo(sorter->context);
	SortFile   *own = &sorter->own;
	SortRun    *run;
	off_t		offset;
	int			fileno;

	sort_rows(sorter);
	if (!own->rows)
		own->rows = create_file(sorter, "rows");
	if (own->runs == own->run_capacity)
	{
		own->run_capacity = own->run_capacity ? 2 * own->run_capacity : 16;
		own->run = own->run ? repalloc(own->run, own->run_capacity * sizeof(SortRun)) :
			palloc(own->run_capacity * sizeof(SortRun));
	}
	run = &own->run[own->runs++];
	BufFileTell(own->rows, &fileno, &offset);
	run->fileno = fileno;
	run->unused = 0;
	run->offset = offset;
	run->rows = sorter->count;
	for (uint32 i = 0; i < sorter->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		BufFileWrite(own->rows, row_at(sorter, sorter->order[i]), sorter->row_size);
	}
	pfree(sorter->order);
	sorter->order = NULL;
	sorter->count = 0;
	MemoryContextSwitchTo(old);
}

static void
ensure_capacity(XmhashSorter *sorter)
{
	if (sorter->count < sorter->capacity)
		return;
	if (sorter->capacity == sorter->most)
	{
		spill(sorter);
		return;
	}
	/* Grow by doubling: a flush of a few thousand rows takes no more than that. */
	sorter->capacity = sorter->capacity ? (uint32) Min((uint64) sorter->capacity * 2, sorter->most) :
		Min(1024, sorter->most);
	if (sorter->rows)
		sorter->rows = repalloc_huge(sorter->rows, sorter->capacity * sorter->row_size);
	else
		sorter->rows = MemoryContextAllocHuge(sorter->context, sorter->capacity * sorter->row_size);
}

void
xmhash_sorter_set_bands(XmhashSorter *sorter, int bands)
{
	Assert(sorter->total == 0);
	sorter->bands = sorter->centres > 0 ? Min(bands, sorter->bits) : 0;
}

static void
add_row(XmhashSorter *sorter, uint32 run, uint32 centre, uint16 place, const uint64 *code,
		const ItemPointerData *tid)
{
	SortRow    *row;

	ensure_capacity(sorter);
	row = row_at(sorter, sorter->count++);
	row->centre = centre;
	row->place = place;
	row->tid = *tid;
	row->run = run;
	memcpy(SORT_ROW_CODE(row), code, sorter->words * sizeof(uint64));
}

void
xmhash_sorter_add(XmhashSorter *sorter, const uint64 *codes, const ItemPointerData *tids, int count)
{
	for (int i = 0; i < count; i++)
	{
		const uint64 *code = codes + (Size) i * sorter->words;
		uint16		distance = 0;
		uint32		centre = sorter->centres == 0 ? 0 :
		hamming_kernels->nearest(code, sorter->centre, sorter->words, sorter->centres, &distance);

		add_row(sorter, 0, centre, centre_place(centre, distance, sorter->bits), code, &tids[i]);
		for (int band = 0; band < sorter->bands; band++)
			add_row(sorter, 1 + band, band_value(code, sorter->bits, sorter->bands, band), 0, code, &tids[i]);
	}
	sorter->total += (uint64) count * (1 + sorter->bands);
}

void
xmhash_sorter_add_null(XmhashSorter *sorter, ItemPointer tid)
{
	if (!sorter->own.nulls)
	{
		MemoryContext old = MemoryContextSwitchTo(sorter->context);

		sorter->own.nulls = create_file(sorter, "nulls");
		MemoryContextSwitchTo(old);
	}
	BufFileWrite(sorter->own.nulls, tid, sizeof(ItemPointerData));
	sorter->own.null_count++;
	sorter->nulls++;
}

/* ---------- Sharing ---------- */

/* What a participant's third file says of the other two. */
typedef struct SortSummary
{
	uint64		nulls;
	int32		runs;
	int32		unused;
} SortSummary;

/* Write everything to files and let the leader have them. */
void
xmhash_sorter_export(XmhashSorter *sorter)
{
	SortFile   *own = &sorter->own;
	SortSummary summary = {own->null_count, 0, 0};
	BufFile    *file;

	if (sorter->count > 0)
		spill(sorter);
	summary.runs = own->runs;
	file = create_file(sorter, "runs");
	BufFileWrite(file, &summary, sizeof(summary));
	if (own->runs > 0)
		BufFileWrite(file, own->run, own->runs * sizeof(SortRun));
	BufFileExportFileSet(file);
	BufFileClose(file);
	if (own->rows)
	{
		BufFileExportFileSet(own->rows);
		BufFileClose(own->rows);
		own->rows = NULL;
	}
	if (own->nulls)
	{
		BufFileExportFileSet(own->nulls);
		BufFileClose(own->nulls);
		own->nulls = NULL;
	}
}

static BufFile *
open_file(SharedFileSet *files, const char *kind, int participant)
{
	char		name[MAXPGPATH];

	snprintf(name, sizeof(name), "%s%d", kind, participant);
	return BufFileOpenFileSet(&files->fs, name, O_RDONLY, false);
}

void
xmhash_sorter_import(XmhashSorter *sorter, SharedFileSet *files, int participant)
{
	MemoryContext old = MemoryContextSwitchTo(sorter->context);
	SortFile   *import;
	SortSummary summary;
	BufFile    *file = open_file(files, "runs", participant);

	sorter->import = sorter->import ?
		repalloc(sorter->import, (sorter->imported + 1) * sizeof(SortFile)) :
		palloc(sizeof(SortFile));
	import = &sorter->import[sorter->imported++];
	memset(import, 0, sizeof(SortFile));
	BufFileReadExact(file, &summary, sizeof(summary));
	import->null_count = summary.nulls;
	import->runs = summary.runs;
	if (summary.runs > 0)
	{
		import->run = palloc(summary.runs * sizeof(SortRun));
		BufFileReadExact(file, import->run, summary.runs * sizeof(SortRun));
		import->rows = open_file(files, "rows", participant);
	}
	if (summary.nulls > 0)
		import->nulls = open_file(files, "nulls", participant);
	BufFileClose(file);
	sorter->nulls += summary.nulls;
	for (int r = 0; r < import->runs; r++)
		sorter->total += import->run[r].rows;
	MemoryContextSwitchTo(old);
}

/* ---------- Merging ---------- */

/* The reader's next row; NULL at the run's end. */
static SortRow *
reader_row(const XmhashSorter *sorter, RunReader *reader)
{
	if (reader->next == reader->filled)
	{
		Size		rows = Min(reader->run.rows, sorter->reader_rows);
		off_t		offset;
		int			fileno;

		if (rows == 0)
			return NULL;
		if (BufFileSeek(reader->file, reader->run.fileno, reader->run.offset, SEEK_SET) != 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not seek in a temporary file of an index build")));
		BufFileReadExact(reader->file, reader->buffer, rows * sorter->row_size);
		BufFileTell(reader->file, &fileno, &offset);
		reader->run.fileno = fileno;
		reader->run.offset = offset;
		reader->run.rows -= rows;
		reader->filled = rows;
		reader->next = 0;
	}
	return (SortRow *) (reader->buffer + reader->next * sorter->row_size);
}

static void
open_readers(XmhashSorter *sorter, SortFile *file)
{
	for (int r = 0; r < file->runs; r++)
	{
		RunReader  *reader = &sorter->reader[sorter->readers++];

		memset(reader, 0, sizeof(RunReader));
		reader->file = file->rows;
		reader->run = file->run[r];
		reader->buffer = MemoryContextAllocHuge(sorter->context,
												sorter->reader_rows * sorter->row_size);
	}
}

/* binaryheap keeps the largest on top: the order is turned around. */
static int
compare_readers(Datum a, Datum b, void *context)
{
	XmhashSorter *sorter = context;

	return compare_rows(reader_row(sorter, &sorter->reader[DatumGetInt32(b)]),
						reader_row(sorter, &sorter->reader[DatumGetInt32(a)]), sorter->words);
}

static void
write_row(const XmhashSorter *sorter, XmhashWriter *writer, SortRow *row, uint64 number)
{
	if (row->run == 0)
		xmhash_writer_add(writer, row->centre, centre_place(row->centre, row->place, sorter->bits), SORT_ROW_CODE(row), &row->tid);
	else
		xmhash_writer_add_to_band(writer, row->run - 1, row->centre, SORT_ROW_CODE(row), &row->tid);
	if (sorter->reports && number % 4096 == 0)
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, number);
}

static void
write_merged(XmhashSorter *sorter, XmhashWriter *writer)
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
	open_readers(sorter, &sorter->own);
	for (int i = 0; i < sorter->imported; i++)
		open_readers(sorter, &sorter->import[i]);

	heap = binaryheap_allocate(Max(runs, 1), compare_readers, sorter);
	for (int r = 0; r < sorter->readers; r++)
		if (reader_row(sorter, &sorter->reader[r]))
			binaryheap_add_unordered(heap, Int32GetDatum(r));
	binaryheap_build(heap);
	while (!binaryheap_empty(heap))
	{
		RunReader  *reader = &sorter->reader[DatumGetInt32(binaryheap_first(heap))];

		CHECK_FOR_INTERRUPTS();
		write_row(sorter, writer, reader_row(sorter, reader), ++written);
		reader->next++;
		if (reader_row(sorter, reader))
			binaryheap_replace_first(heap, binaryheap_first(heap));
		else
			binaryheap_remove_first(heap);
	}
	binaryheap_free(heap);
}

static void
write_nulls(XmhashWriter *writer, SortFile *file)
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

		CHECK_FOR_INTERRUPTS();
		BufFileReadExact(file->nulls, &tid, sizeof(tid));
		xmhash_writer_add_null(writer, &tid);
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
		xmhash_build_phase(XMHASH_PHASE_SORTING);
	if (in_memory)
		sort_rows(sorter);
	else if (sorter->count > 0)
		spill(sorter);
	if (sorter->reports)
	{
		xmhash_build_phase(XMHASH_PHASE_WRITING);
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, sorter->total);
	}
	MemoryContextSwitchTo(old);

	writer = xmhash_writer_begin(index, role, sorter->bits, sorter->centre, sorter->centres, sorter->bands,
								 sorter->total / (1 + sorter->bands), sorter->nulls);
	MemoryContextSwitchTo(sorter->context);
	if (in_memory)
		for (uint32 i = 0; i < sorter->count; i++)
		{
			CHECK_FOR_INTERRUPTS();
			write_row(sorter, writer, row_at(sorter, sorter->order[i]), i + 1);
		}
	else
		write_merged(sorter, writer);
	write_nulls(writer, &sorter->own);
	for (int i = 0; i < sorter->imported; i++)
		write_nulls(writer, &sorter->import[i]);
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
