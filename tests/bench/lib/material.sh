# shellcheck shell=bash disable=SC2034,SC2153
# The images that tests/bench/transfer moves, and the lists in which the contenders want them.
#
#   use_material     makes $SET (once) and puts it into the source registry; sets MATERIAL (its
#                    layout), IMAGES, BLOBS and BYTES (unique)
#   write_lists      the lists for the present SRC and DST, in $LISTS:
#     images           REPOSITORY:TAG          repositories   REPOSITORY
#     sources          SRC/REPOSITORY:TAG      map.r2r, map.pull, map.push: of oc image mirror
#     imageset.yaml    of oc-mirror            get.null, get.files, head, tags: of curl
#   $MATERIAL/blobs has a line "REPOSITORY DIGEST SIZE" for each blob of each image, and
#   $MATERIAL/manifests "REPOSITORY:TAG DIGEST MEDIATYPE".

use_material() {
    MATERIAL=$T/material/$SET LISTS=$T/lists
    export MATERIAL LISTS
    if [ ! -e "$MATERIAL/blobs.list" ]; then
        say "making the set $SET, at $SCALE percent"
        mkdir -p "$MATERIAL"
        "$TOOLS/benchimages" "$MATERIAL" "$SET" "$SCALE" >"$MATERIAL/images.list"
        list_material
        "$MIRROR" copy --quiet --dest-tls-verify=false "oci:$MATERIAL" \
            "docker://${SERVER_ADDRESS[src-plain]}/"
    fi
    IMAGES=$(wc -l <"$MATERIAL/images.list")
    read -r BLOBS BYTES < <(awk '!seen[$2]++ {n++; bytes += $3} END {print n, bytes}' \
        "$MATERIAL/blobs.list")
}

list_material() {
    local dir=$MATERIAL/blobs/sha256
    sed 's/.* sha256://' "$MATERIAL/images.list" | (cd "$dir" && xargs jq -r \
        '"sha256:\(input_filename) \(.mediaType)"') | awk '
        NR == FNR {type[$1] = $2; next} {print $1, $2, type[$2]}' - "$MATERIAL/images.list" \
        >"$MATERIAL/manifests.list"
    sed 's/.* sha256://' "$MATERIAL/images.list" | (cd "$dir" && xargs jq -r \
        '"sha256:\(input_filename)" as $image | .config, .layers[] | "\($image) \(.digest) \(.size)"') |
        awk 'NR == FNR {sub(/:[^:]*$/, "", $1); repo[$2] = $1; next}
            !seen[repo[$1], $2]++ {print repo[$1], $2, $3}' "$MATERIAL/images.list" - \
            >"$MATERIAL/blobs.list"
}

write_lists() {
    mkdir -p "$LISTS"
    cut -d' ' -f1 "$MATERIAL/images.list" >"$LISTS/images"
    sed 's/:[^:]*$//' "$LISTS/images" | sort -u >"$LISTS/repositories"
    sed "s,^,$SRC/," "$LISTS/images" >"$LISTS/sources"
    sed "s,.*,$SRC/&=$DST/&," "$LISTS/images" >"$LISTS/map.r2r"
    sed "s,.*,$SRC/&=file://&," "$LISTS/images" >"$LISTS/map.pull"
    sed "s,.*,file://&=$DST/&," "$LISTS/images" >"$LISTS/map.push"
    {
        printf 'kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\n'
        printf 'mirror:\n  additionalImages:\n'
        sed 's,^,  - name: ,' "$LISTS/sources"
    } >"$LISTS/imageset.yaml"
    write_curl_lists
}

# Every manifest and every blob once, as a pull has to; every manifest's HEAD, as a second run has to;
# and every tag's, to see whether a run did its work.
write_curl_lists() {
    {
        awk '{repo = tag = $1; sub(/:[^:]*$/, "", repo); sub(/.*:/, "", tag)
            print "manifests", repo, $2, $3, tag}' \
            "$MATERIAL/manifests.list"
        awk '!seen[$2]++ {print "blobs", $1, $2, "application/octet-stream"}' "$MATERIAL/blobs.list"
    } | awk -v url="$URL//$SRC/v2" -v head="$URL//$DST/v2" -v lists="$LISTS" -v tls="$CURL_CA" \
        -v any="$ACCEPT" '
        function part(file, address, output, accept) {
            if (started[file]++) print "next" >file
            printf "url = \"%s\"\noutput = \"%s\"\nheader = \"Accept: %s\"\nfail\nhttp1.1\n",
                address, output, accept >file
            if (tls) printf "cacert = \"%s\"\n", tls >file
        }
        {
            address = "/" $2 "/" $1 "/" $3
            name = $3
            sub("sha256:", "", name)
            part(lists "/get.null", url address, "/dev/null", $4)
            part(lists "/get.files", url address, name, $4)
            if ($1 == "manifests") {
                part(lists "/head", head address, "/dev/null", $4)
                print "head" >(lists "/head")
                part(lists "/tags", head "/" $2 "/manifests/" $5, "/dev/null", any)
                print "head\nwrite-out = \"%{http_code}\\n\"" >(lists "/tags")
            }
        }'
}
