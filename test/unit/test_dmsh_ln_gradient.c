/*
 * test_dmsh_ln_gradient.c: DMsH-LN's gradient by each weight and bias of the
 * three networks, each term alone and all together, against central
 * differences of a loss written again in double; and mining at its boundaries.
 *
 * Mining makes the loss jump where a pair enters or leaves; its extremes are
 * constants to the gradient.  So the reference mines once, where the weights
 * are, and keeps its choice while it takes differences; a draw with a pair
 * close to a boundary is drawn again.  So is one with a row whose hidden units
 * are all off: its code is 0 then, the biases being 0, and its cosines jump.
 *
 * usage: test_dmsh_ln_gradient [SEED]
 */
#include "core_test.h"

#define ROWS 10
#define BITS 7
#define CLASSES 4
#define TERMS 9					/* six, and three transposed */
#define TOLERANCE 5e-5			/* relative to the group's largest gradient */
#define DELTA 1e-6
#define CLEARANCE 1e-4			/* of a cosine from its mining boundary */

typedef struct Problem
{
	const TrainOptions *options;
	TrainingSet *set;
	Trainer    *trainer;
	double		label_a;
	int32_t		rows[ROWS];
	float	   *label_matrix;	/* [rows of the set × classes] */
	double		factor[2][ROWS * BITS]; /* of dropout */
	bool		mined;
	bool		kept[TERMS][ROWS * ROWS];
	double		clearance;
	Exact		exact[3];		/* image, text, label */
} Problem;

static bool
similar(const Problem *problem, int i, int j)
{
	int			k;

	for (k = 0; k < CLASSES; k++)
		if (problem->set->labels[problem->rows[i] * CLASSES + k] &&
			problem->set->labels[problem->rows[j] * CLASSES + k])
			return true;
	return false;
}

/* Mine the pairs of one term, and note how near the nearest was to a boundary. */
static void
mine(Problem *problem, int term, const double *c, bool within)
{
	double		margin = dmsh_ln_options(problem->options)->margin;
	int			i;
	int			j;

	for (i = 0; i < ROWS; i++)
	{
		double		min = INFINITY;
		double		most = -INFINITY;

		for (j = 0; j < ROWS; j++)
			if (similar(problem, i, j) && !(within && i == j))
				min = fmin(min, c[i * ROWS + j]);
			else if (!similar(problem, i, j))
				most = fmax(most, c[i * ROWS + j]);
		for (j = 0; j < ROWS; j++)
		{
			bool		positive = similar(problem, i, j);
			double		boundary = positive ? most + margin : min - margin;

			problem->kept[term][i * ROWS + j] = !(within && i == j) &&
				(positive ? c[i * ROWS + j] < boundary : c[i * ROWS + j] > boundary);
			problem->clearance = fmin(problem->clearance, fabs(c[i * ROWS + j] - boundary));
		}
	}
}

static double
exact_term(Problem *problem, int term, double outputs[3][ROWS * BITS], int left, int right)
{
	const DmshLnOptions *o = dmsh_ln_options(problem->options);
	double		a[3] = {1, 1, problem->label_a};
	double		c[ROWS * ROWS];
	double		loss = 0;
	int			i;
	int			j;

	exact_cosines(outputs[left], a[left], outputs[right], a[right], ROWS, BITS, c);
	if (!problem->mined)
		mine(problem, term, c, left == right);
	for (i = 0; i < ROWS; i++)
	{
		double		positives = 0;
		double		negatives = 0;

		for (j = 0; j < ROWS; j++)
		{
			double		s = c[i * ROWS + j] - o->threshold;

			if (!problem->kept[term][i * ROWS + j])
				continue;
			if (similar(problem, i, j))
				positives += exp(-o->scale_positive * s);
			else
				negatives += exp(o->scale_negative * s);
		}
		loss += log(1 + positives) / o->scale_positive + log(1 + negatives) / o->scale_negative;
	}
	return loss / ROWS;
}

static void
note_dead_rows(Problem *problem, const double *outputs)
{
	int			i;
	int			k;

	for (i = 0; i < ROWS; i++)
	{
		double		sum = 0;

		for (k = 0; k < BITS; k++)
			sum += fabs(outputs[i * BITS + k]);
		if (sum < CLEARANCE)
			problem->clearance = 0;
	}
}

static double
exact_loss(Problem *problem, double terms[TRAIN_MAX_TERMS])
{
	static const int sides[TERMS][2] = {{0, 0}, {1, 1}, {2, 2}, {0, 1}, {0, 2}, {1, 2}, {1, 0}, {2, 0}, {2, 1}};
	const DmshLnOptions *o = dmsh_ln_options(problem->options);
	double		weight[TRAIN_MAX_TERMS] = {o->weight_ii, o->weight_tt, o->weight_yy, o->weight_it, o->weight_iy, o->weight_ty};
	double		outputs[3][ROWS * BITS];
	double		loss = 0;
	int			i;
	int			k;

	exact_forward(&problem->exact[0], problem->set->image, problem->rows, ROWS, outputs[0]);
	exact_forward(&problem->exact[1], problem->set->text, problem->rows, ROWS, outputs[1]);
	exact_forward(&problem->exact[2], problem->label_matrix, problem->rows, ROWS, outputs[2]);
	for (i = 0; i < 3 && !problem->mined; i++)
		note_dead_rows(problem, outputs[i]);
	for (i = 0; i < 2; i++)
		for (k = 0; k < ROWS * BITS; k++)
			outputs[i][k] *= problem->factor[i][k];
	memset(terms, 0, TRAIN_MAX_TERMS * sizeof(double));
	for (i = 0; i < (o->symmetric ? TERMS : TRAIN_MAX_TERMS); i++)
	{
		int			term = i < TRAIN_MAX_TERMS ? i : i - 3;

		if (weight[term] != 0)
			terms[term] += weight[term] * exact_term(problem, i, outputs, sides[i][0], sides[i][1]);
	}
	problem->mined = true;
	for (i = 0; i < TRAIN_MAX_TERMS; i++)
		loss += terms[i];
	return loss;
}

static void
check_network(Problem *problem, int which, const Learner *learner, const char *what)
{
	double	   *expected = ALLOCATE(double, learner->count);
	double	   *parameters = problem->exact[which].parameters;
	double		terms[TRAIN_MAX_TERMS];
	double		error;
	size_t		i;

	for (i = 0; i < learner->count; i++)
	{
		double		before = parameters[i];

		parameters[i] = before + DELTA;
		expected[i] = exact_loss(problem, terms);
		parameters[i] = before - DELTA;
		expected[i] = (expected[i] - exact_loss(problem, terms)) / (2 * DELTA);
		parameters[i] = before;
	}
	error = relative_error(learner->gradient, expected, learner->count);
	check(error < TOLERANCE, "%s network, %zu weights and biases: relative error %.1e, tolerance %.0e",
		  what, learner->count, error, TOLERANCE);
}

static void
set_dropout(Problem *problem, int epoch)
{
	RandomPurpose purpose[2] = {RANDOM_DROPOUT_IMAGE, RANDOM_DROPOUT_TEXT};
	double		p = dmsh_ln_options(problem->options)->dropout;
	int			i;
	int			k;

	for (i = 0; i < 2; i++)
		for (k = 0; k < ROWS * BITS; k++)
			problem->factor[i][k] =
				random_uniform(random_key(problem->options->seed, epoch, 0, purpose[i]), k) < (float) p ? 0 : 1 / (1 - p);
}

/* A set, a trainer and the reference's copy; draws until no pair is near a boundary. */
static void
make_problem(Problem *problem, const TrainOptions *options, bool sparse, int epoch)
{
	double		terms[TRAIN_MAX_TERMS];
	int			i;

	do
	{
		memset(problem, 0, sizeof(*problem));
		problem->options = options;
		problem->label_a = sqrt(epoch + 1);
		problem->clearance = INFINITY;
		problem->set = make_set(3 * ROWS, 9, false, 12, sparse, CLASSES);
		problem->label_matrix = ALLOCATE(float, 3 * ROWS * CLASSES);
		for (i = 0; i < 3 * ROWS * CLASSES; i++)
			problem->label_matrix[i] = problem->set->labels[i];
		for (i = 0; i < ROWS; i++)
			problem->rows[i] = (i * 7 + 3) % (3 * ROWS);
		problem->trainer = trainer_create(options, &problem->set->source, &env);
		problem->exact[0] = exact_copy(&problem->trainer->image.network);
		problem->exact[1] = exact_copy(&problem->trainer->text.network);
		problem->exact[2] = exact_copy(&problem->trainer->label.network);
		set_dropout(problem, epoch);
		exact_loss(problem, terms);
	} while (problem->clearance < CLEARANCE);
}

static void
check_case(const char *what, const TrainOptions *options, bool sparse, int epoch)
{
	Problem		problem;
	TrainBatch	batch = {.epoch = epoch};
	double		terms[TRAIN_MAX_TERMS];
	double		expected[TRAIN_MAX_TERMS];
	double		error = 0;
	int			kept = 0;
	int			i;

	make_problem(&problem, options, sparse, epoch);
	for (i = 0; i < TERMS * ROWS * ROWS; i++)
		kept += problem.kept[i / (ROWS * ROWS)][i % (ROWS * ROWS)];
	printf("case: %s; mining keeps %d pairs, the nearest %.0e from its boundary\n", what, kept, problem.clearance);
	problem.set->source.fetch(problem.set, problem.rows, ROWS, &batch.image, &batch.text, &batch.labels);
	memset(terms, 0, sizeof(terms));
	check(method_dmsh_ln.step(problem.trainer, &batch, terms), "the loss is finite");
	exact_loss(&problem, expected);
	for (i = 0; i < TRAIN_MAX_TERMS; i++)
		error = fmax(error, fabs(terms[i] - expected[i]));
	check(error < 1e-5, "terms of the loss: error %.1e, tolerance 1e-05", error);
	check_network(&problem, 0, &problem.trainer->image, "image");
	check_network(&problem, 1, &problem.trainer->text, "text");
	check_network(&problem, 2, &problem.trainer->label, "label");
	free_all();
}

static TrainOptions
small_options(void)
{
	TrainOptions options;

	train_defaults(&options, &method_dmsh_ln);
	options.bits = BITS;
	options.batch_size = ROWS;
	options.seed = test_seed;
	options.epochs = 10;
	options.image_hidden = options.text_hidden = 0;
	return options;
}

/* Every term alone, then together in several shapes. */
static void
check_gradients(void)
{
	static const char *const names[] = {"term ii", "term tt", "term yy", "term it", "term iy", "term ty"};
	TrainOptions options;
	int			i;

	for (i = 0; i < TRAIN_MAX_TERMS; i++)
	{
		options = small_options();
		dmsh_ln_options(&options)->weight_ii = i == 0;
		dmsh_ln_options(&options)->weight_tt = i == 1;
		dmsh_ln_options(&options)->weight_yy = i == 2;
		dmsh_ln_options(&options)->weight_it = i == 3;
		dmsh_ln_options(&options)->weight_iy = i == 4;
		dmsh_ln_options(&options)->weight_ty = i == 5;
		check_case(names[i], &options, false, 0);
	}
	options = small_options();
	check_case("all terms", &options, true, 4);
	dmsh_ln_options(&options)->symmetric = true;
	dmsh_ln_options(&options)->weight_iy = 0.3;
	options.image_hidden = 8;
	options.text_hidden = 6;
	check_case("all terms, symmetric, hidden layers", &options, true, 2);
	dmsh_ln_options(&options)->symmetric = false;
	dmsh_ln_options(&options)->dropout = 0;
	dmsh_ln_options(&options)->scale_positive = 5;
	dmsh_ln_options(&options)->scale_negative = 10;
	dmsh_ln_options(&options)->threshold = 0.2;
	dmsh_ln_options(&options)->margin = 0.3;
	dmsh_ln_options(&options)->init = TRAIN_INIT_FAN_OUT;
	check_case("all terms, other constants, no dropout", &options, false, 1);
}

/*
 * Pairs exactly on a boundary are not kept, the next float beyond is: one
 * anchor with numbers that floats hold exactly.
 */
static void
check_boundaries(void)
{
	TrainOptions options = small_options();
	const uint8_t kind[8] = {PAIR_POSITIVE, PAIR_POSITIVE, PAIR_NEGATIVE, PAIR_NEGATIVE, PAIR_NEGATIVE, PAIR_SELF, PAIR_POSITIVE, PAIR_NEGATIVE};
	float		cosine[64] = {0};
	float		weight[8];
	uint8_t		kinds[64];
	int			i;

	dmsh_ln_options(&options)->margin = 0.125;
	memset(kinds, PAIR_SELF, sizeof(kinds));
	memcpy(kinds, kind, sizeof(kind));
	cosine[0] = 0.25;			/* the least positive: negatives above 0.125 */
	cosine[1] = 0.625;			/* max(N) + margin itself: not kept */
	cosine[2] = 0.5;			/* the greatest negative: positives below 0.625 */
	cosine[3] = 0.125;			/* min(P) − margin itself: not kept */
	cosine[4] = nextafterf(0.125f, 1);
	cosine[5] = 1;				/* itself: neither least nor greatest */
	cosine[6] = nextafterf(0.625f, 0);
	cosine[7] = -1;
	multisimilarity(&env, dmsh_ln_options(&options), cosine, kinds, 8, 1, weight);
	check(cosine[0] < 0 && cosine[6] < 0 && cosine[2] > 0 && cosine[4] > 0,
		  "pairs one float inside the boundaries are kept");
	check(cosine[1] == 0 && cosine[3] == 0 && cosine[7] == 0, "pairs on the boundaries are not kept");
	check(cosine[5] == 0, "an item is no pair with itself, whatever its cosine");
	for (i = 8; i < 64 && cosine[i] == 0; i++)
		;
	check(i == 64, "anchors without pairs have no gradient");
}

/* One kind of pairs alone, and pairs that mining leaves none of: no loss, no gradient. */
static void
check_nothing_kept(void)
{
	TrainOptions options = small_options();
	uint8_t		kinds[4] = {PAIR_POSITIVE, PAIR_POSITIVE, PAIR_NEGATIVE, PAIR_NEGATIVE};
	float		cosine[4] = {0.2f, 0.9f, -0.3f, 0.7f};
	float		far[4] = {0.9f, -0.5f, 0.9f, -0.5f};
	uint8_t		both[4] = {PAIR_POSITIVE, PAIR_NEGATIVE, PAIR_POSITIVE, PAIR_NEGATIVE};
	float		weight[2];
	double		loss = multisimilarity(&env, dmsh_ln_options(&options), cosine, kinds, 2, 1, weight);

	check(loss == 0 && cosine[0] == 0 && cosine[1] == 0 && cosine[2] == 0 && cosine[3] == 0,
		  "anchors with positives only, or negatives only, are skipped");
	loss = multisimilarity(&env, dmsh_ln_options(&options), far, both, 2, 1, weight);
	check(fabs(loss) < 1e-12 && far[0] == 0 && far[1] == 0, "well separated pairs are not kept");
}

/* Scales whose exponentials a float can't hold. */
static void
check_large_scales(void)
{
	TrainOptions options = small_options();
	uint8_t		kinds[2] = {PAIR_POSITIVE, PAIR_NEGATIVE};
	float		cosine[4] = {-0.9f, 0.95f, 0, 0};
	uint8_t		all[4] = {PAIR_POSITIVE, PAIR_NEGATIVE, PAIR_SELF, PAIR_SELF};
	float		weight[2];
	double		loss;
	double		expected;

	memcpy(all, kinds, sizeof(kinds));
	dmsh_ln_options(&options)->scale_positive = 500;
	dmsh_ln_options(&options)->scale_negative = 4000;
	loss = multisimilarity(&env, dmsh_ln_options(&options), cosine, all, 2, 1, weight);
	expected = ((0.9 + 0.5) + (0.95 - 0.5)) / 2;	/* the logarithms of single huge exponentials */
	check(fabs(loss - expected) < 1e-6, "scales of 500 and 4,000: loss %.7f, expected %.7f", loss, expected);
	check(fabs(cosine[0] + 0.5) < 1e-6 && fabs(cosine[1] - 0.5) < 1e-6, "and gradients of −½ and ½");
}

int
main(int argc, char **argv)
{
	start("dmsh_ln_gradient", argc, argv);
	check_gradients();
	check_boundaries();
	check_nothing_kept();
	check_large_scales();
	return finish("dmsh_ln_gradient");
}
