/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OCI image layouts: which layers an image has.
 *
 *	index.json --> a manifest, or an index of them by platform (amd64, linux is taken) --> manifest --> layers
 *
 * The layout may be a stranger's. A blob's name is made of its digest, which must be 64 hexadecimal digits, so no path leads
 * out of the directory; what is read is compared with its digest (by sha256sum), sizes, depth and numbers are bounded.
 */
#include "runtime/image_build.h"
#include "runtime/cleanup.h"
#include "runtime/json_get.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define JSON_MAX (4 << 20)
#define NESTED_MAX 4

static void cleanup_jsonp(json_object **o)
{
	json_object_put(*o);
}
#define cleanup_json __attribute__((cleanup(cleanup_jsonp)))

bool oci_is_layout(const char *dir)
{
	cleanup_free char *path = xasprintf("%s/oci-layout", dir);

	return access(path, F_OK) == 0;
}

/* A file's bytes as an object; the caller puts it. */
static json_object *load(const char *path, struct error **err)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
	cleanup_free char *text = NULL;
	json_object *o = NULL;
	struct json_tokener *tok;
	struct stat st;
	size_t len = 0;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0) {
		error_errno(err, errno, "can't read %s", path);
		return NULL;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > JSON_MAX) {
		error_set(err, "%s is not a file of at most %d MiB", path, JSON_MAX >> 20);
		return NULL;
	}
	text = xcalloc(1, (size_t)st.st_size + 1);
	while (len < (size_t)st.st_size && (n = read(fd, text + len, (size_t)st.st_size - len)) > 0)
		len += (size_t)n;
	tok = json_tokener_new_ex(16);
	if (tok != NULL) {
		o = json_tokener_parse_ex(tok, text, (int)len);
		json_tokener_free(tok);
	}
	if (o == NULL || !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		error_set(err, "%s is not a JSON object", path);
		return NULL;
	}
	return o;
}

/* The file of a descriptor's digest, when its bytes are those. */
static char *blob(const char *dir, json_object *descriptor, struct error **err)
{
	cleanup_free char *path = NULL;
	cleanup_free char *sum = NULL;
	const char *digest;

	if (!json_object_is_type(descriptor, json_type_object)) {
		error_set(err, "a descriptor is not an object");
		return NULL;
	}
	if (!json_get_string(descriptor, "", "digest", &digest, err))
		return NULL;
	if (digest == NULL || strncmp(digest, "sha256:", 7) != 0 || strlen(digest) != 7 + 64 ||
	    strspn(digest + 7, "0123456789abcdef") != 64) {
		error_set(err, "the digest %s is not sha256: and 64 hexadecimal digits", digest != NULL ? digest : "(missing)");
		return NULL;
	}
	path = xasprintf("%s/blobs/sha256/%s", dir, digest + 7);
	char *const args[] = {(char *)"sha256sum", (char *)"--", path, NULL};

	if (!run_program("coreutils", args, &sum, NULL, err))
		return NULL;
	/* A name with odd bytes in it makes the line begin with a backslash. */
	if (strncmp(sum + (sum[0] == '\\'), digest + 7, 64) != 0) {
		error_set(err, "%s is damaged: its contents are not those of its digest", path);
		return NULL;
	}
	return steal_pointer(&path);
}

static bool is_type(json_object *o, const char *what)
{
	json_object *type = NULL;

	return json_object_object_get_ex(o, "mediaType", &type) && json_object_is_type(type, json_type_string) &&
	       strcmp(json_object_get_string(type), what) == 0;
}

/* Of an index's manifests the one for this machine, or the only one. */
static json_object *choose(json_object *list)
{
	size_t n = json_object_array_length(list);

	for (size_t i = 0; i < n; i++) {
		json_object *m = json_object_array_get_idx(list, i), *platform = NULL;
		const char *arch = NULL, *os = NULL;
		cleanup_error struct error *ignored = NULL;

		if (!json_object_is_type(m, json_type_object) || !json_object_object_get_ex(m, "platform", &platform) ||
		    !json_object_is_type(platform, json_type_object) ||
		    !json_get_string(platform, "", "architecture", &arch, &ignored) ||
		    !json_get_string(platform, "", "os", &os, &ignored))
			continue;
		if (arch != NULL && os != NULL && strcmp(arch, "amd64") == 0 && strcmp(os, "linux") == 0)
			return m;
	}
	return n == 1 ? json_object_array_get_idx(list, 0) : NULL;
}

static bool take_layers(const char *dir, json_object *manifest, char *paths[OCI_MAX_LAYERS], size_t *count, struct error **err)
{
	json_object *layers;
	size_t n;

	if (!json_get(manifest, "", "layers", json_type_array, &layers, err))
		return false;
	n = layers != NULL ? json_object_array_length(layers) : 0;
	if (n == 0 || n > OCI_MAX_LAYERS)
		return error_set(err, "the manifest has %zu layers: 1 to %d can be applied", n, OCI_MAX_LAYERS);
	for (size_t i = 0; i < n; i++) {
		char *path = blob(dir, json_object_array_get_idx(layers, i), err);

		if (path == NULL)
			return error_wrap(err, "layer %zu", i);
		paths[(*count)++] = path;
	}
	return true;
}

bool oci_layers(const char *dir, char *paths[OCI_MAX_LAYERS], size_t *n, struct error **err)
{
	cleanup_free char *path = xasprintf("%s/index.json", dir);

	*n = 0;
	for (int nested = 0; nested < NESTED_MAX; nested++) {
		cleanup_json json_object *o = load(path, err);
		json_object *list, *next;
		char *below;

		if (o == NULL)
			return false;
		if (!json_get(o, "", "manifests", json_type_array, &list, err))
			return error_wrap(err, "%s", path);
		if (list == NULL) {
			if (!take_layers(dir, o, paths, n, err))
				return error_wrap(err, "%s", path);
			return true;
		}
		next = choose(list);
		if (next == NULL)
			return error_set(err, "%s has %zu images, none of them for linux on amd64 and not just one: take one out by a tool for layouts",
					 path, json_object_array_length(list));
		if (is_type(next, "application/vnd.docker.distribution.manifest.v1+json"))
			return error_set(err, "%s: manifests of schema 1 are not read", path);
		below = blob(dir, next, err);
		if (below == NULL)
			return error_wrap(err, "%s", path);
		free(path);
		path = below;
	}
	return error_set(err, "%s: indexes in indexes, more than %d deep", path, NESTED_MAX);
}
