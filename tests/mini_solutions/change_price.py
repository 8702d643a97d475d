"""Right and wrong programs for the mini problem change-price."""

REFERENCE = """class Solution:
    def changePrice(self, a: str, b: str, insert: int, remove: int, replace: int) -> int:
        n, m = len(a), len(b)
        best = [[0] * (m + 1) for _ in range(n + 1)]
        for i in range(1, n + 1):
            best[i][0] = i * remove
        for j in range(1, m + 1):
            best[0][j] = j * insert
        for i in range(1, n + 1):
            for j in range(1, m + 1):
                same = 0 if a[i - 1] == b[j - 1] else replace
                best[i][j] = min(best[i - 1][j - 1] + same, best[i - 1][j] + remove, best[i][j - 1] + insert)
        return best[n][m]
"""
WRONG = {
    "insert_remove_swapped": """class Solution:
    def changePrice(self, a: str, b: str, insert: int, remove: int, replace: int) -> int:
        n, m = len(a), len(b)
        best = [[0] * (m + 1) for _ in range(n + 1)]
        for i in range(1, n + 1):
            best[i][0] = i * insert
        for j in range(1, m + 1):
            best[0][j] = j * remove
        for i in range(1, n + 1):
            for j in range(1, m + 1):
                same = 0 if a[i - 1] == b[j - 1] else replace
                best[i][j] = min(best[i - 1][j - 1] + same, best[i - 1][j] + insert, best[i][j - 1] + remove)
        return best[n][m]
""",
    "borders_cost_one": """class Solution:
    def changePrice(self, a: str, b: str, insert: int, remove: int, replace: int) -> int:
        n, m = len(a), len(b)
        best = [[0] * (m + 1) for _ in range(n + 1)]
        for i in range(1, n + 1):
            best[i][0] = i
        for j in range(1, m + 1):
            best[0][j] = j
        for i in range(1, n + 1):
            for j in range(1, m + 1):
                same = 0 if a[i - 1] == b[j - 1] else replace
                best[i][j] = min(best[i - 1][j - 1] + same, best[i - 1][j] + remove, best[i][j - 1] + insert)
        return best[n][m]
""",
    "same_only_shortcut": """class Solution:
    def changePrice(self, a: str, b: str, insert: int, remove: int, replace: int) -> int:
        prices = 0
        for x, y in zip(a, b):
            if x != y:
                prices += min(replace, insert + remove)
        if len(a) > len(b):
            prices += (len(a) - len(b)) * remove
        else:
            prices += (len(b) - len(a)) * insert
        return prices
""",
    "all_prices_one": """class Solution:
    def changePrice(self, a: str, b: str, insert: int, remove: int, replace: int) -> int:
        n, m = len(a), len(b)
        best = [[0] * (m + 1) for _ in range(n + 1)]
        for i in range(1, n + 1):
            best[i][0] = i
        for j in range(1, m + 1):
            best[0][j] = j
        for i in range(1, n + 1):
            for j in range(1, m + 1):
                same = 0 if a[i - 1] == b[j - 1] else 1
                best[i][j] = min(best[i - 1][j - 1] + same, best[i - 1][j] + 1, best[i][j - 1] + 1)
        return best[n][m]
""",
    "replace_always_taken": """class Solution:
    def changePrice(self, a: str, b: str, insert: int, remove: int, replace: int) -> int:
        n, m = len(a), len(b)
        best = [[0] * (m + 1) for _ in range(n + 1)]
        for i in range(1, n + 1):
            best[i][0] = i * remove
        for j in range(1, m + 1):
            best[0][j] = j * insert
        for i in range(1, n + 1):
            for j in range(1, m + 1):
                same = 0 if a[i - 1] == b[j - 1] else replace
                if a[i - 1] != b[j - 1] and same < insert + remove:
                    best[i][j] = best[i - 1][j - 1] + same
                else:
                    best[i][j] = min(best[i - 1][j - 1] + same, best[i - 1][j] + remove, best[i][j - 1] + insert)
        return best[n][m]
""",
}
