/* SPDX-License-Identifier: Apache-2.0 */
/* The instruction the guest stands at, by capstone. A call that was served lies before rip: two bytes, `syscall`. */
#include "runtime/inspect/backtrace.h"
#include "runtime/inspect/memory.h"

#include <capstone/capstone.h>
#include <stdio.h>
#include <string.h>

#define INSN_MAX 15

static csh handle;
static cs_insn *decoded;

void instruction_init(void)
{
	static const uint8_t sample[] = {0x0f, 0x05};
	const uint8_t *code = sample;
	size_t len = sizeof(sample);
	uint64_t ip = 0;

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
		return;
	decoded = cs_malloc(handle);
	/* Its tables are sorted at the first use, for which qsort asks for the size of the memory. */
	if (decoded != NULL)
		cs_disasm_iter(handle, &code, &len, &ip, decoded);
}

void instruction(const struct inspect_start *from)
{
	struct inspect_line line = {.type = INSPECT_INSN};
	uint64_t ip = from->regs[INSPECT_REG_RIP];
	uint8_t bytes[INSN_MAX];
	const uint8_t *code = bytes;
	size_t len = sizeof(bytes);

	if (decoded == NULL)
		return;
	if (memory_read(ip - 2, bytes, 2) && bytes[0] == 0x0f && bytes[1] == 0x05) {
		ip -= 2;
		len = 2;
	} else {
		while (len > 0 && !memory_read(ip, bytes, len))
			len--;
	}
	if (len == 0 || !cs_disasm_iter(handle, &code, &len, &ip, decoded))
		snprintf(line.text, sizeof(line.text), "(not an instruction)");
	else
		snprintf(line.text, sizeof(line.text), "%.31s%s%.159s", decoded->mnemonic,
			 decoded->op_str[0] != '\0' ? " " : "", decoded->op_str);
	send_message(&line, sizeof(line));
}
