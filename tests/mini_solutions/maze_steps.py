"""Right and wrong programs for the mini problem maze-steps."""

REFERENCE = """from collections import deque


class Solution:
    def mazeSteps(self, grid: list[str]) -> int:
        rows, cols = len(grid), len(grid[0])
        if grid[0][0] == '#' or grid[rows - 1][cols - 1] == '#':
            return -1
        seen = {(0, 0)}
        queue = deque([(0, 0, 0)])
        while queue:
            r, c, steps = queue.popleft()
            if r == rows - 1 and c == cols - 1:
                return steps
            for dr, dc in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                nr, nc = r + dr, c + dc
                if 0 <= nr < rows and 0 <= nc < cols and grid[nr][nc] == '.' and (nr, nc) not in seen:
                    seen.add((nr, nc))
                    queue.append((nr, nc, steps + 1))
        return -1
"""
WRONG = {
    "right_and_down_only": """class Solution:
    def mazeSteps(self, grid: list[str]) -> int:
        rows, cols = len(grid), len(grid[0])
        big = 10 ** 9
        best = [[big] * cols for _ in range(rows)]
        for r in range(rows):
            for c in range(cols):
                if grid[r][c] == '#':
                    continue
                if r == 0 and c == 0:
                    best[r][c] = 0
                if r > 0:
                    best[r][c] = min(best[r][c], best[r - 1][c] + 1)
                if c > 0:
                    best[r][c] = min(best[r][c], best[r][c - 1] + 1)
        return best[-1][-1] if best[-1][-1] < big else -1
""",
    "start_wall_ignored": """from collections import deque


class Solution:
    def mazeSteps(self, grid: list[str]) -> int:
        rows, cols = len(grid), len(grid[0])
        seen = {(0, 0)}
        queue = deque([(0, 0, 0)])
        while queue:
            r, c, steps = queue.popleft()
            if r == rows - 1 and c == cols - 1:
                return steps
            for dr, dc in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                nr, nc = r + dr, c + dc
                if 0 <= nr < rows and 0 <= nc < cols and grid[nr][nc] == '.' and (nr, nc) not in seen:
                    seen.add((nr, nc))
                    queue.append((nr, nc, steps + 1))
        return -1
""",
    "counts_cells": """from collections import deque


class Solution:
    def mazeSteps(self, grid: list[str]) -> int:
        rows, cols = len(grid), len(grid[0])
        if grid[0][0] == '#' or grid[rows - 1][cols - 1] == '#':
            return -1
        seen = {(0, 0)}
        queue = deque([(0, 0, 1)])
        while queue:
            r, c, steps = queue.popleft()
            if r == rows - 1 and c == cols - 1:
                return steps
            for dr, dc in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                nr, nc = r + dr, c + dc
                if 0 <= nr < rows and 0 <= nc < cols and grid[nr][nc] == '.' and (nr, nc) not in seen:
                    seen.add((nr, nc))
                    queue.append((nr, nc, steps + 1))
        return -1
""",
    "diagonal_steps": """from collections import deque


class Solution:
    def mazeSteps(self, grid: list[str]) -> int:
        rows, cols = len(grid), len(grid[0])
        if grid[0][0] == '#' or grid[rows - 1][cols - 1] == '#':
            return -1
        seen = {(0, 0)}
        queue = deque([(0, 0, 0)])
        while queue:
            r, c, steps = queue.popleft()
            if r == rows - 1 and c == cols - 1:
                return steps
            for dr, dc in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)):
                nr, nc = r + dr, c + dc
                if 0 <= nr < rows and 0 <= nc < cols and grid[nr][nc] == '.' and (nr, nc) not in seen:
                    seen.add((nr, nc))
                    queue.append((nr, nc, steps + 1))
        return -1
""",
    "depth_first": """from collections import deque


class Solution:
    def mazeSteps(self, grid: list[str]) -> int:
        rows, cols = len(grid), len(grid[0])
        if grid[0][0] == '#' or grid[rows - 1][cols - 1] == '#':
            return -1
        seen = {(0, 0)}
        queue = deque([(0, 0, 0)])
        while queue:
            r, c, steps = queue.pop()
            if r == rows - 1 and c == cols - 1:
                return steps
            for dr, dc in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                nr, nc = r + dr, c + dc
                if 0 <= nr < rows and 0 <= nc < cols and grid[nr][nc] == '.' and (nr, nc) not in seen:
                    seen.add((nr, nc))
                    queue.append((nr, nc, steps + 1))
        return -1
""",
    "shape_only": """class Solution:
    def mazeSteps(self, grid: list[str]) -> int:
        if '#' in grid[0][0] + grid[-1][-1]:
            return -1
        return len(grid) + len(grid[0]) - 2
""",
}
