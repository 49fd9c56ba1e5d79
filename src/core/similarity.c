/*
 * core/similarity.c: the joint-modal similarity that JDSH learns, and DSDW,
 * its distribution-based similarity decision and weighting.
 *
 * JDSH: "Joint-modal Distribution-based Similarity Hashing for Large-scale
 * Unsupervised Deep Cross-modal Retrieval", SIGIR 2020, doi
 * 10.1145/3397271.3401086.
 *
 *     S_I = 2·cos(X_I, X_I) − 1,  S_T likewise,  N(·): rows at unit length,
 *     S_high = N(S_I)·N(S_T)ᵀ,
 *     S = α·S_I + β·S_T + λ·(S_high + S_highᵀ)/2.
 *
 * DSDW takes the off-diagonal values of S for a half-Gaussian on the left of
 * their mode and a half-Laplace on its right, and drives the values in the
 * tails further out.  What departs from the public code: the distribution is
 * fitted to the very S that is trained with, the diagonal (always 1) does not
 * take part, and a value must also have the sign of its tail to be driven.
 */
#include "core/trainer.h"

#include <math.h>
#include <string.h>

#define MIN_LENGTH 1e-12f

/* The fit: most rows that are looked at, and bins of the histogram. */
#define FIT_ROWS 65536
#define FIT_BINS 200

void
similarity_reserve(Similarity *similarity, ArenaPlan *plan, const BatchSource *source, int batch_size)
{
	size_t		pairs = (size_t) batch_size * batch_size;
	size_t		dense = 0;
	size_t		sparse = 0;

	if (source->image_sparse)
		sparse = source->image_columns;
	else
		dense = source->image_columns;
	if (source->text_sparse)
		sparse = sparse > (size_t) source->text_columns ? sparse : (size_t) source->text_columns;
	else
		dense = dense > (size_t) source->text_columns ? dense : (size_t) source->text_columns;

	similarity->image = arena_reserve(plan, pairs, sizeof(float));
	similarity->text = arena_reserve(plan, pairs, sizeof(float));
	similarity->joint = arena_reserve(plan, pairs, sizeof(float));
	similarity->high = arena_reserve(plan, pairs, sizeof(float));
	similarity->unit_features = arena_reserve(plan, batch_size * dense, sizeof(float));
	similarity->scatter = arena_reserve(plan, sparse, sizeof(float));
}

/* to [rows × columns] = the rows of from at unit length; from may be to. */
static void
unit_rows(const CoreEnv *env, const float *from, int rows, int columns, float *to)
{
	int			i;
	int			k;

	for (i = 0; i < rows; i++)
	{
		const float *source = from + (size_t) i * columns;
		float	   *target = to + (size_t) i * columns;
		float		length = sqrtf(vector_loops()->dot(source, source, columns));
		float		factor = length < MIN_LENGTH ? 0 : 1 / length;

		for (k = 0; k < columns; k++)
			target[k] = factor * source[k];
		if (i % 64 == 63)
			env->interrupt();
	}
}

/* Σ value·dense[column] over a sparse row. */
static float
sparse_dot(const Features *features, int row, const float *dense)
{
	float		sum = 0;
	int			j;

	for (j = features->row_start[row]; j < features->row_start[row + 1]; j++)
		sum += features->value[j] * dense[features->column[j]];
	return sum;
}

/* Row i of the lower half of cosines [m × m] of sparse rows, by scattering row i; mirrored. */
static void
sparse_cosines_row(const Features *features, int i, float *scatter, float *cosines)
{
	int			rows = features->rows;
	int			start = features->row_start[i];
	int			count = features->row_start[i + 1] - start;
	const float *value = features->value + start;
	float		length = sqrtf(vector_loops()->dot(value, value, count));
	float		factor = length < MIN_LENGTH ? 0 : 1 / length;
	int			j;

	for (j = 0; j < count; j++)
		scatter[features->column[start + j]] = factor * value[j];
	for (j = 0; j < i; j++)
	{
		/* the diagonal above holds 1/length of the earlier row until the end */
		float		cosine = sparse_dot(features, j, scatter) * cosines[(size_t) j * rows + j];

		cosines[(size_t) i * rows + j] = cosine;
		cosines[(size_t) j * rows + i] = cosine;
	}
	cosines[(size_t) i * rows + i] = factor;
	for (j = 0; j < count; j++)
		scatter[features->column[start + j]] = 0;
}

/* cosines [m × m] between the rows of one modality. */
static void
feature_cosines(Similarity *similarity, const CoreEnv *env, const Features *features,
				float *cosines)
{
	int			rows = features->rows;
	int			i;

	if (features->dense != NULL)
	{
		unit_rows(env, features->dense, rows, features->columns, similarity->unit_features);
		blas_product(env, false, true, rows, rows, features->columns,
					 1, similarity->unit_features, features->columns,
					 similarity->unit_features, features->columns, 0, cosines, rows);
		return;
	}
	for (i = 0; i < rows; i++)
	{
		sparse_cosines_row(features, i, similarity->scatter, cosines);
		env->interrupt();
	}
	for (i = 0; i < rows; i++)
	{
		float	   *diagonal = cosines + (size_t) i * rows + i;

		*diagonal = *diagonal > 0 ? 1 : 0;	/* a zero row has cosine 0, even with itself */
	}
}

/* s = 2c − 1 in place. */
static void
stretch(const CoreEnv *env, float *cosines, size_t count)
{
	size_t		i;

	for (i = 0; i < count; i++)
	{
		cosines[i] = 2 * cosines[i] - 1;
		if (i % INTERRUPT_CHECK_FLOATS == INTERRUPT_CHECK_FLOATS - 1)
			env->interrupt();
	}
}

/* S [m × m] = α·S_I + β·S_T */
static void
join_modalities(Similarity *similarity, const CoreEnv *env, const TrainOptions *options, size_t m)
{
	float		alpha = options->alpha;
	float		beta = options->beta;
	size_t		i;

	for (i = 0; i < m * m; i++)
	{
		similarity->joint[i] = alpha * similarity->image[i] + beta * similarity->text[i];
		if (i % INTERRUPT_CHECK_FLOATS == INTERRUPT_CHECK_FLOATS - 1)
			env->interrupt();
	}
}

/* S [m × m] += λ·(S_high + S_highᵀ)/2 */
static void
join_high(Similarity *similarity, const CoreEnv *env, const TrainOptions *options, size_t m)
{
	float		half = options->lambda / 2;
	size_t		i;
	size_t		j;

	for (i = 0; i < m; i++)
	{
		for (j = 0; j < m; j++)
			similarity->joint[i * m + j] += half * (similarity->high[i * m + j] + similarity->high[j * m + i]);
		if (i % 16 == 15)
			env->interrupt();
	}
}

/* S [m × m] of a batch, before DSDW. */
void
similarity_compute(Similarity *similarity, const CoreEnv *env,
				   const TrainOptions *options, const Features *image, const Features *text)
{
	int			rows = image->rows;
	size_t		pairs = (size_t) rows * rows;

	feature_cosines(similarity, env, image, similarity->image);
	feature_cosines(similarity, env, text, similarity->text);
	stretch(env, similarity->image, pairs);
	stretch(env, similarity->text, pairs);
	join_modalities(similarity, env, options, rows);
	unit_rows(env, similarity->image, rows, rows, similarity->image);
	unit_rows(env, similarity->text, rows, rows, similarity->text);
	blas_product(env, false, true, rows, rows, rows, 1, similarity->image, rows,
				 similarity->text, rows, 0, similarity->high, rows);
	join_high(similarity, env, options, rows);
}

/* DSDW on one value. */
static inline float
weight_value(const TrainOptions *options, const DsdwFit *fit, float s)
{
	if (s < fit->low && s < 0)
		s *= 1 + options->l1 * exp(-(s - fit->minimum));
	else if (s > fit->high && s > 0)
		s *= 1 + options->l2 * exp(s - fit->maximum);
	s *= options->mu;
	if (options->clip_targets)
		s = s < -1 ? -1 : s > 1 ? 1 : s;
	return s;
}

/* DSDW: every value of S, the diagonal too. */
void
similarity_weight(Similarity *similarity, const CoreEnv *env,
				  const TrainOptions *options, const DsdwFit *fit, int rows)
{
	size_t		pairs = (size_t) rows * rows;
	size_t		i;

	for (i = 0; i < pairs; i++)
	{
		similarity->joint[i] = weight_value(options, fit, similarity->joint[i]);
		if (i % INTERRUPT_CHECK_FLOATS == INTERRUPT_CHECK_FLOATS - 1)
			env->interrupt();
	}
}

/* A histogram of 200 equal bins, with what each side of the mode needs. */
typedef struct Histogram
{
	double		minimum;
	double		width;			/* of a bin */
	double		count[FIT_BINS];
	double		at_edge[FIT_BINS];	/* values equal to the bin's left edge */
	double		sum[FIT_BINS];	/* of values less the bin's left edge */
	double		squares[FIT_BINS];	/* of the same */
} Histogram;

static inline double
left_edge(const Histogram *histogram, int bin)
{
	return histogram->minimum + bin * histogram->width;
}

static void
histogram_add(Histogram *histogram, double s)
{
	int			bin = histogram->width > 0 ? (int) ((s - histogram->minimum) / histogram->width) : 0;
	double		above;

	bin = bin < 0 ? 0 : bin > FIT_BINS - 1 ? FIT_BINS - 1 : bin;
	/* division rounds: go by the edges as they are used below */
	if (bin > 0 && s < left_edge(histogram, bin))
		bin--;
	else if (bin < FIT_BINS - 1 && s >= left_edge(histogram, bin + 1))
		bin++;
	above = s - left_edge(histogram, bin);
	histogram->count[bin]++;
	histogram->at_edge[bin] += above == 0;
	histogram->sum[bin] += above;
	histogram->squares[bin] += above * above;
}

/*
 * M and the two tails.  M is an edge, so a bin lies wholly on one side, and
 * Σ(M − s)² = Σ(offset − above)² follows from the bin's sums.
 */
static void
histogram_fit(const Histogram *histogram, DsdwFit *fit)
{
	int			mode = 0;
	double		left = 0;
	double		left_squares = 0;
	double		right = 0;
	double		right_sum = 0;
	int			bin;

	for (bin = 1; bin < FIT_BINS; bin++)
		if (histogram->count[bin] > histogram->count[mode])
			mode = bin;
	for (bin = 0; bin < mode; bin++)
	{
		double		offset = (mode - bin) * histogram->width;

		left += histogram->count[bin];
		left_squares += histogram->count[bin] * offset * offset -
			2 * offset * histogram->sum[bin] + histogram->squares[bin];
	}
	for (bin = mode; bin < FIT_BINS; bin++)
	{
		right += histogram->count[bin];
		right_sum += histogram->count[bin] * (bin - mode) * histogram->width + histogram->sum[bin];
	}
	right -= histogram->at_edge[mode];
	fit->mode = left_edge(histogram, mode);
	fit->sigma = left > 0 ? sqrt(fmax(left_squares / left, 0)) : 0;
	fit->b = right > 0 ? right_sum / right : 0;
}

/* The off-diagonal values of row i of S: their extremes, or, with a histogram, into it. */
static void
fit_row(Trainer *trainer, Histogram *histogram, int i)
{
	int			m = trainer->options.batch_size;
	const float *row = trainer->similarity.joint + (size_t) i * m;
	int			j;

	for (j = 0; j < m; j++)
	{
		if (i == j)
			continue;
		if (histogram != NULL)
			histogram_add(histogram, row[j]);
		else
		{
			trainer->fit.minimum = fmin(trainer->fit.minimum, row[j]);
			trainer->fit.maximum = fmax(trainer->fit.maximum, row[j]);
		}
	}
}

/* Walk the sample in batches; a batch larger than the sample still makes one. */
static void
fit_pass(Trainer *trainer, Histogram *histogram)
{
	int			m = trainer->options.batch_size;
	int			rows = trainer->source.rows < FIT_ROWS ? trainer->source.rows : FIT_ROWS;
	int			start;

	for (start = 0; start == 0 || start + m <= rows; start += m)
	{
		Features	image;
		Features	text;
		int			i;

		trainer->source.fetch(trainer->source.context, trainer->permutation + start, m, &image, &text, NULL);
		trainer->env.interrupt();
		similarity_compute(&trainer->similarity, &trainer->env, &trainer->options, &image, &text);
		for (i = 0; i < m; i++)
		{
			fit_row(trainer, histogram, i);
			if (i % 64 == 63)
				trainer->env.interrupt();
		}
	}
}

/*
 * Fit DSDW.  Two passes, because a batch of 1,024 has a million values and the
 * sample 64 of them: too many to keep, and cheap to compute again.
 */
void
trainer_fit(Trainer *trainer)
{
	DsdwFit    *fit = &trainer->fit;
	Histogram	histogram;

	if (trainer->options.method != TRAIN_JDSH)
		return;
	trainer_shuffle(trainer, random_key(trainer->options.seed, 0, 0, RANDOM_FIT_SAMPLE));
	fit->minimum = INFINITY;
	fit->maximum = -INFINITY;
	fit_pass(trainer, NULL);
	memset(&histogram, 0, sizeof(histogram));
	histogram.minimum = fit->minimum;
	histogram.width = (fit->maximum - fit->minimum) / FIT_BINS;
	fit_pass(trainer, &histogram);
	histogram_fit(&histogram, fit);
	fit->low = fit->mode - trainer->options.low_factor * fit->sigma;
	fit->high = fit->mode + trainer->options.high_factor * fit->b;
}
