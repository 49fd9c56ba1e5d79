/*
 * model.h: trained models: where they are stored, how they are looked up, and
 * the codes they give.
 */
#ifndef MODEL_H
#define MODEL_H

#include "xmhash.h"

#include "code.h"
#include "lib/stringinfo.h"
#include "network.h"
#include "train.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/* A sanity bound on the length of a feature vector: 4 MB of float32. */
#define MODEL_MOST_DIMENSIONS 1048576
#define MODEL_MOST_HIDDEN 65536	/* units of one layer */
#define MODEL_MOST_NAME 255
#define MODEL_PART_BYTES (16 * 1024 * 1024)

/* Settings, see model_memory.c. */
extern int	xmhash_train_work_mem;
extern int	xmhash_train_max_memory;
extern int	xmhash_model_cache;
extern bool xmhash_progress;

typedef enum Modality
{
	MODALITY_IMAGE,
	MODALITY_TEXT
} Modality;

extern const char *const modality_name[2];

/* The columns of xmhash_model that describe a model, save its name's lock. */
typedef struct ModelRow
{
	pg_uuid_t	id;
	char	   *name;
	Oid			owner;
	char	   *method;
	int			bits;
	int			dimensions[2];	/* by Modality, as what follows; 0: it has no such network */
	HiddenLayers hidden[2];
	int			scales[2];		/* length of shift and of scale: 1 or dimensions; 0 without a network */
	int			classes;
	char	  **class_names;	/* NULL when classes have none */
	char	   *source;			/* JSON: what it was trained on; may be NULL */
	char	   *options;		/* JSON; may be NULL */
	char	   *status;
	int64		pairs;			/* -1: not known */
	int64		digest;			/* of the training rows */
} ModelRow;

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

/* model_storage.c: the tables, and who may use them. */
typedef struct ModelTables
{
	Oid			relation;		/* xmhash_model */
	Oid			owner;			/* of the tables */
	char	   *schema;			/* quoted */
} ModelTables;

extern void model_tables(Oid function, ModelTables *tables);
extern uint64 model_execute(const ModelTables *tables, const char *query, bool read_only,
							int count, Oid *types, Datum *values, const char *nulls);
extern void model_make_id(pg_uuid_t *id);
extern void model_check_name(const char *name);
extern void model_lock_name(const ModelTables *tables, const char *name, bool session);
extern void model_unlock_name(const ModelTables *tables, const char *name);
extern bool model_name_exists(const ModelTables *tables, const char *name, bool *usable);
extern void model_check_name_free(const ModelTables *tables, const char *name);
extern bool model_find(const ModelTables *tables, const char *name, ModelRow *row);
extern void model_find_or_fail(const ModelTables *tables, const char *name, ModelRow *row);
extern void model_insert(const ModelTables *tables, const ModelRow *row);
extern void model_set_status(const ModelTables *tables, const ModelRow *row, const char *status);
extern void model_layout(const ModelRow *row, float *floats, const Surroundings *surroundings,
						 ModelWeights *weights);
extern size_t model_floats(const ModelRow *row);
extern bool model_has(const ModelRow *row, Modality modality);
extern int	model_most_units(const ModelRow *row);
extern void model_write_parts(const ModelTables *tables, const char *table,
							  const pg_uuid_t *id, const float *floats, size_t count);
extern void model_check_parts(const ModelTables *tables, const char *table, const char *name,
							  const pg_uuid_t *id, size_t count);
extern void model_read_parts(const ModelTables *tables, const char *table, const char *name,
							 const pg_uuid_t *id, float *floats, size_t count);
extern Oid	model_column_type(Oid relation, const char *relation_name, const char *name);

/* model_memory.c: the numeric core's surroundings in the server. */
extern void model_surroundings(Surroundings *surroundings, MemoryContext arena);
extern void model_copy_floats(float *to, const float *from, size_t count);
extern bool model_call_is_atomic(FunctionCallInfo fcinfo);
extern void model_append_number(StringInfo text, double number);
extern double model_memory_available(void);

/* model_blas.c: the library of matrix products, and its threads. */
extern void model_blas_init(void);
extern void model_start_blas(void);
extern void model_set_threads(int wanted);

/* model_load.c: from tables to networks that take raw features. */
extern void model_read(const ModelTables *tables, const ModelRow *row,
					   const Surroundings *surroundings, ModelWeights *weights);
extern void model_load(const ModelTables *tables, const ModelRow *row,
					   const Surroundings *surroundings, Network network[2]);

/* model_cache.c: decoded models of this backend. */
typedef struct CachedModel
{
	struct CachedModel *next;
	pg_uuid_t	id;
	char		name[MODEL_MOST_NAME + 1];
	int			name_length;
	Oid			owner;
	uint64		generation;		/* at which name and owner were found */
	int			bits;
	Network		network[2];		/* with shift and scale folded in */
	float	   *scratch;		/* [most hidden units] */
	float	   *outputs;		/* [bits] */
	int32_t    *column;			/* [greatest dimensions], for sparse rows */
	float	   *value;
	MemoryContext context;
	uint64		used;			/* when, to evict the one unused longest */
} CachedModel;

extern uint64 model_generation; /* changes when any cached model may be out of date */
extern void model_cache_init(void);
extern CachedModel *model_cache_get(Oid function, const char *name, int length);
extern CachedModel *model_cache_find(FunctionCallInfo fcinfo, text *name);

/* model_table.c */
extern Oid	model_code_type(Oid schema);

/* model_encode.c */
pg_noreturn extern void model_fail_absent(const char *name, Modality modality);
extern int	model_count_nonzeros(const float *values, int count, bool *finite);
extern Bitcode *model_encode(CachedModel *model, Modality modality, ArrayType *array);

#endif							/* MODEL_H */
