# shellcheck shell=bash disable=SC2034
# Images by curl and jq alone: an independent way in and out of a registry, and a comparison that
# shares no code with the program under test. Read by tests/lib/test.sh.
#
#   push_layout DIR HOST[/PREFIX] [NAME...]   every image of a layout (or those named) to
#                                             HOST/PREFIX/REPOSITORY:TAG of its name
#   fetch_image HOST/REPO REFERENCE DIR       all manifests and blobs of an image, as files
#                                             DIR/sha256:HEX, each hashed by sha256sum
#   fetch_compare HOST/REPO HOST/REPO DIGEST  an image on two registries: the same set of
#                                             manifests and blobs, byte for byte
#   registry_tags HOST/REPO                   its tags, sorted, one per line
#   registry_digest HOST/REPO TAG             what a tag stands for
# CURL holds options for all of them, for instance CURL=(--cacert FILE -u USER:PASS), and
# SCHEME is http unless the test says otherwise.

CURL=()
SCHEME=http
ACCEPT=application/vnd.oci.image.index.v1+json,application/vnd.oci.image.manifest.v1+json
ACCEPT=$ACCEPT,application/vnd.docker.distribution.manifest.list.v2+json
ACCEPT=$ACCEPT,application/vnd.docker.distribution.manifest.v2+json

web() {
    curl -sS --fail --max-time 120 "${CURL[@]}" "$@"
}

repo_url() {
    echo "$SCHEME://${1%%/*}/v2/${1#*/}"
}

# ---- in --------------------------------------------------------------------------------------

# push_blobs DIR URL DIGEST...: one curl asks for the upload places, one sends the bytes.
push_blobs() {
    local dir=$1 url=$2 digest place starts=()
    shift 2
    [ $# -gt 0 ] || return 0
    for digest; do starts+=(-o /dev/null "$url/blobs/uploads/"); done
    web -X POST -D - "${starts[@]}" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p' >"$T/.places"
    exec 7<"$T/.places"
    for digest; do
        IFS= read -r place <&7
        printf 'next\nfail\nsilent\nshow-error\nrequest = PUT\nupload-file = "%s"\n' \
            "$dir/blobs/sha256/${digest#sha256:}"
        printf 'header = "Content-Type: application/octet-stream"\noutput = /dev/null\n'
        printf 'url = "%s&digest=%s"\n' "$place" "$digest"
        push_options
    done >"$T/.puts"
    exec 7<&-
    sed -i 1d "$T/.puts"
    curl --max-time 300 --config "$T/.puts"
}

# Options after "next" start anew, so the caller's come again in every part.
push_options() {
    local i
    for ((i = 0; i < ${#CURL[@]}; i++)); do
        case ${CURL[i]} in
        -u) printf 'user = "%s"\n' "${CURL[++i]}" ;;
        --cacert) printf 'cacert = "%s"\n' "${CURL[++i]}" ;;
        *) fail "push_blobs knows no curl option ${CURL[i]}" ;;
        esac
    done
}

# push_manifest DIR URL DIGEST REFERENCE: children first, then blobs, then itself.
push_manifest() {
    local dir=$1 url=$2 digest=$3 reference=$4 file child type blobs=()
    file=$dir/blobs/sha256/${digest#sha256:}
    type=$(jq -r '.mediaType // (if .manifests then "application/vnd.oci.image.index.v1+json"
                  else "application/vnd.oci.image.manifest.v1+json" end)' "$file")
    for child in $(jq -r '.manifests[]?.digest' "$file"); do
        [ -e "$dir/blobs/sha256/${child#sha256:}" ] || continue
        push_manifest "$dir" "$url" "$child" "$child"
    done
    for child in $(jq -r '[.config?.digest // empty, .layers[]?.digest] | unique | .[]' "$file"); do
        [ ! -e "$dir/blobs/sha256/${child#sha256:}" ] || blobs+=("$child")
    done
    push_blobs "$dir" "$url" "${blobs[@]}"
    web -X PUT -H "Content-Type: $type" --data-binary "@$file" -o /dev/null \
        "$url/manifests/$reference"
}

push_layout() {
    local dir=$1 to=${2%/} name digest rest
    shift 2
    jq -r '.manifests[] | [.annotations["org.opencontainers.image.ref.name"] // "", .digest] | @tsv' \
        "$dir/index.json" >"$T/.names"
    while IFS=$'\t' read -r name digest; do
        [ -n "$name" ] || continue
        if [ $# -gt 0 ]; then
            case " $* " in *" $name "*) ;; *) continue ;; esac
        fi
        rest=${name#*/}
        rest=${rest%@*}
        push_manifest "$dir" "$(repo_url "$to/${rest%:*}")" "$digest" "${rest##*:}"
    done <"$T/.names"
}

# ---- out -------------------------------------------------------------------------------------

# fetch_blobs URL DIR < lines "DIGEST WHETHER-IT-HAS-URLS". Only a blob with urls may be missing.
fetch_blobs() {
    local url=$1 dir=$2 digest elsewhere gets=()
    while read -r digest elsewhere; do
        [ ! -e "$dir/$digest" ] || continue
        if [ "$elsewhere" = true ]; then
            web -o "$dir/$digest" "$url/blobs/$digest" 2>/dev/null || rm -f "$dir/$digest"
        else
            gets+=(-o "$dir/$digest" "$url/blobs/$digest")
        fi
    done
    [ ${#gets[@]} -eq 0 ] || web "${gets[@]}"
}

fetch_tree() {
    local url dir=$3 reference=$2 digest child
    url=$(repo_url "$1")
    web -H "Accept: $ACCEPT" -o "$dir/.manifest" "$url/manifests/$reference"
    digest=$(sha256sum <"$dir/.manifest")
    digest=sha256:${digest%% *}
    case $reference in sha256:*) expect_equal "$reference" "$digest" "manifest of $1" ;; esac
    mv "$dir/.manifest" "$dir/$digest"
    jq -r '([.config? // empty, .layers[]?] | unique_by(.digest) | .[]
            | "blob \(.digest) \((.urls // []) | length > 0)"),
           (.manifests[]? | "child \(.digest)")' "$dir/$digest" >"$dir/.parts.$digest"
    sed -n 's/^blob //p' "$dir/.parts.$digest" | fetch_blobs "$url" "$dir"
    for child in $(sed -n 's/^child //p' "$dir/.parts.$digest"); do
        fetch_tree "$1" "$child" "$dir"
    done
    rm "$dir/.parts.$digest"
}

fetch_image() {
    mkdir -p "$3"
    fetch_tree "$1" "$2" "$3"
    (cd "$3" && for file in sha256:*; do echo "${file#sha256:}  $file"; done >.sums &&
        sha256sum --quiet -c .sums && rm .sums) || fail "$1@$2: content is not what its digest says"
}

fetch_compare() {
    local a b
    a=$(mktemp -d "$T/cmp.XXXXXX") b=$(mktemp -d "$T/cmp.XXXXXX")
    fetch_image "$1" "$3" "$a"
    fetch_image "$2" "$3" "$b"
    diff -r "$a" "$b" >&2 || fail "$1@$3 and $2@$3 differ"
    rm -r "$a" "$b"
}

# docker-registry answers 404 for a repository that has manifests but no tag.
registry_tags() {
    local answer
    answer=$(curl -sS --max-time 120 "${CURL[@]}" "$(repo_url "$1")/tags/list")
    jq -r 'if .errors then (if .errors[0].code == "NAME_UNKNOWN" then empty
           else error(.errors[0].code) end) else (.tags // [] | sort | .[]) end' <<<"$answer"
}

registry_digest() {
    web -H "Accept: $ACCEPT" -I "$(repo_url "$1")/manifests/$2" | tr -d '\r' |
        sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: //p'
}
