#!/bin/sh
# Makes the certificates of the TLS tests anew: two authorities that do not know each other, and what they have signed.
# Run in this folder; needs OpenSSL 3. Keys of tests are no secrets. The dates are fixed, so that a host's clock may be
# anywhere between 2021 and 2120: `openssl ca` takes them, with a configuration and a register that are thrown away.
set -eu
register=$(mktemp -d)
trap 'rm -rf "$register"' EXIT
from=20200101000000Z
cat >"$register/ca.cnf" <<END
[ca]
default_ca = tests
[tests]
database = $register/index
new_certs_dir = $register
rand_serial = yes
default_md = sha256
policy = named
unique_subject = no
[named]
commonName = supplied
END
: >"$register/index"
request() { # name, common name
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1-key.pem" -out "$register/$1.csr" -subj "/CN=$2"
}
issue() { # name, until; then who signs: arguments of openssl ca
  name=$1
  until=$2
  shift 2
  openssl ca -batch -notext -config "$register/ca.cnf" -extfile "$register/$name.ext" \
    -startdate "$from" -enddate "$until" -in "$register/$name.csr" -out "$name.pem" "$@"
}
authority() {
  request "$1" "$1"
  cat >"$register/$1.ext" <<END
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
END
  issue "$1" 21200101000000Z -selfsign -keyfile "$1-key.pem"
}
signed() { # name, authority, extended key usage, alternative names, common name, until
  request "$1" "${5:-$1}"
  cat >"$register/$1.ext" <<END
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = $3
subjectAltName = $4
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
END
  issue "$1" "${6:-21200101000000Z}" -cert "$2.pem" -keyfile "$2-key.pem"
}
authority authority
authority stranger-authority
signed server authority serverAuth DNS:localhost,IP:127.0.0.1,IP:::1
signed elsewhere authority serverAuth DNS:elsewhere.example localhost # the common name does not count beside others
signed expired-server authority serverAuth DNS:localhost,IP:127.0.0.1 expired-server 20210101000000Z
signed expired-client authority clientAuth DNS:client.example expired-client 20210101000000Z
signed client authority clientAuth DNS:client.example
signed stranger stranger-authority clientAuth DNS:stranger.example
rm -f authority-key.pem stranger-authority-key.pem
