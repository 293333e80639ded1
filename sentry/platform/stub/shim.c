/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shim: what a rewritten syscall site jumps to.
 *
 *	site --> trampoline: lea site_end,%rcx; jmp *%gs:8 --> gate_entry --> shim_call --> gate_exit --> jmp *%rcx
 *
 * gate_entry puts the registers that a call may not change into the thread's private gate_local and goes to a stack of our
 * own (the guest's red zone stays untouched). shim_call fills the box, rings, waits, and applies what comes back.
 *
 * Interruptions: the sentry's kick may hit any instruction here. The trap door (stub.c) then only sets `pending` and goes
 * on; the exit looks at it last, and enters the trap door by an int3 with all registers as the guest shall see them. From
 * gate_exit on, an interruption begins the exit again: it reloads everything from gate_local and pops nothing, so it may
 * run any number of times.
 *
 * Guest memory is touched by three routines only, whose faults become an error. A call whose bytes can't be read goes to
 * the sentry without them; the sentry then finds out by itself what Linux would answer. What the call may write is probed
 * first: only a range that could be written a moment ago takes the short way back (the bytes, by us); anything else is
 * written by the sentry, which sees exactly how far it comes.
 *
 * Private futexes: some waits and wakes need nobody but us (futex_alone); abi.h says at gate_mm why no wake is lost.
 *
 * The guest can jump to every instruction here with any registers: it then does to itself what its own code could do.
 */
#include "sentry/platform/stub/stub.h"

#define EFAULT 14
#define ENOSYS 38
#define EAGAIN 11
#define PAGE 4096UL
#define NR_MADVISE 28
#define MADV_DONTNEED 4
#define RLIMIT_STACK 3U
#define GRND_NONBLOCK 1U

/* Each returns 0 (the string: its length with the NUL, 0 if it has none in max), or -1 on a fault. */
int64_t shim_string(char *dst, const char *src, uint64_t max);
int64_t shim_probe(uint64_t addr);
int64_t shim_copy_away(void *dst, const void *src, uint64_t len); /* past the caches: for the other CPU. dst: whole lines */
int64_t shim_xsave(uint64_t to);
void shim_load_fp(const void *image);
int64_t shim_word(uint64_t addr); /* a futex's word */
__attribute__((noreturn)) void gate_jump(struct mailbox *m); /* goes where mailbox.regs says */

static inline struct gate_box *box_of(struct mailbox *m)
{
	return (struct gate_box *)((uint64_t)m + GATE_BOX);
}

static inline uint64_t tsc_cpu(uint32_t *cpu)
{
	uint32_t lo, hi, aux;

	__asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
	*cpu = aux & 0xfff;
	return (uint64_t)hi << 32 | lo;
}

/* Half the price of the other: instructions around it don't wait. */
static inline uint64_t tsc(void)
{
	return __builtin_ia32_rdtsc();
}

/* The line is wanted, and to be written; nobody waits until it is there. */
static inline void to_be_written(const void *line)
{
	__asm__ volatile("prefetchw %0" ::"m"(*(const char *)line));
}

/* ---- segments ---- */

struct fill {
	struct mailbox *m;
	struct gate_box *box;
	uint32_t n;    /* segments */
	uint32_t told; /* they are not what the gate_spec says, or not only */
	uint64_t used; /* bytes of data */
	uint64_t outs; /* bytes that may come back */
};

static void add_seg(struct fill *f, uint64_t addr, uint64_t len, uint64_t off, uint32_t flags)
{
	struct gate_seg *s = &f->box->segs[f->n++];

	s->addr = addr;
	s->len = (uint32_t)len;
	s->off = (uint32_t)off;
	s->flags = flags;
}

/* Of what the sentry has written as much as this is fetched from its CPU's caches, or from memory, while the first of it is copied. */
#define AHEAD 4096UL

static void fetch(const char *from, uint64_t len)
{
	for (uint64_t i = 0; i < len && i < AHEAD; i += 64)
		__builtin_prefetch(from + i);
}

static void *fill_at(const struct fill *f)
{
	return (void *)((uint64_t)f->m + GATE_DATA + f->used);
}

static void add_in(struct fill *f, uint64_t addr, uint64_t len)
{
	const volatile struct gate_ro *ro = (const volatile struct gate_ro *)STUB_RO;

	/* So much is better carried while the sentry uses the first of it. */
	if (len >= GATE_STREAM_MIN && !ro->asleep && addr >= GATE_LOWEST && f->n != GATE_MAX_SEGS) {
		add_seg(f, addr, len, 0, GATE_SEG_LATER);
		f->told = 1;
		return;
	}
	if (addr < GATE_LOWEST || len == 0 || f->n == GATE_MAX_SEGS || len > GATE_DATA_SIZE - f->used ||
	    (len >= GATE_AWAY_MIN && f->used % 16 == 0 && !ro->asleep && ro->far ? shim_copy_away(fill_at(f), (const void *)addr, len)
								      : shim_copy(fill_at(f), (const void *)addr, len)) < 0) {
		f->told = 1;
		return;
	}
	add_seg(f, addr, len, f->used, 0);
	f->used += (len + 7) & ~7UL;
}

static void add_string(struct fill *f, uint64_t addr)
{
	uint64_t room = GATE_DATA_SIZE - f->used;
	int64_t len;

	len = f->n == GATE_MAX_SEGS ? -1 : shim_string(fill_at(f), (const char *)addr, room < GATE_STRING_MAX ? room : GATE_STRING_MAX);
	if (len <= 0) {
		f->told = 1;
		return;
	}
	add_seg(f, addr, (uint64_t)len, f->used, GATE_SEG_STRING);
	f->used += ((uint64_t)len + 7) & ~7UL;
}

static void add_out(struct fill *f, uint64_t addr, uint64_t len)
{
	if (addr < GATE_LOWEST || len == 0 || f->n == GATE_MAX_SEGS || len > GATE_DATA_SIZE) {
		f->told = 1;
		return;
	}
	for (uint64_t at = addr; at < addr + len; at = (at | (PAGE - 1)) + 1) {
		if (shim_probe(at) < 0) {
			f->told = 1;
			return;
		}
	}
	add_seg(f, addr, len, 0, GATE_SEG_PROBED);
	f->outs += len;
}

struct iovec {
	uint64_t base, len;
};

/* The array, and what it names: bytes or probed ranges. */
static void add_iov(struct fill *f, uint64_t addr, uint64_t count, int in)
{
	const struct iovec *iov = fill_at(f);
	uint32_t before = f->n;

	if (count == 0 || count > GATE_MAX_SEGS - 1)
		return;
	add_in(f, addr, count * sizeof(*iov));
	if (f->n == before)
		return;
	for (uint64_t i = 0; i < count; i++) {
		if (in)
			add_in(f, iov[i].base, iov[i].len);
		else
			add_out(f, iov[i].base, iov[i].len);
	}
}

struct msghdr {
	uint64_t name;
	uint32_t namelen, pad;
	uint64_t iov, iovlen, control, controllen;
	uint32_t flags, pad2;
};
#define MSG_NAME_MAX 128U

/* The header, which a receiver changes too, the name, control data, and what the array names. */
static void add_msg(struct fill *f, uint64_t addr, int in)
{
	const volatile struct msghdr *h = fill_at(f);
	void (*add)(struct fill *, uint64_t, uint64_t) = in ? add_in : add_out;
	uint32_t before = f->n;

	add_in(f, addr, sizeof(*h));
	if (f->n == before)
		return;
	if (!in)
		add_out(f, addr, sizeof(*h));
	if (h->name != 0)
		add(f, h->name, h->namelen < MSG_NAME_MAX ? h->namelen : MSG_NAME_MAX);
	if (h->control != 0)
		add(f, h->control, h->controllen);
	add_iov(f, h->iov, h->iovlen, in);
}

/* pselect6's last argument. */
static void add_sigmask(struct fill *f, uint64_t addr)
{
	const volatile uint64_t *a = fill_at(f);
	uint32_t before = f->n;

	add_in(f, addr, 2 * sizeof(*a));
	if (f->n != before && a[1] == sizeof(uint64_t))
		add_in(f, a[0], sizeof(uint64_t));
}

/* FUTEX_WAIT, WAIT_BITSET, LOCK_PI, WAIT_REQUEUE_PI, LOCK_PI2: the fourth argument is a time. */
static int futex_waits(uint64_t op)
{
	switch (op & 0x7f) {
	case 0:
	case 6:
	case 9:
	case 11:
	case 13:
		return 1;
	default:
		return 0;
	}
}

static void fill_segs(struct fill *f, const struct gate_spec *spec, const uint64_t *args)
{
	for (unsigned i = 0; i < GATE_SPECS && spec->segs[i].kind != GATE_NONE; i++) {
		uint64_t addr, len;
		unsigned lenarg = spec->segs[i].len;

		switch (gate_spec_seg(spec, i, args, &addr, &len)) {
		case GATE_IN:
			add_in(f, addr, len);
			break;
		case GATE_OUT:
			add_out(f, addr, len);
			break;
		case GATE_FDSET:
		case GATE_INOUT:
			add_in(f, addr, len);
			add_out(f, addr, len);
			break;
		case GATE_FUTEX_WORD:
			f->told = 1;
			if ((args[1] & 0x7f) == 0 || (args[1] & 0x7f) == 9)
				add_in(f, addr, len);
			break;
		case GATE_FUTEX_TIME:
			f->told = 1;
			if (futex_waits(args[1]))
				add_in(f, addr, len);
			break;
		case GATE_PATH:
			add_string(f, addr);
			break;
		case GATE_IOV_IN:
		case GATE_IOV_OUT:
			f->told = 1;
			add_iov(f, addr, args[lenarg < 6 ? lenarg : 0], spec->segs[i].kind == GATE_IOV_IN);
			break;
		case GATE_MSG_IN:
		case GATE_MSG_OUT:
			f->told = 1;
			add_msg(f, addr, spec->segs[i].kind == GATE_MSG_IN);
			break;
		case GATE_SIGMASK:
			f->told = 1;
			add_sigmask(f, addr);
			break;
		default:
			break;
		}
	}
}

/* ---- private futexes: see gate_mm in abi.h ---- */

#define FUTEX_PRIVATE 128U
#define FUTEX_REALTIME 256U
#define SPIN_LEVEL_MAX 9U
#define SPIN_TURN 32U /* part of the patience that goes into waiting for one's turn to spin */
#define SPIN_PROBE 8U /* times as patient: whoever was given up sleeps, and it takes so long until it is awake */
#define SPIN_REFUSALS 1000U /* so many in a row: who has had the turn is dead */
#define SPIN_SHORTEST_NS 1000000
#define SPIN_PART 32 /* of the time that a wait is given: the sentry begins to count that when the call comes */
#define SPIN_LONGEST_NS (1000000000 / SPIN_PART) /* longer than any patience */

static inline struct gate_mm *mm_of(void)
{
	return (struct gate_mm *)STUB_MM;
}

static unsigned mm_place(uint64_t addr)
{
	return (unsigned)(((addr >> 2) * 0x9e3779b97f4a7c15UL) >> 56) % GATE_MM_PLACES;
}

/* A private WAIT or WAIT_BITSET, whose word comes along. */
static int futex_compares(const uint64_t *args)
{
	uint32_t op = (uint32_t)args[1] & ~FUTEX_REALTIME;

	return op == FUTEX_PRIVATE || op == (FUTEX_PRIVATE | 9);
}

/* Us, and the CPU we are on. */
static uint32_t here(const struct gate_box *box, uint32_t *who)
{
	uint32_t cpu;

	*who = (uint32_t)(((uint64_t)box - STUB_AREAS) / AREA_SIZE) << 12;
	(void)tsc_cpu(&cpu);
	return *who | cpu;
}

/* Nobody can sleep on the word, as far as wakers have to know who has stored their word before this. */
static int nobody_waits(const struct gate_box *box, uint64_t addr)
{
	const struct gate_ro *ro = (const struct gate_ro *)STUB_RO;
	unsigned place = mm_place(addr);
	uint32_t who, us = here(box, &who);

	if (mm_of()->places[place].waker != us)
		mm_of()->places[place].waker = us;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&mm_of()->places[place].asking, __ATOMIC_RELAXED) == 0 &&
	       __atomic_load_n(&ro->futex_waiters[gate_futex_place(box->futex_salt, addr)], __ATOMIC_RELAXED) == 0;
}

/* For how many nanoseconds the wait may spin, by the time that it is given; -1: that is for the sentry to look at. */
static int64_t futex_time(const uint64_t *args)
{
	int64_t ts[2];

	if (args[3] == 0)
		return SPIN_LONGEST_NS;
	if (args[3] < GATE_LOWEST || shim_copy(ts, (const void *)args[3], sizeof(ts)) < 0 || ts[0] < 0 || ts[1] < 0 ||
	    ts[1] >= 1000000000)
		return -1;
	/* WAIT_BITSET's is a point in time, and may be over: what time it is isn't known here. */
	if ((args[1] & 0x7f) == 9)
		return 0;
	if (ts[0] != 0)
		return SPIN_LONGEST_NS;
	return ts[1] >= SPIN_SHORTEST_NS ? ts[1] / SPIN_PART : 0;
}

/* Whether this wait shall spin: as long as it has been of use, and now and then to see. */
static int spin_pays(struct gate_box *box, uint64_t addr)
{
	const volatile struct gate_ro *ro = (const volatile struct gate_ro *)STUB_RO;
	uint32_t who, us, last;

	if (ro->futex_spin == 0)
		return 0;
	if (box->spin_trial != ro->futex_trial) {
		/* A thread that is new waits and sees; one that was put apart from the others tries it. */
		box->spin_level = box->spin_trial == 0 ? 2 : 1;
		box->spin_skip = box->spin_trial == 0 ? 16 : 0;
		box->spin_trial = ro->futex_trial;
	}
	if (box->spin_skip != 0) {
		box->spin_skip--;
		return 0;
	}
	/* If another has woken last, and here, we would only keep it from coming to do it again. */
	us = here(box, &who);
	last = mm_of()->places[mm_place(addr)].waker;
	return (us ^ last) >> 12 == 0 || ((us ^ last) & 0xfff) != 0;
}

/* Looks at the word until it changes. 1: it has; 0: not soon enough, or we are wanted, or the word can't be read. */
static int spin_on_word(struct gate_box *box, uint64_t addr, uint32_t value, int64_t longest)
{
	const volatile struct gate_ro *ro = (const volatile struct gate_ro *)STUB_RO;
	uint32_t cpu, *spinners = &mm_of()->spinners, *refused = &mm_of()->refused;
	uint64_t came = tsc_cpu(&cpu);
	int changed = 0;

	/* Whom we have woken a moment ago is about to leave. */
	while (__atomic_load_n(spinners, __ATOMIC_RELAXED) >= ro->futex_spinners && tsc_cpu(&cpu) - came < ro->futex_spin / SPIN_TURN)
		__builtin_ia32_pause();
	if (__atomic_fetch_add(spinners, 1, __ATOMIC_RELAXED) < ro->futex_spinners) {
		uint64_t begin = tsc_cpu(&cpu), now = begin;
		uint64_t patience = (uint64_t)ro->futex_spin * (box->spin_level == 1 ? SPIN_PROBE : 1);
		uint64_t allowed = (uint64_t)ro->futex_spin * (uint64_t)longest / (GATE_FUTEX_SPIN_US * 1000);

		if (patience > allowed)
			patience = allowed;
		if (*refused != 0)
			*refused = 0;
		while (!changed && now - begin < patience) {
			if (*(volatile uint32_t *)&box->pending != 0)
				goto out;
			for (int i = 0; i < 8 && !changed; i++) {
				int64_t word = shim_word(addr);

				if (word < 0)
					goto out;
				changed = (uint32_t)word != value;
				__builtin_ia32_pause();
			}
			now = tsc_cpu(&cpu);
		}
		if (changed) {
			box->spin_level = 0;
		} else {
			if (box->spin_level < SPIN_LEVEL_MAX)
				box->spin_level++;
			box->spin_skip = box->spin_level > 1 ? 1U << (box->spin_level & 31) : 0;
		}
	} else if (__atomic_fetch_add(refused, 1, __ATOMIC_RELAXED) + 1 >= SPIN_REFUSALS) {
		/* If it was only kept from its CPU, the count is wrong when it has left, and right again after as many. */
		*refused = 0;
		__atomic_store_n(spinners, 0, __ATOMIC_RELAXED); /* without us */
		return 0;
	}
out:
	__atomic_fetch_sub(spinners, 1, __ATOMIC_RELAXED);
	return changed;
}

/*
 * futex. A wait whose word is another one ends at once, or after a while in which we look at it; for whoever wakes meanwhile it
 * hasn't begun. A wake that finds nobody is none. False: the sentry is to do it.
 */
static int futex_alone(struct gate_box *box, const uint64_t *args, int64_t *value)
{
	uint32_t op = (uint32_t)args[1];
	uint64_t addr = args[0];
	int64_t word, time;

	if (addr % 4 != 0 || addr < GATE_LOWEST || addr >= STUB_BASE)
		return 0;
	if (op == (FUTEX_PRIVATE | 1) || (op == (FUTEX_PRIVATE | 10) && (uint32_t)args[5] != 0)) {
		*value = 0;
		return nobody_waits(box, addr);
	}
	if (!(op == FUTEX_PRIVATE || ((op & ~FUTEX_REALTIME) == (FUTEX_PRIVATE | 9) && (uint32_t)args[5] != 0)))
		return 0;
	time = futex_time(args);
	word = time < 0 ? -1 : shim_word(addr);
	if (word < 0)
		return 0;
	*value = -EAGAIN;
	return (uint32_t)word != (uint32_t)args[2] ||
	       (time > 0 && spin_pays(box, addr) && spin_on_word(box, addr, (uint32_t)args[2], time));
}

/* ---- one call ---- */

/* The thread that our last call has woken: from here, on our CPU, it costs less than from where the sentry polls. */
static void run_errand(struct gate_box *box)
{
	const struct gate_ro *ro = (const struct gate_ro *)STUB_RO;
	uint32_t bell = box->errand;

	if (bell == 0)
		return;
	box->errand = 0;
	call6(NR_FUTEX, (uint64_t)&ro->bells[bell % GATE_BELLS], 1 /* FUTEX_WAKE */, 1, 0, 0, 0);
}

/*
 * The sentry knows of the call and lets it sleep: so do we, on a word that it changes when the call is done, without another call
 * for it to answer. Not for long: who doesn't come to wait in a doorbell call might as well be running. The box's state.
 */
static uint32_t nap(struct gate_box *box)
{
	static const struct {
		int64_t sec, nsec;
	} patience = {0, 20000000};
	const struct gate_ro *ro = (const struct gate_ro *)STUB_RO;
	const uint32_t *word = &ro->bells[box->bell % GATE_BELLS];
	uint32_t value = __atomic_load_n(word, __ATOMIC_ACQUIRE), state = GATE_BLOCKED;

	if (word == &ro->bells[0]) {
		word = &box->state;
		value = GATE_ASLEEP;
	}
	if (__atomic_compare_exchange_n(&box->state, &state, GATE_ASLEEP, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		call6(NR_FUTEX, (uint64_t)word, 0 /* FUTEX_WAIT */, value, (uint64_t)&patience, 0, 0);
		state = __atomic_load_n(&box->state, __ATOMIC_ACQUIRE);
	}
	return state;
}

static uint32_t ring_asleep(struct gate_box *box)
{
	uint32_t state;

	do {
		doorbell(STUB_GATE_WAIT, 0);
		state = __atomic_load_n(&box->state, __ATOMIC_ACQUIRE);
	} while (GATE_STATE(state) != GATE_DONE);
	return state;
}

/*
 * Carries the stream's pieces until the sentry has something else to say, or says nothing for too long. The box's state. What lies
 * in the lines is ours: the sentry's word, or what the guest itself has put there.
 */
static uint32_t carry(struct gate_box *box, uint64_t patience)
{
	uint64_t window = (uint64_t)box - GATE_BOX + GATE_STREAM_AT, since;
	uint32_t n = box->stream_first, state, cpu, turns = 0;
	int broken = 0;

	since = tsc_cpu(&cpu);
	for (;;) {
		struct gate_piece *p = &box->pieces[n % GATE_PIECES];
		void *place = (void *)(window + n % GATE_PIECES * GATE_PIECE_MAX);

		if (!broken && __atomic_load_n(&p->number, __ATOMIC_ACQUIRE) == n + 1) {
			void *guest = (void *)p->addr;
			uint32_t len = p->len;

			if (len > GATE_PIECE_MAX)
				len = 0;
			if (!p->in)
				fetch(place, len);
			if ((p->in ? shim_copy_away(place, guest, len) : shim_copy(guest, place, len)) < 0) {
				broken = 1;
				__atomic_store_n(&box->broken, 1, __ATOMIC_RELEASE);
			} else {
				__atomic_store_n(&box->carried, ++n, __ATOMIC_RELEASE);
			}
			since = tsc_cpu(&cpu);
			continue;
		}
		state = __atomic_load_n(&box->state, __ATOMIC_ACQUIRE);
		if (state != GATE_STREAM || (++turns % 8 == 0 && tsc_cpu(&cpu) - since > patience))
			return state;
		__builtin_ia32_pause();
	}
}

/*
 * A line that is looked at too early goes back to the CPU that is about to write it, and has to be fetched once more. So the first
 * look is when answers to such calls have come before. What comes a little later makes the next look later, what was there makes
 * it sooner; what comes much later hardly counts, so that it stays right for the quick ones among calls that differ.
 *
 * So how long an answer was on its way isn't known where it was there at the first look. One call in some sixty, by the clock's
 * bits, looks at once, and tells the sentry; the others tell only of what took long.
 */
#define LOOK_AT_ONCE(now) (((now) & 0xfc0) == 0)
#define LOOK_LATER 48U /* ticks */
#define LOOK_LATER_FAR 8U
#define LOOK_SOONER 4U
#define LOOK_NEAR 400U /* ticks: a little later */
#define LOOK_PART 16U  /* of the patience: later looks are not worth to be guessed */

/* took: until it was there, if the first look had missed it. */
static void learn(uint16_t *look, uint32_t last, uint64_t took, int missed)
{
	uint32_t at = *look;

	if (!missed)
		at -= at < LOOK_SOONER ? at : LOOK_SOONER;
	else if (took <= last)
		at += took - at < LOOK_NEAR ? LOOK_LATER : LOOK_LATER_FAR;
	*look = (uint16_t)(at < last ? at : last);
}

/* The answer's bytes will lie in [outs, end), if there are any. */
static uint32_t ring(struct gate_box *box, uint64_t ip, uint16_t *look, const char *outs, const char *end)
{
	const volatile struct gate_ro *ro = (const volatile struct gate_ro *)STUB_RO;
	uint64_t begin, waited = box->waited >> 6;
	uint32_t cpu, spin, last, state = GATE_REQUEST;
	int missed = 0, told;

	box->asked = (ip & ((1UL << GATE_IP_BITS) - 1)) | (waited < 0xffff ? waited : 0xffff) << GATE_IP_BITS;
	/*
	 * A store, not an exchange: the look at `asleep` may be older than it then. Who begins to sleep just now is woken by the
	 * doorbell call when patience ends. The time is read while the line is on its way.
	 */
	__atomic_store_n(&box->state, GATE_REQUEST, __ATOMIC_RELEASE);
	begin = tsc();
	if (!ro->asleep) {
		spin = ro->spin;
		last = spin / LOOK_PART < 0xffff ? spin / LOOK_PART : 0xffff;
		if (*look > last)
			*look = 0;
		told = LOOK_AT_ONCE(begin);
		while (!told && tsc() - begin < *look) {
		}
		to_be_written(box); /* so that the next request needn't ask for the line */
		for (; outs < end; outs += 64)
			__builtin_prefetch(outs);
		for (;;) {
			uint64_t now;

			for (int i = 0; i < 8; i++) {
				state = __atomic_load_n(&box->state, __ATOMIC_ACQUIRE);
				if (GATE_STATE(state) == GATE_DONE) {
					now = tsc() - begin;
					box->waited = told ? now | GATE_AT_ONCE : now > last ? now & ~GATE_AT_ONCE : 0;
					if (!told)
						learn(look, last, now, missed);
					run_errand(box);
					return state;
				}
				if (state == GATE_STREAM) {
					state = carry(box, spin);
					missed = 1;
					break;
				}
				missed = 1;
				__builtin_ia32_pause();
			}
			now = tsc_cpu(&cpu);
			if (GATE_STATE(state) == GATE_DONE)
				continue;
			if (cpu == ro->cpu || state == GATE_STREAM || state == GATE_BLOCKED || now - begin > (state == GATE_TAKEN ? spin * 16UL : spin))
				break;
		}
		box->waited = 0; /* the doorbell call says that patience was lost */
		run_errand(box);
		if (state == GATE_BLOCKED) {
			state = nap(box);
			if (GATE_STATE(state) == GATE_DONE)
				return state;
		}
	} else {
		box->waited = 0; /* what the last answer took is no news any more */
	}
	return ring_asleep(box);
}

uint32_t stub_ring(struct gate_box *box, uint64_t ip)
{
	uint16_t look = 0;

	return ring(box, ip, &look, 0, 0);
}

uint32_t stub_ring_softly(struct gate_box *box, const uint64_t *aloud)
{
	const volatile struct gate_ro *ro = (const volatile struct gate_ro *)STUB_RO;
	static const struct {
		int64_t sec, nsec;
	} patience = {0, 20000000};
	uint32_t state;

	if (!ro->asleep)
		return stub_ring(box, 0);
	box->asked = 0;
	box->waited = 0;
	__atomic_exchange_n(&box->state, GATE_REQUEST, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(aloud, __ATOMIC_SEQ_CST) == 0) {
		call6(NR_FUTEX, (uint64_t)&box->state, 0 /* FUTEX_WAIT */, GATE_REQUEST, (uint64_t)&patience, 0, 0);
		state = __atomic_load_n(&box->state, __ATOMIC_ACQUIRE);
		if (GATE_STATE(state) == GATE_DONE)
			return state;
	}
	return ring_asleep(box);
}

/*
 * Bytes of a window. Where the file has been cut since the answer was given there is no page: the bytes are zeros, as if it had
 * grown again.
 */
static int64_t copy_window(uint64_t to, uint64_t from, uint64_t len)
{
	static const char zeros[64];

	if (shim_copy((void *)to, (const void *)from, len) == 0)
		return 0;
	while (len != 0) {
		uint64_t n = PAGE - from % PAGE < len ? PAGE - from % PAGE : len;
		uint64_t word = from & ~3UL;
		int there = shim_word(word) >= 0; /* a fault is a signal: one for each page */

		if (there && shim_copy((void *)to, (const void *)from, n) < 0) {
			there = shim_word(word) >= 0;
			if (there)
				return -1;
		}
		for (uint64_t at = 0; !there && at < n; at += sizeof(zeros))
			if (shim_copy((void *)(to + at), zeros, n - at < sizeof(zeros) ? n - at : sizeof(zeros)) < 0)
				return -1;
		to += n;
		from += n;
		len -= n;
	}
	return 0;
}

static int64_t apply_outs(const struct mailbox *m, const struct gate_box *box, uint32_t n, int64_t result)
{
	for (uint32_t i = 0; i < n && i < GATE_MAX_SEGS; i++) {
		const struct gate_seg *s = n <= GATE_NEAR_OUTS ? &box->near_outs[i] : &box->outs[i];
		uint32_t off = s->off, len = s->len;

		if (s->flags & GATE_SEG_WINDOW) {
			if (copy_window(s->addr, STUB_WINDOWS + off, len) < 0)
				result = -EFAULT;
			continue;
		}
		if (off > GATE_DATA_SIZE || len > GATE_DATA_SIZE - off)
			continue;
		if (len > 256)
			fetch((const char *)m + GATE_DATA + off, len);
		/* It could be written before the call, and no longer: another thread's doing. */
		if (shim_copy((void *)s->addr, (const char *)m + GATE_DATA + off, len) < 0)
			result = -EFAULT;
	}
	return result;
}

/*
 * rt_sigprocmask. False: the sentry is to do it, because a signal waits, or because it doesn't end well. Nothing is written to
 * the guest before that is known; the mask is put back, for the sentry to change.
 */
static int change_mask(struct gate_box *box, const uint64_t *args)
{
	uint64_t old = box->sigmask, new = old, set;

	if (args[3] != sizeof(set))
		return 0;
	if (args[1] != 0) {
		if (args[1] < GATE_LOWEST || shim_copy(&set, (const void *)args[1], sizeof(set)) < 0)
			return 0;
		switch ((uint32_t)args[0]) {
		case 0: /* SIG_BLOCK */
			new = old | set;
			break;
		case 1: /* SIG_UNBLOCK */
			new = old & ~set;
			break;
		case 2: /* SIG_SETMASK */
			new = set;
			break;
		default:
			return 0;
		}
		/* The sentry sets `attention` and looks at the mask then; we set the mask and look at `attention`. */
		__atomic_exchange_n(&box->sigmask, new & ~NEVER_BLOCKED, __ATOMIC_SEQ_CST);
		if (*(volatile uint64_t *)&box->attention != 0)
			goto ask;
	}
	if (args[2] != 0 && (args[2] < GATE_LOWEST || shim_copy((void *)args[2], &old, sizeof(old)) < 0))
		goto ask;
	box->local++;
	return 1;
ask:
	box->sigmask = old;
	return 0;
}

/*
 * rt_sigaction of a signal whose action is nothing but zeros, and which is asked for or set to the default: posix_spawn does both
 * for every signal. What changes is the restorer; the sentry finds it in the box, for where it matters. With a signal that
 * waits it asks: that may be discarded.
 */
static int plain_action(struct gate_box *box, const uint64_t *args)
{
	static const uint64_t zeros[4];
	uint32_t sig = (uint32_t)args[0];
	uint64_t bit = 1UL << ((sig - 1) & 63), restorer;
	struct {
		uint64_t handler, flags, restorer, mask;
	} new;

	if (args[3] != 8 || sig - 1 >= 64 || (*(volatile uint64_t *)&box->plain_actions & bit) == 0)
		return 0;
	if (args[1] != 0) {
		if (args[1] < GATE_LOWEST || (bit & NEVER_BLOCKED) != 0 || *(volatile uint64_t *)&box->attention != 0 ||
		    shim_copy(&new, (const void *)args[1], sizeof(new)) < 0)
			return 0;
		restorer = *(volatile uint64_t *)&box->restorer;
		if (new.handler != 0 || new.flags != 0x04000000 /* SA_RESTORER */ || new.mask != 0 || new.restorer == 0 ||
		    new.restorer == ACTIONS_SHARED || (restorer != 0 && restorer != new.restorer))
			return 0;
	}
	if (args[2] != 0 && (args[2] < GATE_LOWEST || shim_copy((void *)args[2], zeros, sizeof(zeros)) < 0))
		return 0;
	if (args[1] != 0) {
		box->restorer = new.restorer;
		box->plain_actions &= ~bit;
	}
	box->local++;
	return 1;
}

/* madvise(MADV_DONTNEED), in the bounds in which the filter lets it pass. What the host doesn't like the sentry is to look at. */
static int drop_pages(struct gate_box *box, const uint64_t *args)
{
	const volatile struct gate_ro *ro = (const volatile struct gate_ro *)STUB_RO;

	if ((uint32_t)args[2] != MADV_DONTNEED || ro->locked != 0 || args[0] % PAGE != 0 || args[1] == 0 || args[1] >> 32 != 0 ||
	    args[0] >> 32 >= (STUB_BASE >> 32) - 1 || call6(NR_MADVISE, args[0], args[1], MADV_DONTNEED, 0, 0, 0) != 0)
		return 0;
	box->local++;
	return 1;
}

/* getrandom of a few bytes: they are there once, and nobody sees them again. */
static int few_random(struct gate_box *box, const uint64_t *args)
{
	uint32_t n = box->nrandom;
	uint8_t bytes[GATE_RANDOM];
	int64_t err;

	if (args[1] == 0 || args[1] > GATE_RANDOM || n != GATE_RANDOM || args[0] < GATE_LOWEST || (uint32_t)args[2] > GRND_NONBLOCK)
		return 0;
	box->nrandom = 0;
	for (unsigned i = 0; i < GATE_RANDOM; i++) {
		bytes[i] = box->random[i];
		box->random[i] = 0;
	}
	err = shim_copy((void *)args[0], bytes, args[1]);
	for (unsigned i = 0; i < GATE_RANDOM; i++)
		*(volatile uint8_t *)&bytes[i] = 0;
	return err == 0;
}

/*
 * prlimit64 that asks for the process's own limit of the stack: each C library does. Another process may set it: the sentry
 * takes away GATE_KNOWN_MASK before it answers that, so what was read before a look that still finds it was right then.
 */
static int stack_limit(struct gate_box *box, const uint64_t *args)
{
	const volatile struct gate_box *b = box;
	uint64_t limits[2];

	if ((uint32_t)args[0] != 0 || (uint32_t)args[1] != RLIMIT_STACK || args[2] != 0 || args[3] < GATE_LOWEST)
		return 0;
	limits[0] = b->stack_cur;
	limits[1] = b->stack_max;
	return (b->known >> GATE_KNOWN_MASK & 1) != 0 && shim_copy((void *)args[3], limits, sizeof(limits)) == 0;
}

/* What the shim may do by itself while nobody watches the thread's calls. True: done. */
static int do_alone(struct gate_box *box, unsigned class, const uint64_t *args, int64_t *value)
{
	uint32_t mask;

	*value = 0;
	switch (class) {
	case GATE_CLASS_MASK:
		return change_mask(box, args);
	case GATE_CLASS_ACTION:
		return plain_action(box, args);
	case GATE_CLASS_DROP:
		return drop_pages(box, args);
	case GATE_CLASS_FUTEX:
		if (!futex_alone(box, args, value))
			return 0;
		box->futexes++;
		break;
	case GATE_CLASS_ROBUST:
		if (args[1] != 24) /* sizeof(struct robust_list_head) */
			return 0;
		box->robust = args[0];
		break;
	case GATE_CLASS_TID:
		if ((box->known >> GATE_TID & 1) == 0)
			return 0;
		box->clear_tid = args[0];
		*value = box->ids[GATE_TID];
		break;
	case GATE_CLASS_UMASK:
		mask = *(volatile uint32_t *)&box->umask;
		if ((mask & ~GATE_UMASK) != 0)
			return 0;
		box->umask = (uint32_t)args[0] & GATE_UMASK;
		*value = mask;
		break;
	case GATE_CLASS_BRK:
		if (args[0] != 0 || box->brk == 0)
			return 0;
		*value = (int64_t)box->brk;
		break;
	case GATE_CLASS_RANDOM:
		if (!few_random(box, args))
			return 0;
		*value = (int64_t)args[1];
		break;
	case GATE_CLASS_ASK:
		if (!stack_limit(box, args))
			return 0;
		break;
	default:
		*value = -ENOSYS;
		break;
	}
	box->local++;
	return 1;
}

#define CLONE_THREAD 0x10000UL
#define NR_CLONE3 435
#define NR_EXIT 60

/*
 * A thread that is made of what waits in its process needs no trap: our caller's registers are in the box as it is, and its
 * vector state is written behind the arguments, from where the sentry gives it to the new thread. False: by the trap door.
 */
static int clone_alone(struct mailbox *m, uint32_t nr, const uint64_t *args)
{
	char *fp = (char *)m + GATE_DATA + GATE_FP;
	uint64_t flags = args[0];

	if (box_of(m)->idlers == 0)
		return 0;
	if (nr == NR_CLONE3 && (args[0] < GATE_LOWEST || args[1] < 64 || args[1] > 128 ||
				shim_copy(&flags, (const void *)args[0], sizeof(flags)) < 0))
		return 0;
	if ((flags & CLONE_THREAD) == 0)
		return 0;
	/* XSAVE leaves most of the image's header alone. */
	for (int i = 0; i < 64; i += 8)
		*(uint64_t *)(fp + 512 + i) = 0;
	return shim_xsave((uint64_t)fp) == 0;
}

struct shim_result {
	int64_t value;
	uint64_t trap; /* the call must go by the trap door */
};

__attribute__((used)) struct shim_result shim_call(struct mailbox *m);
struct shim_result shim_call(struct mailbox *m)
{
	const struct gate_ro *ro = (const struct gate_ro *)STUB_RO;
	const struct gate_local *local = (const struct gate_local *)((uint64_t)m + AREA_LOCAL);
	struct gate_box *box = box_of(m);
	struct fill f = {.m = m, .box = box};
	uint32_t nr = (uint32_t)local->nr, state, none = 0, *asking = &none;
	const char *outs;
	const struct gate_spec *spec = &ro->spec[nr < GATE_MAX_NR ? nr : GATE_MAX_NR - 1];

	if (spec->class != GATE_CLASS_CALL) {
		if (spec->class == GATE_CLASS_TRAP)
			return (struct shim_result){0, 1};
		if (spec->class == GATE_CLASS_CLONE) {
			if (!clone_alone(m, nr, local->args))
				return (struct shim_result){0, 1};
		} else if (spec->class == GATE_CLASS_ASK) {
			int64_t value;

			if ((box->known >> GATE_KNOWN_MASK & 1) && do_alone(box, spec->class, local->args, &value))
				return (struct shim_result){value, 0};
			if (local->args[2] != 0)
				return (struct shim_result){0, 1};
		} else if (spec->class >= GATE_CLASS_ACTION) {
			int64_t value;

			if ((box->known >> GATE_KNOWN_MASK & 1) && do_alone(box, spec->class, local->args, &value))
				return (struct shim_result){value, 0};
		} else if (box->known >> spec->id & 1) {
			box->local++;
			return (struct shim_result){box->ids[spec->id < GATE_IDS ? spec->id : 0], 0};
		}
	}
	to_be_written(box);
	if (spec->class == GATE_CLASS_FUTEX && futex_compares(local->args))
		asking = &mm_of()->places[mm_place(local->args[0])].asking;
	if (asking != &none)
		__atomic_fetch_add(asking, 1, __ATOMIC_SEQ_CST);
	box->futex_seq = *(const volatile uint32_t *)&ro->futex_seq;
	__asm__ volatile("" ::: "memory"); /* loads stay in order on this machine */
	fill_segs(&f, spec, local->args);
	if (nr == NR_EXIT && box->robust != 0) { /* the sentry looks whether the thread holds any */
		f.told = 1;
		add_in(&f, box->robust, 24);
	}
	box->kind = GATE_KIND_CALL;
	box->nr = (uint16_t)(nr < GATE_LONG_NR ? nr : GATE_LONG_NR);
	if (nr >= GATE_LONG_NR)
		box->long_nr = nr;
	for (int i = 0; i < 6; i++)
		box->args[i] = local->args[i];
	box->nsegs = f.n == 0 || f.told ? (uint8_t)f.n : GATE_IMPLIED;
	outs = fill_at(&f);
	state = ring(box, local->rcx, &box->look[nr % GATE_LOOKS], outs, outs + (f.outs < GATE_NEAR_BYTES ? f.outs : GATE_NEAR_BYTES));
	for (;;) {
		/* The call is over: who waits isn't asking, who asks again is another. */
		if (asking != &none && GATE_ACTION(state) != GATE_RUN && GATE_ACTION(state) != GATE_WAIT) {
			__atomic_fetch_sub(asking, 1, __ATOMIC_RELAXED);
			asking = &none;
		}
		switch (GATE_ACTION(state)) {
		case GATE_RUN:
			stub_run_commands(m);
			box->kind = GATE_KIND_DONE;
			state = stub_ring(box, local->rcx);
			continue;
		case GATE_WAIT:
			box->kind = GATE_KIND_WAIT;
			box->asked = 0;
			__atomic_store_n(&box->state, GATE_REQUEST, __ATOMIC_SEQ_CST);
			state = ring_asleep(box);
			continue;
		case GATE_JUMP:
			if (apply_outs(m, box, GATE_NOUTS(state), 0) == 0 && shim_xsave(box->xsave_at) == 0) {
				shim_load_fp(ro->clean_fp);
				gate_jump(m);
			}
			box->kind = GATE_KIND_FAULT;
			state = stub_ring(box, local->rcx);
			continue;
		case GATE_BEGIN:
			__asm__ volatile("wrfsbase %0" ::"r"(m->fs_base));
			shim_load_fp((const char *)m + GATE_DATA + GATE_FP);
			gate_jump(m);
		case GATE_EXIT:
			call6(NR_EXIT, 0, 0, 0, 0, 0, 0);
			/* The sentry is gone, and all else will be. */
			return (struct shim_result){0, 1};
		case GATE_RUN_RETURN:
			stub_run_commands(m);
			if (m->result != 0)
				return (struct shim_result){(int64_t)m->result, 0};
			/* fall through */
		default:
			return (struct shim_result){apply_outs(m, box, GATE_NOUTS(state), box->result), 0};
		}
	}
}

/* clang-format off */
#define GIVE_BACK \
	"\tmovups (%rsp),%xmm0\n\tmovups 16(%rsp),%xmm1\n\tmovups 32(%rsp),%xmm2\n\tmovups 48(%rsp),%xmm3\n\tadd $64,%rsp\n"
#define RELOAD \
	"\tmov %gs:0x30,%rdi\n\tmov %gs:0x38,%rsi\n\tmov %gs:0x40,%rdx\n" \
	"\tmov %gs:0x48,%r10\n\tmov %gs:0x50,%r8\n\tmov %gs:0x58,%r9\n"
#define LEAVE "\tmov %gs:0x18,%rsp\n\tmov %gs:0x20,%rcx\n"

/* pending lies in the box: see abi.h; asserted below. */
#define PENDING_OFF 0x4c0
#define SAVED_OFF 0x580
#define SAVED(n) SAVED_(SAVED_OFF, n)
#define SAVED_(off, n) STR(off) "+8*" #n "(%rdi)"
#define STR_(x) #x
#define STR(x) STR_(x)
/* All of mailbox.regs but the last two, from RDI; see STUB_NREGS. */
#define REG(n) "0x50+8*" #n "(%rdi)"
#define LOAD_REGS \
	"\tpushq " REG(17) "\n\tpopfq\n\tmov " REG(16) ",%rax\n\tmov %rax,%gs:0x20\n" \
	"\tmov " REG(0) ",%r8\n\tmov " REG(1) ",%r9\n\tmov " REG(2) ",%r10\n\tmov " REG(3) ",%r11\n" \
	"\tmov " REG(4) ",%r12\n\tmov " REG(5) ",%r13\n\tmov " REG(6) ",%r14\n\tmov " REG(7) ",%r15\n" \
	"\tmov " REG(9) ",%rsi\n\tmov " REG(10) ",%rbp\n\tmov " REG(11) ",%rbx\n\tmov " REG(12) ",%rdx\n" \
	"\tmov " REG(13) ",%rax\n\tmov " REG(14) ",%rcx\n\tmov " REG(15) ",%rsp\n\tmov " REG(8) ",%rdi\n"
/* The features that the kernel keeps in signal frames: all but AMX's, which takes a permission that nobody has here. */
#define FEATURES "\txor %ecx,%ecx\n\txgetbv\n\tand $0xfff9ffff,%eax\n"
__asm__(".section .text.shim,\"ax\",@progbits\n"
	".balign 64\n.globl gate_entry\ngate_entry:\n"
	"\tmov %rsp,%gs:0x18\n\tmov %rcx,%gs:0x20\n\tmov %gs:0x10,%rsp\n\tmov %rax,%gs:0x28\n"
	"\tmov %rdi,%gs:0x30\n\tmov %rsi,%gs:0x38\n\tmov %rdx,%gs:0x40\n"
	"\tmov %r10,%gs:0x48\n\tmov %r8,%gs:0x50\n\tmov %r9,%gs:0x58\n"
	"\tmov %gs:0,%rdi\n"
	"\tmov %rbx," SAVED(0) "\n\tmov %rbp," SAVED(1) "\n\tmov %r12," SAVED(2) "\n\tmov %r13," SAVED(3) "\n"
	"\tmov %r14," SAVED(4) "\n\tmov %r15," SAVED(5) "\n\tmov %gs:0x18,%rax\n\tmov %rax," SAVED(6) "\n"
	"\tpushfq\n\tpopq " SAVED(7) "\n\trdfsbase %rax\n\tmov %rax," SAVED(8) "\n"
	"\tcall shim_call\n"
	"\tmov %rax,%gs:0x60\n\ttest %rdx,%rdx\n\tjnz 2f\n"
	".globl gate_exit\ngate_exit:\n"
	"\tmov %gs:0,%rcx\n\tcmpl $0," STR(PENDING_OFF) "(%rcx)\n\tjne 1f\n"
	RELOAD "\tmov %gs:0x60,%rax\n" LEAVE "\tjmp *%rcx\n"
	".globl gate_exit_end\ngate_exit_end:\n"
	"1:\n" RELOAD "\tmov %gs:0x60,%rax\n" LEAVE
	".globl gate_kick_trap\ngate_kick_trap:\n\tint3\n\thlt\n"
	"2:\n" RELOAD "\tmov %gs:0x28,%rax\n" LEAVE
	".globl gate_call_trap\ngate_call_trap:\n\tint3\n\thlt\n"
	/* rdi: mailbox. The way out into a handler; an interruption begins it again. */
	".globl gate_jump\ngate_jump:\n.globl gate_jump_begin\ngate_jump_begin:\n"
	"\tmov %gs:0x10,%rsp\n\tcmpl $0," STR(PENDING_OFF) "(%rdi)\n\tjne 5f\n"
	LOAD_REGS "\tjmp *%gs:0x20\n"
	".globl gate_jump_end\ngate_jump_end:\n"
	"5:\n" LOAD_REGS
	".globl gate_jump_trap\ngate_jump_trap:\n\tint3\n\thlt\n"
	/* rdi: an image; one that is wrong faults here, as it would at a sigreturn */
	".globl shim_load_fp\nshim_load_fp:\n" FEATURES "\txrstor64 (%rdi)\n\tret\n"
	/*
	 * A guest may have set the direction flag; the host's kernel clears it, too. The string instruction only for what is left in
	 * the end: where the low bits of both addresses are nearly the same some processors take it byte by byte. For pages four
	 * vector registers are borrowed, in the old form that leaves their upper halves alone; a fault gives them back, too.
	 */
	".globl shim_copy\nshim_copy:\n\tcld\n\tmov %rdx,%rcx\n\txor %eax,%eax\n"
	".globl shim_touch_begin\nshim_touch_begin:\n"
	"\tcmp $32,%rcx\n\tjb 7f\n\tcmp $4096,%rcx\n\tjae 8f\n"
	"6:\tmov (%rsi),%r9\n\tmov 8(%rsi),%r11\n\tmov %r9,(%rdi)\n\tmov %r11,8(%rdi)\n"
	"\tmov 16(%rsi),%r9\n\tmov 24(%rsi),%r11\n\tmov %r9,16(%rdi)\n\tmov %r11,24(%rdi)\n"
	"\tadd $32,%rsi\n\tadd $32,%rdi\n\tsub $32,%rcx\n\tcmp $32,%rcx\n\tjae 6b\n"
	"7:\trep movsb\n\tret\n"
	".globl shim_pages_begin\nshim_pages_begin:\n"
	"8:\tsub $64,%rsp\n\tmovups %xmm0,(%rsp)\n\tmovups %xmm1,16(%rsp)\n\tmovups %xmm2,32(%rsp)\n\tmovups %xmm3,48(%rsp)\n"
	"9:\tprefetcht0 1024(%rsi)\n\tmovups (%rsi),%xmm0\n\tmovups 16(%rsi),%xmm1\n\tmovups 32(%rsi),%xmm2\n\tmovups 48(%rsi),%xmm3\n"
	"\tmovups %xmm0,(%rdi)\n\tmovups %xmm1,16(%rdi)\n\tmovups %xmm2,32(%rdi)\n\tmovups %xmm3,48(%rdi)\n"
	"\tadd $64,%rsi\n\tadd $64,%rdi\n\tsub $64,%rcx\n\tcmp $64,%rcx\n\tjae 9b\n\tjmp 11f\n"
	".globl shim_copy_away\nshim_copy_away:\n\tcld\n\tmov %rdx,%rcx\n\txor %eax,%eax\n\tcmp $64,%rcx\n\tjb 7b\n"
	"\tsub $64,%rsp\n\tmovups %xmm0,(%rsp)\n\tmovups %xmm1,16(%rsp)\n\tmovups %xmm2,32(%rsp)\n\tmovups %xmm3,48(%rsp)\n"
	"10:\tprefetcht0 512(%rsi)\n\tmovups (%rsi),%xmm0\n\tmovups 16(%rsi),%xmm1\n\tmovups 32(%rsi),%xmm2\n\tmovups 48(%rsi),%xmm3\n"
	"\tmovntps %xmm0,(%rdi)\n\tmovntps %xmm1,16(%rdi)\n\tmovntps %xmm2,32(%rdi)\n\tmovntps %xmm3,48(%rdi)\n"
	"\tadd $64,%rsi\n\tadd $64,%rdi\n\tsub $64,%rcx\n\tcmp $64,%rcx\n\tjae 10b\n\tsfence\n"
	".globl shim_pages_end\nshim_pages_end:\n"
	"11:\n" GIVE_BACK "\tcmp $32,%rcx\n\tjae 6b\n\tjmp 7b\n"
	".globl shim_pages_fault\nshim_pages_fault:\n" GIVE_BACK "\tmov $-1,%rax\n\tret\n"
	/* rdi: to, rsi: from, rdx: at most */
	".globl shim_string\nshim_string:\n\txor %ecx,%ecx\n"
	"3:\tmovzbl (%rsi,%rcx),%eax\n\tmov %al,(%rdi,%rcx)\n\tinc %rcx\n\ttest %al,%al\n\tjz 4f\n"
	"\tcmp %rdx,%rcx\n\tjb 3b\n\txor %eax,%eax\n\tret\n4:\tmov %rcx,%rax\n\tret\n"
	".globl shim_word\nshim_word:\n\tmov (%rdi),%eax\n\tret\n"
	".globl shim_probe\nshim_probe:\n\txor %eax,%eax\n\tlock orb $0,(%rdi)\n\tret\n"
	".globl shim_xsave\nshim_xsave:\n" FEATURES "\txsave64 (%rdi)\n\txor %eax,%eax\n\tret\n"
	".globl shim_touch_end\nshim_touch_end:\n"
	".globl shim_touch_fault\nshim_touch_fault:\n\tmov $-1,%rax\n\tret\n"
	".text\n");
/* clang-format on */

_Static_assert(GATE_BOX + __builtin_offsetof(struct gate_box, pending) == PENDING_OFF, "gate_exit looks at pending");
_Static_assert(GATE_BOX + __builtin_offsetof(struct gate_box, saved) == SAVED_OFF, "gate_entry stores registers there");
_Static_assert(__builtin_offsetof(struct mailbox, regs) == 0x50, "gate_jump loads registers from there");
_Static_assert(__builtin_offsetof(struct gate_local, entry) == GATE_ENTRY_SLOT, "trampolines jump there");
_Static_assert(__builtin_offsetof(struct gate_local, stack) == 0x10 && __builtin_offsetof(struct gate_local, nr) == 0x28 &&
		       __builtin_offsetof(struct gate_local, args) == 0x30 &&
		       __builtin_offsetof(struct gate_local, result) == 0x60,
	       "gate_local is what the assembly says");
