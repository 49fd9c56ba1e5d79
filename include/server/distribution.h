/*
 * server/distribution.h: whether the rows of a table are here, or on other servers.
 *
 * A tableoid or ctid that a query gives is that of the server where the row
 * lies.  So whoever opens or compares one asks here first.
 */
#ifndef DISTRIBUTION_H
#define DISTRIBUTION_H

typedef enum RowsWhere
{
	ROWS_HERE,
	ROWS_OF_VIEW,				/* wherever its query finds them */
	ROWS_FOREIGN,				/* of a foreign table */
	ROWS_IN_SHARDS,				/* of a table that Citus distributes: here is an empty shell, or leftovers */
	ROWS_IN_REPLICAS			/* of a reference table of Citus: likewise */
} RowsWhere;

/* Where the rows of that one table are. */
extern RowsWhere table_rows_where(Oid table);

/*
 * Where the rows of a relation and of all that inherits from it are: here, or
 * as of the first that has them elsewhere, whose number it gives.
 */
extern RowsWhere relation_rows_where(Oid relation, Oid *elsewhere);

/* A function's name, with its schema, whatever the search path of another server. */
extern char *distributed_function(Oid function);

/*
 * The statement that runs a command where the rows of a distributed table are,
 * for a hint.  In the command, %s stands for the name of a shard, %% for %.
 */
extern char *distributed_command(Oid table, RowsWhere where, const char *command);

#endif							/* DISTRIBUTION_H */
