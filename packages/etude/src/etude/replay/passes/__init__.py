"""Passes: a program goes in, a better one comes out, and the results keep their bits.

A pass is a function from Program to Program that changes nothing it is given. Each has a file of
its own, which says what it looks for, why that is sound, and what it buys.
"""
