#!/bin/bash
# The measurements of "make bench" run through with tiny images, and every figure is there: so that
# what is measured only now and then does not rot in between.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry skopeo jq curl openssl
export BENCH_DIR=$T/work BENCH_OUT=$T/runs.jsonl SCALE=1 ROUNDS=1 BENCH_WAN="10 100"

bench() {
    expect_status 0 env "$@" "$ROOT/tests/bench/transfer"
    cat "$out" >>"$T/tables"
}

# row LABELS...: each "SCENARIO SET LINK SCHEME CONTENDER" was measured, and all went well.
row() {
    local what
    for what; do
        jq -es --arg what "$what" 'any(
            "\(.scenario) \(.set) \(.link) \(.scheme) \(.contender)" == $what
            and .status == 0 and .complete and .wall_ms > 0 and .peak_kib > 0 and .bytes > 0 and .images > 0
            and has("user_ms") and has("sys_ms") and has("space_bytes") and has("dirtied")
            and has("src_cpu_ms") and has("dst_cpu_ms") and has("others_ms"))' "$BENCH_OUT" \
            >"$T/.row" || fail "no good run of: $what"
    done
}

# requests LABELS SIDE: what the registry saw of that run, in words of its log.
requests() {
    jq -r --arg what "$1" --arg side "$2" \
        'select("\(.scenario) \(.set) \(.link) \(.scheme) \(.contender)" == $what) | .[$side + "_requests"]' \
        "$BENCH_OUT"
}

bench BENCH_ONLY="many local plain" BENCH_TOOLS="mirror skopeo floor"
row "pull many local plain "{mirror,skopeo,curl-null,curl-files,sha256,sha256-2,cp} \
    "pull-again many local plain "{mirror,skopeo} "push many local plain "{mirror,skopeo,curl-upload} \
    "push-again many local plain "{mirror,skopeo,curl-head} "r2r many local plain "{mirror,skopeo} \
    "r2r-again many local plain "{mirror,skopeo,curl-head}

# 2 images of 3 shared layers, 2 of their own and a config: 9 blobs, in one repository.
expect_equal 11 "$(requests "pull many local plain curl-files" src)" "requests of the floor"
expect_equal 20 "$(requests "push many local plain curl-upload" dst)" "requests of the floor"
expect_equal 11 "$(requests "pull many local plain mirror" src)" "requests of a pull"
expect_equal 0 "$(requests "pull many local plain mirror" dst)" "requests at a registry nobody uses"

# Over TLS and a slow link; and a contender that fails, or does nothing, is in the table all the same.
bench BENCH_ONLY="many wan|tls pull|push" BENCH_TOOLS="mirror other floor" BENCH_OTHER=/bin/false
for over in "local tls" "wan plain"; do
    row "pull many $over "{mirror,curl-files} "push many $over "{mirror,curl-upload}
done
expect_contains "$T/tables" "other FAILED x1" "the wire alone: 0.0"

bench BENCH_ONLY="pull big plain" BENCH_TOOLS="mirror other floor" BENCH_OTHER=/bin/true
row "pull big local plain "{mirror,curl-files}
expect_contains "$T/tables" "pull many, local, plain: 2 images, 9 blobs" "pull big, local, plain: 6 images" \
    "fastest other tool: skopeo" "other INCOMPLETE x1"
expect_line "$T/tables" 'mirror +1 +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9]+ .*11/0 .*'
expect_equal "" "$(ls "$BENCH_DIR")" "what is left in the work directory"
