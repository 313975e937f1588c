"""Small talk, little stories and letters: answers for which there is no single right one."""

from __future__ import annotations

import random
from collections.abc import Callable

from studio.engine.nano import words
from studio.engine.nano.grammar import Turn, an, capital, say
from studio.engine.nano.people import product

#: Ways a person opens, and ways nano answers.
_EXCHANGES: tuple[tuple[str, str], ...] = (
    (
        (
            "[Hello|Hi|Hey|Good morning|Good evening|Good day|Hi there|Hello there]<who>[!|.|, how are you?|. How are you"
            " today?|, nice to meet you.|]"
        ),
        (
            "[Hello|Hi|Good to see you]<back>! [How can I help you?|What can I do for you today?|I am well, thank you.|How are"
            " you today?|It is nice to meet you.]"
        ),
    ),
    (
        "[Thank you|Thanks|Many thanks|Thank you very much|Thanks a lot]<who>[!|.| for your help.| for the <thing>.]",
        "[You are welcome|It was a pleasure|I am glad I could help]<back>[!|.]",
    ),
    (
        "[Goodbye|Bye|See you later|Good night|See you on <day>|I have to go now]<who>[!|.|]",
        "[Goodbye|See you soon|Take care]<back>! [Have a nice day.|Have a good time.|Until next time.]",
    ),
    (
        "[Who are you|What are you|What is your name|Tell me about yourself|Are you a robot|Introduce yourself]<who>[?|.]",
        (
            "I am nano, a very small language model. [I know a little English.|I can answer short questions.|I like short"
            " questions best.]"
        ),
    ),
    (
        "[What can you do|How can you help me|What are you good at|What should I ask you]<who>?",
        (
            "I can [answer short questions|copy and change text|make lists and JSON|rewrite sentences] and [do little sums|talk"
            " about simple things|write short replies]."
        ),
    ),
    ("I am [very |a bit |so |]<mood>[ today| this morning| this week|][.|!]", "<mood_answer>"),
    (
        "[The weather is <w> today.|It is <w> outside.|What a <w> day!|It has been <w> all <day>.]",
        (
            "[<W> weather|A <w> day] [is good for a walk in the <place>|is a good time for a cup of tea|can be quite nice|makes"
            " people think of the <place>]."
        ),
    ),
    (
        "[Do you like <food>|What do you think of <food>|Is <food> good|How do you like <food>]?",
        (
            "[I think <food> is [lovely|very good|nice with bread|a fine choice].|Many people like <food>.|I cannot eat, but"
            " <food> sounds good.]"
        ),
    ),
    (
        "[I like|I love|I enjoy|My hobby is] <hobby>[.|!| very much.| on <day>.]",
        "[That is great|How nice|Wonderful]! <Hobby> is [a good hobby|fun|good for you|a fine way to rest].",
    ),
    (
        "[I do not like|I hate|I am bad at] <hobby>.",
        (
            "[That is all right|I understand|Never mind]. [Perhaps you will like <hobby2> more.|Not everybody likes"
            " <hobby>.|You could try <hobby2>.]"
        ),
    ),
    (
        "[I am going to|I will go to|Tomorrow I go to] the <place>[ with <name>|][.|!]",
        (
            "[Have fun|Enjoy it|Have a good time] at the <place>! [Do not forget your <thing>.|Say hello to everybody.|I hope"
            " the weather will be good.]"
        ),
    ),
    (
        "[I lost|I cannot find|Where is] my <thing>[.|?|!]",
        "[Look in the <place>|Did you look under the <furniture>?|Ask <name>] [first|, perhaps it is there|again].",
    ),
    (
        "[Can you help me|I need help|Please help me|Could you help me] with [my|the] <thing>[?|.]",
        "[Of course|Yes|Gladly]. What is [the problem|wrong] with [the|your] <thing>?",
    ),
    (
        "[What should I cook|What can I eat|Give me an idea for dinner|What is good for lunch]<who>[?|.]",
        "[How about|You could make|I would try] <food> with <food2>[.|, and some <food3>.]",
    ),
    (
        "[What should I do|What can I do|Give me an idea for what to do] [today|tomorrow|on <day>|this weekend]?",
        "You could [go to the <place>|try <hobby>|visit <name>|read a book|make a <food> soup].",
    ),
    ("[Today is|It is] my birthday[!|.]", "Happy birthday! I wish you a wonderful [day|year]."),
    (
        "[Do you know|Have you met|Who is] <name>[?|, my friend?]",
        "I do not know <name>. [Tell me more.|Is <name> a friend of yours?]",
    ),
    (
        "My name is <name>. [I live in <city>.|I come from <city>.|I am a <job>.|]",
        "Hello <name>! [Nice to meet you.|How can I help you?|It is good to know you.]",
    ),
    (
        "[My <family> is|A friend of mine is] a <job>[.|!]",
        "[How nice|That is interesting]! [Does a <job> work a lot?|It must be good to be a <job>.]",
    ),
    ("[How do I|How can I|What is the best way to] <task>?", "[First|To begin], <step1>. Then <step2>."),
)
_MOODS = {
    "happy": "I am glad to hear that!",
    "sad": "I am sorry to hear that. I hope you will feel better soon.",
    "tired": "Then you should rest a little.",
    "hungry": "How about some bread and cheese?",
    "bored": "Perhaps you could read a book or take a walk.",
    "angry": "I am sorry. What happened?",
    "ill": "I hope you get well soon.",
    "nervous": "Take a deep breath. It will be fine.",
    "busy": "Then I will keep it short.",
    "excited": "That sounds great! What is going to happen?",
    "cold": "A hot cup of tea may help.",
    "thirsty": "You should drink a glass of water.",
    "lonely": "Perhaps you could call a friend.",
    "late": "Do not worry, it happens to everybody.",
}
_TASKS = (
    ("make tea", "boil some water", "pour it over the tea and wait three minutes"),
    ("clean a window", "wash the glass with warm water", "dry it with a soft towel"),
    ("plant a tree", "dig a deep hole", "put the tree in and give it water"),
    ("cook an egg", "boil some water in a pot", "put the egg in for seven minutes"),
    ("wrap a present", "fold paper around the box", "tie it with a ribbon"),
    ("learn a song", "listen to it a few times", "sing it slowly, line by line"),
    ("write a letter", "write the date and the name", "say what you want to say and sign it"),
    ("fix a bike tyre", "take off the wheel", "find the hole and cover it"),
    ("make a sandwich", "take two slices of bread", "put some cheese between them"),
    ("save money", "write down what you spend", "buy only what you need"),
    ("sleep better", "turn off your phone", "go to bed at the same time every day"),
    ("paint a wall", "cover the floor with paper", "paint from top to bottom"),
)


def exchange(rng: random.Random) -> Turn:
    """A line of small talk and a friendly answer."""
    opening, answer = rng.choice(_EXCHANGES)
    name, mood = rng.choice(words.FIRST_NAMES), rng.choice(list(_MOODS))
    foods, hobbies = rng.sample(words.FOODS, 3), rng.sample(words.HOBBIES, 2)
    weather = rng.choice(("sunny", "rainy", "cold", "warm", "windy", "grey", "hot", "snowy"))
    task = rng.choice(_TASKS)
    me = rng.random()
    slots = {
        "who": f", {'nano' if me < 0.15 else 'my friend' if me < 0.2 else 'please tell me'}" if me < 0.2 else "",
        "back": "",
        "name": name,
        "mood": mood,
        "mood_answer": _MOODS[mood],
        "w": weather,
        "W": weather.capitalize(),
        "food": foods[0],
        "food2": foods[1],
        "food3": foods[2],
        "hobby": hobbies[0],
        "Hobby": hobbies[0].capitalize(),
        "hobby2": hobbies[1],
        "place": rng.choice(words.PLACES),
        "thing": rng.choice(words.OBJECTS + words.PRODUCTS),
        "furniture": rng.choice(("table", "bed", "sofa", "desk", "chair", "shelf")),
        "day": rng.choice(words.DAYS),
        "city": rng.choice(words.CITIES),
        "job": rng.choice(words.JOBS),
        "family": rng.choice(("mother", "father", "sister", "brother", "uncle", "wife", "son", "daughter")),
        "task": task[0],
        "step1": task[1],
        "step2": task[2],
    }
    prompt, reply = _filled(rng, opening, slots), _filled(rng, answer, slots)
    return Turn(prompt, reply)


def _filled(rng: random.Random, template: str, slots: dict[str, str]) -> str:
    text = say(rng, template, **slots)
    for noun in (*words.JOBS, *words.FOODS):
        if noun[0] in "aeiou":
            text = text.replace(f" a {noun}", f" an {noun}")
    return capital(text)


def sentence(rng: random.Random) -> Turn:
    """A sentence about a thing, or with two given words."""
    thing, adjective, place = rng.choice(words.EVERYDAY_NOUNS), rng.choice(words.ADJECTIVES), rng.choice(words.PLACES)
    name, verb = rng.choice(words.FIRST_NAMES), rng.choice(words.VERBS)
    if rng.random() < 0.5:
        ask = say(
            rng,
            "[Write a sentence about|Say something about|Make a sentence with|Use in a sentence:|Tell me something about]"
            " <a>[.|]",
            a=an(thing),
        )
        answer = say(
            rng,
            "[The <t> is <a> and stands in the <p>.|<n> <v> the <a> <t>.|There is <at> in the <p>.|I saw <at> at the <p>.|<n>"
            " has <aa> <t>.]",
            t=thing,
            a=adjective,
            p=place,
            n=name,
            v=verb[2],
            at=an(thing),
            aa=an(adjective),
        )
        return Turn(ask, answer)
    other = rng.choice(words.OBJECTS)
    ask = say(rng, "[Write a sentence with|Use these words in a sentence:|One sentence with] <t> and <o>[.|]", t=thing, o=other)
    answer = say(
        rng,
        "[<n> <v> the <t> and the <o>.|The <t> is next to the <o>.|I have <at> and <ao>.|The <o> is in the <p>, but the <t> is"
        " here.]",
        n=name,
        v=verb[2],
        t=thing,
        o=other,
        at=an(thing),
        ao=an(other),
        p=place,
    )
    return Turn(ask, answer)


def story(rng: random.Random) -> Turn:
    """Three or four sentences about somebody."""
    name, place, thing = rng.choice(words.FIRST_NAMES), rng.choice(words.PLACES), product(rng)
    pick = rng.sample(words.VERBS, 2)
    animal = rng.choice(words.ANIMALS)[0]
    ask = say(
        rng,
        "[Tell me a story about|Write a short story about|A little story about|Make up a story about] <n>[ and <a>|]",
        n=name,
        a=an(animal),
    )
    answer = say(
        rng,
        "[One day|Last <d>|In <m>|Early in the morning] <n> [went to|walked to|was at] the <p>. [There <n> <v1> <t>.|<n> <v1>"
        " <t> there.]"
        + (" [Suddenly|Then|A little later] <a> [came along|ran past|looked at <n>]." if " and " in ask else "")
        + " [<n> was [happy|surprised|glad|tired].|Then <n> <v2> the <o>.] [In the end|After that|Later], <n> went home.",
        d=rng.choice(words.DAYS),
        m=rng.choice(words.MONTHS),
        n=name,
        p=place,
        t=an(thing),
        v1=pick[0][2],
        v2=pick[1][2],
        a=ask.split(" and ")[-1],
        o=rng.choice(words.OBJECTS),
    )
    return Turn(ask + rng.choice((".", "", ", please.")), answer)


def email(rng: random.Random) -> Turn:
    """A short letter that asks, thanks, invites or says sorry."""
    name, me = rng.sample(words.FIRST_NAMES, 2)
    thing, day, place = product(rng), rng.choice(words.DAYS), rng.choice(words.PLACES)
    ask, body = rng.choice(
        (
            ("ask <n> for the <t>", "[could you send me the <t>|may I have the <t>|please bring me the <t>] [by <d>|on <d>]?"),
            (
                "thank <n> for the <t>",
                "[thank you very much for the <t>|many thanks for the <t>]. It is [lovely|wonderful|just right].",
            ),
            ("invite <n> to the <p> on <d>", "[would you like to come|please come|you are invited] to the <p> on <d>."),
            ("tell <n> that the <t> is late", "the <t> will be [late|a few days late]. I am sorry for the delay."),
            ("say sorry to <n> about the <t>", "I am [very |]sorry about the <t>. It will not happen again."),
        )
    )
    slots = {"n": name, "t": thing, "d": day, "p": place, "m": me}
    prompt = say(
        rng,
        f"[Write a short email to {ask}|Write a note to {ask}|Help me {ask}]. [My name is <m>.|Sign as <m>.|From <m>.]",
        **slots,
    )
    return Turn(prompt, say(rng, f"[Dear|Hello|Hi] <n>, {body} [Best wishes|Kind regards|Thank you], <m>", **slots))


def opinion(rng: random.Random) -> Turn:
    """Choose between two, with a reason."""
    a, b = rng.sample(rng.choice((words.FOODS, words.HOBBIES, words.COLOURS, words.CITIES, words.PLACES)), 2)
    pick = rng.choice((a, b))
    ask = say(rng, "[Which is better|What do you like more|Which do you choose|What would you take], <a> or <b>?", a=a, b=b)
    return Turn(
        ask,
        (
            say(
                rng,
                "[I would choose <p>|I like <p> more|I think <p> is better|<P> for me], because [it is nice|I like it|it is"
                " good for everybody|it makes people happy].",
                p=pick,
                P=capital(pick),
            )
            if pick.islower()
            else f"I would choose {pick}, because I like it."
        ),
    )


GENERATORS: tuple[tuple[Callable[[random.Random], Turn], float], ...] = (
    (exchange, 5.0),
    (sentence, 2.0),
    (story, 2.5),
    (email, 2.5),
    (opinion, 1.0),
)
