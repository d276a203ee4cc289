"""The LiveKit shell: callbacks become one ordered stream, a plan becomes tracks, sessions and permissions."""
