/* SPDX-License-Identifier: Apache-2.0 */
/* The stub's flat image, as bytes: see sentry/platform/stub. */
	.section .rodata
	.balign 64
	.globl stub_image, stub_image_end
stub_image:
	.incbin STUB_BIN
stub_image_end:
	.section .note.GNU-stack,"",@progbits
