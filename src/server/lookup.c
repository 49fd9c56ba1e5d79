/*
 * server/lookup.c: types of the extension, and columns of users' relations, by name.
 */
#include "postgres.h"

#include "server/lookup.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

Oid
lookup_type(Oid function, const char *name)
{
	Oid			type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name),
									   ObjectIdGetDatum(get_func_namespace(function)));

	if (!OidIsValid(type))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type %s does not exist", name),
				 errhint("Is the extension xmhash installed completely?")));
	return type;
}

char *
lookup_relation_name(Oid relation)
{
	char	   *name = get_rel_name(relation);
	char	   *schema = name != NULL ? get_namespace_name(get_rel_namespace(relation)) : NULL;

	return schema != NULL ? quote_qualified_identifier(schema, name) : NULL;
}

Oid
lookup_column_type(Oid relation, const char *relation_name, const char *column)
{
	AttrNumber	number = get_attnum(relation, column);

	if (number == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation %s does not exist", column, relation_name),
				 column[0] == '{' ? errhint("Several columns are given as ARRAY['...', '...'].") : 0));
	return get_atttype(relation, number);
}

void
lookup_fail_cast(const char *column, const char *relation_name, Oid type)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of relation %s is of type %s, which cannot be cast to real[]",
					column, relation_name, format_type_be(type)),
			 errhint("Feature columns are real[], double precision[], or of a type that can be cast to real[].")));
}
