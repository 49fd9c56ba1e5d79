/*
 * eval/compare.c: several models side by side, on pairs that none of them was
 * trained on.
 *
 * Each model encodes the images and the texts of all pairs; then each image
 * ranks the texts, and each text the images, as xmhash_evaluate() does.  What
 * is relevant is what shares a class or, without labels, a row's own
 * counterpart alone: average precision is then the reciprocal of its rank.
 *
 * Pairs are read by a query of the caller's, one model after the other, so
 * that privileges, row security and views are as in any query.
 */
#include "xmhash.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "bitcode/bitcode.h"
#include "eval/read.h"
#include "model/model.h"
#include "server/core_env.h"
#include "server/lookup.h"

XMHASH_FUNCTION(xmhash_compare_models);

#define PAIRS_AT_ONCE 1000
#define COLUMNS 14

/* The pairs, as SQL says them. */
typedef struct ComparePairs
{
	Oid			function;		/* that asks */
	Oid			relation;
	const char *column[2];		/* by Modality */
	const char *label_column;	/* NULL: none */
	int64		k;
	int64		left_out;		/* pairs with a side that is NULL */
} ComparePairs;

/* What one model makes of them. */
typedef struct Comparison
{
	EvalItems	items[2];
	EvalSets	sets;
	MemoryContext context;
	CoreEnv		env;
} Comparison;

static char *
compare_query(const ComparePairs *pairs)
{
	const char *schema = quote_identifier(get_namespace_name(get_func_namespace(pairs->function)));
	StringInfoData query;
	int			side;

	initStringInfo(&query);
	appendStringInfoString(&query, "SELECT ");
	for (side = 0; side < 2; side++)
		appendStringInfo(&query, "%s%s.xmhash_encode_%s($1, %s::pg_catalog.float4[])", side == 0 ? "" : ", ",
						 schema, modality_name[side], quote_identifier(pairs->column[side]));
	if (pairs->label_column != NULL)
		appendStringInfo(&query, ", %s", quote_identifier(pairs->label_column));
	appendStringInfo(&query, " FROM %s", lookup_relation_name(pairs->relation));
	return query.data;
}

/* Keep the codes of the pair at hand in SPI's tuple table, unless one is missing. */
static void
compare_take_pair(Comparison *comparison, ComparePairs *pairs, Labels *labels, HeapTuple tuple, int64 ordinal)
{
	TupleDesc	descriptor = SPI_tuptable->tupdesc;
	const char *relation = get_rel_name(pairs->relation);
	Datum		code[2];
	int32		set = comparison->items[0].rows;
	bool		isnull[2];
	int			side;

	for (side = 0; side < 2; side++)
		code[side] = SPI_getbinval(tuple, descriptor, side + 1, &isnull[side]);
	if (isnull[0] || isnull[1])
	{
		pairs->left_out++;
		return;
	}
	if (labels != NULL)
	{
		Datum		label = SPI_getbinval(tuple, descriptor, 3, &isnull[0]);

		set = labels_add(labels, label, isnull[0], ordinal);
	}
	for (side = 0; side < 2; side++)
		eval_add_item(&comparison->items[side], relation, DatumGetBitcodeP(code[side]), set);
}

/* Without labels each pair is a class of its own. */
static void
compare_own_sets(Comparison *comparison)
{
	int			rows = comparison->items[0].rows;
	int64	   *start = MemoryContextAllocExtended(comparison->context, (rows + 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	int32	   *number = MemoryContextAllocExtended(comparison->context, (rows + 1) * sizeof(int32), MCXT_ALLOC_HUGE);
	int			i;

	for (i = 0; i <= rows; i++)
		start[i] = number[i] = i;
	comparison->sets.classes = comparison->sets.sets = rows;
	comparison->sets.start = start;
	comparison->sets.class_number = number;
}

static void
compare_read(Comparison *comparison, ComparePairs *pairs, Oid model)
{
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "xmhash pairs to compare", ALLOCSET_DEFAULT_SIZES);
	Labels	   *labels = NULL;
	Oid			type = REGCLASSOID;
	Datum		value = ObjectIdGetDatum(model);
	Portal		portal;
	int64		ordinal = 0;

	if (pairs->label_column != NULL)
	{
		labels = labels_create();
		labels_source(labels, get_rel_name(pairs->relation), pairs->label_column,
					  eval_column(pairs->relation, pairs->label_column));
	}
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	portal = SPI_cursor_open_with_args(NULL, compare_query(pairs), 1, &type, &value, NULL, true, 0);
	for (;;)
	{
		MemoryContext old_context;
		uint64		i;

		SPI_cursor_fetch(portal, true, PAIRS_AT_ONCE);
		if (SPI_processed == 0)
			break;
		CHECK_FOR_INTERRUPTS();
		old_context = MemoryContextSwitchTo(batch);
		for (i = 0; i < SPI_processed; i++)
			compare_take_pair(comparison, pairs, labels, SPI_tuptable->vals[i], ++ordinal);
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(batch);
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	SPI_finish();
	MemoryContextDelete(batch);
	if (labels == NULL)
	{
		compare_own_sets(comparison);
		return;
	}
	labels_finish(labels);
	labels_eval_sets(labels, comparison->context, &comparison->sets);
	labels_free(labels);
}

/* One side ranks the other. */
static void
compare_rank(const Comparison *comparison, int side, int64 k, EvalSummary *summary)
{
	const EvalItems *queries = &comparison->items[side];
	const EvalItems *database = &comparison->items[1 - side];
	EvalDatabase ranked = {database->bits, database->rows, database->codes, database->set};

	evaluator_summarize(evaluator_create(&comparison->env, &ranked, &comparison->sets, k),
						queries->rows, queries->codes, queries->set, summary);
}

/*
 * How evenly the bits are used: the mean over the bits of twice the share of
 * whichever of 0 and 1 is rarer.  1: each is 1 in half of the codes; 0: all
 * codes are the same.
 */
static double
compare_bit_balance(const EvalItems *items)
{
	double		sum = 0;
	int			bit;

	for (bit = 0; bit < items->bits; bit++)
	{
		/* Words have the bytes of a code, whose first bit is the highest of its first byte. */
		const uint8 *byte = (const uint8 *) items->codes + bit / 8;
		int64		ones = 0;
		int			i;

		CHECK_FOR_INTERRUPTS();
		for (i = 0; i < items->rows; i++)
			ones += byte[(Size) i * items->words * sizeof(uint64)] >> (7 - bit % 8) & 1;
		sum += 2.0 * Min(ones, items->rows - ones) / items->rows;
	}
	return sum / items->bits;
}

static int
compare_codes(const void *a, const void *b, void *words)
{
	return memcmp(a, b, *(int *) words * sizeof(uint64));
}

/* The share of codes that another row has too; the codes are sorted for it. */
static double
compare_duplicates(EvalItems *items)
{
	Size		size = items->words * sizeof(uint64);
	const char *code = (const char *) items->codes;
	int64		duplicates = 0;
	int			i;

	qsort_interruptible(items->codes, items->rows, size, compare_codes, &items->words);
	for (i = 0; i < items->rows; i++)
		duplicates += (i > 0 && memcmp(code + i * size, code + (i - 1) * size, size) == 0) ||
			(i + 1 < items->rows && memcmp(code + i * size, code + (i + 1) * size, size) == 0);
	return (double) duplicates / items->rows;
}

/* The row of one model. */
static void
compare_model(ComparePairs *pairs, Oid model, Tuplestorestate *rows, TupleDesc descriptor)
{
	Comparison	comparison = {0};
	ModelTable	table;
	ModelRow	row;
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS] = {0};
	int			side;
	int			i;

	model_open(pairs->function, model, &table);
	model_find(&table, &row);
	model_close(&table);
	comparison.context = AllocSetContextCreate(CurrentMemoryContext, "xmhash comparison", ALLOCSET_DEFAULT_SIZES);
	comparison.env = core_env(comparison.context);
	comparison.items[0].context = comparison.items[1].context = comparison.context;
	compare_read(&comparison, pairs, model);

	values[0] = ObjectIdGetDatum(model);
	values[1] = CStringGetTextDatum(row.method);
	values[2] = Int32GetDatum(row.bits);
	values[3] = Int64GetDatum(comparison.items[0].rows);
	/* A mean of nothing is NULL, as avg() has it. */
	for (i = 4; i < COLUMNS; i++)
		nulls[i] = comparison.items[0].rows == 0;
	for (side = 0; side < 2 && comparison.items[0].rows > 0; side++)
	{
		EvalSummary whole;
		EvalSummary first;

		compare_rank(&comparison, side, 0, &whole);
		compare_rank(&comparison, side, pairs->k, &first);
		values[4 + side] = Float8GetDatum(whole.map);
		values[6 + side] = Float8GetDatum(first.precision);
		values[8 + side] = Float8GetDatum(first.nearest);
	}
	for (side = 0; side < 2 && comparison.items[0].rows > 0; side++)
	{
		values[10 + side] = Float8GetDatum(compare_bit_balance(&comparison.items[side]));
		values[12 + side] = Float8GetDatum(compare_duplicates(&comparison.items[side]));
	}
	tuplestore_putvalues(rows, descriptor, values, nulls);
	MemoryContextDelete(comparison.context);
}

static void
compare_get_pairs(FunctionCallInfo fcinfo, ComparePairs *pairs)
{
	static const char *const names[] = {"models", "relation", "image_column", "text_column"};
	int			i;

	for (i = 0; i < lengthof(names); i++)
		eval_require_argument(fcinfo, i, names[i]);
	memset(pairs, 0, sizeof(*pairs));
	pairs->function = fcinfo->flinfo->fn_oid;
	pairs->relation = PG_GETARG_OID(1);
	eval_check_relation(pairs->relation);
	for (i = 0; i < 2; i++)
	{
		pairs->column[i] = NameStr(*PG_GETARG_NAME(2 + i));
		eval_column(pairs->relation, pairs->column[i]);
	}
	pairs->label_column = PG_ARGISNULL(4) ? NULL : NameStr(*PG_GETARG_NAME(4));
	pairs->k = eval_get_cutoff(fcinfo, 5);
}

Datum
xmhash_compare_models(PG_FUNCTION_ARGS)
{
	ComparePairs pairs;
	Tuplestorestate *rows;
	TupleDesc	descriptor;
	Datum	   *models;
	bool	   *nulls;
	int			count;
	int			i;

	compare_get_pairs(fcinfo, &pairs);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), REGCLASSOID, sizeof(Oid), true, TYPALIGN_INT, &models, &nulls, &count);
	rows = eval_begin_rows(fcinfo, &descriptor);
	for (i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("element %d of argument models of %s must not be null", i + 1,
							get_func_name(pairs.function))));
		pairs.left_out = 0;
		compare_model(&pairs, DatumGetObjectId(models[i]), rows, descriptor);
		if (pairs.left_out > 0 && i == 0)
			ereport(NOTICE,
					(errmsg_plural("%lld pair of relation \"%s\" lacks a side and is left out",
								   "%lld pairs of relation \"%s\" lack a side and are left out",
								   pairs.left_out, (long long) pairs.left_out, get_rel_name(pairs.relation))));
	}
	PG_RETURN_NULL();
}
