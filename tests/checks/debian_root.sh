# Sourced: root file systems of Debian 12, made by debootstrap from wherever this machine's own apt
# gets its packages. Needs root. The result of debootstrap is kept as a tar file for a week.

debian_release=bookworm

# Sources of this machine that are this release's: "URL SUITE" a line, main suite first. The origin
# is known once apt has been updated; other vendors use the same suite names.
debian_sources() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT) $(ORIGIN)' \
        'Created-By: Packages' |
        awk -v r="$debian_release" '
            $3 == "main" && ($4 == "" || $4 == "Debian") &&
            ($2 == r || $2 == r "-updates" || $2 == r "-security") {
                print length($2), $1, $2
            }' | sort -n -u | cut -d ' ' -f 2-
}

# What is missing for making and running one, as a sentence; nothing when all is there.
debian_root_wants() {
    local program
    [[ $(id -u) == 0 ]] || echo "needs root"
    for program in debootstrap systemd-nspawn apt-get; do
        command -v "$program" >/dev/null || echo "needs $program"
    done
    [[ -n $(debian_sources) ]] || echo "needs a source of $debian_release in apt's configuration"
}

# Lets apt inside ROOT reach what apt outside reaches: sources, proxy, credentials, certificates.
debian_root_apt() {
    local root=$1
    debian_sources | sed 's/.*/deb & main/' >"$root/etc/apt/sources.list"
    apt-config dump | grep -E '^Acquire::[a-z]+::(Proxy|Verify)' \
        >"$root/etc/apt/apt.conf.d/90outside" || true
    cp -a /etc/apt/auth.conf /etc/apt/auth.conf.d "$root/etc/apt/" 2>/dev/null || true
    if debian_sources | grep -q '^https:'; then
        mkdir -p "$root/etc/ssl/certs"
        cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    fi
}

# debian_root CACHE-FOLDER ROOT [PACKAGE...]: fills the new folder ROOT.
debian_root() {
    local cache=$1 root=$2 packages tar
    shift 2
    packages="$*"
    tar=$cache/$debian_release-$(echo "$packages" | cksum | cut -d ' ' -f 1).tar
    mkdir -p "$cache" "$root"
    find "$cache" -name '*.tar' -mtime +7 -delete
    if [[ ! -f $tar ]]; then
        rm -rf "$cache/new"
        debootstrap --variant=minbase ${packages:+--include="${packages// /,}"} \
            "$debian_release" "$cache/new" "$(debian_sources | sed -n '1s/ .*//p')" || return 1
        rm -rf "$cache"/new/var/cache/apt/archives/*.deb
        tar -C "$cache/new" -cf "$tar.part" . && mv "$tar.part" "$tar" && rm -rf "$cache/new"
    fi
    tar -C "$root" -xpf "$tar"
}

# The control group hierarchies in which a container gets a group of its own.
debian_root_groups() {
    local folder
    for folder in /sys/fs/cgroup /sys/fs/cgroup/{unified,systemd,memory}; do
        [[ -f $folder/cgroup.procs ]] && echo "$folder/virtualnet-$1"
    done
}

# debian_root_run ROOT NSPAWN-OPTION...: systemd-nspawn with a /run and control groups of its own on
# the outside as well, so that nothing of the container shows on the machine or stays there.
debian_root_run() {
    local root=$1 id=$BASHPID status group
    shift
    # shellcheck disable=SC2016
    (
        for group in $(debian_root_groups "$id"); do
            mkdir "$group" && echo "$BASHPID" >"$group/cgroup.procs" || exit 1
        done
        # The memory controller decides between the old hierarchies and the unified one.
        [[ -d /sys/fs/cgroup/memory ]] && unified=0 || unified=1
        exec unshare --mount --propagation private \
            bash -c 'mount -t tmpfs none /run && exec "$@"' run \
            env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=$unified systemd-nspawn --quiet --register=no \
            --keep-unit --machine="virtualnet-$id" --directory="$root" "$@"
    )
    status=$?
    for group in $(debian_root_groups "$id"); do
        find "$group" -depth -type d -exec rmdir {} +
    done
    return $status
}
