#!/usr/bin/env bash
#
# versions.sh: what stands behind make test-versions.
#
# Tries the project as a new user of each release of Debian would: in a bare
# installation of that release under a temporary folder, from a clean copy of
# the files, with the packages that the project itself asks for.
#
#   VERSIONS="17 18 19:regress"    versions, each with a target of its own if need be
#   TARGET="unit regress"          of test, unit, regress, tap, demo, upgrade, deb, clients; test demo upgrade deb
#   BASES=folder                   bare installations to copy, if they are there: bookworm, trixie, sid
#
# Needs root, and the package mirror that this machine is set up with.  Each
# installation is in mount and process namespaces of its own: nothing that is
# started or mounted in one outlives it, however it ends, and no mount of it can
# be seen from where its files are removed.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
versions=${VERSIONS:-15 17 18 19}
targets=${TARGET:-test demo upgrade deb}

say() { printf '%s\n' "$*"; }
die() { printf 'xmhash: %s\n' "$*" >&2; exit 1; }

# What has which version: a release, and what is taken from experimental.
release_of() {
  case $1 in
    15) echo bookworm ;;
    17) echo trixie ;;
    18 | 19) echo sid ;;
    *) die "no release of Debian has PostgreSQL $1; there are 15, 17, 18 and 19" ;;
  esac
}
older_than() { case $1 in 17) echo 15 ;; 18) echo 17 ;; esac; }

# ------------------------------------------------------- temporary folder

make_workplace() {
  # Not in memory, as /tmp may be: an installation takes two gigabytes.
  work=$(mktemp -d "${TMPDIR:-/var/tmp}/xmhash-versions.XXXXXX")
  chmod 755 "$work"
  mkdir "$work/archives"
  child=
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

clean_up() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  if [ -n "$child" ]; then
    kill -KILL "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
  fi
  remove "$work" || { say "xmhash: $work could not be removed:"; rm -rf --one-file-system "$work" 2>&1 | head -3; }
  exit "$status"
}

# What was killed just now may need a moment to be gone.
remove() {
  local try
  for try in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf --one-file-system "$1" 2>/dev/null && return 0
    sleep "0.$try"
  done
  return 1
}

# in_namespaces COMMAND...: with mounts and processes of its own, which end with it.
in_namespaces() {
  local status=0
  setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child=KILL "$@" </dev/null &
  child=$!
  wait "$child" || status=$?
  child=
  return "$status"
}

# enter ROOT COMMAND...: in an installation, with what belongs to a running system.
enter() {
  in_namespaces bash -euc '
    root=$1; shift
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    for device in null zero full random urandom tty; do
      touch "$root/dev/$device"
      mount --bind "/dev/$device" "$root/dev/$device"
    done
    ln -s /proc/self/fd "$root/dev/fd"
    ln -s fd/0 "$root/dev/stdin"; ln -s fd/1 "$root/dev/stdout"; ln -s fd/2 "$root/dev/stderr"
    mkdir -m 1777 "$root/dev/shm"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    mkdir "$root/dev/pts"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    mount --bind "$0" "$root/var/cache/apt/archives"
    exec env -u TMPDIR -u PG_CONFIG -u MAKEFLAGS -u MAKELEVEL -u VERSIONS -u TARGET \
      HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
      DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"' "$work/archives" "$@"
}

# ------------------------------------------------------ bare installations

# From this machine's own sources: where Debian is, where its security updates are.
find_mirrors() {
  local format='$(ORIGIN) $(LABEL) $(REPO_URI)'
  [ -n "$(apt-get indextargets --format "$format" 'Created-By: Packages')" ] || apt-get update -qq
  mirror=$(apt-get indextargets --format "$format" 'Created-By: Packages' | sed -n 's/^Debian Debian //p' | sed -n 1p)
  security=$(apt-get indextargets --format "$format" 'Created-By: Packages' | sed -n 's/^Debian Debian-Security //p' | sed -n 1p)
  [ -n "$mirror" ] || die "this machine's package sources name no mirror of Debian, which is needed"
}

sources() { # VERSION
  local release
  release=$(release_of "$1")
  echo "deb $mirror $release main"
  [ "$release" = sid ] || [ -z "$security" ] || echo "deb $security $release-security main"
  [ "$1" != 19 ] || echo "deb $mirror experimental main"
}

# Bare: what debootstrap calls minimal.  One a release is kept to copy.
bare() { # RELEASE
  local base=$work/base-$1
  [ ! -d "$base" ] || return 0
  if [ -n "${BASES:-}" ] && [ -d "$BASES/$1" ]; then
    cp -a "$BASES/$1" "$base" && set_up "$base"
    return
  fi
  say "-- debootstrap $1"
  if ! in_namespaces debootstrap --variant=minbase --cache-dir="$work/archives" "$1" "$base" "$mirror" >"$work/$1.log" 2>&1; then
    tail -5 "$work/$1.log"
    remove "$base"
    return 1
  fi
  set_up "$base"
}

# Of this machine's settings, those that its package sources need.
set_up() { # ROOT
  local base=$1
  apt-config dump | grep -E '^Acquire::(http|https|Check|Retries|Force)' | grep -v Auto-Detect >"$base/etc/apt/apt.conf.d/90machine" || true
  echo 'Acquire::Languages "none";' >>"$base/etc/apt/apt.conf.d/90machine"
  cp /etc/resolv.conf /etc/hosts "$base/etc/"
  # No service is started in it.
  printf '#!/bin/sh\nexit 101\n' >"$base/usr/sbin/policy-rc.d"
  chmod +x "$base/usr/sbin/policy-rc.d"
}

# A clean copy: the files that are under version control, as they are now.
copy_files() { # FOLDER
  mkdir -p "$1"
  if git -C "$top" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git -C "$top" ls-files -z | tar -C "$top" --null --files-from=- -c | tar -C "$1" -x --no-same-owner
  else
    tar -C "$top" --exclude='*.o' --exclude='*.bc' --exclude='*.so' --exclude=./build -c . | tar -C "$1" -x --no-same-owner
  fi
}

# ------------------------------------------------------------ one version

# Ends with 0, with another status for a failure, or with 75 if what is needed
# can't be had here and now.
try_version() { # VERSION TARGET...
  local version=$1 root=$work/$1 release old
  shift
  release=$(release_of "$version")
  bare "$release" || { reason="no bare $release can be made here"; return 75; }
  cp -a "$work/base-$release" "$root" || return 1
  sources "$version" >"$root/etc/apt/sources.list"
  rm -f "$root/etc/apt/sources.list.d/"*
  [ "$version" != 19 ] ||
    printf 'Package: postgresql-*-19 postgresql-19 libpq5 libpq-dev libpgtypes3 libecpg*\nPin: release a=experimental\nPin-Priority: 500\n' \
      >"$root/etc/apt/preferences.d/experimental"
  old=$(older_than "$version")
  [ -z "$old" ] || sources "$old" >"$root/etc/apt/older.list"
  copy_files "$root/usr/src/xmhash" || return 1
  reason="its packages can't be fetched"
  enter "$root" bash /usr/src/xmhash/test/versions.sh --inside "$version" "${old:-none}" "$@" || return
  [[ " $* " != *" deb "* ]] || try_package "$version"
}

# What make deb has built, in an installation with nothing else of the project.
try_package() { # VERSION
  local root=$work/$1 bare=$work/$1/bare
  cp -a "$work/base-$(release_of "$1")" "$bare" || return 1
  cp "$root/etc/apt/sources.list" "$bare/etc/apt/"
  cp -a "$root/etc/apt/preferences.d/." "$bare/etc/apt/preferences.d/"
  rm -f "$bare/etc/apt/sources.list.d/"*
  cp "$root"/usr/src/xmhash/build/*.deb "$root/usr/src/xmhash/test/versions.sh" "$bare/root/" || return 1
  enter "$bare" bash /root/versions.sh --package "$1"
}

# ------------------------------------------------- inside an installation

packages() { # APT-GET'S ARGUMENT...
  apt-get -qq -o Dpkg::Use-Pty=0 "$@" >/tmp/apt.log 2>&1 || { tail -5 /tmp/apt.log; say "-- apt-get $* failed"; exit 75; }
}

as_user() { setpriv --reuid=ordinary --regid=ordinary --init-groups env HOME=/home/ordinary "$@"; }

# As on a machine whose release was upgraded: the older server's packages stay
# beside the newer's.  The extension is installed for both.
upgrade() {
  local config
  [ "$older" != none ] || { say "-- nothing older to upgrade from"; return 0; }
  say "== upgrade from PostgreSQL $older to $PG_MAJOR"
  cp /etc/apt/older.list /etc/apt/sources.list.d/
  packages update
  packages install --no-install-recommends "postgresql-$older"
  # Of its development package the headers are enough: the rest is a compiler.
  (cd /var/cache/apt/archives && packages download "postgresql-server-dev-$older" && dpkg -x "postgresql-server-dev-${older}_"*.deb /)
  for config in "/usr/lib/postgresql/$older/bin/pg_config" "/usr/lib/postgresql/$PG_MAJOR/bin/pg_config"; do
    mkdir /tmp/build
    cp -r Makefile src include sql xmhash.control /tmp/build/
    find /tmp/build -name '*.o' -delete -o -name '*.bc' -delete
    make -s -C /tmp/build -j"$(nproc)" PG_CONFIG="$config" with_llvm=no install >/tmp/build.log 2>&1 || { cat /tmp/build.log; die "the build for $config failed"; }
    rm -r /tmp/build
  done
  OLD_PG_CONFIG=/usr/lib/postgresql/$older/bin/pg_config PROVE_TESTS=test/t/502_upgrade.pl make tap
}

# The clients that this release has, and pgvector.  JDBC, which needs a whole Java, is left out.
clients() {
  local go=golang-github-jackc-pgx-v5-dev pgx=pgx
  apt-cache show "$go" >/dev/null 2>&1 || { go=golang-github-jackc-pgx-v4-dev; pgx="pgx 4"; }
  say "== clients of PostgreSQL $PG_MAJOR"
  packages install --no-install-recommends python3-psycopg python3-psycopg2 python3-asyncpg python3-sqlalchemy python3-alembic \
    python3-django node-pg ruby-activerecord ruby-pg golang-go "$go" "postgresql-$PG_MAJOR-pgvector"
  XMHASH_CLIENTS="psycopg 3, psycopg2, asyncpg, node-postgres, $pgx, SQLAlchemy, Django, ActiveRecord" \
    PROVE_TESTS="test/t/401_drivers.pl test/t/404_frameworks.pl test/t/406_pgvector.pl" make tap
}

sql() { (cd / && runuser -u postgres -- psql -X -q -At -v ON_ERROR_STOP=1 "$@" 2>&1); }

# The package: installed, used, upgraded, upgraded over itself, removed and installed again beside
# what it left alone, and purged.
package() { # VERSION
  local name=postgresql-$1-xmhash file answer='3|0 2|1'
  local search="SET enable_seqscan = off; SELECT string_agg(id || '|' || distance, ' ') FROM (SELECT id, code <~> 'xFF00' AS distance FROM picture ORDER BY 2 LIMIT 2) AS near"
  say "== package $name"
  cd /root
  file=$(echo "$name"_*.deb)
  packages update
  # As README.md says.
  packages install "./$file"
  [ "$(dpkg-query -W -f '${db:Status-Status}' libopenblas0-pthread)" = installed ] || die "OpenBLAS did not come along"
  pg_lsclusters -h | grep -q "^$1 *main" || pg_createcluster "$1" main >/dev/null
  pg_ctlcluster "$1" main start
  sql -c 'CREATE EXTENSION xmhash' -c 'CREATE TABLE picture (id int PRIMARY KEY, code bitcode(16))' \
    -c "INSERT INTO picture VALUES (1, 'xCAFE'), (2, 'xFF01'), (3, 'xFF00')" -c 'CREATE INDEX ON picture USING xmhash (code)' \
    -c "CREATE TABLE pair AS SELECT ARRAY[1, i % 3, i % 5]::real[] AS image, ARRAY[1, i % 7]::real[] AS words FROM generate_series(1, 100) AS i" \
    -c "SET xmhash.progress = off; CALL xmhash_train('a_model', 'pair', 'image', 'words', 8, options => '{\"epochs\": 2}')" || die "it can't be used"
  [ "$(sql -c "$search")" = "$answer" ] || die "a search after the installation: $(sql -c "$search")"
  [ -z "$(dpkg --verify "$name")" ] || die "dpkg --verify: $(dpkg --verify "$name")"
  [ -s "/usr/share/doc/$name/README.md" ] && [ -s "/usr/share/doc/$name/copyright" ] || die "the documents are not there"

  # A newer one, and that again over itself, while the server runs.
  dpkg-deb -R "$file" newer
  sed -i 's/^Version: .*/&.1/' newer/DEBIAN/control
  dpkg-deb --root-owner-group --build newer newer.deb >/dev/null
  for file in newer.deb newer.deb "$file"; do
    dpkg -i "$file" >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; die "dpkg -i $file failed"; }
    [ "$(sql -c "$search")" = "$answer" ] || die "a search after dpkg -i $file: $(sql -c "$search")"
  done

  # Away, and back: the data is the server's.
  packages remove "$name"
  [[ "$(sql -c "$search" || true)" == *'could not access file'* ]] || die "it was removed, and a new session finds it"
  packages install "./$file"
  [ "$(sql -c "$search")" = "$answer" ] || die "a search after it was installed again: $(sql -c "$search")"
  sql -c "SELECT xmhash_index_check('picture_code_idx', true)" >/dev/null || die "the index is damaged"
  packages purge "$name"
  pg_ctlcluster "$1" main stop
  file=$(find / -xdev -path /proc -prune -o -path /root -prune -o -path '/var/lib/postgresql/*' -prune -o -iname '*xmhash*' -print)
  [ -z "$file" ] || die "purged, and there are: $file"
}

inside() { # VERSION OLDER TARGET...
  local target said
  export PG_MAJOR=$1
  older=$2
  shift 2
  packages update
  packages install --no-install-recommends make git
  apt-get install -s "postgresql-server-dev-$PG_MAJOR" >/dev/null 2>&1 || { say "-- there is no postgresql-server-dev-$PG_MAJOR"; exit 75; }
  useradd --create-home ordinary
  chown -R ordinary: .
  # An ordinary user is told what to install: that, and nothing else, is installed.
  if said=$(as_user make test 2>&1); then die "make test went through without its packages"; fi
  said=$(sed -n 's/.*please run: sudo apt-get install //p' <<<"$said")
  [ -n "$said" ] || die "make test does not say which packages are missing"
  say "-- told to install ${said#--no-install-recommends }"
  # shellcheck disable=SC2086
  packages install $said
  for target in "$@"; do
    case $target in
      demo)
        say "== demonstration, as root and as an ordinary user"
        { make demo && make demo-stop && chown -R ordinary: . && as_user make demo && as_user make demo-stop; } >/tmp/demo.log 2>&1 ||
          { tail -40 /tmp/demo.log; die "the demonstration failed"; } ;;
      upgrade) upgrade ;;
      clients) clients ;;
      deb) chown -R ordinary: . && as_user make deb ;;
      *) make "$target" ;;
    esac
  done
}

# ------------------------------------------------------------------- main

case ${1:-} in
  --inside)
    shift
    cd "$top"
    inside "$@"
    exit 0 ;;
  --package)
    package "$2"
    exit 0 ;;
esac

[ "$(id -u)" -eq 0 ] || die "test-versions needs root: it makes installations of Debian's releases to run the tests in"
for version in $versions; do release_of "${version%%:*}" >/dev/null; done
command -v apt-get >/dev/null || die "test-versions needs Debian's apt-get, unshare and debootstrap"
make_workplace
find_mirrors
impossible=
in_namespaces mount -t tmpfs tmpfs /mnt || impossible="this machine does not let root mount, or make namespaces"
[ -n "$impossible" ] || command -v debootstrap >/dev/null ||
  apt-get install -y -qq --no-install-recommends debootstrap >/dev/null || impossible="debootstrap can't be installed"
passed=0
failed=0
skipped=0
summary=()
for entry in $versions; do
  version=${entry%%:*}
  wanted=$targets
  [ "$entry" = "$version" ] || { wanted=${entry#*:}; wanted=${wanted//,/ }; }
  name="PostgreSQL $version on $(release_of "$version")"
  say "== $name: $wanted"
  SECONDS=0
  status=0
  reason=$impossible
  # shellcheck disable=SC2086
  if [ -n "$impossible" ]; then
    status=75
  else
    exec 3> >(exec tee "$work/$version.out")
    tee=$!
    try_version "$version" $wanted >&3 2>&1 || status=$?
    exec 3>&-
    wait "$tee" || true
  fi
  remove "$work/$version" || true
  case $status in
    0) passed=$((passed + 1)); line="$name: passed, $SECONDS s" ;;
    75) skipped=$((skipped + 1)); line="$name: SKIPPED, NOT TESTED: $reason" ;;
    *) failed=$((failed + 1)); line="$name: FAILED, $SECONDS s$(sed -n 's/^FAILED: /: /p' "$work/$version.out" | tr -d '\n')" ;;
  esac
  say "$line"
  summary+=("$line")
done
say ""
printf '%s\n' "${summary[@]}"
say "versions: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
