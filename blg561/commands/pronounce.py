"""`pronounce`: write the sound of words."""

from blg561.commands.options import whole_from


def add_to(add):
    parser = add(
        pronounce,
        "pronounce",
        "write the sound of words, in ARPAbet without stress",
        "night",
        "knowledge through colonel --beam 4",
    )
    parser.add_argument("words", metavar="WORD", nargs="+", help="letters from a to z")
    parser.add_argument(
        "--beam",
        metavar="N",
        type=whole_from(1),
        default=1,
        help="print the N best that a beam search of this width finds (default: %(default)s, "
        "the most probable phoneme at every step)",
    )


def pronounce(arguments) -> int:
    from blg561.spelling.data import check_word

    words = [check_word(word) for word in arguments.words]
    from blg561.spelling import checkpoints, decoding

    model = checkpoints.load()
    width = max(map(len, words))
    for word, found in zip(words, decoding.pronounce(model, words, arguments.beam), strict=True):
        for sound, _ in found:
            print(f"{word:{width}}  {' '.join(sound)}")
    return 0
