/*
 * core/dsdw.c: DSDW, the distribution-based similarity decision and weighting
 * of JDSH: core/method_jdsh.c has the formulas.
 */
#include "core/method_jdsh.h"

#include <math.h>
#include <string.h>

/* The fit: rows that are looked at, at most, and bins of the histogram. */
#define FIT_MAX_ROWS 65536
#define FIT_BINS 200

/* DSDW on one value. */
static inline float
dsdw_weight_value(const JdshOptions *options, const DsdwFit *fit, float s)
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
dsdw_weight(Similarity *similarity, const CoreEnv *env,
			const JdshOptions *options, const DsdwFit *fit, int rows)
{
	size_t		pairs = (size_t) rows * rows;
	size_t		i;

	for (i = 0; i < pairs; i++)
	{
		similarity->joint[i] = dsdw_weight_value(options, fit, similarity->joint[i]);
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
histogram_left_edge(const Histogram *histogram, int bin)
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
	if (bin > 0 && s < histogram_left_edge(histogram, bin))
		bin--;
	else if (bin < FIT_BINS - 1 && s >= histogram_left_edge(histogram, bin + 1))
		bin++;
	above = s - histogram_left_edge(histogram, bin);
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
	fit->mode = histogram_left_edge(histogram, mode);
	fit->sigma = left > 0 ? sqrt(fmax(left_squares / left, 0)) : 0;
	fit->b = right > 0 ? right_sum / right : 0;
}

/* The off-diagonal values of row i of S: their extremes, or, with a histogram, into it. */
static void
dsdw_fit_row(Trainer *trainer, Histogram *histogram, int i)
{
	int			m = trainer->options.batch_size;
	DsdwFit    *fit = &jdsh_state(trainer)->fit;
	const float *row = jdsh_state(trainer)->similarity.joint + (size_t) i * m;
	int			j;

	for (j = 0; j < m; j++)
	{
		if (i == j)
			continue;
		if (histogram != NULL)
			histogram_add(histogram, row[j]);
		else
		{
			fit->minimum = fmin(fit->minimum, row[j]);
			fit->maximum = fmax(fit->maximum, row[j]);
		}
	}
}

/* Walk the sample in batches; a batch larger than the sample still makes one. */
static void
dsdw_fit_pass(Trainer *trainer, Histogram *histogram)
{
	Similarity *similarity = &jdsh_state(trainer)->similarity;
	int			m = trainer->options.batch_size;
	int			rows = trainer->source.rows < FIT_MAX_ROWS ? trainer->source.rows : FIT_MAX_ROWS;
	int			start;

	for (start = 0; start == 0 || start + m <= rows; start += m)
	{
		Features	image;
		Features	text;
		int			i;

		trainer->source.fetch(trainer->source.context, trainer->permutation + start, m, &image, &text, NULL);
		trainer->env.interrupt();
		similarity_compute(similarity, &trainer->env, jdsh_options(&trainer->options), &image, &text);
		for (i = 0; i < m; i++)
		{
			dsdw_fit_row(trainer, histogram, i);
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
dsdw_fit(Trainer *trainer)
{
	const JdshOptions *options = jdsh_options(&trainer->options);
	DsdwFit    *fit = &jdsh_state(trainer)->fit;
	Histogram	histogram;

	descent_shuffle(trainer, random_key(trainer->options.seed, 0, 0, RANDOM_FIT_SAMPLE));
	fit->minimum = INFINITY;
	fit->maximum = -INFINITY;
	dsdw_fit_pass(trainer, NULL);
	memset(&histogram, 0, sizeof(histogram));
	histogram.minimum = fit->minimum;
	histogram.width = (fit->maximum - fit->minimum) / FIT_BINS;
	dsdw_fit_pass(trainer, &histogram);
	histogram_fit(&histogram, fit);
	fit->low = fit->mode - options->low_factor * fit->sigma;
	fit->high = fit->mode + options->high_factor * fit->b;
}
