"""Right and wrong programs for the mini problem greeting."""

REFERENCE = """def greeting(name: str) -> str:
    if name == '':
        name = 'friend'
    return 'Hello, ' + name + '!'
"""
WRONG = {
    "misses_empty": """def greeting(name: str) -> str:
    return 'Hello, ' + name + '!'
""",
    "no_comma": """def greeting(name: str) -> str:
    return 'Hello ' + (name or 'friend') + '!'
""",
    "capitalizes": """def greeting(name: str) -> str:
    return 'Hello, ' + (name or 'friend').capitalize() + '!'
""",
    "strips_name": """def greeting(name: str) -> str:
    name = name.strip()
    return 'Hello, ' + (name or 'friend') + '!'
""",
}
