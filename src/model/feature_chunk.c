/*
 * model/feature_chunk.c: gather rows of features, checked, to encode them by
 * matrix products.
 */
#include "model/feature_chunk.h"

#include <math.h>

#include "utils/array.h"

/* Rows of one product: enough of them that reading the weights is cheap, in bounded memory. */
#define MAX_ROWS 1024
#define CHUNK_BYTES (64 * 1024 * 1024)

/* Below this share of non-zeros a chunk goes through the first layer as sparse rows. */
#define SPARSE_BELOW 0.25

int
feature_chunk_rows(const ModelRow *row)
{
	int			widest = Max(Max(row->dimensions[0], row->dimensions[1]), model_most_units(row));

	widest = Max(widest, row->bits);
	return Min(MAX_ROWS, Max(16, CHUNK_BYTES / (widest * (int) sizeof(float))));
}

void
feature_chunk_create(FeatureChunk *chunk, const CoreEnv *env, int columns, int capacity)
{
	chunk->columns = columns;
	chunk->capacity = capacity;
	chunk->dense = env->allocate(env->arena, (size_t) capacity * columns * sizeof(float));
	feature_chunk_empty(chunk);
}

void
feature_chunk_empty(FeatureChunk *chunk)
{
	chunk->rows = 0;
	chunk->nonzeros = 0;
}

/* The detail of errors about a row. */
static int
chunk_detail_place(const FeaturePlace *place)
{
	if (place->place == NULL)
		return errdetail("It is row %lld, as read.", (long long) place->ordinal);
	return errdetail("The row is at ctid (%u,%u).", ItemPointerGetBlockNumber(place->place),
					 ItemPointerGetOffsetNumber(place->place));
}

static void
chunk_fail_not_finite(const FeaturePlace *place, const float *values)
{
	int			i = 0;

	while (isfinite(values[i]))
		i++;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("column \"%s\" of relation %s has %s as element %d, expected a finite number",
					place->column, place->relation,
					isnan(values[i]) ? "NaN" : values[i] > 0 ? "Infinity" : "-Infinity", i + 1),
			 chunk_detail_place(place)));
}

/*
 * What was out of line is freed at once: kept until the caller is done, it would
 * cost more to map memory for it than to read it.
 */
void
feature_chunk_add(FeatureChunk *chunk, Datum value, const FeaturePlace *place)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	int			length = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	float	   *to = chunk->dense + (size_t) chunk->rows * chunk->columns;
	bool		finite;

	if (chunk->rows == chunk->capacity)
		elog(ERROR, "a chunk of %d rows is full", chunk->capacity);
	if (ARR_NDIM(array) > 1 || length != chunk->columns)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("column \"%s\" of relation %s has an array of %d dimensions and %d elements, but model \"%s\" expects 1 and %d",
						place->column, place->relation, ARR_NDIM(array), length,
						model_name(place->model), chunk->columns),
				 chunk_detail_place(place)));
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("column \"%s\" of relation %s has an array with a NULL element",
						place->column, place->relation),
				 chunk_detail_place(place)));
	memcpy(to, ARR_DATA_PTR(array), length * sizeof(float));
	chunk->nonzeros += model_count_nonzeros(to, length, &finite);
	if (!finite)
		chunk_fail_not_finite(place, to);
	if ((Pointer) array != DatumGetPointer(value))
		pfree(array);
	chunk->rows++;
}

void
feature_chunk_features(const FeatureChunk *chunk, Features *features)
{
	int			columns = chunk->columns;
	int32_t    *row_start;
	int32_t    *column;
	float	   *value;
	size_t		at = 0;
	int			i;
	int			j;

	memset(features, 0, sizeof(Features));
	features->rows = chunk->rows;
	features->columns = columns;
	if (chunk->nonzeros >= SPARSE_BELOW * chunk->rows * columns)
	{
		features->dense = chunk->dense;
		return;
	}
	row_start = palloc((chunk->rows + 1) * sizeof(int32_t));
	column = palloc((chunk->nonzeros + 1) * sizeof(int32_t));
	value = palloc((chunk->nonzeros + 1) * sizeof(float));
	for (i = 0; i < chunk->rows; i++)
	{
		row_start[i] = (int32_t) at;
		for (j = 0; j < columns; j++)
		{
			if (chunk->dense[(size_t) i * columns + j] != 0)
			{
				column[at] = j;
				value[at++] = chunk->dense[(size_t) i * columns + j];
			}
		}
	}
	row_start[chunk->rows] = (int32_t) at;
	features->row_start = row_start;
	features->column = column;
	features->value = value;
}
