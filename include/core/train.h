/*
 * core/train.h: training as its callers see it: methods, options, trainers.
 * Numeric core: no PostgreSQL headers.
 *
 * A TrainMethod is a value that says all about one method.  A Trainer is one
 * training by it: two networks and whatever the method needs beside them, all
 * from one arena.  It knows nothing of tables: a BatchSource hands it rows by
 * number.
 */
#ifndef TRAIN_H
#define TRAIN_H

#include "core/network.h"

typedef struct TrainMethod TrainMethod;
typedef struct Trainer Trainer;

/* How features are scaled before training; its words in SQL are in this order. */
typedef enum TrainScale
{
	TRAIN_SCALE_RMS,
	TRAIN_SCALE_NONE,
	TRAIN_SCALE_STANDARD
} TrainScale;

/* Bytes of the options, and of the state, that a method has for itself. */
#define TRAIN_OWN_OPTIONS 256
#define TRAIN_OWN_STATE 2048

/*
 * All that a training's options say.  A method's table of options says which
 * of these it knows, under which name, and with which default; the others are
 * 0.  What no other method has is in `own`, a struct of the method's header.
 */
typedef struct TrainOptions
{
	const TrainMethod *method;
	int			bits;

	int			epochs;
	int			batch_size;
	int64_t		seed;
	double		learning_rate_image;
	double		learning_rate_text;
	double		weight_decay;
	int			image_hidden;
	int			text_hidden;
	int			scale;			/* TrainScale */
	double		validation_fraction;
	bool		keep_best;
	int			patience;
	double		checkpoint_seconds;

	union
	{
		double		align;
		unsigned char bytes[TRAIN_OWN_OPTIONS];
	}			own;
} TrainOptions;

typedef enum OptionType
{
	OPTION_INTEGER,				/* int */
	OPTION_SEED,				/* int64_t, below 2^53 */
	OPTION_NUMBER,				/* double */
	OPTION_BOOLEAN,				/* bool */
	OPTION_WORD					/* int, the number of one of the words */
} OptionType;

/* An upper limit of this or more is none. */
#define OPTION_UNLIMITED 1e30

typedef struct OptionSpec
{
	const char *name;			/* in SQL; NULL ends a table */
	OptionType	type;
	size_t		offset;			/* of the field in TrainOptions */
	double		min;
	double		max;
	double		initial;		/* the default */
	const char *const *words;	/* of OPTION_WORD, NULL after the last */
	bool		decides_memory;
	const char *meaning;		/* in a few words */
} OptionSpec;

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
	const char *failure;		/* then: what went wrong otherwise, or NULL */
	bool		hint_helps;		/* with a failure: the method's hint is to the point */
} TrainLoss;

/* Some rows of the training set, as a step of gradient descent takes them. */
typedef struct TrainBatch
{
	Features	image;			/* [m × d_I] */
	Features	text;			/* [m × d_T] */
	const uint8_t *labels;		/* [m × C], if the method needs labels */
	int			epoch;
	int			step;			/* of the epoch */
} TrainBatch;

/*
 * The whole state between two epochs (weights, optimizer, fit) as a list of
 * float arrays in a fixed order, to be stored or filled by the caller.
 */
typedef struct TrainerState
{
	const char *name;
	float	   *data;
	size_t		count;
	bool		raw;			/* not numbers: any bits are right */
} TrainerState;

#define TRAINER_MAX_STATES 16

/*
 * A training method.  It stands in a file of its own, core/method_NAME.c, with
 * its mathematics at the head, and in the list of core/method.c; nothing else
 * knows of it.  Functions may be NULL where it says so.  What methods by
 * gradient descent share is in core/descent.c, and fits these members.
 */
struct TrainMethod
{
	const char *name;			/* in SQL */
	const OptionSpec *options;	/* ended by a NULL name */
	const char *const *loss_terms;	/* at most TRAIN_MAX_TERMS, then NULL */
	const char *const *phases;	/* of a closed form, then NULL; or NULL: it has epochs */
	bool		needs_labels;
	const char *not_finite_hint;	/* what a user may change when numbers overflow */

	/* Are options right together?  If not, message says what they are.  Or NULL. */
	bool		(*check) (const TrainOptions *options, char *message, size_t size);

	/*
	 * Find what the method needs of the loaded library beyond products; if that
	 * has not all of it, *missing is the name of a function.  Or NULL.
	 */
	bool		(*load) (const char **missing);

	/* Replace the 0 of an option that stands for "by the data".  Or NULL. */
	void		(*resolve) (TrainOptions *options, const BatchSource *source);

	/* The hidden layers of the image's and the text's network. */
	void		(*hidden_layers) (const TrainOptions *options, HiddenLayers hidden[2]);

	/* All memory; and, if the plan has an arena, where the networks are. */
	void		(*reserve) (Trainer *trainer, ArenaPlan *plan);

	/* Initial weights. */
	void		(*prepare) (Trainer *trainer);

	/* What is fitted to the data before the first epoch, not on resume.  Or NULL. */
	void		(*fit) (Trainer *trainer);

	/* One epoch or phase, numbered from 0. */
	void		(*epoch) (Trainer *trainer, int epoch, TrainLoss *loss);

	/* What trainer_state() lists; returns how many. */
	int			(*state) (Trainer *trainer, TrainerState states[TRAINER_MAX_STATES]);

	/*
	 * Of gradient descent: a step on one batch, which sets the terms of its
	 * loss and returns false if something is not finite; the learning rates'
	 * factor at a step, or NULL: 1.
	 */
	bool		(*step) (Trainer *trainer, const TrainBatch *batch, double terms[TRAIN_MAX_TERMS]);
	double		(*schedule) (const Trainer *trainer, int epoch, int step);
};

/* The methods, NULL after the last; and the one of this name, or NULL. */
extern const TrainMethod *const train_methods[];
extern const TrainMethod *train_method(const char *name);

/* The method's option of this name, or NULL. */
extern const OptionSpec *train_option(const TrainMethod *method, const char *name);

/* Its value; a boolean is 0 or 1, a word its number. */
extern double train_option_get(const TrainOptions *options, const OptionSpec *option);
extern void train_option_set(TrainOptions *options, const OptionSpec *option, double value);

/* The method, and the defaults of all its options. */
extern void train_defaults(TrainOptions *options, const TrainMethod *method);

/* How many epochs, or phases, a training has. */
extern int	train_epochs(const TrainOptions *options);

/* A new trainer with initialised networks; memory from the arena alone. */
extern Trainer *trainer_create(const TrainOptions *options, const BatchSource *source,
							   const CoreEnv *env);

/*
 * Bytes that trainer_create() will ask for, to print beforehand, and the
 * floats of trainer_state().
 */
extern size_t trainer_memory(const TrainOptions *options, const BatchSource *source);
extern size_t trainer_state_floats(const TrainOptions *options, const BatchSource *source);

/* Fit what must be fitted before the first epoch (DSDW); not on resume. */
extern void trainer_fit(Trainer *trainer);

/* Train one epoch, or do one phase, numbered from 0. */
extern void trainer_epoch(Trainer *trainer, int epoch, TrainLoss *loss);

extern const Network *trainer_image_network(const Trainer *trainer);
extern const Network *trainer_text_network(const Trainer *trainer);
extern int	trainer_state(Trainer *trainer, TrainerState states[TRAINER_MAX_STATES]);

#endif							/* TRAIN_H */
