/*
 * server/distribution.c: whether the rows of a table are here, or on other servers.
 *
 * Citus lists the tables that it manages in pg_catalog.pg_dist_partition, on
 * the coordinator and on workers that plan queries.  Under a listed table's own
 * number lies nothing, or what was there before it was distributed: queries are
 * sent to its shards, which are tables with numbers of their own, each of its
 * server's.  The table is read by its name, so that nothing of Citus is linked;
 * none but superusers who may modify system catalogs can make one there.
 */
#include "postgres.h"

#include "server/distribution.h"
#include "server/lookup.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace_d.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* Of a reference table; other values are of ways to distribute rows. */
#define METHOD_NONE 'n'

/* Replicas that are changed together; shards of a single table have another model. */
#define MODEL_TWO_PHASE 't'

/* The number of a column of this type; invalid if there is none. */
static AttrNumber
distribution_column(Relation catalogue, const char *name, Oid type)
{
	AttrNumber	number = get_attnum(RelationGetRelid(catalogue), name);

	return number > 0 && get_atttype(RelationGetRelid(catalogue), number) == type ? number : InvalidAttrNumber;
}

/* A column of type "char"; what it is not if it is NULL. */
static char
distribution_char(Relation catalogue, HeapTuple tuple, const char *name)
{
	AttrNumber	number = distribution_column(catalogue, name, CHAROID);
	bool		isnull = true;
	Datum		value = (Datum) 0;

	if (number != InvalidAttrNumber)
		value = heap_getattr(tuple, number, RelationGetDescr(catalogue), &isnull);
	return isnull ? '\0' : DatumGetChar(value);
}

/*
 * The first of these tables that Citus manages.  Read by the latest snapshot:
 * what has been distributed before we got a lock on it counts.
 */
static RowsWhere
distribution_find(List *tables, Oid *found)
{
	Oid			oid = get_relname_relid("pg_dist_partition", PG_CATALOG_NAMESPACE);
	Relation	catalogue = OidIsValid(oid) && get_rel_relkind(oid) == RELKIND_RELATION ?
	try_table_open(oid, AccessShareLock) : NULL;
	AttrNumber	table;
	RowsWhere	where = ROWS_HERE;
	HeapTuple	tuple;
	SysScanDesc scan;

	if (catalogue == NULL)
		return ROWS_HERE;
	table = distribution_column(catalogue, "logicalrelid", REGCLASSOID);
	if (table != InvalidAttrNumber)
	{
		scan = systable_beginscan(catalogue, InvalidOid, false, NULL, 0, NULL);
		while (where == ROWS_HERE && HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			bool		isnull;
			Oid			listed = DatumGetObjectId(heap_getattr(tuple, table, RelationGetDescr(catalogue), &isnull));

			CHECK_FOR_INTERRUPTS();
			if (isnull || !list_member_oid(tables, listed))
				continue;
			*found = listed;
			where = distribution_char(catalogue, tuple, "partmethod") == METHOD_NONE &&
				distribution_char(catalogue, tuple, "repmodel") == MODEL_TWO_PHASE ? ROWS_IN_REPLICAS : ROWS_IN_SHARDS;
		}
		systable_endscan(scan);
	}
	table_close(catalogue, AccessShareLock);
	return where;
}

RowsWhere
table_rows_where(Oid table)
{
	List	   *tables = list_make1_oid(table);
	RowsWhere	where;

	switch (get_rel_relkind(table))
	{
		case RELKIND_FOREIGN_TABLE:
			return ROWS_FOREIGN;
		case RELKIND_VIEW:
			return ROWS_OF_VIEW;
		default:
			where = distribution_find(tables, &table);
			list_free(tables);
			return where;
	}
}

RowsWhere
relation_rows_where(Oid relation, Oid *elsewhere)
{
	List	   *tables;
	ListCell   *cell;

	*elsewhere = relation;
	if (get_rel_relkind(relation) == RELKIND_VIEW)
		return ROWS_OF_VIEW;
	tables = find_all_inheritors(relation, NoLock, NULL);
	foreach(cell, tables)
	{
		if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_FOREIGN_TABLE)
		{
			*elsewhere = lfirst_oid(cell);
			return ROWS_FOREIGN;
		}
	}
	return distribution_find(tables, elsewhere);
}

char *
distributed_function(Oid function)
{
	return quote_qualified_identifier(get_namespace_name(get_func_namespace(function)), get_func_name(function));
}

char *
distributed_command(Oid table, RowsWhere where, const char *command)
{
	char	   *name = lookup_relation_name(table);
	bool		dollars = strchr(command, '$') == NULL;

	return psprintf("SELECT * FROM run_command_on_%s(%s, %s);",
					where == ROWS_IN_REPLICAS ? "placements" : "shards", quote_literal_cstr(name),
					dollars ? psprintf("$$%s$$", command) : quote_literal_cstr(command));
}
