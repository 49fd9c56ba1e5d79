/*
 * core/multisimilarity.c: the multi-similarity loss and its gradient on the
 * cosines of a batch; core/method_dmsh_ln.c has the formulas.
 *
 * An anchor keeps positives if and only if it keeps negatives: both say
 * min(P) − margin < max(N).  One without any of either keeps neither, since
 * its min or max is infinite.  Sums are taken relative to their largest
 * exponent, so that no scale overflows.
 */
#include "core/method_dmsh_ln.h"

#include <math.h>
#include <string.h>

/*
 * Which items share a class: kind [m × m].  labels [m × classes] are packed
 * into words first: then 64 classes cost one AND.
 */
void
multisimilarity_kinds(const CoreEnv *env, const uint8_t *labels, int rows, int classes,
					  uint64_t *bits, uint8_t *kind)
{
	int			words = (classes + 63) / 64;
	int			i;
	int			j;
	int			k;

	memset(bits, 0, (size_t) rows * words * sizeof(uint64_t));
	for (i = 0; i < rows; i++)
		for (k = 0; k < classes; k++)
			if (labels[(size_t) i * classes + k])
				bits[(size_t) i * words + k / 64] |= UINT64_C(1) << k % 64;
	for (i = 0; i < rows; i++)
	{
		for (j = 0; j < rows; j++)
		{
			uint64_t	shared = 0;

			for (k = 0; k < words; k++)
				shared |= bits[(size_t) i * words + k] & bits[(size_t) j * words + k];
			kind[(size_t) i * rows + j] = shared != 0 ? PAIR_POSITIVE : PAIR_NEGATIVE;
		}
		if (i % 64 == 63)
			env->interrupt();
	}
}

/* log(1 + Σ exp(x)), given Σ exp(x − peak) and peak >= 0. */
static double
multisimilarity_log_one_plus(double sum, double peak)
{
	return peak + log(exp(-peak) + sum);
}

/*
 * One anchor.  cosine [m] becomes factor/m·dL_i/ds; returns L_i, without 1/m.
 */
static double
multisimilarity_anchor(const DmshLnOptions *options, float *cosine, const uint8_t *kind, int rows, float factor, float *weight)
{
	float		parameters[PAIR_PARAMETERS];
	float		min;
	float		max;
	float		sums[2];
	double		p = options->scale_positive;
	double		n = options->scale_negative;
	double		t = options->threshold;
	double		peak_positive;
	double		peak_negative;
	float		positive;
	float		negative;

	vector_loops()->extremes(cosine, kind, rows, &min, &max);
	peak_positive = fmax(0, -p * (min - t));
	peak_negative = fmax(0, n * (max - t));
	parameters[PAIR_POSITIVE_BELOW] = max + options->margin;
	parameters[PAIR_POSITIVE_SLOPE] = -p;
	parameters[PAIR_POSITIVE_SHIFT] = p * t - peak_positive;
	parameters[PAIR_NEGATIVE_ABOVE] = min - options->margin;
	parameters[PAIR_NEGATIVE_SLOPE] = n;
	parameters[PAIR_NEGATIVE_SHIFT] = -n * t - peak_negative;
	vector_loops()->pair_weights(weight, cosine, kind, rows, parameters, sums);

	positive = -factor / rows / (exp(-peak_positive) + sums[0]);
	negative = factor / rows / (exp(-peak_negative) + sums[1]);
	vector_loops()->pair_gradient(cosine, weight, kind, rows, positive, negative);
	return multisimilarity_log_one_plus(sums[0], peak_positive) / p + multisimilarity_log_one_plus(sums[1], peak_negative) / n;
}

/*
 * The loss of cosines [m × m] with rows as anchors, times factor; cosine
 * becomes its gradient.  weight is work space, [m].
 */
double
multisimilarity(const CoreEnv *env, const DmshLnOptions *options, float *cosine,
				const uint8_t *kind, int rows, float factor, float *weight)
{
	double		loss = 0;
	int			i;

	for (i = 0; i < rows; i++)
	{
		loss += multisimilarity_anchor(options, cosine + (size_t) i * rows, kind + (size_t) i * rows, rows, factor, weight);
		if (i % 64 == 63)
			env->interrupt();
	}
	return factor * loss / rows;
}
