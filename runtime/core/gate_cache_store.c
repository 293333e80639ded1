/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache's file, in the directory that the command opened and found to be the caller's own (runtime/gate_cache.c).
 *
 * It is replaced, never changed: whoever reads it has a whole one. Who replaces it holds the directory's lock; where
 * somebody else does, what was learned is forgotten, and learned again by another run. The temporary file has one name:
 * one that a killed writer left behind is removed by the next.
 *
 * A sandbox may have the directory on a writable mount and put anything there: nothing is followed, and only regular
 * files are read.
 */
#include "runtime/gate_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int gate_cache_open(int dir)
{
	int fd = openat(dir, GATE_CACHE_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 022) == 0)
		return fd;
	close(fd);
	return -1;
}

size_t gate_cache_read(int fd, void *buf, size_t max)
{
	size_t have = 0;
	ssize_t n;

	while (have < max) {
		n = read(fd, (char *)buf + have, max - have);
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	return have;
}

static size_t read_file(int dir, void *buf)
{
	int fd = gate_cache_open(dir);
	size_t n;

	if (fd < 0)
		return 0;
	n = gate_cache_read(fd, buf, GATE_CACHE_MAX);
	close(fd);
	return n;
}

static int write_file(int dir, const char *data, size_t size)
{
	size_t done = 0;
	int fd, err = 0;

	unlinkat(dir, GATE_CACHE_TEMP, 0);
	fd = openat(dir, GATE_CACHE_TEMP, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	while (done < size && err == 0) {
		ssize_t n = write(fd, data + done, size - done);

		if (n <= 0)
			err = n < 0 ? -errno : -EIO;
		else
			done += (size_t)n;
	}
	close(fd);
	if (err == 0 && renameat(dir, GATE_CACHE_TEMP, dir, GATE_CACHE_FILE) < 0)
		err = -errno;
	if (err != 0)
		unlinkat(dir, GATE_CACHE_TEMP, 0);
	return err;
}

int gate_cache_store(int dir, const void *fresh, size_t size)
{
	char *old, *out;
	size_t n;
	int err = 0;

	if (!gate_cache_check(fresh, size))
		return -EINVAL;
	if (flock(dir, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	old = malloc(2UL * GATE_CACHE_MAX);
	if (old == NULL) {
		err = -ENOMEM;
		goto unlock;
	}
	out = old + GATE_CACHE_MAX;
	n = read_file(dir, old);
	n = gate_cache_merge(out, GATE_CACHE_MAX, fresh, gate_cache_check(old, n) ? old : NULL);
	err = write_file(dir, out, n);
	free(old);
unlock:
	flock(dir, LOCK_UN);
	return err;
}
