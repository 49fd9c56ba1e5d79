/*
 * core/method_kernel_ridge.h: the options and state of kernel ridge hashing,
 * for its own files and the unit tests.  The method is described in
 * core/method_kernel_ridge.c.
 */
#ifndef METHOD_KERNEL_RIDGE_H
#define METHOD_KERNEL_RIDGE_H

#include "core/lapack.h"
#include "core/trainer.h"

typedef struct RidgeOptions
{
	int			anchors;
	double		kernel_width;
	double		ridge;			/* 0: by the kernel */
	double		text_weight;
	int			dimensions;
	double		label_mix;
	int			rotations;
} RidgeOptions;

/*
 * A sum over all rows: the products of some blocks are added up in float, then
 * flushed into double, so that the number of rows does not tell.
 */
typedef struct BlockSum
{
	size_t		count;
	int			blocks;			/* in partial */
	float	   *partial;		/* [count] */
	double	   *total;			/* [count] */
} BlockSum;

/* One side, image or text: d dimensions, n units (anchors, or d without them), K bits. */
typedef struct RidgeSide
{
	int			columns;		/* d */
	int			units;			/* n */
	bool		sparse;
	double		share;			/* of the fused features, 1 − β or β */
	Network		network;
	float	   *parameters;		/* [count] of the network: A, s, V, bias */
	size_t		count;

	/* The fused target. */
	double	   *mean;			/* [d] of x */
	float	   *subspace;		/* [d × k]: this side's rows of Ω, in the end of V·w^¼ */
	BlockSum	image;			/* [d × k] Z₀ᵀ(Z₀Ω) */
	float	   *centred;		/* [B × d] unit(x − mean) of a block, where x is dense */
	float	   *inverse;		/* [B] 1/‖x − mean‖ */
	float	   *mean_subspace;	/* [k] mean·Ω */
	double	   *inverse_sum;	/* [k] Σ 1/‖x − mean‖·(Z₀Ω) */

	/* The ridge. */
	float	   *centre;			/* [n] near the mean of g */
	double	   *moved;			/* [n] mean of g − centre */
	double	   *factor;			/* [1] c */
	double	   *solution;		/* [n × t] W */
	BlockSum	gram;			/* [n × n] φᵀφ/N, then its Cholesky factor */
	BlockSum	cross;			/* [n × t] φᵀZ/N */
	float	   *g;				/* [B × n] g − centre of a block, of whichever side is at it */
	float	   *kept;			/* [N × n] of all rows, where that is small; else NULL */
	bool		is_kept;
	float	   *weight;			/* [n × t] c·W */
	float	   *shift;			/* [t] c·moved·W */
} RidgeSide;

typedef struct RidgeState
{
	int			block;			/* B: rows fetched at a time */
	int			subspace;		/* k: columns of Ω */
	int			fused;			/* t's part of the fused features; 0: not needed */
	int			classes;		/* t's part of the labels; 0: not used */
	int			target;			/* t */
	int			common;			/* d′ = min(32, K, t): columns of P */
	int			rotated;		/* rows of E that the rotation is fitted to */
	RidgeSide	side[2];

	double	   *numbers;		/* [count] all doubles that are carried from phase to phase */
	size_t		count;
	double	   *target_mean;	/* [t] of Z */
	double	   *target_square;	/* [1] mean of ‖Z − its mean‖² */
	double	   *basis;			/* [d′ × t] P, in rows */

	int32_t    *numbers_of_block;	/* [B] */
	int32_t    *permutation;	/* [N] */
	float	   *projected;		/* [B × k] Z₀Ω */
	float	   *z;				/* [B × t] */
	float	   *e;				/* [B × t] */
	BlockSum	inner;			/* [k × k] (Z₀Q)ᵀ(Z₀Q), of the fused target */
	BlockSum	spread;			/* [t × t] EᵀE */
	double	   *stacked;		/* [(d_I + d_T) × k] Q */
	double	   *stacked_work;	/* likewise */
	double	   *eigen;			/* LAPACK's work, for whichever problem needs most */
	float	   *kept;			/* [2N × t] E, where that is small; else NULL */
	bool		is_kept;
	float	   *weight_of_basis;	/* [d′ × t] P, in rows, in float */
	float	   *h;				/* [rotated × d′] E·P */
	float	   *turned;			/* [chunk × K] H·R, then its signs */
	int			chunk;
	float	   *rotation;		/* [d′ × K] R */
	float	   *agreement;		/* [d′ × K] Hᵀ·B of a chunk */
	double	   *exact_rotation; /* [d′ × K] */
	double	   *exact_agreement;	/* [d′ × K] */
	double	   *mixed;			/* [t × K] P·R */
	double	   *column_block;	/* [widest n × RIDGE_COLUMNS] */

	LapackFault fault;
	char		failure[160];
} RidgeState;

/* Columns of V that are made at a time. */
#define RIDGE_COLUMNS 256

static inline RidgeOptions *
ridge_options(const TrainOptions *options)
{
	return (RidgeOptions *) options->own.bytes;
}

static inline RidgeState *
ridge_state(const Trainer *trainer)
{
	return (RidgeState *) trainer->own.bytes;
}

extern const TrainMethod method_kernel_ridge;

/* core/ridge_blocks.c */
extern void block_sum_reserve(BlockSum *sum, ArenaPlan *plan, size_t count);
extern void block_sum_begin(const CoreEnv *env, BlockSum *sum);
extern void block_sum_added(const CoreEnv *env, BlockSum *sum);
extern void block_sum_flush(const CoreEnv *env, BlockSum *sum);
extern void block_sum_add_square(const CoreEnv *env, BlockSum *sum, const float *x, int rows, int n);

extern int	ridge_fetch(Trainer *trainer, const int32_t *order, int from, int to,
						Features features[2], const uint8_t **labels);
extern void ridge_shuffle(Trainer *trainer, int step, RandomPurpose purpose);
extern void ridge_unit_rows(const CoreEnv *env, float *matrix, int rows, int columns);
extern void ridge_add_columns(const float *matrix, int rows, int columns, double *sums);
extern const float *ridge_features(const CoreEnv *env, RidgeSide *side, const Features *features, int from);

/* core/ridge_solve.c */
extern void ridge_accumulate(Trainer *trainer);
extern bool ridge_solve(Trainer *trainer, double residual[2]);
extern void ridge_begin_common(const CoreEnv *env, RidgeState *state, RidgeSide *side);
extern const float *ridge_common_rows(Trainer *trainer, int s, const Features *features, int from);

/* core/ridge_rotate.c */
extern bool ridge_rotate(Trainer *trainer, double *error);

/* core/fused_target.c */
extern void fused_reserve(Trainer *trainer, ArenaPlan *plan);
extern bool fused_fit(Trainer *trainer);
extern void fused_begin(const CoreEnv *env, RidgeState *state);
extern void fused_rows(Trainer *trainer, const Features features[2], float *to, int stride);

#endif							/* METHOD_KERNEL_RIDGE_H */
