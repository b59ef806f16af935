#!/bin/sh
# Sourced by scripts/bench, for its sub-command `library`: libfilecleanup beside a model of the Python program whose
# functions it has (file_cleanup_manager.py), in turns within one run. Each measurement is a process of its own.
# Used from scripts/bench: source_dir, build_dir, rounds, scale, label, work, output, fail.
# shellcheck disable=SC2154

library=$build_dir/bench/bench_library
model=$source_dir/tests/bench/file_cleanup_manager.py

# one_library VARIANT WHAT ROOT COUNT: prints two figures.
one_library() {
  rm -rf "$3/base" "$3/state"
  mkdir -m 700 "$3/base"
  case $1 in
    c) "$library" "$2" "$3" "$4" ;;
    python) python3 "$model" "$2" "$3/base" "$4" ;;
  esac || fail "$label: $1 $2 $4"
}

# measure_pair ROOT WHAT COUNT: lines "WHAT COUNT ROUND VARIANT FIGURE FIGURE" in $work/data.
measure_pair() {
  round=0
  while [ "$round" -lt "$rounds" ]; do
    [ ! -t 2 ] || printf '\r\033[K%s' "$label: $2 $3, round $((round + 1))" >&2
    case $((round % 2)) in
      0) order='c python' ;;
      *) order='python c' ;;
    esac
    for variant in $order; do
      result=$(one_library "$variant" "$2" "$1" "$3") || exit 1
      echo "$2 $3 $round $variant $result" >>"$work/data"
    done
    round=$((round + 1))
  done
  [ ! -t 2 ] || printf '\r\033[K' >&2
}

# Medians, and the ratio of each round, the extremes beside it.
print_library() {
  awk -v label="$label" -v rounds="$rounds" '
    function median(values, n,   i, j, x) {
      for (i = 2; i <= n; i++) {
        x = values[i]
        for (j = i - 1; j >= 1 && values[j] > x; j--) values[j + 1] = values[j]
        values[j + 1] = x
      }
      return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
    }
    function single(key, variant, which,   values, i) {
      for (i = 0; i < rounds; i++) values[i + 1] = figure[key, i, variant, which]
      return median(values, rounds)
    }
    function line(key, text, which, unit,   values, i, all) {
      for (i = 0; i < rounds; i++) {
        all = which ? figure[key, i, "c", which] : figure[key, i, "c", 1] + figure[key, i, "c", 2]
        values[i + 1] = (which ? figure[key, i, "python", which] : figure[key, i, "python", 1]) / (all ? all : 1)
      }
      i = median(values, rounds)
      printf "%-34s %10.2f %10.2f  %.1f (%.1f-%.1f)\n", text, (which ? single(key, "c", which) : \
        single(key, "c", 1) + single(key, "c", 2)) / unit, single(key, "python", which ? which : 1) / unit, i, values[1],
        values[rounds]
    }
    {
      key = $1 " " $2
      if (!(key in seen)) { seen[key] = 1; keys[++count] = key }
      figure[key, $3, $4, 1] = $5
      figure[key, $3, $4, 2] = $6
    }
    END {
      printf "\n%s: libfilecleanup and the Python model, %d rounds\n", label, rounds
      printf "%-34s %10s %10s  %s\n", "", "C", "Python", "Python/C (min-max)"
      for (n = 1; n <= count; n++) {
        key = keys[n]
        split(key, part, " ")
        if (part[1] == "clean") {
          line(key, part[2] " files cleaned, CPU us each", 1, 1000)
          line(key, part[2] " files cleaned, wall us each", 2, 1000)
        } else if (part[1] == "track") {
          line(key, "track with " part[2] " tracked, CPU ns", 1, 1)
          line(key, "untrack with " part[2] " tracked, CPU ns", 2, 1)
        } else {
          line(key, "bytes each, " part[2] " tracked", 0, 1)
          printf "%-34s %10.0f\n", "  of these in the journal", single(key, "c", 2)
        }
      }
    }' "$work/data" >"$work/table"
  cat "$work/table"
  [ -z "$output" ] || cat "$work/table" >>"$output"
}

measure_library() {
  [ -x "$library" ] || fail "$library is missing; run scripts/build --tests first"
  command -v python3 >/dev/null 2>&1 || fail "python3 is missing"
  : >"$work/data"
  for count in 100 $((${files:-100000} / scale)); do
    measure_pair "$1" clean "$count"
  done
  # What follows is the same on every file system.
  if [ "$1" = "$tmpfs" ]; then
    for count in 100 10000 $((1000000 / scale)); do
      measure_pair "$1" track "$count"
    done
    measure_pair "$1" memory $((1000000 / scale))
  fi
  print_library
}
