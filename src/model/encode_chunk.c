/*
 * model/encode_chunk.c: rows of a table to codes, a chunk at a time, by matrix
 * products.
 */
#include "model/table_encoder.h"

#include <math.h>

#include "server/core_env.h"
#include "server/row_place.h"
#include "storage/itemptr.h"
#include "utils/array.h"
#include "utils/memutils.h"

/* Rows of one product: enough of them that reading the weights is cheap, in bounded memory. */
#define MAX_ROWS 1024
#define CHUNK_BYTES (64 * 1024 * 1024)

/* Below this share of non-zeros a chunk goes through the first layer as sparse rows. */
#define SPARSE_BELOW 0.25

void
encode_chunk_prepare(TableEncoder *encoder, Oid function)
{
	MemoryContext context = CurrentMemoryContext;
	ModelTable	table;
	ModelRow	row;
	int			widest;
	int			side;

	encoder->env = core_env(context);
	model_open(function, encoder->model, &table);
	model_find(&table, &row);
	for (side = 0; side < 2; side++)
	{
		if (encoder->used[side] && !model_has(&row, side))
			model_fail_absent(row.name, side);
	}
	model_load(&table, &row, &encoder->env, encoder->network);
	model_close(&table);
	model_start_blas();
	encoder->bits = row.bits;
	widest = Max(Max(row.dimensions[0], row.dimensions[1]), model_most_units(&row));
	widest = Max(widest, row.bits);
	encoder->chunk_rows = Min(MAX_ROWS, Max(16, CHUNK_BYTES / (widest * (int) sizeof(float))));
	for (side = 0; side < 2; side++)
		encoder->dense[side] = encoder->env.allocate(context, (size_t) encoder->chunk_rows *
													 row.dimensions[side] * sizeof(float));
	encoder->scratch = encoder->env.allocate(context, (size_t) encoder->chunk_rows *
											 (model_most_units(&row) + 1) * sizeof(float));
	encoder->outputs = encoder->env.allocate(context, (size_t) encoder->chunk_rows * row.bits * sizeof(float));
	encoder->packed = encoder->env.allocate(context, (size_t) encoder->chunk_rows * ((row.bits + 7) / 8));

	encoder->capacity = 4096;
	encoder->table = palloc(encoder->capacity * sizeof(Datum));
	encoder->place = palloc(encoder->capacity * sizeof(Datum));
	for (side = 0; side < 2; side++)
	{
		encoder->code[side] = palloc(encoder->capacity * sizeof(Datum));
		encoder->code_is_null[side] = palloc(encoder->capacity);
	}
	encoder->range_context = AllocSetContextCreate(context, "xmhash encode range", ALLOCSET_DEFAULT_SIZES);

	/* Whatever network_encode() asks for is needed for one chunk only. */
	encoder->env.arena = encoder->range_context;
}

/* Room for one more row of the range. */
static void
encode_chunk_reserve_row(TableEncoder *encoder)
{
	int			side;

	if (encoder->count < encoder->capacity)
		return;
	encoder->capacity *= 2;
	encoder->table = repalloc_huge(encoder->table, encoder->capacity * sizeof(Datum));
	encoder->place = repalloc_huge(encoder->place, encoder->capacity * sizeof(Datum));
	for (side = 0; side < 2; side++)
	{
		encoder->code[side] = repalloc_huge(encoder->code[side], encoder->capacity * sizeof(Datum));
		encoder->code_is_null[side] = repalloc_huge(encoder->code_is_null[side], encoder->capacity);
	}
}

/* The detail of errors about a row. */
static int
encode_chunk_detail_place(ItemPointer place)
{
	return errdetail("The row is at ctid (%u,%u).",
					 ItemPointerGetBlockNumber(place), ItemPointerGetOffsetNumber(place));
}

static void
encode_chunk_fail_not_finite(const TableEncoder *encoder, int side, const float *values, ItemPointer place)
{
	int			i = 0;

	while (isfinite(values[i]))
		i++;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("column \"%s\" of relation %s has %s as element %d, expected a finite number",
					encoder->features_column[side], encoder->relation_name,
					isnan(values[i]) ? "NaN" : values[i] > 0 ? "Infinity" : "-Infinity", i + 1),
			 encode_chunk_detail_place(place)));
}

/*
 * Copy a row's features into the chunk, checked.  What was out of line is
 * freed at once: kept until the range is done, it would cost more to map
 * memory for it than to read it.
 */
static void
encode_chunk_read_features(TableEncoder *encoder, int side, Datum value, ItemPointer place, float *to)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	int			length = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	int			expected = encoder->network[side].inputs;
	bool		finite;

	if (ARR_NDIM(array) > 1 || length != expected)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("column \"%s\" of relation %s has an array of %d dimensions and %d elements, but model \"%s\" expects 1 and %d",
						encoder->features_column[side], encoder->relation_name, ARR_NDIM(array), length,
						model_name(encoder->model), expected),
				 encode_chunk_detail_place(place)));
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("column \"%s\" of relation %s has an array with a NULL element",
						encoder->features_column[side], encoder->relation_name),
				 encode_chunk_detail_place(place)));
	memcpy(to, ARR_DATA_PTR(array), length * sizeof(float));
	encoder->nonzeros[side] += model_count_nonzeros(to, length, &finite);
	if (!finite)
		encode_chunk_fail_not_finite(encoder, side, to, place);
	if ((Pointer) array != DatumGetPointer(value))
		pfree(array);
}

/* The chunk's rows of one side, as they are or without their zeros. */
static void
encode_chunk_make_features(const TableEncoder *encoder, int side, int rows, Features *features)
{
	int			columns = encoder->network[side].inputs;
	const float *dense = encoder->dense[side];
	size_t		count = encoder->nonzeros[side];
	int32_t    *row_start;
	int32_t    *column;
	float	   *value;
	size_t		at = 0;
	int			i;
	int			j;

	memset(features, 0, sizeof(Features));
	features->rows = rows;
	features->columns = columns;
	if (count >= SPARSE_BELOW * rows * columns)
	{
		features->dense = dense;
		return;
	}
	row_start = palloc((rows + 1) * sizeof(int32_t));
	column = palloc((count + 1) * sizeof(int32_t));
	value = palloc((count + 1) * sizeof(float));
	for (i = 0; i < rows; i++)
	{
		row_start[i] = (int32_t) at;
		for (j = 0; j < columns; j++)
		{
			if (dense[(size_t) i * columns + j] != 0)
			{
				column[at] = j;
				value[at++] = dense[(size_t) i * columns + j];
			}
		}
	}
	row_start[rows] = (int32_t) at;
	features->row_start = row_start;
	features->column = column;
	features->value = value;
}

void
encode_chunk(TableEncoder *encoder, SPITupleTable *rows, int count)
{
	int			filled[2] = {0, 0};
	int			target[2][MAX_ROWS];
	int			bytes = (encoder->bits + 7) / 8;
	int			side;
	int			i;

	encoder->nonzeros[0] = encoder->nonzeros[1] = 0;
	for (i = 0; i < count; i++)
	{
		HeapTuple	tuple = rows->vals[i];
		bool		isnull;
		Oid			table;
		ItemPointer place = palloc(sizeof(ItemPointerData));

		encode_chunk_reserve_row(encoder);
		row_place(tuple, rows->tupdesc, 1, encoder->relation_name, &table, place);
		encoder->table[encoder->count] = ObjectIdGetDatum(table);
		encoder->place[encoder->count] = PointerGetDatum(place);
		for (side = 0; side < 2; side++)
		{
			Datum		value = SPI_getbinval(tuple, rows->tupdesc, 3 + side, &isnull);

			encoder->code_is_null[side][encoder->count] = isnull;
			encoder->code[side][encoder->count] = (Datum) 0;
			if (isnull)
				continue;
			encode_chunk_read_features(encoder, side, value, place,
									   encoder->dense[side] + (size_t) filled[side] * encoder->network[side].inputs);
			target[side][filled[side]++] = encoder->count;
		}
		encoder->count++;
	}
	for (side = 0; side < 2; side++)
	{
		Features	features;

		if (filled[side] == 0)
			continue;
		encode_chunk_make_features(encoder, side, filled[side], &features);
		network_encode(&encoder->env, &encoder->network[side], &features,
					   encoder->scratch, encoder->outputs, encoder->packed);
		for (i = 0; i < filled[side]; i++)
		{
			Bitcode    *code = bitcode_make(encoder->bits);

			memcpy(BITCODE_DATA(code), encoder->packed + (size_t) i * bytes, bytes);
			encoder->code[side][target[side][i]] = PointerGetDatum(code);
		}
	}
}
