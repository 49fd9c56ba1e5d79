/*
 * core/method_dmsh_ln.h: DMsH-LN's options and state, for its own files and
 * the unit tests.  The method is described in core/method_dmsh_ln.c.
 */
#ifndef METHOD_DMSH_LN_H
#define METHOD_DMSH_LN_H

#include "core/trainer.h"

typedef struct DmshLnOptions
{
	double		learning_rate_label;
	int			label_hidden;	/* 0: (C + K) / 2 */
	double		dropout;
	double		warmup;
	double		clip_norm;
	double		adam_beta1;
	double		adam_beta2;
	double		adam_epsilon;
	int			init;			/* TrainInit */
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
} DmshLnOptions;

typedef struct DmshLnState
{
	uint8_t    *kind;			/* [m × m] kinds of pairs */
	float	   *pair_weight;	/* [m] */
	uint64_t   *label_bits;		/* [m × words] */
	float	   *label_features; /* [m × C] */
} DmshLnState;

static inline DmshLnOptions *
dmsh_ln_options(const TrainOptions *options)
{
	return (DmshLnOptions *) options->own.bytes;
}

static inline DmshLnState *
dmsh_ln_state(const Trainer *trainer)
{
	return (DmshLnState *) trainer->own.bytes;
}

extern const TrainMethod method_dmsh_ln;

/* The learning rates' factor at a step. */
extern double dmsh_ln_schedule(const Trainer *trainer, int epoch, int step);

/* core/multisimilarity.c */
extern void multisimilarity_kinds(const CoreEnv *env, const uint8_t *labels,
								  int rows, int classes, uint64_t *bits, uint8_t *kind);
extern double multisimilarity(const CoreEnv *env, const DmshLnOptions *options,
							  float *cosine, const uint8_t *kind, int rows, float factor,
							  float *weight);

#endif							/* METHOD_DMSH_LN_H */
