# make run | test | hostile | lab | notebooks | class | site | badges | clean; README.md has the plain commands for Windows and conda.
PYTHON ?= python3
PROFILE ?= digits
BIN := .venv/bin
STAMP := .venv/.installed
export TFL_CACHE_DIR ?= $(CURDIR)/build/cache
# A bundle's folder of wheels (python -m tfl_helpers prefetch --wheels): nothing is fetched then.
WHEELS ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check
ifneq ($(WHEELS),)
export PIP_NO_INDEX := 1
export PIP_FIND_LINKS := $(abspath $(WHEELS))
EXTRAS := notebooks,cluster
endif
EXTRAS ?= notebooks,cluster,test
# Two workers with two TensorFlow threads each would wait for one another on two cores; and where
# page faults are dear (virtual machines), memory that glibc keeps spares a third of the time.
WORKER := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 \
	MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000
# The notebooks take longest, so the workers begin with them.
TESTS := tests/test_notebooks.py tests/test_starting.py tests tfl_helpers

.PHONY: run test hostile lab notebooks class site badges clean
.DEFAULT_GOAL := run

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; v = sys.version_info; ok = (3, 11) <= v < (3, 14); \
	sys.exit(0 if ok else f'Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.12 …')"
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $(STAMP)

run: $(STAMP)  ## execute the series, pages and results in build/
	$(BIN)/python tools/notebooks.py run --profile $(PROFILE)

test: $(STAMP)  ## style, examples, unit tests, notebooks; SLOW=1 adds what takes long or needs photos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(WORKER) $(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder -m "not $(if $(SLOW),short,slow)" $(TESTS)

hostile: $(STAMP)  ## thousands of hostile folders for `sort`, drawn at random: SEED=0 HOSTILE=2000
	HOSTILE=$(or $(HOSTILE),2000) $(WORKER) $(BIN)/python -m pytest tests/test_folders.py -k hostile \
	--hypothesis-seed=$(or $(SEED),0)

lab: $(STAMP)  ## open the series in JupyterLab
	$(BIN)/jupyter lab notebooks/00_start_here.ipynb

notebooks: $(STAMP)  ## make the committed outputs anew, measure time and memory
	$(BIN)/python tools/notebooks.py refresh

class: $(STAMP)  ## all editions and the quiz in build/class/; REVEAL=FOLDER: slides without a network
	for kind in student solutions teacher slides print; do \
	$(BIN)/python tools/notebooks.py edition $$kind --out build/class/$$kind \
	$(if $(REVEAL),--reveal $(REVEAL)) || exit 1; done
	$(BIN)/python tools/quiz.py --out build/class/quiz.html

site: $(STAMP)  ## notebooks, teaching kit, API and results as a site in build/site/
	$(PIP) install --quiet -c constraints.txt -e '.[site]'
	$(BIN)/python tools/site_pages.py

badges: $(STAMP)  ## Colab and Binder badges in the README, from the address of the git remote
	$(BIN)/python tools/badges.py

clean:
	rm -rf build .venv .pytest_cache .ruff_cache .hypothesis
