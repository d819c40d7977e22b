#!/bin/bash
# What is wrong with a certificate is said, and which option or folder mends it: by every command,
# for each side; and where nothing is wrong for skopeo, nothing is for us.
. "$(dirname "$0")/../lib/test.sh"
need docker-registry openssl skopeo jq

images "$T/plain" plain >/dev/null
app=$(image_digest "$T/plain" registry.example.invalid/team/app:1)
make_certificates
SAN=subjectAltName=IP:127.0.0.1
mkdir "$T/certs"
cp "$T/ca.crt" "$T/certs/"

# A registry whose certificate and key are in $T/server.{crt,key}, and an image in it.
registry() {
    start_registry "$@"
    R=$REGISTRY image=docker://$REGISTRY/team/app@$app
}
fill() { expect_status 0 mirror copy --dest-tls-verify=false "oci:$T/plain" "docker://$R/"; }

# refused TEXT HINT COMMAND...: with status 1, both on stderr, nothing copied.
refused() {
    local text=$1 hint=$2
    shift 2
    expect_status 1 mirror "$@"
    expect_contains "$err" "$text" "$hint"
    expect_missing "$T/x.tar"
}

# faulty TEXT HINT: as source, as destination, and for a command with one side. The hint's options
# are those of the side.
faulty() {
    fill
    refused "$1" "${2//PREFIX/--src-}" copy --src-tls-verify=true --src-cert-dir "$T/certs" \
        "$image" "bundle:$T/x.tar"
    refused "$1" "${2//PREFIX/--dest-}" copy --dest-tls-verify=true --dest-cert-dir "$T/certs" \
        "oci:$T/plain" "docker://$R/"
    refused "$1" "${2//PREFIX/--}" inspect --tls-verify=true --cert-dir "$T/certs" "$image"
    expect_status 1 skopeo --insecure-policy inspect --cert-dir "$T/certs" "$image"
    expect_status 0 mirror inspect --tls-verify=false "$image"
}

# ---- certificates that are not right ---------------------------------------------------------
sign_certificate "$T/server.crt" "$T/server.key" late "$SAN" 0
registry --tls
# It is good until the second in which it was made.
run_out() { ! openssl x509 -in "$T/server.crt" -noout -checkend 0 >/dev/null; }
wait_until 5 run_out
faulty "(CN = late, issued by CN = test CA) has expired on 20" "or do not verify: PREFIXtls-verify=false"

sign_certificate "$T/server.crt" "$T/server.key" lost subjectAltName=DNS:registry.mirror.test,DNS:b.test 2
registry --tls
faulty "is for another host: registry.mirror.test, b.test (CN = lost" "PREFIXtls-verify=false"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=alone \
    -addext "$SAN" -keyout "$T/server.key" -out "$T/server.crt" 2>/dev/null
registry --tls
faulty "shows a self-signed certificate (CN = alone)" "put it into $T/certs/ca.crt"
# As it says.
mkdir "$T/alone"
cp "$T/server.crt" "$T/alone/ca.crt"
expect_status 0 mirror inspect --tls-verify=true --cert-dir "$T/alone" "$image"

mv "$T/ca.crt" "$T/our.crt"
mv "$T/ca.key" "$T/our.key"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=other CA" \
    -addext basicConstraints=critical,CA:TRUE -keyout "$T/ca.key" -out "$T/ca.crt" 2>/dev/null
sign_certificate "$T/server.crt" "$T/server.key" stranger "$SAN" 2
registry --tls
faulty "(CN = stranger) is signed by CN = other CA, which is not trusted here" \
    "put the CA's certificate into $T/certs/ca.crt; or do not verify: PREFIXtls-verify=false"
# Where there is no folder yet, the hint names the one that will be looked into.
refused "not trusted" "certs.d/$R/ca.crt" inspect --tls-verify=true "$image"
# A folder of the home is used alone, found or not.
mkdir -p "$HOME/.config/containers/certs.d/$R"
refused "not trusted" "$HOME/.config/containers/certs.d/$R/ca.crt" inspect --tls-verify=true "$image"
cp "$T/ca.crt" "$HOME/.config/containers/certs.d/$R/any-name.crt"
expect_status 0 mirror inspect --tls-verify=true "$image"
expect_status 0 skopeo --insecure-policy inspect "$image"
rm -r "$HOME/.config"
# What the environment names is believed; what it names in vain is said.
SSL_CERT_FILE=$T/ca.crt expect_status 0 mirror inspect --tls-verify=true "$image"
SSL_CERT_FILE=$T/none.crt refused "SSL_CERT_FILE names $T/none.crt, which cannot be read" \
    "" inspect --tls-verify=true "$image"

# ---- no TLS ----------------------------------------------------------------------------------
registry
fill
refused "does not answer with TLS" "speaks plain http: --src-tls-verify=false" \
    copy --src-tls-verify=true "$image" "bundle:$T/x.tar"

# ---- our own certificate ---------------------------------------------------------------------
sign_certificate "$T/server.crt" "$T/server.key" mutual "$SAN" 2
registry --mutual
mkdir "$T/right" "$T/wrong" "$T/mixed" "$T/locked" "$T/half"
for place in right wrong mixed locked half; do cp "$T/ca.crt" "$T/$place/"; done
sign_certificate "$T/right/me.cert" "$T/right/me.key" me extendedKeyUsage=clientAuth 2
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=nobody \
    -keyout "$T/wrong/me.key" -out "$T/wrong/me.cert" 2>/dev/null
cp "$T/right/me.cert" "$T/mixed/me.cert"
cp "$T/wrong/me.key" "$T/mixed/me.key"
cp "$T/right/me.cert" "$T/right/me.key" "$T/half/"
rm "$T/half/me.key"
cp "$T/right/me.cert" "$T/locked/"
openssl pkcs8 -topk8 -in "$T/right/me.key" -passout pass:hush -out "$T/locked/me.key"
expect_status 0 mirror copy --dest-cert-dir "$T/right" "oci:$T/plain" "docker://$R/"
shown() { refused "$2" "$3" inspect --tls-verify=true --cert-dir "$T/$1" "$image"; }
cp -r "$T/half" "$T/none"
rm "$T/none/me.cert"
shown none "wants a client certificate, and got none" "NAME.cert and NAME.key, into $T/none"
shown wrong "refuses the client certificate $T/wrong/me.cert" "a pair that it accepts"
shown mixed "the key $T/mixed/me.key is damaged, or does not fit $T/mixed/me.cert" "belong together"
shown locked "client key $T/locked/me.key is locked with a password" "openssl pkey -in"
expect_status 1 mirror inspect --cert-dir "$T/half" "$image"
expect_contains "$err" "$T/half/me.cert needs $T/half/me.key beside it"
expect_status 0 mirror inspect --tls-verify=true --cert-dir "$T/right" "$image"
