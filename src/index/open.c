/*
 * index/open.c: open an index and its table for a function about one index, as
 * the table's owner.
 */
#include "postgres.h"

#include "index/storage.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "server/distribution.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

static void
open_no_index(Oid oid)
{
	char	   *name = get_rel_name(oid);

	ereport(ERROR,
			(errcode(name != NULL ? ERRCODE_WRONG_OBJECT_TYPE : ERRCODE_UNDEFINED_OBJECT),
			 name != NULL ? errmsg("\"%s\" is not an index", name) :
			 errmsg("there is no index with OID %u", oid)));
}

/*
 * Here is the shell of an index: sound, since empty, but none that a query uses.
 * Its namesakes have the shards' numbers in their names, so they are found by
 * their tables.
 */
static void
open_fail_distributed(const XmhashOpenIndex *open, FunctionCallInfo fcinfo, RowsWhere where)
{
	Oid			function = fcinfo->flinfo->fn_oid;
	bool		second = fcinfo->nargs > 1 && PG_GETARG_BOOL(1);
	char	   *command = psprintf("SELECT %s(%s(indexrelid%s)) FROM pg_index JOIN pg_class c ON c.oid = indexrelid "
								   "JOIN pg_am a ON a.oid = relam WHERE amname = 'xmhash' AND indrelid = '%%s'::regclass",
								   get_func_rettype(function) == VOIDOID ? "count" : "array_agg",
								   distributed_function(function), second ? ", true" : "");

	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("index \"%s\" is of table \"%s\", which is distributed by Citus",
					RelationGetRelationName(open->index), RelationGetRelationName(open->heap)),
			 errdetail("Its rows are in the indexes of its shards."),
			 errhint("Call the function for each shard: %s",
					 distributed_command(RelationGetRelid(open->heap), where, command))));
}

/*
 * Open an index of ours, the function's first argument, and its table.  The table
 * comes first, as wherever both are locked.  With `owner`, only the index's owner
 * may call the function.
 *
 * Expressions and predicates of the index are its owner's code.  So from here
 * to xmhash_close_index() the table's owner is the current user, who can't get
 * at the caller's rights, as in REINDEX and VACUUM.  An error leaves that as it
 * is, which the abort of the transaction undoes.
 */
void
xmhash_open_index(XmhashOpenIndex *open, FunctionCallInfo fcinfo, LOCKMODE mode, bool owner)
{
	Oid			oid = PG_GETARG_OID(0);
	Oid			table = get_rel_relkind(oid) == RELKIND_INDEX ? IndexGetRelation(oid, true) : InvalidOid;
	Relation	index;
	RowsWhere	where;

	if (!OidIsValid(table))
		open_no_index(oid);
	/* Others are not to wait for a lock, or to make others wait. */
	if (owner && !relation_ownercheck(oid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, get_rel_name(oid));
	open->mode = mode;
	open->heap = try_relation_open(table, mode);
	if (open->heap == NULL)
		open_no_index(oid);
	role_switch(&open->role, open->heap->rd_rel->relowner);
	RestrictSearchPath();
	open->index = index = try_relation_open(oid, mode);

	/* While we waited for the locks, both may have got another owner, or gone and their numbers been given anew. */
	if (index == NULL || index->rd_rel->relkind != RELKIND_INDEX || index->rd_index->indrelid != table)
		open_no_index(oid);
	if (owner && !has_privs_of_role(open->role.user, index->rd_rel->relowner))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, RelationGetRelationName(index));
	if (index->rd_indam->ambuild != xmhash_build)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an xmhash index", RelationGetRelationName(index))));
	if (RELATION_IS_OTHER_TEMP(index))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("index \"%s\" is a temporary index of another session", RelationGetRelationName(index))));
	if (!index->rd_index->indisready)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" is not ready", RelationGetRelationName(index))));
	where = table_rows_where(table);
	if (where != ROWS_HERE)
		open_fail_distributed(open, fcinfo, where);
}

void
xmhash_close_index(XmhashOpenIndex *open)
{
	role_restore(&open->role);
	index_close(open->index, open->mode);
	table_close(open->heap, open->mode);
}
