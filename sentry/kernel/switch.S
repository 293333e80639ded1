/* SPDX-License-Identifier: Apache-2.0 */
/*
 * void coroutine_switch(void **save_sp, void *load_sp)
 * Saves the callee-saved registers on the running stack, its pointer in *save_sp, and goes on on the other stack.
 */
	.text
	.globl coroutine_switch
	.type coroutine_switch, @function
coroutine_switch:
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, (%rdi)
	mov %rsi, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	ret
	.size coroutine_switch, . - coroutine_switch
	.section .note.GNU-stack,"",@progbits
