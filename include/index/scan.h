/*
 * index/scan.h: the contract between the files of a scan: index/scan.c with
 * index/scan_keys.c and index/scan_pages.c; and the counters of the last scan.
 */
#ifndef INDEX_SCAN_H
#define INDEX_SCAN_H

#include "index/search.h"

#include "access/relscan.h"

typedef enum ScanStage
{
	STAGE_START,				/* nothing has been looked at */
	STAGE_CODES,
	STAGE_NULLS,
	STAGE_END
} ScanStage;

/*
 * Work space that outlives a scan, since the next one is likely to want the
 * same again: a search and arrays over all pages.
 */
typedef struct ScanWork
{
	MemoryContext context;
	int			bits;
	Search	   *search;
	struct XmhashScan *scan;	/* whose pages the search reads */
	size_t		pages;			/* capacity of the next two */
	int16	   *bound;
	int16	   *others;
	size_t		centres;
	uint16	   *distances;
	uint64	   *pending_codes;	/* a pending page without its NULLs, or a band page's own hits */
	ItemPointerData *pending_tids;
	void	   *pending_keys[XMHASH_MAX_COLUMNS];	/* one without NULLs has these too */
	uint32	   *positions;		/* of a band page's hits, and their distances */
	uint16	   *hit_distances;
} ScanWork;

/* A scan in progress. */
typedef struct XmhashScan
{
	Relation	index;
	Snapshot	snapshot;
	MemoryContext context;
	MemoryContextCallback callback;
	Layout	   *layout;			/* NULL: not acquired, or given back */
	IndexSnapshot index_snapshot;
	ScanWork   *work;
	ScanStage	stage;
	bool		returned;		/* a row, since the last rescan */
	uint64		serial;			/* tells scans apart */

	/* the question, from the scan keys */
	MemoryContext question_context; /* of all that it points to */
	SearchQuestion question;
	KeyCondition condition[XMHASH_MAX_COLUMNS];
	bool		impossible;		/* a key that nothing fulfils */
	bool		wants_codes;	/* rows with a code */
	bool		wants_nulls;	/* and those with a NULL */
	bool		recheck;		/* the keys may let through too many */
	bool		by_bands;		/* of some segment */
	bool		null_order;		/* ordered by the distance to NULL */
	int			code_keys;		/* keys that compare codes */
	bool	   *filter_equal;	/* [question.filter_count]: radius 0 by `=` */
	bool		driver_equal;

	/* reading */
	Buffer		buffer;			/* of the columns that the search holds */
	int			prefetched;		/* pages ahead that were asked for */
	int			prefetch_max;	/* -1: not looked up */
	uint32		reads;

	/* what is left of a large output, index/scan_sort.c */
	struct Tuplesortstate *sort;	/* NULL: none, or ended */
	bool		sort_done;
	struct SortDatum *sort_datum;	/* scratch */
	TupleTableSlot *sort_input;
	TupleTableSlot *sort_output;

	/* NULLs */
	uint32		null_page;		/* next, of the layout's, then pending ones */
	int			null_count;
	int			null_next;
	ItemPointerData *null_tids;
} XmhashScan;

/* index/scan_keys.c: the question that the scan keys ask. */
extern void scan_take_keys(IndexScanDesc scan);

/* index/scan_filter.c: the values of a key that is compared with = ANY (…), and how many. */
extern int	scan_key_values(ScanKey key, Datum **value, bool **isnull);

/*
 * Also there: the conditions that keys make of filter columns, one a
 * column at most; false: nothing fulfils them.  recheck: they may let through too many.
 */
extern bool scan_take_conditions(Relation index, const XmhashRowFormat *format, ScanKey keys, int count,
								 KeyCondition *conditions, int *condition_count, bool *recheck);

/* index/scan_pages.c: pages for the search, whose context is a ScanWork; NULLs. */
extern const PageReader scan_page_reader;
extern SearchResult scan_next_null(XmhashScan *state, Candidate *answer);

/* index/scan_sort.c: the sort of what a search cannot keep, whose context is a ScanWork too. */
extern const CandidateSort scan_candidate_sort;
extern void scan_end_sort(XmhashScan *state);

/* Counters of the last scan of this backend, over its rescans. */
typedef struct LastScan
{
	uint64		serial;			/* of the scan */
	Oid			index;
	const char *strategy;
	int64		scans;
	int64		segments;
	int64		pages;			/* data pages there are */
	int64		pages_read;
	int64		pending_pages_read;
	int64		codes;
	int64		candidates;
	int64		batches;
	int64		radius;
	int64		rows;
} LastScan;

extern LastScan xmhash_last;

#endif							/* INDEX_SCAN_H */
