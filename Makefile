# The short names of what CMakePresets.json and tools/ do.
SHELL := /bin/bash

HAS_GPU := $(shell nvidia-smi > /dev/null 2>&1 || [ -e /dev/nvidia0 ] && echo yes)
PRESET := $(if $(HAS_GPU),cuda,cpu)

.NOTPARALLEL:
.PHONY: help setup build core test demo clean

help:
	@echo "make setup   install Debian packages and the wheels in .venv"
	@echo "make build   the program and all tests: build/$(PRESET)"
	@echo "make core    build and test everything that needs no LibTorch"
	@echo "make test    build all, run all tests that this machine can run"
	@echo "make demo    plan and run real Stable Diffusion 1.5 steps under a budget"
	@echo "make clean   remove build/ and results/; .venv stays"

setup:
	tools/setup.sh $(if $(HAS_GPU),--cuda)

build: setup
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET)

core: setup
	cmake --workflow --preset core

test: build
	ctest --preset $(PRESET)

demo: setup
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET) --target stint
	.venv/bin/python tools/demo.py --stint build/$(PRESET)/cli/stint --device $(if $(HAS_GPU),cuda:0,cpu)

clean:
	rm -rf build results
