/*
 * core/trainer.h: what the files that implement a Trainer share.  Numeric core,
 * private to src/core and the unit tests.
 *
 * Throughout: m is the batch size, d the number of input features, K the
 * number of bits; matrices are row-major.
 */
#ifndef TRAINER_H
#define TRAINER_H

#include "core/blas.h"
#include "core/random.h"
#include "core/train.h"
#include "core/vector.h"

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

/* Which of a layer's widths bounds its initial weights. */
typedef enum TrainInit
{
	TRAIN_INIT_FAN_IN,
	TRAIN_INIT_FAN_OUT
} TrainInit;

typedef enum TrainOptimizer
{
	OPTIMIZER_SGD,
	OPTIMIZER_ADAM
} TrainOptimizer;

/* A learner's memory; network and optimizer state are zero. */
extern void learner_reserve(Learner *learner, ArenaPlan *plan, TrainOptimizer optimizer,
							int inputs, int hidden, int outputs, bool sparse, int batch_size);

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

struct Trainer
{
	TrainOptions options;		/* resolved */
	BatchSource source;
	CoreEnv env;

	/* Set by the method's reserve(). */
	Network    *image_network;
	Network    *text_network;

	/* Of methods by gradient descent: core/descent.c. */
	int			steps;			/* batches an epoch */
	int32_t    *permutation;	/* [rows] */
	Learner		image;
	Learner		text;
	Learner		label;			/* its count is 0: there is no label network */
	float	   *cosine;			/* [m × m] cosines, then the loss's gradient */

	/* The method's own, a struct of its header. */
	union
	{
		double		align;
		unsigned char bytes[TRAIN_OWN_STATE];
	}			own;
};

/* core/descent.c: what methods by gradient descent share. */
extern void descent_hidden_layers(const TrainOptions *options, HiddenLayers hidden[2]);
extern void descent_reserve(Trainer *trainer, ArenaPlan *plan, TrainOptimizer optimizer);
extern void descent_shuffle(Trainer *trainer, RandomKey key);
extern void descent_epoch(Trainer *trainer, int epoch, TrainLoss *loss);
extern int	descent_state(Trainer *trainer, TrainerState states[TRAINER_MAX_STATES]);

/*
 * Rows of a table of options: one with a field in TrainOptions, and one with a
 * field in the method's own struct.
 */
#define OPTION(field, type, min, max, initial, meaning) \
	{#field, type, offsetof(TrainOptions, field), min, max, initial, NULL, false, meaning}
#define OPTION_SIZE(field, max, initial, meaning) \
	{#field, OPTION_INTEGER, offsetof(TrainOptions, field), 0, max, initial, NULL, true, meaning}
#define OWN_OFFSET(own_type, field) (offsetof(TrainOptions, own) + offsetof(own_type, field))

#define DESCENT_NOT_FINITE_HINT \
	"Try smaller values of \"learning_rate_image\" and \"learning_rate_text\", or another \"scale\"."

/* Options of each method by gradient descent. */
#define DESCENT_OPTIONS(epochs_initial, batch_initial, rate_initial, decay_initial, hidden_initial) \
	OPTION(epochs, OPTION_INTEGER, 1, 1000000, epochs_initial, "passes over the training set"), \
	{"batch_size", OPTION_INTEGER, offsetof(TrainOptions, batch_size), 2, 65536, batch_initial, NULL, true, \
		"pairs in a step"}, \
	OPTION(seed, OPTION_SEED, 0, 9007199254740991.0, 1, "decides every random choice"), \
	OPTION(learning_rate_image, OPTION_NUMBER, 0, OPTION_UNLIMITED, rate_initial, "of the image network"), \
	OPTION(learning_rate_text, OPTION_NUMBER, 0, OPTION_UNLIMITED, rate_initial, "of the text network"), \
	OPTION(weight_decay, OPTION_NUMBER, 0, OPTION_UNLIMITED, decay_initial, "pull of weights to 0"), \
	OPTION_SIZE(image_hidden, NETWORK_MAX_HIDDEN, hidden_initial, "hidden units of the image network; 0: none"), \
	OPTION_SIZE(text_hidden, NETWORK_MAX_HIDDEN, hidden_initial, "hidden units of the text network; 0: none")

/* Options about the data and about what is kept, of each method that has epochs. */
#define DATA_OPTIONS \
	{"scale", OPTION_WORD, offsetof(TrainOptions, scale), 0, 2, TRAIN_SCALE_RMS, \
		(const char *const[]) {"rms", "none", "standard", NULL}, false, \
		"how features are scaled"}, \
	OPTION(validation_fraction, OPTION_NUMBER, 0, 0.9, 0, "share of the pairs held out to measure mAP on"), \
	OPTION(keep_best, OPTION_BOOLEAN, 0, 1, 0, "keep the weights of the epoch with the best validation mAP"), \
	OPTION(patience, OPTION_INTEGER, 0, 1000000, 0, "stop after so many epochs without a better mAP; 0: never"), \
	OPTION(checkpoint_seconds, OPTION_NUMBER, 0, OPTION_UNLIMITED, 30, "between two checkpoints")

#endif							/* TRAINER_H */
