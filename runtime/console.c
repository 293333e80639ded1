/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console socket: an engine listens, we connect and send one message, the name of a new pseudo terminal with its master
 * by SCM_RIGHTS. The slave becomes the container's stdio and the controlling terminal of its process on the host, which gets
 * ^C and changes of size as signals and passes them on; modes and size are read from the terminal itself.
 */
#include "runtime/console.h"
#include "runtime/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>

static bool send_master(int sock, int master, const char *name, struct error **err)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl = {0};
	struct iovec iov = {(void *)(uintptr_t)name, strlen(name)};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.bytes, .msg_controllen = sizeof(ctl.bytes)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &master, sizeof(master));
	if (sendmsg(sock, &m, MSG_NOSIGNAL) < 0)
		return error_errno(err, errno, "can't send the terminal over the console socket");
	return true;
}

int console_open(const char *path, uint16_t rows, uint16_t cols, struct error **err)
{
	cleanup_close int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cleanup_close int master = -1;
	cleanup_close int slave = -1;
	struct winsize size = {.ws_row = rows, .ws_col = cols};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char name[64];

	if (strlen(path) >= sizeof(a.sun_path)) {
		error_set(err, "the console socket's path is too long");
		return -1;
	}
	strcpy(a.sun_path, path);
	if (sock < 0 || connect(sock, (struct sockaddr *)&a, sizeof(a)) < 0) {
		error_errno(err, errno, "can't connect to the console socket %s", path);
		return -1;
	}
	master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || unlockpt(master) < 0 || ptsname_r(master, name, sizeof(name)) != 0) {
		error_errno(err, errno, "can't make a terminal");
		return -1;
	}
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0) {
		error_errno(err, errno, "can't open the terminal %s", name);
		return -1;
	}
	if (rows != 0 || cols != 0)
		ioctl(slave, TIOCSWINSZ, &size);
	if (!send_master(sock, master, name, err))
		return -1;
	return steal_fd(&slave);
}
