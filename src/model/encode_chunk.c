/*
 * model/encode_chunk.c: rows of a table to codes, a chunk at a time, by matrix
 * products.
 */
#include "model/table_encoder.h"

#include "server/core_env.h"
#include "server/row_place.h"
#include "storage/itemptr.h"
#include "utils/memutils.h"

void
encode_chunk_prepare(TableEncoder *encoder, Oid function)
{
	MemoryContext context = CurrentMemoryContext;
	ModelTable	table;
	ModelRow	row;
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
	encoder->chunk_rows = feature_chunk_rows(&row);
	for (side = 0; side < 2; side++)
		feature_chunk_create(&encoder->chunk[side], &encoder->env, row.dimensions[side], encoder->chunk_rows);
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

/* Keep the place of a row, and its features. */
static void
encode_chunk_read_row(TableEncoder *encoder, HeapTuple tuple, TupleDesc descriptor)
{
	FeaturePlace from = {.relation = encoder->relation_name, .model = encoder->model};
	Oid			table;

	from.place = palloc(sizeof(ItemPointerData));
	encode_chunk_reserve_row(encoder);
	row_place(tuple, descriptor, 1, encoder->relation_name, &table, from.place);
	encoder->table[encoder->count] = ObjectIdGetDatum(table);
	encoder->place[encoder->count] = PointerGetDatum(from.place);
	for (int side = 0; side < 2; side++)
	{
		bool		isnull;
		Datum		value = SPI_getbinval(tuple, descriptor, 3 + side, &isnull);

		encoder->code_is_null[side][encoder->count] = isnull;
		encoder->code[side][encoder->count] = (Datum) 0;
		from.column = encoder->features_column[side];
		if (!isnull)
			feature_chunk_add(&encoder->chunk[side], value, &from);
	}
	encoder->count++;
}

/* The codes of the chunk's rows, which are the last of the range. */
static void
encode_chunk_make_codes(TableEncoder *encoder, int side, int first)
{
	int			bytes = (encoder->bits + 7) / 8;
	const uint8_t *packed = encoder->packed;
	Features	features;

	if (encoder->chunk[side].rows == 0)
		return;
	feature_chunk_features(&encoder->chunk[side], &features);
	network_encode(&encoder->env, &encoder->network[side], &features,
				   encoder->scratch, encoder->outputs, encoder->packed);
	for (int i = first; i < encoder->count; i++)
	{
		Bitcode    *code;

		if (encoder->code_is_null[side][i])
			continue;
		code = bitcode_make(encoder->bits);
		memcpy(BITCODE_DATA(code), packed, bytes);
		encoder->code[side][i] = PointerGetDatum(code);
		packed += bytes;
	}
}

void
encode_chunk(TableEncoder *encoder, SPITupleTable *rows, int count)
{
	int			first = encoder->count;

	feature_chunk_empty(&encoder->chunk[0]);
	feature_chunk_empty(&encoder->chunk[1]);
	for (int i = 0; i < count; i++)
		encode_chunk_read_row(encoder, rows->vals[i], rows->tupdesc);
	for (int side = 0; side < 2; side++)
		encode_chunk_make_codes(encoder, side, first);
}
