/*
 * model/model.h: trained models: the tables that they are, what their rows say, and
 * the codes they give.
 */
#ifndef MODEL_H
#define MODEL_H

#include "xmhash.h"

#include "access/genam.h"
#include "bitcode/bitcode.h"
#include "core/network.h"
#include "storage/lockdefs.h"
#include "core/train.h"
#include "model/json.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

/* A sanity bound on the length of a feature vector: 4 MB of float32. */
#define MODEL_MAX_DIMENSIONS 1048576
#define MODEL_MAX_METHOD 255	/* bytes of a method's name */
#define MODEL_PART_BYTES (16 * 1024 * 1024)

typedef enum Modality
{
	MODALITY_IMAGE,
	MODALITY_TEXT
} Modality;

extern const char *const modality_name[2];

/*
 * model/table.c: a model is a table of the type xmhash_model, with columns
 * part, number, info and data.  Whoever owns it can have put anything there.
 */
typedef struct ModelTable
{
	Relation	relation;
	LOCKMODE	lock;			/* let go of by model_close() */
	Snapshot	snapshot;		/* registered */
	Oid			index;			/* on (part, number); invalid: read the whole table */
	AttrNumber	part;
	AttrNumber	number;
	AttrNumber	info;
	AttrNumber	data;
	bool		announces;		/* whoever changes rows lets every session know */
} ModelTable;

/* Where a model is to be made. */
typedef struct ModelPlace
{
	Oid			schema;
	char	   *name;
} ModelPlace;

extern Oid	model_type(Oid function);
extern char *model_name(Oid model);
extern bool model_is_table(Oid function, Oid model);
extern void model_open(Oid function, Oid model, ModelTable *table);
extern void model_open_own(Oid function, Oid model, ModelTable *table);
extern bool model_open_quietly(Oid function, Oid model, ModelTable *table);
extern void model_close(ModelTable *table);
extern void model_check_owner(Oid model);
extern void model_find_place(text *name, ModelPlace *place);
extern Oid	model_create(Oid function, const ModelPlace *place);

/* model/lock.c: one training of a model at a time. */
extern void model_lock(Oid model, bool session);
extern void model_unlock(Oid model);
extern bool model_in_training(FunctionCallInfo fcinfo, Oid model);

/* The parts of a model. */
#define MODEL_PART_MODEL "model"	/* one row, number 0: what the view shows */
#define MODEL_PART_EPOCH "epoch"	/* one row an epoch */
#define MODEL_PART_WEIGHTS "weights"	/* pieces, from number 0 */
#define MODEL_PART_CHECKPOINT "checkpoint"	/* likewise; number 0 has its description */

/* model/rows.c: rows in and out. */
typedef struct ModelScan
{
	const ModelTable *table;
	SysScanDesc scan;
	HeapTuple	tuple;			/* the row found */
	int			number;
} ModelScan;

#define MODEL_ANY_NUMBER (-1)

extern void model_scan_begin(ModelScan *scan, const ModelTable *table, const char *part, int number);
extern bool model_scan_next(ModelScan *scan);
extern void model_scan_end(ModelScan *scan);
extern Jsonb *model_scan_info(const ModelScan *scan);
extern void model_insert_row(const ModelTable *table, const char *part, int number,
							 const char *info, bytea *data);
extern void model_update_info(const ModelTable *table, const char *part, int number, const char *info);
extern void model_delete_rows(const ModelTable *table, const char *part, int from);
extern void model_write_pieces(const ModelTable *table, const char *part, const float *floats,
							   size_t count, const char *info);
extern void model_check_memory(const char *model, double bytes);
extern float *model_read_pieces(const ModelTable *table, const char *part, size_t count,
								const CoreEnv *env);
extern bool model_pieces_visit(const ModelTable *table, const char *part, size_t count,
							   void (*visit) (void *argument, const char *bytes, size_t size), void *argument);
extern uint64 model_fingerprint(const ModelTable *table, bool *uncommitted);

/* model/row.c: what the row of part "model" says. */
typedef struct ModelRow
{
	char	   *name;			/* of the table, for messages */
	Jsonb	   *info;			/* as it was read */
	char	   *status;
	char	   *method;
	int			bits;
	int			dimensions[2];	/* by Modality, as what follows; 0: it has no such network */
	HiddenLayers hidden[2];
	int			scales[2];		/* length of shift and of scale: 1 or dimensions; 0 without a network, and with a kernel */
	int			classes;
	char	  **class_names;	/* NULL when classes have none */
	char	   *source;			/* JSON: what it was trained on; may be NULL */
	char	   *options;		/* JSON; may be NULL */
	int64		pairs;			/* -1: not known */
	uint64		digest;			/* of the training rows */
	double		created;		/* seconds since 1970 */
	int			epochs_done;
	double		loss;			/* of the last epoch; NaN: none */
	double		seconds;		/* of all epochs */
} ModelRow;

extern void model_find(const ModelTable *table, ModelRow *row);
extern bool model_find_quietly(const ModelTable *table, ModelRow *row, char **problem);
extern void model_insert(const ModelTable *table, const ModelRow *row);
extern void model_update(const ModelTable *table, const ModelRow *row);
extern void model_append_networks(StringInfo json, const ModelRow *row);
extern double model_now(void);

/*
 * Everything that turns features into codes.  The stored order of the floats
 * is: parameters of the image network, of the text network (the order of
 * network_layout), then shift and scale of images, shift and scale of texts;
 * x ← (x − shift)·scale comes before the first layer.  A network that the
 * model does not have takes no floats, and its layers are 0.
 */
typedef struct ModelWeights
{
	Network		network[2];
	float	   *shift[2];
	float	   *scale[2];
	float	   *floats;
	size_t		count;
} ModelWeights;

/* model/load.c: from rows to networks that take raw features. */
extern size_t model_floats(const ModelRow *row);
extern bool model_has(const ModelRow *row, Modality modality);
extern int	model_most_units(const ModelRow *row);
extern void model_layout(const ModelRow *row, float *floats, const CoreEnv *env,
						 ModelWeights *weights);
extern void model_read(const ModelTable *table, const ModelRow *row,
					   const CoreEnv *env, ModelWeights *weights);
extern bool model_network_is_finite(const Network *network);
extern int	model_networks(const ModelRow *row, ModelWeights *weights, const CoreEnv *env,
						   Network network[2]);
extern void model_load(const ModelTable *table, const ModelRow *row,
					   const CoreEnv *env, Network network[2]);

/* model/blas_settings.c: the library of matrix products, and its threads. */
extern void model_start_blas(void);
pg_noreturn extern void model_fail_blas(const char *missing, const char *method);
extern void model_set_threads(int wanted);

/* model/cache.c: decoded models of this backend. */
typedef struct CachedModel
{
	struct CachedModel *next;
	Oid			model;			/* the table */
	uint64		fingerprint;	/* of its rows */
	uint64		generation;		/* at which the fingerprint was right; 0: look again */
	int			bits;
	Network		network[2];		/* with shift and scale folded in */
	float	   *scratch;		/* [most hidden units] */
	float	   *outputs;		/* [bits] */
	int32_t    *column;			/* [greatest dimensions], for sparse rows */
	float	   *value;
	MemoryContext context;
	uint64		used;			/* when, to evict the one unused longest */
} CachedModel;

/* What a call site remembers. */
typedef struct ModelCall
{
	CachedModel *model;
	uint64		generation;
	Oid			oid;
	Oid			user;
} ModelCall;

extern CachedModel *model_cache_find(FunctionCallInfo fcinfo, ModelCall *call, Oid oid);

/* model/encode.c */
pg_noreturn extern void model_fail_absent(const char *name, Modality modality);
extern int	model_count_nonzeros(const float *values, int count, bool *finite);
extern Bitcode *model_encode(CachedModel *model, Modality modality, ArrayType *array);

#endif							/* MODEL_H */
