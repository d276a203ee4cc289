"""Parley puts an interpreter, a voice agent or live captions beside every participant of a LiveKit room."""

__version__ = "0.1.0"
__all__ = ["__version__"]
