"""Questions with planted defects, by reason, and clean ones that come close to a defect without having it."""

# ruff: noqa: E501, RUF001 - tables of cases, and signs that look alike are meant

from records.question import Question

IMAGE = ["0" * 64]


def _row(number, task, text, answer, kind, more):
    return Question(
        source="planted", source_row=str(number), task=task, text=text, answer=answer, answer_type=kind, **more
    )


def _search(text, answer="Paris", kind="short_text", **more):
    return "search", text, answer, kind, more


def _math(text, answer="7", kind="number", **more):
    return "math", text, answer, kind, more


def _seen(text, answer="red", kind="short_text", **more):
    return "perception", text, answer, kind, {"images": IMAGE, **more}


DEFECTS = {
    "garbled_text": [
        _search("Which city is home to the CafÃ© Central?", "Vienna"),
        _search("Who wrote â€œThe Trialâ€\x9d?", "Kafka"),
        _search("Where was Andr\ufffd Weil born?"),
        _search("Which company was founded by Hewlett &amp; Packard&#39;s partner?"),
        _search("What is &lt;b&gt;the capital&lt;/b&gt; of Peru?", "Lima"),
        _math("Compute \x0crac{1}{2} + \x0crac{1}{3}.", "5/6"),
        _math("Find 3\times 4 + 2\times 5.", "22"),
        _search("@@## %%&& ~~^^ !!?? ((())) @@@@"),
        _search("A company that was founded by two brothers in a garage outside of the city and later moved its seat twice became known for the prod..."),
    ],
    "nothing_asked": [
        _search("https://example.org/wiki/Paris"),
        _search("TODO: add the question"),
        _search("nan"),
        _search("[INSERT QUESTION HERE]"),
        _search("What is the capital of {{country}}?"),
        _search("Answer this: {question}"),
        _search("Barack Obama", "president"),
        _search("Photosynthesis", "plants"),
        _search("What is the population of nan?", "5000000", "number"),
        _search("____"),
        _seen("image_0412.jpg"),
    ],
    "image_missing": [
        ("perception", "What colour is the bus?", "red", "short_text", {}),
        _seen("<image><image> Which is larger, the first or the second?", "first"),
    ],
    "image_mentioned": [
        _search("How many dogs are in the picture?", "3", "number"),
        _math("As shown in the figure, AB is a diameter of circle O. Find angle ACB in degrees.", "90"),
        _math("As shown, line l is parallel to line m. Find angle 1.", "50"),
        _math("In the diagram, ABCD is a square of side 4. What is the shaded area?", "8"),
        _math("Find the area of the triangle shown below.", "12"),
        _math("According to the bar chart, how many pupils like tea?", "12"),
        _math("Based on the graph, in which year were sales highest?", "2011"),
        _math("The table below lists the prices. What is the mean price?", "5"),
        _math("Using the following graph, find the slope of the line.", "2"),
        _search("<image> Who painted this?", "Monet"),
        _search("What is the name of the landmark in the photo?", "Big Ben"),
        _search("Which button in the screenshot opens the settings?", "Gear"),
        _math("Refer to the diagram above and find x.", "5"),
        _math("In the given figure, O is the centre. Find angle AOB.", "120"),
        _math("In Figure 2, what is the length of AD?", "6"),
    ],
    "options_missing": [
        _search("Which of the following is a noble gas?", "Neon"),
        _search("Which of these is not a planet?", "Pluto"),
        _search("Choose the correct answer. What is the capital of Peru?", "Lima"),
        _math("Which of the following numbers is prime?", "7"),
        _math("From the options below, find the value of 3 + 4.", "7"),
        _search("What is the chemical symbol of gold? Answer with the option letter.", "Au"),
        _math("How many of the following statements are true?", "2"),
        _search("Select the best option. Which gas do plants take in?", "carbon dioxide"),
        _search("Pick one from the given choices: the largest ocean.", "Pacific"),
        _search("Choose (A), (B), (C) or (D).", "B"),
    ],
    "option_marked": [
        _search("What is the capital of France?", "A", "choice", choices=["Paris (correct)", "Rome", "Bonn"]),
        _search("What is the capital of Italy?", "*Rome", "choice", choices=["Paris", "*Rome", "Bonn"]),
        _search("What is the capital of Peru?", "B", "choice", choices=["Quito", "Lima ✓", "Bogota"]),
        _search("What is the capital of Chile? (A) Lima (B) Santiago (correct) (C) Quito", "B"),
    ],
    "answer_given": [
        _search("What is the capital of France? Answer: Paris"),
        _math("What is 3 + 4? The answer is 7.", "7"),
        _math("What is 3 + 4? Therefore the final answer is \\boxed{7}", "7"),
        _math("Tom has 3 apples and buys 4. How many has he?\n#### 7", "7"),
        _math("What is 12 + 5?\nSolution: adding the two numbers gives seventeen", "17"),
        _search("What is the capital of Peru? Answer: B", "B", "choice", choices=["Quito", "Lima"]),
        _search("What is the capital of Peru? The correct answer is Lima.", "B", "choice", choices=["Quito", "Lima"]),
        _seen("Is the light on? Answer: yes", "yes", "boolean"),
    ],
    "answer_in_question": [
        _search("What is the capital of Djibouti?", "Djibouti"),
        _search("Which city is São Paulo near to?", "sao paulo"),
        _search("What is the name of the anthem of Mauritania, the National Anthem of Mauritania?", "National Anthem of Mauritania"),
        _seen("What colour is the red car?", "red"),
        _seen("There is a dog. What animal is the dog in the garden?", "dog"),
    ],
    "ambiguous": [
        _search("What is it?"),
        _search("Who is the person?", "Ada Lovelace"),
        _search("Where is this?"),
        _search("How many are there?", "4", "number"),
        _search("When was he born?", "1912", "number"),
        _search("What is her name?", "Ada"),
        _search("In which city did she die?"),
        _search("Who designed this building?", "Gaudi"),
        _search("What is the capital of this country?"),
        _search("What does this company produce?", "cars"),
        _search("What is that called?"),
    ],
    "several_questions": [
        _search("What is the capital of France and what is the capital of Spain?", "Paris"),
        _search("Who wrote Dracula and when did the author die?", "Bram Stoker"),
        _search("What is the longest river in Asia? What is the highest mountain in Europe?", "Yangtze"),
        _math("A tank holds 40 litres. (a) How many bottles of 2 litres fill the tank? (b) How many of 5 litres fill the tank?", "20"),
        _math("How many apples does Tom have and how many pears does Ann have?", "5"),
    ],
    "no_single_answer": [
        _search("What is your favourite city?"),
        _search("Do you think Paris is a nice place?", "yes", "boolean"),
        _search("In your opinion, who was the greatest painter?", "Monet"),
        _search("Describe the history of France.", "long"),
        _search("Write a poem about the sea.", "waves"),
        _search("Explain why the sky is blue.", "scattering"),
        _search("Give me three examples of mammals.", "dog"),
        _search("Name a country in Europe.", "France"),
        _search("Name any city in Spain.", "Madrid"),
        _search("Please summarize the plot of Hamlet.", "revenge"),
        _seen("What do you think of this painting?", "nice"),
        _seen("Describe the image in detail.", "a red car"),
        _search("Tell me something about whales.", "big"),
        _math("Explain how multiplication works.", "repeated addition", "short_text"),
    ],
    "time_bound": [
        _search("Who is the current president of France?", "Macron"),
        _search("Who is the president of Germany?", "Steinmeier"),
        _search("How old is Tom Hanks?", "67", "number"),
        _search("What is the latest album by Adele?", "30"),
        _search("Which club does Lionel Messi currently play for?", "Inter Miami"),
        _search("What is the most recent film by Christopher Nolan?", "Oppenheimer"),
        _search("What is the price of gold today?", "2000", "number"),
        _search("As of now, how many members does the EU have?", "27", "number"),
        _search("How many goals has Cristiano Ronaldo scored so far?", "900", "number"),
        _search("Who won the league last year?", "City"),
        _search("How many people live in Tokyo nowadays?", "14000000", "number"),
        _search("What is the net worth of Elon Musk?", "200 billion"),
        _search("Who is the CEO of Apple?", "Tim Cook"),
        _search("Which film is at the top of the charts this week?", "Dune"),
        _search("At the moment, which team leads the Premier League?", "Arsenal"),
        _search("How long ago did the Titanic sink?", "112 years"),
        _search("Who holds the world record in the marathon?", "Kiptum"),
        _search("What is the current population of this city?", "2 million", images=IMAGE),
        _search("What is the upcoming film of the actor born in 1974?", "Untitled"),
    ],
}  # fmt: skip

CLEAN = [
    # Perception with an image, also what no text could ask.
    _seen("What is it?", "dog"),
    _seen("What is the man currently doing?", "sitting"),
    _seen("What is he holding?", "umbrella"),
    _seen("What colour is the car on the left?", "blue"),
    _seen("How many people are in the picture?", "4", "number"),
    _seen("Is there a red shape in the image?", "yes", "boolean"),
    _seen("What is the latest year shown on the x-axis?", "2015", "number"),
    _seen("What is the color of the shape?", "teal"),
    _seen("<image>\nWhat does the sign say?", "stop"),
    _seen("Is the umbrella on the left or the right side?", "left"),
    _seen("Describe the color of the sky.", "blue"),
    _seen("What time does the clock show today?", "10:10"),
    _seen("Which of the following is the largest?", "B", "choice", choices=["cat", "horse"]),
    _seen("Which option is the odd one out?", "B"),
    _seen("According to the bar chart, which fruit sells best?", "apple"),
    _seen("Who designed this building?", "Gaudi"),
    _seen("What is the current speed on the dial?", "80", "number"),
    _seen("What number is on the player's jersey? Answer the question using a single word or phrase.", "10", "number"),
    _seen("Is the door open? Answer yes or no.", "yes", "boolean"),
    _seen("Colour?", "red"),
    _seen("What do you think is the age gap between the two men?", "9", "number"),
    # Mathematics: word problems, notation, geometry without a figure, figures in code.
    _math("Today Tom has 3 apples and buys 4 more. How many does he have now?"),
    _math("Anna currently has 5 stickers. She gets 2 more this week. How many has she?"),
    _math("How old is Ben if he is three years older than Tim, who is 4?"),
    _math("Last year a farm had 12 cows; this year it has 5 fewer. How many cows does it have?"),
    _math("What is the image of the point $(2,3)$ under a reflection in the line $y=x$?", "(3,2)", "expression"),
    _math("The graph of $y=x^2$ is shifted up by 3. What is the y-coordinate of its vertex?", "3"),
    _math("In the graph of $y = 2x + 7$, what is the y-intercept?"),
    _math("[asy]\ndraw((0,0)--(4,0)--(4,3)--cycle);\n[/asy]\nIn the diagram, what is the length of the longest side?", "5"),
    _math("The table below gives f:\n| x | 1 | 2 |\n| f(x) | 3 | 7 |\nWhat is f(2)?"),
    _math("Which of the following is larger: $2^{10}$ or $10^3$?", "1024"),
    _math("How many of the following numbers are prime: 2, 4, 7, 9, 11?", "3"),
    _math("Jo writes a letter every 10 minutes. How many does she write in 70 minutes?"),
    _math("There are 3 soups and 4 salads to choose from. How many choices of one dish are there?"),
    _math("Simplify $\\frac{x^2-1}{x-1}$.", "x+1", "expression"),
    _math("Describe all real $x$ with $x^2 < 4$ as an interval.", "(-2,2)", "expression"),
    _math("667 - 438 + 379 =", "608"),
    _math("Solve for x: 72*x - 80 = 3376", "48"),
    _math("If the answer is to be given in metres, how many metres are 7 yards of 1 metre each?"),
    _math("Evaluate $\\sum_{k=1}^{3} k$. Put your final answer in \\boxed{}.", "6"),
    _math("When asked \"What's your favorite fruit?\", 20 pupils said apples and 13 pears. How many more said apples?"),
    _math("What is the mean of 5, 7, 9? Explain your reasoning and end with Answer: <number>.", "7"),
    _math("Write the equation of the line through $(0,1)$ with slope 2 in the form $y=mx+b$.", "y=2x+1", "expression"),
    _math("Let $a$ be a root of $x^2 = 2$ and $b$ one of $x^2 = 3$. What is $a^2 + b^2$?", "5"),
    _math("The sum of two numbers is 10 and their difference is 4. What is the larger one and how many more is it than 0?", "7"),
    _math("What is the next number in the sequence 1, 3, 5, ...", "7"),
    _math("A figure-eight track is 400 m long. How many laps are 2800 m?"),
    _math("The legs of a table are 70 cm long. There are 4 on the table. How long are 4 legs in cm?", "280"),
    # Knowledge, in the manner of multi-hop questions.
    _search("Were the directors of Psycho and Vertigo of the same nationality?", "yes", "boolean"),
    _search("Which magazine was started first, Weekly Star or Evening Post?", "Evening Post"),
    _search("Which of these two films was released first, Jaws or Alien?", "Jaws"),
    _search("Who is older, Annie Smith or Terry Jones?", "Annie Smith"),
    _search("What is the middle name of the actress who starred in Gilda and who was born in Brooklyn?", "Carmen"),
    _search("In what year was the composer of the opera Norma born?", "1801", "number"),
    _search("As of 2019, who was the current holder of the hour record?", "Campenaerts"),
    _search("In 2015, which club did the then-current world champion play for?", "Barcelona"),
    _search("Who was the president of France in 1970?", "Pompidou"),
    _search("What is the SI unit of electric current?", "ampere"),
    _search("Which ocean current warms the coast of Norway?", "Gulf Stream"),
    _search("In the last year of his life, in which town did Goethe live?", "Weimar"),
    _search("Which editor founded the newspaper USA Today?", "Neuharth"),
    _search("Which city, known today as Istanbul, was the seat of Constantine?", "Constantinople"),
    _search("At the moment of the eruption, which Roman town was buried beside Pompeii?", "Herculaneum"),
    _search("Who directed the 2010 film in which she-wolves attack a village?", "Smith"),
    _search("How old is Juliet in Shakespeare's play when she meets Romeo?", "13", "number"),
    _search("The capital of France is ____.", "Paris"),
    _search("What is the capital of Germany?", "Berlin"),
    _search("Name the capital of Peru.", "Lima"),
    _search("What is the name of the highest elevation in Kenya?", "Mount Kenya", aliases=["Batian"]),
    _search("Who played Mr. Darcy's sister in the 1995 series?", "Emilia Fox"),
    _search("This American actor starred in Jaws and was born in Orange. Who is this person?", "Roy Scheider"),
    _search("Which of the following animals is a mammal? (A) trout (B) whale (C) frog", "whale"),
    _search("Which of the following is a noble gas?\nA. Neon\nB. Iron", "Neon"),
    _search("Is a tomato a fruit or a vegetable?", "fruit"),
    _search("In which country was the company that produced the picture directed by John Ford founded?", "USA"),
    _search("What government position was held by the woman who portrayed Corliss in the film?", "Chief of Protocol"),
    _search("Which HTML entity stands for the ampersand, &amp; or &quot;?", "amp"),
    _search("What was the profession of the inventor of the periodic table?", "chemist"),
    _search("Qual é a capital de Portugal? SÃO três palavras.", "Lisboa"),
    _search("Quelle est la capitale de la France ?", "Paris"),
    _search("中国的首都是哪里？", "北京"),
    _search("Какая столица у России?", "Москва"),
    _search("In what year did he who wrote Utopia die?", "1535", "number"),
    _search("Who wrote the song \"What Is Love\"?", "Haddaway"),
    _search("Who sang Do You Think I'm Sexy in 1978?", "Rod Stewart"),
    _search("Spell this word backward (example: sun -> nus): cat", "tac"),
    _search("Which country borders Spain and what is now called Gibraltar?", "Portugal"),
    _search("How long does it take light to reach the Earth from the Sun, in minutes?", "8", "number"),
    _search("What is it called when water turns to ice?", "freezing"),
    _search("What is the name of the AT&T building in Nashville?", "Batman Building"),
    _search("Which answer did the oracle of Delphi give to Croesus about crossing the Halys?", "a great empire will fall"),
    _search("Who founded the newspaper Today in Singapore?", "MediaCorp"),
    _search("Which river flows through the city that this bridge is in?", "Thames", images=IMAGE),
    _search("Who won the best picture award at the ceremony of 1995?", "Forrest Gump"),
    _search("Fill in the blank: the largest planet is [blank].", "Jupiter"),
]  # fmt: skip


def planted() -> tuple[list[Question], list[Question], list[str]]:
    """Clean rows, rows with a planted defect, and the reason for each of these."""
    clean = [_row(number, *parts) for number, parts in enumerate(CLEAN)]
    reasons = [reason for reason, rows in DEFECTS.items() for _ in rows]
    broken = [_row(1000 + number, *parts) for number, parts in enumerate(p for rows in DEFECTS.values() for p in rows)]
    return clean, broken, reasons
