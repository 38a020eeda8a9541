PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# mypy --strict, but for two things: calling a torch module, scipy and soxr give Any, which would need a cast at each
# return; and these packages have functions without types.
STRICT = --strict --no-warn-return-any $(foreach name,torch torchaudio transformers diffusers safetensors dask distributed,\
	--untyped-calls-exclude $(name))

PACKAGES = common pipeline store stages data commands

# Modules of packages that have __all__, which pdoc would leave out.
HIDDEN = $(patsubst %.py,svc.%,$(subst /,.,$(wildcard $(addsuffix /[a-z]*.py,store stages/features stages/settings stages/ui/schemas data/singers))))

.PHONY: demo ui test check docs torture clean

demo: $(VENV)/ready  ## a song sung by another voice, made offline from nothing
	$(BIN)/svc demo

ui: $(VENV)/ready  ## the page, on the folder `demo` if it is there
	$(BIN)/svc ui --home $(if $(wildcard demo),demo,.)

test: $(VENV)/ready check  ## style, types and every fast test
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations=12

torture: $(VENV)/ready  ## every fault that the store is promised to survive, in large numbers, and the table of them
	$(BIN)/pytest -q -m torture --timeout 7200

check: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(STRICT) --explicit-package-bases $(addprefix .types/svc/,$(PACKAGES) cli.py) tests

docs: $(VENV)/ready  ## the API reference, from the docstrings: build/api/index.html
	$(BIN)/pdoc --docformat google -o build/api svc.common svc.pipeline svc.store svc.stages svc.commands svc.data $(HIDDEN)

$(VENV)/ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info demo
