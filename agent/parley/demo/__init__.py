"""The whole of Parley on one machine: a real livekit-server, people who speak, and what each one hears."""
