# For whoever has just cloned this: `make demo` and `make check` do all that they need by themselves, on Debian 12 as
# root or with sudo. The build itself is meson's; this only calls it.

BUILD = build
DEMO = examples/altered-request.client.pcap examples/altered-request.server.pcap
FUZZ_SECONDS = 60

.PHONY: all demo check install fuzz clean help

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet src/tools/smbproof >&2
	@ln -sf src/tools/smbproof $(BUILD)/smbproof

$(BUILD)/build.ninja:
	@bash .ci/setup build
	@mkdir -p $(BUILD)
	@meson setup $(BUILD) >$(BUILD)/setup.log 2>&1 || { cat $(BUILD)/setup.log; exit 1; }

# Client, server and a box between them. Where the server is not built the recorded pair of captures stands in for them; its
# exit status is 1, because the captures show a problem.
demo: all
	@if $(BUILD)/smbproof serve --help >/dev/null 2>&1; then bash examples/demo $(BUILD)/smbproof; \
	else $(BUILD)/smbproof explain $(DEMO) || test $$? -eq 1; fi

check:
	@bash .ci/setup check
	@bash .ci/check

install: all
	@ninja -C $(BUILD) --quiet installed
	@meson install -C $(BUILD) --no-rebuild --quiet

# Coverage-guided fuzzing of each target; what is found lies in $(BUILD)-fuzz.
fuzz:
	@bash .ci/setup check
	@test -e $(BUILD)-fuzz/build.ninja || CC=clang meson setup $(BUILD)-fuzz -Dfuzz=true -Db_lundef=false \
		-Db_sanitize=address,undefined -Dc_args=-fsanitize=fuzzer-no-link >/dev/null
	@ninja -C $(BUILD)-fuzz --quiet
	@for seeds in tests/fuzz/seeds/*; do \
		name=$${seeds##*/}; target=$(BUILD)-fuzz/tests/fuzz/fuzz_$$name; corpus=$(BUILD)-fuzz/corpus/$$name; \
		test -x $$target || continue; mkdir -p $$corpus; echo "== $$name"; \
		$$target -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$(BUILD)-fuzz/ -close_fd_mask=1 $$corpus $$seeds || \
			exit 1; \
	done

clean:
	@rm -rf $(BUILD) $(BUILD)-fuzz build-gcc build-clang-asan

help:
	@echo 'make          build; the command is then $(BUILD)/smbproof'
	@echo 'make demo     install what is needed, build, show a connection that is aborted, and why'
	@echo 'make check    install what is needed, build with gcc and clang, run all tests'
	@echo 'make install  install (DESTDIR= is honoured; meson configure $(BUILD) -Dprefix=... before)'
	@echo 'make fuzz     fuzz each target for FUZZ_SECONDS=$(FUZZ_SECONDS) seconds'
	@echo 'make clean    remove what was built'
