/*
 * core/trainer.h: what the files that implement a Trainer share.  Numeric core,
 * private to src/train_*.c and the unit tests.
 *
 * Throughout: m is the batch size, d the number of input features, K the
 * number of bits; matrices are row-major.
 */
#ifndef TRAINER_H
#define TRAINER_H

#include "core/train.h"
#include "core/vector.h"

/* Loops of ours look for interrupts after about this many floats. */
#define INTERRUPT_CHECK_FLOATS ((size_t) 1 << 20)

/*
 * Takes memory from the arena, or, without one, only adds up what would be
 * taken.
 */
typedef struct ArenaPlan
{
	const CoreEnv *env;	/* NULL: count only */
	size_t		bytes;
} ArenaPlan;

extern void *arena_reserve(ArenaPlan *plan, size_t count, size_t size);

/*
 * A sparse batch by columns: for each column that occurs, the rows it occurs
 * in.  The first layer's gradient follows it.
 */
typedef struct ColumnIndex
{
	int			columns;		/* that occur */
	int32_t    *column;			/* [columns], ascending */
	int32_t    *start;			/* [columns + 1], into row and value */
	int32_t    *row;
	float	   *value;
	int			capacity;		/* of row and value */
	int32_t    *position;		/* [d], 0 between batches */
} ColumnIndex;

/*
 * SGD leaves a row of a sparse first layer alone until it is needed; what its
 * untouched steps would have done is then applied at once (core/sgd.c).
 */
typedef struct LazySteps
{
	int32_t    *done;			/* [d]: steps of this epoch that the row has seen */
	double		(*single)[4];	/* powers 0 … LAZY_TABLE-1 of one untouched step */
	double		(*multiple)[4]; /* powers of LAZY_TABLE untouched steps */
} LazySteps;

#define LAZY_TABLE 256

/* A network in training: its activations of one batch and its optimizer. */
typedef struct Learner
{
	const CoreEnv *env;
	Network		network;
	float	   *parameters;		/* [count] */
	size_t		count;
	float	   *velocity;		/* [count] SGD's velocity, Adam's first moment */
	float	   *second_moment;	/* [count] Adam */
	float	   *gradient;		/* [count] Adam */
	bool		sparse;
	ColumnIndex index;
	LazySteps	lazy;			/* SGD on sparse features */

	float	   *hidden;			/* [m × hidden] after ReLU */
	float	   *hidden_gradient;	/* [m × hidden] */
	float	   *output;			/* [m × K] H, before tanh; dropout applied */
	float	   *code;			/* [m × K] B = tanh(a·H) */
	float	   *unit;			/* [m × K] rows of B at unit length */
	float	   *length;			/* [m] lengths of B's rows */
	float	   *gradient_unit;	/* [m × K] dL/d unit; then dL/dH */
	float	   *tile;			/* [TRAIN_TILE] gradient of some rows of a weight matrix */
	int			tile_size;
} Learner;

/* Gradients are made in pieces that stay in the cache until they are used. */
#define TRAIN_TILE (64 * 1024)

typedef enum TrainOptimizer
{
	OPTIMIZER_SGD,
	OPTIMIZER_ADAM
} TrainOptimizer;

/* A learner's memory; network and optimizer state are zero. */
extern void learner_reserve(Learner *learner, ArenaPlan *plan, TrainOptimizer optimizer,
						  int inputs, int hidden, int outputs, bool sparse, int batch_size, int steps);

/* Uniform in ±√(gain / fan); biases too, or zero. */
extern void learner_initialise(Learner *learner, uint64_t seed, RandomPurpose purpose,
							   TrainInit init, double gain, bool biases);

/* H of a batch, keeping what backward needs; and its two halves. */
extern void learner_forward(Learner *learner, const Features *features);
extern float *learner_first_output(const Learner *learner);
extern void learner_forward_rest(Learner *learner, int rows);

/* B = tanh(a·H), unit rows, lengths; false when one is not finite. */
extern bool learner_activate(Learner *learner, int rows, float a);

/* gradient_unit: from dL/d unit to dL/dH, through length and tanh. */
extern void learner_deactivate(Learner *learner, int rows, float a);

/* dL/d hidden from dL/dH (two layers only). */
extern void learner_hidden_gradient(Learner *learner, int rows);

/* Σ over rows of [rows × columns], into [columns]. */
extern void column_sums(const float *matrix, int rows, int columns, float *sums);

extern bool learner_finite(const Learner *learner);

/* Columns of a sparse batch. */
extern void column_index_reserve(ColumnIndex *index, ArenaPlan *plan, int inputs);
extern void column_index_build(const CoreEnv *env, ColumnIndex *index, const Features *features);

/* core/sgd.c */
extern void sgd_reserve(Learner *learner, ArenaPlan *plan, int inputs, int steps);
extern void sgd_prepare(Learner *learner, const SgdStep *step, int steps);
extern void sgd_forward(Learner *learner, const Features *features, int step);
extern void sgd_step(Learner *learner, const Features *features, const SgdStep *sgd, int step);
extern void sgd_finish_epoch(Learner *learner, int steps);

/* core/adam.c */
extern void adam_backward(Learner *learner, const Features *features);
extern void adam_step(Learner *learner, const AdamStep *step, double clip_norm);

/* core/similarity.c: the joint-modal similarity of JDSH and its DSDW. */
typedef struct Similarity
{
	float	   *image;			/* [m × m] S_I, then its rows at unit length */
	float	   *text;			/* [m × m] likewise */
	float	   *joint;			/* [m × m] S */
	float	   *high;			/* [m × m] */
	float	   *unit_features;	/* [m × widest dense d] */
	float	   *scatter;		/* [widest sparse d], 0 between rows */
} Similarity;

extern void similarity_reserve(Similarity *similarity, ArenaPlan *plan, const BatchSource *source, int batch_size);
extern void similarity_compute(Similarity *similarity, const CoreEnv *env,
							   const TrainOptions *options, const Features *image, const Features *text);
extern void similarity_weight(Similarity *similarity, const CoreEnv *env,
							  const TrainOptions *options, const DsdwFit *fit, int rows);

/* core/multisimilarity.c */
extern void multisimilarity_kinds(const CoreEnv *env, const uint8_t *labels,
								  int rows, int classes, uint64_t *bits, uint8_t *kind);
extern double multisimilarity(const CoreEnv *env, const TrainOptions *options,
							  float *cosine, const uint8_t *kind, int rows, float factor,
							  float *weight);

struct Trainer
{
	TrainOptions options;
	BatchSource source;
	CoreEnv env;
	int			steps;			/* batches an epoch */
	int32_t    *permutation;	/* [rows] */
	Learner		image;
	Learner		text;
	Learner		label;			/* DMsH-LN */

	Similarity	similarity;		/* JDSH */
	DsdwFit		fit;

	float	   *cosine;			/* [m × m] cosines, then the loss's gradient */
	uint8_t    *kind;			/* [m × m] DMsH-LN: kinds of pairs */
	float	   *pair_weight;	/* [m] */
	uint64_t   *label_bits;		/* [m × words] */
	float	   *label_features; /* [m × C] */
};

/* core/trainer.c */
extern void trainer_shuffle(Trainer *trainer, RandomKey key);

/*
 * The methods: memory, initial weights, loss with gradient, and one step on
 * one batch, which sets the terms of its loss; false: something not finite.
 */
extern void jdsh_prepare(Trainer *trainer);
extern double jdsh_loss(Trainer *trainer, int rows, float a, double terms[TRAIN_MAX_TERMS]);
extern bool jdsh_step(Trainer *trainer, const Features *image, const Features *text,
					  int epoch, int step, double terms[TRAIN_MAX_TERMS]);

extern void dmsh_ln_reserve(Trainer *trainer, ArenaPlan *plan);
extern void dmsh_ln_prepare(Trainer *trainer);
extern bool dmsh_ln_loss(Trainer *trainer, int rows, float a, double terms[TRAIN_MAX_TERMS]);
extern bool dmsh_ln_step(Trainer *trainer, const Features *image, const Features *text,
						 const uint8_t *labels, int epoch, int step, double terms[TRAIN_MAX_TERMS]);
extern double dmsh_ln_schedule(const Trainer *trainer, int epoch, int step);

#endif							/* TRAINER_H */
