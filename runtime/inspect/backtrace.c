/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's backtrace, by libunwind with accessors that read the guest's memory through the sentry. The unwind tables are
 * those the loader mapped (PT_GNU_EH_FRAME, with its sorted table); an image without them is unwound by frame pointers, as
 * far as that leads.
 *
 * The stack, the tables and the images are the guest's to forge. libunwind may be fooled by them, and crash: this process
 * holds nothing but a socket that answers with more of the guest's bytes, and the sentry goes on without it.
 */
#include "runtime/inspect/backtrace.h"
#include "runtime/inspect/image.h"
#include "runtime/inspect/memory.h"

#include <libunwind.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* libunwind's own search in a table of PT_GNU_EH_FRAME; its header doesn't show it. */
int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t as, unw_word_t ip, unw_dyn_info_t *di, unw_proc_info_t *pi,
				       int need_unwind_info, void *arg);

#define DW_EH_PE_UDATA4 0x03
#define DW_EH_PE_SDATA4 0x0b
#define DW_EH_PE_DATAREL_SDATA4 0x3b
#define FDES_MAX (8u << 20)

static const struct inspect_start *start;
static unw_addr_space_t space;

static void say(uint32_t type, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(uint32_t type, const char *fmt, ...)
{
	struct inspect_line line = {.type = type};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line.text, sizeof(line.text), fmt, ap);
	va_end(ap);
	send_message(&line, sizeof(line));
}

/* ---- accessors ---- */

/* A table of one entry, as the linker would have made it, at an address that no guest can have. */
#define TABLE_AT 0xffffe00000000000ULL
static int32_t table[2];

static int find_by_walking(unw_addr_space_t as, unw_word_t ip, const struct image *img, unw_proc_info_t *pi,
			   int need_unwind_info, void *arg)
{
	unw_dyn_info_t di = {.format = UNW_INFO_FORMAT_REMOTE_TABLE, .start_ip = img->start, .end_ip = img->end};
	uint64_t fde, code;

	if (!image_find_fde(img, ip, &fde, &code))
		return -UNW_ENOINFO;
	table[0] = (int32_t)(code - img->eh_frame);
	table[1] = (int32_t)(fde - img->eh_frame);
	di.u.rti.segbase = img->eh_frame;
	di.u.rti.table_data = TABLE_AT;
	di.u.rti.table_len = sizeof(table) / (sizeof(unw_word_t));
	return UNW_OBJ(dwarf_search_unwind_table)(as, ip, &di, pi, need_unwind_info, arg);
}

static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *pi, int need_unwind_info, void *arg)
{
	struct {
		uint8_t version, eh_frame_ptr_enc, fde_count_enc, table_enc;
		int32_t eh_frame_ptr;
		uint32_t fde_count;
	} hdr;
	const struct image *img = image_find(ip);
	unw_dyn_info_t di;

	if (img != NULL && img->eh_frame != 0)
		return find_by_walking(as, ip, img, pi, need_unwind_info, arg);
	if (img == NULL || img->eh_frame_hdr == 0 || !memory_read(img->eh_frame_hdr, &hdr, sizeof(hdr)))
		return -UNW_ENOINFO;
	if (hdr.version != 1 || (hdr.eh_frame_ptr_enc & 0x0f) != DW_EH_PE_SDATA4 || hdr.fde_count_enc != DW_EH_PE_UDATA4 ||
	    hdr.table_enc != DW_EH_PE_DATAREL_SDATA4)
		return -UNW_ENOINFO;
	if (hdr.fde_count == 0 || hdr.fde_count > FDES_MAX ||
	    sizeof(hdr) + (uint64_t)hdr.fde_count * 8 > img->eh_frame_hdr_len)
		return -UNW_ENOINFO;
	memset(&di, 0, sizeof(di));
	di.format = UNW_INFO_FORMAT_REMOTE_TABLE;
	di.start_ip = img->start;
	di.end_ip = img->end;
	di.u.rti.segbase = img->eh_frame_hdr;
	di.u.rti.table_data = img->eh_frame_hdr + sizeof(hdr);
	di.u.rti.table_len = (uint64_t)hdr.fde_count * 8 / sizeof(unw_word_t);
	return UNW_OBJ(dwarf_search_unwind_table)(as, ip, &di, pi, need_unwind_info, arg);
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *pi, void *arg)
{
	(void)as;
	(void)pi;
	(void)arg;
}

static int get_dyn_info_list_addr(unw_addr_space_t as, unw_word_t *list, void *arg)
{
	(void)as;
	(void)list;
	(void)arg;
	return -UNW_ENOINFO;
}

static int access_mem(unw_addr_space_t as, unw_word_t addr, unw_word_t *value, int write, void *arg)
{
	(void)as;
	(void)arg;
	if (write == 0 && addr == TABLE_AT) {
		memcpy(value, table, sizeof(table));
		return 0;
	}
	return write == 0 && memory_read(addr, value, sizeof(*value)) ? 0 : -UNW_EINVAL;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *value, int write, void *arg)
{
	(void)as;
	(void)arg;
	if (write != 0 || reg < 0 || reg >= INSPECT_NREGS || (start->known >> reg & 1) == 0)
		return -UNW_EBADREG;
	*value = start->regs[reg];
	return 0;
}

static int access_fpreg(unw_addr_space_t as, unw_regnum_t reg, unw_fpreg_t *value, int write, void *arg)
{
	(void)as;
	(void)reg;
	(void)value;
	(void)write;
	(void)arg;
	return -UNW_EBADREG;
}

static int resume(unw_addr_space_t as, unw_cursor_t *cursor, void *arg)
{
	(void)as;
	(void)cursor;
	(void)arg;
	return -UNW_EINVAL;
}

static int get_proc_name(unw_addr_space_t as, unw_word_t addr, char *name, size_t size, unw_word_t *off, void *arg)
{
	(void)as;
	(void)addr;
	(void)name;
	(void)size;
	(void)off;
	(void)arg;
	return -UNW_EUNSPEC;
}

static unw_accessors_t accessors = {
	.find_proc_info = find_proc_info,
	.put_unwind_info = put_unwind_info,
	.get_dyn_info_list_addr = get_dyn_info_list_addr,
	.access_mem = access_mem,
	.access_reg = access_reg,
	.access_fpreg = access_fpreg,
	.resume = resume,
	.get_proc_name = get_proc_name,
};

/* ---- the walk ---- */

/* "0x7f12... connect+0x14 (/lib/libc.so.6+0x1084e4)"; a return address belongs to the call before it. */
static void say_frame(uint64_t ip, bool is_return)
{
	const struct image *img = image_find(ip - is_return);
	char name[96];
	uint64_t off;

	if (img == NULL)
		say(INSPECT_FRAME, "%#llx", (unsigned long long)ip);
	else if (image_symbol(img, ip - is_return, name, sizeof(name), &off))
		say(INSPECT_FRAME, "%#llx %s+%#llx (%.80s+%#llx)", (unsigned long long)ip, name,
		    (unsigned long long)(off + is_return), img->name, (unsigned long long)(ip - img->bias));
	else
		say(INSPECT_FRAME, "%#llx (%.120s+%#llx)", (unsigned long long)ip, img->name[0] != '\0' ? img->name : "memory",
		    (unsigned long long)(ip - img->bias));
}

static const char *reason(int err)
{
	switch (-err) {
	case UNW_ENOINFO:
		return "there is no unwind information for the last frame";
	case UNW_EBADREG:
		return "the last frame needs a register that is not known";
	case UNW_EINVAL:
		return "the stack or an unwind table can't be read";
	case UNW_EBADFRAME:
		return "the last frame is not a valid one";
	case UNW_EBADVERSION:
		return "an unwind table is of no known version";
	case UNW_ESTOPUNWIND:
		return "the unwinder stopped";
	default:
		return "the last frame can't be unwound";
	}
}

void backtrace_init(void)
{
	space = unw_create_addr_space(&accessors, 0);
	if (space != NULL)
		unw_set_caching_policy(space, UNW_CACHE_NONE);
}

void backtrace(const struct inspect_start *from)
{
	unw_word_t ip = from->regs[INSPECT_REG_RIP], sp, last_sp = 0;
	unw_cursor_t cursor;
	bool is_return = false;
	int err;

	start = from;
	if (space == NULL) {
		say(INSPECT_NOTE, "the unwinder can't be set up");
		return;
	}
	err = unw_init_remote(&cursor, space, NULL);
	if (err < 0) {
		say_frame(ip, false);
		say(INSPECT_NOTE, "%s", reason(err));
		return;
	}
	for (unsigned i = 0; i < INSPECT_MAX_FRAMES; i++) {
		if (unw_get_reg(&cursor, UNW_REG_IP, &ip) < 0 || unw_get_reg(&cursor, UNW_REG_SP, &sp) < 0) {
			say(INSPECT_NOTE, "the last frame is not a valid one");
			return;
		}
		if (ip == 0)
			return;
		/* A signal on another stack may lead to any address; a caller's frame never lies below its callee's. */
		if (is_return && sp <= last_sp) {
			say(INSPECT_NOTE, "the stack does not lead outwards");
			return;
		}
		say_frame(ip, is_return);
		last_sp = sp;
		is_return = unw_is_signal_frame(&cursor) <= 0;
		err = unw_step(&cursor);
		if (err == 0)
			return;
		if (err < 0) {
			say(INSPECT_NOTE, "%s", reason(err));
			return;
		}
	}
	say(INSPECT_NOTE, "there are more frames");
}
