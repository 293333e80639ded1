/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF images as they lie in memory: where an image's unwind table is, and what its exported functions are called. No file is
 * ever opened. Everything read here was written by the guest, or can have been: each number is bounded before it is used,
 * and what doesn't look right makes the image one without that table.
 *
 *	address --MAP--> mapping, base --ehdr, phdrs--> PT_GNU_EH_FRAME, PT_DYNAMIC --> DT_SYMTAB, DT_STRTAB
 *
 * Static programs often have no PT_GNU_EH_FRAME: there the frame descriptions are found by what their first bytes look like,
 * and searched from the first to the last.
 *
 * Names of functions that aren't exported would be in sections that no loader maps: the address in the file that each frame
 * shows leads to them (addr2line -fe FILE ADDRESS).
 */
#include "runtime/inspect/image.h"
#include "runtime/inspect/memory.h"

#include <elf.h>
#include <string.h>

#define IMAGES_MAX 32
#define PHNUM_MAX 64
#define DYN_MAX 256
#define SYMBOLS_MAX 65536
#define SEARCH_MAX (4u << 20)
#define FDES_WALKED 200000

static struct image images[IMAGES_MAX];
static unsigned nimages;

void image_begin(void)
{
	nimages = 0;
}

static void copy_name(char *dst, size_t size, const char *src)
{
	size_t i = 0;

	for (; i + 1 < size && src[i] != '\0'; i++)
		dst[i] = src[i] > 0x20 && src[i] < 0x7f ? src[i] : '?';
	dst[i] = '\0';
}

/* The pointers in a dynamic section are relocated in place by most loaders, and not by all. */
static uint64_t dyn_pointer(const struct image *img, uint64_t value)
{
	return value < img->bias ? value + img->bias : value;
}

static void read_dynamic(struct image *img, uint64_t at, uint64_t len)
{
	uint64_t symtab = 0, strtab = 0, strsz = 0;

	for (unsigned i = 0; i < DYN_MAX && (i + 1) * sizeof(Elf64_Dyn) <= len; i++) {
		Elf64_Dyn d;

		if (!memory_read(at + i * sizeof(d), &d, sizeof(d)) || d.d_tag == DT_NULL)
			break;
		if (d.d_tag == DT_SYMTAB)
			symtab = dyn_pointer(img, d.d_un.d_ptr);
		else if (d.d_tag == DT_STRTAB)
			strtab = dyn_pointer(img, d.d_un.d_ptr);
		else if (d.d_tag == DT_STRSZ)
			strsz = d.d_un.d_val;
	}
	/* Linkers put the strings right behind the symbols: that is how many there are. */
	if (symtab == 0 || strtab <= symtab || strsz > UINT32_MAX)
		return;
	img->symtab = symtab;
	img->strtab = strtab;
	img->strsz = strsz;
}

/* A CIE as compilers begin .eh_frame with: length, id 0, version 1, "zR", factors 1 and -8, return address in column 16. */
static bool looks_like_cie(const uint8_t *p)
{
	static const uint8_t rest[] = {0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 0x10};

	return p[0] >= 0x10 && p[0] <= 0x20 && p[1] == 0 && p[2] == 0 && p[3] == 0 && memcmp(p + 4, rest, sizeof(rest)) == 0;
}

/* And what follows is a chain of descriptions that name a CIE of this section. */
static bool begins_chain(uint64_t start, uint64_t end)
{
	uint64_t at = start;

	for (unsigned i = 0; i < 8; i++) {
		uint32_t d[2];

		if (at + sizeof(d) > end || !memory_read(at, d, sizeof(d)) || d[0] < 8 || d[0] > 65536)
			return false;
		if (d[1] != 0 && d[1] > at + 4 - start)
			return false;
		at += 4 + (uint64_t)d[0];
	}
	return true;
}

static void search_eh_frame(struct image *img, uint64_t from, uint64_t len)
{
	uint8_t chunk[1024 + 16];

	for (uint64_t off = 0; off + 16 <= len && off < SEARCH_MAX; off += 1024) {
		size_t n = len - off < sizeof(chunk) ? (size_t)(len - off) : sizeof(chunk);

		if (!memory_read(from + off, chunk, n))
			return;
		for (size_t i = 0; i + 15 < n && i < 1024; i += 8) {
			if (looks_like_cie(chunk + i) && begins_chain(from + off + i, from + len)) {
				img->eh_frame = from + off + i;
				img->eh_frame_end = from + len;
				return;
			}
		}
	}
}

bool image_find_fde(const struct image *img, uint64_t ip, uint64_t *fde, uint64_t *code)
{
	uint64_t at = img->eh_frame;

	for (unsigned i = 0; at != 0 && i < FDES_WALKED && at + 16 <= img->eh_frame_end; i++) {
		struct {
			uint32_t length, cie;
			int32_t begin; /* DW_EH_PE_pcrel | DW_EH_PE_sdata4, as all compilers here write it */
			uint32_t size;
		} d;

		if (!memory_read(at, &d, sizeof(d)) || d.length == 0 || d.length == UINT32_MAX)
			return false;
		*code = at + 8 + (uint64_t)(int64_t)d.begin;
		if (d.cie != 0 && ip - *code < d.size) {
			*fde = at;
			return true;
		}
		at += 4 + (uint64_t)d.length;
	}
	return false;
}

static void read_headers(struct image *img, uint64_t base)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph[PHNUM_MAX];
	const Elf64_Phdr *first = NULL;

	if (!memory_read(base, &eh, sizeof(eh)) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_machine != EM_X86_64 || eh.e_phentsize != sizeof(ph[0]) ||
	    eh.e_phnum > PHNUM_MAX || eh.e_phoff > INSPECT_PAGE ||
	    !memory_read(base + eh.e_phoff, ph, eh.e_phnum * sizeof(ph[0])))
		return;
	for (unsigned i = 0; i < eh.e_phnum && first == NULL; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_offset < INSPECT_PAGE)
			first = &ph[i];
	if (first == NULL)
		return;
	img->bias = base - (first->p_vaddr - first->p_offset);
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		if (ph[i].p_type == PT_GNU_EH_FRAME) {
			img->eh_frame_hdr = img->bias + ph[i].p_vaddr;
			img->eh_frame_hdr_len = ph[i].p_memsz;
		} else if (ph[i].p_type == PT_DYNAMIC) {
			read_dynamic(img, img->bias + ph[i].p_vaddr, ph[i].p_memsz);
		}
	}
	for (unsigned i = 0; i < eh.e_phnum && img->eh_frame_hdr == 0 && img->eh_frame == 0; i++)
		if (ph[i].p_type == PT_LOAD && (ph[i].p_flags & (PF_R | PF_W)) == PF_R)
			search_eh_frame(img, img->bias + ph[i].p_vaddr, ph[i].p_filesz);
}

const struct image *image_find(uint64_t addr)
{
	struct inspect_mapping m;
	struct image *img;

	for (unsigned i = 0; i < nimages; i++)
		if (images[i].start <= addr && addr < images[i].end)
			return &images[i];
	if (nimages == IMAGES_MAX || !memory_map(addr, &m))
		return NULL;
	img = &images[nimages++];
	memset(img, 0, sizeof(*img));
	img->start = m.start;
	img->end = m.end;
	copy_name(img->name, sizeof(img->name), m.name);
	if (m.base != 0)
		read_headers(img, m.base);
	return img;
}

bool image_symbol(const struct image *img, uint64_t addr, char *name, size_t size, uint64_t *off)
{
	uint64_t n = (img->strtab - img->symtab) / sizeof(Elf64_Sym), best_size = UINT64_MAX;
	char text[128] = "";
	Elf64_Sym best;

	if (img->symtab == 0)
		return false;
	for (uint64_t i = 1; i < n && i < SYMBOLS_MAX; i++) {
		Elf64_Sym s;
		uint64_t at;

		if (!memory_read(img->symtab + i * sizeof(s), &s, sizeof(s)))
			break;
		at = img->bias + s.st_value;
		if (s.st_shndx == SHN_UNDEF || (ELF64_ST_TYPE(s.st_info) != STT_FUNC && ELF64_ST_TYPE(s.st_info) != STT_GNU_IFUNC))
			continue;
		/* Of several names the shortest function; of those the first. */
		if (addr - at >= s.st_size || s.st_size >= best_size)
			continue;
		best = s;
		best_size = s.st_size;
	}
	if (best_size == UINT64_MAX || best.st_name >= img->strsz)
		return false;
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		if (!memory_read(img->strtab + best.st_name + i, &text[i], 1) || text[i] == '\0')
			break;
	text[sizeof(text) - 1] = '\0';
	copy_name(name, size, text);
	*off = addr - (img->bias + best.st_value);
	return name[0] != '\0';
}
