#!/usr/bin/env python3
"""A reward model that was never trained, the floor for audits: a real language model with a random head of one label.

    python benchmarks/untrained.py --layers 4 --to ~/.cache/tts/models/untrained

With `--layers`, only so many of its first layers: a floor need not be deep, and costs as much less.
"""

import argparse
from pathlib import Path

from tts.models import EMBEDDED, locate


def with_head(model: str, folder: str, layers: int | None = None) -> str:
    """A language model as a reward model with a random head, saved as an ordinary Hugging Face folder; of `layers`
    layers, by default all.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    source = locate(model)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    fewer = {} if layers is None else {"num_hidden_layers": layers}
    made = AutoModelForSequenceClassification.from_pretrained(source, dtype=torch.bfloat16, num_labels=1, **fewer)
    torch.nn.init.normal_(made.score.weight, std=0.02)
    made.save_pretrained(folder)
    return folder


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=EMBEDDED, help="the language model; default: %(default)s")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="the folder to write")
    parser.add_argument("--layers", type=int, help="how many of its layers; default: all")
    arguments = parser.parse_args()
    print(with_head(arguments.model, str(arguments.to.expanduser()), arguments.layers))


if __name__ == "__main__":
    main()
