# Everything runs in .venv, which the first target that needs it makes and installs. After that no
# target needs the network: pip runs again only when what requirements.txt and pyproject.toml say has
# changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Lessons run in the kernel of .venv, whatever kernels the user has.
export JUPYTER_PREFER_ENV_PATH := 1

# Two files at a time, each with one thread, in the order of conftest.py.
TWO_FILES := --numprocesses=2 --dist=loadfile --no-loadscope-reorder

# What `make colab` makes its environment with: tools/colab.txt says which version it must be.
COLAB_PYTHON ?= python3.13

.DEFAULT_GOAL := help
.PHONY: help install lessons lab test mutants elsewhere colab notebooks sync repository release-books \
	benchmark handout autograder site clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "PYTHON=python3.12 chooses the interpreter that .venv is made with (3.11 or newer)."

lessons: $(STAMP)  ## run every lesson and build the site of what came out
	@echo "==> Running every lesson in notebooks/ from a clean kernel; pages go to build/site/"
	@$(BIN)/python -m tools.notebooks run

site: $(STAMP)  ## build the site from the stored outputs: build/site/index.html
	@echo "==> Building the site; no lesson is run"
	@$(BIN)/python -m tools.site

lab: $(STAMP)  ## open JupyterLab on the lessons
	@echo "==> Opening JupyterLab on notebooks/ (Ctrl-C ends it)"
	@$(BIN)/jupyter lab --notebook-dir=notebooks

test: $(STAMP)  ## check the style, run the tests, run every lesson and compare its outputs
	@echo "==> ruff check"
	@$(BIN)/ruff check .
	@echo "==> ruff format --check"
	@$(BIN)/ruff format --check .
	@echo "==> pytest: the tests, two files at a time"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests $(TWO_FILES)
	@echo "==> pytest: every cell of every lesson against its stored output, two lessons at a time,"
	@echo "    the networks of the package, a row of each leaderboard, trained anew,"
	@echo "    the made submissions and attacks, graded, the site, trainings that are killed, the wheel"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest notebooks \
		tests/retrain_two_rows.py tests/score_provided_networks.py \
		tests/grade_submissions.py tests/grade_attacks.py tests/site_in_a_browser.py \
		tests/kill_and_interrupt.py tests/run_made_lessons.py tests/build_and_import.py $(TWO_FILES)

mutants: $(STAMP)  ## put every fault of tests/faults.py into a copy: does a test fail? (half an hour)
	@$(BIN)/python -m tools.mutants

elsewhere: $(STAMP)  ## run lessons 04 to 06 on other editions and texts (half an hour)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/lessons_elsewhere.py --verbose

colab: $(STAMP)  ## rehearse the lessons with Colab's versions and no checkout (Python 3.13)
	@$(BIN)/python -m tools.colab $(COLAB_PYTHON) $(LESSON)

notebooks: $(STAMP)  ## run the lessons and store their outputs in place (LESSON=04 for one)
	@echo "==> Running lessons from a clean kernel and storing their outputs in notebooks/"
	@$(BIN)/python -m tools.notebooks store $(LESSON)

sync: $(STAMP)  ## bring the lesson cells and pages that show code or results up to date
	@echo "==> Bringing the cells tagged source:, results: and table: up to date"
	@$(BIN)/python -m tools.sync
	@echo "==> Bringing results/README.md and the table of README.md up to date"
	@$(BIN)/python -m benchmarks.page

repository: $(STAMP)  ## SLUG=owner/name: change the repository's address everywhere
	@echo "==> Changing the repository's address"
	@$(BIN)/python -m tools.repository "$(SLUG)"

release-books: $(STAMP)  ## prepare the release that serves the known editions of the books
	@echo "==> Writing the known editions to build/books"
	@$(BIN)/python -m tools.release_books

# seeds.py and leaderboard/ train for long: they are run by hand, a few rows at a time
benchmark: $(STAMP)  ## time our code beside its peers, one script after another
	@set -e; for name in layers numpy_language_model language_model; do \
		echo "==> benchmarks/$$name.py"; $(BIN)/python -m benchmarks.$$name; done

handout: $(STAMP)  ## write the assignment, without its solutions, to build/handout/ and .zip
	@echo "==> Cutting the solutions out of the package; the handout goes to build/"
	@$(BIN)/python -m blg561.assignment.handout

autograder: $(STAMP)  ## write the archive that Gradescope asks for to build/autograder.zip
	@echo "==> Packing the grader; the archive goes to build/"
	@$(BIN)/python -m blg561.assignment.autograder

clean:  ## remove build/ and caches (.venv, models/ and data/ stay)
	@echo "==> Removing build/ and caches; .venv, models/ and data/ stay"
	@rm -rf build .pytest_cache .ruff_cache .hypothesis
	@find . -path ./$(VENV) -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) \
		-exec rm -rf {} +

# The stamp holds the text of the files that it was made from, so that a fresh copy of the tree, with
# new times but the same text, does not install again. It is written last: a failed install leaves none.
$(STAMP): requirements.txt pyproject.toml
	@if cat $^ | cmp -s - $@; then touch $@; \
	else rm -f $@ && $(MAKE) --no-print-directory install && cat $^ > $@; fi

# The package is built without isolation, with the setuptools that requirements.txt pins: an isolated
# build would ask the network for one even when everything is there.
install:
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || { \
		$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
			echo "The pinned versions need Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }; \
		echo "==> Making $(VENV) with $(PYTHON)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "==> Installing requirements.txt into $(VENV) (the first time takes minutes)"
	@$(BIN)/python -m pip install --quiet -r requirements.txt
	@echo "==> Installing this package, editable"
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
