/*
 * model/row.c: what the row of part "model" says, as JSON and back.
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

#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#define FORMAT 2

/* Whole numbers up to here are doubles exactly. */
#define MAX_INTEGER 9007199254740991.0

static const char *const kernel_name[] = {NULL, "linear", "rbf"};

/* The kernel of a side; what there is decides the number of hidden layers. */
static bool
row_read_kernel(JsonbContainer *side, HiddenLayers *hidden)
{
	JsonbValue *value = json_field(side, "kernel");
	char	   *name = json_as_string(value);

	hidden->kernel = KERNEL_NONE;
	if (value == NULL)
		return true;
	for (hidden->kernel = KERNEL_LINEAR; name != NULL && hidden->kernel <= KERNEL_RBF; hidden->kernel++)
	{
		if (strcmp(name, kernel_name[hidden->kernel]) == 0)
			return hidden->count == (hidden->kernel == KERNEL_RBF ? 1 : 0);
	}
	return false;
}

/* The network of one side: its widths, and how many scales come before it. */
static bool
row_read_side(Jsonb *info, int side, ModelRow *row)
{
	JsonbValue *value = json_field(&info->root, modality_name[side]);
	JsonbContainer *network = json_as_object(value);
	JsonbContainer *widths = network != NULL ? json_as_array(json_field(network, "layers")) : NULL;
	HiddenLayers *hidden = &row->hidden[side];
	int			bits;
	int			i;

	if (value == NULL)
		return true;
	if (widths == NULL || JsonContainerSize(widths) < 2 || JsonContainerSize(widths) > NETWORK_MAX_LAYERS + 1)
		return false;
	hidden->count = JsonContainerSize(widths) - 2;
	for (i = 0; i < hidden->count; i++)
	{
		if (!json_as_integer(getIthJsonbValueFromContainer(widths, i + 1), 1, NETWORK_MAX_HIDDEN, &hidden->units[i]))
			return false;
	}
	if (!row_read_kernel(network, hidden))
		return false;
	return json_as_integer(getIthJsonbValueFromContainer(widths, 0), 1, MODEL_MAX_DIMENSIONS, &row->dimensions[side]) &&
		json_as_integer(getIthJsonbValueFromContainer(widths, hidden->count + 1), 1, BITCODE_MAX_BITS, &bits) &&
		bits == row->bits &&
		json_as_integer(json_field(network, "scales"), 0, MODEL_MAX_DIMENSIONS, &row->scales[side]) &&
		(hidden->kernel != KERNEL_NONE ? row->scales[side] == 0 :
		 row->scales[side] == 1 || row->scales[side] == row->dimensions[side]);
}

static bool
row_read_class_names(Jsonb *info, ModelRow *row)
{
	JsonbValue *value = json_field(&info->root, "classes");
	JsonbContainer *names = json_as_array(value);
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	name;

	row->classes = 0;
	row->class_names = NULL;
	if (value == NULL)
		return true;
	if (names == NULL)
		return false;
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
row_read_digest(Jsonb *info, ModelRow *row)
{
	char	   *text = json_as_string(json_field(&info->root, "digest"));

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
row_read_optional(Jsonb *info, const char *key, double min, double most, double *number)
{
	JsonbValue *value = json_field(&info->root, key);

	return value == NULL || json_as_number(value, min, most, number);
}

/* Fill the row; or return what is wrong with it. */
static char *
row_read_info(Jsonb *info, ModelRow *row)
{
	static const char *const statuses[] = {"training", "trained", "diverged", "imported"};
	double		pairs = -1;
	int			format;
	int			i;

	if (!json_as_integer(json_field(&info->root, "format"), 1, 1e6, &format))
		return pstrdup("It does not say its format.");
	if (format > FORMAT)
		return psprintf("Its format is %d; this release knows up to %d.", format, FORMAT);
	row->status = json_as_string(json_field(&info->root, "status"));
	for (i = 0; i < (int) lengthof(statuses) && row->status != NULL; i++)
	{
		if (strcmp(row->status, statuses[i]) == 0)
			break;
	}
	if (row->status == NULL || i == (int) lengthof(statuses))
		return pstrdup("Its status is none that there is.");
	row->method = json_as_string(json_field(&info->root, "method"));
	if (row->method == NULL || strlen(row->method) > MODEL_MAX_METHOD)
		return psprintf("Its method is no string of at most %d bytes.", MODEL_MAX_METHOD);
	if (!json_as_integer(json_field(&info->root, "bits"), 1, BITCODE_MAX_BITS, &row->bits))
		return psprintf("Its bits are no number from 1 to %d.", BITCODE_MAX_BITS);
	for (i = 0; i < 2; i++)
	{
		if (!row_read_side(info, i, row))
			return psprintf("Its %s network has an impossible shape.", modality_name[i]);
	}
	if (!model_has(row, MODALITY_IMAGE) && !model_has(row, MODALITY_TEXT))
		return pstrdup("It has no network.");
	row->created = 0;
	row->loss = row->seconds = get_float8_nan();
	row->info = info;
	row->epochs_done = 0;
	if (!row_read_class_names(info, row))
		return pstrdup("Its classes are no array of strings.");
	if (!row_read_digest(info, row))
		return pstrdup("Its digest is no string of 16 hexadecimal digits.");
	if (!row_read_optional(info, "pairs", 0, MAX_INTEGER, &pairs) ||
		!row_read_optional(info, "created", 0, 2e11, &row->created) ||
		!row_read_optional(info, "loss", -DBL_MAX, DBL_MAX, &row->loss) ||
		!row_read_optional(info, "seconds", 0, DBL_MAX, &row->seconds) ||
		(json_field(&info->root, "epochs_done") != NULL &&
		 !json_as_integer(json_field(&info->root, "epochs_done"), 0, PG_INT32_MAX, &row->epochs_done)))
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

		*problem = info == NULL ? pstrdup("It has no description.") : row_read_info(info, row);
		if (*problem == NULL && model_scan_next(&scan))
			*problem = pstrdup("It has several descriptions.");
	}
	model_scan_end(&scan);
	return found && *problem == NULL;
}

/* An object within an object, as JSON text; NULL if there is none. */
static char *
row_object_text(Jsonb *info, const char *key)
{
	JsonbValue *value = json_field(&info->root, key);

	return json_as_object(value) != NULL ? JsonbToCString(NULL, value->val.binary.data, value->val.binary.len) : NULL;
}

void
model_find(const ModelTable *table, ModelRow *row)
{
	char	   *problem;

	if (model_find_quietly(table, row, &problem))
	{
		row->source = row_object_text(row->info, "source");
		row->options = row_object_text(row->info, "options");
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

/* Classes without names have their numbers, from 1. */
static void
row_write_classes(StringInfo json, const ModelRow *row)
{
	char	  **numbers = palloc(row->classes * sizeof(char *));
	int			i;

	for (i = 0; i < row->classes && row->class_names == NULL; i++)
		numbers[i] = psprintf("%d", i + 1);
	json_put_strings(json, "classes", row->class_names != NULL ? row->class_names : numbers, row->classes);
}

/* What the weights are laid out by, after what comes before; its text is part of a model's digest. */
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
			appendStringInfo(json, ", \"kernel\": \"%s\"", kernel_name[row->hidden[i].kernel]);
		appendStringInfoChar(json, '}');
	}
}

static char *
row_write_info(const ModelRow *row)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	json_put_integer(&json, "format", row->hidden[0].kernel == KERNEL_NONE && row->hidden[1].kernel == KERNEL_NONE ? 1 : FORMAT);
	json_put_string(&json, "status", row->status);
	json_put_string(&json, "method", row->method);
	model_append_networks(&json, row);
	if (row->classes > 0)
		row_write_classes(&json, row);
	if (row->source != NULL)
		json_put_json(&json, "source", row->source);
	if (row->options != NULL)
		json_put_json(&json, "options", row->options);
	if (row->pairs >= 0)
	{
		json_put_integer(&json, "pairs", row->pairs);
		json_put_string(&json, "digest", psprintf("%016llx", (unsigned long long) row->digest));
	}
	json_put_number(&json, "created", row->created);
	if (row->epochs_done > 0)
	{
		json_put_integer(&json, "epochs_done", row->epochs_done);
		json_put_number(&json, "loss", row->loss);
		json_put_number(&json, "seconds", row->seconds);
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
	model_insert_row(table, MODEL_PART_MODEL, 0, row_write_info(row), NULL);
}

void
model_update(const ModelTable *table, const ModelRow *row)
{
	model_update_info(table, MODEL_PART_MODEL, 0, row_write_info(row));
}
