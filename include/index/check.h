/*
 * index/check.h: between the files of xmhash_index_check(): index/check.c, which
 * walks over the index, and index/check_heap.c, which compares its rows with the
 * table's.
 */
#ifndef INDEX_CHECK_H
#define INDEX_CHECK_H

#include "index/index.h"

#include "utils/snapshot.h"
#include "utils/tuplesort.h"

/* What an entry says of a row. */
typedef struct CheckRow
{
	ItemPointer tid;
	const uint64 *code;			/* [words]; NULL: NULL */
	int			words;
	const int64 *keys;			/* [columns] */
	int			columns;
} CheckRow;

/* A number for where a row is, of 48 bits. */
static inline uint64
check_row_number(ItemPointer tid)
{
	return ((uint64) ItemPointerGetBlockNumberNoCheck(tid) << 16) | ItemPointerGetOffsetNumberNoCheck(tid);
}

/* Row keys, of the index's entries or of the table's rows, to be sorted. */
extern Tuplesortstate *check_begin_keys(void);
extern void check_add_key(Tuplesortstate *keys, const CheckRow *row);

/* Each row of the table that the snapshot sees is among the entries, and none is there twice. */
extern void check_heap(Relation heap, Relation index, Snapshot snapshot, Tuplesortstate *entries);

#endif							/* INDEX_CHECK_H */
