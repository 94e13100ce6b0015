#!/usr/bin/env bash
# Plays the guide's timelines through a running gateway and prints what came of each step.
set -euo pipefail

# Within the gateway that run.sh starts.
[[ -n ${GATEWAY-} ]] || exec "$(dirname "$0")/run.sh" -- "$0"

business=106540352242922
begin=$((($(date +%s) - 5 * 86400) * 1000))
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT

row() { printf '%5s  %-42s %-8s %-22s %-26s %s\n' "$@"; }

at() { echo $((begin + $1 * 3600000)); }

chapter() {
    customer=$1
    printf '\n%s\n' "$2"
    row hour 'what happens' verdict reason conversation charge
}

# writes HOUR TEXT [REFERRAL]: the customer acts.
writes() {
    local body="{\"from\":\"$customer\",\"text\":\"$2\"${3:+,\"referral\":$3}}"
    curl -sSf -o "$headers" -H "X-CSW-At: $(at "$1")" "$STANDIN/standin/customer" -d "$body"
    grep -q '"webhook":200' "$headers" || { cat "$headers" >&2; exit 1; }
    row "$1" "customer: $2" - - - -
}

header() { sed -n "s/^$1: \(.*\)\r\$/\1/ip" "$headers"; }

# sends HOUR WHAT CONTENT: the business sends.
sends() {
    curl -sS -o /dev/null -D "$headers" -H "X-CSW-At: $(at "$1")" \
        -H 'Content-Type: application/json' "$GATEWAY/v23.0/$business/messages" \
        -d "{\"messaging_product\":\"whatsapp\",\"to\":\"$customer\",$3}"
    row "$1" "business: $2" "$(header X-CSW-Verdict)" "$(header X-CSW-Reason)" \
        "$(header X-CSW-Conversation)" "$(header X-CSW-Charge)"
    # The answer is recorded after it was sent.
    sleep 0.2
}

template() {
    sends "$1" "template $2" \
        "\"type\":\"template\",\"template\":{\"name\":\"$2\",\"language\":{\"code\":\"en_US\"}}"
}

free_form() { sends "$1" "$2" "\"type\":\"text\",\"text\":{\"body\":\"$2\"}"; }

list() {
    sends "$1" "interactive list" "\"type\":\"interactive\",\"interactive\":{\"type\":\"list\",
        \"body\":{\"text\":\"Sizes\"},\"action\":{\"button\":\"Choose\",\"sections\":[]}}"
}

ad='{"source_type":"ad","source_id":"120226305854810726","source_url":"https://fb.me/3cr4Wqqkv"}'

chapter 16505550001 "Categories: marketing, utility, utility"
template 0 summer_promotion
template 4 order_confirmation
template 10 shipment_update

chapter 16505550002 "Service: a reply inside a marketing conversation"
template 0 summer_promotion
writes 4 "Which sizes do you have?"
list 5
free_form 25 "We kept one for you."
free_form 26 "Shall we send it?"
free_form 28 "Still there?"

chapter 16505550003 "A free entry point: a click on an ad"
writes 0 "Can I get more info about this?" "$ad"
free_form 30 "Of course!"
template 30 summer_promotion
template 71 order_confirmation
free_form 71 "Anything else?"
free_form 72 "One more thing."

chapter 16505550004 "A free entry point, and a message at hour 60"
writes 0 "Can I get more info about this?" "$ad"
writes 60 "I am back."
free_form 83 "Welcome back!"
free_form 84 "Too late."
