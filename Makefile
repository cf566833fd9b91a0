# Every target works from nothing but Python >= 3.10 and a package index: the first one called makes .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# The tested versions; `make CONSTRAINTS=` takes the newest that pyproject.toml allows.
CONSTRAINTS ?= -c constraints.txt
SOURCES := modeling_etp datasets_scripts etp metrics tests benchmarks examples $(wildcard *.py)

export HF_HUB_DISABLE_TELEMETRY := 1
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help install app demo test test-app test-all test-real coverage mutation check format bench weights reproduce results docs docs-version robustness load sbom audit release-check clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(READY) ## Make .venv with everything for development, in the tested versions

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) -e '.[dev]'
	@touch $@

demo: $(READY) ## The main job in a few minutes: train, evaluate, classify; DATA=path/to/ptb-xl for the real archive
	$(BIN)/python examples/demo.py $(if $(DATA),--data_dir $(DATA))

test: $(READY) ## Unit tests: no network, no GPU, no data
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2

reproduce: $(READY) ## Train the shipped model again from DATA=path/to/ptb-xl: ECG tower, text tower, projections
	@test -n "$(DATA)" || { echo "DATA is missing: make reproduce DATA=folder/of/ptb-xl"; exit 2; }
	$(BIN)/etp train etp-base --num_processes 1 --data_dir $(DATA) --output_dir runs/etp-base --resume auto
	test -f runs/etp-base-text/model.safetensors || $(BIN)/etp adapt-text --output_dir runs/etp-base-text
	$(BIN)/etp train etp-base-align --num_processes 1 --data_dir $(DATA) --ecg_model runs/etp-base --text_model runs/etp-base-text \
		--output_dir runs/etp-base-align --resume auto

test-app: $(READY) ## The app in a headless browser: needs chromium (Debian: apt-get install chromium) or CHROMIUM=path
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -m slow tests/app

test-all: $(READY) ## Unit tests and the slow ones: several processes, kills, whole trainings of tiny models
	OMP_NUM_THREADS=1 .ci/test-all $(BIN)/pytest

COUNT ?= 100000

robustness: $(READY) ## Fuzz every target COUNT times, attack checkpoints, block the network
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -s -n 0 tests/robustness -m 'slow or not slow' --timeout 0 --fuzz-count $(COUNT)
	PYTHONPATH=.:tests:tests/robustness $(BIN)/python tests/robustness/compare_with_wfdb.py 5000

COVERING := $(addprefix tests/,datasets files label_sets modeling pipeline preprocessing statements synthetic)

coverage: $(READY) ## Lines and branches of modeling_etp and datasets_scripts that their tests run: fails below 95%
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --cov -m 'not gpu and not network and not real_data' $(COVERING)

mutation: $(READY) ## Change loss, feature extractor and readers at random and count what tests notice; MUTANTS=changes per file
	OMP_NUM_THREADS=1 $(BIN)/python tests/robustness/mutation.py $(MUTANTS)

sbom: $(READY) ## What is installed, as CycloneDX: build/sbom.cdx.json
	mkdir -p build
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) -e '.[audit]'
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --of JSON -o build/sbom.cdx.json $(BIN)/python

audit: $(READY) ## Known vulnerabilities of what is installed; needs a network, and fails without one
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) -e '.[audit]'
	$(BIN)/pip-audit --strict --skip-editable

release-check: $(READY) ## Build wheel and sdist, check them, and use the wheel in a new environment; publishes nothing
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) -e '.[release]'
	PYTHON=$(BIN)/python CONSTRAINTS="$(CONSTRAINTS)" .ci/release-check

SECONDS ?= 600

load: $(READY) ## 20,000 files through `etp classify`; 50 clients for SECONDS at the app and at one pipeline
	$(if $(MODEL),,@test -d build/etp-ptb-xl || $(MAKE) weights)
	$(BIN)/python tests/robustness/load_files.py --model $(or $(MODEL),build/etp-ptb-xl)
	for what in app pipeline; do \
	    $(BIN)/python tests/robustness/load_clients.py $$what --model $(or $(MODEL),build/etp-ptb-xl) --seconds $(SECONDS) || exit 1; done

test-real: $(READY) ## Counts, signals and a short training on the real archives in DATA
	@test -n "$(DATA)" || { echo "DATA is missing: make test-real DATA=folder/with/ptb-xl/and/cpsc2018"; exit 2; }
	$(BIN)/pytest -q -m real_data --data=$(DATA) --timeout 1800

check: $(READY) ## Lint, format, types, layering
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy modeling_etp datasets_scripts etp
	$(BIN)/pytest -q tests/test_layering.py

format: $(READY) ## Let ruff mend what it can
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

weights: $(READY) ## Join our trained ECG side with the public text tower: build/etp-ptb-xl
	$(BIN)/python -m etp.weights join etp/pretrained/etp-ptb-xl build/etp-ptb-xl

app: $(READY) ## Serve the app on http://127.0.0.1:7860; MODEL=folder of another model, INDEX=folder of `etp index`
	$(if $(MODEL),,@test -d build/etp-ptb-xl || $(MAKE) weights)
	$(BIN)/etp app --model $(or $(MODEL),build/etp-ptb-xl) $(if $(INDEX),--index $(INDEX))

results: $(READY) ## The whole protocol on MODEL with the archives in DATA: JSON in build/results, page, picture and rows in docs
	@test -n "$(DATA)" || { echo "DATA is missing: make results DATA=folder/with/ptb-xl/and/cpsc2018 MODEL=checkpoint"; exit 2; }
	$(if $(MODEL),,@test -d build/etp-ptb-xl || $(MAKE) weights)
	$(BIN)/etp evaluate all --model $(or $(MODEL),build/etp-ptb-xl) --ptb_xl $(DATA)/ptb-xl \
		$(if $(wildcard $(DATA)/cpsc2018),--cpsc2018 $(DATA)/cpsc2018 --cpsc2018_config challenge) --precision bf16 \
		--output build/results --embedding_cache build/embeddings --page docs/results.md --overwrite

bench: $(READY) ## Benchmarks, one JSON line each; DATA=path/to/ptb-xl adds those that read the archive
	for part in tower training pipeline; do $(BIN)/python benchmarks/bench_$$part.py || exit 1; done
	$(if $(DATA),for part in build read start; do $(BIN)/python benchmarks/bench_$$part.py --data_dir $(DATA) || exit 1; done)

docs: $(READY) ## The documentation with its API reference as pages in build/site; a broken link or reference fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs-version: $(READY) ## Put the pages of VERSION beside those of earlier versions, on the local branch gh-pages; nothing is pushed
	@test -n "$(VERSION)" || { echo "VERSION is missing: make docs-version VERSION=1.0"; exit 2; }
	NO_MKDOCS_2_WARNING=1 PATH="$(abspath $(BIN)):$$PATH" mike deploy --update-aliases $(VERSION) latest
	NO_MKDOCS_2_WARNING=1 $(BIN)/mike set-default latest

clean: ## Remove what the targets made, but not .venv
	rm -rf build dist runs mutants .coverage *.egg-info .pytest_cache .ruff_cache .mypy_cache
