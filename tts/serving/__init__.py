"""What `tts serve` does with a request, from its JSON to its answer's; HTTP itself is `server.py`'s."""
