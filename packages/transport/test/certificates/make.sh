#!/bin/sh
# Makes the certificates of the TLS tests anew: two authorities that do not know each other, and what they have signed.
# Run in this folder; needs OpenSSL 3. Keys of tests are no secrets.
set -eu
authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -keyout "$1-key.pem" -out "$1.pem" \
    -subj "/CN=$1" -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}
signed() { # name, authority, extended key usage, alternative names, common name, days
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1-key.pem" -out "$1.csr" -subj "/CN=${5:-$1}"
  printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=%s\nsubjectAltName=%s\n' "$3" "$4" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2-key.pem" -CAcreateserial -days "${6:-36500}" -extfile "$1.ext" -out "$1.pem"
  rm "$1.csr" "$1.ext"
}
authority authority
authority stranger-authority
signed server authority serverAuth DNS:localhost,IP:127.0.0.1,IP:::1
signed elsewhere authority serverAuth DNS:elsewhere.example localhost # the common name does not count beside others
signed expired-server authority serverAuth DNS:localhost,IP:127.0.0.1 expired-server 0
signed expired-client authority clientAuth DNS:client.example expired-client 0
signed client authority clientAuth DNS:client.example
signed stranger stranger-authority clientAuth DNS:stranger.example
rm -f ./*.srl authority-key.pem stranger-authority-key.pem
