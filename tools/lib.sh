# SPDX-License-Identifier: MIT
# Shared by tools/test, tools/check and tools/demo: sourced, from the top of the source tree.

# How build/test is configured, and what is built with every compiler.
test_options="-Dtests=enabled -Dexamples=enabled -Dbench=auto"

# Configure build folder $1 with the Meson options that follow, or reconfigure it when they or the
# compiler changed. A folder that cannot be reconfigured (another Meson, a moved tree) is made anew.
configure() {
	local dir=$1 stamp
	shift
	stamp="CC=${CC:-} $*"
	if [ -f "$dir/build.ninja" ] && [ "$(cat "$dir/.stamp" 2>/dev/null)" = "$stamp" ]; then
		return 0
	fi
	rm -rf "$dir"
	mkdir -p "$(dirname "$dir")"
	if ! meson setup "$dir" "$@" >"$dir.log" 2>&1; then
		tail -n 30 "$dir.log"
		echo "meson setup $dir $* failed"
		return 1
	fi
	echo "$stamp" >"$dir/.stamp"
}

# Build folder $1, quietly: the compiler's words are shown only when it fails.
build() {
	if ! ninja -C "$1" -j "$(nproc)" >"$1.log" 2>&1; then
		grep -v '^\[[0-9]*/[0-9]*\]' "$1.log" | tail -n 60
		echo "ninja -C $1 failed"
		return 1
	fi
}

# Make a build of commit $1 in folder $2, with the Meson options that follow, unless it is there
# already.
build_commit() {
	local commit=$1 dir=$2
	shift 2
	[ ! -f "$dir/built" ] || return 0
	rm -rf "$dir"
	mkdir -p "$dir/source"
	git archive "$commit" | tar -x -C "$dir/source"
	configure "$dir/build" "$dir/source" "$@"
	build "$dir/build"
	touch "$dir/built"
}

# The commit that revision $1 names, for a command $2 to end where there is none.
find_commit() {
	git rev-parse --verify --quiet "$1^{commit}" ||
		{ echo "$2: there is no revision '$1'" >&2; exit 2; }
}

# Seconds since $1, a value of $EPOCHREALTIME, with one decimal.
seconds_since() {
	awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'
}
