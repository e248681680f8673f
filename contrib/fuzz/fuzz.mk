# libFuzzer targets: contrib/fuzz/NAME_fuzz.c each, linked with everything of host/ but main.c.
# `make fuzz` builds them with clang into build/fuzz, `make fuzz-smoke` runs each for FUZZ_TIME s.
# Seeds lie in contrib/fuzz/corpus/NAME/; what a run finds stays in build/fuzz/corpus/NAME/.
# Targets in Lua look for leaks at their end only: a state that keeps what it read looks like a leak
# after every input, and a look takes 30 ms (json: 60 inputs a second, and 12,000 without).
FUZZ_TIME ?= 20
FUZZ_SAN   = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_FLAGS = -O1 -g -fno-omit-frame-pointer -DGADWALL_SAN=1 $(FUZZ_SAN)
FUZZ_NAMES = $(C_FUZZ:contrib/fuzz/%_fuzz.c=%)
FUZZ_BIN   = $(FUZZ_NAMES:%=$(BUILD)/%_fuzz)

fuzz:
	@sh contrib/deps.sh build fuzz
	@$(MAKE) --no-print-directory -s -j$(JOBS) BUILD=build/fuzz FAILPOINTS=1 CC=clang \
		CFLAGS='$(FUZZ_FLAGS)' WARN='-Wall -Wno-unknown-warning-option' HARDEN=-fPIE fuzz-bin

.PHONY: fuzz-bin
fuzz-bin: $(FUZZ_BIN)
$(BUILD)/%_fuzz: $(BUILD)/obj/contrib/fuzz/%_fuzz.o $(filter-out %/main.o,$(OBJ))
	$(CC) $(LDFLAGS) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LDLIBS) $(LATE_LIBS)
	@echo "built $@"
.PRECIOUS: $(BUILD)/obj/contrib/fuzz/%.o
-include $(C_FUZZ:%.c=$(BUILD)/obj/%.d)

fuzz-smoke: fuzz
	@for name in $(FUZZ_NAMES); do \
		mkdir -p build/fuzz/corpus/$$name; set -- build/fuzz/corpus/$$name; \
		[ ! -d contrib/fuzz/corpus/$$name ] || set -- "$$@" contrib/fuzz/corpus/$$name; \
		! grep -q lua_fuzz.h contrib/fuzz/$${name}_fuzz.c || set -- -detect_leaks=0 "$$@"; \
		echo "== $$name, $(FUZZ_TIME) s"; \
		build/fuzz/$${name}_fuzz -max_total_time=$(FUZZ_TIME) -max_len=4096 -timeout=5 -rss_limit_mb=1024 \
			-print_final_stats=1 -artifact_prefix=build/fuzz/$$name- "$$@" >build/fuzz/$$name.log 2>&1 || \
			{ tail -n 40 build/fuzz/$$name.log; exit 1; }; \
		grep -E 'stat::number_of_executed_units' build/fuzz/$$name.log; \
	done
