# scripts/check-stack.awk: how much stack each hook takes together with all that it calls, from the machine code.
#
#   readelf -W --debug-dump=frames-interp SHIM >frames; objdump -d --no-show-raw-insn SHIM >code
#   nm -D --defined-only SHIM >exported
#   awk -v limit=BYTES -v larger_file=FILE -f scripts/check-stack.awk exported frames code
#
# At each instruction the tables for unwinding say how far the stack pointer is from where the caller's frame ends, so
# the answer is that of the machine code: what a compiler inlines, shares or leaves by a jump counts as it is. What the
# host itself calls, libc's own function behind the hook, is called through a pointer and does not count.
#
# larger_file: lines of FUNCTION|BYTES|REASON, the function as a regular expression, for hooks that may take more.
# Prints everything above its limit, and the largest within; ends with 1 when there is something.

function number(hex,   i, n) {
  n = 0
  hex = tolower(hex)
  for (i = 1; i <= length(hex); i++) n = n * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
  return n
}

# Bytes between the stack pointer and the caller's frame at an address of the function at f, the return address among
# them.
function taken(f, address,   i, best) {
  best = word
  for (i = 1; i <= rows[f]; i++) if (row_at[f, i] <= address) best = row_bytes[f, i]
  return best
}

function limit_of(hook,   i, bytes) {
  bytes = limit
  for (i = 1; i <= patterns; i++) if (hook ~ pattern[i]) bytes = larger[i]
  return bytes
}

# The deepest chain from the function at f on: its bytes, and in way[f] the functions.
function depth(f,   i, t, best, bytes, deepest) {
  if (f in known) return known[f]
  if (f in walking) {
    cycle = cycle " " name[f]
    return 0
  }
  walking[f] = 1
  best = largest(f)
  deepest = ""
  for (i = 1; i <= calls[f]; i++) {
    t = callee[f, i]
    if (!(t in name)) continue
    bytes = held[f, i] + depth(t)
    if (bytes > best) {
      best = bytes
      deepest = t
    }
  }
  delete walking[f]
  known[f] = best
  way[f] = name[f] " " largest(f) (deepest == "" ? "" : ", " way[deepest])
  return best
}

function largest(f,   i, best) {
  best = word
  for (i = 1; i <= rows[f]; i++) if (row_bytes[f, i] > best) best = row_bytes[f, i]
  return best
}

BEGIN {
  word = 8
  while ((getline line < larger_file) > 0) {
    if (split(line, field, "|") < 3) continue
    pattern[++patterns] = "^(" field[1] ")$"
    larger[patterns] = field[2]
  }
}

FNR == 1 { part++ }

part == 1 { exported[$NF] = 1 }

part == 2 && / FDE / {
  split($0, range, /pc=|\.\./)
  from = range[2]
  sub(/^0+/, "", from)
  reading = 0
  next
}
part == 2 && /^ *LOC / { reading = 1; next }
part == 2 && reading && NF >= 2 && $1 ~ /^[0-9a-f]+$/ {
  if ($2 ~ /^[er]?sp\+[0-9]+$/) {
    row_bytes[from, ++rows[from]] = substr($2, index($2, "+") + 1) + 0
  } else {
    row_bytes[from, ++rows[from]] = 0 # by another register: its frame grows, which check-hooks asks a reason for
  }
  row_at[from, rows[from]] = number($1)
  next
}
part == 2 { reading = 0 }

# A function begins. Two of the same name in two files are two.
part == 3 && /^[0-9a-f]+ <.*>:$/ {
  f = $1
  sub(/^0+/, "", f)
  label = $2
  gsub(/[<>:]/, "", label)
  name[f] = label
  next
}
part == 3 && $2 ~ /^(call|jmp|j[a-z]+)$/ && $4 ~ /^<[^+>]+>$/ && ($2 == "call" || $3 != f) {
  address = $1
  sub(/:$/, "", address)
  bytes = taken(f, number(address))
  callee[f, ++calls[f]] = $3
  if ($2 == "call") held[f, calls[f]] = bytes
  else if ($4 ~ /\.cold/) held[f, calls[f]] = 0 # of the same function; its tables count the frame that it goes on in
  else held[f, calls[f]] = bytes - word # the frame is left first
  next
}

END {
  for (f in name) {
    if (!(name[f] in exported)) continue
    hooks++
    bytes = depth(f)
    if (bytes > limit_of(name[f])) {
      printf "  %6d  %s, TOO MUCH: the limit is %d bytes\n", bytes, way[f], limit_of(name[f])
      bad = 1
    } else if (limit_of(name[f]) == limit && bytes > worst) {
      worst = bytes
      worst_way = way[f]
    }
  }
  if (cycle != "") {
    printf "  functions that call themselves:%s\n", cycle
    bad = 1
  }
  if (hooks == 0) {
    print "  no hooks were found in the machine code"
    bad = 1
  }
  printf "%d hooks, the most that one takes with all that it calls, within the limit: %d bytes, %s\n", hooks, worst, worst_way
  exit bad
}
