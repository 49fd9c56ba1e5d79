/*
 * eval/read.c: codes and labels of two relations, for evaluation.
 *
 * Rows come through SPI, so that the caller's privileges, row security, views,
 * partitions and foreign tables are as in any query.  They are then put into
 * storage order by (tableoid, ctid), whatever order the scan had: synchronised
 * scans start in the middle of a table.  Views have no ctid, and those of rows
 * on other servers say nothing here: there the order of reading stands.
 */
#include "xmhash.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/itemptr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/syscache.h"

#include "bitcode/bitcode.h"
#include "eval/read.h"
#include "server/core_env.h"
#include "server/distribution.h"
#include "server/lookup.h"
#include "server/row_place.h"

/* Where a row is stored. */
typedef struct Place
{
	Oid			table;
	ItemPointerData tid;
	int32		row;			/* as read; also settles equal places */
} Place;

/* A relation being read. */
typedef struct Reading
{
	EvalItems  *items;
	Labels	   *labels;
	const char *relation;
	const char *code_column;
	bool		stored;			/* has tableoid and ctid */
	Place	   *places;			/* [items->room] when stored and ordered */
} Reading;

Oid
eval_column(Oid relation, const char *column)
{
	return lookup_column_type(relation, psprintf("\"%s\"", get_rel_name(relation)), column);
}

/* The code column's type: core's bit strings have the bytes of a bitcode. */
static Oid
read_code_column_type(Oid relation, const char *column, Oid bitcode)
{
	Oid			type = eval_column(relation, column);
	Oid			base = getBaseType(type);

	if (base != bitcode && base != BITOID && base != VARBITOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("code column \"%s\" of relation \"%s\" is of type %s, expected bitcode",
						column, get_rel_name(relation), format_type_be(base))));
	return type;
}

void
eval_check_relation(Oid relation)
{
	char		kind;

	/* Nobody drops it from here on, so that it has a name. */
	LockRelationOid(relation, AccessShareLock);
	kind = get_rel_relkind(relation);

	if (kind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE &&
		kind != RELKIND_MATVIEW && kind != RELKIND_FOREIGN_TABLE && kind != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table or view", get_rel_name(relation))));
}

Oid
eval_code_column(Oid relation, const char *column, Oid function)
{
	eval_check_relation(relation);
	return read_code_column_type(relation, column, lookup_type(function, "bitcode"));
}

/* Capacity for one more row. */
static void
read_reserve_row(Reading *reading)
{
	EvalItems  *items = reading->items;

	if (items->rows < items->capacity)
		return;
	if (items->capacity > PG_INT32_MAX / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("relation \"%s\" has more than %d rows to evaluate",
						reading->relation, items->capacity)));
	if (items->capacity == 0)
	{
		items->capacity = 1024;
		items->codes = MemoryContextAllocExtended(items->context,
												  (Size) items->capacity * items->words * sizeof(uint64),
												  MCXT_ALLOC_HUGE);
		items->set = MemoryContextAlloc(items->context, items->capacity * sizeof(int32));
		if (reading->stored)
			reading->places = MemoryContextAlloc(items->context, items->capacity * sizeof(Place));
		return;
	}
	items->capacity *= 2;
	items->codes = repalloc_huge(items->codes, (Size) items->capacity * items->words * sizeof(uint64));
	items->set = repalloc_huge(items->set, (Size) items->capacity * sizeof(int32));
	if (reading->stored)
		reading->places = repalloc_huge(reading->places, (Size) items->capacity * sizeof(Place));
}

/* Check that a code is as long as those before. */
static void
read_check_bits(Reading *reading, int bits)
{
	EvalItems  *items = reading->items;

	/* A column of core's bit varying may hold lengths that no bitcode has. */
	if (bits < 1 || bits > BITCODE_MAX_BITS)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_LENGTH_MISMATCH),
				 errmsg("code column \"%s\" of relation \"%s\" has a code of %d bits, expected 1 to %d",
						reading->code_column, reading->relation, bits, BITCODE_MAX_BITS)));
	if (items->bits == 0)
	{
		items->bits = bits;
		items->words = HAMMING_WORDS(bits);
	}
	if (bits != items->bits)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_LENGTH_MISMATCH),
				 errmsg("code column \"%s\" of relation \"%s\" has a code of %d bits, but those before have %d",
						reading->code_column, reading->relation, bits, items->bits)));
}

/* Keep a row of code, label[, tableoid, ctid]. */
static void
read_take_row(void *reader, HeapTuple tuple, TupleDesc descriptor, int64 ordinal)
{
	Reading    *reading = reader;
	EvalItems  *items = reading->items;
	Datum		value;
	bool		isnull;
	Bitcode    *code;

	value = SPI_getbinval(tuple, descriptor, 1, &isnull);
	if (isnull)
	{
		items->without_code++;
		return;
	}
	code = DatumGetBitcodeP(value);
	read_check_bits(reading, BITCODE_BITS(code));
	read_reserve_row(reading);
	bitcode_to_words(code, items->codes + (Size) items->rows * items->words);
	value = SPI_getbinval(tuple, descriptor, 2, &isnull);
	items->set[items->rows] = labels_add(reading->labels, value, isnull, ordinal);
	if (reading->stored)
	{
		Place	   *place = &reading->places[items->rows];

		row_place(tuple, descriptor, 3, quote_identifier(reading->relation), &place->table, &place->tid);
		place->row = items->rows;
	}
	items->rows++;
}

static int
read_compare_places(const void *a, const void *b)
{
	const Place *x = a;
	const Place *y = b;
	int32		order;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	order = ItemPointerCompare((ItemPointer) &x->tid, (ItemPointer) &y->tid);
	return order != 0 ? order : (x->row > y->row) - (x->row < y->row);
}

/* Put rows into the order of their places. */
static void
read_order_by_place(EvalItems *items, Place *places)
{
	uint64	   *codes;
	int32	   *set;
	int			i;

	for (i = 1; i < items->rows && read_compare_places(&places[i - 1], &places[i]) < 0; i++)
		;
	if (i >= items->rows)
		return;
	qsort(places, items->rows, sizeof(Place), read_compare_places);
	codes = MemoryContextAllocExtended(items->context,
									   (Size) items->rows * items->words * sizeof(uint64),
									   MCXT_ALLOC_HUGE);
	set = MemoryContextAllocExtended(items->context, (Size) items->rows * sizeof(int32),
									 MCXT_ALLOC_HUGE);
	for (i = 0; i < items->rows; i++)
	{
		memcpy(codes + (Size) i * items->words,
			   items->codes + (Size) places[i].row * items->words, items->words * sizeof(uint64));
		set[i] = items->set[places[i].row];
	}
	pfree(items->codes);
	pfree(items->set);
	items->codes = codes;
	items->set = set;
}

void
eval_fetch_rows(const EvalQuery *query, EvalTakeRow take, void *reader)
{
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "xmhash rows", ALLOCSET_DEFAULT_SIZES);
	Portal		portal = SPI_cursor_open_with_args(NULL, query->text, 0, NULL, NULL, NULL, true, 0);
	int64		ordinal = 0;

	/* Casts run between fetches, and could close it. */
	PinPortal(portal);
	for (;;)
	{
		MemoryContext old_context;
		SPITupleTable *rows;
		uint64		count;

		SPI_cursor_fetch(portal, true, query->rows_at_once);
		rows = SPI_tuptable;
		count = SPI_processed;
		if (count == 0)
			break;
		/* The types were looked up before the query had a lock on the relation. */
		for (int i = 0; i < query->columns; i++)
			if (SPI_gettypeid(rows->tupdesc, i + 1) != query->type[i])
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("relation \"%s\" was altered while it began to be read", query->relation),
						 errhint("Try again.")));
		old_context = MemoryContextSwitchTo(batch);
		for (uint64 i = 0; i < count; i++)
		{
			CHECK_FOR_INTERRUPTS();
			take(reader, rows->vals[i], rows->tupdesc, ++ordinal);
		}
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(batch);
		SPI_freetuptable(rows);
	}
	UnpinPortal(portal);
	SPI_cursor_close(portal);
	MemoryContextDelete(batch);
}

/* Read a relation's rows; in storage order where that matters. */
static void
read_relation(EvalItems *items, Labels *labels, Oid relation, const char *code_column, Oid code_type,
			  const char *label_column, bool in_storage_order)
{
	Reading		reading;
	EvalQuery	query = {.columns = 2, .rows_at_once = EVAL_ROWS_AT_ONCE};
	StringInfoData text;
	Oid			elsewhere;

	memset(&reading, 0, sizeof(reading));
	reading.items = items;
	reading.labels = labels;
	reading.relation = get_rel_name(relation);
	reading.code_column = code_column;
	reading.stored = in_storage_order && relation_rows_where(relation, &elsewhere) == ROWS_HERE;
	query.relation = reading.relation;
	query.type[0] = code_type;
	query.type[1] = eval_column(relation, label_column);
	labels_source(labels, reading.relation, label_column, query.type[1]);
	initStringInfo(&text);
	appendStringInfo(&text, "SELECT %s, %s", quote_identifier(code_column),
					 quote_identifier(label_column));
	if (reading.stored)
		appendStringInfoString(&text, ", tableoid, ctid");
	appendStringInfo(&text, " FROM %s", lookup_relation_name(relation));
	query.text = text.data;
	eval_fetch_rows(&query, read_take_row, &reading);
	if (reading.stored && items->rows > 0)
	{
		read_order_by_place(items, reading.places);
		pfree(reading.places);
	}
}

static void
read_notice_without_code(const EvalItems *items, Oid relation, const char *code_column,
						 const char *role)
{
	if (items->without_code > 0)
		ereport(NOTICE,
				(errmsg_plural("%lld row of relation \"%s\" has no code in column \"%s\" and is left out of the %s",
							   "%lld rows of relation \"%s\" have no code in column \"%s\" and are left out of the %s",
							   items->without_code, (long long) items->without_code,
							   get_rel_name(relation), code_column, role)));
}

void
eval_read(EvalInput *input, const EvalSource *source, Oid function)
{
	Oid			bitcode = lookup_type(function, "bitcode");
	Oid			query_type;
	Oid			database_type;
	Labels	   *labels = labels_create();

	memset(input, 0, sizeof(EvalInput));
	input->context = AllocSetContextCreate(CurrentMemoryContext, "xmhash evaluation",
										   ALLOCSET_DEFAULT_SIZES);
	input->queries.context = input->context;
	input->database.context = input->context;
	input->env = core_env(input->context);
	eval_check_relation(source->queries);
	eval_check_relation(source->database);
	query_type = read_code_column_type(source->queries, source->query_code, bitcode);
	database_type = read_code_column_type(source->database, source->database_code, bitcode);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	read_relation(&input->queries, labels, source->queries, source->query_code, query_type,
				  source->label_column, false);
	/* The database's codes must be as long as the queries'. */
	input->database.bits = input->queries.bits;
	input->database.words = input->queries.words;
	read_relation(&input->database, labels, source->database, source->database_code, database_type,
				  source->label_column, true);
	SPI_finish();

	labels_finish(labels);
	labels_eval_sets(labels, input->context, &input->sets);
	labels_free(labels);
	read_notice_without_code(&input->queries, source->queries, source->query_code, "queries");
	read_notice_without_code(&input->database, source->database, source->database_code, "ranking");
}

void
eval_release(EvalInput *input)
{
	MemoryContextDelete(input->context);
}

Evaluator *
eval_evaluator(const EvalInput *input, int64 k)
{
	EvalDatabase database;

	database.bits = input->database.bits;
	database.rows = input->database.rows;
	database.codes = input->database.codes;
	database.set = input->database.set;
	return evaluator_create(&input->env, &database, &input->sets, k);
}
