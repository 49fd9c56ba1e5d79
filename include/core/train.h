/*
 * core/train.h: the trainers' contract.  Numeric core: no PostgreSQL headers.
 *
 * A Trainer owns two networks (and for DMsH-LN the label network), their
 * optimizer state and work space, all from one arena.  It knows nothing of
 * tables: a BatchSource hands it rows by number.
 */
#ifndef TRAIN_H
#define TRAIN_H

#include "core/network.h"

typedef enum TrainMethod
{
	TRAIN_JDSH,
	TRAIN_DMSH_LN
} TrainMethod;

typedef enum TrainInit
{
	TRAIN_INIT_FAN_IN,
	TRAIN_INIT_FAN_OUT
} TrainInit;

/* All options of both methods, named as in SQL; defaults by train_defaults(). */
typedef struct TrainOptions
{
	TrainMethod method;
	int			bits;

	int			epochs;
	int			batch_size;
	int64_t		seed;
	double		learning_rate_image;
	double		learning_rate_text;
	double		weight_decay;
	int			image_hidden;
	int			text_hidden;

	/* jdsh */
	double		momentum;
	double		alpha;
	double		beta;
	double		lambda;
	double		eta;
	double		mu;
	double		l1;
	double		l2;
	double		low_factor;
	double		high_factor;
	bool		clip_targets;

	/* dmsh_ln */
	double		learning_rate_label;
	int			label_hidden;	/* 0: (C + K) / 2 */
	double		dropout;
	double		warmup;
	double		clip_norm;
	double		adam_beta1;
	double		adam_beta2;
	double		adam_epsilon;
	TrainInit	init;
	double		scale_positive;
	double		scale_negative;
	double		threshold;
	double		margin;
	double		weight_ii;
	double		weight_tt;
	double		weight_yy;
	double		weight_it;
	double		weight_iy;
	double		weight_ty;
	bool		symmetric;
} TrainOptions;

extern void train_defaults(TrainOptions *options, TrainMethod method);

/* Hidden units of DMsH-LN's label network. */
extern int	train_label_hidden(const TrainOptions *options, int classes);

/* The training set, as the trainer sees it: scaled features, by row number. */
typedef struct BatchSource
{
	int			rows;
	int			image_columns;
	int			text_columns;
	int			classes;		/* 0: no labels */
	bool		image_sparse;
	bool		text_sparse;

	/*
	 * The named rows; labels is multi-hot [count × classes], may be NULL when
	 * not wanted.  What is returned lives until the next call.
	 */
	void		(*fetch) (void *context, const int32_t *rows, int count,
						  Features *image, Features *text, const uint8_t **labels);
	void	   *context;
} BatchSource;

/* What DSDW found in the training set; part of a checkpoint. */
typedef struct DsdwFit
{
	double		minimum;
	double		maximum;
	double		mode;			/* M */
	double		sigma;
	double		b;
	double		low;
	double		high;
} DsdwFit;

/* Mean losses of an epoch; the terms depend on the method. */
#define TRAIN_MAX_TERMS 6
typedef struct TrainLoss
{
	double		loss;
	int			terms;
	const char *name[TRAIN_MAX_TERMS];
	double		term[TRAIN_MAX_TERMS];
	double		learning_rate;	/* of the image network, at the last step */
	bool		finite;			/* false: stopped at a non-finite loss */
} TrainLoss;

typedef struct Trainer Trainer;

/* A new trainer with initialised networks; memory from the arena alone. */
extern Trainer *trainer_create(const TrainOptions *options, const BatchSource *source,
							   const CoreEnv *env);

/* Bytes that trainer_create() will ask for, to print beforehand. */
extern size_t trainer_memory(const TrainOptions *options, const BatchSource *source);

/* Fit what must be fitted before the first epoch (DSDW); not on resume. */
extern void trainer_fit(Trainer *trainer);
extern const DsdwFit *trainer_dsdw(const Trainer *trainer);

/* Train one epoch, numbered from 0. */
extern void trainer_epoch(Trainer *trainer, int epoch, TrainLoss *loss);

extern const Network *trainer_image_network(const Trainer *trainer);
extern const Network *trainer_text_network(const Trainer *trainer);

/*
 * The whole state between two epochs (weights, optimizer, fit) as a list of
 * float arrays in a fixed order, to be stored or filled by the caller.
 */
typedef struct TrainerState
{
	const char *name;
	float	   *data;
	size_t		count;
} TrainerState;
#define TRAINER_MAX_STATES 16
extern int	trainer_state(Trainer *trainer, TrainerState states[TRAINER_MAX_STATES]);

#endif							/* TRAIN_H */
