"""A little code, data notation and text in other scripts, so that every kind of byte is trained."""

import json

# Local name, local name of the capital, English name of the country.
SCRIPTS = """
日本|東京|Japan
中国|北京|China
대한민국|서울|South Korea
Россия|Москва|Russia
Україна|Київ|Ukraine
Ελλάδα|Αθήνα|Greece
مصر|القاهرة|Egypt
ישראל|ירושלים|Israel
भारत|नई दिल्ली|India
ประเทศไทย|กรุงเทพ|Thailand
България|София|Bulgaria
საქართველო|თბილისი|Georgia
Հայաստան|Երևան|Armenia
Deutschland|Berlin|Germany
Österreich|Wien|Austria
Schweiz|Bern|Switzerland
Türkiye|Ankara|Turkey
Česko|Praha|Czech Republic
Ísland|Reykjavík|Iceland
Việt Nam|Hà Nội|Vietnam
""".strip().splitlines()

FACES = "😀 🙂 😊 🎉 🌍 🌎 🌏 🗺️ 🏙️ ✈️ ⛰️ 🏖️ 👋 ❤️ ✅ ⚠️ → ← ≥ ≤ ° ² ³ € £ ¥ — … · × ½".split()

PYTHON = [
    "def {n}(a, b):\n    return a {op} b\n\n\nprint({n}({x}, {y}))\n",
    "for i in range({x}):\n    if i % {y} == 0:\n        print(i)\n",
    "total = 0\nwhile total < {x}:\n    total += {y}\nprint(total)\n",
    "values = [{x}, {y}, {z}]\nprint(sorted(values), sum(values), max(values))\n",
    "class {N}:\n    def __init__(self, value={x}):\n        self.value = value\n",
]
C = [
    "#include <stdio.h>\n\nint main(void) {{\n    printf(\"%d\\n\", {x} {op} {y});\n    return 0;\n}}\n",
    "int {n}(int a, int b) {{\n    return a {op} b;\n}}\n",
    "for (int i = 0; i < {x}; ++i) {{\n    sum += data[i] * {y};\n}}\n",
    "float *{n} = malloc({x} * sizeof(float));\nif ({n} == NULL) {{\n    return -1;\n}}\n",
]
SHELL = [
    "$ ls -l /tmp | head -n {x}\n$ echo \"done: $?\"\n",
    "cmake -B build -DCMAKE_BUILD_TYPE=Release && cmake --build build -j {y}\n",
    "git commit -m \"{n}: fix {x}\" && git push\n",
]


def record(rng, values, style):
    row = {key: values[key] for key in ("name", "capital", "area", "population", "currency") if key in values}
    if style == "json":
        return json.dumps(row, ensure_ascii=False, indent=rng.choice([None, 2]))
    if style == "yaml":
        return "\n".join(f"{key}: {value}" for key, value in row.items())
    if style == "csv":
        return ";".join(row) + "\n" + ";".join(row.values())
    return "| " + " | ".join(row) + " |\n|" + "---|" * len(row) + "\n| " + " | ".join(row.values()) + " |"


def document(world):
    rng = world.rng
    draw = rng.random()
    if draw < 0.35:
        names = {
            "n": rng.choice("add mix scale work step load copy find area size".split()),
            "N": rng.choice("Node Table Point City Route".split()),
            "op": rng.choice("+-*/"),
            "x": rng.randint(2, 999), "y": rng.randint(2, 64), "z": rng.randint(2, 9999),
        }
        return rng.choice(PYTHON + C + SHELL).format(**names)
    if draw < 0.65:
        count = rng.randint(1, 3)
        style = rng.choice(["json", "yaml", "csv", "table"])
        return "\n".join(record(rng, rng.choice(world.known["capital"]), style) for _ in range(count))
    if draw < 0.85:
        local, capital, english = rng.choice(SCRIPTS).split("|")
        pattern = rng.choice(["{2}: {0}, {1}", "{0} ({2}) · {1}", "{0} = {2}\n{1} = capital"])
        return pattern.format(local, capital, english)
    values = rng.choice(world.known["flag"])
    faces = " ".join(rng.sample(FACES, rng.randint(1, 5)))
    return rng.choice(["{flag} {name} {faces}", "{faces} {name} {flag}", "{flag} {name}: {faces}"]).format(
        faces=faces, **values)
