/*
 * core/vector.h: the loops over float arrays that the numeric core spends its time
 * in, outside the matrix products.  Numeric core: no PostgreSQL headers.
 *
 * One text, core/vector_loops.h, is compiled once for each instruction set; the
 * best of those the processor has is chosen once, at first use.  Sums run in
 * a fixed number of lanes, but different sets may round differently: results
 * are reproducible on one kind of machine.
 *
 * Arrays may have any alignment; different arguments must not overlap.
 */
#ifndef VECTOR_H
#define VECTOR_H

#include <stddef.h>
#include <stdint.h>

/* What one Adam step needs beside its arrays. */
typedef struct AdamStep
{
	float		gradient_factor;	/* of the norm's clipping */
	float		beta1;
	float		beta2;
	float		step_size;		/* learning rate / (1 − beta1^t) */
	float		second_correction;	/* 1 / sqrt(1 − beta2^t) */
	float		epsilon;
	float		decay;			/* learning rate × weight decay */
} AdamStep;

/* A step of SGD: v ← momentum·v + g + decay·w; w ← w − rate·v. */
typedef struct SgdStep
{
	float		rate;
	float		momentum;
	float		decay;
} SgdStep;

typedef struct VectorLoops
{
	const char *name;

	float		(*dot) (const float *a, const float *b, size_t n);

	/* The largest number, at least 0; NaN does not count. */
	float		(*max) (const float *x, size_t n);

	/* y += alpha·x */
	void		(*add_scaled) (float *y, float alpha, const float *x, size_t n);

	/* The same in double, but for x. */
	void		(*add_scaled_exact) (double *y, double alpha, const float *x, size_t n);

	/* y[columns] += Σ_i x[i] · row i of weight; row i is index[i], or i when index is NULL. */
	void		(*add_rows) (float *y, const float *weight, size_t stride, int columns,
							 const float *x, const int32_t *index, int count);

	/* y = tanh(factor·x) */
	void		(*tanh_scaled) (float *y, float factor, const float *x, size_t n);

	/* y = max(0, y + bias) */
	void		(*bias_relu) (float *y, const float *bias, size_t n);

	/* y = exp((y·factor − 1) / width) */
	void		(*rbf) (float *y, float factor, const float *width, size_t n);

	/* gradient = 0 where the activation is not positive */
	void		(*mask_relu) (float *gradient, const float *activation, size_t n);

	/* A step of SGD with this gradient; NULL: of nought. */
	void		(*sgd) (float *w, float *v, const float *g, const SgdStep *step, size_t n);

	/* to = a·x + b·y */
	void		(*combine) (float *to, float a, const float *x, float b, const float *y, size_t n);

	/* (w, v) ← (a·w + b·v − rate·g, c·w + d·v + g); g may be NULL: nought. */
	void		(*rotate) (float *w, float *v, float a, float b, float c, float d,
						   const float *g, float rate, size_t n);

	/* A step of Adam with decoupled decay; g may be NULL as in sgd. */
	void		(*adam) (float *w, float *m, float *v, const float *g, const AdamStep *step, size_t n);

	/*
	 * One anchor of the multi-similarity loss: see core/multisimilarity.c.
	 * extremes: the smallest cosine of the positives, the largest of the negatives.
	 */
	void		(*extremes) (const float *cosine, const uint8_t *kind, int n,
							 float *min_positive, float *max_negative);

	/*
	 * weight[j] = exp(slope·(s − t) − peak) of each kept pair, 0 of the others,
	 * with the sums over positives and negatives.
	 */
	void		(*pair_weights) (float *weight, const float *cosine, const uint8_t *kind, int n,
								 const float *parameters, float sums[2]);

	/* gradient[j] = weight[j] times the factor of the pair's kind; PAIR_SELF's weight must be 0. */
	void		(*pair_gradient) (float *gradient, const float *weight, const uint8_t *kind, int n,
								  float positive, float negative);
} VectorLoops;

/* Kinds of pairs. */
#define PAIR_NEGATIVE 0
#define PAIR_POSITIVE 1
#define PAIR_SELF 2

/* Parameters of pair_weights, for positives (0–2) and negatives (3–5). */
#define PAIR_POSITIVE_BELOW 0	/* keep a positive with s < this */
#define PAIR_POSITIVE_SLOPE 1
#define PAIR_POSITIVE_SHIFT 2	/* exponent is slope·s + shift */
#define PAIR_NEGATIVE_ABOVE 3	/* keep a negative with s > this */
#define PAIR_NEGATIVE_SLOPE 4
#define PAIR_NEGATIVE_SHIFT 5
#define PAIR_PARAMETERS 6

/* The loops in use. */
extern const VectorLoops *vector_loops(void);

/* All that this processor can run, the portable ones first. */
extern int	vector_available(const VectorLoops *loops[], int capacity);

extern const VectorLoops vector_portable;
extern const VectorLoops vector_avx2;	/* on x86-64 only */

#endif							/* VECTOR_H */
