"""What runs inside a cell: a zygote that forks candidate processes, watches them and buries them (`zygote.py`).

Of tts it loads the files of this folder alone, by path, and else the standard library. The host imports `wire.py`.
"""
