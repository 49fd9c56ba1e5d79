/*
 * model/views.c: the functions behind the views xmhash_models and
 * xmhash_training: what can be shown of a table, whatever its owner has put
 * into it, and nothing where it can't be looked at.
 */
#include "model/model.h"

#include <float.h>
#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* Terms of a loss that are shown: more than any method has. */
#define MAX_TERMS 32

/* Columns of xmhash_model_info(), in order. */
enum
{
	INFO_METHOD,
	INFO_BITS,
	INFO_DIMENSIONS,			/* of image, of text */
	INFO_HIDDEN = INFO_DIMENSIONS + 2,
	INFO_CLASSES = INFO_HIDDEN + 2,
	INFO_OPTIONS,
	INFO_STATUS,
	INFO_EPOCHS,
	INFO_PAIRS,
	INFO_LOSS,
	INFO_CREATED,
	INFO_SECONDS,
	INFO_BYTES,
	INFO_COLUMNS
};

static void
view_show(Datum *values, bool *nulls, int column, Datum value)
{
	values[column] = value;
	nulls[column] = false;
}

static void
view_show_row(FunctionCallInfo fcinfo, const ModelRow *row, Datum *values, bool *nulls)
{
	const char *status = row->status;
	JsonbValue *options = json_field(&row->info->root, "options");
	int			i;

	if (strcmp(status, "training") == 0 && !model_in_training(fcinfo, PG_GETARG_OID(0)))
		status = "interrupted";
	view_show(values, nulls, INFO_STATUS, CStringGetTextDatum(status));
	view_show(values, nulls, INFO_METHOD, CStringGetTextDatum(row->method));
	view_show(values, nulls, INFO_BITS, Int32GetDatum(row->bits));
	for (i = 0; i < 2; i++)
	{
		Datum		units[NETWORK_MAX_LAYERS];
		int			l;

		if (!model_has(row, i))
			continue;
		for (l = 0; l < row->hidden[i].count; l++)
			units[l] = Int32GetDatum(row->hidden[i].units[l]);
		view_show(values, nulls, INFO_DIMENSIONS + i, Int32GetDatum(row->dimensions[i]));
		view_show(values, nulls, INFO_HIDDEN + i,
				  PointerGetDatum(construct_array(units, row->hidden[i].count, INT4OID, sizeof(int32), true, TYPALIGN_INT)));
	}
	if (row->classes > 0)
	{
		Datum	   *names = palloc(row->classes * sizeof(Datum));

		for (i = 0; i < row->classes; i++)
			names[i] = CStringGetTextDatum(row->class_names[i]);
		view_show(values, nulls, INFO_CLASSES,
				  PointerGetDatum(construct_array(names, row->classes, TEXTOID, -1, false, TYPALIGN_INT)));
	}
	if (json_as_object(options) != NULL)
		view_show(values, nulls, INFO_OPTIONS, JsonbPGetDatum(JsonbValueToJsonb(options)));
	if (row->epochs_done > 0)
		view_show(values, nulls, INFO_EPOCHS, Int32GetDatum(row->epochs_done));
	if (row->pairs >= 0)
		view_show(values, nulls, INFO_PAIRS, Int64GetDatum(row->pairs));
	if (!isnan(row->loss))
		view_show(values, nulls, INFO_LOSS, Float8GetDatum(row->loss));
	if (row->created > 0)
		view_show(values, nulls, INFO_CREATED,
				  TimestampTzGetDatum((TimestampTz) rint((row->created - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
														  (double) SECS_PER_DAY) * USECS_PER_SEC)));
	if (!isnan(row->seconds))
		view_show(values, nulls, INFO_SECONDS, Float8GetDatum(row->seconds));
	view_show(values, nulls, INFO_BYTES, Int64GetDatum(model_floats(row) * sizeof(float)));
}

XMHASH_FUNCTION(xmhash_model_info);

/* One row about a model, whatever its table holds; all NULL if it can't be looked at. */
Datum
xmhash_model_info(PG_FUNCTION_ARGS)
{
	Datum		values[INFO_COLUMNS] = {0};
	bool		nulls[INFO_COLUMNS];
	TupleDesc	descriptor;
	ModelTable	table;
	ModelRow	row;
	char	   *problem;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE || descriptor->natts != INFO_COLUMNS)
		elog(ERROR, "xmhash_model_info does not return what it should");
	memset(nulls, true, sizeof(nulls));
	if (model_open_quietly(fcinfo->flinfo->fn_oid, PG_GETARG_OID(0), &table))
	{
		if (model_find_quietly(&table, &row, &problem))
			view_show_row(fcinfo, &row, values, nulls);
		else
			view_show(values, nulls, INFO_STATUS, CStringGetTextDatum(problem != NULL ? "damaged" : "empty"));
		model_close(&table);
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

/* The terms of a loss, if they are what a training writes: numbers by name. */
static Datum
view_get_terms(Jsonb *info, bool *isnull)
{
	JsonbValue *terms = json_field(&info->root, "loss_terms");
	JsonbContainer *object = json_as_object(terms);
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	double		number;

	*isnull = true;
	if (object == NULL || JsonContainerSize(object) > MAX_TERMS)
		return (Datum) 0;
	iterator = JsonbIteratorInit(object);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_VALUE && !json_as_number(&value, -DBL_MAX, DBL_MAX, &number))
			return (Datum) 0;
	}
	*isnull = false;
	return JsonbPGetDatum(JsonbValueToJsonb(terms));
}

/* Columns of xmhash_model_epochs(), in order. */
enum
{
	EPOCH_EPOCH,
	EPOCH_EPOCHS,
	EPOCH_LOSS,
	EPOCH_TERMS,
	EPOCH_RATE,
	EPOCH_SECONDS,
	EPOCH_MAP,
	EPOCH_COLUMNS
};

static void
view_show_number(Jsonb *info, const char *key, double min, int column, Datum *values, bool *nulls)
{
	double		number;

	nulls[column] = !json_as_number(json_field(&info->root, key), min, DBL_MAX, &number);
	if (!nulls[column])
		values[column] = Float8GetDatum(number);
}

/* How many epochs the model's options ask for, or phases its method has; -1 if they don't say. */
static int
view_epochs_wanted(const ModelTable *table)
{
	ModelRow	row;
	const TrainMethod *method;
	JsonbContainer *options;
	char	   *problem;
	int			epochs = -1;

	if (!model_find_quietly(table, &row, &problem))
		return -1;
	method = train_method(row.method);
	if (method != NULL && method->phases != NULL)
	{
		for (epochs = 0; method->phases[epochs] != NULL;)
			epochs++;
		return epochs;
	}
	options = json_as_object(json_field(&row.info->root, "options"));
	if (options != NULL)
		json_as_integer(json_field(options, "epochs"), 1, PG_INT32_MAX, &epochs);
	return epochs;
}

XMHASH_FUNCTION(xmhash_model_epochs);

/* One row an epoch; what is damaged is NULL. */
Datum
xmhash_model_epochs(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext context;
	MemoryContext old_context;
	ModelTable	table;
	ModelScan	scan;
	int			epochs;

	InitMaterializedSRF(fcinfo, 0);
	if (!model_open_quietly(fcinfo->flinfo->fn_oid, PG_GETARG_OID(0), &table))
		return (Datum) 0;
	epochs = view_epochs_wanted(&table);
	context = AllocSetContextCreate(CurrentMemoryContext, "xmhash epoch row", ALLOCSET_DEFAULT_SIZES);
	model_scan_begin(&scan, &table, MODEL_PART_EPOCH, MODEL_ANY_NUMBER);
	while (model_scan_next(&scan))
	{
		Datum		values[EPOCH_COLUMNS] = {0};
		bool		nulls[EPOCH_COLUMNS];
		Jsonb	   *info;

		old_context = MemoryContextSwitchTo(context);
		memset(nulls, true, sizeof(nulls));
		view_show(values, nulls, EPOCH_EPOCH, Int32GetDatum(scan.number));
		if (epochs > 0)
			view_show(values, nulls, EPOCH_EPOCHS, Int32GetDatum(epochs));
		info = model_scan_info(&scan);
		if (info != NULL)
		{
			view_show_number(info, "loss", -DBL_MAX, EPOCH_LOSS, values, nulls);
			values[EPOCH_TERMS] = view_get_terms(info, &nulls[EPOCH_TERMS]);
			view_show_number(info, "learning_rate", 0, EPOCH_RATE, values, nulls);
			view_show_number(info, "seconds", 0, EPOCH_SECONDS, values, nulls);
			view_show_number(info, "validation_map", 0, EPOCH_MAP, values, nulls);
		}
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(context);
	}
	model_scan_end(&scan);
	model_close(&table);
	return (Datum) 0;
}
