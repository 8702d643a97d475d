"""Right and wrong programs for the mini problem double-each."""

REFERENCE = """def double_each(nums: list[int]) -> list[int]:
    return [x * 2 for x in nums]
"""
WRONG = {
    "repeats_list": """def double_each(nums: list[int]) -> list[int]:
    return nums * 2
""",
    "squares": """def double_each(nums: list[int]) -> list[int]:
    return [x ** 2 for x in nums]
""",
    "drops_zero": """def double_each(nums: list[int]) -> list[int]:
    return [x * 2 for x in nums if x]
""",
    "drops_repeats": """def double_each(nums: list[int]) -> list[int]:
    result = []
    for x in nums:
        if x * 2 not in result:
            result.append(x * 2)
    return result
""",
    "sorts": """def double_each(nums: list[int]) -> list[int]:
    return sorted(x * 2 for x in nums)
""",
}
