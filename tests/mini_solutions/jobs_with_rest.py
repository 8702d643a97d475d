"""Right and wrong programs for the mini problem jobs-with-rest."""

REFERENCE = """class Solution:
    def jobsWithRest(self, jobs: list[list[int]], rest: int) -> int:
        jobs = sorted(jobs, key=lambda job: job[1])
        n = len(jobs)
        best = [0] * (n + 1)
        for i in range(1, n + 1):
            start, end, pay = jobs[i - 1]
            j = i - 1
            while j > 0 and jobs[j - 1][1] + rest > start:
                j -= 1
            best[i] = max(best[i - 1], best[j] + pay)
        return best[n]
"""
WRONG = {
    "ignores_rest": """class Solution:
    def jobsWithRest(self, jobs: list[list[int]], rest: int) -> int:
        jobs = sorted(jobs, key=lambda job: job[1])
        n = len(jobs)
        best = [0] * (n + 1)
        for i in range(1, n + 1):
            start, end, pay = jobs[i - 1]
            j = i - 1
            while j > 0 and jobs[j - 1][1] > start:
                j -= 1
            best[i] = max(best[i - 1], best[j] + pay)
        return best[n]
""",
    "greedy_by_end": """class Solution:
    def jobsWithRest(self, jobs: list[list[int]], rest: int) -> int:
        total = 0
        free = -10 ** 9
        for start, end, pay in sorted(jobs, key=lambda job: job[1]):
            if start >= free:
                total += pay
                free = end + rest
        return total
""",
    "greedy_by_pay": """class Solution:
    def jobsWithRest(self, jobs: list[list[int]], rest: int) -> int:
        taken = []
        for start, end, pay in sorted(jobs, key=lambda job: -job[2]):
            if all(start >= e + rest or end + rest <= s for s, e, p in taken):
                taken.append((start, end, pay))
        return sum(p for s, e, p in taken)
""",
    "must_wait_longer": """class Solution:
    def jobsWithRest(self, jobs: list[list[int]], rest: int) -> int:
        jobs = sorted(jobs, key=lambda job: job[1])
        n = len(jobs)
        best = [0] * (n + 1)
        for i in range(1, n + 1):
            start, end, pay = jobs[i - 1]
            j = i - 1
            while j > 0 and jobs[j - 1][1] + rest >= start:
                j -= 1
            best[i] = max(best[i - 1], best[j] + pay)
        return best[n]
""",
    "not_sorted": """class Solution:
    def jobsWithRest(self, jobs: list[list[int]], rest: int) -> int:
        n = len(jobs)
        best = [0] * (n + 1)
        for i in range(1, n + 1):
            start, end, pay = jobs[i - 1]
            j = i - 1
            while j > 0 and jobs[j - 1][1] + rest > start:
                j -= 1
            best[i] = max(best[i - 1], best[j] + pay)
        return best[n]
""",
    "takes_best_single": """class Solution:
    def jobsWithRest(self, jobs: list[list[int]], rest: int) -> int:
        return max((job[2] for job in jobs), default=0)
""",
}
