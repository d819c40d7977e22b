#!/bin/bash
# Bad command lines end with status 2, say what is wrong and where help is, and touch nothing; help
# and version go to stdout with status 0.
. "$(dirname "$0")/../lib/test.sh"
cd "$T"
mkdir work
cd work

wrong() {
    local text=$1
    shift
    expect_status 2 mirror "$@"
    expect_contains "$err" "$text"
    expect_line "$err" 'mirror: .*'
    expect_equal '' "$(cat "$out")" "stdout of mirror $*"
    expect_equal '' "$(ls -A)" "files left by mirror $*"
}

expect_status 2 mirror
wrong nonsense nonsense
wrong --nonsense --nonsense
wrong destination copy
wrong destination copy docker://localhost:1/a/b:1
wrong --no-such-flag copy --no-such-flag x y
wrong --jobs copy --jobs
wrong --jobs copy --jobs 0 docker://localhost:1/a/b:1 bundle:x.tar
wrong --jobs copy --jobs many docker://localhost:1/a/b:1 bundle:x.tar
wrong --max-per-host copy --max-per-host 0 docker://localhost:1/a/b:1 bundle:x.tar
wrong --stall-timeout copy --stall-timeout 0 docker://localhost:1/a/b:1 bundle:x.tar
wrong --stall-timeout inspect --stall-timeout 1m docker://localhost:1/a/b:1
for rate in '' 0 0K K -1 1.5M 5X 5KM 99999999999999999999 99999999999G; do
    wrong --limit-rate copy --limit-rate "$rate" docker://localhost:1/a/b:1 bundle:x.tar
done
wrong --progress copy --progress loud docker://localhost:1/a/b:1 bundle:x.tar
wrong --platform copy --platform linux docker://localhost:1/a/b:1 bundle:x.tar
wrong --src-tls-verify copy --src-tls-verify=perhaps docker://localhost:1/a/b:1 bundle:x.tar
wrong dir: copy docker://localhost:1/a/b:1 dir:x
wrong ftp: copy ftp://a/b:1 bundle:x.tar
wrong localhost:1/a/b:1 copy localhost:1/a/b:1 bundle:x.tar
wrong UPPER copy docker://localhost:1/UPPER:1 bundle:x.tar
wrong busybox copy docker://busybox bundle:x.tar
wrong sha256 copy docker://localhost:1/a@sha256:short bundle:x.tar
wrong no-such-list copy --file "$T/no-such-list" bundle:x.tar
printf 'localhost:1/a/b:1\nlocalhost:1/B/c:1\n' >"$T/bad-list"
wrong bad-list:2 copy --file "$T/bad-list" bundle:x.tar
wrong --from emit-icsp --mirror localhost:1
wrong --mirror emit-icsp --from "$T/bad-list"
wrong --kind emit-icsp --from "$T/bad-list" --mirror localhost:1 --kind nothing
wrong node-config node-config
wrong serve serve
wrong --listen serve bundle:x.tar --listen nowhere
wrong verify verify
wrong inspect inspect

# What is missing is not a wrong command line.
expect_status 1 mirror verify "bundle:$T/none.tar"
expect_contains "$err" "$T/none.tar"
expect_status 1 mirror copy "bundle:$T/none.tar" docker://localhost:1/x/
expect_contains "$err" "$T/none.tar"

# Help.
expect_status 0 mirror --help
expect_contains "$out" copy emit-icsp node-config serve verify inspect version
expect_equal '' "$(cat "$err")" "stderr of --help"
cp "$out" "$T/help"
expect_status 0 mirror help
expect_same "$T/help" "$out"
commands=$(sed -nE 's/^  ([a-z][a-z-]*)  .*/\1/p' "$T/help")
for command in $commands; do
    expect_status 0 mirror "$command" --help
    expect_contains "$out" "usage: mirror $command"
    expect_equal '' "$(cat "$err")" "stderr of $command --help"
    expect_equal '' "$(awk 'length > 80' "$out")" "lines wider than 80 columns in $command --help"
    wrong --no-such-flag "$command" --no-such-flag
done

expect_status 0 mirror version
expect_line "$out" 'mirror [0-9]+\.[0-9]+\.[0-9]+'
expect_contains "$out" libcurl libarchive OpenSSL jansson libyaml libmicrohttpd
expect_status 0 mirror --version

# Output that cannot be written is a failure.
if [ -c /dev/full ]; then
    status=0
    "$MIRROR" --help >/dev/full 2>"$err" || status=$?
    [ "$status" -ne 0 ] || fail "a full disk under stdout went unnoticed"
fi
