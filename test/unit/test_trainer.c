/*
 * test_trainer.c: what the server side relies on: the same seed gives the same
 * bits, other seeds others; a training that is stopped between two epochs and
 * taken up by a new trainer ends in the same bits; memory is as announced and
 * does not grow; initial weights; non-finite losses stop; interruption.
 *
 * usage: test_trainer [SEED]
 */
#include "core_test.h"

#include <setjmp.h>

static TrainOptions
small_options(const TrainMethod *method)
{
	TrainOptions options;

	train_defaults(&options, method);
	options.bits = 24;
	options.batch_size = 16;
	options.epochs = 6;
	options.seed = test_seed;
	options.image_hidden = 20;
	options.text_hidden = 30;
	return options;
}

/* All state, one after the other. */
static size_t
copy_state(Trainer *trainer, float *to)
{
	TrainerState states[TRAINER_MAX_STATES];
	int			count = trainer_state(trainer, states);
	size_t		total = 0;
	int			i;

	for (i = 0; i < count; i++)
	{
		if (to != NULL)
			memcpy(to + total, states[i].data, states[i].count * sizeof(float));
		total += states[i].count;
	}
	return total;
}

static void
fill_state(Trainer *trainer, const float *from)
{
	TrainerState states[TRAINER_MAX_STATES];
	int			count = trainer_state(trainer, states);
	int			i;

	for (i = 0; i < count; i++)
	{
		memcpy(states[i].data, from, states[i].count * sizeof(float));
		from += states[i].count;
	}
}

static float *
state_of(Trainer *trainer, size_t *count)
{
	float	   *state;

	*count = copy_state(trainer, NULL);
	state = ALLOCATE(float, *count);
	copy_state(trainer, state);
	return state;
}

static double
train(Trainer *trainer, int from, int to)
{
	TrainLoss	loss = {0};
	int			epoch;

	for (epoch = from; epoch < to; epoch++)
		trainer_epoch(trainer, epoch, &loss);
	return loss.loss;
}

static void
check_reproducible(const char *name, const TrainMethod *method, int threads, bool image_sparse, bool text_sparse)
{
	TrainOptions options = small_options(method);
	TrainingSet *set = make_set(150, 30, image_sparse, 60, text_sparse, 4);
	Trainer    *trainer;
	float	   *once;
	float	   *middle;
	float	   *again;
	size_t		count;
	double		first;
	double		last;

	blas_set_threads(threads);
	trainer = trainer_create(&options, &set->source, &env);
	trainer_fit(trainer);
	first = train(trainer, 0, 1);
	train(trainer, 1, 3);
	middle = state_of(trainer, &count);
	last = train(trainer, 3, 6);
	once = state_of(trainer, &count);

	trainer = trainer_create(&options, &set->source, &env);
	trainer_fit(trainer);
	train(trainer, 0, 6);
	again = state_of(trainer, &count);
	check(memcmp(once, again, count * sizeof(float)) == 0, "%s, %d threads: the same seed gives the same %zu floats",
		  name, threads, count);
	check(memcmp(once, middle, count * sizeof(float)) != 0 && last < first, "%s: it learns, loss %.4f to %.4f", name, first, last);

	trainer = trainer_create(&options, &set->source, &env);	/* no fit: it is in the state */
	fill_state(trainer, middle);
	train(trainer, 3, 6);
	again = state_of(trainer, &count);
	check(memcmp(once, again, count * sizeof(float)) == 0, "%s: taken up after epoch 3, it ends in the same bits", name);

	options.seed++;
	trainer = trainer_create(&options, &set->source, &env);
	trainer_fit(trainer);
	train(trainer, 0, 6);
	again = state_of(trainer, &count);
	check(memcmp(once, again, count * sizeof(float)) != 0, "%s: another seed gives other weights", name);
	blas_set_threads(1);
	free_all();
}

/* The arena must hold what was announced, and must not grow with epochs. */
static void
check_memory(const char *name, const TrainMethod *method, bool sparse)
{
	TrainOptions options = small_options(method);
	TrainingSet *set = make_set(150, 30, false, 60, sparse, 4);
	size_t		before = allocated;
	size_t		announced = trainer_memory(&options, &set->source);
	Trainer    *trainer = trainer_create(&options, &set->source, &env);
	size_t		taken = allocated - before;
	size_t		capacity;
	int			epoch;

	check(announced >= taken && announced < taken + 1024, "%s: %zu bytes announced, %zu taken", name, announced, taken);
	trainer_fit(trainer);
	train(trainer, 0, 1);
	capacity = trainer->text.index.capacity;
	for (epoch = 1; epoch < 5; epoch++)
		train(trainer, epoch, epoch + 1);
	check((capacity > 0) == sparse && trainer->text.index.capacity <= 2 * (int) capacity,
		  "%s: room for a sparse batch, %zu entries at first and %d after 5 epochs", name, capacity, trainer->text.index.capacity);
	free_all();
}

/* Mean and extremes of some weights. */
static void
check_bounds(const char *what, const float *weights, size_t count, double bound)
{
	double		most = 0;
	double		sum = 0;
	double		squares = 0;
	size_t		i;

	for (i = 0; i < count; i++)
	{
		most = fmax(most, fabs(weights[i]));
		sum += weights[i];
		squares += (double) weights[i] * weights[i];
	}
	check(most <= bound * 1.000001 && most > 0.95 * bound && fabs(sum / count) < 0.1 * bound &&
		  fabs(squares / count / (bound * bound / 3) - 1) < 0.15,
		  "%s: %zu weights uniform in ±%.4f", what, count, bound);
}

static void
check_initial(void)
{
	TrainOptions options = small_options(&method_jdsh);
	TrainingSet *set = make_set(50, 300, false, 200, false, 6);
	Trainer    *trainer = trainer_create(&options, &set->source, &env);
	const Network *image = trainer_image_network(trainer);
	const Layer *layer;

	check_bounds("jdsh, layer 0", image->layer[0].weight, 300 * 20, sqrt(1.0 / 300));
	check_bounds("jdsh, layer 1", image->layer[1].weight, 20 * 24, sqrt(1.0 / 20));
	check(image->layer[0].bias[3] != 0, "jdsh: biases are drawn too");

	options = small_options(&method_dmsh_ln);
	trainer = trainer_create(&options, &set->source, &env);
	check_bounds("dmsh_ln, fan_in", trainer->text.network.layer[0].weight, 200 * 30, sqrt(6.0 / 200));
	check(trainer->text.network.layer[0].bias[3] == 0, "dmsh_ln: biases are 0");
	layer = &trainer->label.network.layer[0];
	check(layer->inputs == 6 && layer->outputs == 15, "label network: %d classes, %d hidden units", layer->inputs, layer->outputs);
	dmsh_ln_options(&options)->init = TRAIN_INIT_FAN_OUT;
	options.text_hidden = 0;
	dmsh_ln_options(&options)->label_hidden = 9;
	trainer = trainer_create(&options, &set->source, &env);
	check_bounds("dmsh_ln, fan_out", trainer->text.network.layer[0].weight, 200 * 24, sqrt(6.0 / 24));
	check(trainer->label.network.units == 9, "label network: hidden units as asked for");
	free_all();
}

/* Weights that overflow: the epoch says so, and does not go on. */
static void
check_nonfinite(const char *name, const TrainMethod *method)
{
	TrainOptions options = small_options(method);
	TrainingSet *set = make_set(100, 10, false, 12, false, 3);
	Trainer    *trainer;
	TrainLoss	loss = {0};

	trainer = trainer_create(&options, &set->source, &env);
	trainer_fit(trainer);
	trainer_epoch(trainer, 0, &loss);
	check(loss.finite && isfinite(loss.loss), "%s: an ordinary epoch is finite", name);
	trainer->image.network.layer[0].weight[3] = NAN;
	trainer_epoch(trainer, 1, &loss);
	check(!loss.finite, "%s: a NaN among the weights is noticed", name);

	trainer = trainer_create(&options, &set->source, &env);
	trainer_fit(trainer);
	trainer->text.network.layer[1].weight[3] = INFINITY;
	trainer_epoch(trainer, 0, &loss);
	check(!loss.finite, "%s: an infinite weight is noticed", name);

	options.learning_rate_text = 1e38;
	options.learning_rate_image = 1e38;
	trainer = trainer_create(&options, &set->source, &env);
	trainer_fit(trainer);
	trainer_epoch(trainer, 0, &loss);
	check(!loss.finite, "%s: a learning rate of 1e38 ends in a non-finite loss", name);
	free_all();
}

/* Names and sum of the terms, learning rates by the schedule. */
static void
check_losses(void)
{
	TrainOptions options = small_options(&method_dmsh_ln);
	TrainingSet *set = make_set(100, 10, false, 12, false, 3);
	Trainer    *trainer = trainer_create(&options, &set->source, &env);
	TrainLoss	loss;
	double		sum = 0;
	int			i;

	trainer_epoch(trainer, 0, &loss);
	for (i = 0; i < loss.terms; i++)
		sum += loss.term[i];
	check(loss.terms == 6 && fabs(sum - loss.loss) < 1e-12 && strcmp(loss.name[4], "iy") == 0, "dmsh_ln: six terms add up");
	check(fabs(loss.learning_rate - 1e-3 * 0.5 * (1 + cos(M_PI / 6))) < 1e-12, "learning rate %.6f after one of six epochs", loss.learning_rate);
	trainer_epoch(trainer, 5, &loss);
	check(loss.learning_rate < 1e-9, "and %.6f after the last", loss.learning_rate);
	check(fabs(dmsh_ln_schedule(trainer, 0, 0) - 1 / 3.6) < 1e-12, "the first of 36 steps is 1/3.6 into the warm-up");

	options = small_options(&method_jdsh);
	trainer = trainer_create(&options, &set->source, &env);
	trainer_fit(trainer);
	trainer_epoch(trainer, 0, &loss);
	check(loss.terms == 4 && fabs(loss.term[0] + loss.term[1] + loss.term[2] + loss.term[3] - loss.loss) < 1e-12 &&
		  loss.learning_rate == 0.01, "jdsh: four terms add up, constant learning rate");
	free_all();
}

/* Each table of options: names differ, defaults are in range, values come back. */
static void
check_options(void)
{
	int			i;

	for (i = 0; train_methods[i] != NULL; i++)
	{
		const TrainMethod *method = train_methods[i];
		const OptionSpec *option;
		TrainOptions options;
		int			count = 0;
		int			wrong = 0;

		train_defaults(&options, method);
		for (option = method->options; option->name != NULL; option++)
		{
			bool		in_range = option->initial >= option->min && option->initial <= option->max;

			wrong += train_option(method, option->name) != option || !in_range || option->meaning == NULL ||
				train_option_get(&options, option) != option->initial ||
				(option->type == OPTION_WORD && option->words[(int) option->max + 1] != NULL);
			train_option_set(&options, option, option->max);
			wrong += train_option_get(&options, option) != option->max;
			count++;
		}
		check(train_method(method->name) == method && count >= 10 && wrong == 0, "%s: %d options, %d wrong",
			  method->name, count, wrong);
	}
	check(train_method("no method") == NULL && train_option(&method_jdsh, "dropout") == NULL,
		  "what is not there is not found");
}

/* A similarity whose values are all equal has a fit without spread. */
static void
check_degenerate_fit(void)
{
	TrainOptions options = small_options(&method_jdsh);
	TrainingSet *set = make_set(64, 4, false, 4, false, 0);
	Trainer    *trainer;
	const DsdwFit *fit;
	TrainLoss	loss;
	int			i;

	for (i = 0; i < 64 * 4; i++)
		set->image[i] = set->text[i] = 1;
	trainer = trainer_create(&options, &set->source, &env);
	trainer_fit(trainer);
	fit = &jdsh_state(trainer)->fit;
	check(fabs(fit->mode - 1) < 1e-5 && fit->sigma < 1e-5 && fit->b < 1e-5, "equal rows: mode %.6f, sigma %g, b %g", fit->mode, fit->sigma, fit->b);
	trainer_epoch(trainer, 0, &loss);
	check(loss.finite, "and they train to a finite loss, %.4f", loss.loss);
	free_all();
}

/* An error thrown out of the core at any of its interrupt checks, as PostgreSQL does. */
static jmp_buf cancelled;
static long until_cancel;

static void
cancel_interrupt(void)
{
	if (--until_cancel == 0)
		longjmp(cancelled, 1);
}

static void
check_interruption(void)
{
	static const CoreEnv cancelling = {test_allocate, NULL, cancel_interrupt};
	TrainOptions options = small_options(&method_jdsh);
	volatile int left = 0;
	volatile int at;

	for (at = 1; at < 400; at += 7)
	{
		TrainingSet *set = make_set(100, 10, false, 40, true, 3);
		TrainLoss	loss;
		Trainer    *trainer;

		until_cancel = at;
		if (setjmp(cancelled) == 0)
		{
			trainer = trainer_create(&options, &set->source, &cancelling);
			trainer_fit(trainer);
			trainer_epoch(trainer, 0, &loss);
		}
		else
			left++;
		free_all();
	}
	check(left > 10, "left by longjmp at %d of 58 interrupt checks; the arena has all memory", left);
}

int
main(int argc, char **argv)
{
	start("trainer", argc, argv);
	check_reproducible("jdsh", &method_jdsh, 1, false, false);
	check_reproducible("jdsh, sparse texts", &method_jdsh, 2, false, true);
	check_reproducible("jdsh, both sparse", &method_jdsh, 1, true, true);
	check_reproducible("dmsh_ln", &method_dmsh_ln, 1, false, false);
	check_reproducible("dmsh_ln, sparse texts", &method_dmsh_ln, 2, false, true);
	check_memory("jdsh", &method_jdsh, false);
	check_memory("jdsh, sparse texts", &method_jdsh, true);
	check_memory("dmsh_ln, sparse texts", &method_dmsh_ln, true);
	check_options();
	check_initial();
	check_nonfinite("jdsh", &method_jdsh);
	check_nonfinite("dmsh_ln", &method_dmsh_ln);
	check_losses();
	check_degenerate_fit();
	check_interruption();
	return finish("trainer");
}
