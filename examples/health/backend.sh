#!/usr/bin/env bash
# A service in Bash that is well unless the file $UNWELL exists. It reads one
# request and writes one answer; socat, or any other inetd, gives it a connection.
answer() { # status, body
  printf 'HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s' "$1" "${#2}" "$2"
}

read -r method path _ || exit 0 # somebody looked whether we are here
length=0
while IFS=': ' read -r name value && [[ $name != $'\r' ]]; do
  [[ ${name,,} == content-length ]] && length=${value%$'\r'}
done
((length == 0)) || body=$(head -c "$length")

case "$method $path" in
  'GET /health')
    if [[ -e ${UNWELL:-/nonexistent} ]]; then
      answer '503 Service Unavailable' '{"reason": "the disk is full"}'
    else
      answer '200 OK' '{"reason": ""}'
    fi ;;
  'POST /alerts')
    [[ -z $ALERTS ]] || printf '%s\n' "$body" >> "$ALERTS"
    answer '200 OK' '{"id": "alert-1"}' ;;
  *) answer '404 Not Found' '{"message": "nothing here"}' ;;
esac
