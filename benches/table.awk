# Joins the rows of the benchmarks into one Markdown table. A row's fields, parted by tabs: the work, csw's figure, the figure
# of what stands beside it (or none), its name, the unit of both, and what is to be reached (or nothing):
#
#   <=0.25x  >=8x    csw's figure is at most, at least, so many times the other one
#   <=+10            it is at most so much more than the other one
#   <=160  >=80000   it is at most, at least, this

BEGIN {
    FS = "\t"
    print "| work | csw | beside it | ratio | to be reached | reached |"
    print "|---|---|---|---|---|---|"
}

# A text whose long numbers are parted into groups of three digits.
function grouped(text, number, before) {
    if (!match(text, /[0-9][0-9][0-9][0-9][0-9]+/)) return text
    before = substr(text, 1, RSTART - 1)
    number = substr(text, RSTART, RLENGTH)
    text = substr(text, RSTART + RLENGTH)
    while (match(number, /[0-9][0-9][0-9][0-9]/) && match(number, /^[0-9]+/))
        number = substr(number, 1, RLENGTH - 3) "," substr(number, RLENGTH - 2)
    return before number grouped(text)
}

# Three digits, or all of them before the point.
function figure(value) {
    if (value == int(value) || value >= 100) return grouped(sprintf("%.0f", value))
    return sprintf("%.*f", value < 10 ? 2 : 1, value)
}

function with_unit(value) { return figure(value) (unit == "" ? "" : " " unit) }

{
    csw = $2 + 0; other = $3 + 0; unit = $5; limit = $6
    bound = limit
    gsub(/[^0-9.]/, "", bound)
    bound += 0

    ratio = other > 0 ? sprintf("%.2f", csw / other) : ""
    if (limit ~ /x$/) { value = csw / other; goal = bound " times" }
    else if (limit ~ /\+/) { value = csw - other; goal = with_unit(bound) " more"; ratio = sprintf("%+.1f %s", value, unit) }
    else { value = csw; goal = with_unit(bound) }

    if (limit == "") goal = reached = ""
    else if (limit ~ /^<=/) { goal = "at most " goal; reached = value <= bound ? "yes" : "no" }
    else { goal = "at least " goal; reached = value >= bound ? "yes" : "no" }
    printf "| %s | %s | %s | %s | %s | %s |\n",
        grouped($1), with_unit(csw), $3 == "" ? "" : with_unit(other) ", " grouped($4), ratio, goal, reached
}
