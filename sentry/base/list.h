/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive circular doubly linked lists. A node that is on no list points at itself. */
#ifndef SENTRY_BASE_LIST_H
#define SENTRY_BASE_LIST_H

#include "sentry/base/types.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name) {&(name), &(name)}

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert_between(struct list *node, struct list *prev, struct list *next)
{
	node->prev = prev;
	node->next = next;
	prev->next = node;
	next->prev = node;
}

/* Adds node at the tail. node must be on no list. */
static inline void list_add_tail(struct list *head, struct list *node)
{
	list_insert_between(node, head->prev, head);
}

/* Adds node at the head. */
static inline void list_add(struct list *head, struct list *node)
{
	list_insert_between(node, head, head->next);
}

/* Takes node off its list; harmless if it is on none. */
static inline void list_del(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

static inline void list_move_tail(struct list *head, struct list *node)
{
	list_del(node);
	list_add_tail(head, node);
}

/* Appends all of src to dst; src is empty afterwards. */
static inline void list_splice_tail(struct list *dst, struct list *src)
{
	if (list_empty(src))
		return;
	src->next->prev = dst->prev;
	dst->prev->next = src->next;
	src->prev->next = dst;
	dst->prev = src->prev;
	list_init(src);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
#define list_last(head, type, member) list_entry((head)->prev, type, member)
#define list_for_each(pos, head, member)                                                                               \
	for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head);                         \
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))
/* As list_for_each, but the current node may be taken off or freed in the body. */
#define list_for_each_safe(pos, tmp, head, member)                                                                     \
	for (pos = list_entry((head)->next, __typeof__(*pos), member),                                                 \
	    tmp = list_entry(pos->member.next, __typeof__(*pos), member);                                              \
	     &pos->member != (head); pos = tmp, tmp = list_entry(tmp->member.next, __typeof__(*tmp), member))

#endif
