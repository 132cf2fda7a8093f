"""What all else stands on: files, locks, signals, phrases.

It knows no network.
"""
