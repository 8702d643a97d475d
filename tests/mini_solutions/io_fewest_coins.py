"""Solutions for io-fewest-coins."""

REFERENCE = """n, amount = map(int, input().split())
coins = list(map(int, input().split()))
INF = float("inf")
dp = [0] + [INF] * amount
for value in range(1, amount + 1):
    for coin in coins:
        if coin <= value and dp[value - coin] + 1 < dp[value]:
            dp[value] = dp[value - coin] + 1
print(dp[amount] if dp[amount] != INF else -1)
"""

WRONG = {
    "greedy": """n, amount = map(int, input().split())
coins = sorted(map(int, input().split()), reverse=True)
count = 0
for coin in coins:
    count += amount // coin
    amount %= coin
print(count if amount == 0 else -1)
""",
    "each_coin_once": """n, amount = map(int, input().split())
coins = list(map(int, input().split()))
INF = 10 ** 9
dp = [0] + [INF] * amount
for coin in coins:
    for value in range(amount, coin - 1, -1):
        dp[value] = min(dp[value], dp[value - coin] + 1)
print(dp[amount] if dp[amount] < INF else -1)
""",
    "zero_amount_is_minus_one": """n, amount = map(int, input().split())
coins = list(map(int, input().split()))
INF = 10 ** 9
dp = [0] + [INF] * amount
for coin in coins:
    for value in range(coin, amount + 1):
        dp[value] = min(dp[value], dp[value - coin] + 1)
print(dp[amount] if 0 < dp[amount] < INF else -1)
""",
    "counts_ways": """n, amount = map(int, input().split())
coins = list(map(int, input().split()))
ways = [1] + [0] * amount
for coin in coins:
    for value in range(coin, amount + 1):
        ways[value] += ways[value - coin]
print(ways[amount] or -1)
""",
}
