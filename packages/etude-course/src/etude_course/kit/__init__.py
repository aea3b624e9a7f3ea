"""What a student has of an assignment: never a text of a solution, of a mistake, of a hidden case.
"""
