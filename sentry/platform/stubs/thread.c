/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stubs' threads, processes and address spaces: how they are made, found and ended.
 *
 * A new host thread is commanded with a random token in hand; it presents the token in its first call, which nothing of the guest's
 * can keep it from (STUB_CLONE_IP), and which binds the host's thread id to our object. Ids recycle in seconds, tokens don't.
 *
 *	spawn     the zygote stands in its clone until it is wanted, the token is put into its memory; the child asks to die with
 *	          us (with its token), maps its mailbox, and closes its descriptor: that is its arrival in the trap door
 *	fork      a thread clones its process as it comes into the trap door, if a fork is what its call looks like; the call that
 *	          waits is that clone. The child does the same; its parent says nothing, and is looked at when the child is there
 *	vfork     the child runs on its parent's thread: loan.c
 *	thread    an idle one of the process is taken; else a thread maps a new area, clones into it, and the child enters
 *	          the trap door with its token
 *
 * All host processes are our children (CLONE_PARENT), so a pid stays theirs until stubs_reap() has taken it. A
 * thread-group leader is never let go before its process (process_vm_readv by its id would fail): it stays parked.
 */
#include "sentry/platform/stubs/stubs.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/base/log.h"
#include "sentry/host/host.h"
#include "sentry/kernel/coroutine.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define CLONE_VM 0x100UL
#define CLONE_THREAD_FLAGS 0x50f00UL /* VM | FS | FILES | SIGHAND | THREAD | SYSVSEM */
#define CLONE_PARENT 0x8000UL
#define SIGCHLD 17UL
#define BIRTH_TRIES 16U /* how often a clone may be begun anew */

static struct list tid_table[1024];
static struct list new_threads = LIST_INIT(new_threads);
static struct list all_procs = LIST_INIT(all_procs);
static struct list spawn_queue = LIST_INIT(spawn_queue); /* platform_thread.proc_link: waits for the zygote */
static unsigned pool_count; /* clean stubs in stock or on their way */
static uint64_t zygote_call_id;
static bool zygote_is_ready, tables_ready;
int zygote_tid;
unsigned stubs_cpus = 1;

static struct list *tid_bucket(int tid)
{
	if (!tables_ready) {
		for (unsigned i = 0; i < ARRAY_LEN(tid_table); i++)
			list_init(&tid_table[i]);
		tables_ready = true;
	}
	return &tid_table[(unsigned)tid % ARRAY_LEN(tid_table)];
}

struct platform_thread *thread_find(int tid)
{
	struct platform_thread *pt;

	list_for_each (pt, tid_bucket(tid), tid_link)
		if (pt->tid == tid)
			return pt;
	return NULL;
}

/*
 * Spare areas. Mapping an area takes a trip through the stub with a descriptor, so one that is free again is kept, with its
 * mailbox, for the next thread or vfork child of the same address space. It never goes elsewhere: no other address space has
 * ever had the mailbox mapped (MADV_DONTFORK), and whoever shares this one could read and write it all along.
 */
#define SPARES_MAX 4U

struct spare_area {
	struct list link;
	unsigned area;
	struct mailbox *mailbox;
	int mailbox_fd;
};

static void spare_drop(struct spare_area *s)
{
	host_munmap(s->mailbox, MAILBOX_SIZE);
	host_close(s->mailbox_fd);
	kfree(s);
}

void spares_free(struct platform_mm *mm)
{
	while (!list_empty(&mm->spares)) {
		struct spare_area *s = list_first(&mm->spares, struct spare_area, link);

		list_del(&s->link);
		spare_drop(s);
	}
}

/* Takes over the area of a thread that is being freed, if it is worth it. */
static bool spare_keep(struct platform_thread *pt)
{
	struct platform_mm *mm = pt->proc->mm;
	struct spare_area *s;
	bool alive = false;
	struct host_proc *proc;

	if (!pt->area_mapped || !pt->gone || mm->nspares >= SPARES_MAX)
		return false;
	list_for_each (proc, &mm->procs, mm_link)
		alive |= proc != pt->proc && proc->pid != 0 && !proc->killed;
	s = alive || !pt->proc->killed ? kmalloc(sizeof(*s)) : NULL;
	if (s == NULL)
		return false;
	s->area = pt->area;
	s->mailbox = pt->mailbox;
	s->mailbox_fd = pt->mailbox_fd;
	list_add(&mm->spares, &s->link);
	mm->nspares++;
	return true;
}

/* The thread gets a spare area's mailbox and place, if there is one. */
static bool spare_take(struct platform_mm *mm, struct platform_thread *pt)
{
	struct spare_area *s;

	if (mm->nspares == 0)
		return false;
	s = list_first(&mm->spares, struct spare_area, link);
	list_del(&s->link);
	mm->nspares--;
	pt->area = s->area;
	pt->area_mapped = true;
	pt->mailbox = s->mailbox;
	pt->mailbox_fd = s->mailbox_fd;
	gate_fresh(pt);
	kfree(s);
	return true;
}

/* mm: whose spare areas may be used, or NULL. */
struct platform_thread *thread_new(struct task *task, struct platform_mm *mm)
{
	struct platform_thread *pt = kzalloc(sizeof(*pt));
	uint64_t random[3];

	if (pt == NULL)
		return NULL;
	list_init(&pt->proc_link);
	list_init(&pt->tid_link);
	list_init(&pt->new_link);
	list_init(&pt->gate_link);
	list_init(&pt->narrow_link);
	pt->task = task;
	stubs_thread_timer_init(pt);
	if (mm != NULL && spare_take(mm, pt))
		goto token;
	pt->mailbox_fd = mailbox_make(&pt->mailbox);
	if (pt->mailbox_fd < 0)
		goto fail;
token:
	do {
		if (host_getrandom(random, sizeof(random)) < 0)
			goto unmap;
		pt->token = random[0] >> 8; /* a reply must not look like an error */
	} while (pt->token == 0);
	pt->salt = random[1];
	pt->fork_token = transport != NULL && transport->chooses_number ? random[2] >> 8 : 0;
	pt->mailbox->token = pt->token;
	pt->mailbox->fork_token = pt->fork_token;
	list_add_tail(&new_threads, &pt->new_link);
	return pt;
unmap:
	mailbox_drop(pt);
	if (pt->area_mapped)
		mm->areas[pt->area / 64] &= ~(1ULL << (pt->area % 64));
fail:
	kfree(pt);
	return NULL;
}

static struct platform_thread *new_thread(uint64_t token)
{
	struct platform_thread *pt;

	if (token != 0)
		list_for_each (pt, &new_threads, new_link)
			if (pt->token == token)
				return pt;
	return NULL;
}

bool thread_awaited(uint64_t token)
{
	return new_thread(token) != NULL;
}

struct platform_thread *thread_claim(uint64_t token)
{
	struct platform_thread *pt = new_thread(token);

	if (pt != NULL) {
		list_del(&pt->new_link);
		pt->token = 0;
	}
	return pt;
}

struct host_proc *proc_new(int pid, struct platform_mm *mm)
{
	struct host_proc *proc = kzalloc(sizeof(*proc));

	if (proc == NULL)
		return NULL;
	proc->pid = pid;
	proc->mm = mm;
	stubs_mm_get(mm);
	list_init(&proc->threads);
	list_add_tail(&mm->procs, &proc->mm_link);
	list_add_tail(&all_procs, &proc->all_link);
	return proc;
}

static struct platform_mm *mm_create(void)
{
	struct platform_mm *mm = kzalloc(sizeof(*mm));

	if (mm == NULL)
		return NULL;
	ref_init(&mm->ref);
	list_init(&mm->procs);
	list_init(&mm->dying);
	list_init(&mm->spares);
	list_init(&mm->windows);
	return mm;
}

/* Binds a claimed thread to its host id. A process's first thread finds its (prepared) process object waiting. */
int thread_bind(struct platform_thread *pt, int tid)
{
	if (pt->proc == NULL || thread_find(tid) != NULL)
		return -LINUX_ESRCH;
	/* A new process must be the leader of its own, a new thread lie in the process that was told to make it: a token read
	 * by an accomplice in another process is worth nothing. */
	if (host_tgkill(pt->proc->pid != 0 ? pt->proc->pid : tid, tid, 0) < 0)
		return -LINUX_ESRCH;
	ktimer_cancel(&pt->kick_timer);
	pt->tid = tid;
	if (pt->proc->pid == 0)
		pt->proc->pid = tid;
	list_add_tail(tid_bucket(tid), &pt->tid_link);
	return 0;
}

void thread_died(struct platform_thread *pt)
{
	thread_set_state(pt, THREAD_DEAD);
	if (pt->gate_waits) {
		pt->gate_waits = false;
		stubs_waiting--;
	}
	gate_gone(pt);
	ktimer_cancel(&pt->kick_timer);
	place_drop(pt);
	list_del(&pt->tid_link);
	list_del(&pt->new_link);
	if (pt->task != NULL)
		sched_ready(pt->task);
}

static void proc_put(struct host_proc *proc)
{
	if (!list_empty(&proc->threads) || proc->pid != 0 || proc->ending)
		return;
	list_del(&proc->mm_link);
	list_del(&proc->all_link);
	stubs_mm_put(proc->mm);
	kfree(proc);
}

uint64_t gate_local_total(void)
{
	uint64_t sum = gate_counts.local;
	struct platform_thread *pt;
	struct host_proc *proc;

	list_for_each (proc, &all_procs, all_link)
		list_for_each (pt, &proc->threads, proc_link)
			sum += gate_local_calls(pt);
	return sum;
}

static uint64_t bytes_in(int fd)
{
	int64_t size, blocks;

	return host_fstat_blocks(fd, &size, &blocks) == 0 ? (uint64_t)blocks * 512 : 0;
}

/* What mailboxes hold, not how large they are. */
uint64_t stubs_shared_bytes(void)
{
	const struct platform_thread *pt;
	const struct spare_area *s;
	struct host_proc *proc;
	uint64_t sum = mailbox_stock_bytes(bytes_in);

	list_for_each (proc, &all_procs, all_link) {
		list_for_each(pt, &proc->threads, proc_link)
			sum += bytes_in(pt->mailbox_fd);
		if (list_first(&proc->mm->procs, struct host_proc, mm_link) == proc)
			list_for_each(s, &proc->mm->spares, link)
				sum += bytes_in(s->mailbox_fd);
	}
	return sum;
}

void thread_free(struct platform_thread *pt)
{
	struct host_proc *proc = pt->proc;

	invariant(pt->loan == NULL);
	if (pt->state != THREAD_DEAD)
		thread_died(pt);
	if (pt->pooled)
		pool_count--;
	if (pt->idle) {
		proc->nidle--;
		stubs_idle--;
	}
	list_del(&pt->proc_link);
	gate_counts.local += gate_local_calls(pt);
	gate_gone(pt);
	windows_gone(pt);
	if (proc == NULL || !spare_keep(pt)) {
		if (proc != NULL)
			proc->mm->areas[pt->area / 64] &= ~(1ULL << (pt->area % 64));
		mailbox_drop(pt);
	}
	kfree(pt->expected);
	kfree(pt->queue);
	kfree(pt);
	if (proc != NULL)
		proc_put(proc);
}

void thread_ended(struct platform_thread *pt)
{
	pt->gone = true;
	thread_free(pt);
}

void proc_kill(struct host_proc *proc)
{
	if (proc->killed || proc->pid == 0)
		return;
	place_end(proc);
	proc->killed = true;
	host_kill(proc->pid, LINUX_SIGKILL);
}

/* A child of ours has ended for good: the host process that it was, or (ptrace) one of its threads. */
void stubs_child_ended(int pid, int status)
{
	struct platform_thread *pt, *tmp;
	struct host_proc *proc, *next;

	if (pid == zygote_tid)
		zygote_gone(status);
	list_for_each_safe (proc, next, &all_procs, all_link) {
		if (proc->pid != pid)
			continue;
		proc->pid = 0;
		proc->killed = proc->ending = true;
		list_for_each_safe (pt, tmp, &proc->threads, proc_link) {
			pt->gone = true;
			if (pt->task != NULL)
				thread_died(pt);
			else
				thread_free(pt);
		}
		proc->ending = false;
		proc_put(proc);
		return;
	}
	/* None that has said HELLO. Only now may a claim count: the guest could name any process, and that one's end must not
	 * be missed, for its number will be used again. */
	list_for_each_safe (pt, tmp, &new_threads, new_link) {
		if (pt->makes_process && pt->claimed_pid == pid) {
			thread_died(pt);
			return;
		}
	}
}

static uint64_t cpu_total;

/* The process has used so much in all. */
static void account_cpu(struct host_proc *proc, uint64_t cpu_ns)
{
	if (cpu_ns > proc->cpu_ns) {
		cpu_total += cpu_ns - proc->cpu_ns;
		proc->cpu_ns = cpu_ns;
	}
}

void stubs_account_end(int pid, uint64_t cpu_ns)
{
	struct host_proc *proc;

	list_for_each (proc, &all_procs, all_link)
		if (proc->pid == pid)
			account_cpu(proc, cpu_ns);
}

uint64_t stubs_cpu_ns(void)
{
	struct host_proc *proc;

	list_for_each (proc, &all_procs, all_link)
		if (proc->pid != 0)
			account_cpu(proc, host_clock_ns(PROCESS_CPUCLOCK(proc->pid, 2)));
	return cpu_total;
}

static struct platform_thread *idle_find(const struct platform_thread *parent, uint64_t gs_base);

uint32_t stubs_leaving(const struct task *maker)
{
	struct platform_thread *pt, *tmp, *taken = NULL;
	struct host_proc *proc, *next;
	uint32_t n = 0;

	if (stubs_exiting + stubs_idle == 0)
		return 0;
	if (maker != NULL && maker->pt != NULL && maker->pt->proc != NULL && maker->pt->loan == NULL)
		taken = idle_find(maker->pt, 0);
	list_for_each_safe (proc, next, &all_procs, all_link) {
		if (proc->pid == 0)
			continue;
		list_for_each_safe (pt, tmp, &proc->threads, proc_link) {
			n += pt->idle && pt != taken && !proc->killed && !stubs_has_call(pt);
			if (pt->state != THREAD_EXITING)
				continue;
			if (host_tgkill(proc->pid, pt->tid, 0) == 0)
				n++;
			else
				thread_free(pt);
		}
	}
	return n;
}

void stubs_reap(void)
{
	uint64_t cpu_ns;
	int pid, status;

	if (platform == &ptrace_platform) {
		ptrace_reap();
		return;
	}
	while ((pid = host_wait_usage(&status, &cpu_ns)) > 0) {
		stubs_account_end(pid, cpu_ns);
		stubs_child_ended(pid, status);
	}
}

struct task *stubs_task_of(int pid)
{
	struct platform_thread *pt;
	struct host_proc *proc;

	list_for_each (proc, &all_procs, all_link) {
		if (proc->pid != pid)
			continue;
		list_for_each (pt, &proc->threads, proc_link)
			if (pt->task != NULL)
				return pt->task;
	}
	return NULL;
}

bool stubs_where(const struct task *task, int *pid, int *tid)
{
	const struct platform_thread *pt = task->pt;

	if (pt == NULL || pt->proc == NULL || pt->tid == 0)
		return false;
	*pid = pt->proc->pid;
	*tid = pt->tid;
	return true;
}

bool stubs_gate_place(const struct task *task, uint64_t *ip, uint64_t *sp)
{
	struct platform_thread *pt = task->pt;
	uint64_t local;

	if (pt == NULL || pt->proc == NULL || pt->state != THREAD_GATE || pt->begins)
		return false;
	local = STUB_AREAS + pt->area * AREA_SIZE + AREA_LOCAL;
	*ip = pt->event.ip;
	return stubs_transfer(pt, false, sp, local + offsetof(struct gate_local, rsp), sizeof(*sp)) == 0;
}

void stubs_kill_all(void)
{
	struct host_proc *proc;

	list_for_each (proc, &all_procs, all_link)
		proc_kill(proc);
	if (zygote_tid > 0)
		host_kill(zygote_tid, LINUX_SIGKILL);
}

/* ---- the zygote ---- */

/* The zygote stands in its clone until one is wanted. */
static void zygote_next(void)
{
	struct platform_thread *pt;
	struct iovec local, remote;

	if (!zygote_is_ready || list_empty(&spawn_queue))
		return;
	pt = list_first(&spawn_queue, struct platform_thread, new_link);
	local = (struct iovec){&pt->token, sizeof(pt->token)};
	remote = (struct iovec){(void *)(STUB_AREAS + AREA_LOCAL + offsetof(struct gate_local, token)), sizeof(pt->token)}; // NOLINT
	zygote_is_ready = false;
	list_move_tail(&new_threads, &pt->new_link);
	place_birth(NULL, pt);
	/* Into its memory, of which the clone gets a copy. Without it the new process is nobody, and ends. */
	(void)host_process_vm_writev(zygote_tid, &local, 1, &remote, 1);
	transport->proceed(zygote_call_id);
}

void zygote_ready(uint64_t call_id)
{
	zygote_call_id = call_id;
	zygote_is_ready = true;
	zygote_next();
}

bool zygote_waits(void)
{
	return zygote_is_ready;
}

/* Asks the zygote for a clean stub; it arrives with a full event. task NULL: for the pool. */
static struct platform_thread *spawn_begin(struct task *task)
{
	struct platform_mm *mm = mm_create();
	struct platform_thread *pt;

	if (mm == NULL)
		return NULL;
	pt = thread_new(task, NULL);
	if (pt == NULL)
		goto put_mm;
	pt->makes_process = pt->spawned = true;
	pt->proc = proc_new(0, mm);
	if (pt->proc == NULL)
		goto free_thread;
	list_add_tail(&pt->proc->threads, &pt->proc_link);
	mm->futex_salt = pt->salt;
	mm->areas[0] |= 1;
	mm->areas_made = 1;
	stubs_mm_put(mm); /* the process holds it */
	list_move_tail(&spawn_queue, &pt->new_link);
	zygote_next();
	return pt;
free_thread:
	thread_free(pt);
put_mm:
	stubs_mm_put(mm);
	return NULL;
}

/*
 * Clean stubs in stock. A program that executes others will do so again: after each exec one stub is made ready while the
 * program runs, so that the next one need not wait for a clone. Nothing is in stock before the first exec that takes one
 * while others run, and what isn't used for a second is let go.
 */
#define POOL_MAX 2
#define POOL_IDLE NSEC_PER_SEC
/* With so few CPUs there is none that the zygote could use meanwhile: the sentry is only pulled to and fro. */
#define POOL_CPUS 2

static struct list pool = LIST_INIT(pool); /* platform_thread.new_link */
static struct ktimer pool_timer;

static void pool_shrink(struct ktimer *t)
{
	(void)t;
	while (!list_empty(&pool)) {
		struct platform_thread *pt = list_first(&pool, struct platform_thread, new_link);

		list_del(&pt->new_link);
		pt->pooled = false;
		pool_count--;
		proc_kill(pt->proc);
	}
}

void pool_add(struct platform_thread *pt)
{
	list_del(&pt->new_link);
	list_add_tail(&pool, &pt->new_link);
}

static struct platform_thread *pool_take(struct task *task)
{
	struct platform_thread *pt;

	if (list_empty(&pool))
		return NULL;
	pt = list_first(&pool, struct platform_thread, new_link);
	list_del(&pt->new_link);
	pt->pooled = false;
	pt->task = task;
	pool_count--;
	return pt;
}

static void pool_fill(void)
{
	static bool first = true;

	if (first) { /* the sandbox's first program: perhaps its only one */
		first = false;
		ktimer_init(&pool_timer, pool_shrink);
		return;
	}
	if (pool_count < POOL_MAX && stubs_cpus > POOL_CPUS) {
		struct platform_thread *pt = spawn_begin(NULL);

		if (pt != NULL) {
			pt->pooled = true;
			pool_count++;
		}
	}
	ktimer_set(&pool_timer, loop_now() + POOL_IDLE);
}

struct platform_thread *stubs_spawn(struct task *task, int *err)
{
	struct platform_thread *pt = pool_take(task);

	if (pt == NULL)
		pt = spawn_begin(task);
	if (pt == NULL) {
		*err = -LINUX_ENOMEM;
		return NULL;
	}
	/* The host may kill it before it has said a word: then nobody else tells. */
	if (pt->state == THREAD_NEW)
		ktimer_set(&pt->kick_timer, loop_now() + COMMAND_DEADLINE);
	if (!stubs_wait(pt, &pt->event_ready)) {
		thread_free(pt);
		*err = -LINUX_ENOMEM;
		return NULL;
	}
	pt->event_ready = false;
	*err = 0;
	return pt;
}

void stubs_exec_commit(struct task *task, struct platform_thread *pt, const struct regs *regs)
{
	struct platform_thread *old = task->pt;

	invariant(pt->state == THREAD_FULL || pt->state == THREAD_DEAD);
	pt->task = task;
	pt->regs = *regs;
	task->pt = pt;
	if (task->affinity != UINT64_MAX)
		stubs_set_affinity(pt, task->affinity);
	pool_fill();
	if (old != NULL && !stubs_give_back(task, old)) {
		old->task = NULL;
		if (old->proc != NULL && old->proc->pid != 0)
			proc_kill(old->proc);
		else
			thread_free(old);
	}
}

/* ---- clones ---- */

static int area_alloc(struct platform_mm *mm)
{
	struct platform_thread *pt, *tmp;

	list_for_each_safe (pt, tmp, &mm->dying, new_link)
		if (pt->proc == NULL || pt->proc->pid == 0 || host_tgkill(pt->proc->pid, pt->tid, 0) < 0)
			thread_ended(pt);
	for (unsigned i = 0; i < ARRAY_LEN(mm->areas); i++) {
		if (mm->areas[i] != UINT64_MAX) {
			unsigned bit = (unsigned)__builtin_ctzll(~mm->areas[i]);

			mm->areas[i] |= 1ULL << bit;
			mm->areas_made = MAX(mm->areas_made, i * 64 + bit + 1);
			return (int)(i * 64 + bit);
		}
	}
	return -LINUX_EAGAIN;
}

/* Queues the calls that map a new area in the parent's address space: stack, then the mailbox. */
static int queue_area(struct platform_thread *parent, struct platform_thread *pt)
{
	uint64_t base = STUB_AREAS + pt->area * AREA_SIZE;
	struct native_call stack = {
		.cmd = {SYS_mmap, {base + MAILBOX_SIZE, AREA_SIZE - MAILBOX_SIZE, 3, 0x4032, (uint64_t)-1, 0}},
		.host_fd = -1,
	};
	struct native_call mailbox = {
		.cmd = {SYS_mmap, {base, MAILBOX_SIZE, 3, 0x11, 0, 0}},
		.host_fd = pt->mailbox_fd,
	};
	struct native_call dontfork = {
		.cmd = {SYS_madvise, {base, MAILBOX_SIZE, 10, 0, 0, 0}},
		.host_fd = -1,
	};
	int err;

	if ((err = native_queue_call(parent, &stack)) < 0 || (err = native_queue_call(parent, &mailbox)) < 0 ||
	    (err = native_queue_call(parent, &dontfork)) < 0)
		return err;
	return 0;
}

/* In a fork's child the other threads' mailboxes are holes, where the host would place what a guest maps by itself; their
 * stacks are dead memory. A failure harms nobody: it stays as it is. */
static void queue_reserve(struct platform_thread *pt, unsigned first, unsigned end)
{
	struct native_call call = {
		.cmd = {SYS_mmap,
			{STUB_AREAS + first * AREA_SIZE, (end - first) * AREA_SIZE, 0, 0x4032, (uint64_t)-1, 0}},
		.host_fd = -1,
	};

	if (first < end)
		(void)native_queue_call(pt, &call);
}

/* A fork or vfork copies the descriptor table: what another thread was being handed in that moment is in the copy, too. */
static void queue_close_all(struct platform_thread *pt)
{
	struct native_call low = {.cmd = {SYS_close_range, {0, ~0U, 0}}, .host_fd = -1};
	struct native_call high = {.cmd = {SYS_close_range, {STUB_SOCKET_FD + 1, ~0U, 0}}, .host_fd = -1};

	if (platform == &ptrace_platform)
		low.cmd.args[1] = STUB_SOCKET_FD - 1;
	(void)native_queue_call(pt, &low);
	if (platform == &ptrace_platform)
		(void)native_queue_call(pt, &high);
}

/*
 * Idle threads. A thread that ends stays where its call is, in the shim or the trap door, and waits for the next thread that its
 * process makes: nothing needs to be mapped, cloned or announced then. It is a thread of the same process, with the same mailbox
 * at the same place, known by the same host id; its registers and vector state are the new thread's. One that waits in the shim
 * has its %gs base there. As long as only its box says that it waits it may be running, and counts as a task does (stubs_leaving):
 * it has ten seconds to come and wait, but may be taken before, again and again.
 */
#define IDLE_MAX 4U

/* It stands in its `exit`, in the shim. */
static bool in_exit(const struct platform_thread *pt)
{
	return pt->state == THREAD_GATE && pt->event.kind == PLATFORM_SYSCALL && pt->event.nr == SYS_exit;
}

/* Keeps a thread whose task has ended, if it can be used again. */
static bool idle_keep(struct platform_thread *pt)
{
	if (pt->proc->nidle >= IDLE_MAX || pt->nqueue != 0 || pt->pinned || pt->tid == pt->proc->pid)
		return false;
	if (pt->state == THREAD_GATE && (pt->kicked || !in_exit(pt))) /* it would come by the trap door; its call is another */
		return false;
	pt->idle = true;
	pt->event_ready = false;
	pt->proc->nidle++;
	stubs_idle++;
	return true;
}

static struct platform_thread *idle_find(const struct platform_thread *parent, uint64_t gs_base)
{
	const struct host_proc *proc = parent->proc;
	struct platform_thread *pt;

	if (proc->nidle == 0 || parent->pinned)
		return NULL;
	list_for_each (pt, &proc->threads, proc_link)
		if (pt->idle && (pt->state == THREAD_FULL || (pt->state == THREAD_GATE && gs_base == 0)))
			return pt;
	return NULL;
}

static struct platform_thread *idle_take(struct platform_thread *parent, const struct regs *regs)
{
	struct platform_thread *pt = idle_find(parent, regs->gs_base);
	int err;

	gate_idlers(parent, pt != NULL);
	if (pt == NULL)
		return NULL;
	pt->clean_fp = false; /* what was prepared for the task that ended */
	pt->fp_from = 0;
	err = parent->state == THREAD_FULL && pt->state == THREAD_FULL ? stubs_fpstate_copy(parent, pt) :
									 stubs_fpstate_hand(parent, pt);
	if (err < 0)
		return NULL;
	pt->idle = false;
	parent->proc->nidle--;
	stubs_idle--;
	gate_fresh(pt);
	if (pt->state == THREAD_GATE) { /* its call was `exit`: it begins anew with its regs when that is answered */
		pt->jumps = pt->begins = true;
		pt->nsegs = pt->nouts = pt->data_used = 0;
	}
	return pt;
}

/* A clone that has come by the gate needs no more than that: its regs are what went along (call_regs). */
bool stubs_clone_waits(const struct task *parent)
{
	const struct platform_thread *pt = parent->pt;

	return pt != NULL && pt->state == THREAD_GATE && pt->loan == NULL &&
	       (pt->event.nr == SYS_clone || pt->event.nr == SYS_clone3) && idle_find(pt, 0) != NULL;
}

int stubs_clone(struct task *parent_task, struct task *child_task, enum platform_clone_kind kind,
		 const struct regs *regs)
{
	struct platform_thread *parent = parent_task->pt, *pt;
	struct platform_mm *mm;
	uint64_t windows_before = 0;
	int err, area;

	invariant(parent != NULL);
	if (parent->state != THREAD_FULL && (parent->state != THREAD_GATE || kind != PLATFORM_CLONE_THREAD))
		return -LINUX_EAGAIN;
	if (kind == PLATFORM_CLONE_THREAD && parent->loan != NULL) {
		err = stubs_move_out(parent_task);
		if (err < 0)
			return err;
		parent = parent_task->pt;
	}
	mm = parent->proc->mm;
	pt = kind == PLATFORM_CLONE_THREAD ? idle_take(parent, regs) : NULL;
	if (pt != NULL) {
		gate_woken_by(pt, parent);
		pt->regs = *regs;
		pt->task = child_task;
		child_task->pt = pt;
		return 0;
	}
	if (parent->state != THREAD_FULL)
		return -LINUX_EAGAIN;
	if (kind == PLATFORM_CLONE_VFORK && stubs_lend(parent_task, child_task, regs))
		return 0;
	pt = thread_new(parent_task, kind == PLATFORM_CLONE_FORK ? NULL : mm); /* the parent waits for it */
	if (pt == NULL)
		return -LINUX_ENOMEM;
	err = -LINUX_ENOMEM;
	if (kind == PLATFORM_CLONE_FORK) {
		struct platform_mm *copy = mm_create();

		if (copy == NULL)
			goto fail;
		pt->makes_process = true;
		pt->area = parent->area;
		/* The other threads' areas are dead memory in the copy; they may be used anew. */
		copy->areas[pt->area / 64] |= 1ULL << (pt->area % 64);
		copy->areas_made = pt->area + 1;
		copy->futex_salt = pt->salt;
		pt->proc = proc_new(0, copy);
		stubs_mm_put(copy);
		if (pt->proc == NULL)
			goto fail;
		list_add_tail(&pt->proc->threads, &pt->proc_link);
		parent->proc->cloned = true;
		if (parent->held && parent->held_clone) {
			/* Its clone waits already: the token is the one that it knows. The one that was made is for the next time. */
			uint64_t next = pt->token;

			pt->token = pt->mailbox->token = parent->fork_token;
			parent->fork_token = parent->mailbox->fork_token = next;
		} else {
			parent->mailbox->token = pt->token;
		}
		parent->birth = (struct birth){CLONE_PARENT | SIGCHLD, pt->token, 0, BIRTH_TRIES};
		parent->mailbox->aloud = 0;
		place_birth(parent, pt);
		windows_before = windows_before_fork(mm);
		stubs_action(parent, STUB_FORK, THREAD_CLONING);
	} else {
		uint64_t flags = kind == PLATFORM_CLONE_THREAD ? CLONE_THREAD_FLAGS : CLONE_VM | CLONE_PARENT | SIGCHLD;

		if (!pt->area_mapped) {
			area = area_alloc(mm);
			if (area < 0) {
				err = area;
				goto fail;
			}
			pt->area = (unsigned)area;
		}
		if (kind == PLATFORM_CLONE_THREAD) {
			pt->proc = parent->proc;
			pt->proc->several = true;
		} else {
			pt->proc = proc_new(0, mm);
			if (pt->proc == NULL)
				goto free_area;
		}
		list_add_tail(&pt->proc->threads, &pt->proc_link);
		err = pt->area_mapped ? 0 : queue_area(parent, pt);
		if (err == 0)
			err = native_flush(parent_task, parent);
		if (err < 0)
			goto free_area;
		pt->area_mapped = true;
		if (kind != PLATFORM_CLONE_THREAD)
			mailbox_vm_child();
		parent->proc->cloned = true;
		parent->birth = (struct birth){flags, pt->token, STUB_AREAS + pt->area * AREA_SIZE, BIRTH_TRIES};
		parent->mailbox->clone_flags = flags;
		parent->mailbox->clone_area = parent->birth.area;
		if (kind != PLATFORM_CLONE_THREAD)
			place_birth(parent, pt);
		stubs_action(parent, STUB_CLONE, THREAD_CLONING);
	}
	place_inherit(parent, pt);
	/* The parent reports the result, the child its arrival, in either order. Of a fork's parent nobody else tells us. */
	while (kind == PLATFORM_CLONE_FORK && !parent->event_ready && !pt->event_ready && parent->state != THREAD_DEAD &&
	       pt->state != THREAD_DEAD)
		coroutine_suspend();
	if (kind == PLATFORM_CLONE_FORK && !parent->event_ready)
		gate_look(parent);
	if (!stubs_wait(parent, &parent->event_ready)) {
		err = -LINUX_ESRCH;
		goto orphan;
	}
	parent->event_ready = false;
	if (parent->result < 0) {
		err = parent->result == -LINUX_ENOMEM ? -LINUX_ENOMEM : -LINUX_EAGAIN;
		goto free_area;
	}
	/* It may have died before it said a word (a guest that took the stub's memory from it): then nobody else tells. */
	pt->claimed_pid = parent->result <= INT32_MAX ? (int)parent->result : 0;
	if (pt->makes_process && pt->state == THREAD_NEW && pt->claimed_pid > 1 &&
	    host_kill(pt->claimed_pid, 0) == -LINUX_ESRCH)
		thread_died(pt);
	if (pt->state == THREAD_NEW)
		ktimer_set(&pt->kick_timer, loop_now() + KICK_DEADLINE);
	while (!pt->event_ready && pt->state != THREAD_DEAD && parent->state != THREAD_DEAD)
		coroutine_suspend();
	if (pt->state == THREAD_DEAD) {
		err = -LINUX_EAGAIN;
		goto fail;
	}
	if (!pt->event_ready) {
		err = -LINUX_EAGAIN;
		goto orphan;
	}
	pt->event_ready = false;
	if (kind == PLATFORM_CLONE_FORK)
		windows_forked(mm, pt, windows_before); /* first: it may not be left out */
	if (kind != PLATFORM_CLONE_THREAD && parent->proc->several)
		queue_close_all(pt);
	if (kind == PLATFORM_CLONE_FORK) {
		queue_reserve(pt, 0, pt->area);
		queue_reserve(pt, pt->area + 1, mm->areas_made);
	}
	pt->regs = *regs;
	pt->task = child_task;
	child_task->pt = pt;
	return 0;
orphan:
	/* It may still come, as a stranger. What has a process that lives ends with it; nobody else frees the rest. */
	pt->task = NULL;
	list_del(&pt->new_link);
	if (pt->proc->pid == 0)
		thread_free(pt);
	else if (pt->proc != parent->proc)
		proc_kill(pt->proc);
	return err;
free_area:
	if (kind != PLATFORM_CLONE_FORK && pt->proc == NULL)
		mm->areas[pt->area / 64] &= ~(1ULL << (pt->area % 64));
fail:
	/* Nothing was made, or nobody came, as the guest says. Who comes now with that token is nobody, and ends; who has come already
	 * does, too, and is freed then. */
	pt->task = NULL;
	if (pt->tid == 0 || pt->proc->pid == 0)
		thread_free(pt);
	else
		proc_kill(pt->proc);
	return err;
}

void stubs_thread_exit(struct task *task)
{
	struct platform_thread *pt = task->pt, *other;
	bool alone = true;

	task->pt = NULL;
	if (task->loan != NULL)
		stubs_loan_end(task);
	if (pt == NULL || stubs_give_back(task, pt))
		return;
	pt->task = NULL;
	if (pt->state == THREAD_DEAD) {
		thread_free(pt);
		return;
	}
	windows_gone(pt);
	list_for_each (other, &pt->proc->threads, proc_link)
		if (other != pt && other->task != NULL)
			alone = false;
	if (alone) {
		proc_kill(pt->proc);
		return;
	}
	/* One that is killed alone could be neither ended nor counted: see kill_thread in seccomp.c. */
	if (pt->tid != pt->proc->pid && pt->state != THREAD_FULL && pt->state != THREAD_GATE && !task_dying(task)) {
		proc_kill(pt->proc);
		return;
	}
	/* The leader stays parked until the process goes, and so does, if that is soon, a thread that could only end by a trip
	 * through the host. If only their box says that they wait (another thread can write there), they must come and do it: else
	 * they would run, and nobody count them. */
	if (pt->begins) /* its task has never run: it is still in the one before's */
		pt->begins = pt->jumps = false;
	if (pt->tid == pt->proc->pid || (pt->state != THREAD_FULL && !in_exit(pt) && task_dying(task)) || idle_keep(pt)) {
		if (pt->state != THREAD_PLAIN && pt->state != THREAD_PARKED && !stubs_has_call(pt) && !pt->kick_timer.armed)
			ktimer_set(&pt->kick_timer, loop_now() + KICK_DEADLINE);
		if (pt->idle && (pt->by_box || pt->state == THREAD_GATE))
			gate_idle(pt);
		return;
	}
	uint64_t args[6] = {0};

	place_drop(pt); /* its number may be another's soon */
	stubs_expect(pt, SYS_exit, 1, args);
	list_add_tail(&pt->proc->mm->dying, &pt->new_link);
	if (pt->state == THREAD_GATE)
		gate_reply(pt, GATE_EXIT, 0, THREAD_EXITING);
	else
		stubs_action(pt, STUB_EXIT, THREAD_EXITING);
}

void stubs_thread_kill(struct platform_thread *pt)
{
	pt->task = NULL;
	if (pt->proc != NULL && pt->proc->pid != 0)
		proc_kill(pt->proc);
	else
		thread_free(pt);
}

void stubs_set_resident(int pid, uint64_t bytes)
{
	struct host_proc *proc;

	list_for_each (proc, &all_procs, all_link)
		if (proc->pid == pid)
			proc->resident = bytes;
}
