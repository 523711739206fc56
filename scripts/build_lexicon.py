"""Make `lexicon/data`: the words that training targets may hold, and the names among them.

    python scripts/build_lexicon.py --prompts prompts.parquet --artists artists.txt \
        --dictionary /usr/share/dict/american-english --given dist.female.first dist.male.first \
        --surnames dist.all.last

Sources: prompts and artists of docs/models/pocket.md; the dictionary is Debian's `wamerican`;
given names and surnames are the lists of the 1990 US census (public domain), as the package
`names` 0.3.0 carries them. The lists in REVIEWED were made by reading the frequent words.
"""

import argparse
import re
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
DATA = Path(__file__).parents[1] / "src" / "promptlift" / "lexicon" / "data"

# Words of prompts that no dictionary has; read one by one, names of people and brands left out.
REVIEWED_TERMS = """
artstation photorealistic volumetric hd fi hyperrealistic sci cgsociety hdr cyborg hyperdetailed
gothic uhd closeup deviantart japanese steampunk behance pixiv hyperrealism nouveau scifi bokeh
colours photorealism retro hq absurdist colour rpg polaroid dslr dystopian neo chinese kodak cg
cel nikon deco noir victorian vray res colourful raytracing vaporwave wideangle cyber liminal dof
linework synthwave maximalist ultrarealistic goth vfx russian iso cgi kawaii ultradetailed zbrush
backlit fisheye daz photoreal brutalist painterly photoshoot subsurface fantastical themed
minimalistic cinestill eldritch mech futurism british gouache dieselpunk cityscape african chibi
anamorphic elven cryengine mecha superhero cafe bioluminescent anthro pre houdini redshift cyan
fujifilm fairytale poly filmic impasto afro crepuscular egyptian solarpunk european symbolist
starship micro shutterstock godrays sony german vr mega kodachrome desaturated ww flickr aurora
haute korean fullbody lightsaber biopunk ps specular pearlescent photoshop foto vhs lofi
velociraptor leica zeiss biomorphic futurist dutch synth orientalism overdetailed aztec watercolour
byzantine undead hyperrealist hyperreal hungarian koi extremly streetwear ultrasharp woman's
unsplash gaussian claymation mexican man's postapocalyptic pbr renderer triadic imax techwear
technicolor reimagined iconic illusionistic neoclassicist centred centered surreality
refractions visualisation visualization multicolor duotone brushstrokes gameplay imax ektachrome
astrophotography woodblock exoskeleton slavic trippy headpiece trenchcoat backlighting pixelart
ukiyo lightroom treehouse dreamscape brutalism celtic spanish badass indie nordic lineart artstyle
arthouse mohawk linocut megastructure oilpainting hdri neoclassical flemish toon muscan polycount
archviz ultrawide colorized jewellery cumulonimbus ssao backrooms skybox venetian boho italian
french parisian american indian asian persian arabian australian swedish ukrainian irish norwegian
roman greek celestial greyscale tabletop rgb gfx fauvism plasticine raytraced fractalism voxel
lut colouring volumetrics botanicals cottagecore nightscape postprocessing textless tonalism
botanic hubble lowpoly grimdark armoured chainmail denoised unreal megascans ultra highres
lomography pentax hasselblad cutaway bioluminescence sunrays occultist rimlight characterdesign
radiosity lensflare remastered constructivism brushwork macro photographic photobash decollage
fractal edwardian heterochromia snapback uncropped matte risograph lumen nanite
parametric iridescence
""".split()

# Dictionary words that are mostly names of people in prompts.
REVIEWED_NAMES = """
john jack bob frank tom peter harry mike dean roger jimmy tony nick victor maria brad ken billy eve
robin chuck jay josh gene pat matt terry jean rob rick ford rogers stark potter newton grant homer
brook brooks miller smith cooper hopper bacon hanks bond walker taylor jackson lee max ted ray's
guy's harry bill's joe charlie randy jerry danny andy marge bart simpson trump depp hale kate jenny
jill sally nancy molly betty kelly ellen ben sam dick bobby johnny willy wills mickey minnie donald
jess jo al abe gaga mills munch turner monet manet cage reeves pitt swift cruise watts
""".split()

# Sexual, gory and hateful words and those near to them.
REVIEWED_UNSAFE = """
nude nudes naked nudity nsfw sexy sexiest sexual sexually sex erotic erotica erotically lingerie
bikini bikinis cleavage breast breasts busty boob boobs thong topless underwear undressed panties
bra bras seductive seductively sensual sensually lewd porn pornographic fetish bondage lustful lust
provocative provocatively voluptuous buttocks butt ass crotch groin genital genitals nipple nipples
horny slut whore prostitute stripper striptease orgy kinky corset stockings hips thighs thigh
undress bust bare revealing skimpy scantily curvy gore gory goriest blood bloody bloodied
bloodstained bleeding bleed corpse corpses dismembered dismemberment decapitated decapitation
beheaded guts gut entrails intestines mutilated mutilation severed suicide suicidal murder murdered
murderer murderous rape raped rapist nazi nazis swastika hitler terrorist terrorism slave slaves
slavery torture tortured torturing hanged hanging noose killing killed kills kill dead death deadly
dying cannibal cannibalism gutted flesh fleshy cadaver cadavers viscera wound wounds wounded drug
drugs cocaine heroin racist racism supremacist genocide massacre slaughter slaughtered disembowel
strangled strangling child children kid kids girl's boy's teen teens teenage teenager loli shota
schoolgirl infant infants toddler toddlers baby babies
""".split()

# Given names of the census lists that are ordinary words of prompts.
ORDINARY_GIVEN = """
amber autumn summer crystal rose violet iris ruby jade dawn misty grace pearl ivory olive star art
joy faith hope may april june august the an see so in many my my ray lane glen rich royal rocky sandy
stormy sunny velvet season song sky spring sterling stone temple tiny wonder young major noble king
prince price queen elder forest golden heath holly ivy jewel jasmine lavender lily love melody mercy
merry precious princess rain raven robin rosy rusty sage scarlet shade sharp silver so star strong
sweet tawny tempest treasure unique valentine virgin white willow winter wood bear blossom blue
brook buck cedar chance clay cliff coral curt daisy dusty earth ebony echo ember fawn fern flower
gay ginger hazel heather honey indigo lark laurel leaf light long lucky lynx magnolia mark marine
melon mist moon oak ocean opal orchid page petal piper plum poppy power rain red reed ridge river
rowan saffron sapphire sea shadow shell shiny sparkle star sun tan teal tiger topaz vine wolf zen
ash carol drew dusty eve gold green grey gray hall house lace lamb leaf magic miracle new pink
little man many see you kind ma america china paris asia savannah sierra chi contessa dot else
era erie gala garnet genesis genie hermit ha hue i jazz ok in les long lakes do don florida
ester georgia golda india japan jeep ta ty van von su so shan shin shu sung tu un yi yu
brown black hair ray sunset wide glory wave lake bright full deep cold roman angle fairy candy bunny
angel angelic lady maple emerald sunshine aura brain bee bell chin german windy carmine desire lean
""".split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("prompts", "artists", "dictionary", "surnames"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--given", type=Path, nargs=2, required=True)
    parser.add_argument("--output", type=Path, default=DATA)
    args = parser.parse_args()

    counts: Counter[str] = Counter()
    bigrams: Counter[tuple[str, str]] = Counter()
    for prompt in pq.read_table(args.prompts)["prompt"].to_pylist():
        words = WORD.findall(prompt.lower())
        counts.update(set(words))
        bigrams.update(set(zip(words, words[1:], strict=False)))

    lines = args.dictionary.read_text(encoding="utf-8").split()
    dictionary = {word for word in lines if word == word.lower()}
    refused = {*REVIEWED_NAMES, *REVIEWED_UNSAFE}
    allowed = {
        word
        for word, count in counts.items()
        if (word in dictionary and count >= 2) or word in REVIEWED_TERMS
    } - refused

    artists = [WORD.findall(line.lower()) for line in args.artists.read_text("utf-8").split("\n")]
    names = {" ".join(name) for name in artists if len(name) > 1 and allowed.issuperset(name)}
    given = {line.split()[0].lower() for path in args.given for line in path.open()}
    surnames = {line.split()[0].lower() for line, _ in zip(args.surnames.open(), range(8000))}
    given -= set(ORDINARY_GIVEN)
    found = Counter(
        {
            f"{first} {last}": count
            for (first, last), count in bigrams.items()
            if first in given and last in surnames
            and first in allowed and last in allowed
        }
    )
    print(f"{len(allowed)} words, {len(names)} names of painters, {len(found)} other names")
    print("commonest of the others:", ", ".join(f"{n} {c}" for n, c in found.most_common(60)))
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "target_words.txt").write_text("\n".join(sorted(allowed)) + "\n")
    (args.output / "names.txt").write_text("\n".join(sorted(names | set(found))) + "\n")


if __name__ == "__main__":
    main()
