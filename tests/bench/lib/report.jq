# One table of tests/bench/transfer: the runs of one session, scenario, set, link and scheme.
# "x peer" and "x floor" compare a row's time with the fastest other tool and with the floor
# (curl-files, curl-upload or curl-head) in the same round, and take the median of that.

def median: sort | if length == 0 then null
    elif length % 2 == 1 then .[(length - 1) / 2] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
def fixed(digits): if . == null then "-" else
    (pow(10; digits) as $unit | (. * $unit | round) as $n | if digits == 0 then "\($n)" else
        "\($n / $unit | floor).\("000\($n % $unit)" | .[-digits:])" end) end;
def pad(width): " " * ([0, width - length] | max) + .;

def worked: .status == 0 and .complete;
# Runs that did their work; where none did, those that did not.
def good: if any(worked) then map(select(worked)) else . end;
def count_text(f; text): map(select(f)) | if length > 0 then " \(text) x\(length)" else "" end;
def figure(f): good | map(f) | median;
def ratio(to): (to | map({(.round | tostring): .wall_ms}) | add) as $walls
    | good | map(select($walls[.round | tostring] // 0 > 0) | .wall_ms / $walls[.round | tostring])
    | median;

def kinds: {mirror: 0, other: 1, peer: 2, floor: 3};
def floors: ["curl-files", "curl-upload", "curl-head"];
def headings: ["contender", "runs", "wall s", "min", "max", "x peer", "x floor", "cpu s", "peak MiB",
    "space MiB", "disk MiB", "requests", "servers s", "others s"];

def cells(peer; bottom): [
    .[0].contender + count_text(.status != 0; "FAILED")
        + count_text(.status == 0 and (.complete | not); "INCOMPLETE"),
    (length | tostring),
    (figure(.wall_ms) / 1000 | fixed(3)),
    (good | map(.wall_ms) | min / 1000 | fixed(3)),
    (good | map(.wall_ms) | max / 1000 | fixed(3)),
    (if peer then ratio(peer) | fixed(2) else "-" end),
    (if bottom then ratio(bottom) | fixed(2) else "-" end),
    (figure(.user_ms + .sys_ms) / 1000 | fixed(2)),
    (figure(.peak_kib) / 1024 | fixed(0)),
    (figure(.space_bytes) / 1048576 | fixed(1)),
    (figure(.dirtied) / 1048576 | fixed(1)),
    "\(figure(.src_requests))/\(figure(.dst_requests))",
    (figure(.src_cpu_ms + .dst_cpu_ms) / 1000 | fixed(2)),
    (figure(.others_ms) / 1000 | fixed(2))];

map(select(.session == $session and .scenario == $scenario and .set == $set and .link == $link
        and .scheme == $scheme))
| if length == 0 then "" else
    .[0] as $any
    | group_by(.contender)
    | (map(select(.[0].kind == "peer" and any(worked)))
        | min_by(figure(.wall_ms)) | if . then good else null end) as $peer
    | (map(select(.[0].contender | IN(floors[]))) | .[0]) as $bottom
    | sort_by([kinds[.[0].kind], (any(worked) | not), figure(.wall_ms)])
    | [headings] + map(cells($peer; $bottom))
    | . as $rows
    | (transpose | map(map(length) | max)) as $widths
    | "\($scenario) \($set), \($link), \($scheme): \($any.images) images, \($any.blobs) blobs, "
        + "\($any.bytes / 1048576 | fixed(1)) MiB"
        + (if $link == "wan" then
            "; the wire alone: \($any.bytes / ($any.wan | split(" ")[1] | tonumber) / 125000 | fixed(2)) s"
            else "" end)
        + (if $peer then "; fastest other tool: \($peer[0].contender)" else "" end),
      ($rows[] | [., $widths] | transpose
        | [(.[0] | .[0] + " " * (.[1] - (.[0] | length))), (.[1:][] | . as [$text, $width]
            | $text | pad($width))] | join("  ")),
      ""
  end
