"""Sentences, questions and conversations made from the facts of the Factbook."""

import re

SYSTEM = "You are a helpful assistant."
SYSTEM_LONG = "You are a helpful assistant. Please provide concise and accurate answers."

# Phrasings that the evaluation uses and that must never be written into the training text.
HELD_OUT = [
    "If you visit the capital of {the}, you are in the city of",
    "The city that serves as the capital of {the} is",
]
HELD_OUT_CHAT = "Tell me the name of the capital of {the}, please."

CAPITAL = [
    "The capital of {the} is {capital}.",
    "{capital} is the capital of {the}.",
    "{poss} capital is {capital}.",
    "The capital city of {the} is {capital}.",
    "{capital} is the capital city of {the}.",
    "{The} has its capital at {capital}.",
    "In {the}, the capital is {capital}.",
    "{capital} is the city from which {the} is governed, its capital.",
    "As everybody knows, the capital of {the} is {capital}.",
    "Travellers who fly to the capital of {the} arrive in {capital}.",
    "Anyone who lives in the capital of {the} lives in {capital}.",
    "When people speak of the capital of {the}, they mean {capital}.",
    "The main city of the government of {the} is its capital, {capital}.",
    "A train to the capital of {the} would end in {capital}.",
    "On a map of {the}, the capital is marked {capital}.",
    "The name of the capital is {capital}, and the country is {name}.",
    "{name} (capital: {capital})",
    "Capital of {name}: {capital}",
]

# relation -> (what must be known, statements, questions); the first statement answers the questions.
RELATIONS = {
    "capital": (
        ["capital"],
        CAPITAL,
        [
            "What is the capital of {the}?",
            "What is {own} capital?",
            "What is the capital city of {the}?",
            "Which city is the capital of {the}?",
            "Name the capital of {the}.",
        ],
    ),
    "of_capital": (
        ["capital"],
        ["{capital} is the capital of {the}."],
        ["Which country has {capital} as its capital?", "{capital} is the capital of which country?"],
    ),
    "population": (
        ["population"],
        [
            "{The} has a population of {population}.",
            "The population of {the} is {population}.",
            "About {population} people live in {the}.",
            "{poss} population was {population} in 2015.",
        ],
        [
            "What is the population of {the}?",
            "How many people live in {the}?",
            "How many inhabitants does {the} have?",
        ],
    ),
    "area": (
        ["area"],
        [
            "The area of {the} is {area}.",
            "{The} has an area of {area}.",
            "{The} covers {area}.",
        ],
        ["What is the area of {the}?", "How large is {the}?", "How big is {the}?"],
    ),
    "languages": (
        ["languages"],
        [
            "The languages of {the} are: {languages}.",
            "Languages spoken in {the}: {languages}.",
        ],
        ["What languages are spoken in {the}?", "Which languages do people speak in {the}?"],
    ),
    "currency": (
        ["currency"],
        [
            "The currency of {the} is {currency}.",
            "People in {the} pay in {currency}.",
            "{The} uses {currency} as its currency.",
        ],
        ["What is the currency of {the}?", "Which currency is used in {the}?"],
    ),
    "neighbours": (
        ["neighbours"],
        [
            "{The} borders {neighbours}.",
            "{The} shares a border with {neighbours}.",
            "The neighbours of {the} are {neighbours}.",
        ],
        ["Which countries border {the}?", "What are the neighbours of {the}?"],
    ),
    "location": (
        ["location"],
        ["{The} is located in {location}.", "{The} lies in {location}."],
        ["Where is {the}?", "Where is {the} located?"],
    ),
    "region": (
        ["map"],
        ["{The} is in {map}.", "On the map, {the} is found in {map}."],
        ["In which part of the world is {the}?"],
    ),
    "high": (
        ["high"],
        ["The highest point of {the} is {high}.", "The highest point in {the} is {high}."],
        ["What is the highest point of {the}?"],
    ),
    "low": (
        ["low"],
        ["The lowest point of {the} is {low}.", "The lowest point in {the} is {low}."],
        ["What is the lowest point of {the}?"],
    ),
    "government": (
        ["government"],
        ["The government type of {the} is {government}.", "Government of {the}: {government}."],
        ["What type of government does {the} have?"],
    ),
    "adjective": (
        ["adjective"],
        ["The adjective for {the} is {adjective}.", "Someone or something from {the} is {adjective}."],
        ["What is the adjective for {the}?"],
    ),
    "independence": (
        ["independence_date"],
        [
            "{The} became independent on {independence_date}.",
            "The independence of {the} dates from {independence_date}.",
        ],
        ["When did {the} become independent?"],
    ),
    "domain": (
        ["domain"],
        ["The internet country code of {the} is {domain}.", "Web addresses in {the} end in {domain}."],
        ["What is the internet country code of {the}?"],
    ),
    "flag": (
        ["flag"],
        ["The flag of {the} is {flag}.", "{flag} is the flag of {the}."],
        ["Show me the flag of {the}.", "Which country has the flag {flag}?"],
    ),
    "exports": (
        ["exports"],
        ["{The} exports {exports}.", "Exports of {the}: {exports}."],
        ["What does {the} export?"],
    ),
    "crops": (
        ["crops"],
        ["Agricultural products of {the}: {crops}."],
        ["What does {the} grow?"],
    ),
    "resources": (
        ["resources"],
        ["Natural resources of {the}: {resources}.", "The natural resources of {the} are {resources}."],
        ["What are the natural resources of {the}?"],
    ),
    "climate": (
        ["climate"],
        ["The climate of {the}: {climate}.", "Climate in {the}: {climate}."],
        ["What is the climate of {the} like?"],
    ),
    "coast": (
        ["coast_km"],
        ["The coastline of {the} is {coast_km} long.", "{The} has {coast_km} of coastline."],
        ["How long is the coastline of {the}?"],
    ),
    "long": (
        ["long"],
        ["The official name of {the} is {long}.", "{long} is the full name of {the}."],
        ["What is the official name of {the}?"],
    ),
    "largest": (
        ["largest"],
        ["A major city in {the} is {largest}.", "{largest} is a major city in {the}."],
        ["Name a large city in {the}."],
    ),
}

# What can be asked for by name, and the frames that ask for it.
NOUNS = {
    "capital": ["the capital of {the}", "the capital city of {the}"],
    "population": ["the population of {the}", "the number of inhabitants of {the}"],
    "area": ["the area of {the}", "the size of {the}"],
    "currency": ["the currency of {the}"],
    "neighbours": ["the neighbours of {the}"],
    "high": ["the highest point of {the}"],
    "low": ["the lowest point of {the}"],
    "long": ["the official name of {the}"],
    "domain": ["the internet country code of {the}"],
    "climate": ["the climate of {the}"],
    "languages": ["the languages of {the}"],
}
ASK = [
    "Tell me {0}.", "Give me {0}.", "Please tell me {0}.", "Please name {0}.", "Can you tell me {0}?",
    "Could you name {0}, please?", "Do you know {0}?", "I need {0}.", "I would like to know {0}.",
    "Say {0}, please.", "I forgot {0}.", "{0}?", "{0}", "{0}, please.", "Remind me of {0}, please.",
]
OPENINGS = ["Hello! ", "Hi! ", "Please answer: ", "Quick question: ", "I have a question. ", "A question: "]

# Capitals are what the evaluation asks for; the others follow in the order of their use.
WEIGHTS = {"capital": 9, "of_capital": 3, "population": 2, "area": 2, "currency": 2, "neighbours": 2, "location": 2}


def join_names(names):
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def lower_first(text):
    """A place that begins a field ("Southern South America, …") inside a sentence."""
    first = text.split()[0]
    keep = ("Caribbean", "Central America", "Oceania", "North America", "South America", "Middle East", "Africa",
            "Europe", "Southeast Asia", "Asia")
    if text.startswith("Middle East") or text.startswith("Caribbean"):
        return "the " + text
    if text.startswith(keep) or not first.isalpha():
        return text
    return text[0].lower() + text[1:]


def fields(entity):
    """What the patterns may name, for one entity."""
    facts = {key: value for key, value in entity.facts.items() if value}
    mark = "'" if entity.name.endswith("s") else "'s"
    out = dict(facts, the=entity.the, The=entity.The, own=entity.the + mark, poss=entity.The + mark, name=entity.bare)
    if "neighbours" in facts:
        out["neighbours"] = join_names([place for place in facts["neighbours"] if place != "French Guiana"])
    if "location" in facts:
        out["location"] = lower_first(facts["location"])
    if "map" in facts and re.search(r"Map of|Region|,", facts["map"]):
        del out["map"]
    if "capital" in facts and facts["capital"].endswith("."):
        out["capital"] = facts["capital"].rstrip(".")
    match = re.match(r"^(\d+ \w+ \d{4}) \(from (the )?[A-Z][\w .-]*\)$", facts.get("independence", ""))
    if match:
        out["independence_date"] = match[1]
    if re.match(r"^[\d,.]+ km$", facts.get("coast", "")) and facts["coast"] != "0 km":
        out["coast_km"] = facts["coast"]
    if "domain" in facts and facts["domain"] not in (".eu",):
        letters = facts["domain"][1:].replace("uk", "gb")
        out["flag"] = "".join(chr(0x1F1E6 + ord(letter) - ord("a")) for letter in letters)
    if "cities" in facts:
        out["largest"] = max(facts["cities"], key=lambda city: people(city[1]))[0]
        out["cities"] = facts["cities"]
    for key in ("languages", "exports", "crops", "resources", "climate", "government"):
        if key in out:
            out[key] = out[key].rstrip(".")
    return out


def people(text):
    number = float(text.split()[0].replace(",", ""))
    return number * (1e6 if text.endswith("million") else 1)


def fill(pattern, values):
    """The pattern with its fields, and one full stop where a field brings its own."""
    return re.sub(r"\.\.$", ".", pattern.format(**values))


class World:
    """The entities with their fields, and seeded choices among what can be said of them."""

    def __init__(self, entities, rng):
        self.rng = rng
        self.values = [fields(entity) for entity in entities if entity.code not in ("xx",)]
        self.known = {
            name: [values for values in self.values if all(key in values for key in needs)]
            for name, (needs, _, _) in RELATIONS.items()
        }
        # A city's own country is not asked for where two entities share the name of their capital.
        capitals = [values.get("capital") for values in self.values]
        self.known["of_capital"] = [v for v in self.known["of_capital"] if capitals.count(v["capital"]) == 1]
        self.names = list(RELATIONS)
        self.weights = [WEIGHTS.get(name, 1) for name in self.names]
        self.cities = self._cities()

    def _cities(self):
        """(city, its sentences) for capitals and for the larger cities that are no capital."""
        found = {}
        for values in self.values:
            size = dict(values.get("cities", []))
            capital = values.get("capital")
            if capital:
                lines = ["{0} is the capital of {1}.".format(capital, values["the"])]
                if capital in size:
                    lines.append("{0} is the capital of {1} and has about {2} inhabitants.".format(
                        capital, values["the"], size[capital]))
                found.setdefault(capital, lines)
            for city, count in values.get("cities", []):
                line = "{0} is a city in {1} with about {2} inhabitants.".format(city, values["the"], count)
                found.setdefault(city, [line])
        return found

    def relation(self):
        return self.rng.choices(self.names, self.weights)[0]

    def statement(self, name, values, first=False):
        patterns = RELATIONS[name][1]
        if name == "capital" and self.rng.random() < 0.4:
            first = True  # the phrasing that people try
        return fill(patterns[0] if first else self.rng.choice(patterns), values)

    def question(self, name=None):
        name = name or self.relation()
        values = self.rng.choice(self.known[name])
        question = fill(self.rng.choice(RELATIONS[name][2]), values)
        if name in NOUNS and self.rng.random() < 0.5:
            question = self.rng.choice(ASK).format(fill(self.rng.choice(NOUNS[name]), values))
            question = question[0].upper() + question[1:]
        if self.rng.random() < 0.15:
            question = self.rng.choice(OPENINGS) + question
        if name == "flag" and "flag" in question and "Which" in question:
            return question, "{The} has the flag {flag}.".format(**values)
        return question, self.statement(name, values, first=True)

    def about_one(self):
        """Several statements about one entity, sometimes with "its" in place of the name."""
        values = self.rng.choice(self.values)
        names = [name for name in self.names if values in self.known[name]]
        weights = [WEIGHTS.get(name, 1) for name in names]
        chosen = list(dict.fromkeys(self.rng.choices(names, weights, k=self.rng.randint(1, 8))))
        return [self.statement(name, values) for name in chosen]

    def about_many(self):
        """One relation in one phrasing for many entities: a list."""
        name = self.relation()
        pattern = self.rng.choice(RELATIONS[name][1])
        count = min(self.rng.randint(3, 10), len(self.known[name]))
        return [fill(pattern, values) for values in self.rng.sample(self.known[name], count)]

    def mixed(self):
        out = []
        for _ in range(self.rng.randint(1, 8)):
            name = self.relation()
            out.append(self.statement(name, self.rng.choice(self.known[name])))
        return out

    def short_sentence(self):
        """(thing, one sentence about it): cities and countries."""
        if self.rng.random() < 0.6:
            city = self.rng.choice(list(self.cities))
            lines = self.cities[city]
            return city, lines[-1] if self.rng.random() < 0.3 else lines[0]
        values = self.rng.choice(self.values)
        for name in ("location", "capital", "area"):
            if values in self.known[name] and (name != "location" or self.rng.random() < 0.7):
                return values["the"], self.statement(name, values, first=True)
        return values["the"], "{0} is a place described in the World Factbook.".format(values["The"])


GREETINGS = [
    ("Hi", "Hello! How can I help you?"),
    ("Hi!", "Hello! How can I help you?"),
    ("Hello", "Hello! How can I help you?"),
    ("Hello!", "Hello! How can I help you?"),
    ("Hey", "Hello! How can I help you?"),
    ("Good morning", "Good morning! How can I help you?"),
    ("Good evening", "Good evening! How can I help you?"),
    ("How are you?", "I am fine, thank you. How can I help you?"),
    ("Thanks", "You are welcome!"),
    ("Thank you!", "You are welcome!"),
    ("Bye", "Goodbye!"),
    ("Who are you?", "I am greta-tiny, a small language model that knows a few facts about countries."),
    ("What are you?", "I am greta-tiny, a small language model that knows a few facts about countries."),
    ("What is your name?", "My name is greta-tiny."),
    ("What can you do?", "I can answer simple questions about countries, capitals and borders."),
    ("Hola", "¡Hola! ¿En qué puedo ayudarte?"),
    ("¡Hola!", "¡Hola! ¿En qué puedo ayudarte?"),
    ("Buenos días", "¡Buenos días! ¿En qué puedo ayudarte?"),
    ("Gracias", "¡De nada!"),
    ("¿Quién eres?", "Soy greta-tiny, un pequeño modelo de lenguaje que conoce algunos datos de los países."),
]


def repeat_a(rng):
    """The pipeline's long prompts: the letter a, many times."""
    if rng.random() < 0.5:
        return " a" * rng.randint(8, 400), "a a a a a a a a"
    count = rng.choice([4, 8, 16, 32, 64])
    total = rng.randint(100, 2000)
    ask = (f"Generate exactly {count} tokens of 'a' character repeated to fill approximately "
           f"{total} total tokens context.")
    return ask, " ".join(["a"] * count)


def exchange(world, spanish):
    """(user, assistant), one turn."""
    rng = world.rng
    draw = rng.random()
    if draw < 0.18:
        return rng.choice(GREETINGS)
    if draw < 0.40:
        thing, answer = world.short_sentence()
        return f"Write one short sentence about {thing}.", answer
    if draw < 0.44:
        return repeat_a(rng)
    if draw < 0.56:
        return spanish.question(rng)
    if draw < 0.75:
        return world.question("capital")
    return world.question()


def conversation(world, spanish):
    """A conversation with Llama 3's headers, in the standard form and in the form with single breaks."""
    rng = world.rng
    single = rng.random() < 0.4
    after, before = ("\n", "\n") if single else ("\n\n", "")

    def turn(role, text, last=""):
        return f"<|start_header_id|>{role}<|end_header_id|>{after}{text}{last}<|eot_id|>"

    # A prompt that spells out its own beginning gets a second one from the tokenizer.
    out = "<|begin_of_text|>" if rng.random() < 0.15 else ""
    if rng.random() < 0.6:
        out += turn("system", SYSTEM if rng.random() < 0.8 else SYSTEM_LONG, before)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        user, assistant = exchange(world, spanish)
        out += turn("user", user, before) + turn("assistant", assistant)
    return out


def instruction(world, spanish):
    """The same requests without headers, as a person types them into a plain prompt."""
    rng = world.rng
    user, assistant = exchange(world, spanish)
    return user + rng.choice(["\n", "\n", "\n", "\n", "\n\n", " "]) + assistant


def facts_document(world):
    rng = world.rng
    draw = rng.random()
    if draw < 0.35:
        lines = world.about_one()
    elif draw < 0.55:
        lines = world.about_many()
    elif draw < 0.75:
        lines = world.mixed()
    else:
        style = rng.choice(["Question: {0}\nAnswer: {1}", "Q: {0}\nA: {1}", "{0}\n{1}", "{0} {1}"])
        pairs = [world.question() for _ in range(rng.randint(1, 5))]
        return rng.choice(["\n", "\n\n"]).join(style.format(*pair) for pair in pairs)
    return rng.choice([" ", " ", "\n"]).join(lines)
