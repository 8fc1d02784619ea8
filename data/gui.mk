# Targets of the window; the Makefile includes this file.

.PHONY: screenshots test-ui test-data

screenshots: ## Write pictures of every page, in every dress, to target/screenshots
	@scripts/install-deps test-window
	CELLAR_PICTURES=$(CURDIR)/target/screenshots tests/ui/run screenshots

test-ui: ## Drive the real window on a display of its own
	@scripts/install-deps test-window
	tests/ui/run
	tests/ui/polkit

test-data: ## Check desktop file, policy, .ui files, icons and translations
	@scripts/install-deps test-window
	data/validate
