"""The first version of the Assistants API (`OpenAI-Beta: assistants=v1`), beside the second, on the same objects.

An annex: requests become those of v2, objects and stream events become those of v1. Nothing else in the program
knows of it but one line of the composition root; without that line and this folder, v1 is gone.
"""
