/*
 * core/method_jdsh.h: JDSH's options and state, for its own files and the unit
 * tests.  The method is described in core/method_jdsh.c.
 */
#ifndef METHOD_JDSH_H
#define METHOD_JDSH_H

#include "core/trainer.h"

typedef struct JdshOptions
{
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
} JdshOptions;

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

/* core/similarity.c: the joint-modal similarity S of a batch. */
typedef struct Similarity
{
	float	   *image;			/* [m × m] S_I, then its rows at unit length */
	float	   *text;			/* [m × m] likewise */
	float	   *joint;			/* [m × m] S */
	float	   *high;			/* [m × m] */
	float	   *unit_features;	/* [m × widest dense d] */
	float	   *scatter;		/* [widest sparse d], 0 between rows */
} Similarity;

typedef struct JdshState
{
	Similarity	similarity;
	DsdwFit		fit;
} JdshState;

static inline JdshOptions *
jdsh_options(const TrainOptions *options)
{
	return (JdshOptions *) options->own.bytes;
}

static inline JdshState *
jdsh_state(const Trainer *trainer)
{
	return (JdshState *) trainer->own.bytes;
}

extern const TrainMethod method_jdsh;

extern void similarity_reserve(Similarity *similarity, ArenaPlan *plan, const BatchSource *source, int batch_size);
extern void similarity_compute(Similarity *similarity, const CoreEnv *env,
							   const JdshOptions *options, const Features *image, const Features *text);

/* core/dsdw.c: fit the distribution of S, and weight S by it. */
extern void dsdw_fit(Trainer *trainer);
extern void dsdw_weight(Similarity *similarity, const CoreEnv *env,
						const JdshOptions *options, const DsdwFit *fit, int rows);

#endif							/* METHOD_JDSH_H */
