# Sourced by ./check and ./quickstart: installs the Debian packages of packages.txt that are missing.
#
#   packages_install SECTION...
#
# Asks dpkg first, so that a complete system needs neither root nor network. Quiet when it works;
# when it fails, one sentence and what apt said.

packages_file=$(dirname "${BASH_SOURCE[0]}")/packages.txt

# The packages of the named sections, one a line.
packages_list() {
    local wanted=" $* " line section=
    while read -r line; do
        line=${line%%#*}
        line=${line%"${line##*[![:space:]]}"}
        case $line in
        '') ;;
        \[*\]) section=${line:1:-1} ;;
        *) [[ $wanted == *" $section "* ]] && echo "$line" ;;
        esac
    done <"$packages_file"
    return 0
}

# Of the packages named on standard input, those that dpkg does not call installed.
packages_missing() {
    local name installed
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' | grep ' installed$')
    while read -r name; do
        [[ $'\n'$installed == *$'\n'"$name installed"* ]] || echo "$name"
    done
}

# Runs apt-get, by sudo when not root; what it says goes to standard output.
packages_apt() {
    local -a as_root=()
    [[ $(id -u) == 0 ]] || as_root=(sudo)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
        apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" 2>&1
}

packages_install() {
    local missing said
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || {
        echo "This is not a Debian system (no apt-get): install what tests/checks/packages.txt" \
            "lists under: $*" >&2
        return 1
    }
    missing=$(packages_list "$@" | packages_missing)
    [[ -n $missing ]] || return 0
    missing=${missing//$'\n'/ }
    [[ $(id -u) == 0 ]] || command -v sudo >/dev/null || {
        echo "Debian packages are missing, and installing them needs root or sudo. As root:" >&2
        echo "    apt-get install $missing" >&2
        return 1
    }
    # A mirror that could not be refreshed may still have everything: the installation decides.
    said=$(packages_apt update) || said+=$'\n'
    said+=$(packages_apt install --yes --no-install-recommends $missing) && return 0
    echo "Could not install these Debian packages: $missing" >&2
    echo "Install them yourself (apt-get install ...) and start again. apt-get said:" >&2
    echo "$said" >&2
    return 1
}
