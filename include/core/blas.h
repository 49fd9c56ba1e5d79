/*
 * core/blas.h: OpenBLAS, and products of matrices by it.  Numeric core.
 */
#ifndef BLAS_H
#define BLAS_H

#include "core/env.h"

/*
 * OpenBLAS is loaded lazily, and kept at one thread; products are shared among
 * threads of our own.
 */
typedef enum BlasStatus
{
	BLAS_LOADED,
	BLAS_NOT_FOUND,
	BLAS_UNSUITABLE,			/* found, but not what is needed */
	BLAS_NO_MEMORY
} BlasStatus;

/* `path` NULL or "": wherever the platform has it.  Not loaded: why, in message. */
extern BlasStatus blas_load(const char *path, char *message, size_t size);
extern bool blas_loaded(void);
extern void *blas_function(const char *name);	/* of the loaded library, or NULL */
extern int	blas_set_threads(int threads);	/* how many there are; errno: why not more */
extern int	blas_threads(void);
extern int	blas_max_threads(void);
extern const char *blas_version(void);	/* library and core, e.g. for a checkpoint */

/*
 * C[m×n] = alpha·op(A)[m×k]·op(B)[k×n] + beta·C, all row-major, cut by shape
 * into slices of at most about 2 GFLOP with an interrupt check between.
 * Without a loaded BLAS, plain loops do it: right, but slow.
 */
extern void blas_product(const CoreEnv *env, bool transpose_a, bool transpose_b,
						 int m, int n, int k, float alpha,
						 const float *a, int a_stride, const float *b, int b_stride,
						 float beta, float *c, int c_stride);

/* The same of doubles. */
extern void blas_product_double(const CoreEnv *env, bool transpose_a, bool transpose_b,
								int m, int n, int k, double alpha,
								const double *a, int a_stride, const double *b, int b_stride,
								double beta, double *c, int c_stride);

/*
 * Below so many multiplications and additions one thread does a product: the
 * others' waking and joining costs tens of microseconds, far more on a busy
 * machine, and a core does this in some 0.3 ms.
 */
#define BLAS_THREADED_OPERATIONS 3e7

/*
 * core/blas_square.c: the lower half of C[n×n] = XᵀX + beta·C, X [rows × n], in
 * half the time of the whole product; what is above may be anything.
 */
extern void blas_square(const CoreEnv *env, int rows, int n, const float *x, float beta, float *c);

#endif							/* BLAS_H */
