"""Texts that tell tokenizers apart: pages of many scripts, and random strings (agree_llama3_tokenizer)."""
import random
import unicodedata

PHRASES = [
    "All human beings are born free and equal in dignity and rights.",
    "Todos los seres humanos nacen libres e iguales en dignidad y derechos. ¿Cómo estás, niño?",
    "Tous les êtres humains naissent libres et égaux ; l'été où j'étais à l'hôtel, c'était déjà noël.",
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Straßenbahngleisbauarbeiten",
    "Wszyscy ludzie rodzą się wolni i równi. Zażółć gęślą jaźń",
    "Všichni lidé se rodí svobodní. Příliš žluťoučký kůň úpěl ďábelské ódy",
    "Bütün insanlar hür doğarlar. Iğdır'dan İstanbul'a ışıl ışıl",
    "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm.",
    "Все люди рождаются свободными и равными в своём достоинстве. Съешь ещё этих мягких булок",
    "Усі люди народжуються вільними. З'їзд п'ятий, об’єднання",
    "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι. Ξεσκεπάζω την ψυχοφθόρα βδελυγμία",
    "כל בני האדם נולדו בני חורין. שָׁלוֹם עֲלֵיכֶם",
    "يولد جميع الناس أحرارًا متساوين في الكرامة. ١٢٣٤٥ و ۶۷۸",
    "تمام انسان‌ها آزاد به دنیا می‌آیند",
    "सभी मनुष्यों को गौरव और अधिकारों में जन्मजात स्वतन्त्रता प्राप्त है। १२३४",
    "সমস্ত মানুষ স্বাধীনভাবে জন্মগ্রহণ করে। ৭৮৯",
    "மனிதப் பிறவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน ๑๒๓",
    "လူတိုင်းသည် တူညီ လွတ်လပ်သော", "ყველა ადამიანი იბადება თავისუფალი", "Բոլոր մարդիկ ծնվում են ազատ",
    "人人生而自由，在尊严和权利上一律平等。二〇二六年", "すべての人間は、生まれながらにして自由である。ｶﾀｶﾅ ＡＢＣ１２３",
    "모든 인간은 태어날 때부터 자유로우며", "ሁሉም ሰዎች ነጻ ሆነው", "ᎣᏏᏲ ᏣᎳᎩ", "𐌰𐌱𐌲 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚 𒀀𒁀",
    "I'm you're we've they'll he'd it's can't I'M YOU'RE WE'VE THEY'LL HE'D IT'S CAN'T 'S'T x'sy 'ſ don’t",
    "0 1 12 123 1234 12345 1,234,567.89 3.14e-10 0xFF ½ ⅓ ² ³ ① Ⅷ 一二三 ৩ x²",
    "👍🏽👩‍👩‍👧‍👦🇦🇷🏴󠁧󠁢󠁥󠁮󠁧󠁿 ☃️ 😀😃 ❤️‍🔥", "e\u0301 a\u0308\u0323 Z\u0351\u036b\u0343\u036a\u0302 \u0301\u0301 x\u20dd \u200d\ufeff\u00ad",
    "def f(x):\n\treturn x**2  # ok\n\n\nfor (int i = 0; i < n; ++i) { a[i] += b->c; }\r\n#include <x.h>\r\n",
    "{\"k\": [1, 2.5, null], \"é\": \"\\u00e9\"}\n<a href='x'>y</a> $x^2$ ~/.cache/ && || != === `q`",
    "  two   three    four     \t\ttabs \t mixed \n\n \n  \r\n\r\n \u00a0\u00a0nbsp \u3000wide\u2028ls\u2029ps\u0085nel \u200b zw  ",
    "\x00\x01\x02 \x07 \x1b[31m \x7f \x0b\x0c \x1c\x1d\x1e\x1f", "...!!!???---___***===###   @@@ «» „“ – — … •",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|> <|eot_id <|reserved_special_token_5|>|>",
    "<|begin_of_text|>", "<|end_of_text|><|end_of_text|>", "a", " ", "\n", "", "   ", " \n ", "\r", "x\n", "'", "''s", "\u0345 1",
]

SPACES = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2005\u200a\u2028\u2029\u202f\u205f\u3000\u180e\u200b\u2060\ufeff"
WORDS = ["'s", "'S", "'Re", "'ll", "'LL", "'ve", "'d", "<|eot_id|>", "<|begin_of_text|>", "<|", "|>", "\r\n", "  ", "1234", "ñ", "ſ", "K"]


def _classes():
    """Characters by general category, every assigned one and some that are not; no surrogates."""
    found = {}
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        if category != "Cs":
            found.setdefault(category, []).append(code)
    return [found[name] for name in sorted(found)]


def random_strings(count, seed):
    draw = random.Random(seed)
    classes = _classes()
    low = [c for c in range(0x2100)]
    out = []
    for _ in range(count):
        text = ""
        for _ in range(draw.randint(1, 40)):
            kind = draw.random()
            if kind < 0.25:
                text += chr(draw.randint(0x20, 0x7e))
            elif kind < 0.40:
                text += draw.choice(SPACES) * draw.choice([1, 1, 1, 2, 3])
            elif kind < 0.50:
                text += draw.choice(WORDS)
            elif kind < 0.65:
                text += chr(draw.choice(low))
            else:
                # A few of one class in a row: words, numbers, marks of a script.
                of = draw.choice(classes)
                start = draw.randrange(len(of))
                text += "".join(chr(c) for c in of[start:start + draw.choice([1, 1, 2, 4])])
        out.append(text.encode())
    return out


def pages(seed, count):
    """Each phrase alone, then pages of phrases in random order with random breaks between them."""
    draw = random.Random(seed)
    out = [p.encode() for p in PHRASES]
    for _ in range(count):
        text = ""
        for _ in range(draw.randint(5, 40)):
            text += draw.choice(PHRASES) + draw.choice(["", " ", "\n", "\n\n", "\r\n", "  ", "\t", " \n", "'s ", "\u00a0"])
        out.append(text.encode())
    return out


def invalid(seed, count):
    """Strings with bytes that are no UTF-8: cut, swapped, random."""
    draw = random.Random(seed)
    out = []
    while len(out) < count:
        text = bytearray(draw.choice(PHRASES).encode() + bytes(draw.randrange(256) for _ in range(draw.randint(1, 6))))
        for _ in range(draw.randint(1, 4)):
            text[draw.randrange(len(text))] = draw.randrange(256)
        try:
            text.decode()
        except UnicodeDecodeError:
            out.append(bytes(text))
    return out
