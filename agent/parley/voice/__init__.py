"""Voice agents: LiveKit's own AgentSession, on Parley's microphones, tracks and captions."""
