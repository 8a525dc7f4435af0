#!/usr/bin/env bash
# A durable order in Bash with jq, as docs/conversation.md has it. It reads one
# request and writes one answer; socat, or any other inetd, gives it a connection.
read -r _ || exit 0 # somebody looked whether we are here
while IFS=': ' read -r name value && [[ $name != $'\r' ]]; do
  [[ ${name,,} == content-length ]] && length=${value%$'\r'}
done
question=$(head -c "$length")

# Says what comes next, given what has been done. It does nothing itself.
ask='
  if .steps.charge == null then {steps: [{id: "charge", run: {amount: .event.data.amount}}]}
  elif .steps.charge.error then {return: {status: "declined", reason: .steps.charge.error.message}}
  elif .steps.settle == null then {steps: [{id: "settle", sleep: "1s"}]}
  elif .steps.mail == null or .steps.ship == null then {steps: [{id: "mail", run: null}, {id: "ship", run: null}]}
  else {return: {status: "shipped", charge: .steps.charge.data.id}} end'

# Does one step. It is called once for each, again only if that failed.
run() {
  if [[ $1 == charge ]] && jq -e '.input.amount > 1000' <<<"$question" >/dev/null; then
    status='402 Payment Required' answer='{"name": "CardDeclined", "message": "the card was declined"}'
  else
    answer=$(jq -c '{id: (.run + "-" + .ctx.runId)}' <<<"$question")
  fi
}

status='200 OK' step=$(jq -r '.run // empty' <<<"$question")
if [[ $step ]]; then run "$step"; else answer=$(jq -c "$ask" <<<"$question"); fi
LC_ALL=C
printf 'HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s' "$status" "${#answer}" "$answer"
