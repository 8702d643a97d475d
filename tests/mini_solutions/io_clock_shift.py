"""Solutions for io-clock-shift."""

REFERENCE = """h, m = map(int, input().split(":"))
d = int(input())
total = (h * 60 + m + d) % (24 * 60)
print(f"{total // 60:02d}:{total % 60:02d}")
"""

WRONG = {
    "wraps_only_once": """h, m = map(int, input().split(":"))
d = int(input())
total = h * 60 + m + d
if total >= 1440:
    total -= 1440
if total < 0:
    total += 1440
print(f"{total // 60:02d}:{total % 60:02d}")
""",
    "no_padding": """h, m = map(int, input().split(":"))
d = int(input())
total = (h * 60 + m + d) % 1440
print(f"{total // 60}:{total % 60}")
""",
    "no_day_wrap": """h, m = map(int, input().split(":"))
d = int(input())
total = h * 60 + m + d
print(f"{total // 60:02d}:{total % 60:02d}")
""",
    "midnight_as_24": """h, m = map(int, input().split(":"))
d = int(input())
total = (h * 60 + m + d) % 1440
hour = total // 60
if hour == 0:
    hour = 24
print(f"{hour:02d}:{total % 60:02d}")
""",
}
