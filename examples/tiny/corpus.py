"""A corpus of simple English, made from rules and nothing else.

The reader of a workbook types a few words and wants to see the obvious next one. So the corpus is a
few dozen tables of obvious things (what sat where, what comes after Monday, the opposite of hot) and
one small function, a *rule*, for each way of saying them. A document is one to six such sentences.

Everything here is a function of the seed. Only `random.Random.random` is drawn from: it is the one
method whose sequence Python promises to keep from version to version.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Seeded choices that are the same under every version of Python."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def below(self, n: int) -> int:
        """A whole number, 0 <= answer < n."""
        return int(self._random() * n)

    def between(self, low: int, high: int) -> int:
        """A whole number, low <= answer <= high."""
        return low + self.below(high - low + 1)

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return self._random() < p

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def some(self, items: Sequence[T], n: int) -> list[T]:
        """n different items, in random order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(n)]


Rule = Callable[[Dice], str]

# ---------------------------------------------------------------------------------------------------
# What the world is like
# ---------------------------------------------------------------------------------------------------

MEN = ("Tom", "Mike", "Ben", "Sam", "John")
WOMEN = ("Anna", "Mary", "Lucy", "Jane", "Emma")
PEOPLE = MEN + WOMEN

#: Who, what they did, and where or to what: the last word is the obvious one.
SCENES = (
    ("cat", "sat on the", "mat"),
    ("cat", "slept on the", "bed"),
    ("cat", "drank the", "milk"),
    ("cat", "chased the", "mouse"),
    ("dog", "sat on the", "rug"),
    ("dog", "chased the", "cat"),
    ("dog", "ate the", "bone"),
    ("bird", "sat in the", "tree"),
    ("bird", "sang in the", "tree"),
    ("bird", "flew in the", "sky"),
    ("fish", "swam in the", "sea"),
    ("duck", "swam in the", "pond"),
    ("frog", "sat on the", "log"),
    ("frog", "jumped into the", "pond"),
    ("mouse", "ate the", "cheese"),
    ("mouse", "ran into the", "hole"),
    ("cow", "ate the", "grass"),
    ("horse", "ran in the", "field"),
    ("bee", "flew to the", "flower"),
    ("hen", "sat on the", "egg"),
    ("baby", "slept in the", "bed"),
    ("king", "sat on the", "chair"),
    ("queen", "wore the", "crown"),
    ("boy", "kicked the", "ball"),
    ("girl", "read the", "book"),
    ("man", "drove the", "car"),
    ("woman", "opened the", "door"),
    ("teacher", "wrote on the", "board"),
    ("farmer", "fed the", "cow"),
    ("sun", "rose in the", "east"),
    ("sun", "set in the", "west"),
    ("moon", "rose in the", "night"),
    ("star", "shone in the", "sky"),
    ("ship", "sailed on the", "sea"),
    ("plane", "flew in the", "sky"),
)
#: Only these come before a subject: they say nothing about what follows.
PLAIN_ADJECTIVES = ("big", "small", "old", "little", "good", "happy", "sad", "brown", "black", "white")

COLORS = ("red", "blue", "green", "yellow", "black", "white", "brown", "orange")
COLORED = (
    ("The sky", "blue"),
    ("The sea", "blue"),
    ("The grass", "green"),
    ("The tree", "green"),
    ("The sun", "yellow"),
    ("The night", "black"),
    ("The bear", "brown"),
    ("The rose", "red"),
    ("The carrot", "orange"),
    ("Snow", "white"),
    ("Milk", "white"),
    ("Coal", "black"),
    ("Blood", "red"),
    ("Grass", "green"),
)

OPPOSITES = (
    ("hot", "cold"),
    ("big", "small"),
    ("good", "bad"),
    ("up", "down"),
    ("in", "out"),
    ("day", "night"),
    ("black", "white"),
    ("old", "new"),
    ("fast", "slow"),
    ("happy", "sad"),
    ("left", "right"),
    ("yes", "no"),
    ("wet", "dry"),
    ("hard", "soft"),
    ("long", "short"),
    ("high", "low"),
    ("rich", "poor"),
    ("light", "dark"),
    ("early", "late"),
    ("loud", "quiet"),
    ("open", "closed"),
    ("full", "empty"),
)
BOTH_WAYS = OPPOSITES + tuple((b, a) for a, b in OPPOSITES)

ADVERBS = (
    ("quick", "quickly"),
    ("slow", "slowly"),
    ("loud", "loudly"),
    ("quiet", "quietly"),
    ("sad", "sadly"),
    ("happy", "happily"),
    ("soft", "softly"),
    ("kind", "kindly"),
    ("brave", "bravely"),
    ("bad", "badly"),
)
MOTIONS = ("moves", "walks", "talks", "sings", "works", "runs", "plays")

CAPITALS = (
    ("France", "Paris"),
    ("Italy", "Rome"),
    ("Spain", "Madrid"),
    ("England", "London"),
    ("Germany", "Berlin"),
    ("Japan", "Tokyo"),
    ("China", "Beijing"),
    ("Russia", "Moscow"),
    ("Egypt", "Cairo"),
    ("Greece", "Athens"),
)

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
SEASONS = ("spring", "summer", "autumn", "winter")
NUMBERS = (
    "one", "two", "three", "four", "five", "six",
    "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
DIGITS = tuple(str(n) for n in range(21))
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
CAPITAL_LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
LINES = (DAYS, MONTHS, NUMBERS, DIGITS, LETTERS, CAPITAL_LETTERS)
CYCLES = (DAYS, MONTHS, SEASONS)

PAIRS = (
    ("king", "queen"),
    ("bread", "butter"),
    ("salt", "pepper"),
    ("mother", "father"),
    ("brother", "sister"),
    ("boys", "girls"),
    ("cats", "dogs"),
    ("sun", "moon"),
    ("black", "white"),
    ("day", "night"),
    ("up", "down"),
    ("knife", "fork"),
    ("hot", "cold"),
    ("left", "right"),
)

SOUNDS = (("dog", "woof"), ("cat", "meow"), ("cow", "moo"), ("duck", "quack"), ("bee", "buzz"))

#: A sentence that has one obvious last word.
FACTS = (
    "A bird can fly", "A bee can fly", "A plane can fly", "A fish can swim", "A duck can swim",
    "A dog can run", "A frog can jump",
    "A dog has four legs", "A cat has four legs", "A bird has two legs", "A spider has eight legs",
    "A car has four wheels", "A bird has two wings", "A man has two hands",
    "A week has seven days", "A year has twelve months", "There are seven days in a week",
    "There are twelve months in a year", "A hand has five fingers",
    "A cat is an animal", "A dog is an animal", "A horse is an animal", "A rose is a flower",
    "An apple is a fruit", "Red is a color", "Blue is a color", "Paris is a city", "London is a city",
    "Monday is a day", "May is a month", "Anna is a girl", "Mary is a girl", "Tom is a boy", "Ben is a boy",
    "Fire is hot", "Ice is cold", "Sugar is sweet", "Water is wet", "Stone is hard",
    "A cow gives milk", "A bee makes honey", "A hen gives eggs", "The cow gives us milk",
    "We see with our eyes", "We hear with our ears", "We walk with our feet",
    "In winter it is cold", "In summer it is hot", "At night it is dark", "In winter there is snow",
    "I read a book", "I drink a cup of tea", "I drink a glass of water", "I eat a piece of cake",
    "I go to school by bus", "We sleep in a bed", "We live in a house", "We write with a pen",
    "The sun rises in the east", "The sun sets in the west",
)  # fmt: skip

#: What people say.
TALK = (
    "How are you? I am fine.",
    "How are you? I'm fine, thank you.",
    "Thank you very much.",
    "Good morning!",
    "Good morning!",
    "Hello, world!",
    "It's time to go to bed.",
    "It's time to go to school.",
    "It's late. Don't go out.",
    "It's cold. Don't open the door.",
    "I don't know.",
    "I can't see it.",
    "I'm happy. You're happy. We're happy.",
    "Please open the door.",
    "Please close the door.",
    "To be or not to be.",
    "I want to go home.",
    "Let's go!",
    "That's right.",
    "Yes, I can. No, I can't.",
    "I love you.",
    "Where are you? I am here.",
    "What time is it? It is late.",
)

THINGS = ("hat", "book", "ball", "key", "cup", "box", "pen", "car", "bag")
PETS = ("cat", "dog", "bird", "fish", "horse", "duck", "mouse", "frog")
PLURALS = ("cat", "dog", "bird", "duck", "cow", "hat", "book", "ball", "key", "car")
PASTS = (("walk", "walked"), ("play", "played"), ("jump", "jumped"), ("work", "worked"), ("talk", "talked"))
PLACES = ("shop", "park", "school", "house", "sea", "city")


# ---------------------------------------------------------------------------------------------------
# Rules: each makes a sentence or two
# ---------------------------------------------------------------------------------------------------


def person(dice: Dice) -> tuple[str, str, str, str]:
    """A name, and its pronouns: ("Anna", "She", "her", "girl")."""
    if dice.chance(0.5):
        return dice.pick(MEN), "He", "his", "boy"
    return dice.pick(WOMEN), "She", "her", "girl"


def capital(text: str) -> str:
    """The text with its first letter as a capital."""
    return text[:1].upper() + text[1:]


def scene(dice: Dice) -> str:
    """The cat sat on the mat."""
    who, did, what = SCENES[0] if dice.chance(0.12) else dice.pick(SCENES)
    if dice.chance(0.2):
        who = f"{dice.pick(PLAIN_ADJECTIVES)} {who}"
    owner = "The" if dice.chance(0.75) else dice.pick(("A", "My", "One day the", "Yesterday the"))
    if dice.chance(0.06):
        return f"{dice.pick(PEOPLE)} has a {who}. It {did} {what}."
    return f"{owner} {who} {did} {what}."


def scene_asked(dice: Dice) -> str:
    """Where is the cat? The cat is on the mat."""
    who, did, what = dice.pick([s for s in SCENES if s[1].split()[-2] in ("on", "in")])
    where = f"{did.split()[-2]} the {what}"
    return f"Where is the {who}? The {who} is {where}."


def color(dice: Dice) -> str:
    """The sky is blue."""
    (a, red), (b, blue) = dice.some(COLORED, 2)
    plain = a.split()[-1].lower()
    return dice.pick(
        (
            f"{a} is {red}.",
            f"{a} is {red}.",
            f"{a} is {red}, and {b[0].lower()}{b[1:]} is {blue}.",
            f"What color is {a[0].lower()}{a[1:]}? It is {red}.",
            f"The color of the {plain} is {red}.",
        )
    )


def opposite(dice: Dice) -> str:
    """The opposite of hot is cold."""
    (hot, cold), (big, small) = dice.some(BOTH_WAYS, 2)
    return dice.pick(
        (
            f"The opposite of {hot} is {cold}.",
            f"The opposite of {hot} is {cold}.",
            f"{capital(hot)} is the opposite of {cold}.",
            f"It is not {hot}, it is {cold}.",
            f"It's not {hot}. It's {cold}.",
            f"Not {hot} but {cold}.",
            f"{capital(hot)} is to {cold} as {big} is to {small}.",
        )
    )


def opposites(dice: Dice) -> str:
    """hot cold, big small, good bad"""
    join, between = dice.pick(((" ", ", "), (" ", ", "), (" - ", ", "), (" -> ", "\n"), (": ", "\n"), (" ", "\n")))
    return between.join(f"{a}{join}{b}" for a, b in dice.some(BOTH_WAYS, dice.between(2, 6)))


def adverb(dice: Dice) -> str:
    """Mike is quick. He moves quickly."""
    quick, quickly = ADVERBS[0] if dice.chance(0.1) else dice.pick(ADVERBS)
    name, he, _, _ = person(dice)
    moves = dice.pick(MOTIONS)
    if dice.chance(0.15):
        name, he = f"The {dice.pick(PETS)}", "It"
    if dice.chance(0.2):
        return f"{name} {moves} {quickly}. {he} is {quick}."
    return f"{name} is {quick}. {he} {moves} {quickly}."


def lost(dice: Dice) -> str:
    """Anna lost her hat. She looked for it."""
    name, he, his, _ = person(dice)
    hat = dice.pick(THINGS)
    return dice.pick(
        (
            f"{name} lost {his} {hat}. {he} looked for it.",
            f"{name} lost {his} {hat}. {he} looked for it.",
            f"{name} found {his} {hat}. {he} is happy.",
            f"{name} opened {his} {hat}. {he} is happy."
            if hat in ("book", "box", "bag")
            else f"{name} has a {hat}. It is {his} {hat}.",
            f"{name} is tired. {he} went to bed.",
            f"{name} is hungry. {he} ate some bread.",
            f"{name} is thirsty. {he} drank some water.",
            f"{name} loves {his} mother. {he} loves {his} father too.",
            f"{name} went to school with {his} {dice.pick(('brother', 'sister', 'mother', 'father'))}.",
        )
    )


def who_has(dice: Dice) -> str:
    """Tom has a dog. Anna has a cat. Tom loves his dog. Anna loves her cat."""
    (tom, _, his, _), (anna, _, her, _) = person(dice), person(dice)
    while anna == tom:
        anna, _, her, _ = person(dice)
    dog, cat = dice.some(PETS, 2)
    asked = [f"{tom} loves {his} {dog}.", f"{anna} loves {her} {cat}."]
    return f"{tom} has a {dog}. {anna} has a {cat}. " + " ".join(dice.some(asked, 2))


def who_is(dice: Dice) -> str:
    """The hat is red. The box is blue. The hat is red."""
    n = dice.between(2, 4)
    facts = [f"The {hat} is {red}." for hat, red in zip(dice.some(THINGS, n), dice.some(COLORS, n), strict=True)]
    return " ".join(facts + dice.some(facts, n))


def gave(dice: Dice) -> str:
    """When Tom and Anna went to the shop, Tom gave a book to Anna."""
    tom, anna = dice.some(PEOPLE, 2)
    giver, taker = (tom, anna) if dice.chance(0.5) else (anna, tom)
    return f"When {tom} and {anna} went to the {dice.pick(PLACES)}, {giver} gave a {dice.pick(THINGS)} to {taker}."


def geography(dice: Dice) -> str:
    """The capital of France is Paris."""
    country, city = dice.pick(CAPITALS)
    return dice.pick(
        (
            f"The capital of {country} is {city}.",
            f"The capital of {country} is {city}.",
            f"{city} is the capital of {country}.",
            f"{city} is in {country}.",
            f"What is the capital of {country}? It is {city}.",
        )
    )


def capitals(dice: Dice) -> str:
    """France Paris, Italy Rome, Spain Madrid"""
    join, between = dice.pick(((" ", ", "), (" - ", ", "), (": ", "\n")))
    return between.join(f"{a}{join}{b}" for a, b in dice.some(CAPITALS, dice.between(2, 5)))


def line(dice: Dice) -> str:
    """Monday, Tuesday, Wednesday"""
    words = dice.pick(LINES)
    first = 0 if dice.chance(0.4) else dice.below(len(words) - 3)
    run = list(words[first : first + dice.between(3, 8)])
    if dice.chance(0.3):
        run[0] = capital(run[0])
    return dice.pick((", ", ", ", " ", " ", "\n")).join(run) + dice.pick((".", "", ""))


def backwards(dice: Dice) -> str:
    """five, four, three, two, one"""
    words = dice.pick((NUMBERS[:10], DIGITS[:11]))
    last = dice.between(4, len(words))
    return dice.pick((", ", " ")).join(words[last - dice.between(4, last) : last][::-1]) + dice.pick((".", "", ""))


def after(dice: Dice) -> str:
    """After Monday comes Tuesday."""
    words = dice.pick(CYCLES)
    i = dice.below(len(words))
    this, following = words[i], words[(i + 1) % len(words)]
    if words is DAYS and dice.chance(0.4):
        return dice.pick((f"Today is {this}. Tomorrow is {following}.", f"The day after {this} is {following}."))
    return dice.pick((f"After {this} comes {following}.", f"{capital(this)} comes before {following}."))


def sums(dice: Dice) -> str:
    """Two plus two is four."""
    a, b = dice.between(1, 9), dice.between(1, 9)
    while a + b > 10:
        a, b = dice.between(1, 9), dice.between(1, 9)
    if dice.chance(0.5):
        one, two, three = (NUMBERS[n - 1] for n in (a, b, a + b))
        if dice.chance(0.3):
            return f"{capital(three)} minus {two} is {one}."
        return f"{capital(one)} plus {two} is {three}."
    return f"{a + b} - {b} = {a}" if dice.chance(0.3) else f"{a} + {b} = {a + b}"


def pair(dice: Dice) -> str:
    """bread and butter"""
    a, b = dice.pick(PAIRS)
    return dice.pick((f"{capital(a)} and {b}.", f"The {a} and the {b}.", f"I like {a} and {b}."))


def sound(dice: Dice) -> str:
    """The cow says "moo"."""
    cow, moo = dice.pick(SOUNDS)
    return dice.pick((f'The {cow} says "{moo}".', f'"{capital(moo)}!" says the {cow}.', f"The {cow} says {moo}."))


def fact(dice: Dice) -> str:
    """A bird can fly."""
    return dice.pick(FACTS) + "."


def talk(dice: Dice) -> str:
    """How are you? I am fine."""
    return dice.pick(TALK)


def greeting(dice: Dice) -> str:
    """What is your name? My name is Tom."""
    (name, he, his, boy), word = person(dice), dice.pick(("Hello", "Good morning", "Good night"))
    return dice.pick(
        (
            f"What is your name? My name is {name}.",
            f'{name} said, "{word}!"',
            f'"{word}, {name}!" {he} said.',
            f"This is {name}. {he} is a {boy}. {capital(his)} name is {name}.",
            f"{word}, {name}! How are you?",
        )
    )


def story(dice: Dice) -> str:
    """Once upon a time there was a king. He had a big house."""
    king, he = dice.pick((("king", "He"), ("queen", "She"), ("boy", "He"), ("girl", "She"), ("man", "He")))
    house = dice.pick(("house", "dog", "cat", "horse", "hat"))
    return f"Once upon a time there was a {king}. {he} had a {dice.pick(PLAIN_ADJECTIVES)} {house}."


def plurals(dice: Dice) -> str:
    """one cat, two cats, one dog, two dogs"""
    words = dice.some(PLURALS, dice.between(1, 4))
    return ", ".join(f"one {word}, two {word}s" for word in words)


def past(dice: Dice) -> str:
    """Today I walk. Yesterday I walked."""
    walk, walked = dice.pick(PASTS)
    who = dice.pick(("I", "we", "they", "you"))
    return f"Today {who} {walk}. Yesterday {who} {walked}."


def again(dice: Dice) -> str:
    """hat Tom blue seven, hat Tom blue seven"""
    words = dice.some(WORDS, dice.between(3, 8))
    join = dice.pick((" ", " ", ", "))
    between = dice.pick((" ", ", ", ". ", "\n"))
    return between.join([join.join(words)] * dice.between(2, 3))


#: Words that `again` draws from: whatever the tables hold.
WORDS = tuple(
    dict.fromkeys(
        [*PEOPLE, *THINGS, *PETS, *COLORS, *NUMBERS, *DAYS]
        + [word for row in OPPOSITES + CAPITALS + PAIRS for word in row]
        + [word for who, _, what in SCENES for word in (who, what)]
    )
)

#: Each rule with its share of the corpus.
RULES: tuple[tuple[int, Rule], ...] = (
    (20, scene),
    (4, scene_asked),
    (8, color),
    (8, opposite),
    (6, opposites),
    (12, adverb),
    (9, lost),
    (8, who_has),
    (11, who_is),
    (10, gave),
    (9, geography),
    (3, capitals),
    (14, line),
    (2, backwards),
    (8, after),
    (16, sums),
    (8, pair),
    (5, sound),
    (46, fact),
    (14, talk),
    (5, greeting),
    (3, story),
    (2, plurals),
    (2, past),
    (6, again),
)
DECK: tuple[Rule, ...] = tuple(rule for share, rule in RULES for _ in range(share))


# ---------------------------------------------------------------------------------------------------
# Documents
# ---------------------------------------------------------------------------------------------------


def document(dice: Dice) -> str:
    """One to six sentences, on one subject or on several, as a person might type them."""
    n = dice.pick((1, 1, 2, 2, 3, 4, 5, 6))
    rules = [dice.pick(DECK)] * n if dice.chance(0.25) else [dice.pick(DECK) for _ in range(n)]
    text = dice.pick((" ", " ", " ", "\n")).join(rule(dice) for rule in rules)
    if dice.chance(0.08):
        text = text[:1].lower() + text[1:]
    return text


def documents(n: int, seed: int) -> Iterator[str]:
    """The first n documents of the corpus with this seed."""
    dice = Dice(seed)
    for _ in range(n):
        yield document(dice)
