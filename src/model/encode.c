/*
 * model/encode.c: codes of single rows of features.
 *
 * A call that repeats the model of the call before, by the same user, goes
 * straight from the array's floats to the network.
 */
#include "model/model.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "bitcode/bitcode.h"
#include "miscadmin.h"
#include "server/core_env.h"
#include "utils/array.h"
#include "utils/builtins.h"

#define SPARSE_BELOW 4			/* a row is sparse with fewer than 1/4 non-zeros */

/* What was asked for is a network that an imported model came without. */
void
model_fail_absent(const char *name, Modality modality)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("model \"%s\" has no %s network", name, modality_name[modality]),
			 errdetail("It was imported with a network for its %ss only.", modality_name[1 - modality])));
}

/* The array's floats, after all that can be checked without reading them. */
static const float *
encode_check_features(const CachedModel *model, Modality modality, ArrayType *array)
{
	int			expected = model->network[modality].inputs;
	int			length;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s features are an array of %d dimensions, expected 1",
						modality_name[modality], ARR_NDIM(array))));
	if (expected == 0)
		model_fail_absent(model_name(model->model), modality);
	length = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (length != expected)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s features have %d elements, but model \"%s\" expects %d",
						modality_name[modality], length, model_name(model->model), expected)));
	if (ARR_HASNULL(array) && array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s features for model \"%s\" have a NULL element, expected %d finite numbers",
						modality_name[modality], model_name(model->model), expected)));
	return (const float *) ARR_DATA_PTR(array);
}

/* Find the value that made the check of all of them fail. */
static void
encode_fail_not_finite(const CachedModel *model, Modality modality, const float *values, int count)
{
	int			i;

	for (i = 0; i < count - 1 && isfinite(values[i]);)
		i++;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s features for model \"%s\" have %s as element %d, expected %d finite numbers",
					modality_name[modality], model_name(model->model),
					isnan(values[i]) ? "NaN" : values[i] > 0 ? "Infinity" : "-Infinity",
					i + 1, count)));
}

/*
 * One pass over the values, in a form that compilers turn into vector
 * instructions: how many are not zero, and whether an exponent is all ones,
 * which NaN and the infinities have alone.
 */
int
model_count_nonzeros(const float *values, int count, bool *finite)
{
	const uint32 *words = (const uint32 *) values;
	int			nonzeros = 0;
	int			special = 0;
	int			i;

	for (i = 0; i < count; i++)
	{
		uint32		magnitude = words[i] & 0x7FFFFFFF;

		nonzeros += magnitude != 0;
		special += magnitude >= 0x7F800000;
	}
	*finite = special == 0;
	return nonzeros;
}

/* The code of one row. */
Bitcode *
model_encode(CachedModel *model, Modality modality, ArrayType *array)
{
	const float *values = encode_check_features(model, modality, array);
	Features	features = {0};
	int32_t		row_start[2] = {0, 0};
	CoreEnv env;
	Bitcode    *code;
	bool		finite;
	int			nonzeros;

	features.rows = 1;
	features.columns = model->network[modality].inputs;
	nonzeros = model_count_nonzeros(values, features.columns, &finite);
	if (!finite)
		encode_fail_not_finite(model, modality, values, features.columns);
	if (nonzeros < features.columns / SPARSE_BELOW)
	{
		int			i;

		for (i = 0; i < features.columns; i++)
		{
			model->column[row_start[1]] = i;
			model->value[row_start[1]] = values[i];
			row_start[1] += values[i] != 0;
		}
		features.row_start = row_start;
		features.column = model->column;
		features.value = model->value;
	}
	else
		features.dense = values;

	code = bitcode_make(model->bits);
	env = core_env(CurrentMemoryContext);
	network_encode(&env, &model->network[modality], &features, model->scratch,
				   model->outputs, BITCODE_DATA(code));
	return code;
}

static Datum
encode_row(FunctionCallInfo fcinfo, Modality modality)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(1);
	CachedModel *model;
	Bitcode    *code;

	if (fcinfo->flinfo->fn_extra == NULL)
		fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(ModelCall));
	model = model_cache_find(fcinfo, fcinfo->flinfo->fn_extra, PG_GETARG_OID(0));
	code = model_encode(model, modality, array);

	PG_FREE_IF_COPY(array, 1);
	PG_RETURN_BITCODE_P(code);
}

XMHASH_FUNCTION(xmhash_encode_image);
XMHASH_FUNCTION(xmhash_encode_text);

Datum
xmhash_encode_image(PG_FUNCTION_ARGS)
{
	return encode_row(fcinfo, MODALITY_IMAGE);
}

Datum
xmhash_encode_text(PG_FUNCTION_ARGS)
{
	return encode_row(fcinfo, MODALITY_TEXT);
}
