# xmhash: binary codes, exact Hamming search and cross-modal hashing for PostgreSQL
#
#   make && sudo make install    build and install into the PostgreSQL of pg_config
#   make demo                    everything from nothing: build, train, index, search
#   make test                    everything from nothing: all tests, on a private server
#   make fuzz SECONDS=600        random tests of the index, for as long as wanted
#   make test-versions           all tests on each of Debian's releases, in throw-away installations
#   make bench QUICK=1           measured beside other programs: test/bench/README.md
#   make installcheck            regression tests against a running server
#   make dist                    the archive for PGXN, from what is committed
#   make deb                     a package for Debian's PostgreSQL, in build/

EXTENSION = xmhash
MODULE_big = xmhash
DATA = $(wildcard sql/xmhash--*.sql)
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
CORE_OBJS = $(filter src/core/%,$(OBJS))
PRIVATE_HEADERS = $(wildcard include/*.h include/*/*.h)

# Portable by default: the instruction sets are chosen at load time.  OPTFLAGS
# is for whoever builds for one machine only, e.g. OPTFLAGS=-march=native.
OPTFLAGS =
PG_CPPFLAGS = -I$(srcdir)/include
# Warnings are errors only where they can be mended: make WERROR=1, as the tests say.
PG_CFLAGS = -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
	$(if $(WERROR),-Werror) -fvisibility=hidden -O3 $(OPTFLAGS)
# Debian's flags are gcc's; clang is told to pass over what it does not know.
ifneq ($(findstring clang,$(CC)),)
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-attributes -Wno-ignored-optimization-argument
endif
SHLIB_LINK = -ldl -lm -lpthread

REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test --load-extension=xmhash
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=xmhash
EXTRA_CLEAN = build results output_iso tmp_check tmp_check_iso log regression.diffs regression.out

PG_CONFIG ?= pg_config
# The scripts behind these targets install what is missing first, pg_config included.
TARGETS = test unit regress tap test-versions fuzz bench demo demo-stop dist deb
ifneq ($(filter $(TARGETS),$(MAKECMDGOALS)),)
$(TARGETS):
	@$(if $(SECONDS),FUZZ_SECONDS=$(SECONDS)) test/run.sh $@
.PHONY: $(TARGETS)
else
# Debian has a pg_config, and PGXS, without the server's headers too.
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
SERVER_HEADERS := $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h
ifneq ($(words $(wildcard $(PGXS) $(SERVER_HEADERS))),2)
SERVER_VERSION := $(shell $(PG_CONFIG) --version 2>/dev/null | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
$(error PostgreSQL's server headers are missing: apt-get install postgresql-server-dev-$(or $(SERVER_VERSION),all), or make PG_CONFIG=path/to/pg_config of an installation that has them)
endif
include $(PGXS)
$(OBJS): $(PRIVATE_HEADERS)
# The numeric core knows nothing of the server: it could not find its headers.
$(CORE_OBJS) $(CORE_OBJS:.o=.bc): override CPPFLAGS := $(filter-out -I$(includedir_server) -I$(includedir_internal),$(CPPFLAGS))
endif
