"""Whether additions go together."""

import pytest

from promptlift.prompts.coherence import opposition, repetition
from promptlift.prompts.intent import Text


@pytest.mark.parametrize(
    ("said", "phrase"),
    [
        ("4k", "hd"),
        ("8k uhd", "ultra high resolution"),
        ("in 4K", "High-Res"),
        ("detailed", "ultra detailed"),
        ("intricate", "insanely detailed"),
        ("sharp focus", "crisp"),
        ("photorealistic", "hyper realistic"),
        ("photo realism", "realistic render"),
        ("professional photography", "35mm film photo"),
        ("digital art", "digital painting"),
        ("depth of field", "bokeh"),
        ("vibrant colors", "full of colour"),
        ("in a surrealist style", "surreal"),
        ("dramatic lighting", "dramatic"),
        ("dramatic", "dramatic lights"),
        ("soft lights", "soft lighting"),
        ("warm golden tones", "golden, warm tone"),
        ("simple", "minimalist"),
        ("best quality", "masterpiece"),
    ],
)
def test_phrases_that_say_the_same(said: str, phrase: str) -> None:
    assert repetition(phrase, ["mist", said]) == f"says {said} again"
    assert repetition(said, [phrase]) == f"says {phrase} again"


@pytest.mark.parametrize(
    "phrase", ["HD in 4K", "8k high definition", "cartoon animation style as a cartoon"]
)
def test_phrases_that_say_a_thing_twice_themselves(phrase: str) -> None:
    assert repetition(phrase, []) == "says a thing twice"


@pytest.mark.parametrize(
    "phrases",
    [
        ["highly detailed", "sharp focus", "8k", "high quality", "hdr"],
        ["concept art", "digital painting", "illustration", "fantasy art"],
        ["cinematic lighting", "volumetric lighting", "film still", "soft light", "soft focus"],
        ["photorealistic", "professional photography", "4k uhd image", "award winning"],
        ["oil on canvas", "digital illustration", "3d render", "good lighting"],
        ["full body", "wide angle lens", "golden ratio", "black background"],
        ["style", "great", "beautiful image"],
    ],
)
def test_phrases_that_say_different_things(phrases: list[str]) -> None:
    for place, phrase in enumerate(phrases):
        assert repetition(phrase, phrases[:place]) is None
    assert opposition("highly detailed", phrases, Text("a cat")) is None


def test_words_of_several_phrases_are_said() -> None:
    assert repetition("dark fantasy", ["dark sky", "epic fantasy"]) == "says others again"


@pytest.mark.parametrize(
    ("prompt", "phrase", "again"),
    [
        ("a cat, 8 k, trending", "4k", True),
        ("a highly detailed cat", "intricate details", True),
        ("a cat, sharp", "sharp focus", True),
        ("a shark with sharp teeth", "sharp focus", False),
        ("a man in a detailed costume", "highly detailed", False),
        ("a cat in dramatic evening light", "dramatic light", True),
        ("a cat in light, a dramatic fall", "dramatic light", False),
        ("a wall in contrast to the sky", "high contrast", False),
        ("a photo of a cat", "professional photography", False),
        ("", "4k", False),
        ("a capybara in a field", "in a grassy field", True),
        ("a capybara in a field", "grassy field", False),
        ("a desk with papers", "on a wooden desk", True),
    ],
)
def test_what_the_prompt_says(prompt: str, phrase: str, again: bool) -> None:
    assert repetition(phrase, [], prompt) == ("says the prompt again" if again else None)


@pytest.mark.parametrize(
    ("said", "phrase", "reason"),
    [
        ("black background", "white background", "another background"),
        ("simple background", "in a forest background", "another background"),
        ("close up", "full body shot", "another view"),
        ("soft light", "hard lighting", "another light"),
        ("studio lighting", "golden hour", "another light"),
        ("16:9", "aspect ratio 4:3", "another aspect ratio"),
        ("35mm", "85 mm", "another lens"),
        ("f/1.4", "f 8", "another aperture"),
        ("1920s", "in 1970s style", "another decade"),
        ("high contrast", "low contrast", "another contrast"),
        ("vibrant colors", "muted colors", "another palette"),
        ("photorealistic", "cartoon style", "another style"),
        ("a red ball", "two blue balls", "another colour of ball"),
        ("two balls", "three balls", "another number of ball"),
        ("minimalist", "intricate", "another manner"),
        ("on a sunny beach", "dimly lit", "another light"),
        ("in a cozy living room", "green meadow", "another place"),
        ("under the midday sun", "on a cloudy day", "another weather"),
        ("in a sunlit park", "on a sandy beach", "another place"),
        ("on a wooden table", "on a velvet sofa", "another place"),
        ("mist", "in a realistic style as a surrealist style", "contradicts itself"),
    ],
)
def test_what_excludes_another(said: str, phrase: str, reason: str) -> None:
    assert opposition(phrase, ["4k", said], Text("a cat")) == reason
    assert opposition(phrase, [], Text("a cat")) == (
        reason if reason == "contradicts itself" else None
    )


@pytest.mark.parametrize(
    ("said", "phrase"),
    [
        ("in a sunlit park", "on a sunny day"),
        ("on a wooden table", "in a cozy kitchen"),
        ("on a wooden table", "in the distance"),
        ("in a cozy room", "shallow depth of field"),
        ("in the style of Monet", "on a windowsill"),
        ("in a white dress", "on a sandy beach at sunrise"),
        ("on a calm lake", "at the edge of a forest"),
        ("in a lush forest", "on a moss-covered branch"),
        ("on a hill", "under a dramatic sunset"),
        ("on a tennis court", "in an athletic stance"),
        ("on a beach", "in the fog"),
    ],
)
def test_what_is_no_second_place(said: str, phrase: str) -> None:
    assert opposition(phrase, [said], Text("a cat")) is None
    assert opposition(said, [phrase], Text("a cat")) is None


@pytest.mark.parametrize(
    ("prompt", "phrase"),
    [
        ("a beach", "sand dunes"),
        ("a cat on a windowsill", "distant hills"),
        ("a hotel room with a view", "mountain view"),
        ("a beach house", "cozy living room"),
        ("a desert fox", "on a snowy hill"),
        ("a cabin in a forest", "stone fireplace"),
    ],
)
def test_places_within_another_or_seen_from_it(prompt: str, phrase: str) -> None:
    assert opposition(phrase, [], Text(prompt)) is None
    assert repetition(phrase, [], prompt) is None


def test_what_the_prompt_has_of_both_excludes_nothing() -> None:
    asked = Text("a red ball and a blue ball, a white background")
    assert opposition("blue ball", ["red ball"], asked) is None
    assert opposition("white background", [], asked) is None
    assert opposition("black background", [], asked) == "another background"


@pytest.mark.parametrize(
    ("said", "phrase"),
    [("shot on 35mm film", "85mm lens"), ("at 12:30", "16:9"), ("an f16 jet", "f 22 fighter jet")],
)
def test_numbers_that_only_look_like_a_lens_a_ratio_or_an_aperture(said: str, phrase: str) -> None:
    assert opposition(phrase, [said], Text("a sky")) is None


def test_two_lenses_ratios_or_apertures_exclude_each_other() -> None:
    for said, phrase, topic in (
        ("35mm lens", "85mm", "lens"),
        ("16:9", "4:3", "aspect ratio"),
        ("f1.8", "f/16", "aperture"),
    ):
        assert opposition(phrase, [said], Text("a sky")) == f"another {topic}"


@pytest.mark.parametrize(
    ("prompt", "said", "phrase", "why"),
    [
        ("three bottles on a counter", [], "on a wooden table", "another place"),
        ("a cat perched on the sofa", [], "on a sunlit windowsill", "another place"),
        ("a pickup truck", ["on a dusty road"], "on a sandy beach at sunset", "another place"),
        ("a man with dark skin", [], "fair skin", "another skin"),
        ("a poncho", ["overcast sky"], "under the warm afternoon sun", "another weather"),
        ("a cat on a sofa", [], "in a cozy room", None),  # a surface and a room
        ("a statue of a man in a garden", [], "on a stone pedestal", None),
        ("a woman with a table", [], "in a garden", None),
        ("a cup on a table", [], "on a rustic table at dusk", None),
        ("a house that is not in a garden", [], "in a park", None),
        ("a blue sky with clouds", [], "cloudy sky", None),
    ],
)
def test_a_place_that_the_prompt_names_excludes_another(
    prompt: str, said: list[str], phrase: str, why: str | None
) -> None:
    assert opposition(phrase, said, Text(prompt)) == why
