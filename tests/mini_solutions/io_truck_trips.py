"""Solutions for io-truck-trips."""

REFERENCE = """n, k = map(int, input().split())
weights = list(map(int, input().split()))

def trips_needed(limit):
    trips = 1
    load = 0
    for w in weights:
        if load + w > limit:
            trips += 1
            load = 0
        load += w
    return trips

lo, hi = max(weights), sum(weights)
while lo < hi:
    mid = (lo + hi) // 2
    if trips_needed(mid) <= k:
        hi = mid
    else:
        lo = mid + 1
print(lo)
"""

WRONG = {
    "average_load": """n, k = map(int, input().split())
weights = list(map(int, input().split()))
print(max(max(weights), -(-sum(weights) // k)))
""",
    "counts_one_trip_too_few": """n, k = map(int, input().split())
weights = list(map(int, input().split()))
lo, hi = max(weights), sum(weights)
while lo < hi:
    mid = (lo + hi) // 2
    trips = 0
    load = 0
    for w in weights:
        if load + w > mid:
            trips += 1
            load = 0
        load += w
    if trips <= k:
        hi = mid
    else:
        lo = mid + 1
print(lo)
""",
    "reorders_boxes": """n, k = map(int, input().split())
weights = sorted(map(int, input().split()), reverse=True)
loads = [0] * k
for w in weights:
    i = loads.index(min(loads))
    loads[i] += w
print(max(loads))
""",
    "heaviest_box_not_respected": """n, k = map(int, input().split())
weights = list(map(int, input().split()))
lo, hi = 0, sum(weights)
while lo < hi:
    mid = (lo + hi) // 2
    trips = 1
    load = 0
    for w in weights:
        if load + w > mid:
            trips += 1
            load = 0
        load += w
    if trips <= k:
        hi = mid
    else:
        lo = mid + 1
print(lo)
""",
    "must_be_below_limit": """n, k = map(int, input().split())
weights = list(map(int, input().split()))
lo, hi = max(weights), sum(weights)
while lo < hi:
    mid = (lo + hi) // 2
    trips = 1
    load = 0
    for w in weights:
        if load + w >= mid:
            trips += 1
            load = 0
        load += w
    if trips <= k:
        hi = mid
    else:
        lo = mid + 1
print(lo)
""",
}
