/*
 * eval/read.h: the server's side of evaluation: rows out of relations, and a
 * core's environment.
 */
#ifndef EVAL_READ_H
#define EVAL_READ_H

#include "xmhash.h"

#include "core/metrics.h"
#include "model/label.h"
#include "utils/tuplestore.h"

/* Codes and label sets of a relation's rows. */
typedef struct EvalItems
{
	int			rows;
	int			capacity;
	int			bits;			/* 0: no code yet */
	int			words;
	uint64	   *codes;			/* [rows × words] */
	int32	   *set;			/* [rows] */
	int64		without_code;	/* rows left out */
	MemoryContext context;
} EvalItems;

/* Everything a metric is computed from. */
typedef struct EvalInput
{
	EvalItems	queries;
	EvalItems	database;
	EvalSets	sets;
	MemoryContext context;		/* holds it all, and the metrics' work space */
	CoreEnv env;
} EvalInput;

/* Where the rows come from, as SQL says it. */
typedef struct EvalSource
{
	Oid			queries;
	const char *query_code;
	Oid			database;
	const char *database_code;
	const char *label_column;
} EvalSource;

/*
 * Read both relations as the calling user, with the calling query's snapshot;
 * `function` is the SQL function that asks, whose schema has the type bitcode.
 * Notices say how many rows have no code.
 */
extern void eval_read(EvalInput *input, const EvalSource *source, Oid function);

/* Free everything, what was computed from it included. */
extern void eval_release(EvalInput *input);

/* The metrics' evaluator over what was read. */
extern Evaluator *eval_evaluator(const EvalInput *input, int64 k);

/*
 * Arguments of the SQL functions: the five that they begin with, none of them
 * NULL; and the cutoff k, 0 for NULL, which is no cutoff.
 */
extern void eval_require_argument(FunctionCallInfo fcinfo, int argument, const char *name);
extern void eval_get_source(FunctionCallInfo fcinfo, EvalSource *source);
extern int64 eval_get_cutoff(FunctionCallInfo fcinfo, int argument);

/* An error, unless rows can be read from it; nobody drops or renames it until the transaction ends. */
extern void eval_check_relation(Oid relation);

/* The type of a column, or an error. */
extern Oid	eval_column(Oid relation, const char *column);

/* The type of a column of codes, or an error; for the function as above. */
extern Oid	eval_code_column(Oid relation, const char *column, Oid function);

/* A query for the rows of a relation, the types of its first columns, and how many rows come at once. */
#define EVAL_ROWS_AT_ONCE 1000
typedef struct EvalQuery
{
	const char *text;
	const char *relation;		/* for messages */
	int			columns;
	Oid			type[3];
	int			rows_at_once;
} EvalQuery;

/*
 * All its rows, in batches, with a memory context that is reset after each:
 * take() is called in it, with the row's number from 1.  The caller is connected
 * to SPI.
 */
typedef void (*EvalTakeRow) (void *reader, HeapTuple tuple, TupleDesc descriptor, int64 ordinal);
extern void eval_fetch_rows(const EvalQuery *query, EvalTakeRow take, void *reader);

/* A set-valued function's rows, all at once, spilling to disk beyond work_mem. */
extern Tuplestorestate *eval_begin_rows(FunctionCallInfo fcinfo, TupleDesc *descriptor);

#endif							/* EVAL_READ_H */
