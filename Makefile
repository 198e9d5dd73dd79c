# make run | test | lab | notebooks | clean; README.md has the plain commands for Windows and conda.
PYTHON ?= python3
PROFILE ?= digits
BIN := .venv/bin
STAMP := .venv/.installed
export TFL_CACHE_DIR ?= $(CURDIR)/build/cache
export TF_CPP_MIN_LOG_LEVEL ?= 2
# k-means here is small: on a busy machine threads that wait for each other cost ten times its work.
export OMP_NUM_THREADS ?= 1
# Two test workers with two TensorFlow threads each would wait for one another on two cores.
ONE_THREAD := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1
# The notebooks take longest, so one worker begins with them.
TESTS := tests/test_notebooks.py tests tfl_helpers

.PHONY: run test lab notebooks clean
.DEFAULT_GOAL := run

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; v = sys.version_info; ok = (3, 11) <= v < (3, 14); \
	sys.exit(0 if ok else f'Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.12 …')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[notebooks,test]'
	@touch $(STAMP)

run: $(STAMP)  ## execute the series, pages and results in build/
	$(BIN)/python tools/notebooks.py run --profile $(PROFILE)

test: $(STAMP)  ## style, examples, unit tests, notebooks; SLOW=1 adds what takes long or needs photos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(if $(SLOW),,-m "not slow") $(TESTS)

lab: $(STAMP)  ## open the series in JupyterLab
	$(BIN)/jupyter lab notebooks/00_start_here.ipynb

notebooks: $(STAMP)  ## make the committed outputs anew, measure time and memory
	$(BIN)/python tools/notebooks.py refresh

clean:
	rm -rf build .venv .pytest_cache .ruff_cache .hypothesis
