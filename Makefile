# sentrybox. One command each: make, make check, make format, make lint, make asan, make fuzz, make bench, make docs.
MAKEFLAGS += --no-builtin-rules
B ?= build
G = $B/glibc
V ?= @

WARN = -Wall -Wextra -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes -Wcast-function-type -Wpointer-arith \
       -Wwrite-strings -Wundef -Werror
CSTD = -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -I$B/gen
OPT ?= -O2 -g
LINK_STATIC ?= -static

# The core (monitor, gofer, sentry, zygote and stub) has no library but libc: musl by default, glibc with CORE_LIBC=glibc
# (sanitizers, unit tests).
CORE_LIBC ?= musl
ifeq ($(CORE_LIBC),musl)
CORE_CC = musl-gcc
CORE_INC = -Isentry/base/compat -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu
else
CORE_CC = gcc
CORE_INC =
endif
CORE_CFLAGS = $(CSTD) $(OPT) $(WARN) $(CORE_INC) -fno-strict-aliasing -Wframe-larger-than=2048 -fno-stack-protector $(SAN)

CORE_SRC = $(wildcard sentry/base/*.c sentry/host/*.c sentry/platform/*.c sentry/platform/stubs/*.c sentry/platform/notify/*.c \
           sentry/platform/ptrace/*.c sentry/kernel/*.c sentry/mm/*.c sentry/loader/*.c sentry/vfs/*.c sentry/fs/*.c \
           sentry/net/*.c sentry/trace/*.c syscalls/*.c runtime/core/*.c)
CORE_ASM = $(wildcard sentry/kernel/*.S sentry/platform/*.S)
CORE_OBJ = $(CORE_SRC:%.c=$B/core/%.o) $(CORE_ASM:%.S=$B/core/%.o)

# What both sides must say alike is compiled into both.
CMD_SRC = $(wildcard runtime/*.c) runtime/core/config_check.c runtime/core/idmap.c runtime/core/result.c runtime/core/gate_cache.c \
          runtime/core/gate_cache_store.c runtime/core/erofs.c runtime/core/seal.c
CMD_OBJ = $(CMD_SRC:%.c=$B/cmd/%.o)
CMD_CFLAGS = $(CSTD) $(OPT) $(WARN) $(SAN)

INSPECT_SRC = $(wildcard runtime/inspect/*.c)
INSPECT_OBJ = $(INSPECT_SRC:%.c=$B/inspect/%.o) $B/inspect/runtime/core/seal.o

.PHONY: all check clean
all: $B/sentrybox $B/sentrybox-core $B/sentrybox-bench $(if $(INSPECT_SRC),$B/sentrybox-inspect)

$B/sentrybox-core: $(CORE_OBJ)
	@echo "  LINK  $@"
	$V$(CORE_CC) $(LINK_STATIC) -no-pie $(OPT) $(SAN) -o $@ $^

$B/sentrybox: $(CMD_OBJ)
	@echo "  LINK  $@"
	$Vgcc $(LINK_STATIC) $(OPT) $(SAN) -o $@ $^ -ljson-c

$B/sentrybox-inspect: $(INSPECT_OBJ)
	@echo "  LINK  $@"
	$Vgcc $(LINK_STATIC) $(OPT) $(SAN) -o $@ $^ -lcapstone -lunwind-generic -lunwind -llzma

# What `sentrybox bench` runs in sandboxes and natively: always the same program, whatever the others are built with.
BENCH_SRC = $(wildcard bench/micro/*.c)
$B/sentrybox-bench: $(BENCH_SRC) bench/micro/micro.h bench/micro/rows.def
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$Vgcc $(CSTD) -O2 $(WARN) -static -pthread -o $@ $(BENCH_SRC)

$B/core/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$V$(CORE_CC) $(CORE_CFLAGS) -MMD -MP -c $< -o $@

# Only code that runs on coroutines has small stacks.
$B/core/runtime/core/%.o: CORE_CFLAGS += -Wframe-larger-than=32768
$G/runtime/core/%.o: G_CFLAGS += -Wno-frame-larger-than

# The stub: a flat image, freestanding, made once and embedded as bytes.
STUB_CFLAGS = -std=gnu17 -O2 -g0 $(WARN) -ffreestanding -nostdlib -static -fpie -fvisibility=hidden -fno-stack-protector \
              -fcf-protection=none -fno-asynchronous-unwind-tables -mfsgsbase -mgeneral-regs-only \
              -fno-tree-loop-distribute-patterns -fno-jump-tables -I.
STUB_SRC = sentry/platform/stub/stub.c sentry/platform/stub/shim.c
STUB_OBJ = $(STUB_SRC:sentry/platform/stub/%.c=$B/stub/%.o)
$B/stub/%.o: sentry/platform/stub/%.c sentry/platform/stub/abi.h sentry/platform/stub/stub.h
	@mkdir -p $(@D)
	$Vgcc $(STUB_CFLAGS) -c $< -o $@
$B/stub.elf: $(STUB_OBJ) sentry/platform/stub/stub.ld
	@echo "  STUB  $@"
	$Vgcc $(STUB_CFLAGS) -Wl,-T,sentry/platform/stub/stub.ld -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
		$(STUB_OBJ) -o $@
$B/stub.bin: $B/stub.elf
	$Vobjcopy -O binary -j .text $< $@
$B/core/sentry/platform/stub_image.o: $B/stub.bin
$B/core/sentry/platform/stub_image.o: CORE_CFLAGS += -DSTUB_BIN='"$B/stub.bin"'

# The roles' filters: compiled by libseccomp on the build machine.
$B/gen-filters: runtime/tools/gen-filters.c runtime/core/filters.def
	@mkdir -p $(@D)
	$Vgcc $(CSTD) -O1 -Wall -Werror -o $@ $< -lseccomp
$B/gen/filters.h: $B/gen-filters
	@mkdir -p $(@D)
	$V$< > $@
$B/core/runtime/core/seal.o $B/cmd/runtime/core/seal.o $B/inspect/runtime/core/seal.o: $B/gen/filters.h

$B/core/%.o: %.S
	@mkdir -p $(@D)
	@echo "  AS    $<"
	$V$(CORE_CC) $(CORE_CFLAGS) -MMD -MP -c $< -o $@

$B/cmd/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$Vgcc $(CMD_CFLAGS) -MMD -MP -c $< -o $@

$B/inspect/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$Vgcc $(CMD_CFLAGS) -MMD -MP -c $< -o $@

clean:
	rm -rf $B

-include $(CORE_OBJ:.o=.d) $(CMD_OBJ:.o=.d) $(INSPECT_OBJ:.o=.d)

# ---- tests ----
# Unit tests run against the core built with glibc; Criterion gives main().
UNIT_SRC = $(shell find tests/unit -name '*_test.c' 2>/dev/null)
UNIT_OBJ = $(UNIT_SRC:%.c=$G/%.o)
UNIT_CORE = $(filter-out runtime/core/main.c,$(CORE_SRC))
# The command's files too, but for its main().
UNIT_CMD = $(filter-out runtime/main.c,$(wildcard runtime/*.c))
UNIT_CORE_OBJ = $(UNIT_CMD:%.c=$G/%.o) $(UNIT_CORE:%.c=$G/%.o) $(CORE_ASM:%.S=$G/%.o)
G_CFLAGS = $(CSTD) $(OPT) $(WARN) -fno-strict-aliasing $(SAN)

$G/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $< (glibc)"
	$Vgcc $(G_CFLAGS) -MMD -MP -c $< -o $@
$G/%.o: %.S
	@mkdir -p $(@D)
	$Vgcc $(G_CFLAGS) -MMD -MP -c $< -o $@
$G/sentry/platform/stub_image.o: $B/stub.bin
$G/sentry/platform/stub_image.o: G_CFLAGS += -DSTUB_BIN='"$B/stub.bin"'
$G/runtime/core/seal.o: $B/gen/filters.h

$B/tests/unit: $(UNIT_OBJ) $(UNIT_CORE_OBJ)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$Vgcc $(OPT) $(SAN) -o $@ $^ -lcriterion -ljson-c -lcapstone

# The same programs with AddressSanitizer and UBSan, in a directory of their own.
ASAN_B = build/asan
ASAN = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
asan:
	@$(MAKE) --no-print-directory B=$(ASAN_B) CORE_LIBC=glibc OPT="-O1 -g" SAN="$(ASAN)" LINK_STATIC= all

# The tests with that: unit tests, guest programs, a few of the end-to-end cases.
check-asan: asan
	@$(MAKE) --no-print-directory B=$(ASAN_B) CORE_LIBC=glibc OPT="-O1 -g" SAN="$(ASAN)" LINK_STATIC= $(ASAN_B)/tests/unit
	@tests/lib/check asan-unit asan-guest asan-e2e

.PHONY: asan check-asan deps test-deps unit guest e2e check quickstart payloads check-table docs format lint
deps:
	@scripts/install-deps build
test-deps:
	@scripts/install-deps test

unit: $B/tests/unit
	@$B/tests/unit --color=never 2>&1 | tests/lib/criterion-summary

check: test-deps
	@$(MAKE) --no-print-directory all $B/tests/unit
	@tests/lib/check unit guest guest-ptrace guest-locked e2e e2e-ptrace payloads host

# Containers under podman, containerd and docker, with ours and with crun as their runtime.
.PHONY: check-engines
check-engines: all
	@scripts/install-deps engines
	@tests/lib/check engines

quickstart: deps
	@$(MAKE) --no-print-directory all
	@examples/quickstart.sh

format:
	clang-format -i $(shell git ls-files '*.c' '*.h')

-include $(UNIT_OBJ:.o=.d) $(UNIT_CORE_OBJ:.o=.d)
lint:
	@scripts/lint

# ---- payloads: hostile programs, each in a sandbox of its own, watched from outside ----
PAYLOAD_SRC = $(wildcard tests/payloads/*.c)
PAYLOAD_SCRIPT = $(wildcard tests/payloads/*.sh tests/payloads/*.py)
PAYLOAD_BIN = $(PAYLOAD_SRC:tests/payloads/%.c=$B/payloads/%) $(PAYLOAD_SCRIPT:tests/payloads/%=$B/payloads/%)

$B/payloads/%: tests/payloads/%.c tests/payloads/payload.h tests/payloads/gate.h tests/payloads/births.h sentry/platform/stub/abi.h $B/stub.bin
	@mkdir -p $(@D)
	$Vgcc -static -O1 -pthread -Wall -Wextra -Werror -Wno-unused-result -DSTUB_SIZE=$$(stat -c %s $B/stub.bin) -o $@ $<
$B/payloads/stub_jump_second $B/payloads/stub_jump_third $B/payloads/stub_jump_end: tests/payloads/stub_jump.c
$B/payloads/%: tests/payloads/%
	@mkdir -p $(@D)
	$Vinstall -m 755 $< $@

.PHONY: payload-programs
payload-programs: $(PAYLOAD_BIN)

payloads: all $(PAYLOAD_BIN)
	@$B/sentrybox harness $(if $(ONLY),--only '$(ONLY)') $(if $(FLAGS),--flags '$(FLAGS)') $B/payloads

# The harmless ones under crun: Linux refuses them as we do.
payloads-agree: $(PAYLOAD_BIN)
	@tests/payloads/agree $B/payloads

docs:
	@docs/gen-syscalls > docs/syscalls.md

check-table: all
	@tests/lib/check-table

# ---- fuzzing: one program, called by its targets' names (tests/fuzz/fuzz.h) ----
F = $B/fuzz
FUZZ_TARGETS = config_check config_json control dial elf erofs files_read files_write gate_cache gofer lower mailbox path_walk syscalls text_reloc text_site udp
# What stands between the code and the host in these programs: tests/fuzz/host.c.
FUZZ_WRAP = host_clock_ns host_getrandom host_exit host_kill host_tgkill host_sched_setaffinity host_wait host_poll host_timer_set host_recvmsg host_sendmsg \
            host_process_vm_readv host_process_vm_writev recv sendmsg connect bind listen accept4 open fopen xcalloc recvmsg gate_stream_pause gate_polls gate_ticks_us
FUZZ_SAN = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -D__SANITIZE_ADDRESS__=1
FUZZ_CFLAGS = $(CSTD) -O1 -gline-tables-only -w -fno-strict-aliasing -fno-omit-frame-pointer $(FUZZ_SAN)
# Two roles' files, and the monitor's for containers, are compiled into the target that speaks to their inner functions.
FUZZ_SRC = $(wildcard tests/fuzz/*.c) $(UNIT_CMD) $(filter-out runtime/core/sentry.c runtime/core/monitor.c runtime/core/lifecycle.c,$(UNIT_CORE))
FUZZ_OBJ = $(FUZZ_SRC:%.c=$F/obj/%.o) $(CORE_ASM:%.S=$F/obj/%.o)
FUZZ_LINK = clang -fsanitize=fuzzer,address,undefined $(FUZZ_WRAP:%=-Wl,--wrap=%)

$F/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $< (fuzz)"
	$Vclang $(FUZZ_CFLAGS) -MMD -MP -c $< -o $@
$F/obj/%.o: %.S
	@mkdir -p $(@D)
	$Vclang $(FUZZ_CFLAGS) -MMD -MP -c $< -o $@
$F/obj/sentry/platform/stub_image.o: $B/stub.bin
$F/obj/sentry/platform/stub_image.o: FUZZ_CFLAGS += -DSTUB_BIN='"$B/stub.bin"'
$F/obj/runtime/core/seal.o: $B/gen/filters.h

$F/all: $(FUZZ_OBJ)
	@echo "  LINK  $@"
	$V$(FUZZ_LINK) -o $@ $^ -ljson-c
$(FUZZ_TARGETS:%=$F/%): $F/all
	$Vln -f $< $@

.PHONY: fuzz fuzz-build fuzz-selftest
fuzz-build: $(FUZZ_TARGETS:%=$F/%)
# FUZZ_RUNS=N executions of each target, or of those in ONLY.
fuzz: fuzz-build
	@tests/fuzz/run $F $(ONLY)

# The length of a record is not looked at: what the fuzzers must notice. With the planted bug they have their own program.
$F/planted/lower.c: sentry/fs/lower.c
	@mkdir -p $(@D)
	$Vsed 's/if (a->len - \*pos < GOFER_RECORD_SIZE(r->name_len, r->target_len) ||/if (/' $< > $@
	@! cmp -s $< $@ || { echo "the check that $@ leaves out is no longer there"; rm -f $@; exit 1; }
$F/planted/lower.o: $F/planted/lower.c
	$Vclang $(FUZZ_CFLAGS) -DPLANTED_BUG -c $< -o $@
$F/planted/all: $(filter-out $F/obj/sentry/fs/lower.o,$(FUZZ_OBJ)) $F/planted/lower.o
	$V$(FUZZ_LINK) -o $@ $^ -ljson-c
fuzz-selftest: $F/planted/all
	@tests/fuzz/selftest $< lower

-include $(FUZZ_OBJ:.o=.d)

# ---- measures: bench/README says how to read them ----
# The core as it ships, but for its main(), in the world of the fuzz targets.
DISPATCH_SRC = bench/dispatch/dispatch.c tests/fuzz/world.c tests/fuzz/host.c
DISPATCH_OBJ = $(DISPATCH_SRC:%.c=$B/dispatch/%.o)
DISPATCH_WRAP = $(filter-out xcalloc,$(FUZZ_WRAP)) task_return
$B/dispatch/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $< (dispatch)"
	$V$(CORE_CC) $(CORE_CFLAGS) -w -MMD -MP -c $< -o $@
$B/bench/dispatch: $(DISPATCH_OBJ) $(filter-out $B/core/runtime/core/main.o,$(CORE_OBJ))
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$V$(CORE_CC) $(LINK_STATIC) -no-pie $(OPT) $(SAN) $(DISPATCH_WRAP:%=-Wl,--wrap=%) -o $@ $^
-include $(DISPATCH_OBJ:.o=.d)

$B/bench/spawn: bench/spawn/spawn.c
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$Vgcc $(CSTD) -O2 $(WARN) -static -o $@ $<

# The peers from Debian are installed for it where that can be done; what is missing is named and left out.
.PHONY: bench bench-quick bench-compare bench-deps
bench-deps:
	-@scripts/install-deps bench
bench: bench-deps
	@$(MAKE) --no-print-directory all $B/bench/dispatch $B/bench/spawn
	@BENCH_BUILD=$(abspath $B) bench/run
bench-quick: all $B/bench/dispatch $B/bench/spawn
	@BENCH_BUILD=$(abspath $B) bench/run --quick

# make bench-compare OLD.json: what moved since then, in build/bench/result.json.
ifeq (bench-compare,$(firstword $(MAKECMDGOALS)))
OLD ?= $(wordlist 2,9,$(MAKECMDGOALS))
.PHONY: $(wordlist 2,9,$(MAKECMDGOALS))
$(wordlist 2,9,$(MAKECMDGOALS)):
	@:
bench-compare:
	@$(if $(OLD),bench/compare $(OLD),echo "make bench-compare OLD.json" >&2; exit 2)
endif

# ---- make install [PREFIX=/usr/local] [DESTDIR=] ----

PREFIX ?= /usr/local
LIBEXEC = $(PREFIX)/libexec/sentrybox
PROGRAMS = sentrybox sentrybox-core sentrybox-inspect sentrybox-bench
.PHONY: install uninstall manpages
manpages: all
	@scripts/manpages $B/sentrybox $B/man
# The command finds the others beside itself, so they share a directory, and the command is linked to.
install: manpages
	install -d $(DESTDIR)$(LIBEXEC) $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions
	install -m 755 $(addprefix $B/,$(PROGRAMS)) $(DESTDIR)$(LIBEXEC)
	ln -sf ../libexec/sentrybox/sentrybox $(DESTDIR)$(PREFIX)/bin/sentrybox
	install -m 644 $B/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 scripts/completion.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/sentrybox
uninstall:
	rm -rf $(DESTDIR)$(LIBEXEC)
	rm -f $(DESTDIR)$(PREFIX)/bin/sentrybox $(DESTDIR)$(PREFIX)/share/man/man1/sentrybox.1 \
		$(DESTDIR)$(PREFIX)/share/man/man1/sentrybox-*.1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions/sentrybox
