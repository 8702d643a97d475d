"""Solutions for io-grid-steps."""

REFERENCE = """from collections import deque

def main():
    r, c = map(int, input().split())
    grid = [input().strip() for _ in range(r)]
    for i in range(r):
        for j in range(c):
            if grid[i][j] == "S":
                start = (i, j)
            elif grid[i][j] == "E":
                end = (i, j)
    dist = {start: 0}
    queue = deque([start])
    while queue:
        i, j = queue.popleft()
        if (i, j) == end:
            break
        for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            x, y = i + di, j + dj
            if 0 <= x < r and 0 <= y < c and grid[x][y] != "#" and (x, y) not in dist:
                dist[(x, y)] = dist[(i, j)] + 1
                queue.append((x, y))
    print(dist.get(end, -1))

main()
"""

WRONG = {
    "ignores_walls": """r, c = map(int, input().split())
for i in range(r):
    row = input()
    if "S" in row:
        a, b = i, row.index("S")
    if "E" in row:
        x, y = i, row.index("E")
print(abs(a - x) + abs(b - y))
""",
    "diagonal_moves": """from collections import deque
r, c = map(int, input().split())
grid = [input().strip() for _ in range(r)]
for i in range(r):
    for j in range(c):
        if grid[i][j] == "S":
            start = (i, j)
        elif grid[i][j] == "E":
            end = (i, j)
dist = {start: 0}
queue = deque([start])
while queue:
    i, j = queue.popleft()
    for x in range(i - 1, i + 2):
        for y in range(j - 1, j + 2):
            if 0 <= x < r and 0 <= y < c and grid[x][y] != "#" and (x, y) not in dist:
                dist[(x, y)] = dist[(i, j)] + 1
                queue.append((x, y))
print(dist.get(end, -1))
""",
    "depth_first": """r, c = map(int, input().split())
grid = [input().strip() for _ in range(r)]
for i in range(r):
    for j in range(c):
        if grid[i][j] == "S":
            start = (i, j)
        elif grid[i][j] == "E":
            end = (i, j)
dist = {start: 0}
stack = [start]
while stack:
    i, j = stack.pop()
    for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        x, y = i + di, j + dj
        if 0 <= x < r and 0 <= y < c and grid[x][y] != "#" and (x, y) not in dist:
            dist[(x, y)] = dist[(i, j)] + 1
            stack.append((x, y))
print(dist.get(end, -1))
""",
    "unreachable_prints_zero": """from collections import deque
r, c = map(int, input().split())
grid = [input().strip() for _ in range(r)]
for i in range(r):
    for j in range(c):
        if grid[i][j] == "S":
            start = (i, j)
        elif grid[i][j] == "E":
            end = (i, j)
dist = {start: 0}
queue = deque([start])
while queue:
    i, j = queue.popleft()
    for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        x, y = i + di, j + dj
        if 0 <= x < r and 0 <= y < c and grid[x][y] != "#" and (x, y) not in dist:
            dist[(x, y)] = dist[(i, j)] + 1
            queue.append((x, y))
print(dist.get(end, 0))
""",
    "only_right_and_down": """from collections import deque
r, c = map(int, input().split())
grid = [input().strip() for _ in range(r)]
for i in range(r):
    for j in range(c):
        if grid[i][j] == "S":
            start = (i, j)
        elif grid[i][j] == "E":
            end = (i, j)
dist = {start: 0}
queue = deque([start])
while queue:
    i, j = queue.popleft()
    for x, y in ((i + 1, j), (i, j + 1)):
        if x < r and y < c and grid[x][y] != "#" and (x, y) not in dist:
            dist[(x, y)] = dist[(i, j)] + 1
            queue.append((x, y))
print(dist.get(end, -1))
""",
}
