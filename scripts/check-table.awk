# check-table.awk: which exported functions of a C library can reach a system call that matters, from its machine code.
#
#   awk -v machine=x86-64|i386 -f check-table.awk FACTS pass=1 CODE pass=2 CODE pass=3 CODE
#
# FACTS has lines `start ADDRESS` (a function begins), `name ADDRESS NAME` (an exported one), `pointer ADDRESS VALUE`
# (data that holds an address), `reads ADDRESS` (a string that begins with r); CODE is what objdump -d prints. Prints
# `KIND NAME`, one line for each exported function and each kind of call that it can reach by direct calls and jumps, by
# an address that it takes of a function, or by a table of such addresses that it uses; and `reads NAME` for what can
# reach nothing but opening with flags that do not create. Must never: claim less than what is there. Where it cannot
# tell (flags from elsewhere) it says that the function can. Calls through pointers that are passed in are not followed:
# what they lead to has been taken the address of by whoever passes it.

BEGIN {
  if (machine == "i386") {
    kinds = "open:5,8,295,437,342 make:39,14,296,297 link:9,83,303,304 rename:38,302,353 remove:10,40,301 bind:361 " \
            "directory:12,133,61,217,310,346 process:2,190,120,435 program:11,358 end:252 shorten:92,93,193,194"
  } else {
    kinds = "open:2,85,257,437,304 make:83,133,258,259 link:86,88,265,266 rename:82,264,316 remove:84,87,263 bind:49 " \
            "directory:80,81,161,155,272,308 process:56,57,58,435 program:59,322 end:231 shorten:76,77"
  }
  kind_count = split(kinds, part, " ")
  for (i = 1; i <= kind_count; i++) {
    split(part[i], half, ":")
    kind[i] = half[1]
    n = split(half[2], number_list, ",")
    for (j = 1; j <= n; j++) kind_of[number_list[j]] = half[1]
  }
  NUMBER_OPEN = 2
  NUMBER_OPENAT = 257
  # One name for each register, whatever its width.
  n = split("ax bx cx dx si di bp sp", letter, " ")
  for (i = 1; i <= n; i++) whole["r" letter[i]] = whole["e" letter[i]] = whole[letter[i]] = "r" letter[i]
  whole["al"] = "rax"; whole["bl"] = "rbx"; whole["cl"] = "rcx"; whole["dl"] = "rdx"; whole["sil"] = "rsi"
  whole["dil"] = "rdi"; whole["bpl"] = "rbp"; whole["ah"] = "rax"; whole["bh"] = "rbx"; whole["ch"] = "rcx"
  whole["dh"] = "rdx"
  for (i = 8; i <= 15; i++) whole["r" i] = whole["r" i "d"] = whole["r" i "w"] = whole["r" i "b"] = "r" i
}

function from_hex(text,    i, value) {
  value = 0
  for (i = 1; i <= length(text); i++) value = value * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
  return value
}
function to_hex(value,    text) {
  text = ""
  for (; value > 0; value = int(value / 16)) text = substr("0123456789abcdef", value % 16 + 1, 1) text
  return text
}
function register(operand) {
  sub(/^%/, "", operand)
  return (operand in whole) ? whole[operand] : operand
}
function forget(    r) { for (r in holds) delete holds[r] }
# What is in a register here: "$0x40" a constant, "@1234" the address of data, "%rsi" what came in there; "" unknown.
function constant(r) { return (r in holds) && holds[r] ~ /^\$/ ? from_hex(substr(holds[r], 4)) : -1 }
function bit(value, weight) { return int(value / weight) % 2 }
function creates(flags) { return bit(flags, 64) || bit(flags, 4194304) } # O_CREAT; what O_TMPFILE has of its own
function target_of(    t) {
  t = $0
  sub(/.*# /, "", t)
  sub(/ .*/, "", t)
  return t
}
function edge(to, by_address) {
  edges++
  edge_from[edges] = current
  edge_to[edges] = to
  edge_address[edges] = by_address
  split("rdi rsi rdx", argument, " ")
  for (r = 1; r <= 3; r++) if (argument[r] in holds) edge_holds[edges, argument[r]] = holds[argument[r]]
}
# A table of addresses ends where the next object that code knows of begins.
function table_edges(at,    i) {
  for (i = 0; (at in pointer) && (i == 0 || !(at in referenced)); i++) {
    edge(pointer[at], 1)
    at = to_hex(from_hex(at) + 8)
  }
}
function reaches_directly(what) { direct[current, what] = 1 }
function system_call(number,    flags_in, flags) {
  if (number < 0) {
    if (("rax" in holds) && holds["rax"] ~ /^%/) forwards[current] = substr(holds["rax"], 2) # syscall(), musl's __syscall_cp
    else unknown[current] = 1
    return
  }
  if (!(number in kind_of)) return
  if (machine != "i386" && (number == NUMBER_OPEN || number == NUMBER_OPENAT)) {
    flags_in = number == NUMBER_OPEN ? "rsi" : "rdx"
    flags = constant(flags_in)
    if (flags >= 0 && !creates(flags)) {
      reads[current] = 1
      return
    }
    if ((flags_in in holds) && holds[flags_in] ~ /^%/) flags_from[current] = substr(holds[flags_in], 2)
  }
  reaches_directly(kind_of[number])
}

# ---- what is known before ----

FILENAME == ARGV[1] {
  if ($1 == "start" || $1 == "name") is_start[$2] = 1
  if ($1 == "name") names[$2] = names[$2] " " $3
  if ($1 == "pointer") pointer[$2] = $3
  if ($1 == "reads") is_reading_mode[$2] = 1
  next
}
!/^ *[0-9a-f]+:/ { next }

# ---- first pass: what is called, or whose address is taken, is the beginning of a function ----

pass == 1 {
  if ($2 ~ /^call/ && $3 ~ /^[0-9a-f]+$/) is_start[$3] = 1
  if ($0 ~ /\(%rip\).*# /) {
    referenced[target_of()] = 1
    if ($2 ~ /^lea/) is_start[target_of()] = 1
  }
  next
}

{
  address = $1
  sub(/:$/, "", address)
  operation = $2
  operands = $3
  if (operation ~ /^(bnd|notrack|lock|rep|repz|repnz|data16)$/) {
    operation = $3
    operands = $4
  }
}

# ---- second pass: to where is jumped; a jump from another function leads to what nobody calls ----

pass == 2 {
  if (address in is_start) current = address
  function_at[address] = current
  if (operation ~ /^j/ && operands ~ /^[0-9a-f]+$/) {
    is_label[operands] = 1
    jumped_from[operands, current] = 1
  }
  next
}

# ---- third pass: the edges ----

!prepared {
  prepared = 1
  for (pair in jumped_from) {
    split(pair, half, SUBSEP)
    if ((half[1] in function_at) && function_at[half[1]] != half[2] && !(half[1] in is_start)) is_part[half[1]] = 1
  }
  for (at in is_part) is_start[at] = 1
}
{
  if (address in is_start) {
    if ((address in is_part) && falls_through) edge(address, 1)
    current = address
    forget()
    holds["rdi"] = "%rdi"
    holds["rsi"] = "%rsi"
    holds["rdx"] = "%rdx"
  } else if (address in is_label) {
    forget()
  }
  function_at[address] = current
  if (operation !~ /^(nop|cs|xchg)/) falls_through = operation !~ /^(jmp|ret|hlt|ud2)/
}
operation == "syscall" || operation == "sysenter" || (operation == "int" && operands == "$0x80") ||
(operation ~ /^call/ && operands == "*%gs:0x10") {
  system_call(constant("rax"))
  delete holds["rax"]
  delete holds["rcx"]
  delete holds["r11"]
  next
}
operation ~ /^(call|j)/ {
  if (operands ~ /^[0-9a-f]+$/) edge(operands, 0)
  if (operation ~ /^call/) {
    n = split("rax rcx rdx rsi rdi r8 r9 r10 r11", lost, " ")
    for (i = 1; i <= n; i++) delete holds[lost[i]]
  }
  if (operation ~ /^jmp/) forget()
  next
}
operation ~ /^(ret|hlt|ud2)/ {
  forget()
  next
}
{
  if ($0 ~ /\(%rip\).*# /) {
    if (target_of() in pointer) table_edges(target_of())
    else if (operation ~ /^lea/) edge(target_of(), 1)
  }
  destination = $0
  sub(/ *[#<].*/, "", destination)
  sub(/[ \t]+$/, "", destination)
  sub(/.*[ ,\t]/, "", destination)
  source = operands
  sub(/,.*/, "", source)
  if (operation ~ /^(cmpxchg|xchg)/) forget()
  if (destination !~ /^%/ || operation ~ /^(cmp|test|push|nop|ucomi|comi|bt)/) next
  r = register(destination)
  if (operation ~ /^lea/ && $0 ~ /\(%rip\).*# /) {
    holds[r] = "@" target_of()
  } else if (operation ~ /^mov(l|q|abs)?$/ && source ~ /^\$0x[0-9a-f]+$/) {
    holds[r] = source
    loaded[current, r] = loaded[current, r] " " from_hex(substr(source, 4))
  } else if (operation ~ /^mov(l|q|slq)?$/ && source ~ /^%/) {
    from_register = register(source)
    if (r == "rax") copied[current] = copied[current] " " from_register
    if (from_register in holds) holds[r] = holds[from_register]
    else delete holds[r]
  } else if (operation ~ /^xor/ && register(source) == r && source ~ /^%/) {
    holds[r] = "$0x0"
  } else {
    delete holds[r]
  }
}

# ---- the graph ----

function resolve(    e, t) {
  for (e = 1; e <= edges; e++) {
    t = edge_to[e]
    if (!(t in is_start)) t = (t in function_at) ? function_at[t] : ""
    edge_to[e] = t == edge_from[e] ? "" : t
  }
}
# A call number that a loop keeps in a register: one of those that the function puts into it. Small ones are too common
# as values of anything; the calls that have them are made once, and seen.
function guess(    f, small, n, i, m, j, list, which) {
  small = machine == "i386" ? 20 : 2
  for (f in unknown) {
    n = split("rax" copied[f], list, " ")
    for (i = 1; i <= n; i++) {
      m = split(loaded[f, list[i]], which, " ")
      for (j = 1; j <= m; j++) if (which[j] > small && (which[j] in kind_of)) direct[f, kind_of[which[j]]] = 1
    }
  }
}
# Functions that are given the number: whoever calls them with a constant reaches that call. A part of the library that
# hands on a number which cannot be followed is taken for another of them.
function follow_numbers(    changed, e, held, number) {
  do {
    changed = 0
    for (e = 1; e <= edges; e++) {
      if (edge_to[e] == "" || !(edge_to[e] in forwards) || edge_address[e] || followed[e]) continue
      followed[e] = 1
      held = edge_holds[e, forwards[edge_to[e]]]
      if (held ~ /^\$/) {
        number = from_hex(substr(held, 4))
        if (number in kind_of) direct[edge_from[e], kind_of[number]] = 1
        edge_to[e] = ""
      } else if (!(edge_from[e] in forwards) && !(edge_from[e] in names)) {
        forwards[edge_from[e]] = held ~ /^%/ ? substr(held, 2) : "rdi"
        changed = 1
      }
    }
  } while (changed)
}
# True when this call opens with flags, or a mode, that cannot create.
function opens_to_read(e,    to, held) {
  if (machine == "i386") return 0
  to = names[edge_to[e]] " "
  if (to ~ / (_IO_|__)?(fopen|fopen64|freopen|freopen64|setmntent)@/) {
    held = edge_holds[e, "rsi"]
    return held ~ /^@/ && (substr(held, 2) in is_reading_mode)
  }
  if (to ~ / (__)?open(64)?(_nocancel|_2)?@/) held = edge_holds[e, "rsi"]
  else if (to ~ / (__)?openat(64)?(_nocancel|_2)?@/) held = edge_holds[e, "rdx"]
  else if (edge_to[e] in flags_from) held = edge_holds[e, flags_from[edge_to[e]]]
  else return 0
  return held ~ /^\$/ && !creates(from_hex(substr(held, 4)))
}
END {
  resolve()
  guess()
  follow_numbers()
  for (e = 1; e <= edges; e++) {
    if (edge_to[e] == "") continue
    # These end the process as main would, or by a signal, or end a thread; each has a decision of its own.
    if (names[edge_to[e]] ~ / (exit|pthread_exit|abort|__assert_fail|__assert_perror_fail|__chk_fail|__stack_chk_fail|__libc_fatal)@/)
      continue
    if (opens_to_read(e)) reads[edge_from[e]] = 1
    else into[edge_to[e]] = into[edge_to[e]] " " e
  }
  for (i = 1; i <= kind_count + 1; i++) {
    what = i <= kind_count ? kind[i] : "reads"
    split("", reached)
    top = 0
    if (what == "reads")
      for (f in reads) reached[stack[++top] = f] = 1
    for (pair in direct) {
      split(pair, half, SUBSEP)
      if (half[2] == what && !(half[1] in reached)) reached[stack[++top] = half[1]] = 1
    }
    while (top > 0) {
      n = split(into[stack[top--]], list, " ")
      for (j = 1; j <= n; j++)
        if (!(edge_from[list[j]] in reached)) reached[stack[++top] = edge_from[list[j]]] = 1
    }
    for (f in reached) {
      n = split(names[f], list, " ")
      for (j = 1; j <= n; j++) {
        sub(/@.*/, "", list[j])
        print what, list[j]
      }
    }
  }
}
