/*
 * model/feature_chunk.h: rows of one column of features, gathered to be encoded
 * together by matrix products.
 */
#ifndef FEATURE_CHUNK_H
#define FEATURE_CHUNK_H

#include "model/model.h"

#include "storage/itemptr.h"

typedef struct FeatureChunk
{
	int			columns;		/* of a row */
	int			capacity;
	int			rows;			/* so far */
	size_t		nonzeros;
	float	   *dense;			/* [capacity × columns] */
} FeatureChunk;

/* Where a row of features comes from, for errors. */
typedef struct FeaturePlace
{
	const char *column;
	const char *relation;		/* qualified and quoted */
	Oid			model;			/* that it is encoded by */
	ItemPointer place;			/* NULL: not known */
	int64		ordinal;		/* as read, from 1, if it is not */
} FeaturePlace;

/* How many rows a chunk for such a model has room for. */
extern int	feature_chunk_rows(const ModelRow *row);

/* Room for a chunk of so many rows, in the environment's arena. */
extern void feature_chunk_create(FeatureChunk *chunk, const CoreEnv *env, int columns, int capacity);
extern void feature_chunk_empty(FeatureChunk *chunk);

/* A real[] becomes the next row, or it is an error that it is none of finite numbers, as many as columns. */
extern void feature_chunk_add(FeatureChunk *chunk, Datum value, const FeaturePlace *place);

/* The rows, as they are or, if most are zeros, without them, in memory of the current context. */
extern void feature_chunk_features(const FeatureChunk *chunk, Features *features);

#endif							/* FEATURE_CHUNK_H */
