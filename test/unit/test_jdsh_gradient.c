/*
 * test_jdsh_gradient.c: the gradient of JDSH's loss by each weight and bias of
 * both networks, against central differences of a loss written again in
 * double; and the joint similarity with DSDW, against the same in double.
 *
 * usage: test_jdsh_gradient [SEED]
 */
#include "core_test.h"

#define ROWS 9
#define BITS 7
#define TOLERANCE 2e-5			/* relative to the group's largest gradient */
#define DELTA 1e-6

typedef struct Problem
{
	const TrainOptions *options;
	TrainingSet *set;
	Trainer    *trainer;
	int32_t		rows[ROWS];
	double		a;
	double		target[ROWS * ROWS];
} Problem;

/* ------------------------------------------------- the formulas, in double */

static void
unit(double *matrix, int rows, int columns)
{
	int			i;
	int			k;

	for (i = 0; i < rows; i++)
	{
		double		sum = 0;

		for (k = 0; k < columns; k++)
			sum += matrix[i * columns + k] * matrix[i * columns + k];
		for (k = 0; k < columns; k++)
			matrix[i * columns + k] = sqrt(sum) < 1e-12 ? 0 : matrix[i * columns + k] / sqrt(sum);
	}
}

static void
product_transposed(const double *a, const double *b, int rows, int inner, double *c)
{
	int			i;
	int			j;
	int			k;

	for (i = 0; i < rows; i++)
		for (j = 0; j < rows; j++)
		{
			c[i * rows + j] = 0;
			for (k = 0; k < inner; k++)
				c[i * rows + j] += a[i * inner + k] * b[j * inner + k];
		}
}

static void
stretched_cosines(const float *matrix, const int32_t *chosen, int columns, double *s)
{
	double	   *copy = ALLOCATE(double, ROWS * columns);
	int			i;
	int			k;

	for (i = 0; i < ROWS; i++)
		for (k = 0; k < columns; k++)
			copy[i * columns + k] = matrix[(size_t) chosen[i] * columns + k];
	unit(copy, ROWS, columns);
	product_transposed(copy, copy, ROWS, columns, s);
	for (i = 0; i < ROWS * ROWS; i++)
		s[i] = 2 * s[i] - 1;
}

static void
exact_target(Problem *problem, const DsdwFit *fit)
{
	const JdshOptions *o = jdsh_options(problem->options);
	const BatchSource *source = &problem->set->source;
	double		image[ROWS * ROWS];
	double		text[ROWS * ROWS];
	double		high[ROWS * ROWS];
	int			i;
	int			j;

	stretched_cosines(problem->set->image, problem->rows, source->image_columns, image);
	stretched_cosines(problem->set->text, problem->rows, source->text_columns, text);
	for (i = 0; i < ROWS * ROWS; i++)
		problem->target[i] = o->alpha * image[i] + o->beta * text[i];
	unit(image, ROWS, ROWS);
	unit(text, ROWS, ROWS);
	product_transposed(image, text, ROWS, ROWS, high);
	for (i = 0; i < ROWS; i++)
		for (j = 0; j < ROWS; j++)
		{
			double		s = problem->target[i * ROWS + j] + o->lambda * (high[i * ROWS + j] + high[j * ROWS + i]) / 2;

			if (s < fit->low && s < 0)
				s *= 1 + o->l1 * exp(-(s - fit->minimum));
			if (s > fit->high && s > 0)
				s *= 1 + o->l2 * exp(s - fit->maximum);
			s *= o->mu;
			if (o->clip_targets)
				s = fmax(-1, fmin(1, s));
			problem->target[i * ROWS + j] = s;
		}
}

static double
mean_square(const double *c, const double *s, bool transpose)
{
	double		sum = 0;
	int			i;
	int			j;

	for (i = 0; i < ROWS; i++)
		for (j = 0; j < ROWS; j++)
		{
			double		difference = c[transpose ? j * ROWS + i : i * ROWS + j] - s[i * ROWS + j];

			sum += difference * difference;
		}
	return sum / (ROWS * ROWS);
}

static double
exact_loss(const Problem *problem, const Exact *image, const Exact *text)
{
	double		h_image[ROWS * BITS];
	double		h_text[ROWS * BITS];
	double		c[ROWS * ROWS];
	double		loss;
	double		eta = jdsh_options(problem->options)->eta;
	int			i;

	exact_forward(image, problem->set->image, problem->rows, ROWS, h_image);
	exact_forward(text, problem->set->text, problem->rows, ROWS, h_text);
	exact_cosines(h_image, problem->a, h_text, problem->a, ROWS, BITS, c);
	loss = mean_square(c, problem->target, false) + mean_square(c, problem->target, true);
	for (i = 0; i < ROWS; i++)
		loss -= c[i * ROWS + i] / ROWS;
	exact_cosines(h_image, problem->a, h_image, problem->a, ROWS, BITS, c);
	loss += eta * mean_square(c, problem->target, false);
	exact_cosines(h_text, problem->a, h_text, problem->a, ROWS, BITS, c);
	loss += eta * mean_square(c, problem->target, false);
	return loss;
}

/* ------------------------------------------------------------------ checks */

/* One group of parameters: dL/dw by differences against the velocity after one step. */
static void
check_group(const char *what, const Problem *problem, Exact *image, Exact *text, Exact *moved,
			const float *gradient, size_t from, size_t count)
{
	double	   *expected = ALLOCATE(double, count);
	double		error;
	size_t		i;

	for (i = 0; i < count; i++)
	{
		double		before = moved->parameters[from + i];
		double		above;

		moved->parameters[from + i] = before + DELTA;
		above = exact_loss(problem, image, text);
		moved->parameters[from + i] = before - DELTA;
		expected[i] = (above - exact_loss(problem, image, text)) / (2 * DELTA);
		moved->parameters[from + i] = before;
	}
	error = relative_error(gradient + from, expected, count);
	check(error < TOLERANCE, "%s, %zu values: relative error %.1e, tolerance %.0e", what, count, error, TOLERANCE);
}

static void
check_network(const char *what, const Problem *problem, Exact *image, Exact *text, Exact *moved,
			  const float *gradient)
{
	const Network *network = moved->network;
	size_t		at = 0;
	int			i;

	for (i = 0; i < network->layers; i++)
	{
		char		name[100];
		size_t		weights = (size_t) network->layer[i].inputs * network->layer[i].outputs;

		snprintf(name, sizeof(name), "%s weights of layer %d", what, i);
		check_group(name, problem, image, text, moved, gradient, at, weights);
		snprintf(name, sizeof(name), "%s biases of layer %d", what, i);
		check_group(name, problem, image, text, moved, gradient, at + weights, network->layer[i].outputs);
		at += weights + network->layer[i].outputs;
	}
}

/* Without momentum and decay the velocity after one step is the gradient. */
static void
check_case(int image_hidden, int text_hidden, bool sparse, int epoch, bool clip)
{
	TrainOptions options;
	Problem		problem;
	TrainBatch	batch = {.epoch = epoch};
	Exact		exact_image;
	Exact		exact_text;
	double		terms[TRAIN_MAX_TERMS];
	double		loss;
	double		error;
	int			i;

	train_defaults(&options, &method_jdsh);
	options.bits = BITS;
	options.batch_size = ROWS;
	jdsh_options(&options)->momentum = 0;
	options.weight_decay = 0;
	options.image_hidden = image_hidden;
	options.text_hidden = text_hidden;
	options.seed = test_seed;
	jdsh_options(&options)->clip_targets = clip;
	problem.options = &options;
	problem.set = make_set(5 * ROWS, 11, false, 14, sparse, 0);
	problem.a = sqrt(epoch + 1);
	problem.trainer = trainer_create(&options, &problem.set->source, &env);
	trainer_fit(problem.trainer);
	for (i = 0; i < ROWS; i++)
		problem.rows[i] = (i * 7 + 3) % (5 * ROWS);
	printf("case: hidden %d and %d, %s texts, epoch %d, a = %.3f%s\n", image_hidden, text_hidden,
		   sparse ? "sparse" : "dense", epoch, problem.a, clip ? ", targets clipped" : "");

	exact_image = exact_copy(trainer_image_network(problem.trainer));
	exact_text = exact_copy(trainer_text_network(problem.trainer));
	exact_target(&problem, &jdsh_state(problem.trainer)->fit);
	problem.set->source.fetch(problem.set, problem.rows, ROWS, &batch.image, &batch.text, NULL);
	check(method_jdsh.step(problem.trainer, &batch, terms), "the loss is finite");

	error = relative_error(jdsh_state(problem.trainer)->similarity.joint, problem.target, ROWS * ROWS);
	check(error < 1e-5, "joint similarity with DSDW: relative error %.1e, tolerance 1e-05", error);
	loss = exact_loss(&problem, &exact_image, &exact_text);
	error = fabs(terms[0] + terms[1] + terms[2] + terms[3] - loss) / fabs(loss);
	check(error < 1e-5, "loss %.6f: relative error %.1e, tolerance 1e-05", loss, error);
	check_network("image", &problem, &exact_image, &exact_text, &exact_image, problem.trainer->image.velocity);
	check_network("text", &problem, &exact_image, &exact_text, &exact_text, problem.trainer->text.velocity);
	free_all();
}

int
main(int argc, char **argv)
{
	start("jdsh_gradient", argc, argv);
	check_case(0, 0, false, 0, false);
	check_case(0, 0, true, 3, false);
	check_case(0, 10, false, 1, false);
	check_case(0, 10, true, 8, true);
	check_case(6, 0, true, 2, false);
	check_case(6, 10, true, 29, false);
	return finish("jdsh_gradient");
}
