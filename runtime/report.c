/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a run as JSON, as lines, as a sentence: see report.h. docs/policy.md describes the object.
 *
 * stdout and stderr are the program's bytes: where they aren't UTF-8, the JSON text has U+FFFD in their place and the
 * bytes as base64 beside it. The audit log's lines come from the sentry; they are parsed within bounds, and a line that
 * isn't an object is left out.
 */
#include "runtime/report.h"
#include "runtime/cleanup.h"

#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define AUDIT_READ_MAX (8 << 20)
#define AUDIT_LINES_MAX 1000

/* Bytes of the valid UTF-8 sequence at p, 0 if there is none. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
	size_t n = p[0] < 0x80                   ? 1
		   : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
		   : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
		   : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
						 : 0;

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0; /* overlong, a surrogate, above U+10FFFF */
	return n;
}

static char *to_utf8(const struct capture *c, size_t *len, bool *changed)
{
	char *out = xcalloc(c->len, 3);
	size_t n = 0;

	*changed = false;
	for (size_t i = 0; i < c->len;) {
		size_t seq = utf8_sequence((const unsigned char *)c->data + i, c->len - i);

		if (seq == 0) {
			memcpy(out + n, "\xef\xbf\xbd", 3);
			n += 3;
			i++;
			*changed = true;
			continue;
		}
		memcpy(out + n, c->data + i, seq);
		n += seq;
		i += seq;
	}
	*len = n;
	return out;
}

static char *base64(const struct capture *c, size_t *len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *out = xcalloc(c->len / 3 + 1, 4);
	size_t n = 0;

	for (size_t i = 0; i < c->len; i += 3) {
		uint32_t v = (uint32_t)(unsigned char)c->data[i] << 16;

		if (i + 1 < c->len)
			v |= (uint32_t)(unsigned char)c->data[i + 1] << 8;
		if (i + 2 < c->len)
			v |= (unsigned char)c->data[i + 2];
		out[n++] = digits[v >> 18];
		out[n++] = digits[v >> 12 & 63];
		out[n++] = i + 1 < c->len ? digits[v >> 6 & 63] : '=';
		out[n++] = i + 2 < c->len ? digits[v & 63] : '=';
	}
	*len = n;
	return out;
}

static void add_capture(json_object *o, const char *key, const struct capture *c)
{
	cleanup_free char *text = NULL;
	cleanup_free char *more = NULL;
	size_t len;
	bool changed;

	text = to_utf8(c, &len, &changed);
	json_object_object_add(o, key, json_object_new_string_len(text, (int)len));
	if (changed) {
		cleanup_free char *key64 = xasprintf("%s_base64", key);

		more = base64(c, &len);
		json_object_object_add(o, key64, json_object_new_string_len(more, (int)len));
	}
	if (c->truncated) {
		cleanup_free char *key_cut = xasprintf("%s_truncated", key);

		json_object_object_add(o, key_cut, json_object_new_boolean(1));
	}
}

static json_object *seconds(uint64_t ns)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu.%06llu", (unsigned long long)(ns / 1000000000),
		 (unsigned long long)(ns / 1000 % 1000000));
	return json_object_new_double_s((double)ns / 1e9, text);
}

static json_object *resources(const struct sandbox_result *r)
{
	json_object *o = json_object_new_object();

	json_object_object_add(o, "wall_seconds", seconds(r->wall_ns));
	json_object_object_add(o, "cpu_user_seconds", seconds(r->cpu_user_ns));
	json_object_object_add(o, "cpu_system_seconds", seconds(r->cpu_sys_ns));
	json_object_object_add(o, "max_memory_bytes", json_object_new_int64((int64_t)r->max_memory_bytes));
	json_object_object_add(o, "syscalls", json_object_new_int64((int64_t)r->syscalls));
	return o;
}

static void add_count(json_object *o, const char *name, uint64_t n)
{
	json_object_object_add(o, name, json_object_new_int64((int64_t)n));
}

static uint64_t by_gate(const struct gate_calls *c)
{
	return c->shim + c->polled + c->asleep;
}

/* The part of all calls that cost no notification and no signal; a run without calls had none that did. */
static double share(const struct gate_calls *c)
{
	double all = (double)by_gate(c) + (double)c->trapped + (double)c->notified;

	return all == 0 ? 1 : (double)by_gate(c) / all;
}

/* Where calls came from, and what became of the places: --stats=json. */
static json_object *gate(const struct sandbox_result *r)
{
	json_object *o = json_object_new_object(), *calls = json_object_new_object(), *images = json_object_new_array();
	char text[32];

	add_count(calls, "shim", r->gate_calls.shim);
	add_count(calls, "polled", r->gate_calls.polled);
	add_count(calls, "asleep", r->gate_calls.asleep);
	add_count(calls, "trapped", r->gate_calls.trapped);
	add_count(calls, "notified", r->gate_calls.notified);
	json_object_object_add(o, "calls", calls);
	snprintf(text, sizeof(text), "%.4f", share(&r->gate_calls));
	json_object_object_add(o, "share", json_object_new_double_s(share(&r->gate_calls), text));
	for (uint32_t i = 0; i < r->ngate && i < RESULT_GATE_MAX; i++) {
		const struct gate_image *g = &r->gate[i];
		json_object *image = json_object_new_object(), *left = json_object_new_object();
		int64_t undecided;

		json_object_object_add(image, "path", json_object_new_string_len(g->path, (int)strnlen(g->path, sizeof(g->path))));
		add_count(image, "notified", g->arrivals);
		add_count(image, "sites", g->sites);
		add_count(image, "near", g->near);
		add_count(image, "far", g->far);
		add_count(image, "mov", g->mov);
		add_count(image, "reloc", g->reloc);
		add_count(image, "pending", g->pending);
		/* Those that nothing has been decided about: seldom called, in a file from which few calls came. */
		undecided = (int64_t)g->sites - g->near - g->far - g->mov - g->reloc - g->pending;
		for (unsigned why = 1; why < 6; why++) {
			add_count(left, gate_reasons[why], g->left[why]);
			undecided -= g->left[why];
		}
		add_count(left, "few_calls", undecided > 0 ? (uint64_t)undecided : 0);
		json_object_object_add(image, "left", left);
		json_object_array_add(images, image);
	}
	json_object_object_add(o, "images", images);
	return o;
}

static json_object *denials(int fd)
{
	json_object *list = json_object_new_array();
	cleanup_free char *text = NULL;
	struct stat st;
	ssize_t len;
	char *p, *line;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return list;
	text = xcalloc(1, AUDIT_READ_MAX + 1);
	len = pread(fd, text, AUDIT_READ_MAX, 0);
	p = len > 0 ? text : NULL;
	for (int i = 0; i < AUDIT_LINES_MAX && (line = strsep(&p, "\n")) != NULL; i++) {
		json_object *d = json_tokener_parse(line);

		if (d != NULL && json_object_is_type(d, json_type_object))
			json_object_array_add(list, d);
		else
			json_object_put(d);
	}
	return list;
}

static void add_status(json_object *o, const struct outcome *out)
{
	const struct sandbox_result *r = &out->result;
	bool ran = r->started && r->start_errno == 0;

	json_object_object_add(o, "status", json_object_new_int(out->status));
	json_object_object_add(o, "exit_code",
			       ran && r->error[0] == '\0' && WIFEXITED(r->status)
				       ? json_object_new_int(WEXITSTATUS(r->status))
				       : NULL);
	if (ran && WIFSIGNALED(r->status)) {
		const char *abbrev = sigabbrev_np(WTERMSIG(r->status));
		cleanup_free char *name =
			abbrev != NULL ? xasprintf("SIG%s", abbrev) : xasprintf("%d", WTERMSIG(r->status));

		json_object_object_add(o, "signal", json_object_new_string(name));
	} else {
		json_object_object_add(o, "signal", NULL);
	}
	json_object_object_add(o, "error", r->error[0] != '\0' ? json_object_new_string(r->error) : NULL);
}

void report_json(const struct outcome *out, const struct config *c, int audit_fd)
{
	json_object *o = json_object_new_object();
	json_object *limits = json_object_new_array();

	(void)c;
	add_status(o, out);
	for (unsigned bit = 0; limit_names[bit] != NULL; bit++) {
		if ((out->result.limits & (1U << bit)) != 0)
			json_object_array_add(limits, json_object_new_string(limit_names[bit]));
	}
	json_object_object_add(o, "limits_hit", limits);
	json_object_object_add(o, "denials", denials(audit_fd));
	json_object_object_add(o, "denials_total", json_object_new_int64((int64_t)out->result.denials));
	add_capture(o, "stdout", &out->out);
	add_capture(o, "stderr", &out->err);
	if (out->copy_error != NULL)
		json_object_object_add(o, "copy_out_error", json_object_new_string(out->copy_error));
	json_object_object_add(o, "resources", resources(&out->result));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	fflush(stdout);
	json_object_put(o);
}

void report_stats(const struct outcome *out, enum stats_mode mode)
{
	const struct sandbox_result *r = &out->result;
	const struct gate_calls *c = &r->gate_calls;

	if (mode == STATS_JSON) {
		json_object *o = resources(r);

		json_object_object_add(o, "denials", json_object_new_int64((int64_t)r->denials));
		json_object_object_add(o, "gate", gate(r));
		fprintf(stderr, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
		json_object_put(o);
	} else if (mode == STATS_TEXT) {
		fprintf(stderr,
			"wall %.3f s, cpu %.3f s user + %.3f s system, memory at most %.1f MiB, %llu system calls, "
			"%llu denials\n",
			(double)r->wall_ns / 1e9, (double)r->cpu_user_ns / 1e9, (double)r->cpu_sys_ns / 1e9,
			(double)r->max_memory_bytes / (1 << 20), (unsigned long long)r->syscalls,
			(unsigned long long)r->denials);
		fprintf(stderr,
			"gate: %.1f %% of calls (%llu in the shim, %llu polled, %llu asleep; past it %llu trapped, %llu "
			"notified)\n",
			100 * share(c), (unsigned long long)c->shim, (unsigned long long)c->polled,
			(unsigned long long)c->asleep, (unsigned long long)c->trapped, (unsigned long long)c->notified);
	}
}

static void say(const char *text)
{
	cleanup_error struct error *err = NULL;

	error_set(&err, "%s", text);
	error_report(err);
}

void report_lines(const struct outcome *o, const struct config *c)
{
	char buf[256];

	if (o->result.error[0] != '\0')
		say(o->result.error);
	if (result_limits(&o->result, c, buf, sizeof(buf))[0] != '\0')
		say(buf);
	if (o->copy_error != NULL) {
		cleanup_free char *lines = xstrdup(o->copy_error);
		char *p = lines, *line;

		while ((line = strsep(&p, "\n")) != NULL)
			say(line);
	}
}
