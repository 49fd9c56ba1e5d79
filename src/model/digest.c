/*
 * model/digest.c: what a model's codes depend on, in one number, to compare
 * models of the same name on several servers.
 *
 * It is the SHA-256 of the shape of the networks and of the weights as they are
 * stored, and so the same for a model that has been exported and imported,
 * replicated or restored, whatever the order of its rows.  Dates, losses,
 * options and names say nothing about codes.  It is computed when it is asked
 * for: kept in a row, the owner of the table could make it anything.
 */
#include "model/model.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "utils/builtins.h"

#define DIGEST_FORMAT "xmhash 1"

static void
digest_update(void *argument, const char *bytes, size_t size)
{
	pg_cryptohash_ctx *hash = argument;

	if (pg_cryptohash_update(hash, (const uint8 *) bytes, size) < 0)
		elog(ERROR, "could not update the digest of a model: %s", pg_cryptohash_error(hash));
}

/* Of a model whose rows are all there; else NULL. */
static text *
digest_model(const ModelTable *table, const ModelRow *row)
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char		hex[2 * PG_SHA256_DIGEST_LENGTH];
	StringInfoData shape;
	bool		complete;

	initStringInfo(&shape);
	appendStringInfoString(&shape, DIGEST_FORMAT);
	model_append_networks(&shape, row);
	if (pg_cryptohash_init(hash) < 0)
		elog(ERROR, "could not begin the digest of a model: %s", pg_cryptohash_error(hash));
	digest_update(hash, shape.data, shape.len);
	complete = model_pieces_visit(table, MODEL_PART_WEIGHTS, model_floats(row), digest_update, hash);
	if (complete && pg_cryptohash_final(hash, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not end the digest of a model: %s", pg_cryptohash_error(hash));
	pg_cryptohash_free(hash);
	if (!complete)
		return NULL;
	hex_encode((const char *) digest, sizeof(digest), hex);
	return cstring_to_text_with_len(hex, sizeof(hex));
}

XMHASH_FUNCTION(xmhash_model_digest);

/* NULL where the view has no other word on the model either, and of one without weights. */
Datum
xmhash_model_digest(PG_FUNCTION_ARGS)
{
	text	   *digest = NULL;
	ModelTable	table;
	ModelRow	row;
	char	   *problem;

	if (model_open_quietly(fcinfo->flinfo->fn_oid, PG_GETARG_OID(0), &table))
	{
		if (model_find_quietly(&table, &row, &problem))
			digest = digest_model(&table, &row);
		model_close(&table);
	}
	if (digest == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(digest);
}
