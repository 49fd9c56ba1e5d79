/*
 * index/sort.h: sorting rows into centre order.
 *
 * The first part is the contract with builds and merges: begin with a sample,
 * add everything once, write.  The second is between the files of the sorter.
 */
#ifndef INDEX_SORT_H
#define INDEX_SORT_H

#include "index/index.h"

#include "storage/buffile.h"
#include "storage/sharedfileset.h"

typedef struct XmhashSorter XmhashSorter;

/* How many codes a sample should have for a segment of that many rows. */
extern uint32 xmhash_sample_rows(const XmhashRowFormat *format, double rows);

/*
 * rows: the expected number, from which the number of centres follows; a
 * small segment gets none.  memory in bytes, beyond it the sorter spills to
 * temporary files.
 */
extern XmhashSorter *xmhash_sorter_begin(const XmhashRowFormat *format, const uint64 *sample, uint32 sample_rows,
										 double rows, Size memory);

/* Band runs, before anything is added; a segment without centres gets none. */
extern void xmhash_sorter_set_bands(XmhashSorter *sorter, int bands);
extern void xmhash_sorter_add(XmhashSorter *sorter, const uint64 *codes, const int64 *keys, const ItemPointerData *tids,
							  int count);
extern void xmhash_sorter_add_null(XmhashSorter *sorter, const int64 *keys, ItemPointer tid);

/*
 * Sort, begin a writer, feed it and return it, for the caller to finish.
 */
extern XmhashWriter *xmhash_sorter_write(XmhashSorter *sorter, Relation index, XmhashWriterRole role);
extern void xmhash_sorter_end(XmhashSorter *sorter);

/*
 * What a parallel build shares: the centres are found once, each participant
 * sorts its rows into runs in files of the set, the leader merges them.
 */
extern const uint64 *xmhash_sorter_centres(const XmhashSorter *sorter, int *count);
extern XmhashSorter *xmhash_sorter_begin_shared(const XmhashRowFormat *format, const uint64 *centre, int centres,
												Size memory, SharedFileSet *files, int participant);
extern void xmhash_sorter_export(XmhashSorter *sorter);
extern void xmhash_sorter_import(XmhashSorter *sorter, SharedFileSet *files, int participant);

/* While it has no rows yet: the length that was not known, less memory. */
extern void xmhash_sorter_set_bits(XmhashSorter *sorter, int bits);
extern void xmhash_sorter_set_memory(XmhashSorter *sorter, Size memory);

/* Phases of CREATE INDEX, for progress reports; the last two are the sorter's. */
typedef enum XmhashBuildPhase
{
	XMHASH_PHASE_SAMPLING = 2,	/* 1 is core's "initializing" */
	XMHASH_PHASE_SCANNING,
	XMHASH_PHASE_SORTING,
	XMHASH_PHASE_WRITING
} XmhashBuildPhase;

/* ---------- Between the sorter's files ---------- */

/* A row to be sorted; its code and the keys of its filter columns follow. */
typedef struct SortRow
{
	uint32		centre;			/* in a band's run its value */
	uint16		place;			/* centre_place(); in a band's run 0 */
	ItemPointerData tid;
	uint32		run;			/* 0: base, 1 + band */
} SortRow;

StaticAssertDecl(sizeof(SortRow) == 16, "codes stay aligned behind a SortRow");

#define SORT_ROW_SIZE(words, columns) (sizeof(SortRow) + (words) * sizeof(uint64) + (columns) * sizeof(int64))
#define SORT_ROW_CODE(row) ((uint64 *) ((char *) (row) + sizeof(SortRow)))
#define SORT_ROW_KEYS(row, words) ((int64 *) (SORT_ROW_CODE(row) + (words)))

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
	BufFile    *nulls;			/* ItemPointerData and keys, row after row */
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
	XmhashRowFormat format;
	Size		row_size;
	Size		memory;
	int			bands;			/* each row comes again for every band */
	int			centres;
	uint64	   *centre;			/* [centres × words] */
	ReachProbes probes;			/* from the sample, if there are centres */

	char	   *rows;			/* [count], of capacity */
	uint32		count;
	uint32		capacity;
	uint32		max_rows;		/* as memory allows */
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

static inline SortRow *
sort_row_at(const XmhashSorter *sorter, uint32 position)
{
	return (SortRow *) (sorter->rows + position * sorter->row_size);
}

/* index/sort_memory.c */
extern int	sort_compare_rows(const SortRow *a, const SortRow *b, int words);
extern void sort_rows(XmhashSorter *sorter);

/* index/sort_files.c */
extern BufFile *sort_create_file(XmhashSorter *sorter, const char *kind);
extern void sort_spill(XmhashSorter *sorter);
extern void sort_open_readers(XmhashSorter *sorter, SortFile *file);
extern SortRow *sort_reader_row(const XmhashSorter *sorter, RunReader *reader);

#endif							/* INDEX_SORT_H */
