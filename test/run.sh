#!/usr/bin/env bash
#
# run.sh TARGET: what stands behind make test, fuzz, bench, demo, demo-stop, dist and deb.
#
# Does everything from a bare Debian machine: installs the packages that are
# missing (as root; otherwise it says which), builds, installs into a staging
# folder and starts private servers that find the extension there.  The
# system's clusters, its PostgreSQL folders and its ports are never touched:
# the servers listen on sockets in a temporary folder only.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
here=$top/test
target=${1:-all}

say() { printf '%s\n' "$*"; }
die() { printf 'xmhash: %s\n' "$*" >&2; exit 1; }

# ---------------------------------------------------------------- packages

# The PostgreSQL to build against: that of PG_CONFIG, else Debian's of PG_MAJOR, else
# Debian's newest installed development package, else what a bare machine would get.
# An ordinary user can't fetch lists of packages: then the version stays empty.
find_version() {
  pg_config=${PG_CONFIG:-}
  [ -n "$pg_config" ] || command -v dpkg-query >/dev/null || pg_config=$(command -v pg_config || echo pg_config)
  if [ -n "$pg_config" ]; then
    version=$("$pg_config" --version 2>/dev/null | sed -E 's/^[^0-9]*([0-9]+).*/\1/' || true)
    return
  fi
  version=${PG_MAJOR:-$(find /usr/include/postgresql -path '*/server/postgres.h' 2>/dev/null |
           cut -d/ -f5 | sort -n | tail -1 || true)}
  if [ -z "$version" ]; then
    [ "$(id -u)" -ne 0 ] || apt-get update -qq
    version=$(apt-cache show postgresql 2>/dev/null | sed -nE 's/^Version: ([0-9]+)\+.*/\1/p' | sort -n | tail -1 || true)
  fi
  pg_config=/usr/lib/postgresql/$version/bin/pg_config
}

need_packages() {
  local package missing=()
  command -v dpkg-query >/dev/null || { need_commands; return; }
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    die "these packages are missing; please run: $([ -n "$version" ] || echo "sudo apt-get update && ")sudo apt-get install --no-install-recommends ${missing[*]}"
  fi
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$work/apt.log" 2>&1 ||
    { tail -20 "$work/apt.log"; die "apt-get could not install ${missing[*]}"; }
}

# Elsewhere than on Debian: the tools must be there, from wherever they come.
need_commands() {
  local command
  for command in "$pg_config" "${CC:-cc}" make; do
    command -v "$command" >/dev/null || die "$command is not installed, and this is not Debian; see Install in README.md"
  done
}

packages_build() {
  echo "make gcc libc6-dev libopenblas0-pthread"
  # A server from source came without packages.
  case $pg_config in
    /usr/*) echo "postgresql${version:+-$version} postgresql-server-dev-${version:-all}" ;;
  esac
}
packages_bench() { echo "python3-numpy"; }
packages_test() { echo "perl libipc-run-perl python3-numpy librsvg2-bin"; }

# ------------------------------------------------------- temporary folder

# Under /tmp: the path of a socket must be short, and user postgres must be able
# to enter it, which a checkout below /root forbids.
make_workplace() {
  work=$(mktemp -d /tmp/xmhash.XXXXXX)
  chmod 755 "$work"
  cd "$work"
  keep=
  group=
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

clean_up() {
  local status=$?
  trap - EXIT INT TERM HUP
  [ -z "$keep" ] || exit "$status"
  # shellcheck disable=SC2015
  [ -z "$group" ] || { kill -- "-$group" && wait "$group"; } 2>/dev/null || true
  stop_servers "$work"
  rm -rf "$work"
  exit "$status"
}

# PostgreSQL refuses to run as root: then its own user runs the servers.
as_server_user() {
  if [ "$(id -u)" -eq 0 ]; then
    setpriv --reuid=postgres --regid=postgres --init-groups env HOME="$work" "$@"
  else
    "$@"
  fi
}

hand_over() { [ "$(id -u)" -ne 0 ] || chown -R postgres: "$@"; }

stop_servers() {
  local pidfile
  for pidfile in $(find "$1" -name postmaster.pid 2>/dev/null); do
    as_server_user "$bindir/pg_ctl" -s -m immediate -D "$(dirname "$pidfile")" stop >/dev/null 2>&1 || true
  done
}

# --------------------------------------------------------- build and server

build() { # MAKE'S ARGUMENT...
  bindir=$("$pg_config" --bindir)
  pgxs=$(dirname "$("$pg_config" --pgxs)")/../..
  export PG_CONFIG=$pg_config
  say "building for $("$bindir/postgres" --version)"
  unset MAKEFLAGS MAKELEVEL
  make -s -C "$top" -j"$(nproc)" "$@" >"$work/build.log" 2>&1 ||
    { cat "$work/build.log"; die "the build failed"; }
  make -s -C "$top" install DESTDIR="$work/stage" >"$work/install.log" 2>&1 ||
    { cat "$work/install.log"; die "the installation into the staging folder failed"; }
  chmod -R a+rX "$work/stage"
  server_settings >"$work/server.conf"
}

# How a server finds an extension that is installed in a staging folder.
server_settings() {
  local settings
  settings=$("$bindir/postgres" --describe-config | cut -f1)
  if grep -qx extension_destdir <<<"$settings"; then
    echo "extension_destdir = '$work/stage'"
  elif grep -qx extension_control_path <<<"$settings"; then
    echo "extension_control_path = '$work/stage$("$pg_config" --sharedir):\$system'"
  else
    # Only the library can be staged; what is installed has to be the same otherwise.
    diff -rq "$work/stage$("$pg_config" --sharedir)/extension" "$("$pg_config" --sharedir)/extension" 2>&1 |
      grep -v "^Only in $("$pg_config" --sharedir)" >"$work/differs.log" || true
    [ ! -s "$work/differs.log" ] ||
      die "this PostgreSQL finds extensions only where they are installed; run make install PG_CONFIG=$pg_config first"
  fi
  echo "dynamic_library_path = '$work/stage$("$pg_config" --pkglibdir):\$libdir'"
  echo "fsync = off"
  # Whole plans would be compiled only because a disabled node makes them dear; jit.sql switches it on.
  echo "jit = off"
}

# start_server NAME [SETTING]...: a private server with its socket in $work/NAME.  It trusts
# whoever connects, as a superuser: so only its own user (and root) may enter.
start_server() {
  local home=$work/$1
  mkdir -m 700 "$home"
  hand_over "$home"
  as_server_user "$bindir/initdb" -D "$home/data" -U postgres -A trust -N -E UTF8 --locale=C >"$home.log" 2>&1 ||
    { cat "$home.log"; die "initdb failed"; }
  { cat "$work/server.conf"
    echo "listen_addresses = ''"
    echo "unix_socket_directories = '$home'"
    echo "unix_socket_permissions = 0700"
    echo "max_prepared_transactions = 10"
    printf '%s\n' "${@:2}"
  } >>"$home/data/postgresql.conf"
  as_server_user "$bindir/pg_ctl" -s -w -D "$home/data" -l "$home/server.log" start ||
    { cat "$home/server.log"; die "the private server did not start"; }
}

# ------------------------------------------------------------------- tests

passed=0
failed=0
result() { # NAME STATUS
  if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); say "FAILED: $1"; fi
}

# Rooms, circles, lengths: the rules of src/README.md, by what was just compiled.
run_layers() {
  local status=0
  say "== layers"
  perl "$here/layers.pl" "$top" || status=$?
  result "layers" $status
}

# The core's unit tests, without a server, under AddressSanitizer and UBSan.
run_unit() {
  local test status
  say "== unit tests"
  make -s -C "$here/unit" BUILD="$work/unit" -j"$(nproc)" >"$work/unit.log" 2>&1 ||
    { cat "$work/unit.log"; result "building the unit tests" 1; return 0; }
  for test in $(make -s -C "$here/unit" BUILD="$work/unit" list); do
    status=0
    (cd "$here/unit" && "$test") >"$work/unit.out" 2>&1 || status=$?
    if [ $status -eq 0 ]; then tail -1 "$work/unit.out"; else tail -60 "$work/unit.out"; fi
    result "unit test $(basename "$test")" $status
  done
}

# The tests see only a copy of what they need, where the server's user can read.
copy_tests() {
  mkdir -p "$work/tests"
  cp -r "$top/test" "$top/expected" "$top/sql" "$top/xmhash.control" "$top/Makefile" "$top/META.json" "$top/include" "$work/tests/"
  mkdir "$work/tests/src"
  (cd "$top" && cp --parents ./*.md src/README.md src/*.c src/*/*.c "$work/tests/")
  write_archive "$work/tests" "$(git -C "$top" -c user.name=test -c user.email=test stash create 2>/dev/null || true)" 2>/dev/null || true
  hand_over "$work/tests"
}

regress_names() { find "$here/$1" -name "*.$2" -exec basename {} ".$2" \; 2>/dev/null | LC_ALL=C sort || true; }

run_regress() { # KIND PROGRAM FOLDER SUFFIX
  local names status=0
  names=$(regress_names "$3" "$4")
  [ -n "$names" ] || return 0
  say "== $1 tests"
  # shellcheck disable=SC2086
  (cd "$work/tests" && as_server_user "$pgxs/$2" --inputdir=test --outputdir=. --bindir="$bindir" \
    --host="$work/regress" --user=postgres --dbname="xmhash_$1" --load-extension=xmhash $names) || status=$?
  [ $status -eq 0 ] || head -300 "$work/tests/regression.diffs" 2>/dev/null || true
  result "$1 tests" $status
}

run_tap() {
  local status=0 failing test
  compgen -G "$here/t/*.pl" >/dev/null || return 0
  say "== TAP tests"
  mkdir -p "$work/tests/tap"
  hand_over "$work/tests/tap"
  (cd "$work/tests" && as_server_user env PATH="$bindir:$PATH" TESTDIR="$work/tests/tap" \
    TESTDATADIR="$work/tests/tap" TESTLOGDIR="$work/tests/tap/log" TEMP_CONFIG="$work/server.conf" \
    PG_REGRESS="$pgxs/src/test/regress/pg_regress" PG_TEST_TIMEOUT_DEFAULT=600 \
    prove -j "$(nproc)" -I "$pgxs/src/test/perl" ${PROVE_TESTS:-test/t/*.pl}) 2>&1 | tee "$work/prove.log" || status=$?
  # What matters comes last: who reads this may see its end alone.
  failing=$(sed -nE 's/^(.*\.pl) +\(Wstat: .*/\1/p' "$work/prove.log")
  for test in $failing; do
    for log in "$work"/tests/tap/{*/log,log}/regress_log_"$(basename "$test" .pl)"; do
      [ ! -f "$log" ] || { say "-- $(basename "$log")"; tail -25 "$log"; grep -A 8 '\bnot ok ' "$log" | head -60 || true; }
    done
  done
  [ -z "$failing" ] || sed -n '/^Test Summary Report/,$p' "$work/prove.log"
  result "TAP tests${failing:+: ${failing//$'\n'/ }}" $status
}

run_tests() { # KIND...
  local kind
  make_workplace
  find_version
  # shellcheck disable=SC2046
  need_packages $(packages_build) $(packages_test)
  build WERROR=1
  copy_tests
  for kind in "$@"; do
    case $kind in
      unit)
        run_layers
        run_unit ;;
      regress)
        # Statistics that come in the middle of a test would change its plans.
        start_server regress "autovacuum = off"
        run_regress regression src/test/regress/pg_regress sql sql
        run_regress isolation src/test/isolation/pg_isolation_regress specs spec ;;
      tap) run_tap ;;
    esac
  done
  say "test: $passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}

# ------------------------------------------------------------ distribution

# What PGXN takes: a folder of that name in an archive of that name.
write_archive() { # FOLDER [COMMIT]
  local version
  version=$(sed -nE 's/^  "version": "(.*)",$/\1/p' "$top/META.json")
  archive=$1/xmhash-$version.zip
  git -C "$top" rev-parse --verify --quiet HEAD >/dev/null || return 1
  git -C "$top" archive --format=zip --prefix="xmhash-$version/" -o "$archive" "${2:-HEAD}"
}

# A package of Debian's for the PostgreSQL that was built for: what make install installs,
# stripped, and the documents, with their links to one another.
write_package() { # FOLDER
  local name=postgresql-$version-xmhash root=$work/package documents libc revision
  revision=$(sed -nE 's/^  "version": "(.*)",$/\1/p' "$top/META.json")-1
  documents=$root/usr/share/doc/$name
  cp -r "$work/stage" "$root"
  find "$root" -name '*.so' -exec strip --strip-unneeded {} +
  mkdir -p "$documents/sql" "$documents/test" "$root/DEBIAN"
  cp "$top/LICENSE" "$documents/copyright"
  cp "$top/README.md" "$documents/"
  cp "$top/sql/README.md" "$documents/sql/"
  cp -r "$top/test/clients" "$documents/test/"
  gzip -9n <"$top/CHANGELOG.md" >"$documents/changelog.gz"
  find "$root" -type d -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
  # The newest symbols that the library takes from libc.
  libc=$(find "$root" -name '*.so' -exec readelf -W -V {} + | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -1)
  cat >"$root/DEBIAN/control" <<CONTROL
Package: $name
Version: $revision
Architecture: $(dpkg --print-architecture)
Maintainer: $(sed -nE 's/^  "maintainer": \["(.*)"\],$/\1/p' "$top/META.json")
Section: database
Priority: optional
Installed-Size: $(du -sk --exclude DEBIAN "$root" | cut -f1)
Depends: postgresql-$version, libc6 (>= $libc)
Recommends: libopenblas0-pthread | libopenblas0
Description: $(sed -nE 's/^  "abstract": "(.*)",$/\1/p' "$top/META.json")
$(sed -nE 's/^  "description": "(.*)",$/\1/p' "$top/META.json" | fold -s -w 78 | sed 's/^/ /; s/ *$//')
 .
 In each database: CREATE EXTENSION xmhash. OpenBLAS is needed for models only.
CONTROL
  (cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
  package=$1/${name}_${revision}_$(dpkg --print-architecture).deb
  dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
}

# --------------------------------------------------------------- benchmark

# Everything cached, one checkpoint at the most, nothing in the background.
bench_settings() {
  local kilobytes
  kilobytes=$(awk '/^MemTotal/ {print $2}' /proc/meminfo 2>/dev/null || true)
  echo "shared_buffers = '$((${kilobytes:-4194304} / 4096))MB'"
  echo "max_wal_size = '16GB'"
  echo "checkpoint_timeout = '1d'"
  echo "autovacuum = off"
}

# What the server's user reads, in a folder it may enter: the scripts, the sources
# that some of them compile, the sets.
copy_bench() {
  local set
  mkdir -p "$work/bench/test" "$work/bench/data" "$work/bench/build"
  cp -r "$here/bench" "$here/data" "$work/bench/test/"
  cp -r "$top/src" "$top/include" "$work/bench/"
  if [ -n "${DATA:-}" ]; then
    [ -d "$DATA" ] || die "$DATA is not a folder; say make bench DATA=folder"
    for set in wikipedia/pairs.csv openclipart/pairs.csv flickr8k/flickr8k.npz; do
      [ ! -f "$DATA/$set" ] || { mkdir -p "$work/bench/data/${set%/*}"; cp "$DATA/$set" "$work/bench/data/$set"; }
    done
  fi
  hand_over "$work/bench"
}

# A process group of its own, so that whatever it started ends with it.
run_bench() {
  local python status=0
  make_workplace
  [ -z "${DATA:-}" ] || case $DATA in /*) ;; *) DATA=$top/$DATA ;; esac
  find_version
  # shellcheck disable=SC2046
  need_packages $(packages_build) $(packages_bench)
  python=${PYTHON:-$(command -v /usr/bin/python3 || command -v python3)}
  build
  if [ -n "${PGVECTOR:-}" ]; then
    [ -d "$PGVECTOR" ] || die "PGVECTOR is to be a folder that pgvector was installed to by make install DESTDIR=…; there is no $PGVECTOR"
    cp -r "$PGVECTOR/." "$work/stage/"
    chmod -R a+rX "$work/stage"
  fi
  bench_settings >>"$work/server.conf"
  start_server server
  copy_bench
  mkdir -p "$top/build/bench"
  exec 3>>"$top/build/bench/results.jsonl"
  set -m
  as_server_user env PATH="$bindir:$PATH" PG_CONFIG="$pg_config" PGHOST="$work/server" PGUSER=postgres PGDATABASE=postgres \
    TMPDIR="$work/bench/build" DATA="${DATA:+$work/bench/data}" RESULTS=3 PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=PASSIVE \
    XMHASH_COMMIT="$(git -C "$top" describe --always --dirty 2>/dev/null || true)" \
    "$python" "$work/bench/test/bench/bench.py" </dev/null &
  group=$!
  set +m
  wait "$group" || status=$?
  group=
  say ""
  say "As JSON lines, beside those of earlier runs: $top/build/bench/results.jsonl"
  return "$status"
}

# -------------------------------------------------------------------- demo

# The server of the demonstration stays up for exploring, until demo-stop; the
# page it wrote stays where it is.  What it goes by outlives `make clean`.
demo_file=$top/.demo
demo_page=$top/build/demo.html

# The pictures for the page: Debian's package, as installed, else unpacked for
# the moment, which needs no root; else none.
find_drawings() {
  drawings=/usr/share/openclipart/svg
  [ ! -d $drawings ] || return 0
  drawings=
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 0
  say "fetching the drawings (Debian's openclipart-svg, 25 MB) for the page"
  if mkdir "$work/drawings" && cd "$work/drawings" && {
      apt-cache show openclipart-svg || [ "$(id -u)" -ne 0 ] || timeout 120 apt-get update -qq
      timeout 120 apt-get -o Acquire::Retries=1 -o Acquire::http::Timeout=20 download openclipart-svg
      dpkg-deb -x openclipart-svg_*.deb .
    } >"$work/drawings.log" 2>&1; then
    drawings=$work/drawings/usr/share/openclipart/svg
    chmod -R a+rX "$work/drawings"
  else
    say "they can't be fetched; the page shows titles instead"
  fi
  cd "$work"
}

demo_psql() {
  as_server_user env PGHOST="$work/demo" PGUSER=postgres PGOPTIONS="--client-min-messages=warning" \
    "$bindir/psql" -X -q -v ON_ERROR_STOP=1 "$@"
}

demo_stop() {
  local folder
  [ -f "$demo_file" ] || return 0
  folder=$(cat "$demo_file")
  case $folder in /tmp/xmhash.*) ;; *) die "$demo_file does not name a demonstration's folder" ;; esac
  work=$folder
  find_version
  bindir=$("$pg_config" --bindir)
  [ ! -d "$folder" ] || stop_servers "$folder"
  rm -rf "$folder" "$demo_file"
}

run_demo() {
  demo_stop
  make_workplace
  find_version
  # shellcheck disable=SC2046
  need_packages $(packages_build)
  build
  start_server demo
  cp "$here"/demo/* "$here/data/openclipart.csv" "$work/demo/"
  hand_over "$work/demo"
  cd "$work/demo"
  # Of the trainings' progress every tenth epoch is enough to see.
  demo_psql -d postgres <demo.sql 2>&1 | sed -u -E '/^INFO:  epoch [0-9]*[1-9] of /d'
  find_drawings
  cd "$work/demo"
  mkdir -p "$top/build"
  demo_psql -d demo -v drawings="$drawings" <page.sql >"$demo_page"
  rm -rf "$work/drawings"
  echo "$work" >"$demo_file"
  keep=yes
  say ""
  say "All of this with the drawings found:   $demo_page"
  say "The server goes on running.  Explore:  $bindir/psql -h $work/demo -U postgres demo"
  say "Stop it and remove its files:          make demo-stop"
}

case $target in
  all | test) run_tests unit regress tap ;;
  unit | regress | tap) run_tests "$target" ;;
  fuzz) # each of the two for that many seconds, with a seed of its own
    export FUZZ_SECONDS=${FUZZ_SECONDS:-300} PROVE_TESTS=${PROVE_TESTS:-test/t/110_index_fuzz.pl test/t/114_index_mixed_load.pl}
    run_tests tap ;;
  bench) run_bench ;;
  demo) run_demo ;;
  demo-stop) demo_stop ;;
  test-versions) exec "$here/versions.sh" ;;
  dist)
    mkdir -p "$top/build"
    write_archive "$top/build" || die "the archive is made from what git has; this is no clone"
    say "$archive" ;;
  deb)
    make_workplace
    find_version
    command -v dpkg-deb >/dev/null && [[ $pg_config == /usr/lib/postgresql/* ]] || die "make deb packages for Debian's PostgreSQL; $pg_config is not of it"
    # shellcheck disable=SC2046
    need_packages $(packages_build) binutils
    build
    mkdir -p "$top/build"
    write_package "$top/build"
    say "$package" ;;
  *) die "unknown target $target" ;;
esac
