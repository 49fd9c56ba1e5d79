/*
 * train_checkpoint.c: store the state of a training between two epochs, and go
 * on from it.
 *
 * The state is complete (weights, optimizer, fitted constants), random numbers
 * are functions of seed and epoch, and rows are put in an order of their own,
 * so what follows a checkpoint is the same, to the bit, as without it: as long
 * as the matrix products are, which depend on the BLAS library, on the kernels
 * that it chose for the processor, and on the number of threads.
 */
#include "train_run.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define MOST_THREADS 1024		/* of xmhash.threads */

/* All arrays of the state, and the best weights if they are kept. */
static int
collect_states(Training *training, TrainerState states[TRAINER_MOST_STATES + 1], size_t *floats)
{
	int			count = trainer_state(training->trainer, states);
	int			i;

	if (training->best != NULL)
	{
		states[count].name = "best weights";
		states[count].data = training->best;
		states[count++].count = training->good.count;
	}
	*floats = 0;
	for (i = 0; i < count; i++)
		*floats += states[i].count;
	return count;
}

void
train_checkpoint_drop(Training *training)
{
	Oid			type = UUIDOID;
	Datum		id = UUIDPGetDatum(&training->row.id);

	model_execute(&training->tables, "DELETE FROM %1$s.xmhash_checkpoint_part "
				  "WHERE model OPERATOR(pg_catalog.=) $1", false, 1, &type, &id, NULL);
	model_execute(&training->tables, "DELETE FROM %1$s.xmhash_checkpoint "
				  "WHERE model OPERATOR(pg_catalog.=) $1", false, 1, &type, &id, NULL);
}

/* Replace the checkpoint by the present state. */
void
train_checkpoint_save(Training *training)
{
	TrainerState states[TRAINER_MOST_STATES + 1];
	Oid			types[7] = {UUIDOID, INT4OID, INT4OID, TEXTOID, INT8OID, INT4OID, FLOAT8OID};
	Datum		values[7];
	char		nulls[7] = {' ', ' ', ' ', ' ', ' ', ' ', ' '};
	size_t		floats;
	int			count = collect_states(training, states, &floats);
	float	   *flat = MemoryContextAllocHuge(CurrentMemoryContext, floats * sizeof(float));
	size_t		at = 0;
	int			i;

	for (i = 0; i < count; i++)
	{
		model_copy_floats(flat + at, states[i].data, states[i].count);
		at += states[i].count;
	}
	train_checkpoint_drop(training);
	values[0] = UUIDPGetDatum(&training->row.id);
	values[1] = Int32GetDatum(training->epochs_done);
	values[2] = Int32GetDatum(blas_threads());
	values[3] = CStringGetTextDatum(blas_version());
	values[4] = Int64GetDatum(floats);
	values[5] = Int32GetDatum(training->best_epoch);
	values[6] = Float8GetDatum(training->best_map);
	if (training->best_epoch == 0)
		nulls[5] = nulls[6] = 'n';
	model_execute(&training->tables, "INSERT INTO %1$s.xmhash_checkpoint "
				  "(model, epoch, threads, blas, floats, best_epoch, best_map) "
				  "VALUES ($1, $2, $3, $4, $5, $6, $7)", false, 7, types, values, nulls);
	model_write_parts(&training->tables, "xmhash_checkpoint_part", &training->row.id, flat, floats);
	pfree(flat);
}

/* Epochs after the checkpoint will be trained again: forget their log. */
static void
drop_later_log(Training *training)
{
	Oid			types[2] = {UUIDOID, INT4OID};
	Datum		values[2];

	values[0] = UUIDPGetDatum(&training->row.id);
	values[1] = Int32GetDatum(training->epochs_done);
	model_execute(&training->tables, "DELETE FROM %1$s.xmhash_training_log "
				  "WHERE model OPERATOR(pg_catalog.=) $1 AND epoch OPERATOR(pg_catalog.>) $2",
				  false, 2, types, values, NULL);
}

/* Use the threads the checkpoint was made with, and say if BLAS is another. */
static void
restore_blas(const Training *training, int threads, const char *blas)
{
	if (threads != blas_threads())
		model_set_threads(threads);
	if (threads != blas_threads())
		ereport(WARNING,
				(errmsg("model \"%s\" goes on with %d threads, it began with %d",
						training->row.name, blas_threads(), threads),
				 errhint("The weights may not be those of an uninterrupted training to the last bit.")));
	if (strcmp(blas, blas_version()) != 0)
		ereport(WARNING,
				(errmsg("model \"%s\" goes on with another BLAS than it began with", training->row.name),
				 errdetail("It began with \"%s\"; this is \"%s\".", blas, blas_version()),
				 errhint("The weights will not be those of an uninterrupted training to the last bit.")));
}

/*
 * Fill the trainer from the model's checkpoint; false if there is none, and
 * the training starts from the beginning.
 */
bool
train_checkpoint_load(Training *training)
{
	TrainerState states[TRAINER_MOST_STATES + 1];
	Oid			type = UUIDOID;
	Datum		id = UUIDPGetDatum(&training->row.id);
	HeapTuple	tuple;
	TupleDesc	descriptor;
	bool		isnull;
	char	   *blas;
	int			threads;
	size_t		floats;
	int			count = collect_states(training, states, &floats);
	float	   *flat;
	int			i;

	if (model_execute(&training->tables, "SELECT c.epoch, c.threads, c.blas, c.floats, c.best_epoch, c.best_map "
					  "FROM %1$s.xmhash_checkpoint AS c WHERE c.model OPERATOR(pg_catalog.=) $1",
					  true, 1, &type, &id, NULL) == 0)
	{
		drop_later_log(training);
		return false;
	}
	tuple = SPI_tuptable->vals[0];
	descriptor = SPI_tuptable->tupdesc;
	training->epochs_done = DatumGetInt32(SPI_getbinval(tuple, descriptor, 1, &isnull));
	blas = SPI_getvalue(tuple, descriptor, 3);
	threads = DatumGetInt32(SPI_getbinval(tuple, descriptor, 2, &isnull));
	training->best_epoch = DatumGetInt32(SPI_getbinval(tuple, descriptor, 5, &isnull));
	training->best_map = SPI_getvalue(tuple, descriptor, 6) != NULL ?
		DatumGetFloat8(SPI_getbinval(tuple, descriptor, 6, &isnull)) : 0;

	/* The model's owner can have made the row, whatever it says. */
	if (training->epochs_done < 1 || training->epochs_done > training->settings.core.epochs ||
		threads < 1 || threads > MOST_THREADS ||
		training->best_epoch < 0 || training->best_epoch > training->epochs_done ||
		isnan(training->best_map))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the checkpoint of model \"%s\" is damaged", training->row.name),
				 errdetail("It was made after epoch %d of %d with %d threads; the best epoch was %d.",
						   training->epochs_done, training->settings.core.epochs, threads,
						   training->best_epoch)));
	if (DatumGetInt64(SPI_getbinval(tuple, descriptor, 4, &isnull)) != (int64) floats)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the checkpoint of model \"%s\" has " INT64_FORMAT " values, expected %zu",
						training->row.name,
						DatumGetInt64(SPI_getbinval(tuple, descriptor, 4, &isnull)), floats)));
	restore_blas(training, threads, blas);

	model_check_parts(&training->tables, "xmhash_checkpoint_part", training->row.name,
					  &training->row.id, floats);
	flat = MemoryContextAllocHuge(training->context, floats * sizeof(float));
	model_read_parts(&training->tables, "xmhash_checkpoint_part", training->row.name,
					 &training->row.id, flat, floats);
	for (i = 0, floats = 0; i < count; i++)
	{
		model_copy_floats(states[i].data, flat + floats, states[i].count);
		floats += states[i].count;
	}
	pfree(flat);
	drop_later_log(training);
	return true;
}
