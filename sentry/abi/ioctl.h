/* SPDX-License-Identifier: Apache-2.0 */
/* ioctl(2) numbers and structures that more than one file uses: files, terminals (ioctl_tty(2)). */
#ifndef SENTRY_ABI_IOCTL_H
#define SENTRY_ABI_IOCTL_H

#include <stdint.h>

#define LINUX_TCGETS 0x5401U
#define LINUX_TCSETS 0x5402U
#define LINUX_TCSETSW 0x5403U
#define LINUX_TCSETSF 0x5404U
#define LINUX_TCGETA 0x5405U
#define LINUX_TCSETA 0x5406U
#define LINUX_TCSETAW 0x5407U
#define LINUX_TCSETAF 0x5408U
#define LINUX_TCSBRK 0x5409U
#define LINUX_TCXONC 0x540aU
#define LINUX_TCFLSH 0x540bU
#define LINUX_TIOCEXCL 0x540cU
#define LINUX_TIOCNXCL 0x540dU
#define LINUX_TIOCSCTTY 0x540eU
#define LINUX_TIOCGPGRP 0x540fU
#define LINUX_TIOCSPGRP 0x5410U
#define LINUX_TIOCOUTQ 0x5411U
#define LINUX_TIOCSTI 0x5412U
#define LINUX_TIOCGWINSZ 0x5413U
#define LINUX_TIOCSWINSZ 0x5414U
#define LINUX_TIOCMGET 0x5415U
#define LINUX_FIONREAD 0x541bU
#define LINUX_TIOCPKT 0x5420U
#define LINUX_FIONBIO 0x5421U
#define LINUX_TIOCNOTTY 0x5422U
#define LINUX_TIOCSETD 0x5423U
#define LINUX_TIOCGETD 0x5424U
#define LINUX_TCSBRKP 0x5425U
#define LINUX_TIOCSBRK 0x5427U
#define LINUX_TIOCCBRK 0x5428U
#define LINUX_TIOCGSID 0x5429U
#define LINUX_TCGETS2 0x802c542aU
#define LINUX_TCSETS2 0x402c542bU
#define LINUX_TCSETSW2 0x402c542cU
#define LINUX_TCSETSF2 0x402c542dU
#define LINUX_TIOCGPTN 0x80045430U
#define LINUX_TIOCSPTLCK 0x40045431U
#define LINUX_TIOCGPTLCK 0x80045439U
#define LINUX_TIOCGPTPEER 0x5441U
#define LINUX_FIONCLEX 0x5450U
#define LINUX_FIOCLEX 0x5451U
#define LINUX_FIOASYNC 0x5452U
#define LINUX_FIOQSIZE 0x5460U
#define LINUX_SIOCGPGRP 0x8904U
#define LINUX_SIOCSPGRP 0x8902U
#define LINUX_FIOGETOWN 0x8903U
#define LINUX_FIOSETOWN 0x8901U
#define LINUX_FIGETBSZ 2U
#define LINUX_FIBMAP 1U
#define LINUX_FICLONE 0x40049409U
#define LINUX_FICLONERANGE 0x4020940dU
#define LINUX_FIDEDUPERANGE 0xc0189436U
#define LINUX_FS_IOC_GETFLAGS 0x80086601U
#define LINUX_FS_IOC_SETFLAGS 0x40086602U
#define LINUX_FS_IOC_GETVERSION 0x80087601U
#define LINUX_FS_IOC_FSGETXATTR 0x801c581fU
#define LINUX_FS_IOC_FIEMAP 0xc020660bU

struct linux_winsize {
	uint16_t rows, cols, xpixel, ypixel;
};
/* TCGETS: the kernel's struct, not libc's. */
struct linux_termios {
	uint32_t iflag, oflag, cflag, lflag;
	uint8_t line, cc[19];
};
_Static_assert(sizeof(struct linux_termios) == 36, "struct termios");
struct linux_termios2 {
	uint32_t iflag, oflag, cflag, lflag;
	uint8_t line, cc[19];
	uint32_t ispeed, ospeed;
};
_Static_assert(sizeof(struct linux_termios2) == 44, "struct termios2");

#endif
