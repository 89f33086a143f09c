"""A paper in two columns, as the walkthrough's is: read line by line across the page, it would be nonsense."""

from __future__ import annotations

import io

from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

LEFT = """Language models are trained on
a maximum likelihood objective:
the joint probability of a text is
factorised as the product of the
conditional probabilities of its
symbols, given those before."""
RIGHT = """The Transformer computes scaled
dot-product attention. We shrink
the weights of residual layers at
initialisation by a factor of one
over the square root of the number
of residual layers, and call the
method zebra normalisation."""


def paper() -> bytes:
    """The paper as a PDF of one page, with a text layer."""
    file = io.BytesIO()
    page = Canvas(file, pagesize=A4)
    page.setFont("Times-Roman", 16)
    page.drawString(150, 780, "Models are Unsupervised Learners")
    for x, column in ((60, LEFT), (320, RIGHT)):
        text = page.beginText(x, 720)
        text.setFont("Times-Roman", 11)
        text.textLines(column)
        page.drawText(text)
    page.save()
    return file.getvalue()
