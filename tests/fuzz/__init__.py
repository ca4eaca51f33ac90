"""Fuzzing of what reads text: targets that anybody may call, a corpus, and atheris as the one that mutates.

targets     one function a reader: bytes in, an AssertionError or a strange exception out when a promise broke
corpus/     a folder of inputs for each target; what was ever found is among them
__main__    python -m tests.fuzz TARGET --seconds 60
"""
