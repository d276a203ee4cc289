"""The version of the plugin, as LiveKit's plugin registry shows it."""

__version__ = "0.1.0"
