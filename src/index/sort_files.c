/*
 * index/sort_files.c: the sorter's runs in temporary files: written, handed
 * from the participants of a parallel build to its leader, and read.
 */
#include "postgres.h"

#include "index/sort.h"

#include "miscadmin.h"

BufFile *
sort_create_file(XmhashSorter *sorter, const char *kind)
{
	char		name[MAXPGPATH];

	if (!sorter->shared)
		return BufFileCreateTemp(false);
	snprintf(name, sizeof(name), "%s%d", kind, sorter->participant);
	return BufFileCreateFileSet(&sorter->shared->fs, name);
}

/* Sort the rows in memory and write them as a run. */
void
sort_spill(XmhashSorter *sorter)
{
	MemoryContext old = MemoryContextSwitchTo(sorter->context);
	SortFile   *own = &sorter->own;
	SortRun    *run;
	off_t		offset;
	int			fileno;

	sort_rows(sorter);
	if (!own->rows)
		own->rows = sort_create_file(sorter, "rows");
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
		BufFileWrite(own->rows, sort_row_at(sorter, sorter->order[i]), sorter->row_size);
	}
	pfree(sorter->order);
	sorter->order = NULL;
	sorter->count = 0;
	MemoryContextSwitchTo(old);
}

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
		sort_spill(sorter);
	summary.runs = own->runs;
	file = sort_create_file(sorter, "runs");
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
sort_open_file(SharedFileSet *files, const char *kind, int participant)
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
	BufFile    *file = sort_open_file(files, "runs", participant);

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
		import->rows = sort_open_file(files, "rows", participant);
	}
	if (summary.nulls > 0)
		import->nulls = sort_open_file(files, "nulls", participant);
	BufFileClose(file);
	sorter->nulls += summary.nulls;
	for (int r = 0; r < import->runs; r++)
		sorter->total += import->run[r].rows;
	MemoryContextSwitchTo(old);
}

/* The reader's next row; NULL at the run's end. */
SortRow *
sort_reader_row(const XmhashSorter *sorter, RunReader *reader)
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

void
sort_open_readers(XmhashSorter *sorter, SortFile *file)
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
