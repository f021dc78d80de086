#!/usr/bin/env bash
# Everything that must hold before a change is merged. Continuous integration and people at home run this same file.
#
#   packaging/check.sh               all steps
#   packaging/check.sh format vet    some of them, in this order
#
# The steps: format modules vet staticcheck build race single. Every step runs even if an earlier one failed; those that
# failed are named near the end. The last line is always `N passed, N failed, N skipped`, each test counted once.
# With CI set in the environment a skipped test of the mounted view is a failure.
# The raw output of `go test -json` stays in .ci/out for whoever wants to look closer.

set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
out=.ci/out
# Short, since tests put unix sockets below it and their paths are limited to 107 bytes.
# Others may pass through it, since some tests give up root's rights for a while.
work=$(mktemp -d "${TMPDIR:-/tmp}/check.XXXXXX") && chmod 711 "$work" || exit 2
failed=()
legs=()

# leftovers prints the FUSE mounts that tests made: below $work, for whoever else uses keepsake on this machine may go on.
leftovers() {
	awk -v work="$work/" '$3 ~ /^fuse(blk)?(\.|$)/ && index($2, work) == 1 { print $2 }' /proc/self/mounts | sort
}
mounted_before=$(leftovers)

# processes prints what still runs out of $work, where the go tool builds test programs.
processes() {
	local exe link
	for exe in /proc/[0-9]*/exe; do
		link=$(readlink "$exe" 2>/dev/null) && [[ $link == "$work"/* ]] && echo "${exe//[^0-9]/} $link"
	done
	return 0
}

cleanup() {
	local point
	comm -13 <(echo "$mounted_before") <(leftovers) | while read -r point; do
		point=$(printf '%b' "$point")
		fusermount3 -uz "$point" 2>/dev/null || umount -l "$point"
	done
	chmod -R u+rwx "$work" 2>/dev/null
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT

format() {
	local names
	names=$(gofmt -l .) && [[ -z $names ]] && return
	echo "not formatted by gofmt:"
	echo "$names"
	return 1
}

modules() { go mod verify && go mod tidy -diff; }

vet() { go vet ./...; }

staticcheck() { go run "$staticcheck" ./...; }

# The release needs no C compiler; 32-bit ARM is where sizes and times overflow.
build() {
	local target
	for target in amd64 arm64 arm; do
		echo "linux/$target"
		CGO_ENABLED=0 GOOS=linux GOARCH=$target GOARM=7 go build -buildvcs=false -trimpath -o /dev/null ./cmd/keepsake || return
	done
}

# leg NAME ARGUMENT… runs the tests of all packages once, past the cache, and looks at what they leave behind.
leg() {
	local name=$1 json=$out/$1.json status left
	shift
	mkdir -p "$out" && mkdir -p -m 711 "$work/tmp" || return
	go build -buildvcs=false -o "$work/testreport" ./packaging/testreport || return
	TMPDIR=$work/tmp go test -json -count=1 "$@" ./... | tee "$json" | "$work/testreport"
	status=${PIPESTATUS[0]}
	legs+=("$json")
	((status == 0)) || again "$json" "$@" && status=0
	left=$(comm -13 <(echo "$mounted_before") <(leftovers))
	if [[ -n $left ]]; then
		echo "mounts that the tests left behind:"
		echo "$left"
		status=1
	fi
	left=$(processes)
	if [[ -n $left ]]; then
		echo "processes that the tests left behind:"
		echo "$left"
		status=1
	fi
	return "$status"
}

# again JSON ARGUMENT… runs by themselves the few tests of a leg that failed beside others: many wait for real programs,
# disks and clocks, and a machine that does something else as well may keep them waiting. What passes then is named in
# the summary as unsteady; what fails twice has failed.
again() {
	local json=$1 second=${1%.json}.again.json package pattern status=1
	shift
	: >"$second"
	while IFS=$'\t' read -r package pattern; do
		echo "once more, by itself: $package $pattern"
		TMPDIR=$work/tmp go test -json -count=1 "$@" -run "$pattern" "$package" | tee -a "$second" | "$work/testreport"
		((PIPESTATUS[0] == 0)) || return 1
		status=0
	done < <("$work/testreport" -failed "$json")
	((status == 0)) && legs[-1]=$json+$second
	return "$status"
}

race() { leg race -race; }

# Some failures appear on one processor only. The go tool still builds and runs packages side by side.
single() { GOMAXPROCS=1 leg single -p "$(nproc)"; }

steps=("$@")
((${#steps[@]})) || steps=(format modules vet staticcheck build race single)
for step in "${steps[@]}"; do
	case $step in
	format | modules | vet | staticcheck | build | race | single) ;;
	*)
		echo "no such step: $step" >&2
		exit 2
		;;
	esac
	echo "== $step"
	began=$SECONDS
	"$step" || failed+=("$step")
	echo "== $step took $((SECONDS - began)) s"
done

summary="0 passed, 0 failed, 0 skipped"
if ((${#legs[@]})); then
	"$work/testreport" "${legs[@]}" >"$work/summary"
	sed '/^[0-9]* passed, /d' "$work/summary"
	summary=$(grep -x '[0-9]* passed, [0-9]* failed, [0-9]* skipped' "$work/summary") || summary="0 passed, 1 failed, 0 skipped"
	[[ $summary == *" passed, 0 failed, "* ]] || failed+=(tests)
	if [[ -n ${CI:-} ]] && grep -q '^refused: ' "$work/summary"; then
		failed+=("skipped tests")
	fi
fi
((${#failed[@]})) && echo "FAILED: ${failed[*]}"
echo "$summary"
((${#failed[@]} == 0))
