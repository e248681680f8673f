# gadwall. `make run` and `make test` are the two commands; `make help` lists the rest.
CC      ?= cc
LUA     ?= lua5.4
LUA_PKG ?= lua5.4
PREFIX  ?= /usr/local
BUILD   ?= build
JOBS    ?= $(shell nproc 2>/dev/null || echo 1)
VERSION := 0.1.0
# `make test` fails when fewer tests than this pass: a suite that quietly lost its files is not green.
TESTS_FLOOR ?= 3550
-include config.mk

# Variants: `make BUILD=build/test FAILPOINTS=1`, `make BUILD=build/asan FAILPOINTS=1 SAN=1`
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
        -Wundef -Wformat=2 -Wvla -Wpointer-arith -Wwrite-strings -Wnull-dereference \
        -Wduplicated-cond -Wlogical-op -Werror=format-security -fno-common
HARDEN := -fstack-protector-strong -fstack-clash-protection -fno-strict-aliasing \
          -ftrivial-auto-var-init=zero -fPIE
CPPFLAGS += -D_GNU_SOURCE -DGADWALL_VERSION='"$(VERSION)"' -DGADWALL_PREFIX='"$(PREFIX)"' \
            -Ihost $(LUA_CFLAGS)
# Asked when a file is compiled, not when this file is read: pkg-config may be installed by `deps`.
LUA_CFLAGS = $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(LUA_PKG)))
# Lua itself goes into the program where there is a static library, as Debian's own lua5.4 has it:
# no PLT between the core and its API (6 % of the CPU of echo-16), and one library less to load.
# Modules in C take lua_* from the program, also those that name the shared library. A new Lua then
# wants a new build: LUA_STATIC=no takes the distribution's shared one.
LUA_SHARED = $(shell pkg-config --libs $(LUA_PKG))
LUA_A      = $(if $(filter no,$(LUA_STATIC)),,$(firstword $(wildcard $(addprefix \
             $(shell pkg-config --variable=libdir $(LUA_PKG))/,$(patsubst -l%,lib%.a,$(filter -llua%,$(LUA_SHARED)))))))
LUA_LIBS   = $(if $(LUA_A),-Wl$(,)--whole-archive $(LUA_A) -Wl$(,)--no-whole-archive -lm -ldl,$(LUA_SHARED))
, := ,
CFLAGS  ?= -O2 -g
ifdef SAN
CFLAGS  := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
LDFLAGS += -fsanitize=address,undefined
CPPFLAGS += -DGADWALL_SAN=1
else
CPPFLAGS += -D_FORTIFY_SOURCE=2
endif
ifdef FAILPOINTS
CPPFLAGS += -DGADWALL_FAILPOINTS=1
endif
ifdef WERROR
WARN += -Werror
endif
LDFLAGS += -pie -Wl,-z,relro,-z,now,-z,noexecstack -rdynamic
# Loaded when a process needs them, not when it begins (host/base/late.h has the measured reason);
# `make LATE=` links them as usual, and so does every machine but x86-64.
LATE    ?= $(if $(filter x86_64%,$(shell $(CC) -dumpmachine)),ssl crypto cares hiredis edit)
LATE_O   = $(if $(strip $(LATE)),$(BUILD)/obj/late.o)
LATE_LIBS = -lcares -lhiredis -lssl -lcrypto -ledit
# SHA-256 of what passes to another generation. In the program, where there is a static library: not
# one more to load. With libedit's headers come libmd's, in Debian.
MD_A     = $(filter /%,$(shell $(CC) -print-file-name=libmd.a))
MD_LIBS  = $(or $(MD_A),-lmd)
LDLIBS   = -lev $(LUA_LIBS) $(LLHTTP_LIBS) $(MD_LIBS) -lm

# llhttp: the system's library where there is one (9.x), else its C source as deps.sh unpacked it,
# strict: the lenient form of 8.x accepts what smuggles requests.
ifeq ($(shell pkg-config --exists libllhttp 2>/dev/null && echo yes),yes)
LLHTTP_LIBS = $(shell pkg-config --libs libllhttp)
else
LLHTTP_SRC := .deps/src/llhttp/api.c .deps/src/llhttp/http.c .deps/src/llhttp/llhttp.c
CPPFLAGS   += -isystem .deps/src/llhttp
endif

C_BASE     := $(sort $(wildcard host/base/*.c))
C_NET      := $(sort $(wildcard host/net/*.c))
C_PROC     := $(sort $(wildcard host/proc/*.c))
C_BINDINGS := $(sort $(wildcard host/bindings/*.c))
C_SRC      := host/main.c $(C_BASE) $(C_NET) $(C_PROC) $(C_BINDINGS)
C_FUZZ     := $(sort $(wildcard contrib/fuzz/*.c))
C_BENCH    := $(sort $(wildcard contrib/bench/*.c))
C_ALL      := $(C_SRC) $(sort $(wildcard host/*/*.h contrib/fuzz/*.h contrib/bench/*.[ch] contrib/dev/*.c)) $(C_FUZZ)
OBJ        := $(C_SRC:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/embedded.o \
              $(LLHTTP_SRC:.deps/src/%.c=$(BUILD)/obj/%.o)
EMBED      := $(sort $(shell find host/lua -name '*.lua'))
SHELLS     := .ci/run $(sort $(wildcard contrib/*.sh contrib/dev/*.sh contrib/examples/*.sh))

.DELETE_ON_ERROR:
.PHONY: all program help deps run test test-asan test-older soak lint fuzz fuzz-smoke install uninstall dist clean force

# A sub-make, because `deps` may have to install the very tools that the rest is read with.
all: deps
	@$(MAKE) --no-print-directory program

help:
	@echo 'make run          build, then start contrib/examples/gadwall.cfg.lua in the foreground'
	@echo 'make test         build, then run all specs; SPECS="FILE …" runs some of them'
	@echo 'make test-asan    the same with AddressSanitizer, LeakSanitizer and UBSan'
	@echo 'make test-older   upgrade from the binary of an older commit and back; OLDER=COMMIT (HEAD~1)'
	@echo 'make soak         the specs tagged slow and soak; SOAK=N: at most N minutes for each long one'
	@echo 'make demo         drain, upgrade, rollback, kills and stop under load, counted by clients; UNSAFE=1'
	@echo 'make compat       try Prosody'"'"'s modules, write the table in modules/README.md'
	@echo 'make compat-stored STORED=DIR  compare modules of such a folder with real Prosody'
	@echo 'make compat-specs run the specs of Prosody'"'"'s source tree on our libraries'
	@echo 'make lint         format, static analysis, layers, spelling, man pages'
	@echo 'make format       clang-format over all C files'
	@echo 'make fuzz-smoke   every fuzz target for 20 s (FUZZ_TIME); fuzz/NAME builds one'
	@echo 'make versus       requests lost while nginx, HAProxy and gadwall replace themselves under load'
	@echo 'make bench        beside raw C and other servers: CPU, latency, memory (contrib/bench/README.md)'
	@echo 'make install      to DESTDIR/PREFIX ($(PREFIX)); uninstall takes it away again'
	@echo 'make dist clean   a tarball of the committed files; remove what was built'
	@echo 'Variables: BUILD (folder), FAILPOINTS=1, SAN=1, WERROR=1, LUA_STATIC=no, LATE=, DEPS=auto|ask|no, JOBS'

deps:
	@sh contrib/deps.sh build

program: $(BUILD)/gadwall
$(BUILD)/gadwall: $(OBJ) $(LATE_O)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(if $(LATE_O),,$(LATE_LIBS))
	@echo "built $@"

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(CPPFLAGS) $(WARN) $(HARDEN) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/llhttp/%.o: .deps/src/llhttp/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -w -DLLHTTP_STRICT_MODE=1 -I.deps/src/llhttp $(HARDEN) $(CFLAGS) -c -o $@ $<

# host/lua is in the binary, as text and as bytecode, so that a package update changes nothing before
# `upgrade`. The list is a file of its own, so that a removed library goes from the binary too.
$(BUILD)/obj/embedded.list: force
	@mkdir -p $(@D)
	@printf '%s\n' $(EMBED) | cmp -s - $@ || printf '%s\n' $(EMBED) >$@

$(BUILD)/obj/embed: contrib/dev/embed.c Makefile
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(CPPFLAGS) $(WARN) $(HARDEN) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LUA_LIBS)

$(BUILD)/obj/embedded.S: $(BUILD)/obj/embedded.list $(BUILD)/obj/embed $(EMBED)
	$(BUILD)/obj/embed host/lua $(BUILD)/obj/embedded.luac $(EMBED) >$@

$(BUILD)/obj/embedded.o: $(BUILD)/obj/embedded.S
	$(CC) -c -o $@ $<

$(BUILD)/obj/late.S: contrib/dev/late.sh $(OBJ)
	@CC='$(CC)' sh contrib/dev/late.sh $(LATE) -- $(OBJ) >$@

$(BUILD)/obj/late.o: $(BUILD)/obj/late.S
	$(CC) -c -o $@ $<

build-run: deps
	@$(MAKE) --no-print-directory -s -j$(JOBS) program
build-test: deps
	@sh contrib/deps.sh test peers
	@$(MAKE) --no-print-directory -s -j$(JOBS) program
	@$(MAKE) --no-print-directory -s -j$(JOBS) BUILD=build/test FAILPOINTS=1 program
build-asan: deps
	@sh contrib/deps.sh test peers
	@$(MAKE) --no-print-directory -s -j$(JOBS) BUILD=build/asan FAILPOINTS=1 SAN=1 program
.PHONY: build-run build-test build-asan

run: build-run
	@exec $(BUILD)/gadwall run -c contrib/examples/gadwall.cfg.lua

RUN_TESTS = BUSTED="$$(command -v busted)" $(LUA) contrib/dev/run-tests.lua $(SPECS)
test: build-test
	@GADWALL=build/test/gadwall TESTS_FLOOR=$(TESTS_FLOOR) $(RUN_TESTS)
test-asan: build-asan
	@GADWALL=build/asan/gadwall GADWALL_SLOW=1 SPEC_TIMEOUT=400 LOGS=build/asan/log \
		TESTS_FLOOR=$(TESTS_FLOOR) $(RUN_TESTS)

# From the binary of an older commit to this one and back.
test-older: build-test
	@LUA=$(LUA) sh contrib/dev/test-older.sh $(OLDER)

# SOAK=N: no long spec goes on for more than N minutes. Without it they go to the end of their numbers.
soak: build-test
	@GADWALL=build/test/gadwall TAGS=slow,soak JOBS=1 SPEC_TIMEOUT=$(or $(SOAK_TIMEOUT),7200) \
		GADWALL_SOAK=$(SOAK) $(RUN_TESTS)

# The release binary: what users run. UNSAFE=1 shows what a plain kill loses.
demo: build-run
	@$(BUILD)/gadwall lua contrib/demo/demo.lua $(BUILD)/gadwall $(if $(UNSAFE),--unsafe)

compat: build-test
	@GADWALL=build/test/gadwall $(LUA) contrib/dev/compat.lua
compat-stored: build-test
	@[ -n "$(STORED)" ] || { echo "STORED=DIR names a folder of prosody-modules"; exit 2; }
	@STORED="$(abspath $(STORED))" GADWALL=build/test/gadwall TAGS=stored BUSTED="$$(command -v busted)" \
		$(LUA) contrib/dev/run-tests.lua spec/system/stored_modules_spec.lua
compat-specs: build-test
	@GADWALL=build/test/gadwall BUSTED="$$(command -v busted)" $(LUA) contrib/dev/compat-specs.lua

# clang-tidy is most of the time: one process a core, one file each (several confuse its va_list check).
TIDY_FLAGS = -std=gnu11 -DGADWALL_FAILPOINTS=1 $(CPPFLAGS) -I$(CURDIR)/host \
             -isystem $(CURDIR)/.deps/src/llhttp
lint: lint-format lint-tidy lint-cppcheck lint-lua lint-python lint-shell lint-layers lint-words lint-man
lint-deps:
	@sh contrib/deps.sh build lint
lint-format: lint-deps
	clang-format --dry-run -Werror $(C_ALL)
format: lint-deps
	clang-format -i $(C_ALL)
lint-tidy: lint-deps
	@mkdir -p build/tidy; printf '%s\n' $(TIDY_FLAGS) >build/tidy/compile_flags.txt
	printf '%s\n' $(C_SRC) $(C_FUZZ) $(C_BENCH) | xargs -P$(JOBS) -n1 clang-tidy -p build/tidy --quiet 2>/dev/null
lint-cppcheck: lint-deps
	cppcheck --std=c11 --enable=warning,performance,portability --inline-suppr -q -j$(JOBS) \
		--suppress=toomanyconfigs --suppress=missingIncludeSystem --error-exitcode=1 \
		-DGADWALL_FAILPOINTS=1 -D__linux__ -Ihost host contrib/fuzz
lint-lua: lint-deps
	luacheck -q --no-color host/lua modules spec contrib
lint-python: lint-deps
	pyflakes3 $(sort $(wildcard contrib/*/*.py spec/support/*.py))
lint-shell: lint-deps
	shellcheck $(SHELLS)
lint-layers:
	sh contrib/dev/check-layers.sh
lint-words: lint-deps
	git ls-files -z | grep -zv '^spec/data/\|^contrib/fuzz/corpus/' | xargs -0 codespell -q3 -L $(SPELL_OK)
lint-man: lint-deps
	for page in contrib/man/*.[1-8]; do [ ! -f "$$page" ] || mandoc -T lint -W warning "$$page" || exit 1; done
.PHONY: compat compat-specs compat-stored format lint-deps lint-format lint-tidy lint-cppcheck lint-lua lint-python lint-shell lint-layers lint-words lint-man
SPELL_OK := ser,te,ot,fo,nd,hist,ans,inout,ue,debgu,bulid,modul,versoin,hel

include contrib/fuzz/fuzz.mk contrib/bench/bench.mk

INSTALL   ?= install
BINDIR    := $(DESTDIR)$(PREFIX)/bin
LIBDIR    := $(DESTDIR)$(PREFIX)/lib/gadwall
MANDIR    := $(DESTDIR)$(PREFIX)/share/man
DOCDIR    := $(DESTDIR)$(PREFIX)/share/doc/gadwall
UNITDIR   := $(DESTDIR)$(PREFIX)/lib/systemd/system
COMPLETE  := $(DESTDIR)$(PREFIX)/share
install: build-run
	$(INSTALL) -d $(BINDIR) $(LIBDIR)/modules $(LIBDIR)/lua $(DOCDIR)/examples $(UNITDIR)
	$(INSTALL) -m 755 $(BUILD)/gadwall $(BINDIR)/gadwall
	cp -R modules/. $(LIBDIR)/modules/
	if [ -d .deps/share/lua/5.4 ]; then \
		cp -R .deps/share/lua/5.4/. $(LIBDIR)/lua/ && cp -R .deps/lib/lua/5.4/. $(LIBDIR)/lua/; fi
	$(INSTALL) -m 644 README.md LICENSE $(DOCDIR)/
	mv $(LIBDIR)/modules/README.md $(DOCDIR)/modules.md
	$(INSTALL) -m 644 contrib/examples/*.lua $(DOCDIR)/examples/
	sed 's|@PREFIX@|$(PREFIX)|g' contrib/systemd/gadwall.service >$(UNITDIR)/gadwall.service
	$(INSTALL) -m 644 contrib/systemd/gadwall.socket $(UNITDIR)/gadwall.socket
	for page in contrib/man/*.[1-8]; do [ ! -f "$$page" ] || \
		$(INSTALL) -D -m 644 "$$page" "$(MANDIR)/man$${page##*.}/$${page##*/}" || exit 1; done
	$(INSTALL) -d $(COMPLETE)/bash-completion/completions $(COMPLETE)/zsh/site-functions \
		$(COMPLETE)/fish/vendor_completions.d
	$(BUILD)/gadwall completion bash >$(COMPLETE)/bash-completion/completions/gadwall
	$(BUILD)/gadwall completion zsh >$(COMPLETE)/zsh/site-functions/_gadwall
	$(BUILD)/gadwall completion fish >$(COMPLETE)/fish/vendor_completions.d/gadwall.fish

uninstall:
	rm -f $(BINDIR)/gadwall $(UNITDIR)/gadwall.service $(UNITDIR)/gadwall.socket $(MANDIR)/man[1-8]/gadwall*.[1-8] \
		$(COMPLETE)/bash-completion/completions/gadwall \
		$(COMPLETE)/zsh/site-functions/_gadwall $(COMPLETE)/fish/vendor_completions.d/gadwall.fish
	rm -rf $(LIBDIR) $(DOCDIR)

dist:
	@mkdir -p dist
	git archive --prefix=gadwall-$(VERSION)/ -o dist/gadwall-$(VERSION).tar.gz HEAD

clean:
	rm -rf build dist

-include $(OBJ:.o=.d)
