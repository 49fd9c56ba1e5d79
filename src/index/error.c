/*
 * index/error.c: what is said of a damaged index, of pages recycled under a
 * scan, and of a code of another length.
 *
 * Every file of the room may call it, so it calls none of them.
 */
#include "postgres.h"

#include "index/index.h"

#include "lib/stringinfo.h"

void
xmhash_damaged(Relation index, BlockNumber block, const char *detail,...)
{
	StringInfoData text;

	initStringInfo(&text);
	for (;;)
	{
		va_list		arguments;
		int			needed;

		va_start(arguments, detail);
		needed = appendStringInfoVA(&text, detail, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("index \"%s\" is damaged at block %u", RelationGetRelationName(index), block),
			 errdetail_internal("%s", text.data),
			 errhint("Rebuild it with REINDEX.")));
}

void
xmhash_recycled(Relation index)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("pages of index \"%s\" were recycled during a scan", RelationGetRelationName(index)),
			 errdetail("The primary server has merged the index and used pages again that this scan still needed."),
			 errhint("Retry the query; setting hot_standby_feedback keeps this from happening.")));
}

void
xmhash_wrong_length(Relation index, int bits, int expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_STRING_DATA_LENGTH_MISMATCH),
			 errmsg("code of %d bits does not fit index \"%s\", whose codes have %d bits",
					bits, RelationGetRelationName(index), expected),
			 errhint("Declare the column as bitcode(%d), so that it holds codes of one length only.", expected)));
}
