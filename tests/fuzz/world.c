/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole kernel in this process: a platform whose threads run no code. A task's next event is the next call that the
 * target gives it; memory is one window that all address spaces show (writes to high addresses, where stacks and
 * programs of execve lie, are taken and forgotten). The clock stands still but for what reading it costs, and jumps
 * when everybody sleeps. Who sleeps for ever, or for too many turns, is killed: then it must be gone soon, which is
 * checked.
 */
#include "tests/fuzz/fuzz.h"

#include "runtime/config.h"
#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/memfs.h"
#include "sentry/fs/pseudo_mounts.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/loop_internal.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/time.h"
#include "sentry/mm/mm.h"
#include "sentry/net/net.h"
#include "sentry/platform/platform.h"
#include "sentry/platform/stubs/stubs.h"
#include "sentry/vfs/modify.h"
#include "sentry/vfs/vfs.h"
#include "syscalls/dispatch.h"

#define TURNS 200        /* of a run, before everybody is killed */
#define SLEEPS 16        /* jumps of the clock in a run */
#define SLEEP_MAX ((int64_t)(24 * 3600 * NSEC_PER_SEC))
#define DEATH_TURNS 5000 /* within which the killed must be gone */
#define FPSTATE 832
#define HIGH 0x500000000000UL
#define GROWTH_MAX (256 * MiB)

uint8_t window[GUEST_WINDOW_SIZE];
bool (*world_next_call)(struct task *task, int *nr, uint64_t args[6]);
static unsigned sleeps;
static bool stuck;
static uint32_t tasks_at_rest; /* init */

/* ---- the platform ---- */

struct fake_mm {
	struct ref ref;
};
struct fake_thread {
	struct fake_mm *mm;
	struct regs regs;
	bool full;
};

static struct fake_thread *thread_of(const struct task *task)
{
	return (struct fake_thread *)task->pt;
}
static struct fake_mm *fake_mm_new(void)
{
	struct fake_mm *mm = kzalloc(sizeof(*mm));

	if (mm != NULL)
		ref_init(&mm->ref);
	return mm;
}
static void fake_mm_get(struct platform_mm *pmm)
{
	ref_get(&((struct fake_mm *)pmm)->ref);
}
static void fake_mm_put(struct platform_mm *pmm)
{
	if (ref_put(&((struct fake_mm *)pmm)->ref))
		kfree(pmm);
}
static struct fake_thread *thread_make(struct fake_mm *mm)
{
	struct fake_thread *pt = kzalloc(sizeof(*pt));

	if (pt == NULL)
		return NULL;
	fake_mm_get((struct platform_mm *)mm);
	pt->mm = mm;
	pt->full = true;
	return pt;
}
static void fake_thread_kill(struct platform_thread *pt)
{
	fake_mm_put((struct platform_mm *)((struct fake_thread *)pt)->mm);
	kfree(pt);
}
struct platform_thread *world_thread(void)
{
	struct fake_mm *mm = fake_mm_new();
	struct fake_thread *pt = mm != NULL ? thread_make(mm) : NULL;

	if (mm != NULL)
		fake_mm_put((struct platform_mm *)mm);
	return (struct platform_thread *)pt;
}
void world_thread_free(struct platform_thread *pt)
{
	fake_thread_kill(pt);
}
static void fake_next_event(struct task *task, struct platform_event *ev)
{
	struct fake_thread *pt = thread_of(task);

	memset(ev, 0, sizeof(*ev));
	ev->kind = PLATFORM_DEAD;
	if (pt == NULL || world_next_call == NULL || !world_next_call(task, &ev->nr, ev->args))
		return;
	ev->kind = PLATFORM_SYSCALL;
	ev->full = ev->nr >= 0 && ev->nr < SYSCALL_MAX && syscall_table[ev->nr].verdict == SYSCALL_TRAP;
	ev->ip = 0x400000;
	pt->full = ev->full;
	pt->regs.rax = pt->regs.orig_rax = (uint64_t)ev->nr;
	pt->regs.rsp = WINDOW + GUEST_WINDOW_SIZE / 2;
	pt->regs.rip = ev->ip;
}
static void fake_resume(struct task *task, int64_t value)
{
	struct fake_thread *pt = thread_of(task);

	(void)value;
	if (pt != NULL)
		pt->full = false;
}
static struct regs *fake_context(struct task *task, int64_t value)
{
	struct fake_thread *pt = thread_of(task);

	if (pt == NULL)
		return NULL;
	if (!pt->full)
		pt->regs.rax = (uint64_t)value;
	pt->full = true;
	return &pt->regs;
}
static bool fake_is_full(const struct task *task)
{
	return task->pt != NULL && thread_of(task)->full;
}
static int fake_mm_queue(struct platform_thread *pt, const struct platform_mm_cmd *cmd)
{
	(void)pt;
	/* What no handler may ever command. */
	FUZZ_CHECK(cmd->addr % PAGE_SIZE == 0 && cmd->addr <= GUEST_END && cmd->len <= GUEST_END - cmd->addr);
	return 0;
}
static int fake_mm_flush(struct task *task, struct platform_thread *pt)
{
	(void)task;
	(void)pt;
	return 0;
}
static struct platform_thread *fake_spawn(struct task *task, int *err)
{
	(void)task;
	*err = -LINUX_ENOMEM;
	return world_thread();
}
static void fake_exec_commit(struct task *task, struct platform_thread *pt, const struct regs *regs)
{
	if (task->pt != NULL)
		fake_thread_kill(task->pt);
	task->pt = pt;
	thread_of(task)->regs = *regs;
	thread_of(task)->full = true;
}
static int fake_clone(struct task *parent, struct task *child, enum platform_clone_kind kind, const struct regs *regs)
{
	struct fake_thread *pt =
		kind == PLATFORM_CLONE_FORK ? (struct fake_thread *)world_thread() : thread_make(thread_of(parent)->mm);

	if (pt == NULL)
		return -LINUX_ENOMEM;
	pt->regs = *regs;
	child->pt = (struct platform_thread *)pt;
	return 0;
}
static void fake_thread_exit(struct task *task)
{
	fake_thread_kill(task->pt);
	task->pt = NULL;
}
static void fake_kick(struct task *task)
{
	(void)task;
}
static struct platform_mm *fake_thread_mm(struct platform_thread *pt)
{
	return (struct platform_mm *)((struct fake_thread *)pt)->mm;
}
static size_t fake_mm_read(struct platform_mm *pmm, void *dst, uint64_t addr, size_t len)
{
	(void)pmm;
	if (addr < WINDOW || addr >= WINDOW + GUEST_WINDOW_SIZE)
		return 0;
	len = MIN(len, WINDOW + GUEST_WINDOW_SIZE - addr);
	memcpy(dst, window + (addr - WINDOW), len);
	return len;
}
static size_t fake_mm_write(struct platform_mm *pmm, uint64_t addr, const void *src, size_t len)
{
	(void)pmm;
	if (addr >= HIGH)
		return addr < GUEST_END ? MIN(len, GUEST_END - addr) : 0;
	if (addr < WINDOW || addr >= WINDOW + GUEST_WINDOW_SIZE)
		return 0;
	len = MIN(len, WINDOW + GUEST_WINDOW_SIZE - addr);
	memcpy(window + (addr - WINDOW), src, len);
	return len;
}
static int fake_cmpxchg32(struct task *task, uint64_t addr, uint32_t old, uint32_t new_value, uint32_t *seen)
{
	FUZZ_CHECK(addr % 4 == 0);
	if (fake_mm_read(NULL, seen, addr, 4) != 4)
		return -LINUX_EFAULT;
	(void)task;
	if (*seen == old)
		(void)fake_mm_write(NULL, addr, &new_value, 4);
	return 0;
}
static size_t fake_fpstate_size(void)
{
	return FPSTATE;
}
static int fake_fpstate_save(struct task *task, gva_t dst)
{
	static const uint8_t zeros[FPSTATE];

	(void)task;
	return fake_mm_write(NULL, dst.v, zeros, FPSTATE) == FPSTATE ? 0 : -LINUX_EFAULT;
}
static int fake_fpstate_load(struct task *task, gva_t src)
{
	uint8_t buf[FPSTATE];

	(void)task;
	return src.v == 0 || fake_mm_read(NULL, buf, src.v, FPSTATE) == FPSTATE ? 0 : -LINUX_EFAULT;
}
static uint64_t fake_mm_resident(struct platform_mm *pmm)
{
	(void)pmm;
	return 0;
}
static void fake_thread_times(struct platform_thread *pt, bool last, uint64_t *utime, uint64_t *stime)
{
	(void)pt;
	(void)last;
	*utime = *stime = 0;
}
static uint64_t fake_vdso_base(void)
{
	return 0x7ffe00020000UL;
}

static const struct platform_ops fake = {
	.name = "fuzz",
	.next_event = fake_next_event,
	.resume = fake_resume,
	.context = fake_context,
	.is_full = fake_is_full,
	.mm_queue = fake_mm_queue,
	.mm_flush = fake_mm_flush,
	.spawn = fake_spawn,
	.exec_commit = fake_exec_commit,
	.clone = fake_clone,
	.thread_exit = fake_thread_exit,
	.thread_kill = fake_thread_kill,
	.kick = fake_kick,
	.thread_mm = fake_thread_mm,
	.mm_get = fake_mm_get,
	.mm_put = fake_mm_put,
	.mm_read = fake_mm_read,
	.mm_write = fake_mm_write,
	.cmpxchg32 = fake_cmpxchg32,
	.fpstate_size = fake_fpstate_size,
	.fpstate_save = fake_fpstate_save,
	.fpstate_load = fake_fpstate_load,
	.mm_resident = fake_mm_resident,
	.thread_times = fake_thread_times,
	.vdso_base = fake_vdso_base,
};

/* ---- the world ---- */

#define boot vfs_boot_task()

static void mount_at(const char *where, struct superblock *sb)
{
	struct path path;

	FUZZ_CHECK(sb != NULL && memfs_make_path(boot, where, false, &path) == 0);
	FUZZ_CHECK(vfs_mount(sb, sb->root, &path, 0, "none", "") == 0);
	path_put(&path);
}

static struct superblock *tmpfs(uint32_t mode)
{
	int err;

	return memfs_new_superblock(&(struct memfs_options){.fs_type = "tmpfs", .mode = mode, .size = 4 * MiB}, &err);
}

void world_keep(const char *dir)
{
	mount_at(dir, tmpfs(0755));
}

/* ---- directories ---- */

struct names {
	struct dir_emit emit;
	char names[64][256];
	unsigned n;
};

static bool add_name(struct dir_emit *emit, const char *name, size_t len, uint64_t ino, uint32_t type, int64_t off)
{
	struct names *s = (struct names *)emit;

	(void)ino;
	(void)type;
	(void)off;
	if (s->n == ARRAY_LEN(s->names))
		return false;
	if (len > 255 || (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'))))
		return true;
	memcpy(s->names[s->n], name, len);
	s->names[s->n++][len] = '\0';
	return true;
}

static struct names dev_names; /* what belongs in /dev */

static void list_names(const char *dir, struct names *s)
{
	struct file *file;

	s->emit.add = add_name;
	s->n = 0;
	if (vfs_open(boot, LINUX_AT_FDCWD, dir, LINUX_O_RDONLY | LINUX_O_DIRECTORY, 0, 0, &file) != 0)
		return;
	(void)!vfs_iterate(boot, file, &s->emit);
	file_put(file);
}

static bool is_device(const char *path)
{
	if (strncmp(path, "/dev/", 5) != 0)
		return false;
	for (unsigned i = 0; i < dev_names.n; i++)
		if (strcmp(path + 5, dev_names.names[i]) == 0)
			return true;
	return false;
}

/* Nobody is ready: time passes. */
static int sleep_over(int64_t timeout_ns)
{
	if (timeout_ns == 0)
		return 0;
	/* A sleep of years is one for ever: the clock goes on from run to run and no real one comes near its end. */
	if (timeout_ns < 0 || timeout_ns > SLEEP_MAX || ++sleeps > SLEEPS)
		stuck = true;
	else
		fuzz_host.now += (uint64_t)timeout_ns;
	return 0;
}

static void no_sleep(void)
{
}
static const struct stub_transport no_transport = {.before_sleep = no_sleep};

static void make_init(void)
{
	struct cred *cred = cred_new(0, 0);
	struct task *init;

	cred->cap_effective = cred->cap_permitted = cred->cap_bounding = LINUX_CAP_ALL;
	init = task_new_process(cred, files_new(), fs_context_new());
	FUZZ_CHECK(init != NULL && init->tid == 1);
	kernel.init = init->group;
	kernel.init->unkillable = true;
	/* It waits for nobody: orphans are gone at once. */
	init->sighand->action[LINUX_SIGCHLD - 1].handler = LINUX_SIG_IGN;
	tasks_at_rest = kernel.ntasks;
}

void world_init(bool full)
{
	static struct config cfg;

	transport = &no_transport;
	platform = &fake;
	fuzz_host.poll = sleep_over;
	kernel.disk_limit = 8 * MiB;
	kernel.memory_limit = 512 * MiB;
	kernel.max_tasks = 64;
	kernel.ncpus = 2;
	kernel.boot_ns = fuzz_host.now;
	snprintf(kernel.hostname, sizeof(kernel.hostname), "fuzz");
	snprintf(kernel.domainname, sizeof(kernel.domainname), "(none)");
	time_init();
	FUZZ_CHECK(loop_init() == 0);
	FUZZ_CHECK(memfs_mount_root(&(struct memfs_options){.fs_type = "tmpfs", .mode = 0777}, 0, "none", "") == 0);
	dev_init();
	cfg.negress = 1;
	cfg.egress[0] = (struct config_egress){.family = 4, .prefix = 8, .addr = {10}, .port_lo = 1, .port_hi = 0xffff};
	FUZZ_CHECK(net_init(&cfg, -1, -1) == 0);
	if (full) {
		mount_at("/proc", proc_new_superblock());
		mount_at("/sys", sys_new_superblock());
		mount_at("/sys/fs/cgroup", cgroup_new_superblock());
		mount_at("/dev", dev_new_superblock());
		mount_at("/dev/pts", devpts_new_superblock());
		mount_at("/dev/mqueue", mqueue_new_superblock());
		mount_at("/dev/shm", tmpfs(01777));
		mount_at("/tmp", tmpfs(01777));
	}
	list_names("/dev/", &dev_names);
	FUZZ_CHECK(dev_names.n < ARRAY_LEN(dev_names.names));
	make_init();
	alloc_set_limit(alloc_total() + 128 * MiB);
}

/* One process, so that something is mapped where the window is. */
static void begin(struct task *task)
{
	task->pt = world_thread();
	task->mm = task->pt != NULL ? mm_new(task->pt) : NULL;
	if (task->mm == NULL) {
		group_exit(task->group, LINUX_SIGKILL);
		return;
	}
	task->mm->mmap_top = task->mm->hole_top = 0x7e0000000000UL;
	(void)mm_mmap(task, WINDOW, GUEST_WINDOW_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE,
		      LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED, NULL, 0);
}

static void kill_all(void)
{
	struct thread_group *g;

	for (g = group_next(2); g != NULL; g = group_next(g->pid + 1))
		group_exit(g, LINUX_SIGKILL);
}

static struct task *new_process(bool root)
{
	struct cred *cred = root ? cred_new(0, 0) : cred_new(1000, 1000);
	struct files *files = files_new();
	struct fs_context *fs = fs_context_new();

	FUZZ_CHECK(cred != NULL && files != NULL && fs != NULL);
	if (root)
		cred->cap_effective = cred->cap_permitted = cred->cap_bounding = LINUX_CAP_ALL;
	return task_new_process(cred, files, fs);
}

void world_run(bool root)
{
	world_run_from(begin, root);
}

void world_run_from(void (*first)(struct task *task), bool root)
{
	struct task *task = new_process(root);
	unsigned turn;

	FUZZ_CHECK(task != NULL);
	sleeps = 0;
	stuck = false;
	task_start_with(task, first);
	FUZZ_CHECK(task->co != NULL);
	for (turn = 0; kernel.ntasks > tasks_at_rest && turn < TURNS && !stuck; turn++)
		loop_turn();
	world_next_call = NULL;
	for (turn = 0; kernel.ntasks > tasks_at_rest; turn++) {
		FUZZ_CHECK(turn < DEATH_TURNS);
		kill_all();
		loop_turn();
	}
	for (turn = 0; turn < 3; turn++)
		loop_turn(); /* what was put off */
}

/* ---- files ---- */

void world_write_file(const char *path, const void *data, size_t len, uint32_t mode)
{
	struct file *file;
	struct iobuf buf;

	FUZZ_CHECK(vfs_open(boot, LINUX_AT_FDCWD, path, LINUX_O_WRONLY | LINUX_O_CREAT | LINUX_O_TRUNC, mode, 0,
			    &file) == 0);
	iobuf_init_mem(&buf, (void *)(uintptr_t)data, len);
	FUZZ_CHECK(len == 0 || vfs_write(boot, file, &buf, NULL) == (int64_t)len);
	file_put(file);
}

/* Removes what can be removed below dir (ends with a slash; at most 4096 bytes). */
static void empty(const char *dir, unsigned depth)
{
	struct names *s;
	struct file *file;
	unsigned removed;
	char *sub;

	if (depth > 40 || vfs_open(boot, LINUX_AT_FDCWD, dir, LINUX_O_RDONLY | LINUX_O_DIRECTORY, 0, 0, &file) != 0)
		return;
	s = malloc(sizeof(*s));
	sub = malloc(4096);
	do {
		s->emit.add = add_name;
		s->n = removed = 0;
		(void)vfs_llseek(boot, file, 0, 0);
		if (vfs_iterate(boot, file, &s->emit) != 0)
			break;
		for (unsigned i = 0; i < s->n; i++) {
			if (strlen(dir) + 258 > 4096)
				continue;
			snprintf(sub, 4096, "%s%s", dir, s->names[i]);
			if (is_device(sub))
				continue;
			if (vfs_unlink(boot, LINUX_AT_FDCWD, sub) == 0) {
				removed++;
				continue;
			}
			if (vfs_rmdir(boot, LINUX_AT_FDCWD, sub) == 0) {
				removed++;
				continue;
			}
			strcat(sub, "/");
			if (strcmp(sub, "/bin/") == 0 || strncmp(sub, "/proc/", 6) == 0 ||
			    strncmp(sub, "/sys/", 5) == 0)
				continue;
			empty(sub, depth + 1);
			sub[strlen(sub) - 1] = '\0';
			removed += vfs_rmdir(boot, LINUX_AT_FDCWD, sub) == 0;
		}
	} while (removed != 0);
	free(sub);
	free(s);
	file_put(file);
}

void world_clean(void)
{
	static uint64_t least = UINT64_MAX;
	static unsigned runs;

	empty("/", 0);
	empty("/dev/shm/", 0);
	empty("/dev/mqueue/", 0);
	if (++runs % 1024 != 0)
		return;
	dentry_trim();
	least = MIN(least, alloc_total());
	if (alloc_total() - least > GROWTH_MAX) {
		fprintf(stderr, "%lu bytes are held at rest, once it were %lu\n", (unsigned long)alloc_total(),
			(unsigned long)least);
		abort();
	}
}
