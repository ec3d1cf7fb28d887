"""`generate`: let a network go on with a text."""

from blg561.commands.options import BOOK_HELP, add_network, load_network, whole_from
from blg561.errors import InputError


def add_to(add):
    parser = add(
        generate,
        "generate",
        "let a network go on with a text",
        '--prompt "it is a truth" --recipe averaged',
        '--prompt "it is a truth" --recipe three_books',
        '--prompt "it is a truth" --length 100 --temperature 0.8 --top-p 0.9 --seed 1',
        "--model models/text-my/lstm.pt --prompt-file beginning.txt",
    )
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument(
        "--prompt", metavar="TEXT", help="default: the most frequent word of the network's lexicon"
    )
    prompt.add_argument("--prompt-file", metavar="FILE", help="the prompt is what this file holds")
    parser.add_argument(
        "--length",
        metavar="N",
        type=whole_from(1),
        default=60,
        help="words to add (default: %(default)s)",
    )
    parser.add_argument(
        "--temperature",
        metavar="X",
        type=float,
        default=1.0,
        help="below 1 the likely words become likelier (default: %(default)s)",
    )
    parser.add_argument(
        "--top-k", metavar="K", type=whole_from(1), help="sample among the K likeliest words"
    )
    parser.add_argument(
        "--top-p",
        metavar="P",
        type=float,
        help="sample among the likeliest words that together reach the probability P",
    )
    parser.add_argument(
        "--seed", metavar="N", type=whole_from(0), help="the same seed gives the same text"
    )
    parser.add_argument("--book", metavar="KEY", default="pride_prejudice", help=BOOK_HELP)
    add_network(parser)


def generate(arguments) -> int:
    _, model, lexicon = load_network(arguments)
    prompt = read_prompt(arguments, lexicon)
    from blg561.language_model import generation

    continuation = generation.generate(
        model,
        prompt,
        {word: index for index, word in enumerate(lexicon)},
        dict(enumerate(lexicon)),
        len_hist=len(prompt),
        len_gen=arguments.length,
        device=next(model.parameters()).device,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        seed=arguments.seed,
    )
    print(generation.as_text(prompt + continuation))
    return 0


def read_prompt(arguments, lexicon: list[str]) -> list[str]:
    from blg561.language_model.books import read_text
    from blg561.language_model.dataset import tokenize

    if arguments.prompt_file is not None:
        text = read_text(arguments.prompt_file)
    elif arguments.prompt is not None:
        text = arguments.prompt
    else:  # the most frequent word comes first, unless a mark is more frequent
        text = next((word for word in lexicon if word not in ".,;:!?"), lexicon[0])
    if not (prompt := tokenize(text)):
        given = arguments.prompt_file or repr(text)
        raise InputError(f"the prompt needs at least one word, got none in {given}")
    return prompt
