"""What an agent is told to say when something happens that its own instructions do not speak of."""

SLOW_TOOL = (
    "The tool {tool} is still working. Tell the person in one short sentence that it takes a moment. "
    "Do not invent a result."
)
FILTERED = (
    "Your last answer was stopped by a content filter. Tell the person in one short sentence that you cannot "
    "help with that, and ask what else you can do."
)
SPENT = (
    "The budget of this conversation is spent, and it ends now. Tell the person so in one short sentence, "
    "and say goodbye."
)
STILL_THERE = "The person has been silent for a while. Ask in one short sentence if they are still there."
GOODBYE = "The person does not answer any more. Say goodbye in one short sentence."
LEAVING = (
    "You have to leave now: the service is being restarted. Tell the person so in one short sentence, in the "
    "language of the conversation, and say goodbye."
)
BACK_SOON = (
    "The conversation pauses now, for a few seconds, while it is taken over. Ask the person in one short "
    "sentence, in the language of the conversation, to wait a moment. Do not say goodbye."
)
BACK = (
    "The conversation was interrupted for a few seconds, and goes on now. Say in one short sentence that you "
    "are back, and go on where it stopped. Do not greet the person again."
)
READ = "This is what was said in the room before, as far as it was transcribed:\n{lines}"
ADDRESSED = "You were addressed in the room, with these words: {line}\nAnswer them."
_LANGUAGE = "\n\nSpeak the language with the tag "


def in_language(instructions: str, language: str) -> str:
    """An agent's instructions, with the language that its participant hears (BCP-47 tag; empty: none)."""
    own = instructions.partition(_LANGUAGE)[0]
    return f"{own}{_LANGUAGE}{language}, unless you are asked for another." if language else own


def exactly(text: str) -> str:
    """Instructions that make the model say a given text."""
    return f"Say exactly this, in the language of the conversation, and nothing else: {text}"
