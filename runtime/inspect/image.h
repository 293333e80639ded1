/* SPDX-License-Identifier: Apache-2.0 */
/* ELF images found in the guest's memory: see image.c. */
#ifndef RUNTIME_INSPECT_IMAGE_H
#define RUNTIME_INSPECT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image {
	uint64_t start, end;        /* of the mapping that was asked for */
	uint64_t bias;              /* address - bias is the address in the file */
	uint64_t eh_frame_hdr, eh_frame_hdr_len; /* 0: none */
	uint64_t eh_frame, eh_frame_end;         /* found by its looks where there is no table; 0: none */
	uint64_t symtab, strtab, strsz;          /* the dynamic symbols; symtab 0: none */
	char name[256];             /* printable */
};

/* Forgets what was found for the last backtrace. */
void image_begin(void);
/* The image that holds addr, or NULL. It stays until image_begin. */
const struct image *image_find(uint64_t addr);
/* The address of the frame description for ip in img->eh_frame, and where its code begins; false: there is none. */
bool image_find_fde(const struct image *img, uint64_t ip, uint64_t *fde, uint64_t *code);
/* The exported function that holds addr: its name (printable) and the offset in it. */
bool image_symbol(const struct image *img, uint64_t addr, char *name, size_t size, uint64_t *off);

#endif
