/*
 * model/table_encoder.h: between the files of xmhash_encode_table().
 */
#ifndef TABLE_ENCODER_H
#define TABLE_ENCODER_H

#include "model/feature_chunk.h"
#include "model/model.h"

#include "executor/spi.h"

/* What a call of xmhash_encode_table() works with. */
typedef struct TableEncoder
{
	bool		atomic;
	Oid			function;		/* this one */
	Oid			model;
	int			bits;
	Network		network[2];
	CoreEnv		env;
	Oid			relation;
	char	   *relation_name;
	Oid			code_array_type;
	bool		used[2];
	const char *features_column[2];
	const char *code_column[2];
	bool		only_missing;
	int			batch_rows;
	char	   *select;
	char	   *update;

	/* A chunk [chunk_rows]: rows without features are left out of it. */
	int			chunk_rows;
	FeatureChunk chunk[2];
	float	   *scratch;
	float	   *outputs;
	uint8_t    *packed;

	/* What a range is updated with; grown as needed. */
	MemoryContext range_context;
	int			count;
	int			capacity;
	Datum	   *table;
	Datum	   *place;
	Datum	   *code[2];
	bool	   *code_is_null[2];
	int64		encoded;
} TableEncoder;

/* Read the networks, into this call's own memory, and make room for a chunk. */
extern void encode_chunk_prepare(TableEncoder *encoder, Oid function);

/* Encode the rows that a fetch has brought: tableoid, ctid and the features. */
extern void encode_chunk(TableEncoder *encoder, SPITupleTable *rows, int count);

#endif							/* TABLE_ENCODER_H */
