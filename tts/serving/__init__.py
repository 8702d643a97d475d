"""What `tts serve` does with a request, from its JSON to its answer's; its routes and its life are `server.py`'s."""
