#!/bin/sh
# Compares a final .config with what was asked of it: check-asked.sh WHAT CONFIG ASKED
# Lines of ASKED: symbol, value, `-` or `waived` or `unless OTHER`, and who asked; separated
# by tabs. With `unless`, it is asked only while the other symbol is not set.
set -eu

what=$1
config=$2
asked=$3

if [ ! -f "$config" ]; then
	echo "error: the final configuration of $what is not at $config" >&2
	exit 1
fi

awk -F '\t' -v what="$what" '
function number(text, value, i) {
	text = tolower(text)
	if (text ~ /^-?[0-9]+$/)
		return text + 0
	if (text !~ /^0x[0-9a-f]+$/)
		return "no number"
	value = 0
	for (i = 3; i <= length(text); i++)
		value = value * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
	return value
}
NR == FNR {
	at = index($0, "=")
	if ($0 !~ /^#/ && at > 0) {
		name = substr($0, 1, at - 1)
		sub(/^CONFIG_/, "", name)
		found[name] = substr($0, at + 1)
	}
	next
}
{
	is = ($1 in found) ? found[$1] : "n"
	if (is == $2 || $3 == "waived")
		next
	if ($3 ~ /^unless / && substr($3, 8) in found)
		next
	if (number(is) != "no number" && number(is) == number($2))
		next
	printf "error: %s: `%s` was asked to be `%s` by %s, but is `%s`\n", what, $1, $2, $4, is
	bad++
}
END { exit bad > 0 }
' "$config" "$asked" >&2
