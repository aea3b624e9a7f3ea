"""A student's .cu file under the eyes of tools: the lab's inspect mode and compute-sanitizer.

    seen        what a tool has found, and whether it ran
    calls       which calls in C the calls of an op lead to; none is made
    driver      a program of these calls, one for the lab and for a card
    lab         runs it in the lab, every access watched
    sanitizer   runs it on a card under compute-sanitizer, and reads what that prints
"""
