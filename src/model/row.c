/*
 * model/row.c: what the row of part "model" says, as JSON and back, and the
 * functions behind the views.
 *
 *   {"format": 2, "status": "trained", "method": "jdsh", "bits": 64,
 *    "image": {"layers": [1280, 512, 64], "scales": 1}, "text": …,
 *    "classes": ["…", …], "source": {…}, "options": {…}, "pairs": 3888,
 *    "digest": "…", "created": 1790000000.5,
 *    "epochs_done": 30, "loss": 0.5, "seconds": 12.5}
 *
 * A side's layers are the widths from its features to the bits; a model can be
 * without one of its sides.  "kernel": "linear" or "rbf" says that rows come at
 * unit length, and in the latter case that the hidden layer is one of radial
 * basis functions; there are no scales then.  Format 1 had no kernels: it is
 * still what models without one are written in.  Readers check
 * each field before anything is sized by it, and say which one is wrong.
 */
#include "model/model.h"

#include <float.h>
#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#define FORMAT 2

/* Whole numbers up to here are doubles exactly. */
#define MAX_INTEGER 9007199254740991.0

/* Terms of a loss that the view shows: more than any method has. */
#define MAX_TERMS 32

static JsonbValue *
get_field(JsonbContainer *object, const char *key)
{
	JsonbValue	name;

	name.type = jbvString;
	name.val.string.val = unconstify(char *, key);
	name.val.string.len = strlen(key);
	return findJsonbValueFromContainer(object, JB_FOBJECT, &name);
}

static bool
to_number(const JsonbValue *value, double min, double most, double *number)
{
	if (value == NULL || value->type != jbvNumeric)
		return false;
	*number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
												 NumericGetDatum(value->val.numeric)));
	return isfinite(*number) && *number >= min && *number <= most;
}

static bool
to_integer(const JsonbValue *value, double min, double most, int *number)
{
	double		found;

	if (!to_number(value, min, most, &found) || found != floor(found))
		return false;
	*number = (int) found;
	return true;
}

/* A finite number of an object, within bounds. */
bool
model_get_number(Jsonb *object, const char *key, double min, double most, double *number)
{
	return to_number(get_field(&object->root, key), min, most, number);
}

/* A string of an object, or NULL. */
char *
model_get_string(Jsonb *object, const char *key)
{
	JsonbValue *value = get_field(&object->root, key);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* An object within an object, as JSON text; NULL if there is none. */
static char *
get_object(Jsonb *object, const char *key)
{
	JsonbValue *value = get_field(&object->root, key);

	if (value == NULL || value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		return NULL;
	return JsonbToCString(NULL, value->val.binary.data, value->val.binary.len);
}

static const char *const kernel_name[] = {NULL, "linear", "rbf"};

/* The kernel of a side; what there is decides the number of hidden layers. */
static bool
read_kernel(JsonbContainer *side, HiddenLayers *hidden)
{
	JsonbValue *value = get_field(side, "kernel");

	hidden->kernel = KERNEL_NONE;
	if (value == NULL)
		return true;
	if (value->type != jbvString)
		return false;
	for (hidden->kernel = KERNEL_LINEAR; hidden->kernel <= KERNEL_RBF; hidden->kernel++)
	{
		if (strlen(kernel_name[hidden->kernel]) == (size_t) value->val.string.len &&
			memcmp(kernel_name[hidden->kernel], value->val.string.val, value->val.string.len) == 0)
			return hidden->count == (hidden->kernel == KERNEL_RBF ? 1 : 0);
	}
	return false;
}

/* The network of one side: its widths, and how many scales come before it. */
static bool
read_side(Jsonb *info, int side, ModelRow *row)
{
	JsonbValue *value = get_field(&info->root, modality_name[side]);
	HiddenLayers *hidden = &row->hidden[side];
	JsonbValue *layers;
	JsonbContainer *widths;
	int			bits;
	int			i;

	if (value == NULL)
		return true;
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		return false;
	layers = get_field(value->val.binary.data, "layers");
	if (layers == NULL || layers->type != jbvBinary || !JsonContainerIsArray(layers->val.binary.data))
		return false;
	widths = layers->val.binary.data;
	if (JsonContainerSize(widths) < 2 || JsonContainerSize(widths) > NETWORK_MAX_LAYERS + 1)
		return false;
	hidden->count = JsonContainerSize(widths) - 2;
	for (i = 0; i < hidden->count; i++)
	{
		if (!to_integer(getIthJsonbValueFromContainer(widths, i + 1), 1, NETWORK_MAX_HIDDEN, &hidden->units[i]))
			return false;
	}
	if (!read_kernel(value->val.binary.data, hidden))
		return false;
	return to_integer(getIthJsonbValueFromContainer(widths, 0), 1, MODEL_MAX_DIMENSIONS, &row->dimensions[side]) &&
		to_integer(getIthJsonbValueFromContainer(widths, hidden->count + 1), 1, BITCODE_MAX_BITS, &bits) &&
		bits == row->bits &&
		to_integer(get_field(value->val.binary.data, "scales"), 0, MODEL_MAX_DIMENSIONS, &row->scales[side]) &&
		(hidden->kernel != KERNEL_NONE ? row->scales[side] == 0 :
		 row->scales[side] == 1 || row->scales[side] == row->dimensions[side]);
}

static bool
read_class_names(Jsonb *info, ModelRow *row)
{
	JsonbValue *value = get_field(&info->root, "classes");
	JsonbContainer *names;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	name;

	row->classes = 0;
	row->class_names = NULL;
	if (value == NULL)
		return true;
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		return false;
	names = value->val.binary.data;
	row->class_names = palloc((JsonContainerSize(names) + 1) * sizeof(char *));
	iterator = JsonbIteratorInit(names);
	while ((token = JsonbIteratorNext(&iterator, &name, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (name.type != jbvString)
			return false;
		row->class_names[row->classes++] = pnstrdup(name.val.string.val, name.val.string.len);
	}
	return true;
}

static bool
read_digest(Jsonb *info, ModelRow *row)
{
	char	   *text = model_get_string(info, "digest");

	row->digest = 0;
	if (text == NULL)
		return true;
	if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
		return false;
	row->digest = strtoull(text, NULL, 16);
	return true;
}

/* A number that need not be there; otherwise the default stays. */
static bool
read_optional(Jsonb *info, const char *key, double min, double most, double *number)
{
	return get_field(&info->root, key) == NULL || model_get_number(info, key, min, most, number);
}

/* Fill the row; or return what is wrong with it. */
static char *
read_info(Jsonb *info, ModelRow *row)
{
	static const char *const statuses[] = {"training", "trained", "diverged", "imported"};
	double		pairs = -1;
	int			format;
	int			i;

	if (!to_integer(get_field(&info->root, "format"), 1, 1e6, &format))
		return pstrdup("It does not say its format.");
	if (format > FORMAT)
		return psprintf("Its format is %d; this release knows up to %d.", format, FORMAT);
	row->status = model_get_string(info, "status");
	for (i = 0; i < (int) lengthof(statuses) && row->status != NULL; i++)
	{
		if (strcmp(row->status, statuses[i]) == 0)
			break;
	}
	if (row->status == NULL || i == (int) lengthof(statuses))
		return pstrdup("Its status is none that there is.");
	row->method = model_get_string(info, "method");
	if (row->method == NULL || strlen(row->method) > MODEL_MAX_METHOD)
		return psprintf("Its method is no string of at most %d bytes.", MODEL_MAX_METHOD);
	if (!to_integer(get_field(&info->root, "bits"), 1, BITCODE_MAX_BITS, &row->bits))
		return psprintf("Its bits are no number from 1 to %d.", BITCODE_MAX_BITS);
	for (i = 0; i < 2; i++)
	{
		if (!read_side(info, i, row))
			return psprintf("Its %s network has an impossible shape.", modality_name[i]);
	}
	if (!model_has(row, MODALITY_IMAGE) && !model_has(row, MODALITY_TEXT))
		return pstrdup("It has no network.");
	row->created = 0;
	row->loss = row->seconds = get_float8_nan();
	row->info = info;
	row->epochs_done = 0;
	if (!read_class_names(info, row))
		return pstrdup("Its classes are no array of strings.");
	if (!read_digest(info, row))
		return pstrdup("Its digest is no string of 16 hexadecimal digits.");
	if (!read_optional(info, "pairs", 0, MAX_INTEGER, &pairs) ||
		!read_optional(info, "created", 0, 2e11, &row->created) ||
		!read_optional(info, "loss", -DBL_MAX, DBL_MAX, &row->loss) ||
		!read_optional(info, "seconds", 0, DBL_MAX, &row->seconds) ||
		(get_field(&info->root, "epochs_done") != NULL &&
		 !to_integer(get_field(&info->root, "epochs_done"), 0, PG_INT32_MAX, &row->epochs_done)))
		return pstrdup("One of its numbers is none, or out of its range.");
	row->pairs = (int64) pairs;
	return NULL;
}

/*
 * What the table says that it is, but for source and options.  False if it
 * says nothing, being empty, or nothing that can be: then with the problem.
 */
bool
model_find_quietly(const ModelTable *table, ModelRow *row, char **problem)
{
	ModelScan	scan;
	bool		found;

	memset(row, 0, sizeof(ModelRow));
	row->name = pstrdup(RelationGetRelationName(table->relation));
	*problem = NULL;
	model_scan_begin(&scan, table, MODEL_PART_MODEL, 0);
	found = model_scan_next(&scan);
	if (found)
	{
		Jsonb	   *info = model_scan_info(&scan);

		*problem = info == NULL ? pstrdup("It has no description.") : read_info(info, row);
		if (*problem == NULL && model_scan_next(&scan))
			*problem = pstrdup("It has several descriptions.");
	}
	model_scan_end(&scan);
	return found && *problem == NULL;
}

void
model_find(const ModelTable *table, ModelRow *row)
{
	char	   *problem;

	if (model_find_quietly(table, row, &problem))
	{
		row->source = get_object(row->info, "source");
		row->options = get_object(row->info, "options");
		return;
	}
	if (problem == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" is empty", row->name),
				 errhint("A restore or a replication may be filling its table still.")));
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("model \"%s\" is damaged", row->name),
			 errdetail_internal("%s", problem)));
}

static void
append_string(StringInfo json, const char *key, const char *value)
{
	appendStringInfo(json, ", \"%s\": ", key);
	escape_json(json, value);
}

static void
append_number(StringInfo json, const char *key, double value)
{
	if (!isfinite(value))
		return;
	appendStringInfo(json, ", \"%s\": ", key);
	model_append_number(json, value);
}

/* What the weights are laid out by. */
void
model_append_networks(StringInfo json, const ModelRow *row)
{
	int			i;

	appendStringInfo(json, ", \"bits\": %d", row->bits);
	for (i = 0; i < 2; i++)
	{
		int			l;

		if (!model_has(row, i))
			continue;
		appendStringInfo(json, ", \"%s\": {\"layers\": [%d, ", modality_name[i], row->dimensions[i]);
		for (l = 0; l < row->hidden[i].count; l++)
			appendStringInfo(json, "%d, ", row->hidden[i].units[l]);
		appendStringInfo(json, "%d], \"scales\": %d", row->bits, row->scales[i]);
		if (row->hidden[i].kernel != KERNEL_NONE)
			append_string(json, "kernel", kernel_name[row->hidden[i].kernel]);
		appendStringInfoChar(json, '}');
	}
}

static char *
write_info(const ModelRow *row)
{
	StringInfoData json;
	int			i;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"format\": %d", row->hidden[0].kernel == KERNEL_NONE && row->hidden[1].kernel == KERNEL_NONE ? 1 : FORMAT);
	append_string(&json, "status", row->status);
	append_string(&json, "method", row->method);
	model_append_networks(&json, row);
	for (i = 0; i < row->classes; i++)
	{
		appendStringInfoString(&json, i == 0 ? ", \"classes\": [" : ", ");
		escape_json(&json, row->class_names != NULL ? row->class_names[i] : psprintf("%d", i + 1));
	}
	if (row->classes > 0)
		appendStringInfoChar(&json, ']');
	if (row->source != NULL)
		appendStringInfo(&json, ", \"source\": %s", row->source);
	if (row->options != NULL)
		appendStringInfo(&json, ", \"options\": %s", row->options);
	if (row->pairs >= 0)
		appendStringInfo(&json, ", \"pairs\": " INT64_FORMAT ", \"digest\": \"%016llx\"", row->pairs,
						 (unsigned long long) row->digest);
	append_number(&json, "created", row->created);
	if (row->epochs_done > 0)
	{
		appendStringInfo(&json, ", \"epochs_done\": %d", row->epochs_done);
		append_number(&json, "loss", row->loss);
		append_number(&json, "seconds", row->seconds);
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* Seconds since 1970, to the millisecond. */
double
model_now(void)
{
	double		now = (double) GetCurrentTimestamp() / USECS_PER_SEC +
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (double) SECS_PER_DAY;

	return rint(now * 1000) / 1000;
}

/* The row of a new model. */
void
model_insert(const ModelTable *table, const ModelRow *row)
{
	model_insert_row(table, MODEL_PART_MODEL, 0, write_info(row), NULL);
}

void
model_update(const ModelTable *table, const ModelRow *row)
{
	model_update_info(table, MODEL_PART_MODEL, 0, write_info(row));
}

/* ------------------------------------------------------------- views */

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
show(Datum *values, bool *nulls, int column, Datum value)
{
	values[column] = value;
	nulls[column] = false;
}

static void
show_row(FunctionCallInfo fcinfo, const ModelRow *row, Datum *values, bool *nulls)
{
	const char *status = row->status;
	JsonbValue *options = get_field(&row->info->root, "options");
	int			i;

	if (strcmp(status, "training") == 0 && !model_in_training(fcinfo, PG_GETARG_OID(0)))
		status = "interrupted";
	show(values, nulls, INFO_STATUS, CStringGetTextDatum(status));
	show(values, nulls, INFO_METHOD, CStringGetTextDatum(row->method));
	show(values, nulls, INFO_BITS, Int32GetDatum(row->bits));
	for (i = 0; i < 2; i++)
	{
		Datum		units[NETWORK_MAX_LAYERS];
		int			l;

		if (!model_has(row, i))
			continue;
		for (l = 0; l < row->hidden[i].count; l++)
			units[l] = Int32GetDatum(row->hidden[i].units[l]);
		show(values, nulls, INFO_DIMENSIONS + i, Int32GetDatum(row->dimensions[i]));
		show(values, nulls, INFO_HIDDEN + i,
			 PointerGetDatum(construct_array(units, row->hidden[i].count, INT4OID, sizeof(int32), true, TYPALIGN_INT)));
	}
	if (row->classes > 0)
	{
		Datum	   *names = palloc(row->classes * sizeof(Datum));

		for (i = 0; i < row->classes; i++)
			names[i] = CStringGetTextDatum(row->class_names[i]);
		show(values, nulls, INFO_CLASSES,
			 PointerGetDatum(construct_array(names, row->classes, TEXTOID, -1, false, TYPALIGN_INT)));
	}
	if (options != NULL && options->type == jbvBinary && JsonContainerIsObject(options->val.binary.data))
		show(values, nulls, INFO_OPTIONS, JsonbPGetDatum(JsonbValueToJsonb(options)));
	if (row->epochs_done > 0)
		show(values, nulls, INFO_EPOCHS, Int32GetDatum(row->epochs_done));
	if (row->pairs >= 0)
		show(values, nulls, INFO_PAIRS, Int64GetDatum(row->pairs));
	if (!isnan(row->loss))
		show(values, nulls, INFO_LOSS, Float8GetDatum(row->loss));
	if (row->created > 0)
		show(values, nulls, INFO_CREATED,
			 TimestampTzGetDatum((TimestampTz) rint((row->created - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
													 (double) SECS_PER_DAY) * USECS_PER_SEC)));
	if (!isnan(row->seconds))
		show(values, nulls, INFO_SECONDS, Float8GetDatum(row->seconds));
	show(values, nulls, INFO_BYTES, Int64GetDatum(model_floats(row) * sizeof(float)));
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
			show_row(fcinfo, &row, values, nulls);
		else
			show(values, nulls, INFO_STATUS, CStringGetTextDatum(problem != NULL ? "damaged" : "empty"));
		model_close(&table);
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

/* The terms of a loss, if they are what a training writes: numbers by name. */
static Datum
get_terms(Jsonb *info, bool *isnull)
{
	JsonbValue *terms = get_field(&info->root, "loss_terms");
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	double		number;

	*isnull = true;
	if (terms == NULL || terms->type != jbvBinary || !JsonContainerIsObject(terms->val.binary.data) ||
		JsonContainerSize(terms->val.binary.data) > MAX_TERMS)
		return (Datum) 0;
	iterator = JsonbIteratorInit(terms->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_VALUE && !to_number(&value, -DBL_MAX, DBL_MAX, &number))
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
show_number(Jsonb *info, const char *key, double min, int column, Datum *values, bool *nulls)
{
	double		number;

	nulls[column] = !model_get_number(info, key, min, DBL_MAX, &number);
	if (!nulls[column])
		values[column] = Float8GetDatum(number);
}

/* How many epochs the model's options ask for, or phases its method has; -1 if they don't say. */
static int
epochs_wanted(const ModelTable *table)
{
	ModelRow	row;
	const TrainMethod *method;
	JsonbValue *options;
	char	   *problem;
	int			epochs;

	if (!model_find_quietly(table, &row, &problem))
		return -1;
	method = train_method(row.method);
	if (method != NULL && method->phases != NULL)
	{
		for (epochs = 0; method->phases[epochs] != NULL;)
			epochs++;
		return epochs;
	}
	options = get_field(&row.info->root, "options");
	if (options == NULL || options->type != jbvBinary || !JsonContainerIsObject(options->val.binary.data) ||
		!to_integer(get_field(options->val.binary.data, "epochs"), 1, PG_INT32_MAX, &epochs))
		return -1;
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
	epochs = epochs_wanted(&table);
	context = AllocSetContextCreate(CurrentMemoryContext, "xmhash epoch row", ALLOCSET_DEFAULT_SIZES);
	model_scan_begin(&scan, &table, MODEL_PART_EPOCH, MODEL_ANY_NUMBER);
	while (model_scan_next(&scan))
	{
		Datum		values[EPOCH_COLUMNS] = {0};
		bool		nulls[EPOCH_COLUMNS];
		Jsonb	   *info;

		old_context = MemoryContextSwitchTo(context);
		memset(nulls, true, sizeof(nulls));
		show(values, nulls, EPOCH_EPOCH, Int32GetDatum(scan.number));
		if (epochs > 0)
			show(values, nulls, EPOCH_EPOCHS, Int32GetDatum(epochs));
		info = model_scan_info(&scan);
		if (info != NULL)
		{
			show_number(info, "loss", -DBL_MAX, EPOCH_LOSS, values, nulls);
			values[EPOCH_TERMS] = get_terms(info, &nulls[EPOCH_TERMS]);
			show_number(info, "learning_rate", 0, EPOCH_RATE, values, nulls);
			show_number(info, "seconds", 0, EPOCH_SECONDS, values, nulls);
			show_number(info, "validation_map", 0, EPOCH_MAP, values, nulls);
		}
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(context);
	}
	model_scan_end(&scan);
	model_close(&table);
	return (Datum) 0;
}
