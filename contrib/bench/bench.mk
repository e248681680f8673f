# The benchmark (contrib/bench/README.md): raw servers and load generators of our own, in C.
# `make bench` builds them, unpacks the peers and runs; ONLY=echo,http, BENCH_ROUNDS and the other
# BENCH_ variables go through to bench.py by the environment.
BENCH_BIN := $(addprefix build/bench/,load churn hold rawecho timers)

.PHONY: bench bench-bin bench-figure versus
bench: build-run bench-bin
	@sh contrib/deps.sh build bench || true
	@python3 contrib/bench/bench.py $(ONLY) --gadwall $(BUILD)/gadwall
# The README's picture, out of the last run.
bench-figure:
	@python3 contrib/bench/figure.py --main $(or $(BENCH_OUT),build/bench)/bench.json contrib/bench/ratios.svg
bench-bin: $(BENCH_BIN)
build/bench/%: contrib/bench/%.c contrib/bench/lg.h contrib/bench/bench.mk
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -g -Wall -Wextra -o $@ $< -lev -lssl -lcrypto -lm

# Linked as the prototype was whose figures are the aim: with the distribution's shared Lua.
bench-bin: build/bench/bare
build/bench/bare: contrib/bench/bare.c contrib/bench/bench.mk
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -g -Wall -Wextra $(LUA_CFLAGS) -o $@ $< $(LUA_SHARED)

# What clients lose while nginx, HAProxy and gadwall replace themselves; VERSUS_TIMES and the like.
versus: build-run
	@sh contrib/deps.sh build bench || true
	@python3 contrib/bench/versus.py --gadwall $(BUILD)/gadwall

# The hot path alone, linked with everything of host/ but main.c.
bench-bin: build/bench/dispatch
build/bench/dispatch: contrib/bench/dispatch.c $(filter-out %/main.o,$(OBJ)) contrib/bench/bench.mk
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(CPPFLAGS) $(WARN) $(HARDEN) $(CFLAGS) $(LDFLAGS) -o $@ \
		$(filter %.c %.o,$^) $(LDLIBS) $(LATE_LIBS)
