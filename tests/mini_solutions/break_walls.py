"""Right and wrong programs for the mini problem break-walls."""

REFERENCE = """from collections import deque


class Solution:
    def breakWalls(self, grid: list[str], k: int) -> int:
        rows, cols = len(grid), len(grid[0])
        first = 1 if grid[0][0] == '#' else 0
        if first > k:
            return -1
        seen = {(0, 0, first)}
        queue = deque([(0, 0, first, 0)])
        while queue:
            r, c, used, steps = queue.popleft()
            if r == rows - 1 and c == cols - 1:
                return steps
            for dr, dc in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                nr, nc = r + dr, c + dc
                if 0 <= nr < rows and 0 <= nc < cols:
                    now = used + (1 if grid[nr][nc] == '#' else 0)
                    if now <= k and (nr, nc, now) not in seen:
                        seen.add((nr, nc, now))
                        queue.append((nr, nc, now, steps + 1))
        return -1
"""
WRONG = {
    "visited_by_cell": """from collections import deque


class Solution:
    def breakWalls(self, grid: list[str], k: int) -> int:
        rows, cols = len(grid), len(grid[0])
        first = 1 if grid[0][0] == '#' else 0
        if first > k:
            return -1
        seen = {(0, 0)}
        queue = deque([(0, 0, first, 0)])
        while queue:
            r, c, used, steps = queue.popleft()
            if r == rows - 1 and c == cols - 1:
                return steps
            for dr, dc in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                nr, nc = r + dr, c + dc
                if 0 <= nr < rows and 0 <= nc < cols:
                    now = used + (1 if grid[nr][nc] == '#' else 0)
                    if now <= k and (nr, nc) not in seen:
                        seen.add((nr, nc))
                        queue.append((nr, nc, now, steps + 1))
        return -1
""",
    "start_is_free": """from collections import deque


class Solution:
    def breakWalls(self, grid: list[str], k: int) -> int:
        rows, cols = len(grid), len(grid[0])
        first = 0
        if first > k:
            return -1
        seen = {(0, 0, first)}
        queue = deque([(0, 0, first, 0)])
        while queue:
            r, c, used, steps = queue.popleft()
            if r == rows - 1 and c == cols - 1:
                return steps
            for dr, dc in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                nr, nc = r + dr, c + dc
                if 0 <= nr < rows and 0 <= nc < cols:
                    now = used + (1 if grid[nr][nc] == '#' else 0)
                    if now <= k and (nr, nc, now) not in seen:
                        seen.add((nr, nc, now))
                        queue.append((nr, nc, now, steps + 1))
        return -1
""",
    "one_break_less": """from collections import deque


class Solution:
    def breakWalls(self, grid: list[str], k: int) -> int:
        rows, cols = len(grid), len(grid[0])
        first = 1 if grid[0][0] == '#' else 0
        if first > k:
            return -1
        seen = {(0, 0, first)}
        queue = deque([(0, 0, first, 0)])
        while queue:
            r, c, used, steps = queue.popleft()
            if r == rows - 1 and c == cols - 1:
                return steps
            for dr, dc in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                nr, nc = r + dr, c + dc
                if 0 <= nr < rows and 0 <= nc < cols:
                    now = used + (1 if grid[nr][nc] == '#' else 0)
                    if now < max(k, 1) and (nr, nc, now) not in seen:
                        seen.add((nr, nc, now))
                        queue.append((nr, nc, now, steps + 1))
        return -1
""",
    "goal_is_free": """from collections import deque


class Solution:
    def breakWalls(self, grid: list[str], k: int) -> int:
        rows, cols = len(grid), len(grid[0])
        first = 1 if grid[0][0] == '#' else 0
        if first > k:
            return -1
        seen = {(0, 0, first)}
        queue = deque([(0, 0, first, 0)])
        while queue:
            r, c, used, steps = queue.popleft()
            if r == rows - 1 and c == cols - 1:
                return steps
            for dr, dc in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                nr, nc = r + dr, c + dc
                if 0 <= nr < rows and 0 <= nc < cols:
                    goal = nr == rows - 1 and nc == cols - 1
                    now = used + (1 if grid[nr][nc] == '#' and not goal else 0)
                    if now <= k and (nr, nc, now) not in seen:
                        seen.add((nr, nc, now))
                        queue.append((nr, nc, now, steps + 1))
        return -1
""",
    "ignores_walls": """class Solution:
    def breakWalls(self, grid: list[str], k: int) -> int:
        return len(grid) + len(grid[0]) - 2
""",
}
