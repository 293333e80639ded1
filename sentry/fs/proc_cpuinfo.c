/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/cpuinfo, from the cpuid instruction that the guest executes natively too: what it says and what programs find out
 * for themselves agree. The number of processors is the sandbox's, each a core of its own in one package.
 */
#include "sentry/fs/proc_internal.h"
#include "sentry/host/host.h"

#include <cpuid.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

/* 32 names, bit 0 first; "-" is a bit that Linux doesn't show. */
static const char leaf1_edx[] = "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts "
				"acpi mmx fxsr sse sse2 ss ht tm ia64 pbe";
static const char ext1_edx[] = "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm "
			       "3dnowext 3dnow";
static const char leaf1_ecx[] = "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid "
				"dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand "
				"hypervisor";
static const char ext1_ecx[] = "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop "
			       "skinit wdt - lwp fma4 tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc "
			       "perfctr_llc mwaitx - -";
static const char leaf7_ebx[] = "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f "
				"avx512dq rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd "
				"sha_ni avx512bw avx512vl";
static const char leafd_eax[] = "xsaveopt xsavec xgetbv1 xsaves - - - - - - - - - - - - - - - - - - - - - - - - - - - -";
static const char leaf7_1_eax[] = "- - - - avx_vnni avx512_bf16 - cmpccxadd - - fzrm fsrs fsrc - - - - fred lkgs wrmsrns - "
				  "amx_fp16 - avx_ifma - - lam - - - - -";
static const char ext8_ebx[] = "clzero irperf xsaveerptr - rdpru - - - - wbnoinvd - - - - - - - - - - - - - amd_ppin - - - - - "
			       "- - -";
static const char leaf7_ecx[] = "- avx512vbmi umip pku ospke waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni "
				"avx512_bitalg tme avx512_vpopcntdq - la57 - - - - - rdpid - bus_lock_detect cldemote - movdiri "
				"movdir64b enqcmd - -";
static const char leaf7_edx[] = "- - - - fsrm - - - avx512_vp2intersect - md_clear - - - serialize - tsxldtrk - pconfig "
				"arch_lbr ibt - amx_bf16 avx512_fp16 amx_tile amx_int8 - - flush_l1d arch_capabilities - -";

static uint64_t tsc_at_start, ns_at_start;

void proc_cpuinfo_init(void)
{
	tsc_at_start = __rdtsc();
	ns_at_start = host_clock_ns(CLOCK_MONOTONIC);
}

/* kHz, measured between the start and now. Linux rounds much the same way at boot. */
static uint64_t tsc_khz(void)
{
	static uint64_t khz;
	uint64_t ticks, ns;

	if (khz != 0)
		return khz;
	do {
		ticks = __rdtsc() - tsc_at_start;
		ns = host_clock_ns(CLOCK_MONOTONIC) - ns_at_start;
	} while (ns < 100 * NSEC_PER_USEC);
	ticks = (uint64_t)((unsigned __int128)ticks * 1000000 / ns);
	if (ns > 100 * NSEC_PER_MSEC)
		khz = ticks;
	return ticks;
}

static void text_flags(struct text_buf *b, const char *names, uint32_t bits)
{
	for (; *names != '\0'; bits >>= 1) {
		size_t len = strcspn(names, " ");

		if ((bits & 1) && !(len == 1 && *names == '-')) {
			text_puts(b, " ");
			text_write(b, names, len);
		}
		names += len;
		while (*names == ' ')
			names++;
	}
}

struct regs4 {
	uint32_t eax, ebx, ecx, edx;
};

static struct regs4 leaf(uint32_t nr, uint32_t sub, uint32_t max)
{
	struct regs4 r = {0};

	if (nr <= max)
		__cpuid_count(nr, sub, r.eax, r.ebx, r.ecx, r.edx);
	return r;
}

static void all_flags(struct text_buf *b, uint32_t max, uint32_t ext)
{
	struct regs4 l1 = leaf(1, 0, max), l7 = leaf(7, 0, max), e1 = leaf(0x80000001, 0, ext), e7 = leaf(0x80000007, 0, ext);

	text_flags(b, leaf1_edx, l1.edx);
	text_flags(b, ext1_edx, e1.edx);
	if (e7.edx & (1U << 8))
		text_puts(b, " constant_tsc");
	text_puts(b, " rep_good nopl");
	if (e7.edx & (1U << 8))
		text_puts(b, " nonstop_tsc");
	text_puts(b, " cpuid");
	text_flags(b, leaf1_ecx, l1.ecx);
	text_flags(b, ext1_ecx, e1.ecx);
	text_flags(b, leaf7_ebx, l7.ebx);
	text_flags(b, leafd_eax, leaf(0xd, 1, max).eax);
	text_flags(b, leaf7_1_eax, l7.eax >= 1 ? leaf(7, 1, max).eax : 0);
	text_flags(b, ext8_ebx, leaf(0x80000008, 0, ext).ebx);
	text_flags(b, leaf7_ecx, l7.ecx);
	text_flags(b, leaf7_edx, l7.edx);
}

int proc_cpuinfo(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	struct regs4 l0 = leaf(0, 0, 0), l1 = leaf(1, 0, l0.eax), ext = leaf(0x80000000, 0, 0x80000000);
	struct regs4 sizes = leaf(0x80000008, 0, ext.eax), cache = leaf(0x80000006, 0, ext.eax);
	uint32_t family = l1.eax >> 8 & 15, model = l1.eax >> 4 & 15, cpus = MAX(kernel.ncpus, 1U), i;
	uint64_t khz = tsc_khz();
	char vendor[13], brand[49] = "";
	struct text_buf flags;
	const char *name = brand;

	if (family == 6 || family == 15)
		model |= (l1.eax >> 16 & 15) << 4;
	if (family == 15)
		family += l1.eax >> 20 & 255;
	memcpy(vendor, &l0.ebx, 4);
	memcpy(vendor + 4, &l0.edx, 4);
	memcpy(vendor + 8, &l0.ecx, 4);
	vendor[12] = '\0';
	for (i = 0; i < 3 && ext.eax >= 0x80000004; i++) {
		struct regs4 r = leaf(0x80000002 + i, 0, ext.eax);

		memcpy(brand + (size_t)i * 16, &r, 16);
	}
	brand[48] = '\0';
	while (*name == ' ')
		name++;
	text_init(&flags);
	all_flags(&flags, l0.eax, ext.eax);
	text_write(&flags, "", 1);
	if (flags.err != 0) {
		text_free(&flags);
		return -LINUX_ENOMEM;
	}
	for (i = 0; i < cpus; i++) {
		text_printf(b, "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\n", i, vendor,
			    family, model, name[0] != '\0' ? name : "unknown");
		text_printf(b, "stepping\t: %u\nmicrocode\t: 0xffffffff\ncpu MHz\t\t: %llu.%03llu\ncache size\t: %u KB\n",
			    l1.eax & 15, (unsigned long long)(khz / 1000), (unsigned long long)(khz % 1000), cache.ecx >> 16);
		text_printf(b, "physical id\t: 0\nsiblings\t: %u\ncore id\t\t: %u\ncpu cores\t: %u\napicid\t\t: %u\n", cpus, i, cpus, i);
		text_printf(b, "initial apicid\t: %u\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: %u\nwp\t\t: yes\n", i, l0.eax);
		text_printf(b, "flags\t\t:%s\nbugs\t\t:\nbogomips\t: %llu.%02llu\n", flags.data, (unsigned long long)(khz / 500),
			    (unsigned long long)(khz % 500 / 5));
		text_printf(b, "clflush size\t: %u\ncache_alignment\t: %u\naddress sizes\t: %u bits physical, %u bits virtual\n"
			       "power management:\n\n",
			    (l1.ebx >> 8 & 255) * 8, (l1.ebx >> 8 & 255) * 8, sizes.eax & 255, sizes.eax >> 8 & 255);
	}
	text_free(&flags);
	return 0;
}
