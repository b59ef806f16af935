#!/bin/sh
# Sourced by scripts/bench, for its sub-commands `end` and `sweep`: what it costs to remove many tracked files.
#
# Each round prepares the same tree anew for every variant, in an order that turns with the round, and has it removed by
# a process of its own (tests/bench/bench_end.c), which fails when not everything was removed that should have been.
# Used from scripts/bench: build_dir, rounds, scale, files, label, work, output, fail.
# shellcheck disable=SC2154

removal=$build_dir/bench/bench_end

# Pages that earlier rounds have made dirty are written back by the kernel in its own time; not in the next variant's.
settle() { sync -f "$1" 2>/dev/null || sync; }

# one_removal VARIANT SHAPE FILES ROOT: prints "CPU WALL MEMORY JOURNAL" for one file.
one_removal() {
  rm -rf "$4/base" "$4/state"
  mkdir -m 700 "$4/base" "$4/state"
  case $1 in
    end | sweep-none | sweep-all) session=$("$removal" session "$3" "$2" "$4") || fail "no session could be prepared" ;;
    *) "$removal" tree "$3" "$2" "$4" || fail "no tree could be prepared" ;;
  esac
  settle "$4"
  case $1 in
    end | sweep-none | sweep-all) "$removal" "$1" "$3" "$session" ;;
    unlink) "$removal" unlink "$3" "$2" "$4" ;;
    rm) "$removal" run "$3" rm -rf "$4/base" ;;
  esac || fail "$label: $1 ($2) did not remove what it should"
}

# measure_removals ROOT SHAPE FILES VARIANT...: lines "SHAPE FILES ROUND VARIANT CPU WALL MEMORY JOURNAL" in $work/data.
measure_removals() {
  root=$1
  shape=$2
  count=$3
  shift 3
  round=0
  while [ "$round" -lt "$rounds" ]; do
    [ ! -t 2 ] || printf '\r\033[K%s' "$label: $shape, $count files, round $((round + 1))" >&2
    for variant; do
      result=$(one_removal "$variant" "$shape" "$count" "$root") || exit 1
      echo "$shape $count $round $variant $result" >>"$work/data"
    done
    first=$1
    shift
    set -- "$@" "$first"
    round=$((round + 1))
  done
  [ ! -t 2 ] || printf '\r\033[K' >&2
}

# Microseconds, and ratios of each round to the other variants of the same round: medians, the extremes beside them.
print_removals() {
  awk -v label="$label" -v rounds="$rounds" '
    function median(values, n,   i, j, x) {
      for (i = 2; i <= n; i++) {
        x = values[i]
        for (j = i - 1; j >= 1 && values[j] > x; j--) values[j + 1] = values[j]
        values[j + 1] = x
      }
      return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
    }
    function single(source, key, variant,   values, i) {
      for (i = 0; i < rounds; i++) values[i + 1] = source[key, i, variant]
      return median(values, rounds)
    }
    function ratio(source, key, variant, below,   values, i, figure) {
      if (!((key, 0, below) in source)) return "-"
      for (i = 0; i < rounds; i++) values[i + 1] = source[key, i, variant] / source[key, i, below]
      figure = median(values, rounds)
      return sprintf("%.2f (%.2f-%.2f)", figure, values[1], values[rounds])
    }
    {
      key = $1 " " $2
      if (!((key, 0, $4) in cpu)) { keys[++count] = key; variants[count] = $4 }
      cpu[key, $3, $4] = $5; wall[key, $3, $4] = $6; memory[key, $3, $4] = $7; journal[key, $3, $4] = $8
    }
    END {
      text["flat"] = "all in the base"
      text["below"] = "below one directory of ours"
      text["spread"] = "in 100 directories of ours"
      text["end"] = "end of the session"
      text["sweep-none"] = "a pass, none expired"
      text["sweep-all"] = "a pass, all expired"
      text["unlink"] = "unlinkat in a loop"
      text["rm"] = "rm -rf"
      printf "\n%s: us for one file, %d rounds\n", label, rounds
      printf "%-21s %6s %6s  %-17s %-17s %-17s %8s %9s\n", "", "CPU", "wall", "CPU/unlinkat", "CPU/rm -rf",
        "wall/unlinkat", "memory B", "journal B"
      for (n = 1; n <= count; n++) {
        key = keys[n]
        split(key, part, " ")
        if (key != shown) printf "%d files, %s\n", part[2], text[part[1]]
        shown = key
        v = variants[n]
        if (v == "unlink" || v == "rm") {
          printf "  %-19s %6.2f %6.2f\n", text[v], single(cpu, key, v) / 1000, single(wall, key, v) / 1000
          continue
        }
        printf "  %-19s %6.2f %6.2f  %-17s %-17s %-17s %8.0f %9.0f\n", text[v], single(cpu, key, v) / 1000,
          single(wall, key, v) / 1000, ratio(cpu, key, v, "unlink"), ratio(cpu, key, v, "rm"),
          ratio(wall, key, v, "unlink"), single(memory, key, v), single(journal, key, v)
      }
    }' "$work/data" >"$work/table"
  cat "$work/table"
  [ -z "$output" ] || cat "$work/table" >>"$output"
}

begin_removals() {
  [ -x "$removal" ] || fail "$removal is missing; run scripts/build --tests first"
  : >"$work/data"
}

measure_end() {
  begin_removals
  for shape in flat below spread; do
    measure_removals "$1" "$shape" $((${files:-100000} / scale)) end unlink rm
  done
  print_removals
}

measure_sweep() {
  begin_removals
  for count in ${files:-100000 1000000}; do
    measure_removals "$1" flat $((count / scale)) sweep-none sweep-all unlink
  done
  print_removals
}
