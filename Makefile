# The usual commands. CMake and its presets do the work; `cmake --preset release
# && cmake --build build` is all that building needs.

BUILD := build
DEMO := $(wildcard models/demo/*.json models/demo/*.safetensors)

.PHONY: help setup build demo check format docs clean
.DELETE_ON_ERROR:

help:
	@echo 'make setup   install missing packages (root or sudo)'
	@echo 'make build   build the programs into $(BUILD)/bin'
	@echo 'make demo    build, compile the bundled model and run it'
	@echo 'make check   build everything, run every test, print the totals'
	@echo 'make format  format the sources'
	@echo 'make docs    write the reference of operations and passes to $(BUILD)/docs'
	@echo 'make clean   remove $(BUILD)'

setup:
	@scripts/setup --tests

$(BUILD)/build.ninja: | setup
	cmake --preset release -B $(BUILD)

build: setup $(BUILD)/build.ninja
	cmake --build $(BUILD) --target tools/all passes/plugins/all

# `build` leaves a program that is up to date as it is, and then so is the
# artifact.
$(BUILD)/bin/dsv2-compile: build
	@:

$(BUILD)/demo.dsv2: $(BUILD)/bin/dsv2-compile $(DEMO)
	$< models/demo -o $@

demo: $(BUILD)/demo.dsv2
	@scripts/demo $(BUILD)

check: setup $(BUILD)/build.ninja
	@scripts/check $(BUILD)

format:
	@scripts/setup --format
	git ls-files -z '*.h' '*.cpp' '*.c' | xargs -0 clang-format-22 -i

docs: setup $(BUILD)/build.ninja
	cmake --build $(BUILD) --target mlir-doc
	@echo 'wrote $(BUILD)/docs'

clean:
	cmake -E rm -rf $(BUILD)
