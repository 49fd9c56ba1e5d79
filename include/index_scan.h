/*
 * index_scan.h: what a scan tells of itself.
 */
#ifndef INDEX_SCAN_H
#define INDEX_SCAN_H

#include "index_search.h"

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
