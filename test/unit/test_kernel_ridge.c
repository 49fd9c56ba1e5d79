/*
 * test_kernel_ridge.c: kernel ridge hashing, phase by phase, against an
 * independent computation in NumPy from the same random choices
 * (reference_kernel_ridge.py, files as of test_train_step.c); then what the
 * reference can't tell: data with nothing to learn, fewer rows than anchors,
 * 1 to 4,096 bits, the same bits from a state between any two phases, and
 * blocks of any size.
 *
 * usage: test_kernel_ridge [SEED]
 */
#include "core_test.h"
#include "dump.h"

#include "core/method_kernel_ridge.h"

#include <unistd.h>

#define PHASES 5

static TrainOptions
ridge_defaults(int bits, int anchors)
{
	TrainOptions options;

	train_defaults(&options, &method_kernel_ridge);
	options.bits = bits;
	options.seed = test_seed;
	ridge_options(&options)->anchors = anchors;
	ridge_options(&options)->dimensions = 20;
	ridge_options(&options)->rotations = 4;
	return options;
}

/* The state of one side after a phase, in which a later one may put something else. */
static void
dump_side(FILE *file, int phase, int s, const RidgeState *state)
{
	static const char *const sides[] = {"image", "text"};
	const RidgeSide *side = &state->side[s];
	char		name[100];

#define DUMP(what, type, data, count) \
	(snprintf(name, sizeof(name), "%s.%d.%s", sides[s], phase, what), dump(file, name, type, data, count))
	DUMP("parameters", 'f', side->parameters, side->count);
	DUMP("centre", 'f', side->centre, side->units);
	DUMP("mean", 'd', side->mean, side->columns);
	DUMP("moved", 'd', side->moved, side->units);
	DUMP("factor", 'd', side->factor, 1);
	DUMP("gram", 'd', side->gram.total, side->gram.count);
	DUMP("cross", 'd', side->cross.total, side->cross.count);
	DUMP("solution", 'd', side->solution, side->cross.count);
	if (state->fused > 0)
		DUMP("subspace", 'f', side->subspace, (size_t) side->columns * state->subspace);
}

/* Orders in which rows are drawn, by their definition. */
static void
dump_order(FILE *file, const char *name, const TrainOptions *options, int rows, int step, RandomPurpose purpose)
{
	int32_t    *order = ALLOCATE(int32_t, rows);

	random_permutation(random_key(options->seed, 0, step, purpose), order, rows);
	dump(file, name, 'i', order, rows);
}

static void
dump_random(FILE *file, const TrainOptions *options, const RidgeState *state, int rows)
{
	size_t		count = (size_t) state->common * options->bits;
	double	   *numbers = ALLOCATE(double, count);
	size_t		subspace = (size_t) (state->side[0].columns + state->side[1].columns) * state->subspace;
	double	   *omega = ALLOCATE(double, subspace + 1);

	random_normal(&env, random_key(options->seed, 0, 0, RANDOM_SUBSPACE), omega, subspace);
	dump(file, "omega", 'd', omega, subspace);
	dump_order(file, "image.anchors", options, rows, 0, RANDOM_ANCHORS);
	dump_order(file, "text.anchors", options, rows, 1, RANDOM_ANCHORS);
	dump_order(file, "image.sample", options, rows, 2, RANDOM_ANCHORS);
	dump_order(file, "text.sample", options, rows, 3, RANDOM_ANCHORS);
	dump_order(file, "rotated_rows", options, rows, 0, RANDOM_ROTATION);
	random_normal(&env, random_key(options->seed, 1, 0, RANDOM_ROTATION), numbers, count);
	dump(file, "rotation", 'd', numbers, count);
}

static void
dump_training(FILE *file, const TrainOptions *options, const TrainingSet *set)
{
	Trainer    *trainer = trainer_create(options, &set->source, &env);
	const RidgeState *state = ridge_state(trainer);
	const OptionSpec *option;
	TrainLoss	loss;
	int			phase;
	int			s;

	dump_number(file, "bits", options->bits);
	for (option = options->method->options; option->name != NULL; option++)
		dump_number(file, option->name, train_option_get(&trainer->options, option));
	dump_number(file, "rows", set->source.rows);
	dump_number(file, "classes", set->source.classes);
	dump_number(file, "target", state->target);
	dump_number(file, "subspace", state->subspace);
	dump_number(file, "common", state->common);
	dump(file, "image", 'f', set->image, (size_t) set->source.rows * set->source.image_columns);
	dump(file, "text", 'f', set->text, (size_t) set->source.rows * set->source.text_columns);
	dump(file, "labels", 'b', set->labels, (size_t) set->source.rows * set->source.classes);
	dump_random(file, options, state, set->source.rows);
	for (phase = 0; phase < PHASES; phase++)
	{
		char		name[40];

		trainer_epoch(trainer, phase, &loss);
		if (!loss.finite)
			check(false, "phase %d: %s", phase, loss.failure);
		for (s = 0; s < 2; s++)
			dump_side(file, phase, s, state);
		snprintf(name, sizeof(name), "terms.%d", phase);
		dump(file, name, 'd', loss.term, 3);
	}
	dump(file, "basis", 'd', state->basis, (size_t) state->common * state->target);
	dump(file, "rotated", 'd', state->exact_rotation, (size_t) state->common * options->bits);
}

static void
check_case(const TrainOptions *options, const TrainingSet *set)
{
	char		path[] = "/tmp/xmhash_kernel_ridge.XXXXXX";
	char		command[1000];
	int			descriptor = mkstemp(path);
	FILE	   *file = descriptor < 0 ? NULL : fdopen(descriptor, "wb");

	if (file == NULL)
		abort();
	dump_training(file, options, set);
	fclose(file);
	printf("case: %d rows, %s images, %s texts, %d classes, %d anchors, %d bits\n", set->source.rows,
		   set->source.image_sparse ? "sparse" : "dense", set->source.text_sparse ? "sparse" : "dense",
		   set->source.classes, ridge_options(options)->anchors, options->bits);
	fflush(stdout);
	snprintf(command, sizeof(command), "/usr/bin/python3 '%.*sreference_kernel_ridge.py' '%s'",
			 (int) (strrchr(__FILE__, '/') - __FILE__ + 1), __FILE__, path);
	check(system(command) == 0, "reference_kernel_ridge.py agrees");
	unlink(path);
	free_all();
}

/* All phases; the trainer, or NULL after a failure, which is then in *why. */
static Trainer *
train(const TrainOptions *options, const BatchSource *source, const char **why)
{
	Trainer    *trainer = trainer_create(options, source, &env);
	TrainLoss	loss;
	int			phase;

	for (phase = 0; phase < train_epochs(options); phase++)
	{
		trainer_epoch(trainer, phase, &loss);
		*why = loss.failure;
		if (!loss.finite)
			return NULL;
	}
	return trainer;
}

static bool
same_networks(const Trainer *a, const Trainer *b)
{
	const RidgeState *x = ridge_state(a);
	const RidgeState *y = ridge_state(b);
	int			s;

	for (s = 0; s < 2; s++)
		if (x->side[s].count != y->side[s].count ||
			memcmp(x->side[s].parameters, y->side[s].parameters, x->side[s].count * sizeof(float)) != 0)
			return false;
	return true;
}

static bool
finite_networks(const Trainer *trainer)
{
	const RidgeState *state = ridge_state(trainer);
	size_t		bad = 0;
	size_t		i;
	int			s;

	for (s = 0; s < 2; s++)
		for (i = 0; i < state->side[s].count; i++)
			bad += !isfinite(state->side[s].parameters[i]);
	return bad == 0;
}

/* Data that has nothing, or little, to learn: finite networks, and the same twice. */
static void
check_degenerate(const char *what, TrainingSet *set, int bits, int anchors)
{
	TrainOptions options = ridge_defaults(bits, anchors);
	const char *why = NULL;
	Trainer    *trainer = train(&options, &set->source, &why);
	Trainer    *again = train(&options, &set->source, &why);

	check(trainer != NULL && again != NULL && finite_networks(trainer) && same_networks(trainer, again),
		  "%s, %d bits, %d anchors: %s", what, bits, anchors, why == NULL ? "finite, twice the same" : why);
	free_all();
}

static void
fill_rows(float *matrix, int rows, int columns, int period)
{
	int			i;

	for (i = period; i < rows; i++)
		memcpy(matrix + (size_t) i * columns, matrix + (size_t) (i % period) * columns, columns * sizeof(float));
}

static void
check_all_degenerate(void)
{
	static const int anchors[] = {30, 0};
	TrainingSet *set;
	int			a;
	int			i;

	for (a = 0; a < 2; a++)
	{
		check_degenerate("two rows", make_set(2, 7, false, 9, true, 0), 8, anchors[a]);
		check_degenerate("fewer rows than anchors", make_set(12, 7, false, 9, true, 3), 64, anchors[a]);
		set = make_set(60, 7, false, 9, false, 3);
		fill_rows(set->image, 60, 7, 5);
		fill_rows(set->text, 60, 9, 5);
		check_degenerate("five rows, over and over", set, 64, anchors[a]);
		set = make_set(60, 7, false, 9, true, 0);
		fill_rows(set->image, 60, 7, 1);
		check_degenerate("one image for all texts", set, 16, anchors[a]);
		set = make_set(60, 7, false, 9, false, 0);
		fill_rows(set->image, 60, 7, 1);
		fill_rows(set->text, 60, 9, 1);
		check_degenerate("one pair, over and over", set, 16, anchors[a]);
		set = make_set(60, 7, false, 9, true, 3);
		for (i = 0; i < 60 * 3; i++)
			set->labels[i] = i % 3 == 0;
		check_degenerate("one class", set, 16, anchors[a]);
		set = make_set(60, 7, false, 9, true, 3);
		memset(set->labels, 0, 60 * 3);
		check_degenerate("labels of no class", set, 16, anchors[a]);
		set = make_set(60, 7, false, 9, true, 0);
		memset(set->image, 0, 20 * 7 * sizeof(float));
		memset(set->text + 10 * 9, 0, 20 * 9 * sizeof(float));
		check_degenerate("rows of zeros", set, 16, anchors[a]);
		set = make_set(60, 7, false, 9, false, 0);
		for (i = 0; i < 60; i++)
		{
			int			j;

			for (j = 0; j < 7; j++)
				set->image[i * 7 + j] = (i + 1) * (j - 3);
			for (j = 0; j < 9; j++)
				set->text[i * 9 + j] = (i % 2 ? -1 : 1) * (j + 1);
		}
		check_degenerate("rank 1", set, 16, anchors[a]);
		check_degenerate("one column", make_set(60, 1, false, 1, false, 0), 16, anchors[a]);
	}
}

/* Codes of any length; beyond 32 bits the rotation is wider than the common space. */
static void
check_lengths(void)
{
	static const int bits[] = {1, 2, 31, 32, 33, 100, 1024, 4096};
	size_t		i;

	for (i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		check_degenerate("random pairs", make_set(300, 12, false, 40, true, i % 2 ? 5 : 0), bits[i], 50);
}

/* From the state after any phase the others lead to the same networks. */
static void
check_resume(int rows, int classes, int anchors)
{
	TrainOptions options = ridge_defaults(24, anchors);
	TrainingSet *set = make_set(rows, 12, false, 40, true, classes);
	const char *why;
	Trainer    *whole = train(&options, &set->source, &why);
	Trainer    *first = trainer_create(&options, &set->source, &env);
	TrainerState from[TRAINER_MAX_STATES];
	TrainerState to[TRAINER_MAX_STATES];
	TrainLoss	loss;
	bool		same = true;
	int			phase;
	int			rest;
	int			i;

	for (phase = 0; phase < PHASES - 1; phase++)
	{
		Trainer    *second = trainer_create(&options, &set->source, &env);
		int			count = trainer_state(first, from);

		trainer_epoch(first, phase, &loss);
		trainer_state(second, to);
		for (i = 0; i < count; i++)
			memcpy(to[i].data, from[i].data, from[i].count * sizeof(float));
		for (rest = phase + 1; rest < PHASES; rest++)
			trainer_epoch(second, rest, &loss);
		same &= same_networks(whole, second);
	}
	check(same, "from the state after any phase to the same networks: %d rows, %d classes, %d anchors", rows, classes, anchors);
	free_all();
}

/* What is announced is what is taken; the state's size is known beforehand; interrupts are looked for. */
static void
check_memory(int anchors)
{
	TrainOptions options = ridge_defaults(64, anchors);
	TrainingSet *set = make_set(3000, 30, false, 50, true, 4);
	size_t		announced = trainer_memory(&options, &set->source);
	size_t		state = trainer_state_floats(&options, &set->source);
	size_t		before = allocated;
	TrainerState states[TRAINER_MAX_STATES];
	Trainer    *trainer = trainer_create(&options, &set->source, &env);
	size_t		taken = allocated - before;
	size_t		floats = 0;
	long		looks = interrupts;
	TrainLoss	loss;
	int			count = trainer_state(trainer, states);
	int			i;

	for (i = 0; i < count; i++)
		floats += states[i].count;
	set->source.fetch = set_fetch;
	for (i = 0; i < PHASES; i++)
		trainer_epoch(trainer, i, &loss);
	check(announced >= taken && announced <= taken + 4096, "%zu bytes announced, %zu taken", announced, taken);
	check(floats == state, "%zu floats of state, as announced", floats);
	check(interrupts - looks > 100, "%ld looks for interrupts", interrupts - looks);
	free_all();
}

/* A ridge too small for what rounding leaves of dependent features is reported. */
static void
check_failure(void)
{
	TrainOptions options = ridge_defaults(16, 40);
	TrainingSet *set = make_set(60, 7, false, 9, false, 0);
	const char *why = NULL;
	bool		failed_to_train;

	fill_rows(set->image, 60, 7, 5);
	ridge_options(&options)->ridge = 1e-300;
	failed_to_train = train(&options, &set->source, &why) == NULL;
	check(failed_to_train && why != NULL && strstr(why, "dpotrf") != NULL,
		  "a ridge of 1e-300: \"%s\"", why);
	free_all();
}

/* Threads may round otherwise, but not much: the same bits but for some near 0. */
static void
check_threads(void)
{
	TrainOptions options = ridge_defaults(64, 100);
	TrainingSet *set = make_set(4000, 300, false, 50, true, 0);
	const char *why;
	Trainer    *one = train(&options, &set->source, &why);
	Trainer    *two;
	Trainer    *again;

	blas_set_threads(2);
	two = train(&options, &set->source, &why);
	again = train(&options, &set->source, &why);
	blas_set_threads(1);
	check(one != NULL && two != NULL && finite_networks(two) && same_networks(two, again), "two threads: twice the same");
	free_all();
}

int
main(int argc, char **argv)
{
	TrainOptions options;

	start("kernel_ridge", argc, argv);
	if (system("/usr/bin/python3 -c 'import numpy' 2>/dev/null") != 0)
		printf("kernel_ridge: no reference, NumPy is not installed for /usr/bin/python3\n");
	else
	{
		options = ridge_defaults(16, 40);
		check_case(&options, make_set(150, 15, false, 40, true, 0));
		check_case(&options, make_set(150, 15, true, 40, false, 5));
		options = ridge_defaults(48, 0);
		check_case(&options, make_set(150, 15, false, 40, true, 0));
		options = ridge_defaults(8, 60);
		ridge_options(&options)->label_mix = 0;
		check_case(&options, make_set(60, 15, false, 40, true, 12));
		options = ridge_defaults(40, 1200);
		ridge_options(&options)->dimensions = 30;
		check_case(&options, make_set(2500, 40, false, 100, true, 7));
	}
	check_all_degenerate();
	check_lengths();
	check_resume(200, 0, 30);
	check_resume(200, 4, 30);
	check_resume(2500, 4, 0);
	check_resume(2500, 0, 130);
	check_memory(200);
	check_memory(0);
	check_failure();
	check_threads();
	return finish("kernel_ridge");
}
