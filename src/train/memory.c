/*
 * train/memory.c: what a training will take, said and checked before it begins.
 */
#include "train/run.h"

#include "server/memory.h"

#include "lib/stringinfo.h"

/*
 * Bytes that a training takes beside its rows: the trainer's, the two copies
 * of the weights that are kept, a batch, and a checkpoint while it is written.
 */
static double
memory_needed(const Training *training)
{
	const TrainOptions *options = &training->options;
	const TrainData *data = &training->data;
	double		batch = options->batch_size;
	HiddenLayers hidden[2];
	double		weights = 0;
	double		state = trainer_state_floats(options, &training->batches);
	double		bytes = trainer_memory(options, &training->batches);
	int			side;

	options->method->hidden_layers(options, hidden);
	for (side = 0; side < 2; side++)
	{
		weights += network_parameters(data->dimensions[side], &hidden[side], options->bits) + 2.0 * data->scales[side];
		bytes += batch * data->dimensions[side] * sizeof(float);
	}
	if (options->keep_best)
		state += weights;
	bytes += weights * sizeof(float) * (options->keep_best ? 2 : 1);
	bytes += batch * data->classes;
	return bytes + (training->atomic ? 0 : state * sizeof(float));
}

/*
 * Refuse what does not fit, before any of it is allocated: the kernel would
 * kill the process for it, and with that stop the whole server.
 */
void
train_check_memory(const Training *training)
{
	TrainOptions options = training->options;
	const TrainMethod *method = options.method;
	const TrainData *data = &training->data;
	double		needed = memory_needed(training);
	double		available = memory_available();
	const char *separator = "";
	const OptionSpec *option;
	StringInfoData sizes;

	if (needed <= available)
		return;
	if (method->resolve != NULL)
		method->resolve(&options, &training->batches);
	initStringInfo(&sizes);
	appendStringInfoString(&sizes, "The options that decide it: ");
	for (option = method->options; option->name != NULL; option++)
	{
		if (!option->decides_memory)
			continue;
		appendStringInfo(&sizes, "%s\"%s\" %.0f", separator, option->name, train_option_get(&options, option));
		separator = ", ";
	}
	appendStringInfo(&sizes, "; with %d bits, %d image and %d text dimensions", options.bits,
					 data->dimensions[MODALITY_IMAGE], data->dimensions[MODALITY_TEXT]);
	if (method->needs_labels)
		appendStringInfo(&sizes, ", %d classes", data->classes);
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("training model \"%s\" needs %.1f MB of memory, but %.1f MB are available",
					training->row.name, needed / (1024 * 1024), available / (1024 * 1024)),
			 errdetail_internal("%s.", sizes.data),
			 errhint("Choose smaller ones. The setting xmhash.train_max_memory bounds what a training may take.")));
}

/* Say what is trained on, if progress is wanted. */
void
train_report_sizes(const Training *training)
{
	const TrainData *data = &training->data;
	double		megabyte = 1024 * 1024;

	if (!xmhash_progress)
		return;
	ereport(INFO,
			(errmsg("training on %d pairs of %d image and %d text dimensions; "
					"networks, optimizer and batches take %.1f MB; %.1f MB of rows in a temporary file",
					data->training_count, data->dimensions[MODALITY_IMAGE],
					data->dimensions[MODALITY_TEXT],
					memory_needed(training) / megabyte,
					train_rows_spilled(data->rows) / megabyte)));
}
