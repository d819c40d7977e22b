# mirror: one binary, one Makefile, no recursion. `make help` lists the targets.
#
# Yours to set: CC AR CPPFLAGS CFLAGS LDFLAGS LDLIBS PKG_CONFIG DESTDIR PREFIX BINDIR MANDIR
#   BUILD=DIR      where objects go (default build)
#   VARIANT=name   plain, asan, ubsan, tsan: objects under $(BUILD)/$(VARIANT)
#   WERROR=1       warnings are errors (for us and for automation)
#   V=1            show the commands

.DEFAULT_GOAL := all

VERSION := 0.1.0

CC         ?= cc
AR         ?= ar
PKG_CONFIG ?= pkg-config
PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
MANDIR     ?= $(PREFIX)/share/man
BUILD      ?= build
VARIANT    ?= plain
O          := $(BUILD)/$(VARIANT)

ifneq ($(V),1)
Q := @
endif

# ---- libraries we build, what each may use, and where it lives -------------------------------

LIBS := base image http registry bundle icsp copy check serve cli

dir_base     := src/base
dir_image    := src/image
dir_http     := src/http
dir_registry := src/registry
dir_bundle   := bundle
dir_icsp     := icsp
dir_copy     := src/copy
dir_check    := src/check
dir_serve    := src/serve
dir_cli      := src/cli

# Everything a library needs to link, itself first, users before what they use.
link_base     := base
link_image    := image base
link_http     := http base
link_registry := registry http image base
link_bundle   := bundle image base
link_icsp     := icsp image base
link_copy     := copy registry http bundle image base
link_check    := check copy registry http bundle image base
link_serve    := serve bundle image base
link_cli      := cli check copy serve registry http bundle icsp image base

# ---- outside libraries; the floor is Debian 12 ---------------------------------------------

PACKAGES := libcurl >= 7.88 libarchive >= 3.6 libcrypto >= 3.0 jansson >= 2.14 yaml-0.1 >= 0.2.5 \
            libmicrohttpd >= 0.9.75 libxcrypt >= 4.3
PACKAGE_NAMES := libcurl libarchive libcrypto jansson yaml-0.1 libmicrohttpd libxcrypt

NO_DEPS_GOALS := deps deps-dev help clean format lint-format check-bare uninstall dist demo
ifneq ($(filter-out $(NO_DEPS_GOALS),$(or $(MAKECMDGOALS),all)),)
ifneq ($(shell $(PKG_CONFIG) --exists "$(PACKAGES)" 2>/dev/null && echo yes),yes)
$(error Libraries are missing or too old ($(PACKAGES)). Run "make deps" as root)
endif
endif
DEPS_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGE_NAMES) 2>/dev/null)
DEPS_LIBS   := $(shell $(PKG_CONFIG) --libs $(PACKAGE_NAMES) 2>/dev/null) -pthread

# ---- flags ---------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wformat=2 \
            -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wwrite-strings \
            -Wcast-qual -Wpointer-arith -Wundef -Wvla -Wnull-dereference -fno-common
ifeq ($(WERROR),1)
WARNINGS += -Werror
endif

SAN_plain :=
SAN_asan  := -fsanitize=address -fno-omit-frame-pointer
SAN_ubsan := -fsanitize=undefined -fno-sanitize-recover=all
SAN_tsan  := -fsanitize=thread
SANITIZE  := $(SAN_$(VARIANT))

ifeq ($(VARIANT),plain)
HARDEN_C := -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong \
            -fstack-clash-protection -fPIE
HARDEN_L := -pie -Wl,-z,relro,-z,now,-z,noexecstack
else
HARDEN_C := -O1
HARDEN_L :=
endif

OUR_CPPFLAGS := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DMIRROR_VERSION='"$(VERSION)"' -I. -Isrc \
                $(DEPS_CFLAGS)
OUR_CFLAGS   := -std=c11 -g $(WARNINGS) $(HARDEN_C) $(SANITIZE)
OUR_LDFLAGS  := $(HARDEN_L) $(SANITIZE)
BANNED       := -include src/base/banned.h
COMPILE       = $(CC) $(OUR_CPPFLAGS) $(BANNED) $(CPPFLAGS) $(OUR_CFLAGS) $(CFLAGS)
LINK          = $(CC) $(OUR_CFLAGS) $(CFLAGS) $(OUR_LDFLAGS) $(LDFLAGS)

# ---- what there is to build ------------------------------------------------------------------

lib = $(O)/lib/libmirror-$(1).a
libs_for = $(foreach l,$(link_$(1)),$(call lib,$(l)))

define library_rules
sources_$(1) := $$(wildcard $$(dir_$(1))/*.c)
objects_$(1) := $$(sources_$(1):%.c=$$(O)/obj/%.o)
$$(call lib,$(1)): $$(objects_$(1))
	@mkdir -p $$(@D)
	$$(Q)rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^
endef
$(foreach l,$(LIBS),$(eval $(call library_rules,$(l))))

SOURCES := $(foreach l,$(LIBS),$(sources_$(l))) src/main.c
HEADERS := $(wildcard $(foreach l,$(LIBS),$(dir_$(l))/*.h))

.PHONY: all
all: $(O)/mirror man ## the binary, the libraries, the man pages (default)
ifeq ($(VARIANT),plain)
	@ln -sf $(VARIANT)/mirror $(BUILD)/mirror
endif

$(O)/mirror: $(O)/obj/src/main.o $(call libs_for,cli)
	$(Q)$(LINK) -o $@ $^ $(DEPS_LIBS) $(LDLIBS)

$(O)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

# ---- tests -----------------------------------------------------------------------------------
# tests/unit/LIB_WHAT.c links LIB and what it uses; tests/protocol links the client side;
# tests/lib is fixtures and the scripted server; tests/lib/tools/*.c are programs for the scripts,
# tests/lib/preload/*.c what LD_PRELOAD puts under the binary, tools/NAME.so.

TEST_CFLAGS = $(shell $(PKG_CONFIG) --cflags cmocka) -Itests
TEST_LIBS   = $(shell $(PKG_CONFIG) --libs cmocka libssl)

testlib_sources := $(wildcard tests/lib/*.c)
testlib := $(O)/lib/libmirror-testing.a
$(testlib): $(testlib_sources:%.c=$(O)/obj/%.o)
	@mkdir -p $(@D)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(O)/obj/tests/%.o: tests/%.c Makefile
	@mkdir -p $(@D)
	$(Q)$(COMPILE) $(TEST_CFLAGS) -MMD -MP -c -o $@ $<

unit_sources     := $(wildcard tests/unit/*.c)
protocol_sources := $(wildcard tests/protocol/*.c)
fuzz_sources     := $(wildcard tests/fuzz/*.c)
tool_sources     := $(wildcard tests/lib/tools/*.c)
preload_sources  := $(wildcard tests/lib/preload/*.c)
UNIT_TESTS     := $(unit_sources:%.c=$(O)/%)
PROTOCOL_TESTS := $(protocol_sources:%.c=$(O)/%)
TOOL_PROGRAMS  := $(tool_sources:%.c=$(O)/%)
TOOL_PRELOADS  := $(preload_sources:tests/lib/preload/%.c=$(O)/tests/lib/tools/%.so)
TEST_TOOLS     := $(TOOL_PROGRAMS) $(TOOL_PRELOADS)
FUZZ_REPLAYS   := $(fuzz_sources:%.c=$(O)/%)

# The library a unit or fuzz test belongs to is the word before the first '_'.
owner = $(firstword $(subst _, ,$(notdir $(1))))
define unit_rule
$(1): $$(O)/obj/$(patsubst $(O)/%,%,$(1)).o $$(testlib) $$(call libs_for,$$(call owner,$(1))) $$(call libs_for,image)
	@mkdir -p $$(@D)
	$$(Q)$$(LINK) -o $$@ $$^ $$(TEST_LIBS) $$(DEPS_LIBS) $$(LDLIBS)
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call unit_rule,$(t))))

$(PROTOCOL_TESTS) $(TOOL_PROGRAMS): $(O)/tests/%: $(O)/obj/tests/%.o $(testlib) $(call libs_for,cli)
	@mkdir -p $(@D)
	$(Q)$(LINK) -Wl,--as-needed -o $@ $^ $(TEST_LIBS) $(DEPS_LIBS) $(LDLIBS)

# They define libc's functions anew, in both sizes of off_t, and replace none of the headers' checks.
$(TOOL_PRELOADS): $(O)/tests/lib/tools/%.so: tests/lib/preload/%.c tests/lib/preload/powerlog.h Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE $(CPPFLAGS) -std=c11 -g -O2 $(WARNINGS) -Wno-missing-prototypes \
	    -U_FORTIFY_SOURCE -fPIC $(CFLAGS) -shared $(LDFLAGS) -o $@ $<

# Replay of the corpus without a fuzzer: the same entry point, driven by a small main.
define fuzz_rule
$(1): $$(O)/obj/$(patsubst $(O)/%,%,$(1)).o $$(O)/obj/tests/fuzz/replay/main.o $$(call libs_for,$$(call owner,$(1))) $$(call libs_for,image)
	@mkdir -p $$(@D)
	$$(Q)$$(LINK) -o $$@ $$^ $$(DEPS_LIBS) $$(LDLIBS)
endef
$(foreach t,$(FUZZ_REPLAYS),$(eval $(call fuzz_rule,$(t))))

.PHONY: tests check check-unit check-protocol check-cli check-integration check-fuzz
tests: $(UNIT_TESTS) $(PROTOCOL_TESTS) $(FUZZ_REPLAYS) $(TEST_TOOLS) ## build every test program

check: all tests ## everything: unit, protocol, fuzz replay, cli, integration
	$(Q)tests/lib/run-tests $(O) unit protocol fuzz cli integration
check-unit: $(UNIT_TESTS) $(FUZZ_REPLAYS) ## what needs no server
	$(Q)tests/lib/run-tests $(O) unit fuzz
check-protocol: $(PROTOCOL_TESTS) ## the client against a scripted server on loopback
	$(Q)tests/lib/run-tests $(O) protocol
check-cli: all $(TEST_TOOLS) ## the built binary: arguments in, output out
	$(Q)tests/lib/run-tests $(O) cli
check-integration: all $(TEST_TOOLS) ## with docker-registry, skopeo and podman
	$(Q)tests/lib/run-tests $(O) integration

.PHONY: asan ubsan tsan check-sanitized
asan ubsan tsan: ## own build folder, then the unit and protocol tests
	$(Q)$(MAKE) --no-print-directory VARIANT=$@ check-sanitized
check-sanitized: $(UNIT_TESTS) $(PROTOCOL_TESTS) $(FUZZ_REPLAYS)
	$(Q)tests/lib/run-tests $(O) unit protocol fuzz

.PHONY: valgrind
# What meets the network and the files of other tools.
VALGRIND_TESTS ?= unit/registry_* unit/http_* unit/icsp_lookup unit/icsp_trap protocol/http_* \
    protocol/registry_* protocol/access_* protocol/copy_rules protocol/check_* protocol/serve_* \
    fuzz/registry_* fuzz/http_* fuzz/icsp_registries_conf integration/auth* integration/login \
    integration/tokens integration/tls integration/proxy integration/doors integration/upload-faults \
    integration/registries-conf integration/policy
valgrind: all $(UNIT_TESTS) $(PROTOCOL_TESTS) $(FUZZ_REPLAYS) $(TEST_TOOLS) ## what meets the network, under valgrind
	$(Q)set -f; VALGRIND=1 tests/lib/run-tests $(O) $(VALGRIND_TESTS)

.PHONY: fuzz
FUZZ_SECONDS ?= 60
fuzz: ## explore with clang's libFuzzer, FUZZ_SECONDS for each target
	$(Q)tests/fuzz/explore $(FUZZ_SECONDS) $(basename $(notdir $(fuzz_sources)))

.PHONY: check-bare
check-bare: ## both start commands in a fresh clone inside a debootstrap tree (root; minutes)
	$(Q)tests/bare/run

# ---- lint ------------------------------------------------------------------------------------

ALL_C := $(shell git ls-files '*.c' 2>/dev/null || true)
ALL_CH := $(shell git ls-files '*.c' '*.h' 2>/dev/null || true)

.PHONY: lint lint-includes lint-headers lint-format lint-static lint-shell format
lint: lint-includes lint-headers lint-format lint-static lint-shell ## includes, headers alone, format, static analysis
lint-includes:
	$(Q)tests/lint/includes
lint-headers: $(HEADERS:%=$(O)/header/%.ok)
$(O)/header/%.ok: % Makefile
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -Werror -fsyntax-only -include $< -x c /dev/null
	@touch $@
lint-format:
	$(Q)clang-format --dry-run -Werror $(ALL_CH)
lint-static: $(SOURCES:%=$(O)/tidy/%.ok)
	$(Q)cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --enable=warning,portability \
	    --library=tests/lint/cppcheck.cfg --suppress=missingInclude --suppress=unusedFunction \
	    -D__GNUC__ -DMIRROR_VERSION='""' -I. -Isrc src bundle icsp
$(O)/tidy/%.ok: % .clang-tidy Makefile
	@mkdir -p $(@D)
	$(Q)clang-tidy --quiet --warnings-as-errors='*' $< -- $(OUR_CPPFLAGS) -std=c11 2>/dev/null
	@touch $@
lint-shell:
	$(Q)for f in $$(git ls-files | xargs grep -IlE '^#!.*\b(ba)?sh\b' --); do bash -n "$$f" || exit 1; done
format: ## clang-format everything
	$(Q)clang-format -i $(ALL_CH)

# ---- documentation, installation and the rest -------------------------------------------------

MAN_PAGES := $(wildcard docs/man/*.1)
.PHONY: man install uninstall deps deps-dev demo bench compdb dist clean help
man: $(MAN_PAGES) ## the man pages (written by hand, checked against --help by the tests)

install: all ## honours DESTDIR, PREFIX, BINDIR, MANDIR
	install -D -m 0755 $(O)/mirror $(DESTDIR)$(BINDIR)/mirror
	for p in $(MAN_PAGES); do install -D -m 0644 $$p $(DESTDIR)$(MANDIR)/man1/$${p##*/} || exit 1; done
uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(BINDIR)/mirror $(foreach p,$(MAN_PAGES),$(DESTDIR)$(MANDIR)/man1/$(notdir $(p)))

deps: ## install what is missing (apt, dnf); needs root
	$(Q)tests/lib/install-deps
deps-dev: ## the same, and what lint, fuzz and check-bare need
	$(Q)tests/lib/install-deps dev
demo: ## the main job, end to end, on this machine
	$(Q)examples/demo.sh

bench: all $(TEST_TOOLS) ## measure, and print (docs/performance.md); no part of check
	$(Q)for b in node-config transfer; do \
	    MIRROR=$(abspath $(O))/mirror TOOLS=$(abspath $(O))/tests/lib/tools tests/bench/$$b || exit 1; done

compdb: ## compile_commands.json
	$(Q)$(MAKE) --no-print-directory -Bn V=1 $(SOURCES:%.c=$(O)/obj/%.o) | tests/lint/compdb > compile_commands.json
dist: ## a source archive of HEAD
	git archive --prefix=mirror-$(VERSION)/ -o mirror-$(VERSION).tar.gz HEAD
clean: ## remove what was built
	rm -rf $(BUILD) compile_commands.json
help: ## this list
	@grep -hE '^[a-z][a-z -]*:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 20

-include $(shell find $(O) -name '*.d' 2>/dev/null)
