#!/bin/bash
# Every C file is as clang-format would write it. Usage: format.sh ROOT
set -u
cd "$1" || exit 1
command -v clang-format >/dev/null || {
    echo "clang-format is not installed"
    exit 77
}
mapfile -t files < <(find . -name 'build*' -prune -o -name '.git' -prune -o \
    \( -name '*.c' -o -name '*.h' \) -print | sort)
((${#files[@]})) || {
    echo "no C files under $1"
    exit 1
}
said=$(clang-format --dry-run -Werror "${files[@]}" 2>&1)
mapfile -t wrong < <(sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: error: code should.*/\1/p' <<<"$said" | sort -u)
echo "${#files[@]} looked at, ${#wrong[@]} wrong"
[[ -z $said ]] || {
    head -n 60 <<<"$said"
    echo "Put right by: clang-format -i ${wrong[*]}"
    exit 1
}
