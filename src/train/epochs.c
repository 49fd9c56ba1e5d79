/*
 * train/epochs.c: the epochs, or phases, of a training, from a trainer that is
 * ready for them to a model that is stored.
 *
 * The model's table is made after the first one, so that a failure before
 * leaves nothing.
 */
#include "train/run.h"

#include <math.h>

#include "executor/spi.h"
#include "miscadmin.h"
#include "server/core_env.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* Commit, unless within a transaction block. */
void
train_commit(Training *training)
{
	if (!training->atomic)
		SPI_commit();
}

static void
epochs_copy_network(Network *to, const Network *from)
{
	int			i;

	for (i = 0; i < from->layers; i++)
	{
		const Layer *layer = &from->layer[i];

		core_env_copy_floats(to->layer[i].weight, layer->weight, (size_t) layer->inputs * layer->outputs);
		core_env_copy_floats(to->layer[i].bias, layer->bias, layer->outputs);
	}
}

/* Take the trainer's networks over, if they are good. */
static bool
epochs_keep_weights(Training *training)
{
	const Network *image = trainer_image_network(training->trainer);
	const Network *text = trainer_text_network(training->trainer);

	if (!model_network_is_finite(image) || !model_network_is_finite(text))
		return false;
	epochs_copy_network(&training->good.network[MODALITY_IMAGE], image);
	epochs_copy_network(&training->good.network[MODALITY_TEXT], text);
	return true;
}

static double
epochs_seconds_since(const instr_time *since)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, *since);
	return INSTR_TIME_GET_DOUBLE(now);
}

/*
 * Make the model's table.  The lock comes with it, so that nobody who sees it
 * finds it free.
 */
static void
epochs_create_model(Training *training)
{
	ModelTable	table;

	training->model = model_create(training->function, &training->place);
	model_lock(training->model, !training->atomic);
	training->row.created = model_now();
	model_open_own(training->function, training->model, &table);
	model_insert(&table, &training->row);
	model_close(&table);
}

/* The row of an epoch.  A validation_map of NaN stands for none. */
static char *
epochs_describe(const TrainLoss *loss, double seconds, double validation_map)
{
	StringInfoData json;
	int			i;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	json_put_number(&json, "loss", loss->loss);
	json_put_key(&json, "loss_terms");
	appendStringInfoChar(&json, '{');
	for (i = 0; i < loss->terms; i++)
		json_put_number(&json, loss->name[i], loss->term[i]);
	appendStringInfoChar(&json, '}');
	json_put_number(&json, "learning_rate", loss->learning_rate);
	json_put_number(&json, "seconds", seconds);
	json_put_number(&json, "validation_map", validation_map);
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* What an epoch has brought, and the state after it if it is time for that. */
static void
epochs_write(Training *training, const TrainLoss *loss, double seconds, double validation_map, bool is_last)
{
	ModelRow   *row = &training->row;
	ModelTable	table;

	if (!OidIsValid(training->model))
		epochs_create_model(training);
	model_open_own(training->function, training->model, &table);
	model_insert_row(&table, MODEL_PART_EPOCH, training->epochs_done,
					 epochs_describe(loss, seconds, validation_map), NULL);
	row->epochs_done = training->epochs_done;
	row->loss = loss->loss;
	row->seconds += seconds;
	model_update(&table, row);
	if (!training->atomic && !is_last &&
		epochs_seconds_since(&training->saved) >= training->options.checkpoint_seconds)
	{
		train_checkpoint_save(training, &table);
		INSTR_TIME_SET_CURRENT(training->saved);
	}
	model_close(&table);
}

static void
epochs_report(const Training *training, int first, const TrainLoss *loss, double seconds,
			  double validation_map)
{
	const TrainOptions *options = &training->options;
	const char *const *phases = options->method->phases;
	int			epochs = train_epochs(options);
	int			done = training->epochs_done;
	double		left = epochs_seconds_since(&training->started) / (done - first) * (epochs - done);
	char		map[40] = "";
	int			rows;

	if (!xmhash_progress)
		return;
	if (!isnan(validation_map))
		snprintf(map, sizeof(map), ", validation mAP %.4f", validation_map);
	if (phases != NULL)
	{
		ereport(INFO,
				(errmsg("phase %d of %d: %s%s, %.1f s", done, epochs, phases[done - 1], map, seconds)));
		return;
	}
	rows = training->batches.rows / options->batch_size * options->batch_size;
	ereport(INFO,
			(errmsg("epoch %d of %d: loss %.6g%s, %.0f rows/s, %d:%02d:%02d left",
					done, epochs, loss->loss, map, rows / Max(seconds, 1e-9),
					(int) (left / 3600), (int) (left / 60) % 60, (int) left % 60)));
}

/* Store a finished model; the weights are the last good or the best ones. */
static void
epochs_finish(Training *training, const char *status)
{
	const float *weights = training->best_epoch > 0 && training->best != NULL ?
	training->best : training->good.floats;
	ModelTable	table;

	model_open_own(training->function, training->model, &table);
	model_delete_rows(&table, MODEL_PART_WEIGHTS, 0);
	model_write_pieces(&table, MODEL_PART_WEIGHTS, weights, training->good.count, NULL);
	model_delete_rows(&table, MODEL_PART_CHECKPOINT, 0);
	training->row.status = pstrdup(status);
	model_update(&table, &training->row);
	CacheInvalidateRelcache(table.relation);
	model_close(&table);
	train_commit(training);
}

/*
 * The loss or a weight is no number any more.  Keep the last good epoch, if
 * there is one, and what is kept must be committed before the error.
 */
static void
epochs_diverged(Training *training, int epoch)
{
	bool		kept = training->epochs_done > 0 && !training->atomic;

	if (kept)
		epochs_finish(training, "diverged");
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("training of model \"%s\" diverged in epoch %d: its loss or weights are no finite numbers",
					training->row.name, epoch + 1),
			 kept ? errdetail("The model is kept as it was after epoch %d.", training->epochs_done) :
			 errdetail("Nothing is kept."),
			 errhint("%s", training->options.method->not_finite_hint)));
}

/*
 * A phase of a closed form has failed.  What there is of the model is not good
 * for anything but to be resumed, so it stays a training that was interrupted.
 */
static void
epochs_phase_failed(const Training *training, int phase, const TrainLoss *loss)
{
	const TrainMethod *method = training->options.method;

	ereport(ERROR,
			(errcode(loss->failure != NULL ? ERRCODE_EXTERNAL_ROUTINE_EXCEPTION : ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("training of model \"%s\" failed in phase \"%s\": %s", training->row.name, method->phases[phase],
					loss->failure != NULL ? loss->failure : "its weights are no finite numbers"),
			 loss->failure == NULL || loss->hint_helps ? errhint("%s", method->not_finite_hint) : 0));
}

/* Keep the best; true if patience has come to its end. */
static bool
epochs_judge(Training *training, double validation_map)
{
	if (isnan(validation_map))
		return false;
	if (training->best_epoch == 0 || validation_map > training->best_map)
	{
		training->best_epoch = training->epochs_done;
		training->best_map = validation_map;
		if (training->best != NULL)
			core_env_copy_floats(training->best, training->good.floats, training->good.count);
	}
	return training->options.patience > 0 &&
		training->epochs_done - training->best_epoch >= training->options.patience;
}

/* The epochs that are still to be done, from a trainer that is ready for them. */
static void
epochs_run(Training *training)
{
	int			epochs = train_epochs(&training->options);
	int			first = training->epochs_done;
	MemoryContext epoch_context = AllocSetContextCreate(training->context, "xmhash epoch",
														ALLOCSET_DEFAULT_SIZES);
	int			epoch;

	INSTR_TIME_SET_CURRENT(training->started);
	training->saved = training->started;
	for (epoch = first; epoch < epochs; epoch++)
	{
		TrainLoss	loss;
		instr_time	started;
		double		seconds;
		double		map = get_float8_nan();
		bool		enough;
		MemoryContext old_context;

		CHECK_FOR_INTERRUPTS();
		INSTR_TIME_SET_CURRENT(started);
		memset(&loss, 0, sizeof(loss));
		trainer_epoch(training->trainer, epoch, &loss);
		seconds = epochs_seconds_since(&started);
		if (!loss.finite || !isfinite(loss.loss) || !epochs_keep_weights(training))
		{
			if (training->options.method->phases != NULL)
				epochs_phase_failed(training, epoch, &loss);
			epochs_diverged(training, epoch);
		}

		old_context = MemoryContextSwitchTo(epoch_context);
		training->epochs_done = epoch + 1;
		if (training->data.validation_count > 0 && (training->options.method->phases == NULL || epoch + 1 == epochs))
			map = train_validate(training);
		enough = epochs_judge(training, map);
		epochs_write(training, &loss, seconds, map, enough || epoch + 1 == epochs);
		train_commit(training);
		epochs_report(training, first, &loss, seconds, map);
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(epoch_context);
		if (enough)
		{
			if (xmhash_progress)
				ereport(INFO,
						(errmsg("stopped after epoch %d: no gain since epoch %d",
								training->epochs_done, training->best_epoch)));
			break;
		}
	}
}

void
train_run(Training *training)
{
	epochs_run(training);
	epochs_finish(training, "trained");
}
