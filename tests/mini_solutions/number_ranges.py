"""Right and wrong programs for the mini problem number-ranges."""

REFERENCE = """def number_ranges(nums: list[int]) -> list[str]:
    result = []
    i = 0
    while i < len(nums):
        j = i
        while j + 1 < len(nums) and nums[j + 1] == nums[j] + 1:
            j += 1
        if i == j:
            result.append(str(nums[i]))
        else:
            result.append(str(nums[i]) + '..' + str(nums[j]))
        i = j + 1
    return result
"""
WRONG = {
    "loses_last_range": """def number_ranges(nums: list[int]) -> list[str]:
    result = []
    start = 0
    for i in range(1, len(nums)):
        if nums[i] != nums[i - 1] + 1:
            a, b = nums[start], nums[i - 1]
            result.append(str(a) if a == b else f'{a}..{b}')
            start = i
    return result
""",
    "pairs_stay_single": """def number_ranges(nums: list[int]) -> list[str]:
    result = []
    i = 0
    while i < len(nums):
        j = i
        while j + 1 < len(nums) and nums[j + 1] == nums[j] + 1:
            j += 1
        if j - i < 2:
            result.extend(str(x) for x in nums[i:j + 1])
        else:
            result.append(f'{nums[i]}..{nums[j]}')
        i = j + 1
    return result
""",
    "always_range": """def number_ranges(nums: list[int]) -> list[str]:
    result = []
    i = 0
    while i < len(nums):
        j = i
        while j + 1 < len(nums) and nums[j + 1] == nums[j] + 1:
            j += 1
        result.append(f'{nums[i]}..{nums[j]}')
        i = j + 1
    return result
""",
    "crashes_on_empty": """def number_ranges(nums: list[int]) -> list[str]:
    result = []
    start = prev = nums[0]
    for x in nums[1:] + [None]:
        if x is None or x != prev + 1:
            result.append(str(start) if start == prev else f'{start}..{prev}')
            start = x
        prev = x
    return result
""",
}
