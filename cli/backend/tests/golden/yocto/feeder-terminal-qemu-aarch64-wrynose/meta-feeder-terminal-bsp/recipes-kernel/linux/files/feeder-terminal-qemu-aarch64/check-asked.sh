#!/bin/sh
# Compares a final .config with what was asked of it: check-asked.sh WHAT CONFIG ASKED [SOURCES]
# Lines of ASKED: symbol, value, `-` or `waived` or `unless OTHER`, and who asked; separated
# by tabs. With `unless`, it is asked only while the other symbol is not set.
# With the tree of SOURCES, each lost symbol is told with the dependency that is not met.
set -eu

what=$1
config=$2
asked=$3
sources=${4:-}

if [ ! -f "$config" ]; then
	echo "error: the final configuration of $what is not at $config" >&2
	exit 1
fi

lost=$(awk -F '\t' -v what="$what" '
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
	printf "%s\terror: %s: `%s` was asked to be `%s` by %s, but is `%s`\n", $1, what, $1, $2, $4, is
}
' "$config" "$asked")
[ -n "$lost" ] || exit 0

# Why, by the conditions of each place that defines a symbol and of the blocks around it in the same file.
# No solver: comparisons of size and macros count as met. Of other architectures nothing is read.
# Source: Linux Documentation/kbuild/kconfig-language.rst.
why=""
if [ -n "$sources" ]; then
	symbols=$(printf '%s\n' "$lost" | cut -f 1)
	why=$(LOST=$symbols find "$sources" -name .git -prune -o -type f -name 'Kconfig*' -exec awk '
function next_word() {
	sub(/^[ \t]+/, "", rest)
	if (rest ~ /^\$\(/) {
		word = rest
		rest = ""
	} else if (match(rest, /^(&&|\|\||!=|<=|>=|[!=<>()])/) || match(rest, /^"[^"]*"/) || match(rest, /^[A-Za-z0-9_.-]+/)) {
		word = substr(rest, 1, RLENGTH)
		rest = substr(rest, RLENGTH + 1)
	} else {
		word = rest = ""
	}
}
function value(name) {
	if (name ~ /^"/)
		return substr(name, 2, length(name) - 2)
	if (name ~ /^[ymn]$/ || name ~ /^[0-9]/)
		return name
	return (name in found) ? found[name] : "n"
}
function either(left, right) {
	left = both()
	while (word == "||") {
		next_word()
		right = both()
		left = left || right
	}
	return left
}
function both(left, right) {
	left = single()
	while (word == "&&") {
		next_word()
		right = single()
		left = left && right
	}
	return left
}
function single(left, operator, right) {
	if (word == "!") {
		next_word()
		return !single()
	}
	if (word == "(") {
		next_word()
		left = either()
		if (word == ")")
			next_word()
		return left
	}
	left = word
	next_word()
	if (word ~ /^(=|!=|<|>|<=|>=)$/) {
		operator = word
		next_word()
		right = word
		next_word()
		if (operator == "=")
			return value(left) == value(right)
		return operator != "!=" || value(left) != value(right)
	}
	return left ~ /^[$"]/ || left == "" || value(left) != "n"
}
function holds(condition) {
	rest = condition
	next_word()
	return either()
}
# The symbols of a condition with their values.
function values(condition, text) {
	text = ""
	rest = condition
	for (next_word(); word != ""; next_word())
		if (word ~ /^[A-Z0-9_]+$/ && word !~ /^[0-9]+$/)
			text = text (text == "" ? "" : ", ") "`" word "` is `" value(word) "`"
	return text == "" ? "" : " (" text ")"
}
function unmet(conditions, list, count, i, text) {
	text = ""
	count = split(conditions, list, "\n")
	for (i = 1; i <= count; i++)
		if (list[i] != "" && !holds(list[i]))
			text = text (text == "" ? "" : " and ") "`" list[i] "`" values(list[i])
	return text
}
function ended(i, text) {
	if (symbol in wanted) {
		text = unmet(own)
		for (i = 1; i <= depth; i++)
			if (unmet(around[i]) != "")
				text = text (text == "" ? "" : " and ") unmet(around[i])
		print symbol "\t" (text == "" ? "its dependencies are met; another symbol, a choice or the lack of a prompt decides" : "it depends on " text)
	}
	symbol = own = ""
}
BEGIN {
	count = split(ENVIRON["LOST"], names, "\n")
	for (i = 1; i <= count; i++)
		wanted[names[i]]
}
FNR == 1 && NR > 1 {
	ended()
	depth = help = 0
	held = ""
	foreign = 0
	if (match(FILENAME, /\/arch\/[^\/]+\//))
		foreign = !(toupper(substr(FILENAME, RSTART + 6, RLENGTH - 7)) in found)
}
NR == FNR {
	at = index($0, "=")
	if ($0 ~ /^CONFIG_/ && at > 0)
		found[substr($0, 8, at - 8)] = substr($0, at + 1)
	next
}
foreign { next }
/\\$/ {
	held = held substr($0, 1, length($0) - 1) " "
	next
}
{
	$0 = held $0
	held = ""
	match($0, /^[ \t]*/)
	indent = RLENGTH
	if (NF == 0 || $1 ~ /^#/)
		next
	# The text of a help ends where a line is not indented deeper than its keyword.
	if (help && indent >= help)
		next
	help = 0
	arguments = $0
	sub(/^[ \t]*[^ \t]+[ \t]*/, "", arguments)
	sub(/[ \t]+#.*$/, "", arguments)
	gsub(/[ \t]+/, " ", arguments)
}
$1 == "help" || $1 == "---help---" { help = indent > 0 ? indent : 1; next }
$1 == "config" || $1 == "menuconfig" { ended(); symbol = $2; next }
$1 == "depends" {
	sub(/^on[ \t]+/, "", arguments)
	if (symbol != "")
		own = own "\n" arguments
	else if (depth > 0)
		around[depth] = around[depth] "\n" arguments
	next
}
$1 == "comment" { ended(); symbol = "(a comment)"; next }
$1 == "if" { ended(); around[++depth] = arguments; next }
$1 == "menu" || $1 == "choice" { ended(); around[++depth] = ""; next }
$1 == "endif" || $1 == "endmenu" || $1 == "endchoice" { ended(); if (depth > 0) depth--; next }
$1 == "source" { ended() }
END { ended() }
' "$config" {} +) || sources=""
fi

printf '%s\n' "$lost" | WHY=$why awk -F '\t' -v sources="$sources" '
BEGIN {
	count = split(ENVIRON["WHY"], lines, "\n")
	for (i = 1; i <= count; i++) {
		at = index(lines[i], "\t")
		if (lines[i] in said)
			continue
		said[lines[i]]
		name = substr(lines[i], 1, at - 1)
		reason[name] = reason[name] (name in reason && reason[name] != "" ? "; or " : "") substr(lines[i], at + 1)
	}
}
{
	text = $2
	if ($1 in reason)
		text = text ": " reason[$1]
	else if (sources != "")
		text = text ": no Kconfig file of its sources defines it"
	print text
}
' >&2
exit 1
