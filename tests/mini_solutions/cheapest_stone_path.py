"""Right and wrong programs for the mini problem cheapest-stone-path."""

REFERENCE = """def cheapest_path(costs: list[int]) -> int:
    n = len(costs)
    if n == 0:
        return 0
    best = [0] * n
    for i in range(n):
        if i == 0:
            prev = 0
        elif i < 3:
            prev = best[i - 1]
        else:
            prev = min(best[i - 1], best[i - 3])
        best[i] = prev + costs[i]
    return best[-1]
"""
WRONG = {
    "jumps_two_as_well": """def cheapest_path(costs: list[int]) -> int:
    n = len(costs)
    if n == 0:
        return 0
    best = [costs[0]]
    for i in range(1, n):
        best.append(min(best[max(0, i - 3):i]) + costs[i])
    return best[-1]
""",
    "crashes_on_empty": """def cheapest_path(costs: list[int]) -> int:
    best = [costs[0]]
    for i in range(1, len(costs)):
        prev = best[i - 1]
        if i >= 3:
            prev = min(prev, best[i - 3])
        best.append(prev + costs[i])
    return best[-1]
""",
    "greedy": """def cheapest_path(costs: list[int]) -> int:
    if not costs:
        return 0
    i = 0
    total = costs[0]
    while i < len(costs) - 1:
        if i + 3 < len(costs) and costs[i + 3] <= costs[i + 1]:
            i += 3
        else:
            i += 1
        total += costs[i]
    return total
""",
    "forgets_first": """def cheapest_path(costs: list[int]) -> int:
    n = len(costs)
    best = [0] * n
    for i in range(1, n):
        prev = best[i - 1]
        if i >= 3:
            prev = min(prev, best[i - 3])
        best[i] = prev + costs[i]
    return best[-1] if n else 0
""",
    "always_jumps_three": """def cheapest_path(costs: list[int]) -> int:
    if not costs:
        return 0
    i = 0
    total = costs[0]
    while i < len(costs) - 1:
        i += 3 if i + 3 < len(costs) else 1
        total += costs[i]
    return total
""",
}
