/*
 * model/words.c: hashed bags of words.
 *
 * A word's place in the vector is its hash modulo the length, so there is no
 * dictionary to build, to store or to keep in step (Weinberger et al.,
 * "Feature hashing for large scale multitask learning", ICML 2009; without
 * their random sign, so that counts stay counts and zeros stay zeros).
 *
 * The hash is 64-bit FNV-1a over the lexeme's bytes, followed by the finaliser
 * of splitmix64: byte by byte, so it is the same on every machine.  Stored
 * features and trained models depend on it: it must never change.
 */
#include "model/model.h"

#include "catalog/pg_type.h"
#include "core/random.h"
#include "tsearch/ts_type.h"
#include "utils/array.h"

static uint64
words_hash_word(const char *word, int length)
{
	uint64		hash = UINT64CONST(0xcbf29ce484222325);
	int			i;

	for (i = 0; i < length; i++)
	{
		hash ^= (unsigned char) word[i];
		hash *= UINT64CONST(0x100000001b3);
	}
	return random_mix(hash);
}

XMHASH_FUNCTION(xmhash_bag_of_words);

/* Occurrences of each bucket's words; a word without positions counts once. */
Datum
xmhash_bag_of_words(PG_FUNCTION_ARGS)
{
	TSVector	document = PG_GETARG_TSVECTOR(0);
	int32		dimensions = PG_GETARG_INT32(1);
	const WordEntry *entries = ARRPTR(document);
	ArrayType  *result;
	float4	   *counts;
	Size		size;
	int			i;

	if (dimensions < 1 || dimensions > MODEL_MAX_DIMENSIONS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a bag of words cannot have %d dimensions, expected 1 to %d",
						dimensions, MODEL_MAX_DIMENSIONS)));
	size = ARR_OVERHEAD_NONULLS(1) + (Size) dimensions * sizeof(float4);
	result = palloc0(size);
	SET_VARSIZE(result, size);
	result->ndim = 1;
	result->elemtype = FLOAT4OID;
	ARR_DIMS(result)[0] = dimensions;
	ARR_LBOUND(result)[0] = 1;
	counts = (float4 *) ARR_DATA_PTR(result);
	for (i = 0; i < document->size; i++)
	{
		uint64		hash = words_hash_word(STRPTR(document) + entries[i].pos, entries[i].len);

		counts[hash % dimensions] += entries[i].haspos ? POSDATALEN(document, &entries[i]) : 1;
	}
	PG_FREE_IF_COPY(document, 0);
	PG_RETURN_ARRAYTYPE_P(result);
}
