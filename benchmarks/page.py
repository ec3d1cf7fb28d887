"""Write results/README.md, and the tables of README.md and docs/race.md, from results/.

python -m benchmarks.page
"""

from __future__ import annotations

import re
import string
from pathlib import Path
from statistics import mean

from benchmarks import language_model, race, recurrence, results, seeds, spelling
from benchmarks.leaderboard import bootstrap, hours, spread, table
from benchmarks.leaderboard.rows import OWN_BOOK, ROWS, THREE_BOOKS
from blg561.language_model.books import CATALOGUE

ROOT = Path(__file__).resolve().parents[1]
PAGE, README = ROOT / "results" / "README.md", ROOT / "README.md"
RACE = ROOT / "docs" / "race.md"
TEMPLATE = Path(__file__).with_suffix(".md")
MARKED = re.compile("(?<=<!-- python -m benchmarks.page -->\n\n).*?(?=\n\n<!-- end -->)", re.DOTALL)
BOOK = "pride_prejudice"
# rows of the leaderboard that the table of README.md has beside the assignment's three networks
SHORT = ("uniform", "kneser_ney_5", "endings", "all_one_endings", "all_three_endings")


def page() -> str:
    """The text of results/README.md."""
    rows, nine = table.read(), seeds.of(BOOK)
    peer, pages = results.read("language_model"), results.read("bootstrap")
    spoken, three_books = results.read("spelling"), table.read(THREE_BOOKS)
    singles, trained = spread.networks_of(BOOK), results.read("training_hours")
    low, high = spread.spread(singles[0], singles)
    template = string.Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(
        lexicon=f"{rows[0]['lexicon']:,}",
        unseen=rows[0]["unseen_in_lexicon"],
        seeds=seeds.table(nine),
        seeds_versions=seeds.versions(nine),
        threads=peer["threads"],
        torch=peer["torch"],
        language_model=language_model.table(peer["runs"], peer["target"]),
        ratio=language_model.ratio(peer["runs"], peer["target"]),
        spread=f"{(high - low) / 2:.1f}",
        own_book_reads=OWN_BOOK.reads,
        three_books_reads=THREE_BOOKS.reads,
        leaderboard=table.table(rows),
        three_books=table.table(three_books, THREE_BOOKS),
        own_book_hours=f"{hours.total(trained, 'own_book'):.1f}",
        three_books_hours=f"{hours.total(trained, 'three_books'):.1f}",
        hours_machine=hours.said(trained["machine"]),
        three_books_minutes=round(sum(row["seconds"] for row in three_books) / 60),
        three_books_bootstrap=bootstrap.markdown(results.read("three_books_bootstrap")),
        draws=f"{pages['draws']:,}",
        block=pages["block"],
        bootstrap=bootstrap.markdown(pages),
        first_epochs=recurrence.FIRST_EPOCHS,
        recurrence=recurrence.tables(results.read("recurrence")),
        spelling=spelling.table(spoken),
        spelling_words=f"{spoken[0]['test']['words']:,}",
        spelling_epochs=spoken[0]["recipe"]["epochs"],
        spelling_precision=spoken[0]["precision"],
        spelling_loss_with=spelling.last_loss(spoken, "attention"),
        spelling_loss_without=spelling.last_loss(spoken, "fixed_vector"),
        spelling_quick=spelling.percent(
            [row["test"]["word_error_rate"] for row in results.read("spelling_quick")]
        ),
        spelling_trials=spelling.trials_table(results.read("spelling_trials")),
        spelling_differences=spelling.differences(spoken, "test"),
        spelling_beam_differences=spelling.differences(spoken, "test_beam"),
        spelling_lengths=spelling.lengths_table(spoken),
        spelling_curves=spelling.curves_table(spoken),
        spelling_beams=spelling.beams_table(spoken),
        spelling_aloud=spelling.aloud_table(spoken),
    )


def short_table() -> str:
    """The table of README.md: the assignment's networks, and what stands above and below them."""
    found = {seeds.TITLES[name]: values for name, values in seeds.by_recipe(seeds.of(BOOK)).items()}
    asked = dict.fromkeys(found, CATALOGUE[BOOK].target_perplexity)
    for row in ROWS:
        if row.book == BOOK and row.name in SHORT:
            found[row.plain_title] = [
                run["perplexity"] for run in table.find_stored(row)["results"]
            ]
    lines = [
        "| *Pride and Prejudice* | validation perplexity | the assignment asks for |",
        "| --- | ---: | ---: |",
    ]
    for title, values in sorted(found.items(), key=lambda item: -mean(item[1])):
        lines.append(f"| {title} | {mean(values):.1f} | {asked.get(title, '')} |")
    return "\n".join(lines)


def write():
    PAGE.write_text(page(), encoding="utf-8")
    README.write_text(within(README, short_table()), encoding="utf-8")
    RACE.write_text(within(RACE, race.report(race.read())), encoding="utf-8")


def within(path: Path, text: str) -> str:
    """The page at `path` with `text` where its table is."""
    return MARKED.sub(lambda _: text, path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    write()
