/*
 * test_train_step.c: whole training steps of both methods against an
 * independent computation in NumPy: reference_jdsh.py and reference_dmsh_ln.py
 * start from the same weights, take the same rows in the same order, and must
 * find the same fit, losses, weights and optimizer state.
 *
 * Each case is written to a file: lines "name type count" with the binary
 * values after each, type d (double), f (float), i (int32) or b (byte).
 *
 * usage: test_train_step [SEED]
 */
#include "core_test.h"
#include "dump.h"

#include <unistd.h>

#define EPOCHS 2

static void
dump_options(FILE *file, const TrainOptions *options)
{
	const OptionSpec *option;

	dump_number(file, "bits", options->bits);
	for (option = options->method->options; option->name != NULL; option++)
		dump_number(file, option->name, train_option_get(options, option));
}

/* Outputs that a step sets to 0. */
static double
dropout(const TrainOptions *options)
{
	const OptionSpec *option = train_option(options->method, "dropout");

	return option != NULL ? train_option_get(options, option) : 0;
}

static void
dump_data(FILE *file, const TrainingSet *set)
{
	const BatchSource *source = &set->source;

	dump_number(file, "rows", source->rows);
	dump_number(file, "classes", source->classes);
	dump(file, "image", 'f', set->image, (size_t) source->rows * source->image_columns);
	dump(file, "text", 'f', set->text, (size_t) source->rows * source->text_columns);
	dump(file, "labels", 'b', set->labels, (size_t) source->rows * source->classes);
}

/* The state, as `before.…`, or `after.EPOCH.…`. */
static void
dump_state(FILE *file, const char *prefix, Trainer *trainer)
{
	TrainerState states[TRAINER_MAX_STATES];
	int			count = trainer_state(trainer, states);
	char		name[100];
	int			i;

	for (i = 0; i < count; i++)
	{
		snprintf(name, sizeof(name), "%s.%s", prefix, states[i].name);
		dump(file, name, 'f', states[i].data, states[i].count);
	}
}

/* The factors of dropout by its definition: drawn per step, row-major. */
static void
dump_dropout(FILE *file, const char *prefix, const TrainOptions *options, int epoch, int steps,
			 RandomPurpose purpose)
{
	size_t		count = (size_t) options->batch_size * options->bits;
	float	   *factors = ALLOCATE(float, steps * count);
	int			step;
	size_t		i;
	char		name[100];
	double		p = dropout(options);

	for (step = 0; step < steps; step++)
		for (i = 0; i < count; i++)
			factors[step * count + i] =
				random_uniform(random_key(options->seed, epoch, step, purpose), i) < (float) p ?
				0 : 1 / (1 - p);
	snprintf(name, sizeof(name), "%s.dropout.%s", prefix, purpose == RANDOM_DROPOUT_IMAGE ? "image" : "text");
	dump(file, name, 'f', factors, steps * count);
}

static void
dump_training(FILE *file, const TrainOptions *options, const TrainingSet *set)
{
	Trainer    *trainer = trainer_create(options, &set->source, &env);
	char		prefix[40];
	int			epoch;

	dump_options(file, options);
	dump_data(file, set);
	trainer_fit(trainer);
	dump(file, "fit.permutation", 'i', trainer->permutation, set->source.rows);
	if (options->method == &method_jdsh)
		dump(file, "fit.result", 'd', &jdsh_state(trainer)->fit, 7);
	dump_state(file, "before", trainer);
	for (epoch = 0; epoch < EPOCHS; epoch++)
	{
		TrainLoss	loss;

		trainer_epoch(trainer, epoch, &loss);
		snprintf(prefix, sizeof(prefix), "after.%d.permutation", epoch);
		dump(file, prefix, 'i', trainer->permutation, set->source.rows);
		snprintf(prefix, sizeof(prefix), "after.%d.terms", epoch);
		dump(file, prefix, 'd', loss.term, loss.terms);
		snprintf(prefix, sizeof(prefix), "after.%d", epoch);
		dump_dropout(file, prefix, options, epoch, trainer->steps, RANDOM_DROPOUT_IMAGE);
		dump_dropout(file, prefix, options, epoch, trainer->steps, RANDOM_DROPOUT_TEXT);
		dump_state(file, prefix, trainer);
	}
}

static void
check_case(const char *script, const TrainOptions *options, const TrainingSet *set)
{
	char		path[] = "/tmp/xmhash_train_step.XXXXXX";
	char		command[1000];
	int			descriptor = mkstemp(path);
	FILE	   *file = descriptor < 0 ? NULL : fdopen(descriptor, "wb");

	if (file == NULL)
		abort();
	dump_training(file, options, set);
	fclose(file);
	printf("case: %s, hidden %d and %d, %s images, %s texts%s\n", script, options->image_hidden,
		   options->text_hidden, set->source.image_sparse ? "sparse" : "dense",
		   set->source.text_sparse ? "sparse" : "dense", options->method == &method_dmsh_ln && dmsh_ln_options(options)->symmetric ? ", symmetric" : "");
	fflush(stdout);
	snprintf(command, sizeof(command), "/usr/bin/python3 '%.*s%s' '%s'",
			 (int) (strrchr(__FILE__, '/') - __FILE__ + 1), __FILE__, script, path);
	check(system(command) == 0, "%s agrees", script);
	unlink(path);
	free_all();
}

static void
check_jdsh(int image_hidden, int text_hidden, bool image_sparse, bool text_sparse)
{
	TrainOptions options;

	train_defaults(&options, &method_jdsh);
	options.bits = 12;
	options.batch_size = 16;
	options.image_hidden = image_hidden;
	options.text_hidden = text_hidden;
	options.seed = test_seed;
	check_case("reference_jdsh.py", &options, make_set(90, 15, image_sparse, 40, text_sparse, 0));
}

static void
check_dmsh_ln(int image_hidden, int text_hidden, bool text_sparse, bool symmetric, double clip_norm)
{
	TrainOptions options;

	train_defaults(&options, &method_dmsh_ln);
	options.bits = 12;
	options.batch_size = 24;
	options.epochs = 10;
	options.image_hidden = image_hidden;
	options.text_hidden = text_hidden;
	options.seed = test_seed;
	dmsh_ln_options(&options)->symmetric = symmetric;
	dmsh_ln_options(&options)->weight_it = 0.7;
	dmsh_ln_options(&options)->clip_norm = clip_norm;
	dmsh_ln_options(&options)->init = symmetric ? TRAIN_INIT_FAN_OUT : TRAIN_INIT_FAN_IN;
	check_case("reference_dmsh_ln.py", &options, make_set(130, 15, false, 40, text_sparse, 5));
}

int
main(int argc, char **argv)
{
	start("train_step", argc, argv);
	if (system("/usr/bin/python3 -c 'import numpy' 2>/dev/null") != 0)
	{
		printf("train_step: skipped, NumPy is not installed for /usr/bin/python3\n");
		return finish("train_step");
	}
	check_jdsh(0, 0, false, false);
	check_jdsh(0, 0, false, true);
	check_jdsh(0, 21, false, true);
	check_jdsh(17, 600, true, true);
	check_jdsh(17, 21, false, false);
	check_dmsh_ln(0, 0, false, false, 1);
	check_dmsh_ln(0, 0, true, true, 1);
	check_dmsh_ln(19, 23, true, false, 0.05);
	check_dmsh_ln(19, 0, false, true, 100);
	return finish("train_step");
}
