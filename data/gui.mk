# Targets of the window; the Makefile includes this file.

.PHONY: screenshots test-ui

screenshots: ## Write pictures of every page, in every dress, to target/screenshots
	@scripts/install-deps test
	CELLAR_PICTURES=$(CURDIR)/target/screenshots tests/ui/run screenshots

test-ui: ## Of the tests, those of the window and its data
	@scripts/install-deps test
	$(CARGO) test --features gui --bin sugar-cellar --test window
