/* SPDX-License-Identifier: Apache-2.0 */
/* musl has no <sys/cdefs.h>; libbsd's headers want the file but nothing in it. On the include path for musl only. */
