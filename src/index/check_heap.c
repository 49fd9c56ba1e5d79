/*
 * index/check_heap.c: are the rows of the table in the index, each once, with
 * their codes and keys?
 */
#include "postgres.h"

#include "index/check.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "bitcode/bitcode.h"
#include "common/hashfn.h"
#include "miscadmin.h"

/*
 * Row, code and keys in one number: the tid in the upper 48 bits, so that sorting
 * brings a row's entries together, and a hash of the others in the lower 16.
 */
static Datum
check_row_key(const CheckRow *entry)
{
	uint64		row = check_row_number(entry->tid);
	uint32		hash = entry->code == NULL ? 0 :
	1 + hash_bytes((const unsigned char *) entry->code, entry->words * sizeof(uint64)) % 65535;

	/* A NULL is told from all codes, if there are no keys; 2 in 65536 changed codes or keys go unnoticed. */
	if (entry->columns > 0)
		hash = (hash ^ hash_bytes((const unsigned char *) entry->keys, entry->columns * sizeof(int64))) & 0xFFFF;
	return Int64GetDatum((int64) (row << 16 | hash));
}

void
check_add_key(Tuplesortstate *keys, const CheckRow *row)
{
	tuplesort_putdatum(keys, check_row_key(row), false);
}

/* Called for each row that the snapshot sees. */
static void
check_note_heap_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *state)
{
	uint64		words[HAMMING_WORDS(HAMMING_MAX_BITS)];
	int64		keys[XMHASH_MAX_COLUMNS];
	CheckRow	row = {tid, NULL, 0, keys, IndexRelationGetNumberOfKeyAttributes(index) - 1};
	Bitcode    *code;

	xmhash_row_keys(index, values, isnull, keys);
	if (isnull[0])
	{
		check_add_key(state, &row);
		return;
	}
	code = DatumGetBitcodeP(values[0]);
	bitcode_check_length(BITCODE_BITS(code), NULL);
	bitcode_to_words(code, words);
	row.code = words;
	row.words = BITCODE_WORDS(code);
	check_add_key(state, &row);
	if ((Pointer) code != DatumGetPointer(values[0]))
		pfree(code);
}

Tuplesortstate *
check_begin_keys(void)
{
	return tuplesort_begin_datum(INT8OID, Int8LessOperator, InvalidOid, false, maintenance_work_mem / 2, NULL, TUPLESORT_NONE);
}

static bool
check_next_key(Tuplesortstate *keys, int64 *key)
{
	Datum		value;
	bool		isnull;

	if (!tuplesort_next_value(keys, &value, &isnull))
		return false;
	*key = DatumGetInt64(value);
	return true;
}

static void
check_raise_row(Relation index, int64 key, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("index \"%s\" %s row (%u,%u)", RelationGetRelationName(index), what,
					(BlockNumber) ((uint64) key >> 32), (OffsetNumber) ((uint64) key >> 16 & 0xFFFF)),
			 errhint("Rebuild it with REINDEX.")));
}

/*
 * Both in ascending order: no row twice among the entries, and each row of the
 * heap among them.  Entries that no row answers to are those of dead rows.
 */
static void
check_compare_keys(Relation index, Tuplesortstate *entries, Tuplesortstate *rows)
{
	int64		entry,
				last = 0,
				row = 0;
	bool		first = true;
	bool		more = check_next_key(rows, &row);

	for (; check_next_key(entries, &entry); last = entry, first = false)
	{
		CHECK_FOR_INTERRUPTS();
		if (!first && (uint64) entry >> 16 == (uint64) last >> 16)
			check_raise_row(index, entry, "has more than one entry for");
		if (more && row == entry)
			more = check_next_key(rows, &row);
		else if (more && row < entry)
			check_raise_row(index, row, "lacks, or has with another code,");
	}
	if (more)
		check_raise_row(index, row, "lacks, or has with another code,");
}

/*
 * Every row that a snapshot older than the walk over the index sees must have
 * been there: it was inserted before it was committed.
 */
void
check_heap(Relation heap, Relation index, Snapshot snapshot, Tuplesortstate *entries)
{
	IndexInfo  *info = BuildIndexInfo(index);
	Tuplesortstate *rows = check_begin_keys();
	TableScanDesc scan;

	/* As a concurrent build would: the snapshot decides, dead rows are left out. */
	info->ii_Concurrent = true;
	info->ii_Unique = false;
	scan = table_beginscan_strat(heap, snapshot, 0, NULL, true, false);
	/* Core takes a scan that it is given for a parallel build's, and asserts that it may be synchronised. */
	table_index_build_scan(heap, index, info, true, false, check_note_heap_row, rows, scan);
	tuplesort_performsort(entries);
	tuplesort_performsort(rows);
	check_compare_keys(index, entries, rows);
	tuplesort_end(rows);
}
