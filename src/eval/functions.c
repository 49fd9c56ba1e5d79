/*
 * eval/functions.c: evaluation in SQL.
 */
#include "xmhash.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "eval/read.h"

XMHASH_FUNCTION(average_precision_add);
XMHASH_FUNCTION(average_precision_add_k);
XMHASH_FUNCTION(average_precision_result);
XMHASH_FUNCTION(xmhash_evaluate);
XMHASH_FUNCTION(xmhash_precision_recall);

/* ---------------------------------------------------- average_precision */

/* The state to work on: the one given, or a new one that lasts as long. */
static RunningPrecision *
eval_running_state(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "average_precision support function called outside an aggregate");
	if (PG_ARGISNULL(0))
		return MemoryContextAllocZero(context, sizeof(RunningPrecision));
	return (RunningPrecision *) PG_GETARG_POINTER(0);
}

/* A row whose relevance is unknown has its rank like any other, and is no hit. */
static bool
eval_is_relevant(FunctionCallInfo fcinfo)
{
	return !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
}

Datum
average_precision_add(PG_FUNCTION_ARGS)
{
	RunningPrecision *state = eval_running_state(fcinfo);

	running_precision_add(state, eval_is_relevant(fcinfo));
	PG_RETURN_POINTER(state);
}

int64
eval_get_cutoff(FunctionCallInfo fcinfo, int argument)
{
	if (PG_ARGISNULL(argument))
		return 0;
	if (PG_GETARG_INT32(argument) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("k is %d, expected at least 1", PG_GETARG_INT32(argument)),
				 errhint("NULL stands for the whole ranking.")));
	return PG_GETARG_INT32(argument);
}

Datum
average_precision_add_k(PG_FUNCTION_ARGS)
{
	RunningPrecision *state = eval_running_state(fcinfo);
	int64		k = eval_get_cutoff(fcinfo, 2);

	if (state->rank == 0)
		state->k = k;
	if (state->k != k)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("k of average_precision differs between rows: it is %lld, and was %lld before",
						(long long) k, (long long) state->k),
				 errhint("k must be the same for all rows of a group.")));
	running_precision_add(state, eval_is_relevant(fcinfo));
	PG_RETURN_POINTER(state);
}

Datum
average_precision_result(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(running_precision_average((RunningPrecision *) PG_GETARG_POINTER(0)));
}

/* ------------------------------------------------------ xmhash_evaluate */

void
eval_require_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument %s of %s must not be null", name,
						get_func_name(fcinfo->flinfo->fn_oid))));
}

void
eval_get_source(FunctionCallInfo fcinfo, EvalSource *source)
{
	static const char *const names[] = {"queries", "query_code", "database", "database_code", "label_column"};
	int			i;

	for (i = 0; i < lengthof(names); i++)
		eval_require_argument(fcinfo, i, names[i]);
	source->queries = PG_GETARG_OID(0);
	source->query_code = NameStr(*PG_GETARG_NAME(1));
	source->database = PG_GETARG_OID(2);
	source->database_code = NameStr(*PG_GETARG_NAME(3));
	source->label_column = NameStr(*PG_GETARG_NAME(4));
}

Datum
xmhash_evaluate(PG_FUNCTION_ARGS)
{
	EvalSource	source;
	EvalInput	input;
	EvalSummary summary;
	int64		k;
	TupleDesc	descriptor;
	Datum		values[7];
	bool		nulls[7] = {0};
	int			i;

	eval_get_source(fcinfo, &source);
	k = eval_get_cutoff(fcinfo, 5);
	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	eval_read(&input, &source, fcinfo->flinfo->fn_oid);
	evaluator_summarize(eval_evaluator(&input, k), input.queries.rows, input.queries.codes,
						input.queries.set, &summary);
	eval_release(&input);

	values[0] = Int64GetDatum(summary.queries);
	values[1] = Int64GetDatum(summary.queries_without_relevant);
	values[2] = Float8GetDatum(summary.map);
	values[3] = Float8GetDatum(summary.map_ties_by_position);
	values[4] = Float8GetDatum(summary.precision);
	values[5] = Float8GetDatum(summary.recall);
	values[6] = Float8GetDatum(summary.ndcg);
	/* A mean of nothing is NULL, as avg() has it. */
	for (i = 2; i < 7; i++)
		nulls[i] = summary.queries == 0;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

/* ---------------------------------------------- xmhash_precision_recall */

Tuplestorestate *
eval_begin_rows(FunctionCallInfo fcinfo, TupleDesc *descriptor)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old_context;

	if (result == NULL || !IsA(result, ReturnSetInfo) ||
		!(result->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	old_context = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, NULL, descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	result->returnMode = SFRM_Materialize;
	result->setResult = tuplestore_begin_heap(result->allowedModes & SFRM_Materialize_Random,
											  false, work_mem);
	result->setDesc = *descriptor;
	MemoryContextSwitchTo(old_context);
	return result->setResult;
}

/* One row of a curve; precision is NULL where no query found anything. */
static void
eval_put_point(Tuplestorestate *rows, TupleDesc descriptor, const char *kind, int position,
			   double precision, double recall, int64 queries)
{
	Datum		values[5];
	bool		nulls[5] = {0};

	values[0] = CStringGetTextDatum(kind);
	values[1] = Int32GetDatum(position);
	values[2] = Float8GetDatum(precision);
	values[3] = Float8GetDatum(recall);
	values[4] = Int64GetDatum(queries);
	nulls[2] = queries == 0;
	tuplestore_putvalues(rows, descriptor, values, nulls);
	pfree(DatumGetPointer(values[0]));
}

Datum
xmhash_precision_recall(PG_FUNCTION_ARGS)
{
	EvalSource	source;
	EvalInput	input;
	EvalCurve	curve;
	int64		k;
	TupleDesc	descriptor;
	Tuplestorestate *rows;
	int			i;

	eval_get_source(fcinfo, &source);
	k = eval_get_cutoff(fcinfo, 5);
	rows = eval_begin_rows(fcinfo, &descriptor);
	eval_read(&input, &source, fcinfo->flinfo->fn_oid);
	evaluator_curve(eval_evaluator(&input, k), input.queries.rows, input.queries.codes,
					input.queries.set, &curve);
	/* No query, no curve. */
	for (i = 0; i < curve.radii && curve.queries > 0; i++)
		eval_put_point(rows, descriptor, "radius", i, curve.radius_precision[i],
					   curve.radius_recall[i], curve.radius_queries[i]);
	for (i = 0; i < curve.ranks && curve.queries > 0; i++)
	{
		CHECK_FOR_INTERRUPTS();
		eval_put_point(rows, descriptor, "rank", i + 1, curve.rank_precision[i],
					   curve.rank_recall[i], curve.queries);
	}
	eval_release(&input);
	PG_RETURN_NULL();
}
