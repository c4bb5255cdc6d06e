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
wrong=()
for file in "${files[@]}"; do
    clang-format --dry-run -Werror "$file" 2>/dev/null || wrong+=("$file")
done
echo "${#files[@]} looked at, ${#wrong[@]} wrong"
((${#wrong[@]} == 0)) || {
    clang-format --dry-run -Werror "${wrong[@]}" 2>&1 | head -n 60
    echo "Put right by: clang-format -i ${wrong[*]}"
    exit 1
}
