/*
 * model/rows.c: rows of a model's table, in and out.
 *
 * They are found by the table's snapshot and checked by what they say, since
 * their owner can have put anything there.  Sizes are known before anything is
 * fetched or allocated for them.
 */
#include "model/model.h"

#include <limits.h>

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "server/memory.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* A description is a few kilobytes, or as long as the names of many classes. */
#define MAX_INFO_BYTES (16 * 1024 * 1024)

#define PIECE_FLOATS (MODEL_PART_BYTES / sizeof(float))

/* Find the rows of a part, or one of them. */
void
model_scan_begin(ModelScan *scan, const ModelTable *table, const char *part, int number)
{
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], table->part, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(part));
	ScanKeyInit(&keys[1], table->number, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(number));
	scan->table = table;
	scan->scan = systable_beginscan(table->relation, table->index, OidIsValid(table->index),
									table->snapshot, number == MODEL_ANY_NUMBER ? 1 : 2, keys);
}

static Datum
rows_get_column(const ModelScan *scan, AttrNumber column, bool *isnull)
{
	return heap_getattr(scan->tuple, column, RelationGetDescr(scan->table->relation), isnull);
}

/* The next row; without a number, which the primary key excludes, there is none. */
bool
model_scan_next(ModelScan *scan)
{
	bool		isnull;

	do
	{
		CHECK_FOR_INTERRUPTS();
		scan->tuple = systable_getnext(scan->scan);
		if (!HeapTupleIsValid(scan->tuple))
			return false;
		scan->number = DatumGetInt32(rows_get_column(scan, scan->table->number, &isnull));
	} while (isnull);
	return true;
}

void
model_scan_end(ModelScan *scan)
{
	systable_endscan(scan->scan);
}

/* What is known about the row, as a JSON object; NULL if it says nothing that can be. */
Jsonb *
model_scan_info(const ModelScan *scan)
{
	bool		isnull;
	Datum		value = rows_get_column(scan, scan->table->info, &isnull);
	Jsonb	   *info;

	if (isnull || toast_raw_datum_size(value) > MAX_INFO_BYTES)
		return NULL;
	info = DatumGetJsonbPCopy(value);
	return JB_ROOT_IS_OBJECT(info) ? info : NULL;
}

static Jsonb *
rows_make_info(const ModelTable *table, const char *json)
{
	Jsonb	   *info = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));

	if (VARSIZE(info) > MAX_INFO_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the description of model \"%s\" takes %d bytes, more than %d",
						RelationGetRelationName(table->relation), (int) VARSIZE(info), MAX_INFO_BYTES),
				 errhint("Most of it are the names of classes.")));
	return info;
}

void
model_insert_row(const ModelTable *table, const char *part, int number, const char *info, bytea *data)
{
	TupleDesc	descriptor = RelationGetDescr(table->relation);
	Datum	   *values = palloc0(descriptor->natts * sizeof(Datum));
	bool	   *nulls = palloc(descriptor->natts * sizeof(bool));
	HeapTuple	tuple;

	memset(nulls, true, descriptor->natts * sizeof(bool));
	values[table->part - 1] = CStringGetTextDatum(part);
	nulls[table->part - 1] = false;
	values[table->number - 1] = Int32GetDatum(number);
	nulls[table->number - 1] = false;
	if (info != NULL)
	{
		values[table->info - 1] = JsonbPGetDatum(rows_make_info(table, info));
		nulls[table->info - 1] = false;
	}
	if (data != NULL)
	{
		values[table->data - 1] = PointerGetDatum(data);
		nulls[table->data - 1] = false;
	}
	tuple = heap_form_tuple(descriptor, values, nulls);
	CatalogTupleInsert(table->relation, tuple);
	heap_freetuple(tuple);
	pfree(values);
	pfree(nulls);
	CommandCounterIncrement();
}

static void
rows_fail_changed(const ModelTable *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rows of model \"%s\" have been changed meanwhile",
					RelationGetRelationName(table->relation)),
			 errhint("A model that is being trained is for its training alone to write.")));
}

/* A row that is about to be changed is as the snapshot sees it. */
static void
rows_lock_row(const ModelTable *table, ItemPointer place)
{
	TupleTableSlot *slot = table_slot_create(table->relation, NULL);
	TM_FailureData failure;

	if (table_tuple_lock(table->relation, place, table->snapshot, slot, GetCurrentCommandId(true),
						 LockTupleNoKeyExclusive, LockWaitBlock, 0, &failure) != TM_Ok)
		rows_fail_changed(table);
	ExecDropSingleTupleTableSlot(slot);
}

/* Say something else about a row that must be there. */
void
model_update_info(const ModelTable *table, const char *part, int number, const char *info)
{
	TupleDesc	descriptor = RelationGetDescr(table->relation);
	int			column = table->info;
	Datum		value = JsonbPGetDatum(rows_make_info(table, info));
	bool		isnull = false;
	ModelScan	scan;
	HeapTuple	tuple = NULL;

	model_scan_begin(&scan, table, part, number);
	if (model_scan_next(&scan))
		tuple = heap_modify_tuple_by_cols(scan.tuple, descriptor, 1, &column, &value, &isnull);
	model_scan_end(&scan);
	if (tuple == NULL)
		rows_fail_changed(table);
	rows_lock_row(table, &tuple->t_self);
	CatalogTupleUpdate(table->relation, &tuple->t_self, tuple);
	heap_freetuple(tuple);
	CommandCounterIncrement();
}

/* Rows of a part whose number is at least this. */
void
model_delete_rows(const ModelTable *table, const char *part, int from)
{
	ModelScan	scan;

	model_scan_begin(&scan, table, part, MODEL_ANY_NUMBER);
	while (model_scan_next(&scan))
	{
		if (scan.number < from)
			continue;
		rows_lock_row(table, &scan.tuple->t_self);
		CatalogTupleDelete(table->relation, &scan.tuple->t_self);
	}
	model_scan_end(&scan);
	CommandCounterIncrement();
}

/* Floats are stored little-endian. */
static void
rows_copy_floats(char *to, const char *from, size_t count)
{
#ifdef WORDS_BIGENDIAN
	size_t		i;

	for (i = 0; i < count; i++)
	{
		uint32		word;

		memcpy(&word, from + 4 * i, 4);
		word = pg_bswap32(word);
		memcpy(to + 4 * i, &word, 4);
	}
#else
	memcpy(to, from, count * sizeof(float));
#endif
}

/* Store floats as the pieces of a part; the first one's row can say more. */
void
model_write_pieces(const ModelTable *table, const char *part, const float *floats, size_t count,
				   const char *info)
{
	bytea	   *data = palloc(VARHDRSZ + Min(count, PIECE_FLOATS) * sizeof(float));
	size_t		from;
	int			number = 0;

	for (from = 0; from < count; from += PIECE_FLOATS)
	{
		size_t		some = Min(count - from, PIECE_FLOATS);

		CHECK_FOR_INTERRUPTS();
		SET_VARSIZE(data, VARHDRSZ + some * sizeof(float));
		rows_copy_floats(VARDATA(data), (const char *) (floats + from), some);
		model_insert_row(table, part, number, number == 0 ? info : NULL, data);
		number++;
	}
	pfree(data);
}

/* At a level below ERROR the caller goes on, and says so by what it returns. */
static void
rows_report_damaged(const ModelTable *table, int level, char *detail)
{
	ereport(level,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("model \"%s\" is damaged", RelationGetRelationName(table->relation)),
			 errdetail_internal("%s", detail)));
}

/* Take a piece that was found, if it can be what it says it is. */
static bool
rows_collect_piece(const ModelScan *scan, const char *part, size_t count, int pieces, int level, HeapTuple *tuples)
{
	const ModelTable *table = scan->table;
	char	   *problem;
	size_t		expected;
	size_t		found = 0;
	bool		isnull;
	Datum		data = rows_get_column(scan, table->data, &isnull);

	if (scan->number < 0 || scan->number >= pieces)
		problem = psprintf("Its part \"%s\" has a piece with number %d, expected 0 to %d.",
						   part, scan->number, pieces - 1);
	else if (tuples[scan->number] != NULL)
		problem = psprintf("Its part \"%s\" has piece %d more than once.", part, scan->number);
	else
	{
		expected = Min(count - scan->number * PIECE_FLOATS, PIECE_FLOATS) * sizeof(float);
		if (!isnull)
			found = toast_raw_datum_size(data) - VARHDRSZ;
		if (found == expected)
		{
			tuples[scan->number] = heap_copytuple(scan->tuple);
			return true;
		}
		problem = psprintf("Its part \"%s\" has %zu bytes in piece %d, expected %zu.",
						   part, found, scan->number, expected);
	}
	rows_report_damaged(table, level, problem);
	return false;
}

/*
 * The tuples of all pieces, still with their data out of line; each is there
 * once, and of the size that it must have.  Otherwise NULL, or an error at the
 * level ERROR.
 */
static HeapTuple *
rows_collect_pieces(const ModelTable *table, const char *part, size_t count, int level)
{
	size_t		pieces = (count + PIECE_FLOATS - 1) / PIECE_FLOATS;
	HeapTuple  *tuples;
	ModelScan	scan;
	bool		good = true;
	size_t		i;

	if (pieces > INT_MAX / 2)
	{
		rows_report_damaged(table, level, psprintf("Its part \"%s\" would have %zu pieces.", part, pieces));
		return NULL;
	}
	tuples = palloc0(pieces * sizeof(HeapTuple));
	model_scan_begin(&scan, table, part, MODEL_ANY_NUMBER);
	while (good && model_scan_next(&scan))
		good = rows_collect_piece(&scan, part, count, (int) pieces, level, tuples);
	model_scan_end(&scan);
	for (i = 0; good && i < pieces; i++)
	{
		if (tuples[i] != NULL)
			continue;
		good = false;
		ereport(level,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" is not complete: piece %zu of %zu of its %s is missing",
						RelationGetRelationName(table->relation), i + 1, pieces, part),
				 errhint("A restore or a replication may be filling its table still.")));
	}
	return good ? tuples : NULL;
}

/* Show each piece's bytes, freed after it, to a function. */
static void
rows_visit_pieces(const ModelTable *table, HeapTuple *tuples, size_t count,
				  void (*visit) (void *argument, const char *bytes, size_t size), void *argument)
{
	size_t		pieces = (count + PIECE_FLOATS - 1) / PIECE_FLOATS;
	size_t		i;

	for (i = 0; i < pieces; i++)
	{
		bool		isnull;
		Datum		value = heap_getattr(tuples[i], table->data, RelationGetDescr(table->relation), &isnull);
		bytea	   *data = DatumGetByteaPP(value);

		CHECK_FOR_INTERRUPTS();
		visit(argument, VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data));
		if ((Pointer) data != DatumGetPointer(value))
			pfree(data);
		heap_freetuple(tuples[i]);
	}
	pfree(tuples);
}

/* The same of a whole part, as it is stored; false if it is not complete and sound. */
bool
model_pieces_visit(const ModelTable *table, const char *part, size_t count,
				   void (*visit) (void *argument, const char *bytes, size_t size), void *argument)
{
	HeapTuple  *tuples = rows_collect_pieces(table, part, count, DEBUG1);

	if (tuples == NULL)
		return false;
	rows_visit_pieces(table, tuples, count, visit, argument);
	return true;
}

/* The next of a part's floats. */
static void
rows_append_floats(void *argument, const char *bytes, size_t size)
{
	char	  **to = argument;

	rows_copy_floats(*to, bytes, size / sizeof(float));
	*to += size;
}

/*
 * What is stored in few bytes, because it compresses well or its numbers are
 * narrow, may be large: whoever uses the model is not to be killed for it.
 */
void
model_check_memory(const char *model, double bytes)
{
	if (bytes > MODEL_PART_BYTES && bytes > memory_available())
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("model \"%s\" needs %.1f MB of memory, but %.1f MB are available",
						model, bytes / (1024 * 1024), memory_available() / (1024 * 1024))));
}

/* The floats of a part, in the environment's arena. */
float *
model_read_pieces(const ModelTable *table, const char *part, size_t count, const CoreEnv *env)
{
	HeapTuple  *tuples = rows_collect_pieces(table, part, count, ERROR);
	float	   *floats;
	char	   *at;

	model_check_memory(RelationGetRelationName(table->relation), (double) count * sizeof(float));
	floats = env->allocate(env->arena, count * sizeof(float));
	at = (char *) floats;
	rows_visit_pieces(table, tuples, count, rows_append_floats, &at);
	return floats;
}

/*
 * A number that changes when rows change that encoding depends on: where they
 * lie, in which file, and who wrote them; and whether one of them is of this
 * transaction, which may take it back.  It costs a look at a few rows, where
 * reading the weights costs as many megabytes.
 */
uint64
model_fingerprint(const ModelTable *table, bool *uncommitted)
{
	static const char *const parts[] = {MODEL_PART_MODEL, MODEL_PART_WEIGHTS};
	uint64		hash = table->relation->rd_rel->relfilenode;
	int			i;

	*uncommitted = false;
	for (i = 0; i < (int) lengthof(parts); i++)
	{
		ModelScan	scan;

		model_scan_begin(&scan, table, parts[i], MODEL_ANY_NUMBER);
		while (model_scan_next(&scan))
		{
			ItemPointer place = &scan.tuple->t_self;
			uint64		row = ((uint64) HeapTupleHeaderGetRawXmin(scan.tuple->t_data) << 32) ^
			((uint64) ItemPointerGetBlockNumber(place) << 16) ^ ItemPointerGetOffsetNumber(place);

			*uncommitted |= TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(scan.tuple->t_data));
			hash += hash_bytes_extended((const unsigned char *) &row, sizeof(row), i);
		}
		model_scan_end(&scan);
	}
	return hash;
}
