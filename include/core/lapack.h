/*
 * core/lapack.h: the linear algebra of the methods that solve instead of
 * descending: Cholesky, leading eigenvectors, the nearest rotation.  Numeric
 * core, by LAPACK of the loaded OpenBLAS.
 *
 * All matrices are row-major doubles.  A function that can fail says so by
 * false, and in *fault which function of LAPACK refused, and its info code.
 */
#ifndef LAPACK_H
#define LAPACK_H

#include "core/env.h"
#include "core/random.h"

typedef struct LapackFault
{
	const char *function;		/* NULL: none so far */
	int			info;			/* 0: it was given a number that is not finite */
} LapackFault;

/* Whether the loaded library has what is called here; if not, the first name missing is in *name. */
extern bool lapack_load(const char **name);

/* A [n × n] symmetric, of which the lower half is read: becomes L there, A = L·Lᵀ. */
extern bool cholesky_factor(const CoreEnv *env, double *a, int n, LapackFault *fault);

/* B [n × columns] becomes A⁻¹·B. */
extern void cholesky_solve(const CoreEnv *env, const double *l, int n, double *b, int columns);

/*
 * Y [n × columns] gets orthonormal columns that span the same; what depends on
 * the others, but for rounding, becomes nought.  work is [n × columns], and
 * square [eigen_work(columns)].  columns ≤ EIGEN_MAX.
 */
extern bool orthonormalise(const CoreEnv *env, double *y, int n, int columns,
						   double *work, double *square, LapackFault *fault);

/* One call of LAPACK takes matrices up to here: some tenths of a second. */
#define EIGEN_MAX 544

/* Doubles that an eigenproblem of n ≤ EIGEN_MAX needs: A itself, values, LAPACK's work. */
extern size_t eigen_work(int n);

/*
 * The eigenvectors of A [n × n], n ≤ EIGEN_MAX, become its rows, the greatest
 * eigenvalue's first; the component of greatest magnitude is positive.  A is
 * the first n² of work[eigen_work(n)], the n values follow it.
 */
extern bool eigen_symmetric(const CoreEnv *env, double *work, int n, LapackFault *fault);

/* Doubles that leading_eigenvectors() needs beside A. */
extern size_t leading_work(int n, int count);

/*
 * The first `count` eigenvectors of A [n × n], positive semidefinite, as rows of
 * vectors [count × n].  Greater ones than EIGEN_MAX by subspace iteration.
 */
extern bool leading_eigenvectors(const CoreEnv *env, const double *a, int n, int count, RandomKey key,
								 double *vectors, double *work, LapackFault *fault);

/* Doubles that polar_factor() needs. */
extern size_t polar_work(int d, int k);

/* R [d × k] = U·Vᵀ of M [d × k] = U·S·Vᵀ, d ≤ k: of all with orthonormal rows the one nearest to M. */
extern bool polar_factor(const CoreEnv *env, const double *m, int d, int k, double *r,
						 double *work, LapackFault *fault);

/* to[i] = a normal deviate, of two uniform ones of the key. */
extern void random_normal(const CoreEnv *env, RandomKey key, double *to, size_t count);

#endif							/* LAPACK_H */
