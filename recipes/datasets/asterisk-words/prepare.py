"""Decode words and short phrases of Asterisk's English prompts, with what is said in each: 134 recordings.

    python3 prepare.py --sources DIR --out DIR

Writes ``audio.npy`` (int16 [134, longest], 16,000 values a second, padded with zeros), ``lengths.npy`` (int32 [134],
values of each), ``references.npy`` (text [134]) and ``LICENCE.txt``. What is said follows from the names of the files
(``digits/h-3`` is "third"); nobody listened to all of them. Needs numpy and G722; the decoder of the standard G.722
computes with whole numbers, so that the bytes are the same everywhere.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import G722
import numpy as np
from deb import files, read

if TYPE_CHECKING:
    import tarfile

FOLDER = "./usr/share/asterisk/sounds/en_US_f_Allison/"
LICENCE = "./usr/share/doc/asterisk-core-sounds-en-g722/copyright"
RATE, BITS = 16_000, 64_000
SILENCE = 3_200  # zeros before and after each: a recogniser wants to hear that nobody speaks
COUNT = 134

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
TENTHS = "thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth"
DAYS = "sunday monday tuesday wednesday thursday friday saturday"
MONTHS = "january february march april may june july august september october november december"
ALPHABET = (
    "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa quebec romeo "
    "sierra tango uniform victor whiskey x-ray yankee zulu"
)
WORDS = "hundred thousand million billion minus dollars today tomorrow yesterday star pound at"  # below digits/
PHRASES = (  # named by what is said
    "goodbye hello hello-world one-moment-please please-try-again activated cancelled enabled disabled removed "
    "extension invalid hours minutes minute number location call-forwarding call-waiting do-not-disturb"
)
OTHERS = {"im-sorry": "i'm sorry", "de-activated": "deactivated"}


def texts() -> dict[str, str]:
    """What is said in each file, by its name without the ending."""
    found = {f"digits/{number}": word for number, word in enumerate(ONES.split())}
    found |= {f"digits/{10 * number}": word for number, word in enumerate(TENS.split(), 2)}
    found |= {f"digits/h-{number}": word for number, word in enumerate(ORDINALS.split(), 1)}
    found |= {f"digits/h-{10 * number}": word for number, word in enumerate(TENTHS.split(), 3)}
    found |= {f"digits/day-{number}": word for number, word in enumerate(DAYS.split())}
    found |= {f"digits/mon-{number}": word for number, word in enumerate(MONTHS.split())}
    found |= {f"digits/{word}": word for word in WORDS.split()}
    found |= {f"phonetic/{word[0]}_p": word for word in ALPHABET.split()}
    found |= {name: name.replace("-", " ") for name in PHRASES.split()}
    return found | OTHERS


def recording(archive: tarfile.TarFile, name: str) -> np.ndarray:
    """int16 [n]: a recording with silence around it."""
    decoded = np.asarray(G722.G722(RATE, BITS).decode(read(archive, f"{FOLDER}{name}.g722")), np.int16)
    return np.pad(decoded, SILENCE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    (deb,) = options.sources.glob("asterisk-core-sounds-en-g722_*.deb")
    said = texts()
    with files(deb) as archive:
        recordings = [recording(archive, name) for name in said]
        (options.out / "LICENCE.txt").write_bytes(read(archive, LICENCE))
    if len(recordings) != COUNT:
        raise ValueError(f"{len(recordings)} recordings, {COUNT} were expected")
    lengths = np.array([len(each) for each in recordings], np.int32)
    audio = np.zeros((COUNT, lengths.max()), np.int16)
    for row, each in zip(audio, recordings, strict=True):
        row[: len(each)] = each
    np.save(options.out / "audio.npy", audio)
    np.save(options.out / "lengths.npy", lengths)
    np.save(options.out / "references.npy", np.array(list(said.values())))


if __name__ == "__main__":
    main()
