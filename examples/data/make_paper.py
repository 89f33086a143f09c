"""Writes small-language-models.pdf, the paper that the walkthroughs ask about: two pages in two columns.

    python make_paper.py

It needs reportlab (`pip install reportlab`). The same version of it writes the same bytes on every machine.
"""

from __future__ import annotations

from pathlib import Path

from reportlab.lib.enums import TA_JUSTIFY
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, NextPageTemplate, PageTemplate, Paragraph

FILE = Path(__file__).with_name("small-language-models.pdf")
TITLE = "The Arithmetic of Small Language Models"
BYLINE = "A paper made for the examples of assistd"
SECTIONS = {
    "Abstract": """
        A language model is a function from a text to a list of probabilities. This paper collects the
        mathematics that is needed to say what such a model computes, how it is trained and why a small one
        errs: the chain rule of probability, the cross-entropy, the gradient, the softmax function and the
        scaled dot product of attention.
        """,
    "1 A text as a product": """
        Cut a text into symbols, called tokens. The chain rule says that the probability of the whole text is a
        product: the probability of the first token, times that of the second given the first, times that of the
        third given the first two, and so on. So it is enough to learn one thing, the probability of the next
        token given those before it. A model with a vocabulary of 49,152 tokens answers with 49,152 numbers that
        are positive and add up to one.
        ---
        A product of a thousand small numbers is too small for a computer. One takes the logarithm, which makes
        a sum of the product, and changes its sign, so that a good model has a small sum. Divided by the number
        of tokens it is called the cross-entropy, or simply the loss.
        """,
    "2 How good is good?": """
        The exponential of the loss is called the perplexity. It has a plain meaning: a model with perplexity 20
        is as unsure of the next token as if it had to choose among 20 tokens that are all equally likely. A
        model that knows nothing has a perplexity as large as its vocabulary, and one that knows the text by
        heart has perplexity 1.
        ---
        Perplexities can only be compared where the tokens are the same. A model with longer tokens has fewer of
        them, and each is harder to guess. Bits per byte, the loss divided by the logarithm of two and by the
        mean number of bytes in a token, can always be compared.
        """,
    "3 Going downhill": """
        Training changes the parameters so that the loss falls. The gradient is the list of the partial
        derivatives of the loss with respect to all parameters, and it points to where the loss grows fastest.
        One takes a small step against it, looks at the next piece of text, and takes another. The length of the
        step is called the learning rate. If it is too large, the loss jumps about; if it is too small, training
        does not end.
        ---
        Derivatives of nested functions are found with the chain rule of calculus, from the last function back
        to the first. That is all there is to backpropagation, and its cost is about twice that of computing the
        loss.
        """,
    "4 Attention": """
        Every token is turned into a vector, and three matrices make of it a query, a key and a value. The dot
        product of one token's query with another token's key says how much the one should heed the other. These
        products are divided by the square root of the dimension of the keys, since the sum of d random products
        grows like the square root of d. The softmax function makes weights of them, which are positive and add
        up to one, and the result is the weighted mean of the values.
        ---
        With n tokens there are n times n dot products. This is why a text of double length costs four times as
        much attention, and why a context has an end.
        """,
    "5 Temperature": """
        The last layer of a model gives a number for each token of the vocabulary, its logit. The softmax
        function takes the exponential of each logit and divides by the sum. If all logits are divided by a
        number first, that number is called the temperature. A temperature below one makes likely tokens still
        likelier; at zero the likeliest token is always taken, so that the same question always gets the same
        answer. A temperature above one makes the answer more varied, and more often wrong.
        """,
    "6 A worked example": """
        Three tokens have the logits 2, 1 and 0. Their exponentials are 7.39, 2.72 and 1, and the sum is 11.11.
        So the softmax function gives the probabilities 0.67, 0.24 and 0.09. At temperature one half the logits
        count double, as 4, 2 and 0, and the probabilities become 0.87, 0.12 and 0.02. If the first token is the
        right one, the loss at this place is the negative logarithm of its probability: 0.41 at temperature one,
        and 0.14 at one half. If the last is the right one, the loss is 2.41 and 4.14. Who is sure and wrong
        pays most.
        """,
    "7 What a small model lacks": """
        A model with 135 million parameters, stored with eight bits each, takes 135 megabytes. It has learned
        grammar and the sound of an explanation, for these are on every page of its training text. Facts are
        rare in the text, and a small model forgets them for the sake of what is frequent. So it answers
        fluently and wrongly.
        ---
        Arithmetic is the plainest case. No page lists all sums, so a model would have to learn the method of
        carrying digits, and it sees digits in pieces: a long number is cut into tokens wherever the vocabulary
        says so.
        ---
        The loss falls with the number of parameters like a power law: ten times as many parameters lower it by
        a fixed factor. A larger model is better, and every further step costs ten times as much as the last.
        """,
    "8 What to do about it": """
        Three remedies do not make the model larger. Give it the facts with the question: a search finds the
        passages, and the model only has to repeat them. Give it a tool: a program adds numbers better than any
        model. And hold it to a grammar: if the next token has to be allowed by a schema, the probability of all
        others is set to zero, and even a weak model writes a valid call of a function.
        ---
        None of the three makes the model know more. They move the work to where it is done well, and leave to
        the model what it is for: to say in words what was found, computed or decided elsewhere.
        """,
}


def story(body: ParagraphStyle, heading: ParagraphStyle) -> list[Flowable]:
    """The sections; `---` parts the paragraphs of one."""
    flow: list[Flowable] = [NextPageTemplate("later")]
    for title, text in SECTIONS.items():
        flow.append(Paragraph(title, heading))
        flow += [Paragraph(" ".join(part.split()), body) for part in text.split("---")]
    return flow


def columns(top: float) -> list[Frame]:
    """Two columns between the margins of a page, down from `top`; all in points."""
    width, gap, margin = 235, 25, 50
    return [Frame(x, margin, width, top - margin, 0, 0, 0, 0) for x in (margin, margin + width + gap)]


def main() -> None:
    body = ParagraphStyle("body", fontName="Times-Roman", fontSize=12, leading=16.5, alignment=TA_JUSTIFY, spaceAfter=7)
    heading = ParagraphStyle("heading", body, fontName="Times-Bold", fontSize=13, spaceBefore=7)

    def head(canvas: Canvas, _: object) -> None:
        canvas.setFont("Times-Bold", 19)
        canvas.drawCentredString(A4[0] / 2, 780, TITLE)
        canvas.setFont("Times-Italic", 11)
        canvas.drawCentredString(A4[0] / 2, 758, BYLINE)

    document = BaseDocTemplate(str(FILE), pagesize=A4, title=TITLE, author="assistd", invariant=1, pageCompression=0)
    document.addPageTemplates([PageTemplate("first", columns(730), head), PageTemplate("later", columns(790))])
    document.build(story(body, heading))


if __name__ == "__main__":
    main()
