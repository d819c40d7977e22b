# shellcheck shell=bash disable=SC2016,SC2034,SC2089,SC2090
# Who runs in tests/bench/transfer, and how: one line a contender and scenario,
#
#     SCENARIO|NAME|TOOL|COMMAND
#
# The command is run by sh -e in an empty directory $W. It finds SRC and DST (HOST:PORT), $LISTS
# (material.sh), $KEPT (what this contender's own pull left) and the options of its tool for plain
# HTTP or TLS (scheme_options). TOOL floor stands for curl, openssl and cp, which do the bare
# minimum: every byte and every request that the work cannot do without.

CONTENDERS='
pull|mirror|mirror|$MIRROR copy --quiet $BENCH_MIRROR_ARGS $MIRROR_SRC --file $LISTS/sources bundle:$W/out.tar
pull|other|other|$BENCH_OTHER copy --quiet $BENCH_MIRROR_ARGS $MIRROR_SRC --file $LISTS/sources bundle:$W/out.tar
pull|skopeo|skopeo|while read -r i; do skopeo --insecure-policy --tmpdir $TMPDIR copy -q $SKOPEO_SRC docker://$SRC/$i oci:$W/out:$(flat $i); done <$LISTS/images; tar -cf $W/out.tar -C $W/out .; rm -r $W/out
pull|crane|crane|crane pull $CRANE_ANY --format=oci --annotate-ref $(cat $LISTS/sources) $W/out; tar -cf $W/out.tar -C $W/out .; rm -r $W/out
pull|oras|oras|while read -r i; do oras cp --no-tty $ORAS_SRC --to-oci-layout $SRC/$i $W/out:$(flat $i); done <$LISTS/images; tar -cf $W/out.tar -C $W/out .; rm -r $W/out
pull|oras-backup|oras|while read -r r; do oras backup --no-tty $ORAS_ANY -o $W/$(flat $r).tar $SRC/$r; done <$LISTS/repositories
pull|regctl|regctl|while read -r i; do regctl $REGCTL_ANY image copy $SRC/$i ocidir://$W/out:$(flat $i); done <$LISTS/images; tar -cf $W/out.tar -C $W/out .; rm -r $W/out
pull|oc|oc|oc image mirror $OC_ANY --dir=$W/out -f $LISTS/map.pull
pull|oc-mirror|oc-mirror|OC_MIRROR_CACHE=$W/cache oc-mirror --v2 -c $LISTS/imageset.yaml $OCMIRROR_SRC file://$W/out
pull|curl-null|floor|curl -s -Z --parallel-max 32 -K $LISTS/get.null
pull|curl-files|floor|curl -s -Z --parallel-max 32 -K $LISTS/get.files
pull|sha256|floor|openssl dgst -sha256 $MATERIAL/blobs/sha256/* >/dev/null
pull|sha256-2|floor|ls $MATERIAL/blobs/sha256/* | xargs -P 2 -n 8 openssl dgst -sha256 >/dev/null
pull|cp|floor|cp -r --reflink=never $MATERIAL/blobs $W/blobs
push|mirror|mirror|$MIRROR copy --quiet $BENCH_MIRROR_ARGS $MIRROR_DST bundle:$KEPT/out.tar docker://$DST/
push|other|other|$BENCH_OTHER copy --quiet $BENCH_MIRROR_ARGS $MIRROR_DST bundle:$KEPT/out.tar docker://$DST/
push|skopeo|skopeo|mkdir -p $W/in; tar -xf $KEPT/out.tar -C $W/in; while read -r i; do skopeo --insecure-policy --tmpdir $TMPDIR copy -q $SKOPEO_DST oci:$W/in:$(flat $i) docker://$DST/$i; done <$LISTS/images
push|oras|oras|while read -r i; do oras cp --no-tty $ORAS_DST --from-oci-layout $KEPT/out.tar:$(flat $i) $DST/$i; done <$LISTS/images
push|oras-backup|oras|while read -r r; do oras restore --no-tty $ORAS_ANY --input $KEPT/$(flat $r).tar $DST/$r; done <$LISTS/repositories
push|regctl|regctl|mkdir -p $W/in; tar -xf $KEPT/out.tar -C $W/in; while read -r i; do regctl $REGCTL_ANY image copy ocidir://$W/in:$(flat $i) $DST/$i; done <$LISTS/images
push|oc|oc|oc image mirror $OC_ANY --from-dir=$KEPT/out -f $LISTS/map.push
push|oc-mirror|oc-mirror|OC_MIRROR_CACHE=$W/cache oc-mirror --v2 -c $LISTS/imageset.yaml $OCMIRROR_DST --from file://$KEPT/out docker://$DST
push|curl-upload|floor|$UPLOAD $MATERIAL $URL//$DST/v2
r2r|mirror|mirror|$MIRROR copy --quiet $BENCH_MIRROR_ARGS $MIRROR_SRC $MIRROR_DST --file $LISTS/sources docker://$DST/
r2r|other|other|$BENCH_OTHER copy --quiet $BENCH_MIRROR_ARGS $MIRROR_SRC $MIRROR_DST --file $LISTS/sources docker://$DST/
r2r|skopeo|skopeo|while read -r i; do skopeo --insecure-policy --tmpdir $TMPDIR copy -q $SKOPEO_SRC $SKOPEO_DST docker://$SRC/$i docker://$DST/$i; done <$LISTS/images
r2r|crane|crane|while read -r i; do crane copy $CRANE_ANY $SRC/$i $DST/$i; done <$LISTS/images
r2r|oras|oras|while read -r i; do oras cp --no-tty $ORAS_SRC $ORAS_DST $SRC/$i $DST/$i; done <$LISTS/images
r2r|regctl|regctl|while read -r i; do regctl $REGCTL_ANY image copy $SRC/$i $DST/$i; done <$LISTS/images
r2r|oc|oc|oc image mirror $OC_ANY -f $LISTS/map.r2r
r2r|oc-mirror|oc-mirror|OC_MIRROR_CACHE=$W/cache oc-mirror --v2 -c $LISTS/imageset.yaml $OCMIRROR_SRC $OCMIRROR_DST --workspace file://$W/state docker://$DST
again|curl-head|floor|curl -s -Z --parallel-max 32 -K $LISTS/head
'

# The same once more is the same command. Its floor: is each manifest there?
CONTENDERS=$(awk -F'|' -v OFS='|' '
    {print}
    $3 != "floor" && NF > 3 {$1 = $1 "-again"; print}
    $1 == "again" {$1 = "push-again"; print; $1 = "r2r-again"; print}' <<<"$CONTENDERS")

# A repository and tag as the tag of a layout, for the commands.
FLAT='flat() { printf %s "$1" | tr /: -_; }'

# scheme_options plain|tls. Go programs and curl find the authority by SSL_CERT_FILE; TLS is verified.
scheme_options() {
    export SRC DST MIRROR URL=http: CURL_CA='' UPLOAD="$here/lib/upload" BENCH_MIRROR_ARGS BENCH_OTHER
    export MIRROR_SRC=--src-tls-verify=false MIRROR_DST=--dest-tls-verify=false
    export SKOPEO_SRC=--src-tls-verify=false SKOPEO_DST=--dest-tls-verify=false
    export CRANE_ANY=--insecure OC_ANY=--insecure ORAS_ANY=--plain-http
    export ORAS_SRC=--from-plain-http ORAS_DST=--to-plain-http
    export REGCTL_ANY="--host reg=$SRC,tls=disabled --host reg=$DST,tls=disabled"
    export OCMIRROR_SRC=--src-tls-verify=false OCMIRROR_DST=--dest-tls-verify=false
    if [ "$1" = tls ]; then
        export SSL_CERT_FILE=$T/ca.crt URL=https: CURL_CA=$T/ca.crt
        MIRROR_SRC="--src-cert-dir $T/ca" MIRROR_DST="--dest-cert-dir $T/ca"
        SKOPEO_SRC='' SKOPEO_DST='' CRANE_ANY='' OC_ANY='' ORAS_ANY='' ORAS_SRC='' ORAS_DST=''
        REGCTL_ANY='' OCMIRROR_SRC='' OCMIRROR_DST=''
    else
        unset SSL_CERT_FILE
    fi
}
