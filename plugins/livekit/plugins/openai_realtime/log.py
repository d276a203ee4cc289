"""The logger of the plugin: never a spoken word, never a key at info level or above."""

import logging

logger = logging.getLogger("livekit.plugins.openai_realtime")
