"""What the scripted model says and does on a walk, so that what comes of it is known."""

from __future__ import annotations

import json

# As it stands in the walkthrough: the value of the last line, as IPython shows it, one number a line.
NUMBERS = [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181]
SHOWN = "[" + ",\n ".join(map(str, NUMBERS)) + "]"
FIBONACCI = """\
def fibonacci(n):
    series = [0, 1]
    while len(series) < n:
        series.append(series[-1] + series[-2])
    return series[:n]

fibonacci(20)"""
LOOK = 'open("/mnt/data/FILE_ID", "rb").read(5)'
REMARK = "Let me look at the paper."
QUIZ = {
    "title": "Mathematics Quiz",
    "questions": [
        {"question_text": "What is a group?", "question_type": "FREE_RESPONSE"},
        {"question_text": "2 + 2?", "question_type": "MULTIPLE_CHOICE", "choices": ["a) three", "b) four", "c) five"]},
    ],
}
# What the scripted model is told to do below the words of a message.
LINES = {
    "equation": "/say The solution is x = 1.",
    "explain": "/report",
    "algebra": "/say It is about vectors.",
    "dislike": "/say Try puzzles.",
    "thanks": "/say You're welcome!",
    "fibonacci": f"/code {json.dumps(FIBONACCI)}",
    "paper": f'/preamble {REMARK}\n/call file_search {{"query": "zebra normalisation of weights"}}',
    "look": f"/code {json.dumps(LOOK)}",
    "quiz": f"/call display_quiz {json.dumps(QUIZ)}",
}
