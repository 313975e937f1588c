"""The word pools of nano's small world: who, what, where, when and how. Everything else is built from these."""

from __future__ import annotations


def pool(text: str) -> tuple[str, ...]:
    """The words of ``text``, which white space parts."""
    return tuple(text.split())


def phrases(text: str) -> tuple[str, ...]:
    """The phrases of ``text``, which commas part."""
    return tuple(part.strip() for part in text.replace("\n", " ").split(",") if part.strip())


FIRST_NAMES = pool(
    "Anna Ben Carla David Emma Felix Grace Henry Ines Jack Kate Leo Maria Nora Oscar Paula Quinn Rosa Sam Tara Umar Vera Will "
    "Yara Zoe Adam Bella Chris Diana Eric Fiona George Hana Ivan Julia Karim Lena Mark Nina Omar Peter Rita Simon Tom Ursula "
    "Victor Wendy Alex Bruno Clara Daniel Elena Frank Gina Hugo Iris James Kim Laura Max Nadia Oliver Priya Ravi Sara Theo "
    "Alice Carlos Dora Ethan Farah Gabriel Helen Isaac Jana Kevin Lucy Martin Nicole Owen Petra Robert Sofia Tina Viktor "
    "Amir Beth Colin Daria Erik Flora Gavin Holly Imran Joan Kurt Lily Mateo Naomi Otto Pia Ruth Stella Toby Vincent Wanda"
)
LAST_NAMES = pool(
    "Smith Brown Garcia Silva Novak Khan Rossi Weber Martin Lopez Kim Chen Patel Green Baker Fisher Young King Hill Wood "
    "Clark Lewis Walker Hall Adams Scott Turner Parker Evans Collins Reed Cook Bell Ward Gray Stone Fox Lane West Marsh "
    "Moore Allen Wright Harris Cooper Ross Long Price Hughes Foster Berg Costa Moreno Santos Keller Meyer Schmidt Jansen "
    "Larsen Nilsen Kovac Petrov Haddad Rahman Singh Gupta Tanaka Sato Park Wang Murphy Kelly Doyle Quinn Barnes Dunn Holt"
)
COLOURS = pool("red blue green yellow black white brown grey orange purple pink silver gold")
SIZES = pool("small large big tiny medium huge")
PRODUCTS = pool(
    "kettle toaster lamp chair table desk phone laptop tablet camera printer keyboard mouse monitor backpack jacket coat "
    "shirt dress scarf hat watch ring clock mirror rug pillow blanket towel mug plate bowl knife pan pot blender mixer oven "
    "fridge heater fan vacuum drill hammer ladder tent bicycle helmet ball racket guitar piano drum book notebook pen bottle "
    "vase shelf sofa bed mattress curtain umbrella wallet belt speaker charger cable router headset microphone suitcase"
)
COMPOUND_PRODUCTS = phrases(
    "coffee machine, desk lamp, garden chair, travel bag, water bottle, running shoes, winter coat, tea set, kitchen scale, "
    "office chair, phone case, alarm clock, bread maker, rice cooker, hair dryer, night light, bike lock, yoga mat, "
    "picture frame, wall clock, sleeping bag, lunch box, door mat, bath towel, board game, hand mixer, floor lamp, tool box"
)
FOODS = pool(
    "bread cheese soup rice pasta salad apple banana orange grape cherry lemon tomato carrot potato onion pepper cake pie "
    "cookie chocolate honey butter milk tea coffee juice water egg fish chicken pizza sandwich bean corn nut yoghurt jam"
)
ANIMALS: tuple[tuple[str, str, int, str, str], ...] = (
    # name, sound or habit, legs, home, young
    ("cat", "meows", 4, "house", "kitten"),
    ("dog", "barks", 4, "house", "puppy"),
    ("cow", "moos", 4, "farm", "calf"),
    ("horse", "neighs", 4, "farm", "foal"),
    ("sheep", "bleats", 4, "farm", "lamb"),
    ("pig", "grunts", 4, "farm", "piglet"),
    ("duck", "quacks", 2, "pond", "duckling"),
    ("hen", "clucks", 2, "farm", "chick"),
    ("lion", "roars", 4, "savanna", "cub"),
    ("bear", "growls", 4, "forest", "cub"),
    ("wolf", "howls", 4, "forest", "pup"),
    ("owl", "hoots", 2, "forest", "owlet"),
    ("frog", "croaks", 4, "pond", "tadpole"),
    ("bee", "buzzes", 6, "hive", "larva"),
    ("snake", "hisses", 0, "desert", "hatchling"),
    ("mouse", "squeaks", 4, "field", "pup"),
    ("elephant", "trumpets", 4, "savanna", "calf"),
    ("goat", "bleats", 4, "farm", "kid"),
    ("crow", "caws", 2, "field", "chick"),
    ("donkey", "brays", 4, "farm", "foal"),
    ("spider", "spins webs", 8, "web", "spiderling"),
    ("rabbit", "hops", 4, "field", "bunny"),
    ("kangaroo", "jumps", 2, "desert", "joey"),
    ("fox", "barks", 4, "forest", "cub"),
    ("swan", "swims", 2, "lake", "cygnet"),
    ("goose", "honks", 2, "pond", "gosling"),
    ("deer", "runs", 4, "forest", "fawn"),
    ("tiger", "roars", 4, "jungle", "cub"),
    ("monkey", "chatters", 4, "jungle", "infant"),
    ("whale", "sings", 0, "sea", "calf"),
)
COUNTRIES: tuple[tuple[str, str, str, str], ...] = (
    # country, capital, continent, language
    ("France", "Paris", "Europe", "French"),
    ("Germany", "Berlin", "Europe", "German"),
    ("Italy", "Rome", "Europe", "Italian"),
    ("Spain", "Madrid", "Europe", "Spanish"),
    ("Portugal", "Lisbon", "Europe", "Portuguese"),
    ("Greece", "Athens", "Europe", "Greek"),
    ("Poland", "Warsaw", "Europe", "Polish"),
    ("Norway", "Oslo", "Europe", "Norwegian"),
    ("Sweden", "Stockholm", "Europe", "Swedish"),
    ("Finland", "Helsinki", "Europe", "Finnish"),
    ("Denmark", "Copenhagen", "Europe", "Danish"),
    ("Austria", "Vienna", "Europe", "German"),
    ("Ireland", "Dublin", "Europe", "English"),
    ("Hungary", "Budapest", "Europe", "Hungarian"),
    ("Japan", "Tokyo", "Asia", "Japanese"),
    ("China", "Beijing", "Asia", "Chinese"),
    ("India", "New Delhi", "Asia", "Hindi"),
    ("Thailand", "Bangkok", "Asia", "Thai"),
    ("Vietnam", "Hanoi", "Asia", "Vietnamese"),
    ("Turkey", "Ankara", "Asia", "Turkish"),
    ("Egypt", "Cairo", "Africa", "Arabic"),
    ("Kenya", "Nairobi", "Africa", "Swahili"),
    ("Ghana", "Accra", "Africa", "English"),
    ("Morocco", "Rabat", "Africa", "Arabic"),
    ("Canada", "Ottawa", "North America", "English"),
    ("Mexico", "Mexico City", "North America", "Spanish"),
    ("Cuba", "Havana", "North America", "Spanish"),
    ("Brazil", "Brasilia", "South America", "Portuguese"),
    ("Peru", "Lima", "South America", "Spanish"),
    ("Chile", "Santiago", "South America", "Spanish"),
    ("Argentina", "Buenos Aires", "South America", "Spanish"),
    ("Australia", "Canberra", "Oceania", "English"),
)
CITIES = tuple(row[1] for row in COUNTRIES) + pool(
    "London Hamburg Munich Milan Porto Seville Lyon Bergen Bristol Leeds York Oxford Boston Chicago Dallas Denver Toronto "
    "Sydney Geneva Zurich Prague Krakow Dresden Leipzig Naples Valencia Austin Seattle Oakland"
)
JOBS = pool(
    "teacher doctor nurse baker farmer driver pilot cook waiter painter writer singer actor lawyer dentist engineer gardener "
    "plumber builder tailor artist librarian manager clerk scientist designer mechanic firefighter photographer"
)
HOBBIES = pool("reading swimming cooking dancing painting hiking singing running fishing gardening skiing sewing cycling")
PLACES = pool(
    "park school library museum market station airport office kitchen garden beach forest river lake hospital hotel cafe "
    "theatre cinema bank shop church farm harbour bridge village city street square bakery"
)
OBJECTS = pool(
    "key door window box bag basket letter card map candle brush spoon fork glass cup paper pencil picture stone flower tree "
    "leaf feather rope wheel bell button coin ticket flag kite doll toy puzzle boat car bus train bicycle truck house"
)
OPPOSITES: tuple[tuple[str, str], ...] = (
    ("big", "small"),
    ("hot", "cold"),
    ("fast", "slow"),
    ("happy", "sad"),
    ("old", "young"),
    ("high", "low"),
    ("hard", "soft"),
    ("light", "dark"),
    ("full", "empty"),
    ("open", "closed"),
    ("early", "late"),
    ("rich", "poor"),
    ("strong", "weak"),
    ("clean", "dirty"),
    ("wet", "dry"),
    ("loud", "quiet"),
    ("near", "far"),
    ("long", "short"),
    ("thick", "thin"),
    ("wide", "narrow"),
    ("easy", "difficult"),
    ("good", "bad"),
    ("right", "wrong"),
    ("true", "false"),
    ("new", "used"),
    ("heavy", "weightless"),
    ("deep", "shallow"),
    ("sweet", "sour"),
    ("kind", "mean"),
    ("brave", "shy"),
    ("safe", "dangerous"),
    ("sharp", "blunt"),
    ("smooth", "rough"),
    ("tall", "tiny"),
    ("warm", "cool"),
    ("busy", "free"),
)
ADJECTIVES = tuple(word for pair in OPPOSITES for word in pair) + pool("lovely nice calm bright round pretty funny famous")
#: base, third person, past, -ing
VERBS: tuple[tuple[str, str, str, str], ...] = (
    ("walk", "walks", "walked", "walking"),
    ("play", "plays", "played", "playing"),
    ("cook", "cooks", "cooked", "cooking"),
    ("clean", "cleans", "cleaned", "cleaning"),
    ("open", "opens", "opened", "opening"),
    ("close", "closes", "closed", "closing"),
    ("paint", "paints", "painted", "painting"),
    ("watch", "watches", "watched", "watching"),
    ("wash", "washes", "washed", "washing"),
    ("carry", "carries", "carried", "carrying"),
    ("visit", "visits", "visited", "visiting"),
    ("help", "helps", "helped", "helping"),
    ("buy", "buys", "bought", "buying"),
    ("bring", "brings", "brought", "bringing"),
    ("find", "finds", "found", "finding"),
    ("see", "sees", "saw", "seeing"),
    ("take", "takes", "took", "taking"),
    ("make", "makes", "made", "making"),
    ("write", "writes", "wrote", "writing"),
    ("read", "reads", "read", "reading"),
    ("eat", "eats", "ate", "eating"),
    ("drink", "drinks", "drank", "drinking"),
    ("sell", "sells", "sold", "selling"),
    ("keep", "keeps", "kept", "keeping"),
    ("lose", "loses", "lost", "losing"),
    ("give", "gives", "gave", "giving"),
    ("hold", "holds", "held", "holding"),
    ("draw", "draws", "drew", "drawing"),
    ("choose", "chooses", "chose", "choosing"),
    ("move", "moves", "moved", "moving"),
    ("love", "loves", "loved", "loving"),
    ("like", "likes", "liked", "liking"),
    ("need", "needs", "needed", "needing"),
    ("want", "wants", "wanted", "wanting"),
    ("order", "orders", "ordered", "ordering"),
    ("return", "returns", "returned", "returning"),
    ("repair", "repairs", "repaired", "repairing"),
    ("send", "sends", "sent", "sending"),
    ("use", "uses", "used", "using"),
    ("check", "checks", "checked", "checking"),
)
#: What can be done to a thing: indexes into VERBS that take an object sensibly.
DAYS = pool("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = pool("January February March April May June July August September October November December")
NUMBER_WORDS = pool(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
#: Everyday words beyond the pools above: for copying, spelling and lists, and so that the tokenizer knows them whole.
COMMON = pool(
    "able about above across after again air all almost along also always and another answer any area around ask away back "
    "ball bar base beach because become before begin behind believe below best better between body bottom boy break bridge "
    "bring brother build burn call came care case catch change child church circle class clear climb cloud coast come common "
    "complete cool copy corner could count country course cover cross crowd cut dance day decide deep desk differ dinner does "
    "done double down dream drive drop during each ear earth east edge eight end enough enter even evening ever every example "
    "eye face fact fair fall family farm father feel feet few field fight fill film final fine finger finish fire first five "
    "floor fly follow food foot force form forward four free fresh friend front fruit game gave general gentle girl glad goal "
    "gold gone grass great ground group grow guess hair half hand happen head hear heart heat help here hill hole home hope "
    "hour hundred hunt hurry idea inch inside island join joke jump just kind knew know lady land large last laugh law lead "
    "learn leave left less letter level life lift line listen little live local lonely look lost lot low luck lunch machine "
    "main man many mark market match matter mean meet middle might mile mind minute miss moment money month moon more morning "
    "most mother mountain mouth much music must name nation nature neck never next night noise north nose note nothing notice "
    "number ocean off offer often once only order other our outside over own page pain pair part party pass past path pay "
    "peace people perhaps person pick piece place plain plan plane plant please point pool possible post press print problem "
    "pull push put question quick quite race rain raise range reach ready real reason record remember repeat rest return "
    "ride rise road rock roll roof room root rule run sail salt same sand save say science sea season seat second seed seem "
    "send sense sent serve set seven several shape share ship shoe shop shore should shoulder shout show side sign silence "
    "simple since sing sister sit six size skill skin sky sleep smell smile snow some song soon sound south space speak "
    "special speed spell spend spot spring stand star start state stay steel step stick still stop store storm story straight "
    "strange stream street string study subject such sudden sugar suit summer sun sure surface surprise swim system tail talk "
    "taste teach team tell temper test thank than that then there these thing think third those thought thousand three through "
    "throw tie time together told tomorrow tone tonight tool top total touch toward town track trade travel trip trouble try "
    "turn twelve twenty two type uncle under unit until usual valley value very view voice wait wake wall war warm wash wave "
    "way wear weather week weight well went were west what when where which while who whole why wife wild win wind wing winter "
    "wish woman wonder wood word work world worry worth would wrong yard year yellow yes yesterday yet"
)
#: Words of shops, offices and schools: copied often, so that people's own data meets words that nano knows.
OFFICE = pool(
    "account address afternoon agenda agree answer appointment arrange arrive article assist attach attention available avoid"
    " balance basic battery benefit booking branch budget cancel card careful cause certain charge choice class client"
    " colleague college comment company compare complain complete concern confirm connect contact contract correct cost coupon"
    " create credit customer damage date deadline dear decision defect delay deliver delivery department deposit describe"
    " detail device different discount discuss document download draft due edit email employee empty enjoy enquire entry error"
    " essay estimate event exam exchange excuse expect expensive explain express extra failed fault fee feedback figure file"
    " final finance folder forget form forward frozen full future general goods grade grateful guest guide handle happen hello"
    " holiday homework hurt immediately important improve include inform install instead invite invoice issue item join kindly"
    " language latest leak lesson letter limit list local locked login loyal mail manager manual material maths meal meeting"
    " member mention message method model monthly moment network newsletter noon notice notify offer office online opinion"
    " option package page paid parcel part password payment pending permit personal phone plan pleasure plenty polite postpone"
    " prefer prepare present price print private process profile project promise proof provide public pupil purchase quality"
    " quarter quickly quote ready reason receipt receive recent refund regard regards register regret reject remain remind"
    " remove rent repair replace reply report request require research reserve resolve respond return review sale sample"
    " schedule scratch screen season secure select service settings ship shipment shipping sign sincerely situation smart soon"
    " sorry speak specific staff standard status store student subject submit subscription suggest support supply survey"
    " suspect switch talk task teacher term test thank ticket timetable together tracking training transfer understand"
    " unfortunately unable update upload urgent useful user valid version visit voucher warranty website welcome within"
    " wonderful worker writing wrong yearly yours"
)
EVERYDAY_NOUNS = FOODS + PRODUCTS + OBJECTS + tuple(row[0] for row in ANIMALS)
