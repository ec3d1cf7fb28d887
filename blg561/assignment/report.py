"""What grading writes: results.json and a page for each student, grades.csv, a teacher's page."""

from __future__ import annotations

import csv
import html
import json
import os
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from blg561.assignment.scores import Mark
from blg561.assignment.settings import PARTS

MISSING = re.compile(r"(\S+\.\w+) is missing")  # all that is said of what a file should have held
STYLE = """<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; width: 100%; margin: 1em 0; }
td, th { border-bottom: 1px solid #888; padding: .3em .6em; text-align: left; vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; }
.bar { background: #0072b2; height: .8em; }
pre { white-space: pre-wrap; font: inherit; margin: 0; }
</style>"""


@dataclass
class Graded:
    """One submission with all that is said of it.

    notes: of its files, for the student. flags: for the teacher alone. force: what protected the
    grader. answers: its text by question.
    """

    name: str
    tests: list[Mark] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    force: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)

    @property
    def score(self) -> float:
        return round(sum(test.score for test in self.tests), 2)

    def of_part(self, part: str) -> float:
        return round(sum(test.score for test in self.tests if test.part == part), 2)


def plain(text: str) -> str:
    """Without control characters, which a terminal or a page would take for commands."""
    return "".join(
        "?" if unicodedata.category(c)[0] == "C" and c not in "\n\t" else c for c in str(text)
    )


def shown(text: str) -> str:
    return html.escape(plain(text))


def results(graded: Graded) -> dict:
    """Gradescope's results.json."""
    return {
        "score": graded.score,
        "output": plain("\n".join(graded.notes)),
        "output_format": "text",
        "tests": [
            {
                "name": test.name,
                "score": round(test.score, 4),
                "max_score": round(test.most, 4),
                "status": "passed" if test.score >= test.most else "failed",
                "output": plain(test.said),
                "output_format": "text",
            }
            for test in graded.tests
        ],
    }


def page(title: str, body: list[str]) -> str:
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{shown(title)}</title>'
    return "\n".join([head, STYLE, f"<h1>{shown(title)}</h1>", *body, "</html>\n"])


def student_page(graded: Graded, said: dict) -> str:
    most = sum(test.most for test in graded.tests)
    body = [f"<p><strong>{graded.score:g}</strong> of {most:g} points</p>"]
    body += [f"<p>{shown(note)}</p>" for note in graded.notes]
    for part in said["parts"]:
        tests = [test for test in graded.tests if test.part == part]
        total = sum(test.most for test in tests)
        body.append(f"<h2>{part}: {PARTS[part]}, {graded.of_part(part):g} of {total:g}</h2><table>")
        body.append('<tr><th>what was tried</th><th>what came</th><th class="n">points</th></tr>')
        for test in tests:
            body.append(
                f"<tr><td>{shown(test.name)}</td><td><pre>{shown(test.said)}</pre></td>"
                f'<td class="n">{test.score:.2f} of {test.most:.2f}</td></tr>'
            )
        body.append("</table>")
    return page(f"{graded.name}: {said['title']}", body)


def write_one(graded: Graded, said: dict, folder: Path):
    folder = folder / graded.name
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results(graded), indent=2, ensure_ascii=False)
    (folder / "results.json").write_text(text + "\n", encoding="utf-8")
    (folder / "page.html").write_text(student_page(graded, said), encoding="utf-8")


def write_all(all_graded: list[Graded], said: dict, folder: Path):
    all_graded = sorted(all_graded, key=lambda graded: graded.name)
    with open(folder / "grades.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["submission", "score", *said["parts"], "look at"])
        for graded in all_graded:
            # a spreadsheet would run what begins with one of these
            name = plain(graded.name)
            name = name if name[:1] not in "=+-@\t\n" else "'" + name
            points = [graded.of_part(part) for part in said["parts"]]
            table.writerow([name, graded.score, *points, plain("; ".join(graded.flags))])
    (folder / "teacher.html").write_text(teacher_page(all_graded, said), encoding="utf-8")


def faults(graded: Graded) -> dict[tuple[str, str], None]:
    """What was tried where it lost points, and what it is told; a missing file is one fault."""
    found = {}
    for test in graded.tests:
        if test.score < test.most and test.part != "Q" and not test.said.startswith("judged once"):
            file = MISSING.fullmatch(test.said)
            found[file[1] if file else test.name, test.said] = None
    return found


def teacher_page(all_graded: list[Graded], said: dict) -> str:
    body = [f"<p>{len(all_graded)} submissions</p>", "<h2>Distribution</h2><table>"]
    most = sum(sum(said["points"][part].values()) for part in said["parts"])
    bins = Counter(min(int(10 * graded.score / most), 9) for graded in all_graded)
    for number in range(10):
        width = 100 * bins[number] / max(len(all_graded), 1)
        body.append(
            f'<tr><td class="n">{10 * number} to {10 * number + 10} %</td>'
            f'<td class="n">{bins[number]}</td>'
            f'<td style="width: 70%"><div class="bar" style="width: {width:.0f}%"></div></td></tr>'
        )
    body.append("</table><h2>Points</h2><table><tr><th>submission</th>")
    body += [f'<th class="n">{name}</th>' for name in ("score", *said["parts"])]
    body.append("<th>look at</th></tr>")
    for graded in all_graded:
        numbers = [graded.score, *map(graded.of_part, said["parts"])]
        cells = "".join(f'<td class="n">{n:g}</td>' for n in numbers)
        place = quote(os.fsencode(graded.name))  # a colon or a percent sign is no address's
        link = f'<a href="{place}/page.html">{shown(graded.name)}</a>'
        body.append(f"<tr><td>{link}</td>{cells}<td>{shown('; '.join(graded.flags))}</td></tr>")
    body.append("</table><h2>Commonest faults</h2><table>")
    lost = [fault for graded in all_graded for fault in faults(graded)]
    for name, count in Counter(name for name, _ in lost).most_common(20):
        said_most = Counter(said for other, said in lost if other == name).most_common(1)[0][0]
        body.append(
            f'<tr><td class="n">{count}</td><td>{shown(name)}</td><td>{shown(said_most)}</td></tr>'
        )
    body.append("</table><h2>What protected the grader</h2><ul>")
    forces = Counter(force for graded in all_graded for force in set(graded.force))
    body += [f"<li>{shown(f)} ({n} of {len(all_graded)})</li>" for f, n in forces.most_common()]
    body.append("</ul>")
    if "Q" in said["parts"]:
        for question in said["points"]["Q"]:
            body.append(f"<h2>{question}</h2><table>")
            for graded in all_graded:
                answer = graded.answers.get(question, "")
                told = f"<pre>{shown(answer)}</pre>" if answer.strip() else "<em>no answer</em>"
                body.append(f"<tr><td>{shown(graded.name)}</td><td>{told}</td></tr>")
            body.append("</table>")
    return page(f"{said['title']}: for the teacher", body)
