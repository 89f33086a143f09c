"""What a citation quotes: the sentence or two of the passage that the statement rests on, and nothing of another."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistd.runs.quotes import quote, words_of
from assistd.runs.sentences import LONGEST, sentences

POLICY = """# Refunds

Refunds are paid within 14 days of the return. They go to the card that was charged. Gift cards are not refunded.

# Shipping

We ship on working days before noon. Shipping takes three days within the country and nine days abroad.
Parcels above 20 kg go by freight, which takes longer. Insurance is included.

# Returns

Returns are free for 30 days. After that, the customer pays for them. Opened software cannot be returned.
"""

FOODS = "The favorite food of several people:\n- Ada: tacos\n- Filip: cake\n- Noor: dates, figs and olives\n"

TABLE = """| Plan | Price | Seats | Support |
| --- | --- | --- | --- |
| Free | 0 EUR | 1 | forum |
| Team | 49 EUR | 10 | mail, within two days |
| Enterprise | on request | unlimited | telephone, day and night |
"""

HARBOUR = (
    "The harbour of Trieste is one of the oldest of the coast. It was dug in 1869 by the engineer Paulin Talabot and "
    "his company. Later it silted up. Today ferries leave for Muggia every hour. The lighthouse was built in 1927. "
    "Its lamp is seen from 35 miles away."
)

WRAPPED = """The committee met in the town hall on the third of
March and decided that the bridge over the river is to
be closed for repairs until autumn. The mayor was
absent. The costs of about 1,250,000 euros are borne by
the province.
"""

REPORT = (
    "Dr. A. Weber of Acme Inc. reported on the tests. The alloy, i.e. no. 7 of the series, broke at 420 MPa. "
    "According to Mr. Lee, approx. 3 of 40 samples were faulty. Costs rose, e.g. for nickel. The tests go on."
)

CHINESE = "本公司成立于1998年。总部设在杭州，员工约三千人。产品主要出口到日本和德国。去年的营业额为五亿元。"
JAPANESE = "東京タワーは1958年に完成した。高さは333メートルである。年間約三百万人が訪れる。「展望台は二つある。」"
HINDI = "गंगा भारत की सबसे लंबी नदी है। यह हिमालय से निकलती है। इसकी लंबाई 2525 किलोमीटर है।"
THAI = "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย ก่อตั้งเมื่อปี พ.ศ. 2325\nเชียงใหม่อยู่ทางภาคเหนือ\nภูเก็ตเป็นเกาะที่ใหญ่ที่สุด"
ARABIC = "تأسست الشركة عام 1998. مقرها في القاهرة. تصدر منتجاتها إلى أوروبا وآسيا. هل ترغب في زيارتها؟ الدخول مجاني."
GERMAN = (
    "Die Brücke wurde am 3. Mai 1889 eröffnet. Sie ist z. B. für Lastwagen gesperrt. Der Fluß ist dort 80 m breit. "
    "Die Gebühren betragen 2,50 Euro pro Fahrt. Kinder fahren umsonst."
)
GREEK = "Το μουσείο άνοιξε το 1931. Τη Δευτέρα μένει κλειστό. Το εισιτήριο κοστίζει 8 ευρώ."
CODE = """## Settings

Set `timeout` to how long a request may take, in seconds. The default is 30.

```python
client = Client(timeout=30)
client.retry(times=3, pause=0.5)
```

**Retries** are off by default: *every* failure is raised at once.
"""

# What was said before the marker, the passage, and what should be quoted of it.
CASES: dict[str, tuple[str, str, str]] = {
    "a short answer": ("Cake", FOODS, "- Filip: cake"),
    "a list item": ("Noor likes dates and figs the most", FOODS, "- Noor: dates, figs and olives"),
    "an item beside its like": ("**Ada** prefers *tacos*.", FOODS, "- Ada: tacos"),
    "one of many sections": (
        "Refunds take 14 days",
        POLICY,
        "Refunds are paid within 14 days of the return.",
    ),
    "the section behind": (
        "It can take up to nine days abroad.",
        POLICY,
        "Shipping takes three days within the country and nine days abroad.",
    ),
    "a sentence in the middle": ("No, gift cards cannot be refunded", POLICY, "Gift cards are not refunded."),
    "a sentence at the end": ("You cannot return opened software.", POLICY, "Opened software cannot be returned."),
    "of two words one": ("Freight.", POLICY, "Parcels above 20 kg go by freight, which takes longer."),
    "a row of a table": ("The Team plan costs 49 EUR", TABLE, "| Team | 49 EUR | 10 | mail, within two days |"),
    "a row by its first cell": (
        "Enterprise customers are helped by telephone day and night",
        TABLE,
        "| Enterprise | on request | unlimited | telephone, day and night |",
    ),
    "two sentences": (
        "The harbour of Trieste was dug in 1869",
        HARBOUR,
        "The harbour of Trieste is one of the oldest of the coast. It was dug in 1869 by the engineer Paulin Talabot "
        "and his company.",
    ),
    "one of them": (
        "Talabot's company did the work",
        HARBOUR,
        "It was dug in 1869 by the engineer Paulin Talabot and his company.",
    ),
    "the last of several statements": (
        "The harbour was dug in 1869 by Talabot. The lighthouse dates from 1927",
        HARBOUR,
        "The lighthouse was built in 1927.",
    ),
    "behind another marker": (
        "It was dug in 1869【0:0†a.txt】, and ferries go to Muggia",
        HARBOUR,
        "Today ferries leave for Muggia every hour.",
    ),
    "the second of two markers": (
        "The lamp is seen from 35 miles【0:1†b.txt】",
        HARBOUR,
        "Its lamp is seen from 35 miles away.",
    ),
    "a word that says nothing by itself": (
        "Is the lamp seen from far away? Yes.",
        HARBOUR,
        "Its lamp is seen from 35 miles away.",
    ),
    "a table in the answer": (
        "| Question | Answer |\n| --- | --- |\n| lighthouse | built 1927 ",
        HARBOUR,
        "The lighthouse was built in 1927.",
    ),
    "lines that were broken": (
        "The bridge is closed until autumn",
        WRAPPED,
        "The committee met in the town hall on the third of\nMarch and decided that the bridge over the river is to\n"
        "be closed for repairs until autumn.",
    ),
    "a number in another spelling": (
        "It costs 1250000 euros",
        WRAPPED,
        "The costs of about 1,250,000 euros are borne by\nthe province.",
    ),
    "abbreviations": (
        "Three of the 40 samples were faulty, says Lee",
        REPORT,
        "According to Mr. Lee, approx. 3 of 40 samples were faulty.",
    ),
    "more abbreviations": (
        "Alloy 7 broke at 420 MPa",
        REPORT,
        "The alloy, i.e. no. 7 of the series, broke at 420 MPa.",
    ),
    "Chinese": ("公司产品出口日本", CHINESE, "产品主要出口到日本和德国。"),
    "Chinese, short": ("杭州", CHINESE, "总部设在杭州，员工约三千人。"),
    "Japanese": ("高さは333メートルです", JAPANESE, "高さは333メートルである。"),
    "Japanese, in brackets": ("展望台が二つあります", JAPANESE, "「展望台は二つある。」"),
    "Hindi": ("गंगा की लंबाई 2525 किलोमीटर है", HINDI, "इसकी लंबाई 2525 किलोमीटर है।"),
    "Thai": ("ภูเก็ตเป็นเกาะ", THAI, "ภูเก็ตเป็นเกาะที่ใหญ่ที่สุด"),
    "Arabic": ("تصدر الشركة إلى أوروبا", ARABIC, "تصدر منتجاتها إلى أوروبا وآسيا."),
    "German, with a date": ("Eröffnet wurde sie am 3. Mai 1889", GERMAN, "Die Brücke wurde am 3. Mai 1889 eröffnet."),
    "German, with other endings": (
        "Die Gebühr beträgt 2,50 Euro",
        GERMAN,
        "Die Gebühren betragen 2,50 Euro pro Fahrt.",
    ),
    "German, abbreviated": ("Für Lastwagen ist sie gesperrt", GERMAN, "Sie ist z. B. für Lastwagen gesperrt."),
    "Greek, without accents": ("Κλειστο τη Δευτερα", GREEK, "Τη Δευτέρα μένει κλειστό."),
    "a line of code": ("Call `retry` with a pause of 0.5", CODE, "client.retry(times=3, pause=0.5)"),
    "emphasis": (
        "Failures are raised at once",
        CODE,
        "**Retries** are off by default: *every* failure is raised at once.",
    ),
    "another language than the passage's": ("Das Porto ist frei", "Postage is free.\n\nCall us.", "Postage is free."),
}


@pytest.mark.parametrize("case", CASES)
def test_the_quote_is_what_the_statement_rests_on(case: str) -> None:
    said, passage, expected = CASES[case]
    assert quote(passage, said) == expected


def test_a_long_sentence_is_quoted_where_it_says_so() -> None:
    clauses = [f"the party of the {n}. part shall deliver {n * 7} barrels of herring" for n in range(1, 60)]
    passage = "Whereas " + "; ".join(clauses) + "."
    found = quote(passage, "The 30. party delivers 210 barrels")
    assert "210 barrels" in found
    assert len(found) <= 480


def test_what_is_said_far_behind_in_a_passage_is_found() -> None:
    passage = " ".join(f"Sentence number {i} is about nothing in particular, at some length." for i in range(40))
    passage += "\nThe harbour of Trieste was dug in 1869 by engineer Pascal. " + "Later it silted up. " * 40
    found = quote(passage, "Someone asked. Pascal dug the harbour in 1869")
    assert found == "The harbour of Trieste was dug in 1869 by engineer Pascal."


def test_what_has_no_gaps_is_quoted_in_part() -> None:
    assert len(quote("x" * 5_000, "x" * 5_000)) <= LONGEST
    assert quote(" " * 50_000 + "." * 50_000, "x") == "." * LONGEST


FILLERS = [
    "Nothing of note happened that afternoon.",
    "Several people walked along the promenade.",
    "- a bullet without any meaning",
    "## A heading of little use",
    "| cell | another cell | last cell |",
    "Weather remained pleasant, as usual!",
    "以下内容无关紧要。",
]


@given(
    st.lists(st.sampled_from(FILLERS), max_size=12),
    st.lists(st.sampled_from(FILLERS), max_size=12),
    st.permutations(["Zanzibar", "exports", "4711", "cloves", "to", "Rotterdam"]),
    st.sampled_from(["\n", "\n\n"]),
)
def test_wherever_it_stands_the_sentence_is_found_and_quoted_alone(
    before: list[str], behind: list[str], said: list[str], gap: str
) -> None:
    sentence = "Zanzibar exports 4711 tons of cloves to Rotterdam."
    passage = gap.join([*before, sentence, *behind])
    assert quote(passage, " ".join(said)) == sentence


TEXT = st.text() | st.lists(
    st.sampled_from([*FILLERS, "a. B", "Dr. ", "3.", " ", "\n", "。", "。」", "x" * 400, "【0:0†a】", "a,"])
).map("".join)


@given(TEXT, TEXT)
def test_a_quote_is_a_short_part_of_the_passage_with_words_of_the_statement(passage: str, said: str) -> None:
    found = quote(passage, said)
    assert found in passage
    assert len(found) <= 480
    assert found == found.strip()
    assert bool(found) == bool(passage.strip())


@given(TEXT, st.data())
def test_whoever_says_a_sentence_of_the_passage_is_quoted_with_its_words(passage: str, data: Any) -> None:
    parts = [passage[span.start : span.end] for span in sentences(passage)]
    if parts:
        said = data.draw(st.sampled_from(parts))
        if wanted := words_of(re.sub("【[^【】]*】", " ", said)):
            assert words_of(quote(passage, said)) & wanted


@given(TEXT)
def test_sentences_are_all_of_a_text_but_spaces(text: str) -> None:
    spans = sentences(text)
    assert all(0 < span.size <= LONGEST for span in spans)
    assert all(text[span.start : span.end].strip() == text[span.start : span.end] for span in spans)
    covered = [(0, 0), *((span.start, span.end) for span in spans), (len(text), len(text))]
    for (_, end), (start, _) in pairwise(covered):
        assert end <= start
        assert not text[end:start].strip()


def test_what_shares_no_word_quotes_a_sentence_and_not_the_heading_above_it() -> None:
    passage = "Terms of work\n\nEmployees have twenty-seven days of leave. They may carry over five."
    assert quote(passage, "RESULT: ") == "Employees have twenty-seven days of leave."
    assert quote("Terms of work\n\nDays of leave", "RESULT: ") == "Terms of work"
    assert quote("", "RESULT: ") == ""
