/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process can ask about itself and its machine without touching a file.
 * covers: getpid gettid getppid getuid geteuid getgid getegid getresuid getresgid uname sysinfo getrandom times
 * covers: getrusage umask getcpu time gettimeofday sched_yield arch_prctl
 */
#include "t.h"

#include <asm/prctl.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <time.h>

TEST(getpid_is_positive_and_stable)
{
	pid_t pid = syscall(SYS_getpid);

	CHECK_GE(pid, 1);
	CHECK_EQ(syscall(SYS_getpid), pid);
	CHECK_EQ(getpid(), pid);
}

TEST(gettid_of_the_first_thread_is_the_pid)
{
	CHECK_EQ(syscall(SYS_gettid), syscall(SYS_getpid));
}

TEST_ALONE(getppid_of_a_child_is_the_parent)
{
	pid_t parent = getpid();

	IN_CHILD() {
		CHECK_EQ(syscall(SYS_getppid), parent);
		CHECK(getpid() != parent);
	}
}

TEST(ids_agree_with_getresuid_and_getresgid)
{
	uid_t r, e, s;

	CHECK_OK(syscall(SYS_getresuid, &r, &e, &s));
	CHECK_EQ(syscall(SYS_getuid), r);
	CHECK_EQ(syscall(SYS_geteuid), e);
	CHECK_OK(syscall(SYS_getresgid, &r, &e, &s));
	CHECK_EQ(syscall(SYS_getgid), r);
	CHECK_EQ(syscall(SYS_getegid), e);
}

TEST(getresuid_gives_efault_for_each_bad_pointer)
{
	uid_t id;

	CHECK_ERR(syscall(SYS_getresuid, t_bad, &id, &id), EFAULT);
	CHECK_ERR(syscall(SYS_getresuid, &id, t_bad, &id), EFAULT);
	CHECK_ERR(syscall(SYS_getresuid, &id, &id, t_kernel), EFAULT);
	CHECK_ERR(syscall(SYS_getresgid, t_bad, &id, &id), EFAULT);
	CHECK_ERR(syscall(SYS_getresgid, &id, t_bad, &id), EFAULT);
	CHECK_ERR(syscall(SYS_getresgid, &id, &id, t_kernel), EFAULT);
}

TEST(uname_says_linux_on_x86_64)
{
	struct utsname name;

	CHECK_OK(syscall(SYS_uname, &name));
	CHECK_STR(name.sysname, "Linux");
	CHECK_STR(name.machine, "x86_64");
	CHECK(name.nodename[0] != 0);
	CHECK(name.version[0] != 0);
	CHECK_GE(atoi(name.release), 4);
}

TEST(uname_gives_efault_at_a_page_edge)
{
	CHECK_ERR(syscall(SYS_uname, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_uname, t_edge(sizeof(struct utsname) - 1)), EFAULT);
	CHECK_OK(syscall(SYS_uname, t_edge(sizeof(struct utsname))));
}

TEST_ALONE(names_of_the_machine_need_a_capability)
{
	IN_CHILD() {
		t_become_nobody();
		CHECK_ERR(syscall(SYS_sethostname, "x", 1), EPERM);
		CHECK_ERR(syscall(SYS_setdomainname, "x", 1), EPERM);
	}
}

TEST(sysinfo_is_plausible)
{
	struct sysinfo info;

	memset(&info, 0xff, sizeof info);
	CHECK_OK(syscall(SYS_sysinfo, &info));
	CHECK(info.mem_unit >= 1);
	CHECK(info.totalram > 0);
	CHECK(info.freeram <= info.totalram);
	CHECK_GE(info.procs, 1);
	CHECK_GE(info.uptime, 0);
	CHECK_ERR(syscall(SYS_sysinfo, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_sysinfo, t_edge(sizeof info - 1)), EFAULT);
}

TEST(getrandom_fills_all_of_a_small_buffer)
{
	unsigned char a[64] = {0}, b[64] = {0};

	CHECK_EQ(syscall(SYS_getrandom, a, sizeof a, 0), sizeof a);
	CHECK_EQ(syscall(SYS_getrandom, b, sizeof b, GRND_NONBLOCK), sizeof b);
	CHECK(memcmp(a, b, sizeof a) != 0);
	CHECK_EQ(syscall(SYS_getrandom, a, 0, 0), 0);
}

TEST(getrandom_knows_its_flags_and_pointers)
{
	char c;

	CHECK_ERR(syscall(SYS_getrandom, &c, 1, 0x80), EINVAL);
	CHECK_ERR(syscall(SYS_getrandom, &c, 1, GRND_RANDOM | 4 /* GRND_INSECURE */), EINVAL);
	CHECK_ERR(syscall(SYS_getrandom, t_bad, 16, 0), EFAULT);
	CHECK_ERR(syscall(SYS_getrandom, t_kernel, 16, 0), EFAULT);
	CHECK_ERR(syscall(SYS_getrandom, t_bad, 16, 0x80), EINVAL);
}

TEST(times_counts_clock_ticks)
{
	struct tms tms;
	long a = syscall(SYS_times, &tms), b;

	CHECK(a != -1);
	CHECK_GE(tms.tms_utime, 0);
	b = syscall(SYS_times, NULL);
	CHECK_GE(b, a);
	CHECK_ERR(syscall(SYS_times, t_bad), EFAULT);
	CHECK_EQ(sysconf(_SC_CLK_TCK), 100);
}

TEST_ALONE(times_includes_waited_children)
{
	struct tms before, after;

	CHECK(times(&before) != (clock_t)-1);
	IN_CHILD() {
		int64_t end = t_now(CLOCK_PROCESS_CPUTIME_ID) + 60000000;
		while (t_now(CLOCK_PROCESS_CPUTIME_ID) < end)
			;
	}
	CHECK(times(&after) != (clock_t)-1);
	CHECK_GE(after.tms_cutime + after.tms_cstime, before.tms_cutime + before.tms_cstime + 1);
}

TEST_ALONE(getrusage_knows_self_children_and_thread)
{
	struct rusage self, thread, children;
	int64_t end = t_now(CLOCK_PROCESS_CPUTIME_ID) + 30000000;

	while (t_now(CLOCK_PROCESS_CPUTIME_ID) < end)
		;
	CHECK_OK(syscall(SYS_getrusage, RUSAGE_SELF, &self));
	CHECK(self.ru_utime.tv_sec || self.ru_utime.tv_usec || self.ru_stime.tv_usec);
	CHECK_GE(self.ru_maxrss, 1);
	CHECK_OK(syscall(SYS_getrusage, RUSAGE_THREAD, &thread));
	CHECK_OK(syscall(SYS_getrusage, RUSAGE_CHILDREN, &children));
	CHECK_EQ(children.ru_utime.tv_sec, 0);
	CHECK_ERR(syscall(SYS_getrusage, 7, &self), EINVAL);
	CHECK_ERR(syscall(SYS_getrusage, 7, t_bad), EINVAL);
	CHECK_ERR(syscall(SYS_getrusage, RUSAGE_SELF, t_bad), EFAULT);
}

TEST(umask_returns_the_old_mask_and_keeps_only_permission_bits)
{
	mode_t old = syscall(SYS_umask, 027);

	CHECK_EQ(syscall(SYS_umask, 07777), 027);
	CHECK_EQ(syscall(SYS_umask, 0), 0777);
	CHECK_EQ(syscall(SYS_umask, old), 0);
}

TEST_ALONE(umask_is_inherited_and_shapes_new_files)
{
	struct stat st;

	t_scratch();
	umask(026);
	IN_CHILD() {
		CHECK_EQ(umask(026), 026);
	}
	MUST(close(MUST(open("f", O_CREAT | O_WRONLY, 0777))));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_mode & 07777, 0751);
	CHECK_OK(mkdir("d", 0777));
	CHECK_OK(stat("d", &st));
	CHECK_EQ(st.st_mode & 0777, 0751);
}

TEST(getcpu_takes_null_and_refuses_bad_pointers)
{
	unsigned cpu = ~0u, node = ~0u;

	CHECK_OK(syscall(SYS_getcpu, &cpu, &node, NULL));
	CHECK(cpu < 4096 && node < 1024);
	CHECK_OK(syscall(SYS_getcpu, NULL, NULL, NULL));
	CHECK_ERR(syscall(SYS_getcpu, t_bad, NULL, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_getcpu, NULL, t_bad, NULL), EFAULT);
}

TEST(time_and_gettimeofday_agree)
{
	struct timeval tv;
	struct timezone tz;
	time_t a, b = 0;

	a = syscall(SYS_time, &b);
	CHECK_EQ(a, b);
	CHECK_OK(syscall(SYS_gettimeofday, &tv, &tz));
	CHECK_GE(tv.tv_sec, a);
	CHECK(tv.tv_usec >= 0 && tv.tv_usec < 1000000);
	CHECK_OK(syscall(SYS_gettimeofday, NULL, NULL));
	CHECK_ERR(syscall(SYS_gettimeofday, t_bad, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_gettimeofday, NULL, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_time, t_bad), EFAULT);
}

TEST(vdso_time_agrees_with_the_system_call)
{
	struct timespec before, between, after;

	CHECK_OK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &before));
	CHECK_OK(clock_gettime(CLOCK_MONOTONIC, &between));
	CHECK_OK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &after));
	CHECK_GE(between.tv_sec * 1000000000LL + between.tv_nsec, before.tv_sec * 1000000000LL + before.tv_nsec);
	CHECK_GE(after.tv_sec * 1000000000LL + after.tv_nsec, between.tv_sec * 1000000000LL + between.tv_nsec);
}

TEST(sched_yield_always_succeeds)
{
	CHECK_OK(syscall(SYS_sched_yield));
}

TEST(arch_prctl_reads_and_sets_the_segment_bases)
{
	unsigned long fs = 0, gs = 1, value;

	CHECK_OK(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs));
	CHECK_EQ(fs, (unsigned long)__builtin_thread_pointer());
	CHECK_OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
	CHECK_OK(syscall(SYS_arch_prctl, ARCH_SET_FS, fs));
	CHECK_OK(syscall(SYS_arch_prctl, ARCH_GET_FS, &value));
	CHECK_EQ(value, fs);
	CHECK_ERR(syscall(SYS_arch_prctl, ARCH_GET_FS, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_arch_prctl, 0x7777, 0), EINVAL);
	CHECK_ERR(syscall(SYS_arch_prctl, ARCH_SET_FS, t_kernel), EPERM);
	CHECK_ERR(syscall(SYS_arch_prctl, ARCH_SET_GS, t_kernel), EPERM);
}

TEST_ALONE(gs_base_survives_system_calls_and_fork)
{
	static unsigned long block[2] = {0x1122334455667788, 0x99aabbccddeeff00};
	unsigned long word, base;

	CHECK_OK(syscall(SYS_arch_prctl, ARCH_SET_GS, block));
	CHECK_OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
	CHECK_EQ(base, (unsigned long)block);
	__asm__ volatile("mov %%gs:8, %0" : "=r"(word));
	CHECK_EQ(word, block[1]);
	IN_CHILD() {
		__asm__ volatile("mov %%gs:8, %0" : "=r"(word));
		CHECK_EQ(word, block[1]);
	}
}

/*
 * As wasm2c's programs do: %gs is the base of a block for a while, set by wrgsbase where the auxiliary vector offers it,
 * else by the kernel. Either way calls are made meanwhile, many from one place.
 */
TEST_ALONE(gs_base_is_set_as_the_auxiliary_vector_says)
{
	static unsigned long block[2] = {1, 0x99aabbccddeeff00};
	bool offered = (getauxval(AT_HWCAP2) & 2) != 0;

	for (int round = 0; round < 20; round++) {
		unsigned long base = round % 2 == 0 ? (unsigned long)block : 0, word;

		if (offered)
			__asm__ volatile("wrgsbase %0" : : "r"(base) : "memory");
		else
			CHECK_OK(syscall(SYS_arch_prctl, ARCH_SET_GS, base));
		for (int i = 0; i < 100; i++)
			CHECK_ERR(close(-1), EBADF);
		if (base == 0)
			continue;
		__asm__ volatile("mov %%gs:8, %0" : "=r"(word) : : "memory");
		CHECK_EQ(word, block[1]);
	}
}

TEST(unknown_system_calls_give_enosys)
{
	CHECK_ERR(syscall(337), ENOSYS);
	CHECK_ERR(syscall(423), ENOSYS);
	CHECK_ERR(syscall(1000), ENOSYS);
	CHECK_ERR(syscall(100000), ENOSYS);
	CHECK_ERR(syscall(-1), ENOSYS);
	CHECK_ERR(syscall(183 /* afs_syscall */), ENOSYS);
	CHECK_ERR(syscall(236 /* vserver */), ENOSYS);
}

TEST(system_calls_keep_all_registers_but_rax_rcx_r11)
{
	unsigned long rbx = 0x1001, rdx = 0x1002, rsi = 0x1003, rdi = 0x1004, rax = SYS_getppid;
	register unsigned long r8 __asm__("r8") = 0x1005, r9 __asm__("r9") = 0x1006, r10 __asm__("r10") = 0x1007;
	register unsigned long r12 __asm__("r12") = 0x1008, r13 __asm__("r13") = 0x1009, r14 __asm__("r14") = 0x100a;
	register unsigned long r15 __asm__("r15") = 0x100b;

	__asm__ volatile("syscall"
			 : "+a"(rax), "+b"(rbx), "+d"(rdx), "+S"(rsi), "+D"(rdi), "+r"(r8), "+r"(r9), "+r"(r10),
			   "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15)
			 :
			 : "rcx", "r11", "memory");
	CHECK_EQ(rbx, 0x1001);
	CHECK_EQ(rdx, 0x1002);
	CHECK_EQ(rsi, 0x1003);
	CHECK_EQ(rdi, 0x1004);
	CHECK_EQ(r8, 0x1005);
	CHECK_EQ(r9, 0x1006);
	CHECK_EQ(r10, 0x1007);
	CHECK_EQ(r12, 0x1008);
	CHECK_EQ(r13, 0x1009);
	CHECK_EQ(r14, 0x100a);
	CHECK_EQ(r15, 0x100b);
	CHECK_EQ(rax, getppid());
}

TEST(system_calls_keep_the_red_zone_and_vector_registers)
{
	unsigned char in[32], out[32], zone[16];
	unsigned long rax = SYS_getppid;

	for (unsigned i = 0; i < sizeof in; i++)
		in[i] = i * 7 + 1;
	__asm__ volatile("movdqu (%2), %%xmm6\n\t"
			 "movdqu 16(%2), %%xmm15\n\t"
			 "movdqu %%xmm6, -0x40(%%rsp)\n\t"
			 "syscall\n\t"
			 "movdqu %%xmm6, (%3)\n\t"
			 "movdqu %%xmm15, 16(%3)\n\t"
			 "movdqu -0x40(%%rsp), %%xmm6\n\t"
			 "movdqu %%xmm6, (%4)\n\t"
			 : "=a"(rax)
			 : "0"(rax), "r"(in), "r"(out), "r"(zone)
			 : "rcx", "r11", "memory", "xmm6", "xmm15");
	CHECK_MEM(out, in, 32);
	CHECK_MEM(zone, in, 16);
}
