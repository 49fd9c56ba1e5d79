/*
 * train/checkpoint.c: store the state of a training between two epochs, and go
 * on from it.
 *
 * The state is complete (weights, optimizer, fitted constants), random numbers
 * are functions of seed and epoch, and rows are put in an order of their own,
 * so what follows a checkpoint is the same, to the bit, as without it: as long
 * as the matrix products are, which depend on the BLAS library, on the kernels
 * that it chose for the processor, and on the number of threads.
 */
#include "train/run.h"

#include <math.h>

#include "core/blas.h"
#include "core/threads.h"
#include "miscadmin.h"
#include "server/core_env.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* All arrays of the state, and the best weights if they are kept. */
static int
checkpoint_states(Training *training, TrainerState states[TRAINER_MAX_STATES + 1], size_t *floats)
{
	int			count = trainer_state(training->trainer, states);
	int			i;

	if (training->best != NULL)
	{
		states[count++] = (TrainerState) {"best weights", training->best, training->good.count, false};
	}
	*floats = 0;
	for (i = 0; i < count; i++)
		*floats += states[i].count;
	return count;
}

/* Replace the checkpoint by the present state. */
void
train_checkpoint_save(Training *training, const ModelTable *table)
{
	TrainerState states[TRAINER_MAX_STATES + 1];
	StringInfoData info;
	size_t		floats;
	int			count = checkpoint_states(training, states, &floats);
	float	   *flat = MemoryContextAllocHuge(CurrentMemoryContext, floats * sizeof(float));
	size_t		at = 0;
	int			i;

	for (i = 0; i < count; i++)
	{
		core_env_copy_floats(flat + at, states[i].data, states[i].count);
		at += states[i].count;
	}
	initStringInfo(&info);
	appendStringInfoChar(&info, '{');
	json_put_integer(&info, "epoch", training->epochs_done);
	json_put_integer(&info, "threads", blas_threads());
	json_put_string(&info, "blas", blas_version());
	if (training->best_epoch > 0)
	{
		json_put_integer(&info, "best_epoch", training->best_epoch);
		json_put_number(&info, "best_map", training->best_map);
	}
	appendStringInfoChar(&info, '}');
	model_delete_rows(table, MODEL_PART_CHECKPOINT, 0);
	model_write_pieces(table, MODEL_PART_CHECKPOINT, flat, floats, info.data);
	pfree(flat);
}

/* Use the threads the checkpoint was made with, and say if BLAS is another. */
static void
checkpoint_restore_blas(const Training *training, int threads, const char *blas)
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

static void
checkpoint_damaged(const Training *training, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("the checkpoint of model \"%s\" is damaged", training->row.name),
			 errdetail_internal("%s", detail)));
}

/* What the checkpoint says beside its numbers; the model's owner can have written anything. */
static void
checkpoint_read_info(Training *training, Jsonb *info)
{
	int			epochs = train_epochs(&training->options);
	int			threads;
	char	   *blas;

	if (info == NULL || (blas = json_as_string(json_field(&info->root, "blas"))) == NULL)
		checkpoint_damaged(training, "It does not say what made it.");
	if (!json_as_integer(json_field(&info->root, "epoch"), 1, epochs, &training->epochs_done))
		checkpoint_damaged(training, psprintf("It was not made after an epoch from 1 to %d.", epochs));
	if (!json_as_integer(json_field(&info->root, "threads"), 1, THREADS_MAX, &threads))
		checkpoint_damaged(training, psprintf("It was not made with 1 to %d threads.", THREADS_MAX));
	training->best_map = 0;
	training->best_epoch = 0;
	if (json_as_number(json_field(&info->root, "best_map"), 0, 1, &training->best_map) !=
		json_as_integer(json_field(&info->root, "best_epoch"), 1, training->epochs_done, &training->best_epoch))
		checkpoint_damaged(training, "Its best epoch is none that has been.");
	checkpoint_restore_blas(training, threads, blas);
}

/* The state's numbers, and what is raw, which can be anything. */
static void
checkpoint_fill_states(Training *training, const ModelTable *table, const TrainerState *states, int count, size_t floats)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash checkpoint",
												  ALLOCSET_DEFAULT_SIZES);
	CoreEnv env;
	float	   *flat;
	size_t		at = 0;
	int			i;

	env = core_env(context);
	flat = model_read_pieces(table, MODEL_PART_CHECKPOINT, floats, &env);
	for (i = 0; i < count; i++)
	{
		size_t		j;

		for (j = 0; j < states[i].count && !states[i].raw; j++)
		{
			if (j % (1 << 20) == 0)
				CHECK_FOR_INTERRUPTS();
			if (!isfinite(flat[at + j]))
				checkpoint_damaged(training, psprintf("Number %zu of \"%s\" is not finite.", j + 1, states[i].name));
		}
		core_env_copy_floats(states[i].data, flat + at, states[i].count);
		at += states[i].count;
	}
	MemoryContextDelete(context);
}

/*
 * Fill the trainer from the model's checkpoint; false if there is none, and
 * the training starts from the beginning.  Epochs after the checkpoint will be
 * trained again: their rows are forgotten.
 */
bool
train_checkpoint_load(Training *training, const ModelTable *table)
{
	TrainerState states[TRAINER_MAX_STATES + 1];
	ModelScan	scan;
	size_t		floats;
	int			count = checkpoint_states(training, states, &floats);
	bool		found;

	model_scan_begin(&scan, table, MODEL_PART_CHECKPOINT, 0);
	found = model_scan_next(&scan);
	if (found)
		checkpoint_read_info(training, model_scan_info(&scan));
	model_scan_end(&scan);
	if (found)
		checkpoint_fill_states(training, table, states, count, floats);
	model_delete_rows(table, MODEL_PART_EPOCH, training->epochs_done + 1);
	return found;
}
