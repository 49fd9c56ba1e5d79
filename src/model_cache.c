/*
 * model_cache.c: decoded models of this backend, found by name.
 *
 * A model never changes under its id, so what is decoded stays right; what can
 * change is which id a name stands for, and who may use it.  Both are guarded
 * by one counter, the generation: it moves when the model table is written (a
 * trigger sends a relation cache invalidation, which every backend receives no
 * later than at its next statement) and when roles change.  While it stands
 * still, and the user is the same, a call needs no look-up at all.
 */
#include "model.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* Models kept, beside xmhash.model_cache: the one just used is kept whatever its size. */
#define MOST_MODELS 32

uint64		model_generation = 1;

static CachedModel *models;		/* the list of all of them */
static Oid	watched = InvalidOid;	/* the model table, once a model is cached */
static bool forget_at_end = false;	/* something was found by an old snapshot */
static uint64 clock_now = 0;

static void
relation_changed(Datum argument, Oid relation)
{
	if (relation == watched || relation == InvalidOid)
		model_generation++;
}

static void
roles_changed(Datum argument, int cache, uint32 hash)
{
	model_generation++;
}

static void
transaction_ended(XactEvent event, void *argument)
{
	if (forget_at_end && event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PARALLEL_PRE_COMMIT)
	{
		forget_at_end = false;
		model_generation++;
	}
}

void
model_cache_init(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, roles_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, roles_changed, (Datum) 0);
	RegisterXactCallback(transaction_ended, NULL);
}

XMHASH_FUNCTION(xmhash_model_changed);

/* Trigger on xmhash_model: whoever has cached models should look again. */
Datum
xmhash_model_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"xmhash_model_changed\" was not called as a trigger")));
	CacheInvalidateRelcache(trigger->tg_relation);
	PG_RETURN_POINTER(NULL);
}

static void
forget(CachedModel *model)
{
	CachedModel **link = &models;

	while (*link != model)
		link = &(*link)->next;
	*link = model->next;
	MemoryContextDelete(model->context);

	/* Callers may still hold the pointer, with the old generation. */
	model_generation++;
}

static Size
cached_bytes(int *count)
{
	CachedModel *model;
	Size		bytes = 0;

	*count = 0;
	for (model = models; model != NULL; model = model->next)
	{
		bytes += MemoryContextMemAllocated(model->context, true);
		(*count)++;
	}
	return bytes;
}

/* Drop the models unused longest until the rest fits. */
static void
make_room(const CachedModel *keep)
{
	for (;;)
	{
		CachedModel *oldest = NULL;
		CachedModel *model;
		int			count;

		if (cached_bytes(&count) <= (Size) xmhash_model_cache * 1024 && count <= MOST_MODELS)
			return;
		for (model = models; model != NULL; model = model->next)
		{
			if (model != keep && (oldest == NULL || model->used < oldest->used))
				oldest = model;
		}
		if (oldest == NULL)
			return;
		forget(oldest);
	}
}

/* Decode a model into a context of its own. */
static CachedModel *
load(const ModelTables *tables, const ModelRow *row)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "xmhash model",
												  ALLOCSET_SMALL_SIZES);
	CachedModel *model = MemoryContextAllocZero(context, sizeof(CachedModel));
	Surroundings surroundings;

	model_surroundings(&surroundings, context);
	model->context = context;
	model->id = row->id;
	model->bits = row->bits;
	model_load(tables, row, &surroundings, model->network);
	model->scratch = surroundings.allocate(context, sizeof(float) * (model_most_units(row) + 1));
	model->outputs = surroundings.allocate(context, row->bits * sizeof(float));
	model->column = surroundings.allocate(context, sizeof(int32_t) *
										  Max(row->dimensions[0], row->dimensions[1]));
	model->value = surroundings.allocate(context, sizeof(float) *
										 Max(row->dimensions[0], row->dimensions[1]));

	/* Complete: from here on it belongs to the backend, not to this call. */
	MemoryContextSetParent(context, CacheMemoryContext);
	model->next = models;
	models = model;
	return model;
}

static CachedModel *
find_by_id(const pg_uuid_t *id)
{
	CachedModel *model;

	for (model = models; model != NULL; model = model->next)
	{
		if (memcmp(&model->id, id, sizeof(pg_uuid_t)) == 0)
			return model;
	}
	return NULL;
}

static CachedModel *
find_by_name(const char *name, int length)
{
	CachedModel *model;

	for (model = models; model != NULL; model = model->next)
	{
		if (model->generation == model_generation && model->name_length == length &&
			memcmp(model->name, name, length) == 0)
			return is_member_of_role(GetUserId(), model->owner) ? model : NULL;
	}
	return NULL;
}

/* Ask the tables, as every user must at first and after any change. */
static CachedModel *
look_up(Oid function, const char *name, int length)
{
	ModelTables tables;
	ModelRow	row;
	CachedModel *model;
	uint64		generation;

	SPI_connect();
	model_tables(function, &tables);
	watched = tables.relation;

	/* What changes while we look is noticed at the next call. */
	generation = model_generation;
	forget_at_end |= IsInParallelMode();
	model_find_or_fail(&tables, pnstrdup(name, length), &row);
	model = find_by_id(&row.id);
	if (model == NULL)
		model = load(&tables, &row);
	if (model_generation == generation)
	{
		make_room(model);
		generation = model_generation;
	}
	model->generation = generation;
	model->owner = row.owner;
	model->name_length = length;
	memcpy(model->name, name, length);
	model->name[length] = '\0';
	SPI_finish();
	return model;
}

/* A model by its name, for the current user; not to be kept beyond the call. */
CachedModel *
model_cache_get(Oid function, const char *name, int length)
{
	CachedModel *model;

	/* Nothing stops a user from inserting a row with a longer name. */
	if (length > MODEL_MOST_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("model name has %d bytes, expected 1 to %d", length, MODEL_MOST_NAME)));
	model = find_by_name(name, length);
	if (model == NULL)
		model = look_up(function, name, length);
	model->used = ++clock_now;
	return model;
}

/* What a call site remembers. */
typedef struct CallSite
{
	CachedModel *model;
	uint64		generation;
	Oid			user;
} CallSite;

/* The same for a call site, which need not even look at the list when nothing can have changed. */
CachedModel *
model_cache_find(FunctionCallInfo fcinfo, text *name)
{
	CallSite   *site = fcinfo->flinfo->fn_extra;
	const char *data = VARDATA_ANY(name);
	int			length = VARSIZE_ANY_EXHDR(name);

	if (site == NULL)
		site = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt,
																 sizeof(CallSite));
	if (site->generation != model_generation || site->user != GetUserId() ||
		site->model->name_length != length ||
		memcmp(site->model->name, data, length) != 0)
	{
		site->generation = 0;	/* in case of an error */
		site->model = model_cache_get(fcinfo->flinfo->fn_oid, data, length);
		site->generation = site->model->generation;
		site->user = GetUserId();
	}
	return site->model;
}
