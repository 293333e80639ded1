/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory by asking the sentry, a page at a time, with the pages kept until the backtrace is done: libunwind reads
 * unwind tables byte by byte. Work is bounded here: so many requests to the sentry, so many accesses in all. When either is
 * used up every further read fails, which ends whatever loop the guest's bytes have made of an unwinder.
 */
#include "runtime/inspect/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAGES 256 /* a power of two */
#define ACCESSES_MAX (4u << 20)

static struct page {
	uint64_t addr;
	uint32_t len;
	bool valid;
	uint8_t bytes[INSPECT_PAGE];
} pages[PAGES];
static uint32_t requests, accesses;

void send_message(const void *msg, size_t len)
{
	while (send(INSPECT_FD, msg, len, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			_exit(1);
}

size_t receive_message(union inspect_message *msg)
{
	for (;;) {
		ssize_t n = recv(INSPECT_FD, msg, sizeof(*msg), 0);

		if (n >= (ssize_t)sizeof(msg->type))
			return (size_t)n;
		if (n >= 0 || errno != EINTR)
			_exit(0); /* the sentry is gone, or has closed us */
	}
}

void memory_begin(void)
{
	for (unsigned i = 0; i < PAGES; i++)
		pages[i].valid = false;
	requests = accesses = 0;
}

static const struct page *get_page(uint64_t addr)
{
	struct page *p = &pages[addr / INSPECT_PAGE % PAGES];
	struct inspect_ask ask = {.type = INSPECT_READ, .len = INSPECT_PAGE, .addr = addr};
	static union inspect_message answer;
	size_t n;

	if (p->valid && p->addr == addr)
		return p;
	if (requests++ >= INSPECT_MAX_REQUESTS)
		return NULL;
	send_message(&ask, sizeof(ask));
	n = receive_message(&answer);
	if (answer.type != INSPECT_DATA || n != sizeof(answer.data) || answer.data.addr != addr ||
	    answer.data.len > INSPECT_PAGE)
		_exit(1);
	p->addr = addr;
	p->len = answer.data.len;
	p->valid = true;
	memcpy(p->bytes, answer.data.bytes, p->len);
	return p;
}

bool memory_read(uint64_t addr, void *dst, size_t len)
{
	uint8_t *to = dst;

	if (addr + len < addr || accesses++ >= ACCESSES_MAX)
		return false;
	while (len != 0) {
		uint64_t off = addr % INSPECT_PAGE;
		const struct page *p = get_page(addr - off);
		size_t n = INSPECT_PAGE - off < len ? INSPECT_PAGE - off : len;

		if (p == NULL || off + n > p->len)
			return false;
		memcpy(to, p->bytes + off, n);
		addr += n;
		to += n;
		len -= n;
	}
	return true;
}

bool memory_map(uint64_t addr, struct inspect_mapping *out)
{
	struct inspect_ask ask = {.type = INSPECT_MAP, .addr = addr};
	static union inspect_message answer;
	size_t n;

	if (requests++ >= INSPECT_MAX_REQUESTS)
		return false;
	send_message(&ask, sizeof(ask));
	n = receive_message(&answer);
	if (answer.type != INSPECT_MAPPING || n != sizeof(answer.mapping) || answer.mapping.addr != addr)
		_exit(1);
	*out = answer.mapping;
	out->name[sizeof(out->name) - 1] = '\0';
	return out->start <= addr && addr < out->end;
}
