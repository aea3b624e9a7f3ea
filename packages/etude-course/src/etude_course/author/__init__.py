"""What is made of an assignment's source, and the proof that it is in order."""
