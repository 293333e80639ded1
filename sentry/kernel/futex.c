// SPDX-License-Identifier: Apache-2.0
/*
 * Futexes: sleeping on a word of guest memory.
 *
 *	FUTEX_WAIT --> waiter into the bucket of its key --> word read --> equal: sleep; else away again
 *	FUTEX_WAKE --> waiters of the key, oldest first --> task_wake
 *
 * A key names memory: private futexes by (mm, address), shared ones by what is mapped (inode or shared memory, offset),
 *so that two processes meet. A "shared" futex in private memory is keyed by (mm, address) too, but is another kind: as
 *in Linux, private and shared operations never meet.
 *
 * The waiter is queued, and counted where the stub looks before it leaves out a wake (platform->futex_waits), before the word is
 * read: who changes the word and then calls FUTEX_WAKE finds it. One host
 *thread needs no bucket locks; between two sleeps everything here is atomic but the words themselves, which guest
 *threads change meanwhile. So whatever changes a word (WAKE_OP, PI, a dead owner) is a compare-and-exchange carried out
 *in the guest's address space (platform->cmpxchg32), in a loop.
 *
 * Priority inheritance is ownership only: the word holds the owner's tid, waiters queue in order of arrival, and unlock
 * hands the word to the next. Nobody's priority is raised: all our threads are SCHED_OTHER to the host.
 *
 * Robust lists live in guest memory and are hostile: at most 2,048 entries are followed, each is read once.
 *
 * The guest controls all words, addresses, counts and the number of waiters (one per thread, 128 with futex_waitv).
 *
 * Left out: FUTEX_FD (gone from Linux), FUTEX_WAIT_REQUEUE_PI and CMP_REQUEUE_PI (ENOSYS: no libc has used them since
 * glibc 2.25), deadlock detection over more than one PI futex.
 */
#include "sentry/kernel/futex.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/usercopy.h"
#include "sentry/platform/platform.h"

#include <string.h>

#define BUCKETS 256U
#define PI_TRIES 1000 /* a word that changes under us so often belongs to a guest that plays */

enum futex_kind { FUTEX_PRIVATE, FUTEX_MM_SHARED, FUTEX_OBJECT };
struct futex_key {
	uint64_t object; /* a struct mm, an inode, or a shared_mem's id */
	uint64_t offset;
	enum futex_kind kind;
};

struct futex_waiter {
	struct list link; /* bucket, or empty once woken */
	struct futex_key key;
	struct task *task;
	uint32_t bitset;
	bool woken;
	bool pi;               /* waits to own the word */
	bool given;            /* PI: the word is ours now */
	struct task *pi_owner; /* PI: whose the word was; borrowed, compared only */
	gva_t addr;            /* PI: the word in the waiter's address space */
	uint16_t counted;      /* private: where the platform counts it */
};

static struct list buckets[BUCKETS];

static struct list *bucket(const struct futex_key *k)
{
	uint64_t h = (k->object >> 4) * 0x9e3779b97f4a7c15UL + (k->offset >> 2) * 0xc2b2ae3d27d4eb4fUL;
	struct list *b = &buckets[(h >> 40) % BUCKETS];

	if (b->next == NULL)
		list_init(b);
	return b;
}

static bool key_equal(const struct futex_key *a, const struct futex_key *b)
{
	return a->object == b->object && a->offset == b->offset && a->kind == b->kind;
}

static int key_get(struct task *task, gva_t addr, bool shared, struct futex_key *k)
{
	if (addr.v % 4 != 0)
		return -LINUX_EINVAL;
	if (addr.v >= GUEST_END || task->mm == NULL)
		return -LINUX_EFAULT;
	if (shared) {
		if (mm_find(task->mm, addr.v) == NULL) {
			uint32_t word;

			/* The main stack reaches further than the tree shows. */
			if (get_guest(task, &word, addr) != 0)
				return -LINUX_EFAULT;
		}
		k->kind = FUTEX_OBJECT;
		if (mm_shared_key(task->mm, addr.v, &k->object, &k->offset))
			return 0;
	}
	k->kind = shared ? FUTEX_MM_SHARED : FUTEX_PRIVATE;
	k->object = (uint64_t)(uintptr_t)task->mm;
	k->offset = addr.v;
	return 0;
}

/* Before the word is read: whoever changes it later must know that there is somebody to be woken. Where, for waiter_uncount. */
static uint16_t key_count(struct task *task, const struct futex_key *k)
{
	return k->kind == FUTEX_PRIVATE && platform->futex_waits != NULL ? platform->futex_waits(task, k->offset) : 0;
}

static void waiter_count(struct futex_waiter *w)
{
	w->counted = key_count(w->task, &w->key);
}

static void waiter_uncount(uint16_t counted)
{
	if (counted != 0)
		platform->futex_waited(counted);
}

/* Neither queued nor counted from here on; it may be neither already. */
static void waiter_off(struct futex_waiter *w)
{
	list_del(&w->link);
	waiter_uncount(w->counted);
	w->counted = 0;
}

static void waiter_queue(struct futex_waiter *w, struct task *task, const struct futex_key *k, uint32_t bitset)
{
	*w = (struct futex_waiter){.key = *k, .task = task, .bitset = bitset};
	list_init(&w->link);
	list_add_tail(bucket(k), &w->link);
	waiter_count(w);
}

static void waiter_wake(struct futex_waiter *w)
{
	waiter_off(w);
	w->woken = true;
	task_wake(w->task);
}

/* The word's value may not be looked at with a plain write in mind: see the top. Returns 0 with *seen the value before.
 */
static int word_cmpxchg(struct task *task, gva_t addr, uint32_t old, uint32_t new, uint32_t *seen)
{
	return platform->cmpxchg32(task, addr.v, old, new, seen);
}

/* ---- wait ---- */

/* restart_syscall(2) after a signal that nobody handled. data: addr, shared, val, deadline, bitset. */
static int64_t wait_restart(struct task *task)
{
	const uint64_t *d = task->restart.data;

	return futex_wait(task, GVA(d[0]), d[1] != 0, (uint32_t)d[2], d[3], (uint32_t)d[4]);
}

int64_t futex_wait(struct task *task, gva_t addr, bool shared, uint32_t val, uint64_t deadline, uint32_t bitset)
{
	struct futex_waiter w;
	struct futex_key k;
	uint32_t word;
	int err;

	if (bitset == 0)
		return -LINUX_EINVAL;
	err = key_get(task, addr, shared, &k);
	if (err)
		return err;
	waiter_queue(&w, task, &k, bitset);
	err = get_guest(task, &word, addr);
	if (!err && word != val)
		err = -LINUX_EAGAIN;
	while (!err && !w.woken)
		err = task_block(task, WAIT_INTERRUPTIBLE, deadline);
	waiter_off(&w);
	if (w.woken)
		return 0;
	if (err == -LINUX_ERESTARTSYS && deadline != WAIT_FOREVER) {
		task->restart = (struct restart_block){wait_restart, {addr.v, shared, val, deadline, bitset, 0}};
		return -LINUX_ERESTART_RESTARTBLOCK;
	}
	return err;
}

int64_t futex_wait_many(struct task *task, const struct futex_wait_one *v, unsigned n, uint64_t deadline)
{
	struct futex_waiter *w = kcalloc(n, sizeof(*w));
	int64_t ret = 0;
	unsigned queued = 0;

	if (w == NULL)
		return -LINUX_ENOMEM;
	for (; ret == 0 && queued < n; queued++) {
		struct futex_key k;

		ret = key_get(task, v[queued].addr, v[queued].shared, &k);
		if (ret)
			break;
		waiter_queue(&w[queued], task, &k, LINUX_FUTEX_BITSET_MATCH_ANY);
	}
	for (unsigned i = 0; ret == 0 && i < n; i++) {
		uint32_t word;

		ret = get_guest(task, &word, v[i].addr);
		if (ret == 0 && word != v[i].val)
			ret = -LINUX_EAGAIN;
	}
	for (;;) {
		unsigned i = 0;

		while (i < queued && !w[i].woken)
			i++;
		if (i < queued) {
			ret = i;
			break;
		}
		if (ret != 0)
			break;
		ret = task_block(task, WAIT_INTERRUPTIBLE, deadline);
	}
	for (unsigned i = 0; i < queued; i++)
		waiter_off(&w[i]);
	kfree(w);
	return ret;
}

/* ---- wake, requeue ---- */

/* Before anything is woken or moved: see platform.h. */
static void words_are_old(void)
{
	if (platform->futex_woke != NULL)
		platform->futex_woke();
}

static int64_t wake_key(const struct futex_key *k, int nr, uint32_t bitset)
{
	struct futex_waiter *w, *tmp;
	int woken = 0;

	words_are_old();
	list_for_each_safe(w, tmp, bucket(k), link)
	{
		if (!key_equal(&w->key, k))
			continue;
		if (w->pi)
			return -LINUX_EINVAL;
		if ((w->bitset & bitset) == 0)
			continue;
		waiter_wake(w);
		if (++woken >= nr)
			break;
	}
	return woken;
}

int64_t futex_wake(struct task *task, gva_t addr, bool shared, int nr, uint32_t bitset)
{
	struct futex_key k;
	int err;

	if (bitset == 0)
		return -LINUX_EINVAL;
	err = key_get(task, addr, shared, &k);
	return err ? err : wake_key(&k, nr, bitset);
}

int64_t futex_wake_addr(struct task *task, gva_t addr, int n)
{
	return futex_wake(task, addr, true, n, LINUX_FUTEX_BITSET_MATCH_ANY);
}

static int64_t requeue(struct task *task, gva_t from, const struct futex_key *k, int nr_wake, const struct futex_key *k2,
		       int nr_requeue, const uint32_t *cmp)
{
	struct futex_waiter *w, *tmp;
	struct list moved;
	int64_t done = 0;
	uint16_t counted;
	uint32_t word;
	int err;

	if (cmp != NULL) {
		err = get_guest(task, &word, from);
		if (err)
			return err;
		if (word != *cmp)
			return -LINUX_EAGAIN;
	}
	list_init(&moved);
	list_for_each_safe(w, tmp, bucket(k), link)
	{
		if (!key_equal(&w->key, k))
			continue;
		if (w->pi) {
			done = -LINUX_EINVAL;
			break;
		}
		if (done >= (int64_t)nr_wake + nr_requeue)
			break;
		if (done++ < nr_wake) {
			waiter_wake(w);
			continue;
		}
		counted = w->counted;
		w->key = *k2;
		waiter_count(w);
		waiter_uncount(counted);
		list_move_tail(&moved, &w->link);
	}
	list_splice_tail(bucket(k2), &moved);
	return done;
}

int64_t futex_requeue(struct task *task, gva_t from, bool shared, int nr_wake, gva_t to, int nr_requeue,
		      const uint32_t *cmp)
{
	struct futex_key k, k2;
	uint16_t counted;
	int64_t ret;
	int err;

	words_are_old();
	if (nr_wake < 0 || nr_requeue < 0)
		return -LINUX_EINVAL;
	err = key_get(task, from, shared, &k);
	if (!err)
		err = key_get(task, to, shared, &k2);
	if (err)
		return err;
	/*
	 * As if somebody waited there already: else who changes the first word after it was compared, and then wakes at the
	 * second before anybody was moved there, would leave that wake out.
	 */
	counted = key_count(task, &k2);
	ret = requeue(task, from, &k, nr_wake, &k2, nr_requeue, cmp);
	waiter_uncount(counted);
	return ret;
}

/* ---- wake_op ---- */

static int op_apply(uint32_t op, uint32_t arg, uint32_t old, uint32_t *new)
{
	switch (op) {
	case LINUX_FUTEX_OP_SET:
		*new = arg;
		return 0;
	case LINUX_FUTEX_OP_ADD:
		*new = old + arg;
		return 0;
	case LINUX_FUTEX_OP_OR:
		*new = old | arg;
		return 0;
	case LINUX_FUTEX_OP_ANDN:
		*new = old & ~arg;
		return 0;
	case LINUX_FUTEX_OP_XOR:
		*new = old ^ arg;
		return 0;
	default:
		return -LINUX_ENOSYS;
	}
}

static int op_compare(uint32_t cmp, int32_t old, int32_t arg)
{
	switch (cmp) {
	case LINUX_FUTEX_OP_CMP_EQ:
		return old == arg;
	case LINUX_FUTEX_OP_CMP_NE:
		return old != arg;
	case LINUX_FUTEX_OP_CMP_LT:
		return old < arg;
	case LINUX_FUTEX_OP_CMP_LE:
		return old <= arg;
	case LINUX_FUTEX_OP_CMP_GT:
		return old > arg;
	case LINUX_FUTEX_OP_CMP_GE:
		return old >= arg;
	default:
		return -LINUX_ENOSYS;
	}
}

static int32_t sign_extend12(uint32_t v)
{
	return (int32_t)(v << 20) >> 20;
}

int64_t futex_wake_op(struct task *task, gva_t addr, bool shared, int nr_wake, gva_t addr2, int nr_wake2, uint32_t enc)
{
	uint32_t op = (enc >> 28) & 7, cmp = (enc >> 24) & 15, old, new, seen;
	int32_t arg = sign_extend12(enc >> 12), cmparg = sign_extend12(enc);
	struct futex_key k, k2;
	int64_t woken, more;
	int err;

	err = key_get(task, addr, shared, &k);
	if (!err)
		err = key_get(task, addr2, shared, &k2);
	if (err)
		return err;
	if ((enc >> 28) & LINUX_FUTEX_OP_OPARG_SHIFT)
		arg = (int32_t)(1U << (arg & 31));
	err = get_guest(task, &old, addr2);
	for (;; old = seen) {
		if (!err)
			err = op_apply(op, (uint32_t)arg, old, &new);
		if (!err)
			err = word_cmpxchg(task, addr2, old, new, &seen);
		if (err)
			return err;
		if (seen == old)
			break;
		if (task_dying(task))
			return -LINUX_ERESTARTSYS;
	}
	err = op_compare(cmp, (int32_t)old, cmparg);
	if (err < 0)
		return err;
	woken = wake_key(&k, nr_wake, LINUX_FUTEX_BITSET_MATCH_ANY);
	if (woken >= 0 && err) {
		more = wake_key(&k2, nr_wake2, LINUX_FUTEX_BITSET_MATCH_ANY);
		woken = more < 0 ? more : woken + more;
	}
	return woken;
}

/* ---- priority inheritance: owned words ---- */

static struct futex_waiter *first_pi(const struct futex_key *k, const struct futex_waiter *but)
{
	struct futex_waiter *w;

	list_for_each(w, bucket(k), link) if (w->pi && w != but && key_equal(&w->key, k)) return w;
	return NULL;
}

/* One attempt to take the word. 0: taken; 1: it belongs to *owner, who knows that there are waiters; -LINUX_EAGAIN:
 * look again; other errors. */
static int pi_try(struct task *task, gva_t addr, const struct futex_key *k, const struct futex_waiter *self,
		  bool trylock, struct task **owner)
{
	uint32_t word, seen, tid, new;
	int err = get_guest(task, &word, addr);

	if (err)
		return err;
	tid = word & LINUX_FUTEX_TID_MASK;
	if (tid == (uint32_t)task->tid)
		return -LINUX_EDEADLK;
	if (tid == 0) {
		new = (uint32_t)task->tid | (word & LINUX_FUTEX_OWNER_DIED) |
		      (first_pi(k, self) != NULL ? LINUX_FUTEX_WAITERS : 0);
		err = word_cmpxchg(task, addr, word, new, &seen);
		return err ? err : seen == word ? 0 : -LINUX_EAGAIN;
	}
	*owner = task_find((int32_t)tid);
	if (*owner == NULL)
		return -LINUX_ESRCH;
	/* Who ends, or has ended and is still to be reaped, hands it to those whom pi_exit finds; others take it. */
	if ((*owner)->exiting || (*owner)->dead) {
		new = (uint32_t)task->tid | LINUX_FUTEX_OWNER_DIED | (first_pi(k, self) != NULL ? LINUX_FUTEX_WAITERS : 0);
		err = word_cmpxchg(task, addr, word, new, &seen);
		return err ? err : seen == word ? 0 : -LINUX_EAGAIN;
	}
	if (trylock)
		return 1;
	if (word & LINUX_FUTEX_WAITERS)
		return 1;
	err = word_cmpxchg(task, addr, word, word | LINUX_FUTEX_WAITERS, &seen);
	if (err)
		return err;
	/* The exchange may have slept: the owner may be gone, or have asked for waiters before we were one. */
	return -LINUX_EAGAIN;
}

int64_t futex_lock_pi(struct task *task, gva_t addr, bool shared, uint64_t deadline, bool trylock)
{
	struct task *owner = NULL;
	struct futex_waiter w;
	struct futex_key k;
	int tries = 0, err;

	err = key_get(task, addr, shared, &k);
	if (err)
		return err;
	waiter_queue(&w, task, &k, LINUX_FUTEX_BITSET_MATCH_ANY);
	w.pi = true;
	w.addr = addr;
	for (;;) {
		err = pi_try(task, addr, &k, &w, trylock, &owner);
		if (w.given) {
			err = 0;
			break;
		}
		if (err == -LINUX_EAGAIN && ++tries < PI_TRIES && !task_dying(task))
			continue;
		if (err != 1)
			break;
		err = -LINUX_EAGAIN;
		if (trylock)
			break;
		w.pi_owner = owner;
		w.woken = false;
		err = task_block(task, WAIT_INTERRUPTIBLE, deadline);
		if (w.given) {
			err = 0;
			break;
		}
		/* Who queues here keeps the place: a wake-up without the word means try again. */
		if (err)
			break;
	}
	waiter_off(&w);
	return err == -LINUX_ERESTARTSYS ? -LINUX_ERESTARTNOINTR : err;
}

/* Gives the word, whose value is `word` now, to the first waiter or to nobody. 0, -LINUX_EAGAIN if it changed. */
static int pi_hand_over(struct task *task, gva_t addr, const struct futex_key *k, uint32_t word, uint32_t keep)
{
	words_are_old();
	for (int tries = 0; tries < PI_TRIES; tries++) {
		struct futex_waiter *w = first_pi(k, NULL);
		const struct task *heir = w != NULL ? w->task : NULL;
		uint32_t seen, new = keep;
		int err;

		if (w != NULL)
			new |= (uint32_t)heir->tid | (first_pi(k, w) != NULL ? LINUX_FUTEX_WAITERS : 0);
		err = word_cmpxchg(task, addr, word, new, &seen);
		if (err)
			return err;
		if (seen != word)
			return -LINUX_EAGAIN;
		if (w == NULL)
			return 0;
		/* The exchange may have slept and w be gone: then its tid stands in the word and the next must be found. */
		if (first_pi(k, NULL) == w && w->task == heir) {
			w->given = true;
			waiter_wake(w);
			return 0;
		}
		word = new;
	}
	return -LINUX_EAGAIN;
}

int64_t futex_unlock_pi(struct task *task, gva_t addr, bool shared)
{
	uint32_t expected = (uint32_t)task->tid, word;
	struct futex_key k;
	int err;

	err = key_get(task, addr, shared, &k);
	for (int tries = 0; !err && tries < PI_TRIES; tries++) {
		err = get_guest(task, &word, addr);
		if (err)
			break;
		if (tries == 0 && (word & LINUX_FUTEX_TID_MASK) != expected)
			return -LINUX_EPERM;
		err = pi_hand_over(task, addr, &k, word, 0);
		if (err != -LINUX_EAGAIN)
			break;
		err = 0;
	}
	return err;
}

/* The PI words that the task owned and others wait for go to the first of them, marked. */
static void pi_exit(struct task *task)
{
	for (unsigned b = 0; b < BUCKETS; b++) {
		struct futex_waiter *w;

		if (buckets[b].next == NULL)
			continue;
	again:
		list_for_each(w, &buckets[b], link)
		{
			struct futex_key k = w->key;
			uint32_t word;

			if (!w->pi || w->pi_owner != task)
				continue;
			w->pi_owner = NULL;
			/* Shared or not, the waiter is alive and its address names the word. */
			if (get_guest(w->task, &word, w->addr) == 0 &&
			    (word & LINUX_FUTEX_TID_MASK) == (uint32_t)task->tid && w->task->mm == task->mm && task->pt != NULL)
				(void)pi_hand_over(task, w->addr, &k, word, LINUX_FUTEX_OWNER_DIED); /* sleeps: w may be gone */
			else
				task_wake(w->task); /* it finds the owner gone */
			goto again;
		}
	}
}

/* ---- robust lists ---- */

/* The word at addr may still name the dead task as its owner. */
static int owner_died(struct task *task, gva_t addr, bool pi, bool pending)
{
	uint32_t word, seen, new;
	int err;

	if (addr.v % 4 != 0)
		return -LINUX_EINVAL;
	for (int tries = 0; tries < PI_TRIES; tries++) {
		err = get_guest(task, &word, addr);
		if (err)
			return err;
		/* It was released but nobody was woken yet. */
		if (pending && !pi && word == 0) {
			(void)futex_wake(task, addr, true, 1, LINUX_FUTEX_BITSET_MATCH_ANY);
			return 0;
		}
		if ((word & LINUX_FUTEX_TID_MASK) != (uint32_t)task->tid)
			return 0;
		if (pi) {
			struct futex_key k;

			err = key_get(task, addr, true, &k);
			if (err)
				return err;
			err = pi_hand_over(task, addr, &k, word, LINUX_FUTEX_OWNER_DIED);
			if (err != -LINUX_EAGAIN)
				return err;
			continue;
		}
		new = (word & LINUX_FUTEX_WAITERS) | LINUX_FUTEX_OWNER_DIED;
		err = word_cmpxchg(task, addr, word, new, &seen);
		if (err)
			return err;
		if (seen != word)
			continue;
		if (word & LINUX_FUTEX_WAITERS)
			(void)futex_wake(task, addr, true, 1, LINUX_FUTEX_BITSET_MATCH_ANY);
		return 0;
	}
	return -LINUX_EAGAIN;
}

static void robust_exit(struct task *task)
{
	struct linux_robust_list_head head;
	uint64_t entry, pending;

	if (task->robust_list.v == 0 || get_guest(task, &head, task->robust_list) != 0)
		return;
	entry = head.list;
	pending = head.list_op_pending;
	for (int i = 0; i < LINUX_ROBUST_LIST_LIMIT && (entry & ~1UL) != task->robust_list.v; i++) {
		uint64_t next;
		/* The next pointer first: once the word says so, another may take and free it. */
		bool more = get_guest(task, &next, GVA(entry & ~1UL)) == 0;

		if ((entry & ~1UL) != (pending & ~1UL) &&
		    owner_died(task, GVA((entry & ~1UL) + (uint64_t)head.futex_offset), entry & 1, false) != 0)
			return;
		if (!more)
			return;
		entry = next;
	}
	if ((pending & ~1UL) != 0)
		(void)owner_died(task, GVA((pending & ~1UL) + (uint64_t)head.futex_offset), pending & 1, true);
}

bool futex_robust_empty(struct task *task)
{
	struct linux_robust_list_head head;

	return task->robust_list.v == 0 || (get_guest(task, &head, task->robust_list) == 0 &&
					    head.list == task->robust_list.v && head.list_op_pending == 0);
}

void futex_exit_robust(struct task *task)
{
	robust_exit(task);
	task->robust_list = GVA_NULL;
	pi_exit(task);
}
