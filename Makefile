# Sugar Cellar. `make help` lists what there is. Every target installs what it
# needs from Debian's packages first, asks nothing, and may be run again.

PATH := $(PATH):$(HOME)/.cargo/bin
export PATH
CARGO = cargo

.PHONY: build run test test-boot test-cuts bench fuzz install-deps help

build: ## Build the helper (target/release/sugar-cellar-helper)
	@scripts/install-deps run
	$(CARGO) build --release --bin sugar-cellar-helper

run: ## Do the main job on a practice stick: in a window, or without a display in the terminal
	@scripts/run

# What is found by chance is the same each time; `cargo test` and `make fuzz` look elsewhere.
test: export PROPTEST_RNG_SEED ?= 1
test: ## Format, lints, and all tests, those in a virtual machine included
	@scripts/install-deps test
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --all-targets --features gui -- -D warnings
	$(CARGO) test --no-fail-fast --features gui

test-boot: ## Boot a live stick of dracut's, save on it, refresh it, and boot it again
	@scripts/install-deps boot
	SUGAR_CELLAR_BOOT=1 $(CARGO) test --features gui --test vm -- booted prevented --nocapture

test-cuts: ## Cut the power after every write that a command does, in 1,000 ways each; hours without KVM
	@scripts/install-deps test
	SUGAR_CELLAR_STATES=$${SUGAR_CELLAR_STATES:-1000} $(CARGO) test --features gui --test vm cut -- --nocapture

bench: ## Measure against the classic way, and how soon the window is there
	@scripts/install-deps bench
	$(CARGO) bench --bench refresh
	$(CARGO) build --release --features gui --bins
	CELLAR_PROGRAMS=$${CARGO_TARGET_DIR:-$(CURDIR)/target}/release tests/ui/run measure

fuzz: ## Feed the parsers with damaged input, for long
	@scripts/install-deps test
	FUZZ_SECONDS=$${FUZZ_SECONDS:-600} FUZZ_SEED=$${FUZZ_SEED:-$$(date +%s)} $(CARGO) test --features gui --test fuzz -- --nocapture

install-deps: ## Install what building, running and testing need
	@scripts/install-deps test

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile data/gui.mk

include data/gui.mk
